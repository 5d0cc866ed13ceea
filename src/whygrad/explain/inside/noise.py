"""How much rounding alone moves the results of a decomposition: it is run once more in another precision. Where a sum
cancels, two right ways of computing it differ by that much, however small the number itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.explain.inside.decompose import Arguments, Decomposed, NotDecomposed
from whygrad.trace.model import Op, Step
from whygrad.trace.store import Array, Trace

FACTOR = 16
_WIDER = 2.0**-29
"""A rounding error of float64, in those of float32."""


@dataclass(frozen=True)
class Noise:
    """The results in a precision that makes their rounding small, and the largest rounding error of the decomposition's
    own run in any element."""

    exact: Array
    size: float

    def allows(self, number: float, index: tuple[int, ...]) -> bool:
        """Whether rounding can account for how far a number is from the exact one."""
        return bool(abs(number - self.exact[index]) <= FACTOR * self.size)


def noise(trace: Trace, step: Step, op: Op, inner: Decomposed, value: int) -> Noise | None:
    """The noise of one result; None where the decomposition does not run in another precision."""
    if inner.candidate.watched or op.rng is not None:
        return None
    content = inner.trace.content(inner.step, inner.step.values[inner.results[value]])
    own = content.astype(np.float64)
    double = content.dtype == np.float64
    try:
        other = _run(trace, step, op, inner, value, single=double)
    except Exception:
        return None
    if other is None or other.shape != own.shape:
        return None
    with np.errstate(invalid="ignore"):  # ∞ − ∞, which is no rounding error and not counted
        errors = np.abs(own - other)
    largest = float(np.max(errors, initial=0.0, where=np.isfinite(errors)))
    return Noise(own, largest * _WIDER) if double else Noise(other, largest)


def _run(trace: Trace, step: Step, op: Op, inner: Decomposed, value: int, single: bool) -> Array | None:
    import torch

    from whygrad.explain.tensors import threads

    wanted = torch.float32 if single else torch.float64

    def turned(arg: Any) -> Any:
        if isinstance(arg, torch.Tensor):
            return arg.to(wanted) if arg.is_floating_point() else arg
        if isinstance(arg, torch.dtype):
            return wanted if arg.is_floating_point else arg
        return [turned(each) for each in arg] if isinstance(arg, list) else arg  # pyright: ignore[reportUnknownVariableType]

    call = Arguments(trace, step, op, inner.candidate)
    call.targets = turned(call.targets)
    with torch.no_grad(), threads(step.threads):
        out = inner.candidate.call(*turned(call.args), **{key: turned(arg) for key, arg in call.kwargs.items()})
    found = call.results(out).get(value)
    if found is None:
        raise NotDecomposed("it gives no such result")
    return found.double().numpy()
