"""One correct rounding of an exact number: to nearest, ties to even (IEEE 754-2019 §4.3.1)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Protocol, TypeAlias

from whygrad.floats.formats import NumberFormat

__all__ = ["Mpf", "Real", "as_fraction", "half_ulp_test", "round_ratio", "round_to"]


class Mpf(Protocol):
    """An mpmath.mpf, told by its shape so that mpmath is not imported."""

    @property
    def _mpf_(self) -> tuple[int, int, int, int]:
        """Sign, mantissa, exponent of two, bits of the mantissa."""
        ...

    def __float__(self) -> float: ...


Real: TypeAlias = Fraction | float | int | Mpf


def round_to(x: Real, fmt: NumberFormat) -> float:
    """The number of `fmt` nearest to the exact `x`, ties to even; rounded once, from all of `x`.

    Subnormals are kept. A float keeps the sign of its zero, and any x that underflows keeps its sign.
    Overflow gives infinity, except in float8_e4m3fn, which has none: there everything beyond the largest
    number, infinity included, gives ±448 (as torch 2.13 converts; older torch and ml_dtypes give NaN).
    Beware of oracles: torch and ml_dtypes convert float64 to narrow formats through float32, rounding twice.
    """
    if isinstance(x, float):
        return _round_float(x, fmt)
    if (special := _special_mpf(x)) is not None:
        return _round_float(special, fmt)
    numerator, denominator = as_fraction(x).as_integer_ratio()
    return round_ratio(numerator, denominator, fmt)


def as_fraction(x: Real) -> Fraction:
    """The exact value of a finite `x`. Raises OverflowError for an infinity, ValueError for a NaN."""
    if isinstance(x, Fraction):
        return x
    if isinstance(x, int | float):
        return Fraction(x)
    if not hasattr(x, "_mpf_"):
        raise TypeError(f"expected a Fraction, float, int or mpmath.mpf, found {type(x).__name__}")
    special = _special_mpf(x)
    if special is not None:
        return Fraction(special)
    sign, mantissa, exponent, _ = x._mpf_
    # mantissa and exponent may be gmpy2 integers
    signed, power = -int(mantissa) if sign else int(mantissa), int(exponent)
    return Fraction(signed << power) if power >= 0 else Fraction(signed, 1 << -power)


def round_ratio(numerator: int, denominator: int, fmt: NumberFormat) -> float:
    """`round_to` of numerator/denominator; denominator > 0, not necessarily in lowest terms."""
    magnitude = _round_magnitude(abs(numerator), denominator, fmt) if numerator else 0.0
    return -magnitude if numerator < 0 else magnitude


def half_ulp_test(update: float, value: float, fmt: NumberFormat) -> bool:
    """Is `update` too small to move `value`: does value + update, rounded once into `fmt`, give `value` back?

    True for a zero update. An infinite value is moved by NaN and by the opposite infinity only; a NaN is
    never equal to itself, so False.
    """
    if not (math.isfinite(update) and math.isfinite(value)):
        return value + update == value
    return round_to(Fraction(value) + Fraction(update), fmt) == value


def _round_float(x: float, fmt: NumberFormat) -> float:
    if math.isnan(x) or x == 0 or fmt.precision >= 53:
        return x
    if math.isinf(x):
        return math.copysign(_overflowed(fmt), x)
    exponent = max(math.frexp(x)[1] - 1, fmt.emin)
    if exponent > fmt.emax:
        return math.copysign(_overflowed(fmt), x)
    quantum = exponent - fmt.precision + 1
    # Scaling by a power of two is exact here, and Python's round() takes ties to even.
    return math.copysign(_assemble(round(math.ldexp(abs(x), -quantum)), quantum, fmt), x)


def _round_magnitude(numerator: int, denominator: int, fmt: NumberFormat) -> float:
    exponent = numerator.bit_length() - denominator.bit_length()  # floor(log2), or one too many
    if numerator << max(-exponent, 0) < denominator << max(exponent, 0):
        exponent -= 1
    if exponent > fmt.emax:
        return _overflowed(fmt)
    quantum = max(exponent, fmt.emin) - fmt.precision + 1
    divisor = denominator << max(quantum, 0)
    significand, rest = divmod(numerator << max(-quantum, 0), divisor)
    if 2 * rest > divisor or (2 * rest == divisor and significand & 1):
        significand += 1
    return _assemble(significand, quantum, fmt)


def _assemble(significand: int, quantum: int, fmt: NumberFormat) -> float:
    """significand·2^quantum, where rounding up may have left the format's range."""
    if significand.bit_length() - 1 + quantum > fmt.emax:
        return _overflowed(fmt)
    value = math.ldexp(significand, quantum)
    return value if value <= fmt.max else _overflowed(fmt)


def _overflowed(fmt: NumberFormat) -> float:
    return math.inf if fmt.has_infinity else fmt.max


def _special_mpf(x: Real) -> float | None:
    """The infinity or NaN that `x` holds, if it is an mpf of that kind."""
    if isinstance(x, int | float | Fraction) or not hasattr(x, "_mpf_"):
        return None
    _, mantissa, exponent, _ = x._mpf_
    # libmp writes zero as mantissa 0, exponent 0, and the three specials as mantissa 0 with an exponent.
    return None if mantissa or not exponent else float(x)
