"""Sampling at the places of a grid (aten/src/ATen/native/GridSampler.h, GridSampler.cpp, cpu/GridSamplerKernel.cpp), between
the nearest elements or at the nearest one. 16 bits round after every operation."""

from __future__ import annotations

import math
from itertools import product

from whygrad.floats import NumberFormat, fma, number_format, round_to
from whygrad.rules.activations import add, mul
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Case, Expr, Num
from whygrad.rules.registry import Unruled, rule

ZEROS, BORDER, REFLECTION = 0, 1, 2
BILINEAR, NEAREST = 0, 1


def _place(coordinate: float, size: int, corners: bool, vector: bool, w: NumberFormat) -> float:
    """A coordinate from −1 to 1 as a place among `size` elements; `vector`: by the kernel for pictures, which multiplies
    first and fuses the sum."""
    moved = round_to(coordinate + 1, w)
    if corners:
        return round_to(moved * ((size - 1) / 2), w) if vector else round_to(round_to(moved / 2, w) * (size - 1), w)
    if vector:
        return fma(moved, size / 2, -0.5, w)
    return round_to(round_to(round_to(moved * size, w) - 1, w) / 2, w)


def _drawn_in(place: float, size: int, padding: int, corners: bool, w: NumberFormat) -> float:
    """A place outside as the padding has it: itself, on the border, or mirrored at it."""
    if padding == REFLECTION:
        low, high = (0.0, float(size - 1)) if corners else (-0.5, size - 0.5)
        span = high - low
        if not span:
            place = 0.0
        else:
            away = abs(round_to(place - low, w))
            extra, flips = math.fmod(away, span), math.floor(round_to(away / span, w))
            place = round_to(extra + low, w) if flips % 2 == 0 else round_to(round_to(span - extra, w) + low, w)
    return place if padding == ZEROS else min(max(place, 0.0), size - 1.0)


def _sampler(rank: int) -> None:
    def function(c: OpCall, i: Index) -> Expr:
        """`y = Σ w·x` over the 4 (8) elements around the grid's place, or x at the nearest; 0 outside."""
        x, grid, mode, padding = c.t(0), c.t(1), c.integer(2), c.integer(3)
        if mode not in (BILINEAR, NEAREST):
            raise Unruled("bicubic sampling")
        corners, sizes = bool(c.arg(4)), x.shape[2:]
        width = number_format(x.dtype)
        places: list[float] = []
        for d in range(rank):
            index = (i[0], *i[2:], rank - 1 - d)
            grid[index]
            place = _place(float(grid.item(index)), sizes[d], corners, rank == 2, width)
            places.append(_drawn_in(place, sizes[d], padding, corners, width))
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
