"""What rounding did to a result: the exact value of its equation, and the distance in ULP."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from whygrad.explain.check import Checked
from whygrad.explain.derivation import Rounding
from whygrad.explain.exact import Undefined, exact_value
from whygrad.floats import NumberFormat, exact, rounding_error_ulp


def rounding(checked: Checked) -> Rounding | None:
    """The rounding of a checked element; None for an integer, or where the exact value is undefined."""
    if checked.format is None:
        return None
    try:
        truth = exact_value(checked.expr, checked.inputs)
    except Undefined:
        return None
    return rounding_of(checked.target, truth, checked.format)


def rounding_of(value: float, truth: Any, fmt: NumberFormat) -> Rounding | None:
    """Exact result as text and the rounding in ULP; None when the value is not finite, or the result
    beyond what a fraction can hold."""
    if not np.isfinite(value):
        return None
    try:
        ulp = float(rounding_error_ulp(value, truth, fmt))
    except OverflowError:  # so small or so large that no fraction holds it
        return None
    if isinstance(truth, Fraction):
        text, whole = decimal_text(truth)
        return Rounding(text, ulp, whole)
    import mpmath

    return Rounding(str(mpmath.nstr(truth, 30)), ulp, False)


def decimal_text(x: Any, most: int = 60) -> tuple[str, bool]:
    """A fraction in decimal: exact when it ends (its denominator is 2ᵃ·5ᵇ) within `most` digits, else cut off."""
    denominator = x.denominator
    while denominator % 2 == 0:
        denominator //= 2
    while denominator % 5 == 0:
        denominator //= 5
    if denominator == 1 and abs(float(x)) < 1e300:
        as_float = float(x)
        if as_float == x:
            return exact(as_float), True
        places = max(x.denominator.bit_length(), 1)
        scaled = x * 10**places
        if scaled.denominator == 1 and places <= most + 40:
            digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
            text = (digits[:-places] + "." + digits[-places:]).rstrip("0").rstrip(".")
            return ("-" if x < 0 else "") + text, True
    import mpmath

    with mpmath.workdps(40):
        return str(mpmath.nstr(mpmath.mpf(x.numerator) / mpmath.mpf(x.denominator), 30)), False
