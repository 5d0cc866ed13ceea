"""Bags of embeddings, and back (aten/src/ATen/native/EmbeddingBag.cpp): the rows of a bag are added up in turn."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.floats.summation import Chain, Order
from whygrad.rules.activations import add, div, mul
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Case, Dot, Expr, Num, Round
from whygrad.rules.movement_maps import content, once
from whygrad.rules.orders import KernelCall, candidates
from whygrad.rules.registry import rule

Array = np.ndarray[Any, Any]
SUM, MEAN, MAX = 0, 1, 2
_NARROW = ("float16", "bfloat16")
_WRITTEN_OUT = 64
_BAGS = ("aten._embedding_bag", "aten._embedding_bag_forward_only")


def _padding(c: OpCall, position: int) -> int:
    found = c.arg(position, "padding_idx", -1)
    return found if isinstance(found, int) else -1


def _mode(c: OpCall, position: int) -> int:
    found = c.arg(position, "mode", 0)
    return found if isinstance(found, int) else SUM


def _bag_of(indices: Operand, offsets: Operand) -> Array:
    """For each index the number of its bag."""
    starts = content(offsets).astype(np.int64)
    return np.searchsorted(starts, np.arange(content(indices).size), side="right") - 1


def _members(c: OpCall, bag: int) -> tuple[Array, Array]:
    """Positions in `indices` of a bag's members but padding, and their rows."""
    indices = content(c.t(1)).reshape(-1).astype(np.int64)
    bags = once(c, "bags", lambda: _bag_of(c.t(1), c.t(2)))
    found = np.flatnonzero((bags == bag) & (indices != _padding(c, 8)))
    return found, indices[found]


@rule(*_BAGS)
def bag(c: OpCall, i: Index) -> Expr:
    """`y[b,d] = Σ w[k]·weight[index[k], d]` over the bag's members, or their mean or largest."""
    weight, mode = c.t(0), _mode(c, 4)
    positions, rows = _members(c, i[0])
    if not len(rows):
        return Case("the bag is empty", Num(0), "Σ weight")
    if mode == MAX:
        column = content(weight)[rows, i[1]].astype(np.float64)
        return Case("it is the largest of the bag", weight[(int(rows[int(np.argmax(column))]), i[1])], "another row")
    elements = weight.at(np.stack([rows, np.full(len(rows), i[1])], axis=1))
    if c.arg(6, "per_sample_weights") is not None:
        scale = c.t(6, "per_sample_weights")
        fused = weight.dtype != "float64"  # by FBGEMM; double precision by the general kernel
        return Dot(elements, scale.at(positions.reshape(-1, 1)), orders=(Order(Chain(), fused=fused),))
    total = Dot(elements, orders=(Order(Chain()),))
    if mode == SUM:
        return total
    return div(Round(total, weight.dtype) if weight.dtype in _NARROW else total, Num(float(len(rows)), "n"))


@rule(*_BAGS, output=1)
def bag_number(c: OpCall, i: Index) -> Expr:
    """The number of the bag that an index belongs to."""
    return Case(
        "its offset is the last not beyond it", Num(float(once(c, "bags", lambda: _bag_of(c.t(1), c.t(2)))[i[0]]))
    )


@rule(*_BAGS, output=2)
def bag_size(c: OpCall, i: Index) -> Expr:
    """How many indices a bag has, padding not counted; nobody counts for a sum."""
    if _mode(c, 4) == SUM:
        return Case("bags that are added up are not counted", Num(0))
    return Case("so many indices, padding not counted", Num(float(len(_members(c, i[0])[0]))))


@rule(*_BAGS, output=3)
def bag_largest(c: OpCall, i: Index) -> Expr:
    """Which row of the weight was the largest of a bag; a bag's size in other modes."""
    if _mode(c, 4) == SUM:
        return Case("bags that are added up are not counted", Num(0))
    _, rows = _members(c, i[0])
    if len(i) < 2 or _mode(c, 4) != MAX:
        return Case("so many indices, padding not counted", Num(float(len(rows))))
    if not len(rows):
        return Case("the bag is empty", Num(0))
    column = content(c.t(0))[rows, i[1]].astype(np.float64)
    return Case("the largest of the bag stands there", Num(float(rows[int(np.argmax(column))])), "another row")


def _backward(c: OpCall, i: Index, first: int) -> Expr:
    """`∂weight[v,d] = Σ s·g[bag, d]` over the places that looked row v up; `first`: the position of `offset2bag`."""
    g, indices = c.t(0), content(c.t(1)).reshape(-1).astype(np.int64)
    sparse = first == 3
    mode, padding = _mode(c, first + 5), _padding(c, first + 8 if sparse else first + 7)
    if mode == MAX:
        chosen = content(c.t(first + 2))[:, i[1]]
        return _in_turn([(1.0, g[(int(b), i[1])]) for b in np.flatnonzero(chosen == i[0])])
    places = np.flatnonzero(indices == i[0]) if i[0] != padding else np.zeros(0, np.int64)
    bags, sizes = content(c.t(first)), content(c.t(first + 1))
    if sparse and not bags.size:
        bags = once(c, "bags", lambda: _bag_of(c.t(1), c.t(2)))
    position = first + 7 if sparse else first + 6
    weights = content(c.t(position)) if c.has(position) else None
    terms: list[tuple[float, Expr]] = []
    for k in places:
        scale = 1.0 if weights is None else float(weights[k])
        scale = scale / len(places) if c.arg(first + 4) else scale
        scale = scale / float(sizes[bags[k]]) if mode == MEAN else scale
        terms.append((scale, g[(int(bags[k]), i[1])]))
    return _in_turn(terms)


def _in_turn(terms: list[tuple[float, Expr]]) -> Expr:
    if not terms:
        return Case("no index looked this row up", Num(0), "Σ g")
    total: Expr = Num(0)
    for scale, g in terms[:_WRITTEN_OUT]:
        total = add(total, g if scale == 1 else mul(Num(scale, "scale"), g))
    return total


@rule("aten._embedding_bag_backward", rounds="either")
def bag_backward(c: OpCall, i: Index) -> Expr:
    """`∂weight[v,d] = Σ s·g[bag, d]`, s by mode, frequency and sample weight."""
    return _backward(c, i, 3)


@rule("aten._embedding_bag_dense_backward", rounds="either")
def bag_dense_backward(c: OpCall, i: Index) -> Expr:
    """`∂weight[v,d] = Σ s·g[bag, d]`, s by mode, frequency and sample weight."""
    return _backward(c, i, 2)


def _dot_orders(a: Operand) -> tuple[Order, ...]:
    n = a.shape[1]
    return candidates(KernelCall("aten.dot", a.dtype, ((n,), (n,)), ((1,), (1,))))[:1]


@rule("aten._embedding_bag_per_sample_weights_backward")
def sample_weights_backward(c: OpCall, i: Index) -> Expr:
    """`∂w[k] = Σ_d g[bag, d]·weight[index[k], d]`."""
    g, weight = c.t(0), c.t(1)
    bags = content(c.t(4))
    bags = bags if bags.size else once(c, "bags", lambda: _bag_of(c.t(2), c.t(3)))
    row, at = int(content(c.t(2)).reshape(-1)[i[0]]), int(bags[i[0]])
    if row == _padding(c, 6):
        return Case("it is padding", Num(0), "Σ g·weight")
    return Dot(g.series(at, None), weight.series(row, None), orders=_dot_orders(weight))
