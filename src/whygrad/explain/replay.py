"""An op run again on its recorded operands: does it give the recorded bits?"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from whygrad.errors import ValueDropped, WhygradError
from whygrad.trace.model import Arg, Op, Ref, Step
from whygrad.trace.store import Trace

Array = np.ndarray[Any, Any]
UNINITIALISED = frozenset({
    "aten.empty", "aten.new_empty", "aten.empty_like", "aten.empty_strided", "aten.new_empty_strided",
    "aten.empty_permuted",
})  # fmt: skip
# These write all of their first argument and read none of it; it is often memory that nothing had been written to.
OVERWRITING = frozenset({
    "aten.copy_", "aten.fill_", "aten.zero_", "aten.uniform_", "aten.normal_", "aten.random_", "aten.bernoulli_",
    "aten.exponential_", "aten.cauchy_", "aten.log_normal_", "aten.geometric_",
})  # fmt: skip


# LAPACK's gelsy gives other last bits from call to call, by where its work memory happens to lie.
SCRATCH = {"aten.mkldnn_rnn_layer": 3}
"""Which result of an op is memory in which its kernel leaves what its own backward pass reads, in a layout of its own and not
written everywhere. Without grad mode such an op returns none."""
_UNSTEADY = frozenset({"aten.linalg_lstsq"})
_TRIES = 200


@dataclass(frozen=True)
class Replay:
    """`same`: every output has the recorded bits. `different` counts elements that do not; `reason` says why a replay
    was not possible or what may be behind a difference. `unwritten`: by Value, which elements the op allocated and never
    wrote, so that they have whatever the memory had; they are not counted."""

    same: bool
    different: int = 0
    reason: str = ""
    possible: bool = True
    unwritten: dict[int, Array] = field(default_factory=dict[int, Array])


def replay(trace: Trace, step: Step, op: Op) -> Replay:
    """Run an op again with the recorded operands, strides, threads and random state, and compare all it wrote."""
    if op.name.startswith(("higher_order.", "optimizer.")):
        return Replay(False, reason="a higher-order operator is not replayed", possible=False)
    if op.kind in UNINITIALISED:
        return Replay(True, reason="allocates memory without writing it")
    try:
        out, targets, blanks = _run(trace, step, op)
        found = _compare(trace, step, op, out)
        for _ in range(_TRIES if op.kind in _UNSTEADY and found.different else 0):
            found = _compare(trace, step, op, _run(trace, step, op)[0])
            if found.same:
                break
        unreturned = _compare_written(trace, step, op, targets, blanks)
        if found.different and not unreturned.different:
            with _filled_memory():
                filled = _run(trace, step, op)[0]
            found = _but_unwritten(trace, step, op, out, filled)
    except ValueDropped as error:
        return Replay(False, reason=str(error), possible=False)
    different = found.different + unreturned.different
    return Replay(different == 0, different, unwritten={**found.unwritten, **unreturned.unwritten})


def scratch_of(op: Op) -> int | None:
    """The Value of an op's result that is no number of the program but its kernel's own memory, see `SCRATCH`."""
    at = SCRATCH.get(op.kind)
    return None if at is None or at >= len(op.outputs) else op.outputs[at]


def _run(trace: Trace, step: Step, op: Op) -> tuple[Any, list[Any], list[Any]]:
    """What the op returns, the arguments that it wrote, and those given to it as memory that held nothing. Raises
    ValueDropped."""
    from whygrad.capture.opinfo import describe
    from whygrad.explain.tensors import Rebuilder

    rebuilder = Rebuilder(trace, step)
    info = describe(overload(op.name))
    blanks: list[Any] = []

    def given(which: int | str, arg: Arg) -> Any:
        if not isinstance(arg, Ref) or which not in info.writes:
            return rebuilder.argument(arg)
        if which == 0 and op.kind in OVERWRITING:
            return rebuilder.blank(arg.id)
        try:
            return rebuilder.argument(arg)
        except ValueDropped:
            blanks.append(rebuilder.blank(arg.id))  # memory that nothing had written; the op does
            return blanks[-1]

    args = [given(which, arg) for which, arg in enumerate(op.args)]
    kwargs = {key: given(key, arg) for key, arg in op.kwargs if key != "generator"}
    out = call_again(step, op, args, kwargs, None if op.rng is None else rebuilder.tensor(op.rng))
    return out, info.targets(tuple(args), kwargs), blanks


def call_again(step: Step, op: Op, args: list[Any], kwargs: dict[str, Any], state: Any) -> Any:
    """Run an op with the step's threads, and the random state `state` (None: it draws nothing)."""
    import torch

    from whygrad.explain.tensors import threads

    before = torch.get_rng_state() if state is not None else None
    try:
        if state is not None:
            torch.set_rng_state(state)
        with torch.set_grad_enabled(scratch_of(op) is not None), threads(step.threads):
            return overload(op.name)(*args, **kwargs)
    finally:
        if before is not None:
            torch.set_rng_state(before)


@contextmanager
def _filled_memory() -> Generator[None]:
    """torch's deterministic mode, in which allocated memory is filled: floats with NaN, integers with their largest."""
    import torch

    memory: Any = torch.utils.deterministic
    was, only = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fills = memory.fill_uninitialized_memory
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.use_deterministic_algorithms(True, warn_only=True)
            memory.fill_uninitialized_memory = True
            yield
        finally:
            torch.use_deterministic_algorithms(was, warn_only=only)
            memory.fill_uninitialized_memory = fills


def _but_unwritten(trace: Trace, step: Step, op: Op, out: Any, filled: Any) -> Replay:
    """The comparison, but for elements that show the fill where their memory was filled before."""
    different, unwritten = 0, dict[int, Array]()
    for value_id, result, other in zip(op.outputs, _listed(out), _listed(filled), strict=False):
        value = None if value_id is None else step.values[value_id]
        if other is None or value_id == scratch_of(op):
            continue
        if value_id is None or value is None or value.form or value.numel == 0 or value.shape != tuple(other.shape):
            continue
        content = trace.content(step, value)
        elements = _different(content, result)
        elements = np.zeros(value.numel, bool) if elements is None else elements
        fill = _is_fill(other).reshape(-1)
        different += int((elements & ~fill).sum())
        if (elements & fill).any():
            unwritten[value_id] = fill.reshape(value.shape)
    return Replay(different == 0, different, unwritten=unwritten)


def _is_fill(tensor: Any) -> Array:
    import torch

    if tensor.dtype.is_floating_point:
        return tensor.isnan().numpy()
    return (tensor == (True if tensor.dtype is torch.bool else torch.iinfo(tensor.dtype).max)).numpy()


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

    from whygrad.capture.sparse import parts

    different = 0
    for value_id, result in zip(op.outputs, _listed(out), strict=False):
        if value_id is None:
            if op.result is not None and not (result == op.result or result != result):
                different += 1
            continue
        value = step.values[value_id]
        if value.numel == 0 or not isinstance(result, torch.Tensor) or value_id == scratch_of(op):
            continue
        if result.layout is not torch.strided:
            different += _different_indices(trace, step, op, result)
            result = parts(result)[-1]
        recorded = trace.content(step, value)
        different += different_elements(recorded, result)
    return Replay(different == 0, different)


def _different_indices(trace: Trace, step: Step, op: Op, result: Any) -> int:
    """How many indices of a sparse result differ from those that the op wrote; those that it took over are not its own."""
    from whygrad.capture.sparse import parts

    own = [step.values[each] for each in op.written if each not in op.outputs]
    same = [(value, part) for value in own for part in parts(result)[:-1] if value.shape == tuple(part.shape)]
    found = [(value, different_elements(trace.content(step, value), part)) for value, part in same]
    return sum(
        min(count for value, count in found if value is each) for each in own if any(v is each for v, _ in found)
    )


def _compare_written(trace: Trace, step: Step, op: Op, targets: list[Any], blanks: list[Any]) -> Replay:
    """How many elements differ of what an op wrote into its arguments and does not return."""
    different, unwritten = 0, dict[int, Array]()
    for value_id, target in zip(op.written, targets, strict=False):
        value = step.values[value_id]
        if value_id in op.outputs or not target.numel():
            continue
        try:
            elements = _different(trace.content(step, value), target)
        except ValueDropped:  # nothing had written it, and the op did not either
            continue
        left = np.zeros(value.numel, bool)
        if any(target is each for each in blanks):
            left = _is_garbage(target)
        different += max(value.numel, 1) if elements is None else int((elements & ~left).sum())
        if left.any():
            unwritten[value_id] = left.reshape(value.shape)
    return Replay(different == 0, different, unwritten=unwritten)


def _is_garbage(tensor: Any) -> Array:
    """Which elements still hold what `Rebuilder.blank` filled them with."""
    import torch

    from whygrad.explain.tensors import GARBAGE

    raw: Array = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return (raw.reshape(tensor.numel(), -1) == GARBAGE).all(axis=1)


def _listed(out: Any) -> list[Any]:
    return list(out) if isinstance(out, (list, tuple)) else [out]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


def different_elements(recorded: Array, result: Any) -> int:
    """How many elements of a tensor have other bits than recorded (any NaN equals any NaN)."""
    found = _different(recorded, result)
    return max(recorded.size, 1) if found is None else int(found.sum())


def _different(recorded: Array, result: Any) -> Array | None:
    """Which elements have other bits, in row-major order; None where the tensors are not of one size."""
    import torch

    raw = np.ascontiguousarray(recorded).reshape(-1)
    bits: Array = raw.view(np.uint8)
    plain = result.detach().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
    mine: Array = plain.reshape(-1).view(torch.uint8).numpy()
    if bits.shape != mine.shape:
        return None
    unequal: Array = (bits.reshape(len(raw), -1) != mine.reshape(len(raw), -1)).any(axis=1) if len(raw) else raw != raw
    if unequal.any() and (raw.dtype.kind in "fcV" or raw.dtype.name.startswith(("bfloat", "float8"))):
        again = mine.view(raw.dtype)[unequal].astype(np.float64)
        unequal[unequal] = ~(np.isnan(raw[unequal].astype(np.float64)) & np.isnan(again))
    return unequal
