"""Which elements an interpolated one lies between, and their weights, in the kernel's own arithmetic
(aten/src/ATen/native/UpSample.h, native/cpu/UpSampleKernel.cpp): where the compiler fuses products into sums, so here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from whygrad.floats import NumberFormat, fma, number_format, round_to


@dataclass(frozen=True)
class Axis:
    """Coordinates along one dimension and the weight of each."""

    at: tuple[int, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Dimension:
    """One interpolated dimension. `scale`: the factor that the program gave, None where it gave a size. `width`: the format
    of the computation; `stored`: of the weights. `fused`: the kernel is built for processors that fuse products into sums."""

    size: int
    out: int
    align_corners: bool
    scale: float | None
    width: NumberFormat
    stored: NumberFormat
    fused: bool = True

    def rnd(self, x: float) -> float:
        """Rounded to the width of the computation."""
        return round_to(x, self.width)

    @property
    def ratio(self) -> float:
        """Steps in the operand for one in the result."""
        if self.align_corners:
            return self.rnd((self.size - 1) / (self.out - 1)) if self.out > 1 else 0.0
        return (
            self.rnd(1.0 / self.scale) if self.scale is not None and self.scale > 0 else self.rnd(self.size / self.out)
        )

    def source(self, at: int) -> float:
        """The place in the operand of coordinate `at` of the result."""
        if self.align_corners:
            return self.rnd(self.ratio * at)
        return self.multiply_add(self.ratio, self.rnd(at + 0.5), -0.5)

    def multiply_add(self, a: float, b: float, c: float) -> float:
        """`a·b + c`."""
        return fma(a, b, c, self.width) if self.fused else self.rnd(self.rnd(a * b) + c)


def _split(d: Dimension, place: float) -> tuple[int, float]:
    """The coordinate before a place, and how far the place lies behind it."""
    before = min(math.floor(round_to(place, number_format("float32"))), d.size - 1)
    return before, min(max(d.rnd(place - before), 0.0), 1.0)


def linear(d: Dimension, at: int) -> Axis:
    """Two neighbours, weighted by how near they are."""
    if d.size == d.out:
        return Axis((at, at), (1.0, 0.0))
    before, far = _split(d, max(d.source(at), 0.0))
    far = round_to(far, d.stored)
    return Axis((before, before + (before < d.size - 1)), (round_to(1.0 - far, d.stored), far))


def _convolution1(x: float, a: float, d: Dimension, fused: bool) -> float:
    """`((a + 2)·x − (a + 3))·x·x + 1`; `fused`: to the last sum too."""
    product = d.rnd(d.multiply_add(d.rnd(a + 2), x, -d.rnd(a + 3)) * x)
    return d.multiply_add(product, x, 1.0) if fused else d.rnd(d.rnd(product * x) + 1.0)


def _convolution2(x: float, a: float, d: Dimension, fused: bool) -> float:
    """`((a·x − 5·a)·x + 8·a)·x − 4·a`; `fused`: to the last sum too."""
    inner = d.multiply_add(d.multiply_add(a, x, -d.rnd(5 * a)), x, d.rnd(8 * a))
    last = -d.rnd(4 * a)
    return d.multiply_add(inner, x, last) if fused else d.rnd(d.rnd(inner * x) + last)


def cubic(d: Dimension, at: int) -> Axis:
    """Four neighbours by cubic convolution with A = −0.75; beyond the border, the border's."""
    place = d.rnd(d.ratio * at) if d.align_corners else d.source(at)
    before, t = _split(d, place)
    back = d.rnd(1.0 - t)
    found = (
        _convolution2(d.rnd(t + 1.0), -0.75, d, False), _convolution1(t, -0.75, d, False),
        _convolution1(back, -0.75, d, False), _convolution2(d.rnd(back + 1.0), -0.75, d, False),
    )  # fmt: skip
    return Axis(
        tuple(max(min(before + k - 1, d.size - 1), 0) for k in range(4)), tuple(round_to(f, d.stored) for f in found)
    )


def _triangle(x: float, d: Dimension) -> float:
    return d.rnd(1.0 - abs(x)) if abs(x) < 1 else 0.0


def _keys(x: float, d: Dimension) -> float:
    x = abs(x)
    return _convolution1(x, -0.5, d, True) if x < 1 else _convolution2(x, -0.5, d, True) if x < 2 else 0.0


def antialiased(d: Dimension, at: int, size: int) -> Axis:
    """All neighbours within the filter's reach (`size` 2: a triangle; 4: cubic with A = −0.5), weights adding up to 1."""
    filter_function: Callable[[float, Dimension], float] = _triangle if size == 2 else _keys
    ratio = d.ratio
    support = d.rnd(size * 0.5 * ratio) if ratio >= 1 else size * 0.5
    inverse = d.rnd(1.0 / ratio) if ratio >= 1 else 1.0
    center = d.rnd(ratio * (at + 0.5))
    first = max(int(d.rnd(center - support) + 0.5), 0)
    count = min(int(d.rnd(center + support) + 0.5), d.size) - first
    count = min(max(count, 0), math.ceil(support) * 2 + 1)
    raw = [filter_function(d.rnd((d.rnd(k + first - center) + 0.5) * inverse), d) for k in range(count)]
    total = 0.0
    for weight in raw:
        total = d.rnd(total + weight)
    weights = tuple(d.rnd(weight / total) if total else weight for weight in raw)
    return Axis(tuple(range(first, first + count)), weights)
