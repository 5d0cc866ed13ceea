"""What examples and paths contributed to a gradient, as finished strings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from whygrad.view.numbers import about

if TYPE_CHECKING:
    from whygrad.explain.contributions import Contributions

__all__ = ["amount", "sentences", "to_dicts"]

_SHOWN = 3
_SETTLED = 1.005
"""Below this ratio nothing worth a word cancelled."""


def sentences(found: tuple[Contributions, ...]) -> tuple[str, ...]:
    """One sentence for each way of dividing a gradient: its largest parts, and how much of them cancelled."""
    return tuple(_sentence(each) for each in found)


def _sentence(found: Contributions) -> str:
    kind = "examples" if found.by == "example" else "paths"
    moving = [part for part in found.parts if part.amount]
    shown = [f"{part.label}: {amount(part.amount)}" for part in moving[:_SHOWN]]
    text = f"By {found.by}, of {len(found.parts)}: " + "; ".join(shown)
    if len(moving) > _SHOWN:
        rest = math.fsum(part.amount for part in moving[_SHOWN:])
        text += f"; the other {len(moving) - _SHOWN} together {amount(rest)}"
    silent = len(found.parts) - len(moving)
    if silent:
        text += f"; {silent} {kind if silent > 1 else found.by} contributed nothing" if moving else "nothing from any"
    return text + "." + _cancelled(found, kind)


def _cancelled(found: Contributions, kind: str) -> str:
    if not found.total and any(part.amount for part in found.parts):
        return f" All of it cancelled: the {kind} add up to 0."
    if found.cancellation < _SETTLED:
        return ""
    return f" Their sizes add up to {amount(found.cancellation)} times the size of the sum: the rest cancels."


def amount(value: float) -> str:
    """A part's size in a few digits, kept on one line."""
    return about(value).replace(" ", "\u00a0")


def to_dicts(found: tuple[Contributions, ...]) -> list[dict[str, Any]]:
    """As JSON's types; amounts are Python floats (or text where JSON has no such number)."""
    return [
        {
            "by": each.by,
            "of": each.of or None,
            "total": _finite(each.total),
            "cancellation": _finite(each.cancellation),
            "parts": [
                {"label": part.label, "amount": _finite(part.amount), "terms": part.count} for part in each.parts
            ],
        }
        for each in found
    ]


def _finite(value: float) -> float | str:
    return value if math.isfinite(value) else repr(value)
