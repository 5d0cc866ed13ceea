"""What happened in a run, as paragraphs whose numbers can be asked."""

from __future__ import annotations

from whygrad.errors import WhygradError
from whygrad.explain.why import Explainer
from whygrad.findings.exact_zero import exact_zero
from whygrad.findings.lost_updates import lost_updates
from whygrad.trace.history import History
from whygrad.trace.store import Trace
from whygrad.view.numbers import number, typographic
from whygrad.view.page_neuron import Said
from whygrad.view.stories import exact_zero_sentence, lost_updates_sentence

__all__ = ["story"]

_MOST = 3
"""Parameters whose lost updates are told of."""


def story(trace: Trace, explainer: Explainer) -> list[list[Said]]:
    """From where to where the loss went, lost updates, a loss of exactly 0."""
    history = trace.history
    short = history.short_names()
    told = _loss(history)
    lost = lost_updates(history)
    for found in lost[:_MOST]:
        last = found.updates[-1]
        value = typographic(number(last.value, found.format))
        sentence = lost_updates_sentence(found, short[found.parameter])
        told.append(asked(sentence, f" at {value}", value, f"{found.address}@{last.step}"))
    if len(lost) > _MOST:
        rest = len(lost) - _MOST
        told.append([f"Updates of {rest} more parameter{'s' * (rest != 1)} were lost."])
    zero = exact_zero(history)
    loss = next((c for c in history.columns if c.kind == "loss"), None)
    if zero is not None and loss is not None:
        sentence = exact_zero_sentence(zero, loss.format, _target(explainer, zero.last))
        told.append(asked(sentence, "exactly 0", "0", f"{loss.address}@{zero.first}"))
    return told


def asked(sentence: str, around: str, text: str, address: str) -> list[Said]:
    """The sentence with `text`, where it stands at the end of `around`, as a number that can be asked."""
    before, found, after = sentence.partition(around)
    if not found:
        return [sentence]
    return [before + around[: len(around) - len(text)], [address, text], after]


def _loss(history: History) -> list[list[Said]]:
    loss = next((c for c in history.columns if c.kind == "loss"), None)
    if loss is None or len(history.steps) < 2:
        return []
    ends = [(step, row.get(loss.name)) for step, row in zip(history.steps, history.rows, strict=True)]
    (first, start), (last, end) = ends[0], ends[-1]
    if start is None or end is None:
        return []
    texts = [typographic(number(value, loss.format)) for value in (start, end)]
    return [
        ["The loss went from ", [f"{loss.address}@{first}", texts[0]], f" in step {first} to ",
         [f"{loss.address}@{last}", texts[1]], f" in step {last}."],
    ]  # fmt: skip


def _target(explainer: Explainer, step: int) -> float | None:
    """The target, where it is one number."""
    try:
        return float(explainer.why(f"target@{step}", 0).value)
    except WhygradError:
        return None
