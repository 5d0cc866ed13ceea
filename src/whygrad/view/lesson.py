"""The demos' sentences: what is looked at, what happened, how to go on. The numbers come from the runs."""

from __future__ import annotations

from dataclasses import dataclass

from whygrad.findings.exact_zero import exact_zero
from whygrad.findings.lost_updates import lost_updates
from whygrad.trace.history import History
from whygrad.view.stories import exact_zero_sentence, lost_updates_sentence

__all__ = ["FormatRow", "format_row", "intro", "next_commands", "what_happened"]

FIRST_QUESTION = {"neuron": "linear.bias[0]", "xor": "hidden.weight[0,0]"}


@dataclass(frozen=True)
class FormatRow:
    """One format's training, in words: steps until the loss is exactly 0 (or what happened instead), updates
    lost on the way, by parameter."""

    format: str
    steps: str
    lost: str


def intro(name: str, fmt: str, steps: int) -> str:
    """What is being trained."""
    if name == "neuron":
        return (
            f"One neuron, prediction = weight · x + bias, learns to answer 1.0 to x = 1.0: {steps} steps "
            f"of SGD in {fmt}. "
            "Every number below was recorded while PyTorch ran, and written so that it reads back to the "
            "same bits."
        )
    return (
        f"Two layers, four tanh units between them, learn XOR: {steps} steps of SGD in {fmt}. Every number "
        "below was recorded "
        "while PyTorch ran, and written so that it reads back to the same bits."
    )


def what_happened(fmt: str, history: History, target: float | None) -> list[str]:
    """Sentences on lost updates and on a loss of exactly 0; none when neither occurred."""
    short = history.short_names()
    sentences = [lost_updates_sentence(found, short[found.parameter]) for found in lost_updates(history)[:3]]
    zero = exact_zero(history)
    return sentences + ([exact_zero_sentence(zero, fmt, target)] if zero is not None else [])


def format_row(fmt: str, history: History) -> FormatRow:
    """How one format's training ended."""
    short = history.short_names()
    found = lost_updates(history)
    lost = ", ".join(f"{len(each.updates)} of {short[each.parameter]}" for each in found) or "none"
    zero = exact_zero(history)
    if zero is not None:
        return FormatRow(fmt, str(zero.first), lost)
    still = _stands_still(history)
    words = f"never: stands still from step {still} on" if still is not None else f"not in {len(history.steps)} steps"
    return FormatRow(fmt, words, lost)


def _stands_still(history: History) -> int | None:
    """The first step after which no parameter changes any more."""
    parameters = [c.name for c in history.columns if c.kind == "parameter"]
    rows = [tuple(row.get(name) for name in parameters) for row in history.rows]
    start = len(rows)
    while start and rows[start - 1] == rows[-1]:
        start -= 1
    return history.steps[start] if start < len(rows) - 1 else None


def next_commands(name: str, saved: str, history: History) -> list[str]:
    """Commands that work on the saved run."""
    quoted = f"'{saved}'" if any(c in saved for c in " '$&()") else saved
    lost = lost_updates(history) if name == "neuron" else ()
    first = (f'whygrad why {quoted} "{FIRST_QUESTION[name]}@{history.steps[-1]}"', "another number")
    if lost:
        step, short = lost[0].updates[0].step, history.short_names()[lost[0].parameter]
        first = (
            f'whygrad why {quoted} "{lost[0].address}@{step}"',
            f"why {short} stands still in step {step}",
        )
    other = "xor" if name == "neuron" else "neuron"
    commands = [
        first,
        (f'whygrad why {quoted} "loss@0" --depth 5', "the first loss, back to x"),
        (f"whygrad demo {other}", "two layers that learn XOR" if other == "xor" else "one neuron in float16"),
    ]
    width = max(len(command) for command, _ in commands)
    return [f"{command:<{width}}   {words}" for command, words in commands]
