"""Between a number and its bit pattern."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Literal

from whygrad.errors import FormatError
from whygrad.floats.formats import NumberFormat

__all__ = ["BitFields", "Kind", "bit_fields", "from_bits", "to_bits"]

Kind = Literal["zero", "subnormal", "normal", "infinity", "nan"]
_DOUBLE = struct.Struct("<d")
_QUAD = struct.Struct("<Q")
_DOUBLE_FRACTION_BITS = 52


@dataclass(frozen=True, slots=True)
class BitFields:
    """A bit pattern cut into its three fields, each a string of 0s and 1s, and what they mean."""

    sign: str
    exponent: str
    significand: str
    """The stored bits only: a normal number has a hidden 1 before them, a subnormal a hidden 0."""
    exponent_value: int | None
    """The power of two that scales the significand, bias removed; None for zero, infinity and NaN."""
    kind: Kind


def to_bits(value: float, fmt: NumberFormat) -> int:
    """The encoding of `value` in `fmt`, as an unsigned integer of `fmt.bits` bits.

    A NaN keeps its sign and the leading bits of its payload. Raises FormatError where `value` is not one of
    the format's numbers: rounding is `round_to`'s work, never done in passing.
    """
    fraction_bits = fmt.precision - 1
    sign = int(math.copysign(1.0, value) < 0) << (fmt.bits - 1)
    exponent_field = ((1 << fmt.exponent_bits) - 1) << fraction_bits
    if math.isnan(value):
        return sign | exponent_field | _nan_payload(value, fmt)
    if math.isinf(value):
        if not fmt.has_infinity:
            raise _not_a_member(value, fmt)
        return sign | exponent_field
    exponent = max(math.frexp(value)[1] - 1, fmt.emin) if value else fmt.emin
    scaled = math.ldexp(abs(value), fraction_bits - exponent)
    if abs(value) > fmt.max or scaled != (significand := int(scaled)):
        raise _not_a_member(value, fmt)
    # A normal significand carries its hidden 1 into the exponent field, a subnormal has none to carry.
    return sign | (significand + ((exponent - fmt.emin) << fraction_bits))


def from_bits(bits: int, fmt: NumberFormat) -> float:
    """The number that `bits` encodes; a NaN carries its payload in the leading bits of the float64.

    Raises FormatError where `bits` has more than `fmt.bits` bits or is negative.
    """
    if bits < 0 or bits >> fmt.bits:
        raise FormatError(
            f"expected a pattern of {fmt.bits} bits for {fmt.name}, found {bits:#x}; check which format it came from"
        )
    fraction_bits = fmt.precision - 1
    negative = bits >> (fmt.bits - 1)
    biased = (bits >> fraction_bits) & ((1 << fmt.exponent_bits) - 1)
    significand = bits & ((1 << fraction_bits) - 1)
    if _is_special(biased, significand, fmt):
        shifted = significand << (_DOUBLE_FRACTION_BITS - fraction_bits)
        return _DOUBLE.unpack(_QUAD.pack(negative << 63 | 0x7FF << _DOUBLE_FRACTION_BITS | shifted))[0]
    if biased:
        significand |= 1 << fraction_bits
    magnitude = math.ldexp(significand, fmt.emin - fraction_bits + max(biased - 1, 0))
    return -magnitude if negative else magnitude


def bit_fields(value: float, fmt: NumberFormat) -> BitFields:
    """The fields of `value`'s encoding in `fmt`. Raises FormatError as `to_bits` does."""
    pattern = f"{to_bits(value, fmt):0{fmt.bits}b}"
    exponent, significand = pattern[1 : 1 + fmt.exponent_bits], pattern[1 + fmt.exponent_bits :]
    kind = _kind(value, fmt)
    power = {"normal": int(exponent, 2) - fmt.bias, "subnormal": fmt.emin}.get(kind)
    return BitFields(pattern[0], exponent, significand, power, kind)


def _kind(value: float, fmt: NumberFormat) -> Kind:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "infinity"
    if value == 0:
        return "zero"
    return "subnormal" if abs(value) < fmt.smallest_normal else "normal"


def _is_special(biased: int, significand: int, fmt: NumberFormat) -> bool:
    if biased != (1 << fmt.exponent_bits) - 1:
        return False
    return fmt.has_infinity or significand == (1 << (fmt.precision - 1)) - 1


def _nan_payload(value: float, fmt: NumberFormat) -> int:
    fraction_bits = fmt.precision - 1
    if not fmt.has_infinity:
        return (1 << fraction_bits) - 1
    fraction = _QUAD.unpack(_DOUBLE.pack(value))[0] & ((1 << _DOUBLE_FRACTION_BITS) - 1)
    # A payload that only lived in the bits cut off would read as infinity: the quiet bit keeps it a NaN.
    return fraction >> (_DOUBLE_FRACTION_BITS - fraction_bits) or 1 << (fraction_bits - 1)


def _not_a_member(value: float, fmt: NumberFormat) -> FormatError:
    return FormatError(
        f"expected a number of {fmt.name}, found {value!r}, which {fmt.name} does not hold; "
        f"round it first with round_to(value, {fmt.name})"
    )
