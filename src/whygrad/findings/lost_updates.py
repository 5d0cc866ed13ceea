"""Updates that were lost: a parameter stands still although its gradient is not zero.

A weight and its update are added and the sum is rounded to the weight's format. An update of less than half the
spacing of the format at the weight (half an ulp) rounds away: the weight keeps its bits, and training goes on without
it. Remedy: float32 master weights, a larger learning rate, or stochastic rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from whygrad.floats import FORMATS, NumberFormat, half_ulp_test, ulp
from whygrad.trace.history import Column, History

__all__ = ["LostUpdate", "LostUpdates", "lost_updates"]


@dataclass(frozen=True)
class LostUpdate:
    """One step in which `value` did not move. `update` is −lr·gradient, rounded to double; `half_ulp` half the spacing
    at `value`; `rounds_away` whether value + update, exactly, rounds to `value` again (plain SGD's update: with
    momentum or Adam the true update is another)."""

    step: int
    value: float
    gradient: float
    lr: float
    update: float
    half_ulp: float
    rounds_away: bool


@dataclass(frozen=True)
class LostUpdates:
    """All lost updates of one parameter element, in the order of steps."""

    parameter: str
    address: str
    format: str
    updates: tuple[LostUpdate, ...]


def lost_updates(history: History) -> tuple[LostUpdates, ...]:
    """Parameters that stood still in some step although lr·gradient ≠ 0, from the table alone. What moved in step 0
    cannot be told from it: the table begins after that step."""
    found: list[LostUpdates] = []
    gradients = {c.address: c for c in history.columns if c.kind == "gradient"}
    lr = next((c for c in history.columns if c.kind == "hyperparameter" and c.name == "lr"), None)
    for column in history.columns:
        gradient = gradients.get(f"{column.address}.grad")
        fmt = FORMATS.get(column.format)
        if column.kind != "parameter" or gradient is None or lr is None or fmt is None:
            continue
        updates = _lost(history, column, gradient, lr, fmt)
        if updates:
            found.append(LostUpdates(column.name, column.address, column.format, updates))
    return tuple(found)


def _lost(history: History, column: Column, gradient: Column, lr: Column, fmt: NumberFormat) -> tuple[LostUpdate, ...]:
    values, grads, rates = (history.column(c.name) for c in (column, gradient, lr))
    found: list[LostUpdate] = []
    for i in range(1, len(values)):
        value, grad, rate = values[i], grads[i], rates[i]
        if value is None or not grad or not rate or value != values[i - 1] or not _finite(value, grad, rate):
            continue
        update = -Fraction(rate) * Fraction(grad)
        spacing = ulp(value, fmt)
        rounds_away = half_ulp_test(float(update), value, fmt)
        found.append(LostUpdate(history.steps[i], value, grad, rate, float(update), float(spacing / 2), rounds_away))
    return tuple(found)


def _finite(*numbers: float) -> bool:
    return all(abs(x) < float("inf") for x in numbers)
