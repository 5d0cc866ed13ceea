"""A loss of exactly zero: nothing is left to learn from.

When prediction and target are the same number of the format, the loss is 0 and so is every gradient; no learning rate
changes that. Whether training is done or the format is too coarse to tell the two apart is for a wider one to say.
"""

from __future__ import annotations

from dataclasses import dataclass

from whygrad.trace.history import History

__all__ = ["ExactZero", "exact_zero"]


@dataclass(frozen=True)
class ExactZero:
    """The loss is exactly 0 from step `first` to the last one, `last`. `predictions`: what the prediction is in all
    these steps, by column name, where it does not change. `gradients_zero`: every recorded gradient is 0 there."""

    first: int
    last: int
    predictions: dict[str, float]
    gradients_zero: bool


def exact_zero(history: History) -> ExactZero | None:
    """The run of exact zeros at the end of the loss column; None when the last loss is not 0."""
    loss = next((c for c in history.columns if c.kind == "loss"), None)
    if loss is None:
        return None
    values = history.column(loss.name)
    start = len(values)
    while start and values[start - 1] == 0:
        start -= 1
    if start == len(values):
        return None
    return ExactZero(history.steps[start], history.steps[-1], _constant(history, start), _all_zero(history, start))


def _constant(history: History, start: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for column in history.columns:
        values = history.column(column.name)[start:]
        first = values[0]
        if column.kind == "prediction" and first is not None and all(v == first for v in values):
            found[column.name] = first
    return found


def _all_zero(history: History, start: int) -> bool:
    gradients = [c.name for c in history.columns if c.kind == "gradient"]
    return bool(gradients) and all(v == 0 for name in gradients for v in history.column(name)[start:])
