"""Updates far too large or too small for the weights.

A common rule of thumb has the norm of the update near a thousandth of the norm of the weight (Stanford CS231n, "Ratio of
weights:updates", https://cs231n.github.io/neural-networks-3/#ratio). It is a rule of thumb, so only what is off it by a
factor of 100 upwards, or 10,000 downwards, in the whole second half of a run of at least ten steps, is flagged.
"""

from __future__ import annotations

import math

import numpy as np

from whygrad.findings.flag import Flag
from whygrad.findings.places import address_of, kept_steps, largest, named, numbers_of
from whygrad.trace.store import Trace

__all__ = ["LARGE", "SMALL", "STEPS", "update_ratios"]

LARGE, SMALL = 1e-1, 1e-7
STEPS = 10
_LOWER = "Lower the learning rate, warm it up, or clip the gradients."
_RAISE = "Raise the learning rate of this tensor, or see whether its gradient vanishes on the way down."


def update_ratios(trace: Trace, skip: frozenset[str] = frozenset()) -> tuple[Flag, ...]:
    """A flag a tensor, but none for those of `skip` (whose updates rounding took, which is the better explanation). Its
    numbers: `low`, `high`: the smallest and largest ratio in the flagged steps; `grad_norm`: of the last of them."""
    statistics = trace.statistics
    found: list[Flag] = []
    for tensor in statistics.tensors:
        ratios, norms = statistics.column(tensor, "update_ratio"), statistics.column(tensor, "grad_norm")
        rows = [
            (step, ratio, norm)
            for step, ratio, norm in zip(statistics.steps, ratios, norms, strict=True)
            if ratio is not None and norm and math.isfinite(ratio)
        ]
        late = rows[len(rows) // 2 :]
        if len(rows) < STEPS or tensor in skip:
            continue
        large = all(ratio > LARGE for _, ratio, _ in late)
        if large or all(ratio < SMALL for _, ratio, _ in late):
            found.append(_flag(trace, tensor, late, large))
    return tuple(found)


def _flag(trace: Trace, tensor: str, late: list[tuple[int, float, float]], large: bool) -> Flag:
    steps = [step for step, _, _ in late]
    ratios = [ratio for _, ratio, _ in late]
    numbers = (("low", min(ratios)), ("high", max(ratios)), ("grad_norm", late[-1][2]))
    step, address, fmt = -1, "", ""
    for number in kept_steps(trace, steps)[-1:]:
        found = trace.step(number)
        old, value = (named(found, tensor, kind) for kind in ("before", "parameter"))
        before, after = (numbers_of(trace, found, each) for each in (old, value))
        if value is not None and before is not None and after is not None:
            index, _ = largest(_moved, before, after)
            step, address, fmt = number, address_of(found, value, index), value.dtype
    remedy = _LOWER if large else _RAISE
    return Flag("update ratio", tensor, steps[0], steps[-1], len(steps), step, address, fmt, numbers, remedy)


def _moved(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.abs(after.astype(np.float64) - before.astype(np.float64))
