"""Interpolation (aten/src/ATen/native/cpu/UpSampleKernel.cpp). 16 bits are computed in float32.

Two kernels: one goes dimension by dimension from the inside (`(x₀·w₀ + x₁·w₁)·h₀ + …`), the other adds up all corners
with products of weights; the latter does channels that lie together, and small pictures."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from whygrad.floats import number_format
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Bin, Expr, Fma, Num
from whygrad.rules.registry import rule
from whygrad.rules.upsampling_weights import Axis, Dimension, antialiased, cubic, linear

LANES = {"float64": 4, "float32": 8, "float16": 16, "bfloat16": 16}
"""Of a vector, in kernels built for AVX2."""
_SMALL = 128


def scales_of(c: OpCall, first: int, rank: int) -> list[float | None]:
    """The factors that the program gave, from argument `first` on."""
    names = ("scales",) if rank == 1 else ("scales_d", "scales_h", "scales_w")[-rank:]
    found = [c.arg(first + k, name) for k, name in enumerate(names)]
    return [float(f) if isinstance(f, (int, float)) else None for f in found]


def dimensions(c: OpCall, sizes: Index, out: Index, first: int, dtype: str, stored: bool) -> list[Dimension]:
    """The interpolated dimensions; `first`: the position of `align_corners`; `stored`: weights are kept in the dtype."""
    width = number_format("float64" if dtype == "float64" else "float32")
    kept = number_format(dtype) if stored else width
    corners = bool(c.arg(first, "align_corners", False))
    scales = scales_of(c, first + 1, len(out))
    return [Dimension(n, o, corners, s, width, kept) for n, o, s in zip(sizes, out, scales, strict=True)]


def contiguous_last(x: Operand) -> bool:
    """Whether the channels of a picture lie together in memory."""
    step, order = 1, (1, *reversed(range(2, len(x.shape))), 0)
    for d in order:
        if x.shape[d] != 1 and x.value.stride[d] != step:
            return False
        step *= x.shape[d]
    return True


def all_corners(c: OpCall, x: Operand, out: Index) -> bool:
    """Whether the kernel that adds up all corners is used."""
    channels, rank = x.shape[1], len(out)
    if rank == 1:
        return False
    if contiguous_last(x) and channels > 3:
        return True
    return rank == 2 and (sum(out) <= _SMALL or (c.step.threads == 1 and channels == 3))


def weight(value: float) -> Num:
    """A weight of the interpolation."""
    return Num(value)


def _inner_first(x: Operand, lead: Index, axes: list[Axis]) -> Expr:
    """Dimension by dimension: each product but the second is fused."""
    if not axes:
        return x[lead]
    parts = [
        (_inner_first(x, (*lead, at), axes[1:]), weight(w)) for at, w in zip(axes[0].at, axes[0].weights, strict=True)
    ]
    (a, w), (b, v) = parts[:2]
    total: Expr = Fma(a, w, Bin("*", b, v))
    for a, w in parts[2:]:
        total = Fma(a, w, total)
    return total


def _corners(x: Operand, lead: Index, axes: list[Axis], vector: bool, dims: list[Dimension]) -> Expr:
    """All corners: whole vectors of channels from the last to the first, single channels from the first to the last."""
    terms: list[tuple[Expr, Expr]] = []
    for choice in product(range(2), repeat=len(axes)):
        total = axes[0].weights[choice[0]]
        for axis, k in zip(axes[1:], choice[1:], strict=True):
            total = dims[0].rnd(total * axis.weights[k])
        terms.append((x[(*lead, *(axis.at[k] for axis, k in zip(axes, choice, strict=True)))], weight(total)))
    if vector:
        result: Expr = Fma(*terms[-1], Bin("*", *terms[-2]))
        for a, w in reversed(terms[:-2]):
            result = Fma(a, w, result)
        return result
    result = Fma(*terms[0], Bin("*", *terms[1]))
    for a, w in terms[2:]:
        result = Fma(a, w, result)
    return result


def _linear(rank: int) -> Callable[[OpCall, Index], Expr]:
    def function(c: OpCall, i: Index) -> Expr:
        """`y = Σ w·x` over the 2 (4, 8) nearest elements, w by how near they are."""
        x, out = c.t(0), c.out().shape[2:]
        corners = all_corners(c, x, out)
        dims = dimensions(c, x.shape[2:], out, 2, x.dtype, stored=not corners)
        axes = [linear(d, at) for d, at in zip(dims, i[2:], strict=True)]
        if not corners:
            return _inner_first(x, i[:2], axes)
        lanes = LANES.get(x.dtype, 8)
        return _corners(x, i[:2], axes, i[1] < x.shape[1] // lanes * lanes, dims)

    return function


for _rank, _name in ((1, "linear1d"), (2, "bilinear2d"), (3, "trilinear3d")):
    rule(f"aten.upsample_{_name}.default")(_linear(_rank))


@rule("aten.upsample_bicubic2d.default")
def bicubic(c: OpCall, i: Index) -> Expr:
    """`y = Σ w·x` over the 4 × 4 nearest elements, by cubic convolution."""
    x = c.t(0)
    dims = dimensions(c, x.shape[2:], c.out().shape[2:], 2, x.dtype, stored=True)
    return _inner_first(x, i[:2], [cubic(d, at) for d, at in zip(dims, i[2:], strict=True)])


def reach(d: Dimension, at: int, size: int) -> Axis:
    """The weights of an antialiased dimension; one that keeps its size is left alone."""
    return Axis((at,), (1.0,)) if d.size == d.out else antialiased(d, at, size)


def _antialiased(size: int) -> Callable[[OpCall, Index], Expr]:
    def function(c: OpCall, i: Index) -> Expr:
        """`y = Σ w·x` over all elements within the filter's reach: along rows first, then along columns. (A result of one
        column is given the weights of its first row throughout: the kernel takes them to be the same in its inner loop.)"""
        x, out = c.t(0), c.out().shape
        dims = dimensions(c, x.shape[2:], out[2:], 2, x.dtype, stored=False)
        inner_rows = out[3] == 1 and (out[1] == 1 or not contiguous_last(x))
        rows, columns = reach(dims[0], 0 if inner_rows else i[2], size), reach(dims[1], i[3], size)
        each = [
            _weighted([(x[(*i[:2], h, w)], v) for w, v in zip(columns.at, columns.weights, strict=True)], x.dtype)
            for h in rows.at
        ]
        return _weighted(list(zip(each, rows.weights, strict=True)), x.dtype)

    return function


def _weighted(terms: list[tuple[Expr, float]], dtype: str) -> Expr:
    """A loop over the terms that the compiler made four (two) at a time: those products are rounded, what is left is
    fused."""
    first, w = terms[0]
    if len(terms) == 1 and w == 1:
        return first
    total: Expr = Bin("*", first, weight(w))
    lanes = 2 if dtype == "float64" else 4
    whole = 1 + (len(terms) - 1) // lanes * lanes
    for a, v in terms[1:whole]:
        total = Bin("+", total, Bin("*", a, weight(v)))
    for a, v in terms[whole:]:
        total = Fma(a, weight(v), total)
    return total


rule("aten._upsample_bilinear2d_aa.default")(_antialiased(2))
rule("aten._upsample_bicubic2d_aa.default")(_antialiased(4))
