"""Pictures of a small network over the plane of its two inputs, and the examples as points in it: geometry, no numbers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from whygrad.errors import ValueDropped
from whygrad.explain.chain import Chain
from whygrad.explain.field import field, grid
from whygrad.trace.model import Value
from whygrad.trace.store import Trace
from whygrad.view.numbers import about

__all__ = [
    "Bounds",
    "Examples",
    "Targets",
    "bounds_of",
    "bytes_of",
    "examples_of",
    "output_of",
    "pictures",
    "targets_of",
]

Array = np.ndarray[Any, Any]
Bounds: TypeAlias = tuple[float, float, float, float]
MOST_POINTS = 2_000
_MARGIN = 0.2
"""Of the width of the data, free space on each side."""
_LOGIT = 4.0
"""A logit that is drawn in full colour: a probability of 98 %."""


@dataclass(frozen=True)
class Targets:
    """What the output is drawn around, and how far from it the colour is full. `classes`: the output has a number for each
    class, of which the largest counts."""

    middle: float
    half: float
    classes: bool = False


def bounds_of(trace: Trace, chains: Sequence[Chain]) -> Bounds | None:
    """A square stretch of the input plane around the examples of these steps; None where there are not two inputs."""
    if chains[0].sizes[0] != 2:
        return None
    found = [each for chain in chains if (each := _rows(trace, chain, chain.input, 2)) is not None]
    if not found:
        return None
    every = np.concatenate(found)
    every = every[np.isfinite(every).all(axis=1)]
    if not len(every):
        return None
    low, high = every.min(axis=0), every.max(axis=0)
    middle = (low + high) / 2
    half = float((high - low).max()) / 2 * (1 + 2 * _MARGIN) or 1.0
    x1, x2 = (float(f"{m:.6g}") for m in middle)
    return x1 - half, x1 + half, x2 - half, x2 + half


def _rows(trace: Trace, chain: Chain, value: Value, width: int) -> Array | None:
    try:
        return trace.content(chain.step, value).astype(np.float64).reshape(-1, width)
    except ValueDropped:
        return None


def targets_of(trace: Trace, chains: Sequence[Chain]) -> Targets:
    """What the outputs are compared with: the middle of the targets, 0 for logits, classes."""
    chain = chains[-1]
    kinds = " ".join(op.name for op in chain.step.ops if op.phase == "loss")
    if chain.sizes[-1] > 1 and ("nll_loss" in kinds or "cross_entropy" in kinds):
        return Targets(0.0, _LOGIT, classes=True)
    if "with_logits" in kinds:
        return Targets(0.0, _LOGIT)
    low, high = _range(trace, chains)
    return Targets((low + high) / 2, (high - low) / 2 or 1.0)


def _range(trace: Trace, chains: Sequence[Chain]) -> tuple[float, float]:
    found = [
        each
        for chain in chains
        if chain.target is not None and (each := _rows(trace, chain, chain.target, 1)) is not None
    ]
    every = np.concatenate(found).ravel() if found else np.zeros(0)
    every = every[np.isfinite(every)]
    return (float(every.min()), float(every.max())) if len(every) else (-1.0, 1.0)


@dataclass(frozen=True)
class Examples:
    """The examples of some steps, each once: `points` for drawing, and for each step which of them its batch was."""

    points: dict[str, Any] | None
    batches: dict[int, list[int]]


def examples_of(trace: Trace, chains: Sequence[Chain], bounds: Bounds | None, targets: Targets) -> Examples:
    """The examples of these steps; none where inputs and targets do not go together, or the inputs are not two."""
    found: dict[tuple[float, float, float], int] = {}
    batches: dict[int, list[int]] = {}
    for chain in chains if bounds is not None else ():
        rows = _examples(trace, chain)
        if rows is None or len(found.keys() | set(rows)) > MOST_POINTS:
            continue
        batches[chain.step.number] = [found.setdefault(row, len(found)) for row in rows]
    if not found or bounds is None:
        return Examples(None, {})
    every = np.array(list(found))
    middle, half = targets.middle, targets.half
    if half == _LOGIT:  # the targets are classes, the outputs are not
        low, high = every[:, 2].min(), every[:, 2].max()
        middle, half = (low + high) / 2, (high - low) / 2 or 1.0
    x, y = (_within(every[:, k], bounds[2 * k], bounds[2 * k + 1]) for k in (0, 1))
    label = [round(float(v), 3) for v in np.clip((every[:, 2] - middle) / half, -1, 1)]
    return Examples({"x": x, "y": y, "label": label, "test": 0}, batches)


def _examples(trace: Trace, chain: Chain) -> list[tuple[float, float, float]] | None:
    given = _rows(trace, chain, chain.input, 2)
    target = None if chain.target is None else _rows(trace, chain, chain.target, 1)
    if given is None or target is None or not len(given) or len(target) % len(given):
        return None
    every = np.column_stack([given, target.reshape(len(given), -1)[:, :1]])
    if not np.isfinite(every).all():
        return None
    return [(float(a), float(b), float(c)) for a, b, c in every]


def _within(values: Array, low: float, high: float) -> list[float]:
    return [round(float(v), 4) for v in (values - low) / (high - low) * 2 - 1]


def pictures(
    trace: Trace, chain: Chain, bounds: Bounds | None, targets: Targets, side: int, output_side: int
) -> dict[str, Any]:
    """The part of a `Frame` that is drawn over the input plane: `pictures` of each unit, inputs first, and `output`."""
    none = {"pictures": [[] for _ in chain.sizes], "side": 0, "output": "", "outputSide": 0}
    if bounds is None:
        return none
    try:
        units = field(trace, chain, grid(bounds, side))
        output = field(trace, chain, grid(bounds, output_side))[-1]
    except ValueDropped:
        return none
    middle = np.array(bounds).reshape(2, 2).mean(axis=1)
    drawn = [[bytes_of(column) for column in (units[0] - middle).T]]
    drawn += [[bytes_of(column) for column in layer.T] for layer in units[1:-1]]
    drawn.append([bytes_of(output_of(units[-1], targets, k), 1.0) for k in range(units[-1].shape[1])])
    return {
        "pictures": drawn, "side": side, "output": bytes_of(output_of(output, targets), 1.0), "outputSide": output_side,
        "legend": [about(targets.middle + k * targets.half) for k in (-1, 0, 1)],
    }  # fmt: skip


def output_of(output: Array, targets: Targets, unit: int | None = None) -> Array:
    """(n, units) outputs as (n,) numbers, −1 … 1 where the colour is full. Of classes, `unit` against the best other one
    (None: the last); of other outputs, `unit` itself (None: the first)."""
    if targets.classes:
        k = output.shape[1] - 1 if unit is None else unit
        return (output[:, k] - np.delete(output, k, axis=1).max(axis=1)) / targets.half
    return (output[:, unit or 0] - targets.middle) / targets.half


def bytes_of(values: Array, full: float | None = None) -> str:
    """base64 of int8: 127 at `full`, otherwise at the largest size there is; what is no number is 0."""
    finite = np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf)
    known = np.abs(finite[np.isfinite(finite)])
    top = full if full is not None else float(known.max(initial=0.0)) or 1.0
    scaled = np.clip(finite / top, -1, 1) * 127
    return base64.b64encode(np.rint(scaled).astype(np.int8).tobytes()).decode()
