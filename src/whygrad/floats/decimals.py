"""Between a number and its decimal text: the shortest that reads back, and the exact."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from whygrad.errors import FormatError
from whygrad.floats.bits import to_bits
from whygrad.floats.formats import NumberFormat
from whygrad.floats.rounding import round_to

__all__ = ["exact", "parse_decimal", "shortest"]

_LOG10_2 = math.log10(2.0)


def shortest(value: float, fmt: NumberFormat) -> str:
    """The shortest decimal that, read into `fmt`, gives the bits of `value` again; of several, the closest.

    Laid out as Python's repr: 0.5293, 2.384e-05, 1.0, 65500.0, 1e+16, inf, nan, -0.0. Idea: Steele & White,
    How to Print Floating-Point Numbers Accurately (1990), here with the ends of the interval counted in where
    ties to even brings them back. Raises FormatError where `value` is not a number of `fmt`.
    """
    if value == 0 or fmt.precision == 53 or not math.isfinite(value):
        return repr(float(value))  # CPython's repr is the shortest for a float64
    text = _shortest_magnitude(abs(value), fmt)
    return "-" + text if value < 0 else text


def exact(value: float) -> str:
    """The full decimal expansion of `value`, every digit of it: 0.0999755859375.

    Every binary fraction ends in decimal too. Scientific, still with every digit, where repr would be.
    """
    if value == 0 or not math.isfinite(value):
        return repr(float(value))
    _, digits, exponent = Decimal(value).as_tuple()
    text = "".join(map(str, digits))
    return ("-" if value < 0 else "") + _lay_out(text.rstrip("0"), len(text) + int(exponent))


def parse_decimal(text: str, fmt: NumberFormat) -> float:
    """The number of `fmt` nearest to the decimal written in `text`, rounded once; inf, nan and -0.0 too.

    Raises FormatError where `text` is no decimal number.
    """
    try:
        double = float(text)
    except ValueError:
        raise FormatError(
            f"expected a decimal number such as 0.1 or 1e-5, found {text!r}; check the spelling"
        ) from None
    if double == 0 or not math.isfinite(double):
        return round_to(double, fmt)  # what a float64 cannot reach, no narrower format can
    return round_to(Fraction(Decimal(text)), fmt)


@lru_cache(maxsize=1 << 16)
def _shortest_magnitude(value: float, fmt: NumberFormat) -> str:
    to_bits(value, fmt)  # refuses what is not a number of the format
    digits, power = _shortest_digits(value, fmt)
    text = str(digits)
    return _lay_out(text, len(text) + power)


def _shortest_digits(value: float, fmt: NumberFormat) -> tuple[int, int]:
    """(d, k): d·10^k is the shortest decimal that rounds to `value` = c·2^q > 0; ten does not divide d.

    What rounds to `value` lies between (4c-2)·2^(q-2) and (4c+2)·2^(q-2), or above (4c-1)·2^(q-2) where
    `value` is a power of two and the numbers below it are closer. The shortest decimal is the multiple of
    the largest power of ten that has one there.
    """
    exponent = max(math.frexp(value)[1] - 1, fmt.emin)
    quantum = exponent - fmt.precision + 1
    c = int(math.ldexp(value, -quantum))
    below = 1 if c == 1 << (fmt.precision - 1) and exponent > fmt.emin else 2
    # 10^k is the largest power of ten within the interval's width, so a multiple of it is always inside.
    # 2^q and 10^k are never so close that the logarithm's rounding matters, except at 1, where it is exact.
    k = math.floor((math.log2(below + 2) + quantum - 2) * _LOG10_2)
    scale = 10 ** max(-k, 0) << max(quantum - 2, 0)
    ten_k = 10 ** max(k, 0) << max(2 - quantum, 0)
    open_ends = c & 1  # a tie goes to the even significand: the ends belong to an even c only
    low, middle, high = (4 * c - below) * scale + open_ends, 4 * c * scale, (4 * c + 2) * scale - open_ends
    digits = high // (10 * ten_k) * 10
    if digits * ten_k < low:  # no multiple of 10^(k+1): the nearest multiple of 10^k
        digits, rest = divmod(middle, ten_k)
        digits += 2 * rest > ten_k or (2 * rest == ten_k and digits & 1)
        digits += digits * ten_k < low
    while digits % 10 == 0:
        digits, k, ten_k = digits // 10, k + 1, ten_k * 10
    if digits == 1 and 9 * ten_k >= 10 * low and 19 * ten_k > 20 * middle:
        return 9, k - 1  # of the same length and closer: only in the shortest subnormals
    return digits, k


def _lay_out(digits: str, point: int) -> str:
    """0.`digits` · 10^`point` as Python's repr would write it."""
    if not -4 < point <= 16:
        power = point - 1
        fraction = "." + digits[1:] if len(digits) > 1 else ""
        return f"{digits[0]}{fraction}e{power:+03d}"
    if point <= 0:
        return "0." + "0" * -point + digits
    if len(digits) <= point:
        return digits.ljust(point, "0") + ".0"
    return f"{digits[:point]}.{digits[point:]}"
