"""Binary64 and 16-bit arithmetic with operations of `elementary_arithmetic.Arithmetic`, for algorithms that run in several
widths."""

from __future__ import annotations

import math
from typing import Protocol

from whygrad.floats.formats import FORMATS
from whygrad.floats.fused import fma
from whygrad.floats.rounding import round_to


class Scalar(Protocol):
    """What an algorithm on single numbers asks of its width. Each operation rounds once."""

    def round(self, x: float, /) -> float: ...
    def add(self, a: float, b: float, /) -> float: ...
    def sub(self, a: float, b: float, /) -> float: ...
    def mul(self, a: float, b: float, /) -> float: ...
    def div(self, a: float, b: float, /) -> float: ...
    def sqrt(self, a: float, /) -> float: ...
    def fma(self, a: float, b: float, c: float, /) -> float: ...


class _Double:
    """Python's own floats."""

    @staticmethod
    def round(x: float) -> float:
        return x

    @staticmethod
    def add(a: float, b: float) -> float:
        return a + b

    @staticmethod
    def sub(a: float, b: float) -> float:
        return a - b

    @staticmethod
    def mul(a: float, b: float) -> float:
        return a * b

    @staticmethod
    def div(a: float, b: float) -> float:
        if b == 0.0:
            return math.nan if a == 0.0 or a != a else math.copysign(math.inf, a) * math.copysign(1.0, b)
        return a / b

    @staticmethod
    def sqrt(a: float) -> float:
        return math.sqrt(a) if a >= 0.0 else math.nan

    @staticmethod
    def fma(a: float, b: float, c: float) -> float:
        return fma(a, b, c, FORMATS["float64"])


DOUBLE: Scalar = _Double()


class Narrow:
    """A 16-bit format: C++ rounds every operation to it and fuses none."""

    def __init__(self, name: str) -> None:
        self.format = FORMATS[name]

    def round(self, x: float) -> float:
        return round_to(x, self.format)

    def add(self, a: float, b: float) -> float:
        return round_to(a + b, self.format)

    def sub(self, a: float, b: float) -> float:
        return round_to(a - b, self.format)

    def mul(self, a: float, b: float) -> float:
        return round_to(a * b, self.format)

    def div(self, a: float, b: float) -> float:
        return round_to(DOUBLE.div(a, b), self.format)

    def sqrt(self, a: float) -> float:
        return round_to(DOUBLE.sqrt(a), self.format)

    def fma(self, a: float, b: float, c: float) -> float:
        return self.add(self.mul(a, b), c)


FLOAT16: Scalar = Narrow("float16")
BFLOAT16: Scalar = Narrow("bfloat16")
