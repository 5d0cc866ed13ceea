"""Sampling at the places of a grid (aten/src/ATen/native/GridSampler.h, GridSampler.cpp, cpu/GridSamplerKernel.cpp), between
the nearest elements or at the nearest one. 16 bits round after every operation."""

from __future__ import annotations

import math
from itertools import product

from whygrad.floats import NumberFormat, number_format, round_to
from whygrad.rules.activations import add, mul
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Case, Expr, Num
from whygrad.rules.registry import Unruled, rule
from whygrad.rules.upsampling_grid_cubic import sampled
from whygrad.rules.upsampling_places import CUBIC, NEAREST, drawn_in, place_of


def _sampler(rank: int) -> None:
    def function(c: OpCall, i: Index) -> Expr:
        """`y = Σ w·x` over the 4 (8) elements around the grid's place, or x at the nearest; 0 outside."""
        x, grid, mode, padding = c.t(0), c.t(1), c.integer(2), c.integer(3)
        if mode == CUBIC:
            return sampled(c, i)
        corners, sizes = bool(c.arg(4)), x.shape[2:]
        width = number_format(x.dtype)
        places: list[float] = []
        for d in range(rank):
            index = (i[0], *i[2:], rank - 1 - d)
            grid[index]
            place = place_of(float(grid.item(index)), sizes[d], corners, rank == 2, width)
            places.append(drawn_in(place, sizes[d], padding, corners, width))
        if not all(math.isfinite(place) for place in places):
            raise Unruled("a place that is not finite")
        if mode == NEAREST:
            at = tuple(round(place) for place in places)  # halves go to the even one, as nearbyint's do
            inside = all(0 <= k < n for k, n in zip(at, sizes, strict=True))
            return x[(*i[:2], *at)] if inside else Case("it is outside", Num(0), "x")
        return _between(c, i, places, width)

    rule(f"aten.grid_sampler_{rank}d", rounds="each")(function)


def _between(c: OpCall, i: Index, places: list[float], width: NumberFormat) -> Expr:
    x = c.t(0)
    sizes, first = x.shape[2:], [math.floor(place) for place in places]
    total: Expr | None = None
    for choice in product((0, 1), repeat=len(places)):
        at = tuple(k + f for k, f in zip(choice, first, strict=True))
        weight = 1.0
        for k, f, place in reversed(list(zip(choice, first, places, strict=True))):
            near = round_to(place - f, width)
            weight = round_to(weight * (near if k else round_to(f + 1 - place, width)), width)
        if all(0 <= k < n for k, n in zip(at, sizes, strict=True)):
            share = mul(x[(*i[:2], *at)], Num(weight))
            total = share if total is None else add(total, share)
    return Case("it is outside", Num(0), "Σ w·x") if total is None else total


_sampler(2)
_sampler(3)
