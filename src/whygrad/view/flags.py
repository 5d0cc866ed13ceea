"""Flags as sentences in which the number to ask can be clicked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from whygrad.findings.flags import Flag
from whygrad.view.numbers import about, number, typographic

__all__ = ["MOST", "Said", "flag_dict", "flag_dicts", "flag_said", "flag_text"]

MOST = 12
"""Flags on a page; a command lists the rest."""

Said = str | tuple[str, str]
"""Text, or (address, text): a number that can be asked."""


def flag_said(flag: Flag, remedy: bool = True) -> tuple[Said, ...]:
    """The sentence of a flag, the number to ask in it, and, with `remedy`, what helps."""
    say = {"lost updates": _lost, "non-finite": _nonfinite, "update ratio": _ratio, "exact zero": _zero}
    return (*say[flag.kind](flag), *([f" {flag.remedy}"] if remedy else []), *_missing(flag))


def flag_text(flag: Flag) -> str:
    """The same as plain text."""
    return "".join(each if isinstance(each, str) else each[1] for each in flag_said(flag))


def flag_dict(flag: Flag, remedy: bool = True) -> dict[str, Any]:
    """As `Flag` of the page (web/src/types.ts)."""
    text = [each if isinstance(each, str) else list(each) for each in flag_said(flag, remedy)]
    return {"kind": flag.kind, "text": text, "address": flag.address, "step": flag.step}


def flag_dicts(flags: Sequence[Flag], file: str = "") -> list[dict[str, Any]]:
    """As `Flag`s of the page (web/src/types.ts): the first `MOST`, and one that counts the others and names the command that
    lists them. What helps is said once, however many flags it helps against."""
    found, said = list[dict[str, Any]](), set[str]()
    for flag in flags[:MOST]:
        found.append(flag_dict(flag, flag.remedy not in said))
        said.add(flag.remedy)
    if len(flags) > MOST:
        kinds = Counter(flag.kind for flag in flags[MOST:])
        rest = ", ".join(f"{count:,} of {kind}" for kind, count in kinds.items())
        words = f"{len(flags) - MOST:,} more ({rest}). All of them: whygrad table {file or 'RUN'} --tensors"
        found.append({"kind": "and others", "text": [words], "address": "", "step": -1})
    return found


def _lost(flag: Flag) -> tuple[Said, ...]:
    head = (
        f"{flag.tensor}: in {_steps(flag)} at least half of the elements with a gradient kept their very bits "
        f"(up to {_percent(flag.get('share'))} of them): their updates were rounded away."
    )
    if not flag.address:
        return (head,)
    value = typographic(number(flag.get("value"), flag.format))
    grad = typographic(number(flag.get("gradient"), flag.format))
    return head, f" {flag.address} stays ", (flag.address, value), f", its gradient is {grad}."


def _nonfinite(flag: Flag) -> tuple[Said, ...]:
    counts = [
        f"{int(flag.get(key)):,} {what}"
        for key, what in (("gradients", "gradient"), ("weights", "weight"))
        if flag.get(key)
    ]
    where = " and ".join(f"{each}{'' if each.startswith('1 ') else 's'}" for each in counts)
    head = f"In {_steps(flag)} numbers are infinite or NaN, first in {flag.tensor}"
    head += f" (step {flag.first}: {where})." if where else "."
    if flag.get("finite weights"):
        head += " The weights stayed finite."
    if not flag.address:
        return (head,)
    value = typographic(repr(flag.get("value")))
    return head, f" It began with {flag.address} = ", (flag.address, value), "."


def _ratio(flag: Flag) -> tuple[Said, ...]:
    low, high = about(flag.get("low")), about(flag.get("high"))
    size = "large" if flag.get("low") > 1e-3 else "small"
    head = (
        f"{flag.tensor}: in {_steps(flag)} update ÷ weight (their norms) lies between {low} and {high}; a rule of thumb has it "
        f"near 0.001, so the updates are {size}."
    )
    return (head,) if not flag.address else (head, " The element that moved most: ", (flag.address, flag.address), ".")


def _zero(flag: Flag) -> tuple[Said, ...]:
    if not flag.address:
        return (f"From step {flag.first} on the loss is exactly 0: nothing is left to learn from.",)
    return f"From step {flag.first} on the loss is exactly ", (flag.address, "0.0"), ": nothing is left to learn from."


def _missing(flag: Flag) -> tuple[Said, ...]:
    return () if flag.address else (f" No such step was kept: record with --steps {flag.last} to ask why.",)


def _steps(flag: Flag) -> str:
    if flag.first == flag.last:
        return f"step {flag.first}"
    if flag.steps == flag.last - flag.first + 1:
        return f"steps {flag.first}–{flag.last}"
    return f"{flag.steps} of the steps {flag.first}–{flag.last}"


def _percent(share: float) -> str:
    return "all" if share == 1 else f"{about(100 * share)} %"
