"""Indexing with a mask, segments and bins (aten/src/ATen/native/TensorAdvancedIndexing.cpp, SegmentReduce.cpp,
cpu/HistogramKernel.cpp)."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.floats.summation import Chain, Order
from whygrad.rules.activations import div, mul
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Case, Dot, Expr, Num
from whygrad.rules.movement_maps import content, once
from whygrad.rules.movement_sums import flat, meeting, running_sum
from whygrad.rules.pointwise import term
from whygrad.rules.registry import Unruled, rule
from whygrad.trace.model import Ref

Array = np.ndarray[Any, Any]
_WRITTEN_OUT = 64


def _indices(c: OpCall, shape: Index, position: int) -> Array:
    """For every element of `x[indices]` the place in x that it is taken from; indices beyond x are drawn in."""
    places = np.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)
    arg = c.arg(position)
    key: list[Any] = []
    for d, each in enumerate(arg if isinstance(arg, tuple) else (arg,)):
        if not isinstance(each, Ref):
            key.append(slice(None))
            continue
        at = content(Operand(c, c.step.values[each.id]))
        key.append(at if at.dtype == bool else np.clip(at.astype(np.int64), -shape[d], shape[d] - 1))
    return places[tuple(key)]


@rule("aten._unsafe_masked_index")
def masked_index(c: OpCall, i: Index) -> Expr:
    """`y = x[indices]` where the mask is set, `fill` elsewhere."""
    x, mask = c.t(0), np.broadcast_to(content(c.t(1)), c.out().shape)
    if not mask[i]:
        return Case("it is masked out", term(c, 3, i), "x")
    place = int(np.broadcast_to(once(c, "sources", lambda: _indices(c, x.shape, 2)), c.out().shape)[i])
    return x[tuple(int(k) for k in np.unravel_index(place, x.shape))]


@rule("aten._unsafe_masked_index_put_accumulate", rounds="each")
def masked_index_put(c: OpCall, i: Index) -> Expr:
    """`y = x`, with `y[indices] += values` where the mask is set."""
    x, values = c.t(0), c.t(3)

    def targets() -> Array:
        places = _indices(c, x.shape, 2)
        mask = np.broadcast_to(content(c.t(1)), places.shape)
        return np.broadcast_to(np.where(mask, places, -1), values.shape)

    return running_sum(values, meeting(c, "targets", targets, flat(i, x.shape)), x[i], "no index names it")


def _segment(c: OpCall, at: Index) -> Array:
    """The coordinates along the axis of segment `at[-1]`."""
    lengths = next((content(c.t(-1, key)) for key, a in c.op.kwargs if key == "lengths" and a is not None), None)
    if lengths is not None:
        stops = np.cumsum(lengths, axis=-1)
        return np.arange(int(stops[at] - lengths[at]), int(stops[at]))
    offsets = next((content(c.t(-1, key)) for key, a in c.op.kwargs if key == "offsets" and a is not None), None)
    if offsets is None:
        raise Unruled("segments given by indices")
    return np.arange(int(offsets[at]), int(offsets[(*at[:-1], at[-1] + 1)]))


@rule("aten.segment_reduce", rounds="either")
def segment_reduce(c: OpCall, i: Index) -> Expr:
    """`y` reduces the elements of a segment in turn: sum, mean, max, min or prod, from `initial` where it is given."""
    x, kind = c.t(0), str(c.arg(1, "reduce"))
    axis = int(str(c.arg(-1, "axis", 0)))
    where = _segment(c, i[: axis + 1])
    initial = c.arg(-1, "initial")
    start = c.number(-1, "initial") if isinstance(initial, (int, float)) else None
    if not len(where):
        empty = {"prod": 1.0, "mean": float("nan"), "sum": 0.0}.get(
            kind, float("-inf") if kind == "max" else float("inf")
        )
        return Case("the segment is empty", Num(empty) if start is None else start, "a sum")
    indices = np.empty((len(where), len(x.shape)), np.int64)
    indices[:] = i
    indices[:, axis] = where
    if kind in ("sum", "mean") and len(where) > _WRITTEN_OUT:
        total: Expr = Dot(
            x.at(indices), init=start, orders=(Order(Chain(), init="none" if start is None else "first"),)
        )
    else:
        terms: list[Expr] = [x[tuple(row)] for row in indices]
        total = terms.pop(0) if start is None else start
        for each in terms:
            total = _joined(kind, total, each)
    return div(total, Num(float(len(where)), "n")) if kind == "mean" else total


def _joined(kind: str, total: Expr, each: Expr) -> Expr:
    from whygrad.rules.activations import add

    if kind in ("sum", "mean"):
        return add(total, each)
    return mul(total, each) if kind == "prod" else Call(kind, (total, each))


def _bin(numbers: Array, low: float, high: float, bins: int) -> Array:
    """The bin of each number, −1 where it has none; the last bin holds its upper edge."""
    kind = numbers.dtype.type
    with np.errstate(all="ignore"):
        place = ((numbers - kind(low)) * kind(bins) / kind(high - low)).astype(np.int64)
    inside = (numbers >= kind(low)) & (numbers <= kind(high))
    return np.where(inside, np.minimum(place, bins - 1), -1)


@rule("aten.histc")
def histc(c: OpCall, i: Index) -> Expr:
    """How many elements lie in bin i of equal bins."""
    numbers = content(c.t(0)).reshape(-1)
    wide = numbers if numbers.dtype == np.float64 else numbers.astype(np.float32)
    low, high = c.real(2, "min", 0.0), c.real(3, "max", 0.0)
    if low == high and wide.size:
        low, high = float(wide.min()), float(wide.max())
        low, high = (low - 1, high + 1) if low == high else (low, high)
    count = int(np.count_nonzero(_bin(wide, low, high, c.out().shape[0]) == i[0]))
    return Case("so many elements lie in the bin", Num(float(count)), "another count")


@rule("aten._segment_reduce_backward", rounds="either")
def segment_reduce_backward(c: OpCall, i: Index) -> Expr:
    """`∂x` of a segment: g for a sum, g/n for a mean, g shared by the largest (smallest) elements, `g·y/x` for a product."""
    g, y, x, kind = c.t(0), c.t(1), c.t(2), str(c.arg(3, "reduce"))
    axis = int(str(c.arg(-1, "axis", 0)))
    for k in range(y.shape[axis]):
        where = _segment(c, (*i[:axis], k))
        if i[axis] not in where:
            continue
        at = (*i[:axis], k, *i[axis + 1 :])
        if kind in ("sum", "mean"):
            return g[at] if kind == "sum" else div(g[at], Num(float(len(where)), "n"))
        if kind == "prod":
            return div(mul(g[at], y[at]), x[i])
        row = content(x)[(*i[:axis], where, *i[axis + 1 :])].astype(np.float64)
        best = float(content(y)[at])
        count = int(np.count_nonzero(row == best))
        if x.item(i) != best:
            return Case("it was not chosen", Num(0), "g")
        return Case("it was chosen", div(g[at], Num(float(count), "n")) if count > 1 else g[at], "0")
    return Case("it belongs to no segment", Num(0), "g")
