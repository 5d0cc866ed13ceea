"""Sparse tensors: `indices` (dims, n) say where the rows of `values` (n, …) belong; a place may come several times
(aten/src/ATen/native/sparse/SparseTensor.cpp, SparseTensorMath.cpp)."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np

from whygrad.floats.summation import Chain, Order
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Bin, Case, Dot, Expr, Num, Var
from whygrad.rules.registry import Unruled, rule
from whygrad.rules.sparse_compressed import compressed, copied_indices, is_compressed
from whygrad.trace.model import Arg, Ref, Token

Array = np.ndarray[Any, Any]
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


def _content(x: Operand) -> Array:
    return x.call.trace.content(x.call.step, x.value)


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


@rule("aten._coalesce", "aten.coalesce", output=1)
def coalesced_indices(c: OpCall, i: Index) -> Expr:
    """The places that occur, each once, in order."""
    indices, _ = parts(c, 0)
    table = _content(indices)
    places, first = np.unique(table, axis=1, return_index=True)
    assert places.shape == c.step.values[c.op.written[1]].shape
    return Case(f"it is place {i[1]} in order", indices[(i[0], int(first[i[1]]))], "another place")


_TAKE_OVER = (
    "abs", "asin", "asinh", "atan", "atanh", "ceil", "clone", "conj_physical", "div", "erf", "erfinv", "expm1", "floor",
    "log1p", "mul", "neg", "pow", "rad2deg", "deg2rad", "relu", "round", "sgn", "sign", "sin", "sinh", "sqrt", "square", "tan",
    "tanh", "trunc", "_to_copy", "detach", "resize_as_sparse", "sparse_sampled_addmm",
)  # fmt: skip
"""Ops of a sparse tensor that compute new values for the places that it has; those of compressed rows write two tensors of
indices."""


def _taken_over(which: int) -> None:
    @rule(*(f"aten.{name}" for name in _TAKE_OVER), output=1 + which)
    def indices(c: OpCall, i: Index) -> Expr:  # pyright: ignore[reportUnusedFunction]
        """The places are the argument's."""
        if is_compressed(c.arg(0)):
            return copied_indices(c, 0, which, i)
        if which:
            raise Unruled("a third result")
        return parts(c, 0)[0][i]

    @rule("aten._sparse_mm_reduce_impl_backward", output=2 + which)
    def of_gradient(c: OpCall, i: Index) -> Expr:  # pyright: ignore[reportUnusedFunction]
        """The places are those of the matrix."""
        return copied_indices(c, 0, which, i)

    @rule("aten.sparse_mask", output=1 + which)
    def of_mask(c: OpCall, i: Index) -> Expr:  # pyright: ignore[reportUnusedFunction]
        """The places are those of the mask."""
        return copied_indices(c, 1, which, i) if is_compressed(c.arg(1)) else parts(c, 1)[0][i]


_taken_over(0)
_taken_over(1)


def _filled_places(c: OpCall) -> Array:
    """The places of a dense tensor that are not 0 (not all 0, in the last dimensions that stay dense), in order."""
    layout = c.arg(-1, "layout")
    if isinstance(layout, Token) and layout.text != "sparse_coo":
        raise Unruled(f"the layout {layout.text}")
    numbers = _content(c.t(0))
    dims = c.arg(1, "sparse_dim")
    dims = numbers.ndim if not isinstance(dims, int) else dims
    filled = (numbers != 0).reshape(*numbers.shape[:dims], -1).any(axis=-1)
    return np.argwhere(filled)


@rule("aten._to_sparse")
def to_sparse(c: OpCall, i: Index) -> Expr:
    """`v[k] = x[indices[k]]`, the k-th place of x that is not 0."""
    place = _filled_places(c)[i[0]]
    return c.t(0)[(*(int(n) for n in place), *i[1:])]


@rule("aten._to_sparse", output=1)
def to_sparse_indices(c: OpCall, i: Index) -> Expr:
    """The places of x that are not 0, in order."""
    place = _filled_places(c)[i[1]]
    if len(place) == len(c.t(0).shape):
        c.t(0)[tuple(int(n) for n in place)]
    return Case(f"it is place {i[1]} that is not 0", Num(float(place[i[0]])), "another place")


@rule("aten.sparse_mask")
def sparse_mask(c: OpCall, i: Index) -> Expr:
    """`v[k] = x[indices[k]]`: the rows of a dense tensor that the mask has."""
    if is_compressed(c.arg(1)):
        mask = compressed(c, 1)
        return c.t(0)[(mask.row_of(i[0]), int(mask.col[i[0]]))]
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
