"""A number's way through the run as finished strings: sentences, and a row for each update."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from whygrad.explain.updates import Gap, Move, Updates
from whygrad.floats import FORMATS, ulp
from whygrad.view.numbers import about, number, typographic
from whygrad.view.stories import spans

__all__ = ["UpdateRow", "UpdatesView", "to_dict", "updates_view"]

_ROWS = 12
"""So many updates are shown at most when not all are asked for: those that moved the number farthest."""


@dataclass(frozen=True)
class UpdateRow:
    """`step`, the number `after` it, how far it `moved`, how far it should have in exact arithmetic (`wanted`), what
    rounding `lost` of that; `note` says what is special."""

    step: str
    after: str
    moved: str
    wanted: str
    lost: str
    note: str = ""


@dataclass(frozen=True)
class UpdatesView:
    """`sentences` tell the whole, `rows` the steps in order, `left_out` of which are not shown."""

    address: str
    sentences: tuple[str, ...]
    rows: tuple[UpdateRow, ...]
    left_out: int


def updates_view(found: Updates, all_rows: bool = False) -> UpdatesView:
    """What to draw; the updates that moved the number farthest, or all of them."""
    moves = list(found.moves)
    if not all_rows and len(moves) > _ROWS:
        largest = sorted(moves, key=lambda move: -_size(move))[:_ROWS]
        moves = sorted(largest, key=lambda move: move.step)
    rows = [(move.step, _row(move, found.format)) for move in moves]
    rows += [(gap.first, _gap(gap, found.format)) for gap in found.gaps]
    ordered = tuple(row for _, row in sorted(rows, key=lambda pair: pair[0]))
    return UpdatesView(found.address, tuple(_sentences(found)), ordered, len(found.moves) - len(moves))


def _size(move: Move) -> float:
    return float("inf") if move.moved is None else abs(float(move.moved))


def _row(move: Move, fmt: str) -> UpdateRow:
    wanted = None if move.lost is None or move.moved is None else move.moved + move.lost
    note = "stood still" if move.stood_still else ""
    return UpdateRow(
        str(move.step), _value(move.after, fmt), _exact(move.moved), _exact(wanted), _exact(move.lost), note
    )


def _gap(gap: Gap, fmt: str) -> UpdateRow:
    steps = str(gap.first) if gap.first == gap.last else f"{gap.first}–{gap.last}"
    moved = Fraction(gap.after) - Fraction(gap.before) if abs(gap.after) + abs(gap.before) < float("inf") else None
    return UpdateRow(steps, _value(gap.after, fmt), _exact(moved), "?", "?", "not kept")


def _sentences(found: Updates) -> list[str]:
    begin = "before the first update" if found.since < 0 else f"after step {found.since}"
    name = found.address.rpartition("@")[0]
    first, last = _value(found.first, found.format), _value(found.last, found.format)
    count = len(found.moves)
    if not count and not found.gaps:
        return [f"{name} was {first} {begin}; no recorded update has written it."]
    end = found.address.rpartition("@")[2]
    updates = "1 update" if count == 1 else f"{count} updates"
    text = [f"{name} was {first} {begin} and is {last} after step {end}: moved by {_exact(found.moved)} in {updates}."]
    lost, sizes = found.lost, found.lost_sizes
    if lost is not None and sizes is not None and found.moved is not None and count and not found.gaps:
        text.append(_loss(found, found.moved + lost, lost, sizes))
    elif count and lost is None:
        text.append("What rounding took is not known of every update: some were made by an op without an equation.")
    still = [move.step for move in found.moves if move.stood_still]
    if still:
        spacing = FORMATS.get(found.format)
        half = (
            "" if spacing is None else f" (half the spacing of {found.format} there: {_exact(_half(found, still[-1]))})"
        )
        update = "the whole update was" if len(still) == 1 else "each whole update was"
        text.append(
            f"In step{'s' if len(still) > 1 else ''} {spans(still)} it stood still: {update} rounded away{half}."
        )
    if found.gaps:
        gone = spans([step for gap in found.gaps for step in range(gap.first, gap.last + 1)])
        text.append(
            f"Of steps {gone} no numbers were kept: what happened in them is not known (record with steps='all')."
        )
    return text


def _loss(found: Updates, wanted: Fraction, lost: Fraction, sizes: Fraction) -> str:
    if not sizes:
        return "Nothing was lost to rounding."
    return (
        f"In exact arithmetic the same updates add up to {_exact(wanted)}: {_exact(lost)} was lost to rounding in all "
        f"({_exact(sizes)} if every loss counts by its size)."
    )


def _half(found: Updates, step: int) -> Fraction:
    at = next(move for move in found.moves if move.step == step)
    return Fraction(ulp(at.after, FORMATS[found.format])) / 2


def _value(value: float, fmt: str) -> str:
    return typographic(number(value, fmt))


def _exact(value: Fraction | None) -> str:
    """A fraction in a few digits, with ≈ where that is not all of it."""
    if value is None:
        return "?"
    near = float(value)
    text = about(near)
    return (text if text.startswith("≈") or near == value else "≈ " + text).replace(" ", "\u00a0")


def to_dict(found: Updates) -> dict[str, Any]:
    """As JSON's types. Numbers of the run are strings that read back to their bits; differences are Python floats, rounded
    once, null where they are not known."""
    return {
        "address": found.address,
        "format": found.format,
        "since": found.since,
        "first": number(found.first, found.format),
        "last": number(found.last, found.format),
        "moved": _float(found.moved),
        "lost": _float(found.lost),
        "lost_sizes": _float(found.lost_sizes),
        "updates": [
            {
                "step": move.step,
                "before": number(move.before, found.format),
                "after": number(move.after, found.format),
                "moved": _float(move.moved),
                "lost": _float(move.lost),
                "stood_still": move.stood_still,
                "ops": list(move.ops),
            }
            for move in found.moves
        ],
        "not_kept": [[gap.first, gap.last] for gap in found.gaps],
    }


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
