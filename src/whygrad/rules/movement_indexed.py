"""Movement by a tensor of indices: gather, index, embedding, and their backward passes, which add up what meets."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.rules.activations import add
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Case, Expr, Num
from whygrad.rules.movement_sums import meeting, running_sum
from whygrad.rules.registry import Unruled, rule
from whygrad.trace.model import Ref

Array = np.ndarray[Any, Any]


def content(x: Operand) -> Array:
    """A tensor's recorded numbers."""
    return np.asarray(x.call.trace.content(x.call.step, x.value))


def _dim(c: OpCall, i: Index) -> int:
    return c.integer(1, "dim") % max(len(i), 1)


@rule("aten.gather")
def gather(c: OpCall, i: Index) -> Expr:
    """`y[…, k, …] = x[…, index[…, k, …], …]`."""
    x, index, dim = c.t(0), c.t(2), _dim(c, i)
    index[i]
    at = int(index.item(i))
    return x[(*i[:dim], at, *i[dim + 1 :])] if x.shape else x[()]


@rule("aten.index_select")
def index_select(c: OpCall, i: Index) -> Expr:
    """`y[…, k, …] = x[…, index[k], …]`."""
    x, index, dim = c.t(0), c.t(2), _dim(c, i)
    if not x.shape:
        return x[()]
    place = (i[dim],) if index.shape else ()
    index[place]
    return x[(*i[:dim], int(index.item(place)), *i[dim + 1 :])]


@rule("aten.embedding")
def embedding(c: OpCall, i: Index) -> Expr:
    """`y[…, d] = weight[index[…], d]`."""
    c.t(1)[i[:-1]]
    return c.t(0)[(int(c.t(1).item(i[:-1])), i[-1])]


@rule("aten.embedding_dense_backward", rounds="either")
def embedding_dense_backward(c: OpCall, i: Index) -> Expr:
    """`∂weight[v, d] = Σ g[…, d]` over the places that looked up row v, one after the other; 0 for the padding row
    (aten/src/ATen/native/Embedding.cpp)."""
    g = c.t(0)
    if i[0] == c.arg(3):
        return Case("it is the padding row", Num(0), "Σ g")
    if c.arg(4):
        raise Unruled("gradients scaled by frequency")
    places = meeting(c, "looked up", lambda: content(c.t(1)), i[0])
    return running_sum(g, places * g.shape[-1] + i[-1], none="no index looked this row up")


def _sources(c: OpCall, x: Operand) -> Array:
    """For every element of `x[indices]` the flat place in x that it is taken from."""
    flat = np.arange(x.value.numel).reshape(x.shape)
    arg = c.arg(1)
    refs = arg if isinstance(arg, tuple) else (arg,)
    key = tuple(
        content(Operand(c, c.step.values[r.id])) if isinstance(r, Ref) else slice(None) for r in refs
    )  # fmt: skip
    return flat[tuple(k.astype(np.int64) if isinstance(k, np.ndarray) and k.dtype != bool else k for k in key)]


@rule("aten.index.Tensor", "aten._unsafe_index.Tensor")
def index(c: OpCall, i: Index) -> Expr:
    """`y = x[indices]`, by numpy's rules of advanced indexing."""
    x = c.t(0)
    return x[tuple(int(k) for k in np.unravel_index(int(_sources(c, x)[i]), x.shape))]


@rule("aten.index_put", "aten._index_put_impl", "aten._unsafe_index_put", rounds="each")
def index_put(c: OpCall, i: Index) -> Expr:
    """`y[indices] = values`, or `+=` when it accumulates; where two values meet without it, the last one stays."""
    x, values = c.t(0), c.t(2)
    targets = _sources(c, x)
    hits = np.argwhere(targets == int(np.ravel_multi_index(i, x.shape)))
    if not len(hits):
        return Case("no index names it", x[i], "a value")
    if not c.arg(3, "accumulate", False):
        return Case("an index names it", values.broadcast(tuple(int(k) for k in hits[-1])), "the old value")
    total: Expr = x[i]
    for hit in hits:
        total = add(total, values.broadcast(tuple(int(k) for k in hit)))
    return total
