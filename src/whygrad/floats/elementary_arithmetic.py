"""Binary32 arithmetic, one rounding per operation, for one number or for an array of them.

A kernel in `elementary_sleef` is written once, against `Arithmetic`. `SCALAR` runs it on Python floats (no
allocation, so one value costs microseconds) and `ARRAY` on float64 arrays. Both carry binary32 values in
binary64: a sum, difference, product, quotient or square root of binary32 numbers, computed in binary64 and
rounded to binary32, is the correctly rounded binary32 result, because 53 ≥ 2·24 + 2 (S. A. Figueroa, "When
is double rounding innocuous?", SIGNUM Newsletter 30(3), 1995). The fused multiply-add is the exception:
`a·b` is exact in binary64 but `a·b + c` is not, and its second rounding is repaired from the exact error of
the addition (Knuth's TwoSum).
"""

from __future__ import annotations

import math
from ctypes import c_float
from typing import Any, Protocol

import numpy as np

# Either a Python float (SCALAR) or a float64 array (ARRAY); every value is representable in binary32.
Number = Any
Condition = Any

MAX32 = float(np.finfo(np.float32).max)
_OVERFLOW_TIE = 2.0**128 - 2.0**103  # halfway between the largest binary32 and 2^128


class Arithmetic(Protocol):
    """The operations a float32 vector unit offers. Each rounds once, to nearest, ties to even."""

    def round(self, x: Number, /) -> Number: ...
    def add(self, a: Number, b: Number, /) -> Number: ...
    def sub(self, a: Number, b: Number, /) -> Number: ...
    def mul(self, a: Number, b: Number, /) -> Number: ...
    def div(self, a: Number, b: Number, /) -> Number: ...
    def sqrt(self, a: Number, /) -> Number: ...
    def fma(self, a: Number, b: Number, c: Number, /) -> Number: ...
    def rint(self, a: Number, /) -> Number: ...
    def floor(self, a: Number, /) -> Number: ...
    def trunc(self, a: Number, /) -> Number: ...
    def ldexp(self, a: Number, exponent: Number, /) -> Number: ...
    def exponent(self, a: Number, /) -> Number: ...
    def abs(self, a: Number, /) -> Number: ...
    def copysign(self, a: Number, b: Number, /) -> Number: ...
    def is_nan(self, a: Number, /) -> Condition: ...
    def either(self, a: Condition, b: Condition, /) -> Condition: ...
    def where(self, condition: Condition, a: Number, b: Number, /) -> Number: ...


class _ScalarArithmetic:
    """`Arithmetic` on Python floats."""

    @staticmethod
    def round(x: float) -> float:
        return c_float(x).value

    @staticmethod
    def add(a: float, b: float) -> float:
        return c_float(a + b).value

    @staticmethod
    def sub(a: float, b: float) -> float:
        return c_float(a - b).value

    @staticmethod
    def mul(a: float, b: float) -> float:
        return c_float(a * b).value

    @staticmethod
    def div(a: float, b: float) -> float:
        if b == 0.0:
            if a == 0.0 or a != a:
                return math.nan
            return math.copysign(math.inf, a) * math.copysign(1.0, b)
        return c_float(a / b).value

    @staticmethod
    def sqrt(a: float) -> float:
        return c_float(math.sqrt(a)).value if a >= 0.0 else math.nan

    @staticmethod
    def fma(a: float, b: float, c: float) -> float:
        product = a * b
        total = product + c
        nearest = c_float(total).value
        if nearest == total or total != total:
            return nearest
        if nearest - nearest != 0.0:  # overflowed
            if abs(total) != _OVERFLOW_TIE:
                return nearest
            other = math.copysign(MAX32, total)
        else:
            other = total + (total - nearest)  # the neighbour on the other side, if `total` is a tie
            if c_float(other).value != other:
                return nearest
        shift = total - product
        error = (product - (total - shift)) + (c - shift)
        if error > 0.0:
            return max(nearest, other)
        return min(nearest, other) if error < 0.0 else nearest

    @staticmethod
    def rint(a: float) -> float:
        return float(round(a)) if a - a == 0.0 else a

    @staticmethod
    def floor(a: float) -> float:
        return float(math.floor(a)) if a - a == 0.0 else a

    @staticmethod
    def trunc(a: float) -> float:
        return float(math.trunc(a)) if a - a == 0.0 else a

    @staticmethod
    def ldexp(a: float, exponent: float) -> float:
        if exponent - exponent != 0.0:
            return math.nan
        return c_float(math.ldexp(a, max(-600, min(600, int(exponent))))).value

    @staticmethod
    def exponent(a: float) -> float:
        if a == 0.0:
            return -math.inf
        return float(math.frexp(a)[1] - 1) if a - a == 0.0 else abs(a)

    abs = staticmethod(abs)
    copysign = staticmethod(math.copysign)
    is_nan = staticmethod(math.isnan)

    @staticmethod
    def either(a: bool, b: bool) -> bool:
        return a or b

    @staticmethod
    def where(condition: bool, a: float, b: float) -> float:
        return a if condition else b


def _to_float32(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32).astype(np.float64)


class _ArrayArithmetic:
    """`Arithmetic` on float64 arrays. Callers silence numpy's floating-point warnings (`np.errstate`)."""

    round = staticmethod(_to_float32)

    @staticmethod
    def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return _to_float32(np.add(a, b))

    @staticmethod
    def sub(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return _to_float32(np.subtract(a, b))

    @staticmethod
    def mul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return _to_float32(np.multiply(a, b))

    @staticmethod
    def div(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return _to_float32(np.divide(a, b))

    @staticmethod
    def sqrt(a: np.ndarray) -> np.ndarray:
        return _to_float32(np.sqrt(a))

    @staticmethod
    def fma(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        product = np.multiply(a, b)
        total = np.atleast_1d(np.add(product, c))
        shift = total - product
        error = (product - (total - shift)) + (c - shift)
        # Round to odd: an inexact sum with an even last bit moves one step towards the exact value.
        # The following rounding to 24 bits then sees on which side of a tie the exact value lies.
        bits = total.view(np.int64)
        inexact = (error != 0.0) & np.isfinite(total) & ((bits & 1) == 0)
        step = np.where((error > 0.0) == (total > 0.0), 1, -1)
        return _to_float32(np.where(inexact, bits + step, bits).view(np.float64))

    rint = staticmethod(np.rint)
    floor = staticmethod(np.floor)
    trunc = staticmethod(np.trunc)

    @staticmethod
    def ldexp(a: np.ndarray, exponent: np.ndarray) -> np.ndarray:
        whole = np.where(np.isfinite(exponent), exponent, 0.0)
        scaled = _to_float32(np.ldexp(a, np.clip(whole, -600, 600).astype(np.int32)))
        return np.where(np.isfinite(exponent), scaled, np.nan)

    @staticmethod
    def exponent(a: np.ndarray) -> np.ndarray:
        finite = np.isfinite(a)
        exponent = (np.frexp(np.where(finite, a, 1.0))[1] - 1).astype(np.float64)
        return np.where(finite, np.where(np.equal(a, 0.0), -np.inf, exponent), np.abs(a))

    abs = staticmethod(np.abs)
    copysign = staticmethod(np.copysign)
    is_nan = staticmethod(np.isnan)
    either = staticmethod(np.logical_or)
    where = staticmethod(np.where)


SCALAR: Arithmetic = _ScalarArithmetic()
ARRAY: Arithmetic = _ArrayArithmetic()
