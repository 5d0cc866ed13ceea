"""Gradients of sampling at the places of a grid (aten/src/ATen/native/GridSampler.cpp, cpu/GridSamplerKernel.cpp), between the
nearest elements or at the nearest one. The kernel for pictures takes the points by vectors, that for volumes one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from whygrad.floats import NumberFormat, number_format, round_to
from whygrad.floats.summation import Chain, Order
from whygrad.rules.activations import add, mul, sub
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Bin, Case, Dot, Expr, Num, Var
from whygrad.rules.movement_maps import content, once
from whygrad.rules.registry import Unruled, rule
from whygrad.rules.upsampling_grid_cubic import of_grid, of_input
from whygrad.rules.upsampling_places import CUBIC, NEAREST, REFLECTION, ZEROS, drawn_in, lanes_of, place_of

Array = np.ndarray[Any, Any]
_IN_TURN = (Order(Chain()),)
_EITHER = (Order(Chain()), Order(Chain(), fused=True))
_TOUCHED = 4


@dataclass(frozen=True)
class _Point:
    """Where one point of the grid lies among the elements, and the slope of that by the grid, both by dimension of x."""

    places: tuple[float, ...]
    slopes: tuple[float, ...]

    @property
    def first(self) -> tuple[int, ...]:
        return tuple(math.floor(place) for place in self.places)

    def side(self, d: int, far: int, w: NumberFormat, vector: bool) -> float:
        """The weight of the nearer (0) or farther (1) element along dimension d."""
        near = round_to(self.places[d] - self.first[d], w)
        if far:
            return near
        return round_to(1 - near, w) if vector else round_to(self.first[d] + 1 - self.places[d], w)


@dataclass(frozen=True)
class _Sampled:
    """A call: what is the same for all its points."""

    call: OpCall
    rank: int
    mode: int
    padding: int
    corners: bool
    width: NumberFormat

    @staticmethod
    def of(c: OpCall, rank: int) -> _Sampled:
        return _Sampled(c, rank, c.integer(3), c.integer(4), bool(c.arg(5)), number_format(c.t(1).dtype))

    @property
    def sizes(self) -> Index:
        return self.call.t(1).shape[2:]

    @property
    def vector(self) -> bool:
        return self.rank == 2

    def point(self, n: int, p: Index) -> _Point:
        """A point of the grid. Raises Unruled where it is nowhere."""
        grid = self.call.t(2)
        places: list[float] = []
        slopes: list[float] = []
        for d, size in enumerate(self.sizes):
            coordinate = float(grid.item((n, *p, self.rank - 1 - d)))
            found = place_of(coordinate, size, self.corners, self.vector, self.width)
            places.append(drawn_in(found, size, self.padding, self.corners, self.width))
            slopes.append(self._slope(found, size))
        if not all(math.isfinite(place) for place in places):
            raise Unruled("a place that is not finite")
        return _Point(tuple(places), tuple(slopes))

    def _slope(self, place: float, size: int) -> float:
        scale = (size - 1) / 2 if self.corners else size / 2
        if self.padding == ZEROS:
            return scale
        sign = 1.0
        if self.padding == REFLECTION:
            low, high = (0.0, float(size - 1)) if self.corners else (-0.5, size - 0.5)
            if high == low:
                return 0.0
            flips = math.floor(abs(place - low) / (high - low))
            sign = (-1.0 if place < low else 1.0) * (-1.0 if flips % 2 else 1.0)
            place = drawn_in(place, size, REFLECTION, self.corners, self.width, clip=False)
        return sign * scale if 0 < place < size - 1 else 0.0

    def approximate(self, n: int) -> Array:
        """All places of a batch's grid, (points, rank), near enough to tell which may touch an element."""

        def work() -> Array:
            grid = content(self.call.t(2))[n].reshape(-1, self.rank)[:, ::-1].astype(np.float64)
            sizes = np.array(self.sizes, np.float64)
            places = (grid + 1) / 2 * (sizes - 1) if self.corners else ((grid + 1) * sizes - 1) / 2
            if self.padding == REFLECTION:
                low = np.zeros(self.rank) if self.corners else np.full(self.rank, -0.5)
                span = np.maximum(sizes - 1 if self.corners else sizes, 1e-300)
                away = np.abs(places - low)
                extra, flips = np.fmod(away, span), np.floor(away / span)
                places = np.where(flips % 2 == 0, extra + low, span - extra + low)
            return places if self.padding == ZEROS else np.clip(places, 0, sizes - 1)

        return once(self.call, f"places {n}", work)

    def touching(self, n: int, cell: Index) -> list[tuple[Index, _Point]]:
        """The points that use an element, in the kernel's order of points."""
        near = np.abs(self.approximate(n) - np.array(cell)).max(axis=1) < (
            1.2 if self.width.name.startswith("float") else 3
        )
        shape = self.call.t(2).shape[1:-1]
        found: list[tuple[Index, _Point]] = []
        for flat in np.flatnonzero(near):
            p = tuple(int(k) for k in np.unravel_index(int(flat), shape))
            point = self.point(n, p)
            if self.choice(point, cell) is not None:
                found.append((p, point))
        return found

    def choice(self, point: _Point, cell: Index) -> tuple[int, ...] | None:
        """Which of the elements around a point a cell is: by dimension 0 or 1; None where it is none of them."""
        if self.mode == NEAREST:
            return (0,) * self.rank if tuple(round(place) for place in point.places) == cell else None
        found = tuple(k - f for k, f in zip(cell, point.first, strict=True))
        return found if all(k in (0, 1) for k in found) else None

    def weight(self, point: _Point, choice: tuple[int, ...]) -> float:
        """The product of the sides' weights, last dimension first."""
        weight = 1.0
        for d in reversed(range(self.rank)):
            weight = round_to(weight * point.side(d, choice[d], self.width, self.vector), self.width)
        return weight


def _in_order(s: _Sampled, found: list[tuple[Index, _Point]], cell: Index) -> list[tuple[Index, float]]:
    """The points' weights in the order in which the kernel adds: for pictures a vector's corners one after the other."""
    shape, lanes = s.call.t(2).shape[1:-1], lanes_of(s.call)
    keyed: list[tuple[tuple[Any, ...], Index, float]] = []
    for p, point in found:
        choice = s.choice(point, cell)
        assert choice is not None
        flat = int(np.ravel_multi_index(p, shape))
        key = (flat // lanes, choice, flat) if s.vector else (flat,)
        keyed.append((key, p, 1.0 if s.mode == NEAREST else s.weight(point, choice)))
    return [(p, weight) for _, p, weight in sorted(keyed, key=lambda each: each[0])]


def _of_input(rank: int) -> None:
    def function(c: OpCall, i: Index) -> Expr:
        """`∂x[n,c,cell] = Σ w·g[n,c,p]` over the points p that sample the cell."""
        if c.integer(3) == CUBIC:
            return of_input(c, i)
        s, g = _Sampled.of(c, rank), c.t(0)
        found = _in_order(s, s.touching(i[0], i[2:]), i[2:])
        if not found:
            return Case("no point samples it", Num(0), "Σ w·g")
        for p, _ in found[:_TOUCHED]:
            for d in range(rank):
                c.t(2)[(i[0], *p, d)]
        there = g.at(np.array([(*i[:2], *p) for p, _ in found], dtype=np.int64))
        if s.mode == NEAREST:
            return Dot(there, orders=_IN_TURN)
        weights = c.constants_of(np.array([weight for _, weight in found]), lambda k: f"w{found[k][0]}")
        if s.vector:  # whose products are stored before they are added
            return Dot(there, weights, orders=_IN_TURN)
        return Dot(there, weights, orders=_EITHER)

    function.__name__ = function.__qualname__ = f"grid_sampler_{rank}d_backward of x"
    rule(f"aten.grid_sampler_{rank}d_backward", rounds="each")(function)


def _inside(s: _Sampled, at: Index) -> bool:
    return all(0 <= k < n for k, n in zip(at, s.sizes, strict=True))


def _of_grid(rank: int) -> None:
    def function(c: OpCall, i: Index) -> Expr:
        """`∂grid[n,p,d] = slope·Σ ±x[n,c,cell]·w·g[n,c,p]` over channels and the cells around the point, w the weight along the
        other dimensions; 0 for the nearest element."""
        if c.integer(3) == CUBIC:
            return of_grid(c, i)
        s = _Sampled.of(c, rank)
        if s.mode == NEAREST:
            return Case("the nearest element does not change", Num(0), "slope·Σ x·w·g")
        n, p, d = i[0], i[1:-1], rank - 1 - i[-1]
        point = s.point(n, p)
        for k in range(rank):
            c.t(2)[(n, *p, k)]
        total = _picture(s, n, p, d, point) if s.vector else _volume(s, n, p, d, point)
        return (
            Case("all elements around it are outside", Num(0), "Σ")
            if total is None
            else mul(total, Num(round_to(point.slopes[d], s.width), "slope"))
        )

    function.__name__ = function.__qualname__ = f"grid_sampler_{rank}d_backward of the grid"
    rule(f"aten.grid_sampler_{rank}d_backward", rounds="each", output=1)(function)


def _volume(s: _Sampled, n: int, p: Index, d: int, point: _Point) -> Expr | None:
    """`Σ ((±x·w)·w′)·g`, channel by channel and in each from the first cell to the last; the last dimension's w first."""
    x, g = s.call.t(1), s.call.t(0)
    others = [k for k in reversed(range(s.rank)) if k != d]
    cells: list[Index] = []
    weights: list[tuple[float, float]] = []
    for choice in product((0, 1), repeat=s.rank):
        at = tuple(f + k for f, k in zip(point.first, choice, strict=True))
        if _inside(s, at):
            one, two = (point.side(k, choice[k], s.width, False) for k in others)
            cells.append(at)
            weights.append((one if choice[d] else -one, two))
    if not cells:
        return None
    channels = range(x.shape[1])
    there = x.at(np.array([(n, channel, *at) for channel in channels for at in cells], dtype=np.int64))
    beside = g.at(np.array([(n, channel, *p) for channel in channels for _ in cells], dtype=np.int64))
    one, two = (np.tile(np.array([each[k] for each in weights]), len(channels)) for k in (0, 1))
    first, second = s.call.constants_of(one, lambda k: "w"), s.call.constants_of(two, lambda k: "w′")
    term = Bin("*", Bin("*", Bin("*", Var(0), Var(-1)), Var(-2)), Var(1))
    return Dot(there, beside, term=term, more=(first, second), orders=_EITHER)


def _picture(s: _Sampled, n: int, p: Index, d: int, point: _Point) -> Expr | None:
    """`Σ ((x₁ − x₀)·w + (x₁′ − x₀′)·w′)·g`, channel by channel, x₀ and x₁ before and after the point along d."""
    x, g, other = s.call.t(1), s.call.t(0), 1 - d
    total: Expr | None = None
    for channel in range(x.shape[1]):
        parts: list[Expr] = []
        for beside in (0, 1):
            cells: list[Expr] = []
            for along in (1, 0):
                choice = (along, beside) if d == 0 else (beside, along)
                at = tuple(f + k for f, k in zip(point.first, choice, strict=True))
                cells.append(x[(n, channel, *at)] if _inside(s, at) else Num(0))
            parts.append(mul(sub(*cells), Num(point.side(other, beside, s.width, True))))
        share = mul(add(*parts), g[(n, channel, *p)])
        total = share if total is None else add(total, share)
    return total


for _rank in (2, 3):
    _of_input(_rank)
    _of_grid(_rank)
