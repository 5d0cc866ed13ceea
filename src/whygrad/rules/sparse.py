"""Sparse tensors: `indices` (dims, n) say where the rows of `values` (n, …) belong; a place may come several times
(aten/src/ATen/native/sparse/SparseTensor.cpp, SparseTensorMath.cpp)."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np

from whygrad.floats.summation import Chain, Order
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Bin, Case, Dot, Expr, Num, Var
from whygrad.rules.registry import Unruled, rule
from whygrad.trace.model import Arg, Ref, Token

Sparse = tuple[Token, Ref, Ref, tuple[int, ...]]


def is_sparse(arg: Arg) -> TypeGuard[Sparse]:
    """Whether an argument is a sparse tensor."""
    return isinstance(arg, tuple) and len(arg) == 4 and isinstance(arg[0], Token) and arg[0].kind == "sparse"


def parts(c: OpCall, position: int) -> tuple[Operand, Operand]:
    """Indices and values of a sparse argument. Raises Unruled for any other."""
    arg = c.arg(position)
    if not is_sparse(arg):
        raise Unruled(f"argument {position} is not sparse")
    return Operand(c, c.step.values[arg[1].id]), Operand(c, c.step.values[arg[2].id])


def _rows(indices: Operand, where: Index) -> list[int]:
    table = indices.call.trace.content(indices.call.step, indices.value)
    return [int(k) for k in np.flatnonzero((table == np.array(where)[:, None]).all(axis=0))]


@rule("aten._coalesce", "aten.coalesce")
def coalesce(c: OpCall, i: Index) -> Expr:
    """`v′[k] = Σⱼ v[j]` over the j whose index is that of k, one after the other."""
    indices, values = parts(c, 0)
    written = [c.step.values[w] for w in c.op.written]
    new = next((v for v in written if v.dtype == "int64"), None)
    if new is None:
        return values[i]
    table = c.trace.content(c.step, new)
    rows = _rows(indices, tuple(int(n) for n in table[:, i[0]]))
    if len(rows) == 1:
        return values[(rows[0], *i[1:])]
    terms = values.at(np.array([(row, *i[1:]) for row in rows], dtype=np.int64))
    return Dot(terms, orders=(Order(Chain(from_zero=False), init="none"),))


@rule("aten.sparse_mask")
def sparse_mask(c: OpCall, i: Index) -> Expr:
    """`v[k] = x[indices[k]]`: the rows of a dense tensor that the mask has."""
    indices, values = parts(c, 1)
    table = c.trace.content(c.step, indices.value)
    assert len(i) == len(values.shape)
    return c.t(0)[(*(int(n) for n in table[:, i[0]]), *i[1:])]


def added_rows(c: OpCall, i: Index) -> Expr:
    """`y[r] = x[r] + alpha·Σₖ v[k]` over the k whose index is r (native/sparse/SparseTensorMath.cpp:
    add_out_dense_sparse_cpu)."""
    indices, values = parts(c, 1)
    dims = indices.shape[0]
    alpha = c.arg(2, "alpha", 1)
    expr: Expr = c.t(0)[i]
    rows = _rows(indices, i[:dims])
    if not rows:
        return Case("the sparse tensor has no such row", expr, "its rows added")
    for row in rows:
        value: Var = values[(row, *i[dims:])]
        expr = Bin("+", expr, value if alpha == 1 else Bin("*", c.number(2, "alpha", 1), value))
    return expr


@rule("aten._to_dense", "aten.to_dense")
def to_dense(c: OpCall, i: Index) -> Expr:
    """`y[r] = Σₖ v[k]` over the k whose index is r."""
    indices, values = parts(c, 0)
    dims = indices.shape[0]
    rows = _rows(indices, i[:dims])
    if not rows:
        return Num(0)
    terms = values.at(np.array([(row, *i[dims:]) for row in rows], dtype=np.int64))
    return Dot(terms, orders=(Order(Chain(), init="none"),))
