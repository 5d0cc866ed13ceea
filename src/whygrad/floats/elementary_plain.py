"""Functions that are exact, or rounded once: remainders, signs, neighbours, parts of a number, bits of integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import numpy as np

__all__ = ["PLAIN", "plain_exact"]


def _floor_divide(a: float, b: float) -> float:
    """⌊a/b⌋ as `c10::div_floor_floating` finds it: from a − fmod(a, b), which b divides."""
    if b == 0:
        return float(np.float64(a) / np.float64(b))
    rest = math.fmod(a, b)
    quotient = (a - rest) / b
    if rest != 0 and (b < 0) != (rest < 0):
        quotient -= 1
    if quotient == 0:
        return math.copysign(0.0, a / b)
    nearest = math.floor(quotient)
    return float(nearest + 1 if quotient - nearest > 0.5 else nearest)


def _fmod(a: float, b: float) -> float:
    return float(np.fmod(np.float64(a), np.float64(b)))


def _remainder(a: float, b: float) -> float:
    rest = _fmod(a, b)
    return rest + b if rest != 0 and (b < 0) != (rest < 0) else rest


def _fmax(a: float, b: float) -> float:
    return float(np.fmax(a, b))


def _fmin(a: float, b: float) -> float:
    return float(np.fmin(a, b))


def _integers(function: Callable[[int, int], int]) -> Callable[..., float]:
    return lambda a, b: float(function(int(a), int(b)))


PLAIN: Final[dict[str, Callable[..., float]]] = {
    "fmod": _fmod,
    "remainder": _remainder,
    "floor_divide": _floor_divide,
    "copysign": math.copysign,
    "fmax": _fmax,
    "fmin": _fmin,
    "significand": lambda x: math.frexp(x)[0],
    "exponent": lambda x: float(math.frexp(x)[1]) if math.isfinite(x) else 0.0,
    "signbit": lambda x: float(math.copysign(1.0, x) < 0),
    "bitwise_and": _integers(lambda a, b: a & b),
    "bitwise_or": _integers(lambda a, b: a | b),
    "bitwise_xor": _integers(lambda a, b: a ^ b),
    "gcd": _integers(math.gcd),
    "lcm": _integers(math.lcm),
}
"""On numbers of the computation's width. The result is rounded to it, which only `remainder`'s last addition needs."""


def plain_exact(name: str, args: list[Any]) -> Fraction:
    """The same on exact operands. Raises ValueError for what is no rational function of them."""
    a = args[0]
    b = args[1] if len(args) > 1 else Fraction(0)
    match name:
        case "fmod":
            return a - b * math.trunc(a / b)
        case "remainder":
            return a - b * math.floor(a / b)
        case "floor_divide":
            return Fraction(math.floor(a / b))
        case "copysign":
            return abs(a) if b >= 0 else -abs(a)
        case "fmax":
            return max(a, b)
        case "fmin":
            return min(a, b)
        case _ if name in PLAIN:
            return Fraction(PLAIN[name](*(float(arg) for arg in args)))
        case _:
            raise ValueError(f"no function {name!r}")
