"""How far apart the numbers of a format lie, and how far apart two of them are."""

from __future__ import annotations

import math
from fractions import Fraction

from whygrad.errors import FormatError
from whygrad.floats.bits import from_bits, to_bits
from whygrad.floats.formats import NumberFormat
from whygrad.floats.rounding import Real, as_fraction, round_to

__all__ = ["neighbours", "rounding_error_ulp", "ulp", "ulp_distance"]


def ulp(value: float, fmt: NumberFormat) -> Fraction:
    """The spacing of `fmt` in the binade of |value|: 2^(e-precision+1) with 2^e ≤ |value| < 2^(e+1).

    e is held within emin … emax: subnormals and zero have the spacing of the smallest normal. `value` need
    not be a number of `fmt`. Source: Goldberg's definition, as extended to the reals by
    Muller et al., Handbook of Floating-Point Arithmetic ("The ulp function").
    Raises FormatError for an infinity or a NaN.
    """
    if not math.isfinite(value):
        raise FormatError(f"expected a finite number, found {value!r}; infinities and NaN of {fmt.name} have no ulp")
    exponent = math.frexp(value)[1] - 1 if value else fmt.emin
    power = min(max(exponent, fmt.emin), fmt.emax) - fmt.precision + 1
    return Fraction(1 << power) if power >= 0 else Fraction(1, 1 << -power)


def neighbours(value: float, fmt: NumberFormat) -> tuple[float, float]:
    """The nearest numbers of `fmt` strictly below and strictly above `value`, which need not be one of them.

    Beyond the largest number lies infinity, beyond infinity only itself; float8_e4m3fn has none, so there the
    missing neighbour is NaN. NaN's neighbours are NaN. The neighbour of a subnormal towards zero may be -0.0,
    as in IEEE 754 nextUp.
    """
    if math.isnan(value):
        return math.nan, math.nan
    nearest = round_to(value, fmt)
    rank = _rank(nearest, fmt)
    below = nearest if nearest < value else _at_rank(rank - 1, fmt, value)
    above = nearest if nearest > value else _at_rank(rank + 1, fmt, value)
    return below, above


def ulp_distance(a: float, b: float, fmt: NumberFormat) -> int:
    """How many representable steps lie between `a` and `b`: 0 between the zeros, 1 from `max` to inf.

    Raises FormatError where either is NaN or is not a number of `fmt`.
    """
    if math.isnan(a) or math.isnan(b):
        raise FormatError(f"expected two numbers of {fmt.name}, found {a!r} and {b!r}; compare a NaN by to_bits")
    return abs(_rank(a, fmt) - _rank(b, fmt))


def rounding_error_ulp(value: float, exact: Real, fmt: NumberFormat) -> Fraction:
    """(value - exact) / ulp(value), signed and exact: within ±1/2 for a correctly rounded value.

    (It is the ulp at `value`: a value rounded up to a power of two shows at most 1/4.)
    Raises FormatError for an infinite or NaN value.
    """
    spacing = ulp(value, fmt)
    return (Fraction(value) - as_fraction(exact)) / spacing


def _rank(value: float, fmt: NumberFormat) -> int:
    """The place of `value` on the line of the format's numbers, both zeros at 0."""
    magnitude = to_bits(abs(value), fmt)
    return -magnitude if value < 0 else magnitude


def _at_rank(rank: int, fmt: NumberFormat, origin: float) -> float:
    last = _rank(math.inf if fmt.has_infinity else fmt.max, fmt)
    if abs(rank) > last:
        return math.copysign(math.inf, rank) if fmt.has_infinity else math.nan
    magnitude = from_bits(abs(rank), fmt)
    return -magnitude if rank < 0 or (rank == 0 and origin < 0) else magnitude
