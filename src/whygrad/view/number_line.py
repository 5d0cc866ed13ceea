"""A number among its neighbours, and a weight's update against half the spacing: strings to read, places to draw."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from whygrad.explain.derivation import Derivation, Rounding
from whygrad.floats import FORMATS, NumberFormat, neighbours, ulp, ulp_distance
from whygrad.view.numbers import about, number, typographic

__all__ = ["number_line", "update_of"]

_NEARLY = ("", "≈\u00a0")
_FARTHEST = 1e6
"""A place or a share beyond this is drawn there: no drawing tells it from a farther one."""


def number_line(derivation: Derivation) -> dict[str, Any] | None:
    """`NumberLine` of the page's contract; None for an infinity, a NaN, an integer, a boolean, an unknown format."""
    fmt, value = FORMATS.get(derivation.format), derivation.value
    if fmt is None or not isinstance(value, float) or not math.isfinite(value):
        return None
    below, above = neighbours(value, fmt)
    spacing = _gap(value, above, fmt)
    exact = _exact(derivation, fmt)
    return {
        "below": typographic(number(below, fmt.name)),
        "above": typographic(number(above, fmt.name)),
        "belowAt": _place(-_gap(value, below, fmt) / spacing),
        "exact": "" if exact is None else _exact_text(derivation.rounding, fmt),
        "exactAt": 0 if exact is None else _place((exact - Fraction(value)) / spacing),
        "spacing": _words(spacing),
        "update": update_of(derivation),
    }


def _gap(value: float, neighbour: float, fmt: NumberFormat) -> Fraction:
    """How far away a neighbour is; beyond the largest number, the spacing goes on as before it."""
    return abs(Fraction(neighbour) - Fraction(value)) if math.isfinite(neighbour) else ulp(value, fmt)


def _exact(d: Derivation, fmt: NumberFormat) -> Fraction | None:
    """What the equation gave before rounding; None where nothing was rounded, or nothing is known."""
    rounding = d.rounding
    if rounding is None or rounding.ulp == 0 or not math.isfinite(rounding.ulp):
        return None
    if rounding.exact:
        return Fraction(rounding.exact_result)
    # Its text is cut off after 30 digits, where a tiny update of a large weight would be lost.
    return Fraction(d.value) - Fraction(rounding.ulp) * ulp(float(d.value), fmt)


def _exact_text(rounding: Rounding | None, fmt: NumberFormat) -> str:
    """The result before rounding, in digits enough to see it between two neighbours."""
    if rounding is None:
        return ""
    digits = math.ceil(fmt.precision * math.log10(2)) + 4
    whole = Decimal(rounding.exact_result)
    short = Context(prec=digits).create_decimal(whole)
    return _NEARLY[not rounding.exact or short != whole] + typographic(f"{short:g}")


def _place(share: Fraction) -> float | int:
    """A share of the spacing to three decimals: a drawing shows no more."""
    place = round(float(max(min(share, Fraction(_FARTHEST)), Fraction(-_FARTHEST))), 3)
    return int(place) if place == int(place) else place


def _words(size: Fraction) -> str:
    """A size in a few digits, with ≈ where that is not all of it."""
    near = float(size)
    if size and not near:  # half of float64's smallest number
        return f"≈\u00a0{typographic(f'{Decimal(size.numerator) / Decimal(size.denominator):.3g}')}"
    text = about(near)
    whole = text.startswith("≈") or Fraction(near) == size
    return (text if whole else "≈ " + text).replace(" ", "\u00a0")


# ---- updates


def update_of(derivation: Derivation) -> dict[str, Any] | None:
    """`Update` of the contract, for a parameter made from its old value by an equation whose exact result is known."""
    fmt, new = FORMATS.get(derivation.format), derivation.value
    old = _old(derivation)
    if derivation.role != "parameter" or fmt is None or old is None or derivation.rounding is None:
        return None
    if not (isinstance(new, float) and math.isfinite(new) and math.isfinite(old)):
        return None
    exact = Fraction(new) if derivation.rounding.ulp == 0 else _exact(derivation, fmt)
    if exact is None:
        return None
    asked = exact - Fraction(old)
    half = _gap(old, neighbours(old, fmt)[asked >= 0], fmt) / 2
    moved = ulp_distance(old, new, fmt)
    return {
        "old": typographic(number(old, fmt.name)),
        "size": _words(asked),
        "half": _words(half),
        "share": _place(abs(asked) / half),
        "lost": bool(asked) and not moved,
        "sentence": _sentence(asked, half, moved, f"{fmt.name} numbers at {typographic(number(old, fmt.name))}"),
    }


def _old(derivation: Derivation) -> float | None:
    """The weight before the update: the operand of the same name, or what weight decay made of it (`w′`)."""
    name = derivation.label.removesuffix("′")
    for operand in derivation.operands:
        if operand.format == derivation.format and operand.label and operand.label.removesuffix("′") == name:
            return float(operand.value)
    return None


def _sentence(asked: Fraction, half: Fraction, moved: int, there: str) -> str:
    if not asked:
        return "The update is 0: the weight stays."
    share, spacing = abs(asked) / half, f"half the spacing ({_words(half)}) of {there}"
    times = _words(share) if share < 1000 else f"{_NEARLY[share.denominator != 1]}{round(share):,}"
    if moved:
        numbers = "1 number" if moved == 1 else f"{moved:,} numbers"
        return f"The update {_words(asked)} is {times} times {spacing}: the weight moves by {numbers}."
    if share < 1:
        return f"The update {_words(asked)} is smaller than {spacing}: it is rounded away."
    if share == 1:
        return f"The update {_words(asked)} is just {spacing}: halfway, it is rounded away, to the even significand."
    return f"The update {_words(asked)} is {times} times {spacing}, and yet the weight stays."
