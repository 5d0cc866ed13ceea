"""Sampling at the places of a grid with cubic convolution, R. G. Keys's with a = −¾ (1981), forward and back
(ApplyGridSample of aten/src/ATen/native/cpu/GridSamplerKernel.cpp): the 4 × 4 elements around a place, by vectors of
points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.floats import NumberFormat, fma, number_format, round_to
from whygrad.floats.summation import Chain, Order
from whygrad.rules.activations import add, mul
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Bin, Case, Dot, Expr, Num, Var
from whygrad.rules.movement_maps import content, once
from whygrad.rules.registry import Unruled
from whygrad.rules.upsampling_places import drawn_in, lanes_of, place_of

Array = np.ndarray[Any, Any]
_A = -0.75
_TAPS = range(-1, 3)
_EITHER = (Order(Chain(), fused=True), Order(Chain()))


class _Arithmetic:
    """Of a vector: products are fused into the sums that take them, but for 16 bits."""

    def __init__(self, width: NumberFormat) -> None:
        self.width, self.fuses = width, width.name in ("float32", "float64")

    def round(self, x: float) -> float:
        return round_to(x, self.width)

    def mul(self, a: float, b: float) -> float:
        return round_to(a * b, self.width)

    def then(self, a: float, b: float, c: float) -> float:
        """`a·b + c`"""
        return fma(a, b, c, self.width) if self.fuses else round_to(round_to(a * b, self.width) + c, self.width)

    def weights(self, t: float) -> tuple[float, ...]:
        """The four weights at t behind the second element."""

        def far(x: float) -> float:
            return self.then(self.then(self.then(_A, x, -5 * _A), x, 8 * _A), x, -4 * _A)

        def near(x: float) -> float:
            return self.then(self.mul(self.then(_A + 2, x, -(_A + 3)), x), x, 1.0)

        return far(self.round(t + 1)), near(t), near(self.round(1 - t)), far(self.round(2 - t))

    def slopes(self, t: float) -> tuple[float, ...]:
        """Derivatives of the weights, with their sign turned."""
        a, b, c, d = (self.round(k - t) for k in (-1.0, 0.0, 1.0, 2.0))
        return (
            self.then(self.then(-3 * _A, a, -10 * _A), a, -8 * _A),
            self.mul(self.then(-3 * (_A + 2), b, -2 * (_A + 3)), b),
            self.mul(self.then(3 * (_A + 2), c, -2 * (_A + 3)), c),
            self.then(self.then(3 * _A, d, -10 * _A), d, 8 * _A),
        )


@dataclass(frozen=True)
class _Place:
    """Along y, then x: the four elements' numbers (None: outside), their weights, and the weights' slopes."""

    taps: tuple[tuple[int | None, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    slopes: tuple[tuple[float, ...], ...]


def _place(c: OpCall, at: int, n: int, p: Index, padding: int, corners: bool) -> _Place:
    """`at`: the position of x among the arguments; the grid's is the next."""
    sizes, grid, width = c.t(at).shape[2:], c.t(at + 1), number_format(c.t(at).dtype)
    m = _Arithmetic(width)
    taps: list[tuple[int | None, ...]] = []
    weights: list[tuple[float, ...]] = []
    slopes: list[tuple[float, ...]] = []
    for d, size in enumerate(sizes):
        place = place_of(float(grid.item((n, *p, 1 - d))), size, corners, True, width)
        if not math.isfinite(place):
            raise Unruled("a place that is not finite")
        first = math.floor(place)
        found = [int(drawn_in(float(first + k), size, padding, corners, width)) for k in _TAPS]
        taps.append(tuple(k if 0 <= k < size else None for k in found))
        t = round_to(place - first, width)
        weights.append(m.weights(t))
        slopes.append(m.slopes(t))
    return _Place(tuple(taps), tuple(weights), tuple(slopes))


def _touch(c: OpCall, at: int, n: int, p: Index) -> None:
    for d in (0, 1):
        c.t(at + 1)[(n, *p, d)]


def sampled(c: OpCall, i: Index) -> Expr:
    """`y = Σ wy·(Σ wx·x)`: along x first, then along y."""
    n, channel, p = i[0], i[1], i[2:]
    _touch(c, 0, n, p)
    place = _place(c, 0, n, p, c.integer(3), bool(c.arg(4)))
    total: Expr | None = None
    for row, wy in zip(place.taps[0], place.weights[0], strict=True):
        inner: Expr | None = None
        for column, wx in zip(place.taps[1], place.weights[1], strict=True):
            value = Num(0) if row is None or column is None else c.t(0)[(n, channel, row, column)]
            share = mul(Num(wx), value)
            inner = share if inner is None else add(inner, share)
        assert inner is not None
        share = mul(Num(wy), inner)
        total = share if total is None else add(total, share)
    assert total is not None
    return total


def _near(c: OpCall, n: int, padding: int, corners: bool) -> list[Array]:
    """By dimension, for each point the elements that it may use: a few more than it does."""

    def work() -> list[Array]:
        grid = content(c.t(2))[n].reshape(-1, 2).astype(np.float64)
        found: list[Array] = []
        for d, size in enumerate(c.t(1).shape[2:]):
            g = grid[:, 1 - d]
            place = (g + 1) / 2 * (size - 1) if corners else ((g + 1) * size - 1) / 2
            taps = np.floor(np.nan_to_num(place))[:, None] + np.arange(-2, 4)
            w = number_format("float64")
            table = {k: drawn_in(k, size, padding, corners, w) for k in np.unique(taps).tolist()}
            found.append(np.vectorize(table.__getitem__, otypes=[np.float64])(taps).astype(np.int64))
        return found

    return once(c, f"cubic {n}", work)


def of_input(c: OpCall, i: Index) -> Expr:
    """`∂x[n,c,cell] = Σ (g[n,c,p]·wx)·wy` over the points p that use the cell: vector by vector, the taps of its points one
    after the other."""
    n, cell, padding, corners = i[0], i[2:], c.integer(4), bool(c.arg(5))
    shape, lanes = c.t(2).shape[1:-1], lanes_of(c)
    near = [(taps == k).any(axis=1) for taps, k in zip(_near(c, n, padding, corners), cell, strict=True)]
    found: list[tuple[tuple[int, ...], Index, float, float]] = []
    for flat in np.flatnonzero(near[0] & near[1]).tolist():
        p = tuple(int(k) for k in np.unravel_index(flat, shape))
        place = _place(c, 1, n, p, padding, corners)
        for a, column in enumerate(place.taps[1]):
            for b, row in enumerate(place.taps[0]):
                if (row, column) == cell:
                    found.append(((flat // lanes, a, b, flat), p, place.weights[1][a], place.weights[0][b]))
    if not found:
        return Case("no point samples it", Num(0), "Σ w·g")
    found.sort(key=lambda each: each[0])
    for _, p, _, _ in found[:2]:
        _touch(c, 1, n, p)
    there = c.t(0).at(np.array([(*i[:2], *p) for _, p, _, _ in found], dtype=np.int64))
    wx = c.constants_of(np.array([each[2] for each in found]), lambda k: "wx")
    wy = c.constants_of(np.array([each[3] for each in found]), lambda k: "wy")
    return Dot(there, wx, term=Bin("*", Bin("*", Var(0), Var(1)), Var(-1)), more=(wy,), orders=(Order(Chain()),))


def of_grid(c: OpCall, i: Index) -> Expr:
    """`∂grid[n,p,d] = slope·Σ ((x·g)·w′)·w` over channels and the 4 × 4 elements, w′ the derivative of the weight along d."""
    n, p, d = i[0], i[1:-1], 1 - i[-1]
    x, corners = c.t(1), bool(c.arg(5))
    _touch(c, 1, n, p)
    place = _place(c, 1, n, p, c.integer(4), corners)
    cells: list[tuple[int, int]] = []
    factors: list[tuple[float, float]] = []
    for a, column in enumerate(place.taps[1]):
        for b, row in enumerate(place.taps[0]):
            if row is not None and column is not None:
                cells.append((row, column))
                turned = -place.slopes[d][b if d == 0 else a]
                factors.append((turned, place.weights[1 - d][a if d == 0 else b]))
    if not cells:
        return Case("all elements around it are outside", Num(0), "Σ")
    channels = range(x.shape[1])
    there = x.at(np.array([(n, channel, *at) for channel in channels for at in cells], dtype=np.int64))
    beside = c.t(0).at(np.array([(n, channel, *p) for channel in channels for _ in cells], dtype=np.int64))
    one, two = (np.tile(np.array([each[k] for each in factors]), len(channels)) for k in (0, 1))
    first, second = c.constants_of(one, lambda k: "w′"), c.constants_of(two, lambda k: "w")
    term = Bin("*", Bin("*", Bin("*", Var(0), Var(1)), Var(-1)), Var(-2))
    size = x.shape[2 + d]
    slope = round_to((size - 1) / 2 if corners else size / 2, number_format(x.dtype))
    return mul(Dot(there, beside, term=term, more=(first, second), orders=_EITHER), Num(slope, "slope"))
