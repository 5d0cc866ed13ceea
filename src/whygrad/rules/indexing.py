"""Writing to places that indices name: scatter, index_add, index_reduce, put, index_fill
(aten/src/ATen/native/cpu/ScatterGatherKernel.cpp, native/TensorAdvancedIndexing.cpp). Where several numbers meet, they
are taken in turn."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.rules.activations import add, div, mul
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Case, Expr, Num
from whygrad.rules.movement_maps import content, once
from whygrad.rules.movement_sums import flat, meeting, running_sum
from whygrad.rules.pointwise import term
from whygrad.rules.registry import Unruled, rule

Array = np.ndarray[Any, Any]
_WRITTEN_OUT = 64


def dim_of(c: OpCall, rank: int) -> int:
    """The dimension argument of an op on a tensor of `rank` dimensions."""
    return c.integer(1, "dim") % max(rank, 1)


def _along(shape: Index, dim: int, goals: Array, source: Index) -> Array:
    """For every element of a tensor of shape `source` its place in one of `shape`, the coordinate `dim` being `goals`."""
    if not shape:
        return np.zeros(source, np.int64)
    at = [np.arange(n).reshape([-1 if k == d else 1 for k in range(len(source))]) for d, n in enumerate(source)]
    at[dim] = goals
    steps = np.cumprod([1, *reversed(shape[1:])])[::-1]
    total = np.zeros(source, np.int64)
    for coordinate, step in zip(at, steps, strict=True):
        total = total + coordinate * int(step)
    return total


def _scatter_targets(c: OpCall) -> Array:
    """For every element of `index`: the place it names in the result."""
    shape, index = c.out().shape, content(c.t(2)).astype(np.int64)
    dim = dim_of(c, len(shape))
    return _along(shape, dim, index, index.shape)


def _scattered(c: OpCall, i: Index) -> list[Index]:
    """The elements of `src` that are written to element `i`."""
    shape = c.t(2).shape
    hits = meeting(c, "scatter", lambda: _scatter_targets(c), flat(i, c.out().shape))
    return [tuple(int(k) for k in np.unravel_index(int(hit), shape)) if shape else () for hit in hits]


def _index_targets(c: OpCall, source: Operand) -> Array:
    """For every element of an index_add's source: the place it goes to."""
    shape = c.t(0).shape
    index = np.atleast_1d(content(c.t(2))).astype(np.int64)
    dim = dim_of(c, len(shape))
    if not shape:
        return np.zeros(source.shape, np.int64)
    source_shape = source.shape or (1,)
    goals = index.reshape([-1 if d == dim else 1 for d in range(len(source_shape))])
    return _along(shape, dim, np.where(goals < 0, goals + shape[dim], goals), source_shape)


def _indexed(c: OpCall, i: Index, source: Operand) -> Array:
    """Flat places of what index_add, index_reduce bring to element `i`."""
    return meeting(c, "indexed", lambda: _index_targets(c, source), flat(i, c.t(0).shape))


def _at(x: Operand, place: int) -> Expr:
    return x[tuple(int(k) for k in np.unravel_index(place, x.shape)) if x.shape else ()]


@rule("aten.scatter.src", "aten.scatter.value")
def scatter(c: OpCall, i: Index) -> Expr:
    """`y[…, index[…, k, …], …] = src[…, k, …]`, x elsewhere."""
    hits = _scattered(c, i)
    if not hits:
        return Case("no index names it", c.t(0)[i], "src")
    return Case("an index names it", c.t(3)[hits[-1]] if c.has(3) else term(c, 3, i), "x")


@rule("aten.scatter.reduce", "aten.scatter.value_reduce", rounds="each")
def scatter_reduced(c: OpCall, i: Index) -> Expr:
    """`y[…, index[…, k, …], …] += src[…, k, …]`, or `*=`."""
    total: Expr = c.t(0)[i]
    for hit in _scattered(c, i):
        number = c.t(3)[hit] if c.has(3) else c.number(3)
        total = add(total, number) if c.arg(4, "reduce") == "add" else mul(total, number)
    return total


@rule("aten.scatter_add", rounds="either")
def scatter_add(c: OpCall, i: Index) -> Expr:
    """`y[…, index[…, k, …], …] += src[…, k, …]`."""
    src, hits = c.t(3), _scattered(c, i)
    places = np.array([flat(hit, src.shape) for hit in hits], dtype=np.int64)
    return running_sum(src, places, c.t(0)[i], "no index names it")


@rule("aten.index_add", rounds="either")
def index_add(c: OpCall, i: Index) -> Expr:
    """`y[…, index[k], …] += alpha · source[…, k, …]`."""
    source = c.t(3)
    hits, alpha = _indexed(c, i, source), c.arg(4, "alpha", 1)
    if alpha == 1:
        return running_sum(source, hits, c.t(0)[i], "no index names it")
    total: Expr = c.t(0)[i]
    for hit in hits:
        total = add(total, mul(term(c, 4, i, "alpha"), _at(source, int(hit))))
    return total


def _reduce(c: OpCall, i: Index, hits: list[Expr], kind: str, include_self: bool) -> Expr:
    """The numbers that meet at element `i`, reduced in turn; x first, if it counts."""
    x = c.t(0)
    if not hits:
        return Case("no index names it", x[i], "src")
    if len(hits) > _WRITTEN_OUT:
        raise Unruled(f"{len(hits)} numbers meet here")
    numbers = [x[i], *hits] if include_self else hits
    total: Expr = numbers[0]
    for number in numbers[1:]:
        if kind in ("sum", "mean", "add"):
            total = add(total, number)
        elif kind in ("prod", "multiply"):
            total = mul(total, number)
        else:
            total = Call("max" if kind == "amax" else "min", (total, number))
    if kind == "mean" and len(numbers) > 1:
        total = div(total, Num(float(len(numbers)), "n"))
        return Call("floor", (total,)) if x.is_integer else total
    return total


@rule("aten.scatter_reduce", rounds="either")
def scatter_reduce(c: OpCall, i: Index) -> Expr:
    """`y[…, index[…, k, …], …] = reduce(…, src[…, k, …])` by sum, prod, mean, amax or amin; x counts if `include_self`."""
    hits: list[Expr] = [c.t(3)[hit] for hit in _scattered(c, i)]
    return _reduce(c, i, hits, str(c.arg(4, "reduce")), bool(c.arg(5, "include_self", True)))


@rule("aten.index_reduce", rounds="either")
def index_reduce(c: OpCall, i: Index) -> Expr:
    """`y[…, index[k], …] = reduce(…, source[…, k, …])` by prod, mean, amax or amin; x counts if `include_self`."""
    hits: list[Expr] = [_at(c.t(3), int(hit)) for hit in _indexed(c, i, c.t(3))]
    return _reduce(c, i, hits, str(c.arg(4, "reduce")), bool(c.arg(5, "include_self", True)))


@rule("aten.index_fill")
def index_fill(c: OpCall, i: Index) -> Expr:
    """`y[…, index[k], …] = value`, x elsewhere."""
    x, index = c.t(0), np.atleast_1d(content(c.t(2))).astype(np.int64)
    if x.shape:
        dim = dim_of(c, len(x.shape))
        if i[dim] not in index % x.shape[dim]:
            return Case("no index names it", x[i], "the value")
    return Case("an index names it", term(c, 3, i), "x")


@rule("aten.put", rounds="each")
def put(c: OpCall, i: Index) -> Expr:
    """`y.flat[index[k]] = source[k]`, or `+=` where it accumulates; x elsewhere."""
    x, index, source = c.t(0), c.t(1), c.t(2)
    hits = meeting(c, "put", lambda: content(index).astype(np.int64) % x.value.numel, flat(i, x.shape))
    if c.arg(3, "accumulate", False):
        return running_sum(source, hits, x[i], "no index names it")
    if not len(hits):
        return Case("no index names it", x[i], "source")
    return Case("an index names it", _at(source, int(hits[-1])), "x")


def _strided(c: OpCall, first: int, base: Operand) -> Array:
    """Places of storage (from the beginning of `base`'s memory) of a view with the size, stride, offset arguments."""
    size, stride, offset = c.arg(first), c.arg(first + 1), c.arg(first + 2, "storage_offset")
    assert isinstance(size, tuple)
    assert isinstance(stride, tuple)
    start = base.value.offset if offset is None else offset
    assert isinstance(start, int)
    places = np.full([int(str(n)) for n in size], start, np.int64)
    for d, step in enumerate(stride):
        places = places + np.arange(places.shape[d]).reshape([-1 if k == d else 1 for k in range(places.ndim)]) * int(
            str(step)
        )
    return places


@rule("aten.as_strided_scatter")
def as_strided_scatter(c: OpCall, i: Index) -> Expr:
    """`y = x`, but `src` in the places that the strides name."""
    x, src = c.t(0), c.t(1)
    hits = meeting(c, "strided", lambda: _strided(c, 2, x), x.value.location(i))
    if not len(hits):
        return Case("the strides do not name it", x[i], "src")
    return Case("the strides name it", _at(src, int(hits[-1])), "x")


@rule("aten.as_strided_copy")
def as_strided_copy(c: OpCall, i: Index) -> Expr:
    """`yᵢ` is the element of x in the place of memory that the strides name."""
    x = c.t(0)
    index = x.value.index_at(int(once(c, "strided", lambda: _strided(c, 1, x))[i]))
    if index is None:
        raise Unruled("the strides name memory outside the tensor")
    return x[index]
