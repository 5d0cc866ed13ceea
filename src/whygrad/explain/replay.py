"""An op run again on its recorded operands: does it give the recorded bits?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.errors import ValueDropped, WhygradError
from whygrad.trace.model import Op, Ref, Step
from whygrad.trace.store import Trace

Array = np.ndarray[Any, Any]
_UNINITIALISED = frozenset({
    "aten.empty", "aten.new_empty", "aten.empty_like", "aten.empty_strided", "aten.new_empty_strided",
    "aten.empty_permuted",
})  # fmt: skip
# These write all of their first argument and read none of it; it is often memory that nothing had been written to.
_OVERWRITING = frozenset({
    "aten.copy_", "aten.fill_", "aten.zero_", "aten.uniform_", "aten.normal_", "aten.random_", "aten.bernoulli_",
    "aten.exponential_", "aten.cauchy_", "aten.log_normal_", "aten.geometric_",
})  # fmt: skip


@dataclass(frozen=True)
class Replay:
    """`same`: every output has the recorded bits. `different` counts elements that do not; `reason` says why a replay
    was not possible or what may be behind a difference."""

    same: bool
    different: int = 0
    reason: str = ""
    possible: bool = True


def replay(trace: Trace, step: Step, op: Op) -> Replay:
    """Run an op again with the recorded operands, strides, threads and random state, and compare all it wrote."""
    import torch

    from whygrad.capture.opinfo import describe
    from whygrad.explain.tensors import Rebuilder, threads

    if op.name.startswith(("higher_order.", "optimizer.")):
        return Replay(False, reason="a higher-order operator is not replayed", possible=False)
    if op.kind in _UNINITIALISED:
        return Replay(True, reason="allocates memory without writing it")
    rebuilder = Rebuilder(trace, step)
    function = overload(op.name)
    try:
        overwritten = op.args[0] if op.kind in _OVERWRITING else None
        blank = [rebuilder.blank(overwritten.id)] if isinstance(overwritten, Ref) else []
        args = blank + [rebuilder.argument(arg) for arg in op.args[len(blank) :]]
        kwargs = {key: rebuilder.argument(arg) for key, arg in op.kwargs if key != "generator"}
        state = None if op.rng is None else rebuilder.tensor(op.rng)
    except ValueDropped as error:
        return Replay(False, reason=str(error), possible=False)
    before = torch.get_rng_state() if state is not None else None
    try:
        if state is not None:
            torch.set_rng_state(state)
        with torch.no_grad(), threads(step.threads):
            out = function(*args, **kwargs)
    finally:
        if before is not None:
            torch.set_rng_state(before)
    found = _compare(trace, step, op, out)
    unreturned = _compare_written(trace, step, op, describe(function).targets(tuple(args), kwargs))
    return Replay(found.same and not unreturned, found.different + unreturned)


def overload(name: str) -> Any:
    """torch's function for `aten.addmm.default`. Raises WhygradError when this torch has none."""
    import torch

    namespace, base, variant = name.split(".", 2)
    try:
        return getattr(getattr(getattr(torch.ops, namespace), base), variant)
    except AttributeError as error:
        raise WhygradError(
            f"this torch ({torch.__version__}) has no op {name}; the run was recorded with another."
        ) from error


def _compare(trace: Trace, step: Step, op: Op, out: Any) -> Replay:
    import torch

    results: list[Any] = list(out) if isinstance(out, (list, tuple)) else [out]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    different = 0
    for value_id, result in zip(op.outputs, results, strict=False):
        if value_id is None:
            if op.result is not None and not (result == op.result or result != result):
                different += 1
            continue
        value = step.values[value_id]
        if value.numel == 0 or not isinstance(result, torch.Tensor):
            continue
        recorded = trace.content(step, value)
        different += different_elements(recorded, result)
    return Replay(different == 0, different)


def _compare_written(trace: Trace, step: Step, op: Op, targets: list[Any]) -> int:
    """How many elements differ of what an op wrote into its arguments and does not return."""
    different = 0
    for value_id, target in zip(op.written, targets, strict=False):
        if value_id not in op.outputs and target.numel():
            different += different_elements(trace.content(step, step.values[value_id]), target)
    return different


def different_elements(recorded: Array, result: Any) -> int:
    """How many elements of a tensor have other bits than recorded (any NaN equals any NaN)."""
    import torch

    raw = np.ascontiguousarray(recorded).reshape(-1)
    bits: Array = raw.view(np.uint8)
    mine: Array = result.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    if bits.shape != mine.shape:
        return max(len(raw), 1)
    unequal = (bits.reshape(len(raw), -1) != mine.reshape(len(raw), -1)).any(axis=1)
    if not unequal.any():
        return 0
    if raw.dtype.kind in "fcV" or raw.dtype.name.startswith(("bfloat", "float8")):
        again = mine.view(raw.dtype)[unequal].astype(np.float64)
        both_nan = np.isnan(raw[unequal].astype(np.float64)) & np.isnan(again)
        return int((~both_nan).sum())
    return int(unequal.sum())
