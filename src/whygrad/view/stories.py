"""Findings as sentences. Each number in them comes from a run, none is written down here."""

from __future__ import annotations

from whygrad.findings.exact_zero import ExactZero
from whygrad.findings.lost_updates import LostUpdate, LostUpdates
from whygrad.view.numbers import about, number, typographic

__all__ = ["exact_zero_sentence", "lost_updates_sentence", "spans"]


def spans(steps: list[int]) -> str:
    """`12–16, 20`."""
    parts: list[list[int]] = []
    for step in steps:
        if parts and step == parts[-1][1] + 1:
            parts[-1][1] = step
        else:
            parts.append([step, step])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in parts)


def lost_updates_sentence(found: LostUpdates, short: str) -> str:
    """Which steps were lost on a parameter called `short`, and by how much each update was too small."""
    updates = found.updates
    steps = [update.step for update in updates]
    where = f"step {steps[0]}" if len(steps) == 1 else f"steps {spans(steps)}"
    last = updates[-1]
    value = typographic(number(last.value, found.format))
    what = "1 update was lost" if len(updates) == 1 else f"{len(updates)} updates were lost"
    text = f"In {where} {short} stands still at {_values(updates, found.format)} although its gradient is not zero: "
    text += f"{what}."
    if all(update.rounds_away for update in updates):
        largest = max(updates, key=lambda update: abs(update.update))
        size = typographic(number(abs(largest.gradient), found.format))
        product = f"{number(largest.lr, 'float64')} · {size} {_equals(about(abs(largest.update)))}"
        text += (
            f" In size, {'it' if len(updates) == 1 else 'even the largest'} (lr · gradient = {_unbroken(product)}) "
            f"is less than half the spacing of {found.format} numbers at {value} "
            f"({_unbroken(about(largest.half_ulp))}), so the sum is rounded back to the number it was."
        )
    return text


def _values(updates: tuple[LostUpdate, ...], fmt: str) -> str:
    values = list(dict.fromkeys(update.value for update in updates))
    shown = [typographic(number(value, fmt)) for value in values[:3]]
    return ", then ".join(shown) + (", …" if len(values) > 3 else "")


def _equals(text: str) -> str:
    return text if text.startswith("≈") else f"= {text}"


def _unbroken(text: str) -> str:
    """With spaces at which no line is broken."""
    return text.replace(" ", "\u00a0")


def exact_zero_sentence(found: ExactZero, fmt: str, target: float | None) -> str:
    """Since when the loss is 0, and why no gradient is left. `target`: what the prediction should be, where
    it is one number."""
    predictions = set(found.predictions.values())
    text = f"From step {found.first} on the loss is exactly 0"
    if len(predictions) == 1 and target is not None and predictions == {target}:
        text += f": in {fmt} the prediction is {typographic(number(target, fmt))}, the very number of the target"
    if found.gradients_zero:
        text += ", so every gradient is 0 and nothing moves any more"
    return text + "."
