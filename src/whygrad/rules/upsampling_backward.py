"""Gradients of interpolation (aten/src/ATen/native/cpu/UpSampleMoreKernel.cpp, UpSampleBicubic2d.cpp): every element of g
gives its share to each element that it came from, row by row of g, products fused into the running sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np

from whygrad.floats import fma
from whygrad.rules.activations import add, mul
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Bin, Case, Expr, Fma, Num
from whygrad.rules.movement_maps import content, once
from whygrad.rules.registry import rule
from whygrad.rules.upsampling import dimensions, reach, weight
from whygrad.rules.upsampling_weights import Axis, Dimension, cubic, linear

Shares = list[list[tuple[int, int, float]]]
"""For every coordinate of the result along a dimension: which elements of g have a share in it, with which of their
neighbours it is, and its weight."""
_WRITTEN_OUT = 48


def _shares(c: OpCall, axis: Callable[[Dimension, int], Axis], stored: bool) -> tuple[list[Dimension], list[Shares]]:
    def work() -> tuple[list[Dimension], list[Shares]]:
        g, out = c.t(0), c.out().shape[2:]
        dims = dimensions(c, out, g.shape[2:], 3, g.dtype, stored)
        found: list[Shares] = []
        for d in dims:
            shares: Shares = [[] for _ in range(d.size)]
            for at in range(d.out):
                here = axis(d, at)
                for k, (place, value) in enumerate(zip(here.at, here.weights, strict=True)):
                    shares[place].append((at, k, value))
            found.append(shares)
        return dims, found

    return once(c, "shares", work)


def _running(c: OpCall, terms: list[tuple[Index, float]], d: Dimension) -> Expr:
    """`Σ w·g`, each product fused; the front of a very long sum as a number."""
    g = c.t(0)
    if not terms:
        return Case("it has no share in g", Num(0), "Σ w·g")
    at, w = terms[0]
    none = w == 0 or g.item(at) == 0  # the sum begins at +0, which only a product of 0 shows
    total: Expr = Fma(weight(w), g[at], Num(0)) if none else Bin("*", weight(w), g[at])
    rest = terms[1:]
    if len(rest) > _WRITTEN_OUT:
        numbers, number = content(g), float(d.rnd(w * float(content(g)[at])))
        for at, w in rest[:-_WRITTEN_OUT]:
            number = fma(w, float(numbers[at]), number, d.width)
        total, rest = Num(number, f"the first {len(terms) - _WRITTEN_OUT:,} shares"), rest[-_WRITTEN_OUT:]
    for at, w in rest:
        total = Fma(weight(w), g[at], total)
    return total


def _by_rows(c: OpCall, i: Index, shares: list[Shares], dims: list[Dimension]) -> list[tuple[Index, float]]:
    """The shares of element `i` in the order of g, and for one element of g in the order of its neighbours."""
    found: list[tuple[tuple[int, ...], tuple[int, ...], float]] = []
    for choice in product(*(each[at] for each, at in zip(shares, i[2:], strict=True))):
        total = choice[0][2]
        for _, _, value in choice[1:]:
            total = dims[0].rnd(total * value)
        found.append((tuple(at for at, _, _ in choice), tuple(k for _, k, _ in choice), total))
    return [((*i[:2], *at), value) for at, _, value in sorted(found, key=lambda each: each[:2])]


def _backward(axis: Callable[[Dimension, int], Axis]) -> Callable[[OpCall, Index], Expr]:
    def function(c: OpCall, i: Index) -> Expr:
        """`∂x = Σ w·g` over the elements of the result that it had a share in."""
        dims, shares = _shares(c, axis, stored=False)
        return _running(c, _by_rows(c, i, shares, dims), dims[0])

    return function


def _linear(d: Dimension, at: int) -> Axis:
    return linear(d, at)


for _name in ("linear1d", "bilinear2d", "trilinear3d"):
    rule(f"aten.upsample_{_name}_backward.default", rounds="either")(_backward(_linear))
for _name, _size in (("bilinear2d", 2), ("bicubic2d", 4)):
    rule(f"aten._upsample_{_name}_aa_backward.default")(_backward(lambda d, at, size=_size: reach(d, at, size)))


@rule("aten.upsample_bicubic2d_backward.default", rounds="either")
def bicubic_backward(c: OpCall, i: Index) -> Expr:
    """`∂x = Σ g·h·w` over the elements of the result whose 4 × 4 neighbours it is among; nothing is fused."""
    g = c.t(0)
    if g.shape == c.out().shape:
        return g[i]
    _, shares = _shares(c, lambda d, at: cubic(replace(d, fused=False), at), stored=False)
    found = sorted(
        ((row[0], column[0]), (column[1], row[1]), row[2], column[2])
        for row, column in product(shares[0][i[2]], shares[1][i[3]])
    )
    if not found:
        return Case("it has no share in g", Num(0), "Σ g·h·w")
    terms = [mul(g[(*i[:2], *at)], weight(h), weight(w)) for at, _, h, w in found[-_WRITTEN_OUT:]]
    total: Expr = Num(0)
    if len(found) > len(terms):
        kind = np.float64 if g.dtype == "float64" else np.float32
        number, numbers = kind(0), content(g)
        for at, _, h, w in found[: -len(terms)]:
            number = kind(number + kind(kind(kind(numbers[(*i[:2], *at)]) * kind(h)) * kind(w)))
        total = Num(float(number), f"the first {len(found) - len(terms):,} shares")
    for each in terms:
        total = add(total, each)
    return total
