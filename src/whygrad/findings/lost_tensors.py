"""Tensors whose updates rounding takes.

The share of lost updates (`trace/statistics.py`: elements with a gradient that kept their very bits ÷ elements with a
gradient) is at least a half in at least three steps. Remedy: float32 master weights, a larger learning rate, or stochastic
rounding. Zamirai et al., Revisiting BFloat16 Training, https://arxiv.org/abs/2010.06192.
"""

from __future__ import annotations

import numpy as np

from whygrad.findings.flag import Flag
from whygrad.findings.places import address_of, kept_steps, largest, named, numbers_of
from whygrad.trace.store import Trace

__all__ = ["MOST", "STEPS", "lost_tensors", "stayed"]

MOST = 0.5
"""From this share on a step is flagged."""
STEPS = 3
"""So many flagged steps make a flag."""
_REMEDY = "Keep float32 master weights, raise the learning rate, or round stochastically."


def lost_tensors(trace: Trace) -> tuple[Flag, ...]:
    """A flag a tensor, the largest share first. Its numbers: `share`, the largest over the run; `mean`, over the flagged
    steps; and, where a flagged step was kept, `value` and `gradient` of the element that `address` names: of those that
    kept their bits in that step the one with the largest gradient."""
    statistics = trace.statistics
    found: list[Flag] = []
    for tensor in statistics.tensors:
        shares = statistics.column(tensor, "lost")
        hits = [(step, x) for step, x in zip(statistics.steps, shares, strict=True) if x is not None and x >= MOST]
        if len(hits) >= STEPS:
            found.append(_flag(trace, tensor, hits))
    return tuple(sorted(found, key=lambda flag: -flag.get("share")))


def _flag(trace: Trace, tensor: str, hits: list[tuple[int, float]]) -> Flag:
    numbers = [("share", max(x for _, x in hits)), ("mean", sum(x for _, x in hits) / len(hits))]
    steps = [step for step, _ in hits]
    for number in kept_steps(trace, steps)[-1:]:
        step = trace.step(number)
        old, value, grad = (named(step, tensor, kind) for kind in ("before", "parameter", "gradient"))
        before, after, slope = (numbers_of(trace, step, each) for each in (old, value, grad))
        if value is None or before is None or after is None or slope is None:
            continue
        index, size = largest(stayed, before, after, slope)
        if size <= 0:
            continue
        numbers += [("value", float(after[index])), ("gradient", float(slope[index]))]
        address = address_of(step, value, index)
        return _made(tensor, steps, number, address, value.dtype, numbers)
    return _made(tensor, steps, -1, "", "", numbers)


def _made(
    tensor: str, steps: list[int], step: int, address: str, fmt: str, numbers: list[tuple[str, float]]
) -> Flag:  # fmt: skip
    return Flag("lost updates", tensor, steps[0], steps[-1], len(steps), step, address, fmt, tuple(numbers), _REMEDY)


def stayed(before: np.ndarray, after: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """The size of each gradient whose element kept its bits; −1 of the others."""
    return np.where(_same(before, after) & np.isfinite(slope), np.abs(slope.astype(np.float64)), -1.0)


def _same(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    kind = f"u{before.dtype.itemsize}"
    return np.ascontiguousarray(before).view(kind) == np.ascontiguousarray(after).view(kind)
