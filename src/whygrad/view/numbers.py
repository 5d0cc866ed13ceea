"""Numbers as people read them: the shortest decimal that reads back to the same bits, and honest
approximations."""

from __future__ import annotations

import math

from whygrad.floats import FORMATS, bit_fields, exact, shortest, to_bits

__all__ = ["MINUS", "about", "bit_groups", "exact_text", "hex_text", "number", "signed_ulp", "typographic"]

MINUS = "−"


def number(value: float | int | bool, fmt: str) -> str:
    """`value` of the format called `fmt`, in ASCII, shortest to read back; integers and booleans as they are.

    A value that is no number of its format (the exact result of an equation, say) is written as a float64
    would be."""
    if isinstance(value, bool | int):
        return str(value)
    known = FORMATS.get(fmt)
    if known is None:
        return str(int(value)) if fmt.startswith(("int", "uint")) and value.is_integer() else repr(value)
    try:
        return shortest(value, known)
    except ValueError:
        return repr(value)


def typographic(text: str) -> str:
    """A number's ASCII text with a true minus sign in front; the exponent's stays, so that `1e-05` can be
    copied."""
    return MINUS + text[1:] if text.startswith("-") else text


def exact_text(value: float | int | bool) -> str:
    """Every decimal digit of `value`."""
    return str(value) if isinstance(value, bool | int) else exact(value)


def about(value: float, digits: int = 3) -> str:
    """`value` to `digits` significant digits, with `≈` in front unless nothing was cut off."""
    if value == 0 or not math.isfinite(value):
        return typographic(repr(float(value)))
    text = f"{value:.{digits}g}"
    sign = "" if float(text) == value else "≈ "
    return sign + typographic(text)


def signed_ulp(ulp: float) -> str:
    """A rounding in ulp, to two digits and with its sign: `+0.23 ulp`; `not at all` where nothing was
    rounded away."""
    if ulp == 0:
        return "not at all"
    text = f"{ulp:+.2f}" if abs(ulp) >= 0.01 else f"{ulp:+.1g}"
    return text.replace("-", MINUS, 1) + " ulp"


def bit_groups(value: float | int | bool, fmt: str) -> str:
    """The encoding as `sign|exponent|significand`; empty where `fmt` is no floating-point format."""
    known = FORMATS.get(fmt)
    if known is None:
        return ""
    try:
        fields = bit_fields(float(value), known)
    except ValueError:
        return ""
    return f"{fields.sign}|{fields.exponent}|{fields.significand}"


def hex_text(value: float | int | bool, fmt: str) -> str:
    """The encoding as a hexadecimal number of full width: `0x2d8b`; empty as in `bit_groups`."""
    known = FORMATS.get(fmt)
    if known is None:
        return ""
    try:
        return f"0x{to_bits(float(value), known):0{known.bits // 4}x}"
    except ValueError:
        return ""
