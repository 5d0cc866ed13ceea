"""Sparse matrices of compressed rows: row r has the values k from `crow[r]` to before `crow[r + 1]`, in the columns `col[k]`
(aten/src/ATen/native/sparse/SparseCsrTensorMath.cpp, SparseMatMul.cpp; native/cpu/SampledAddmmKernel.cpp,
SpmmReduceKernel.cpp)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whygrad.floats.summation import Chain, Order
from whygrad.rules.activations import add, div, mul
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Case, Dot, Expr, Num, Var
from whygrad.rules.movement_maps import content
from whygrad.rules.registry import Unruled, rule
from whygrad.trace.model import Arg, Ref, Token

Integers = NDArray[np.int64]
_IN_TURN = (Order(Chain()), Order(Chain(), fused=True))
_PAIRS = (Order(Chain(from_zero=False)),)
"""A vector's products added from the first lane on: rows of fewer elements than a vector has."""


@dataclass(frozen=True)
class Compressed:
    """A matrix of compressed rows: row r has the values `crow[r]` … `crow[r + 1] − 1`, in the columns `col`."""

    crow: Integers
    col: Integers
    values: Operand

    def row(self, r: int) -> Integers:
        """The places of a row's values."""
        return np.arange(self.crow[r], self.crow[r + 1])

    def row_of(self, k: int) -> int:
        """The row that has value k."""
        return int(np.searchsorted(self.crow, k, side="right")) - 1


def is_compressed(arg: Arg) -> bool:
    """Whether an argument is a sparse matrix of compressed rows (or columns)."""
    return isinstance(arg, tuple) and bool(arg) and isinstance(arg[0], Token) and arg[0].kind == "compressed"


def compressed(c: OpCall, position: int) -> Compressed:
    """A sparse argument. Raises Unruled where it is none of compressed rows, without blocks and batches."""
    arg = c.arg(position)
    if not is_compressed(arg) or not isinstance(arg, tuple) or not isinstance(arg[0], Token):
        raise Unruled(f"argument {position} is no matrix of compressed rows")
    plain, values, crow = (
        Operand(c, c.step.values[each.id]) for each in (arg[1], arg[2], arg[4]) if isinstance(each, Ref)
    )
    if arg[0].text != "sparse_csr" or len(values.shape) != 1:
        raise Unruled(f"a sparse matrix of the layout {arg[0].text}, or a batch of them")
    return Compressed(content(crow).astype(np.int64), content(plain).astype(np.int64), values)


def is_sparse(arg: Arg) -> bool:
    """Whether an argument is a sparse tensor of any layout."""
    return (
        isinstance(arg, tuple) and bool(arg) and isinstance(arg[0], Token) and arg[0].kind in ("sparse", "compressed")
    )


def _entries(c: OpCall, position: int) -> tuple[Integers, Integers, Operand]:
    """Rows and columns of a sparse matrix's values, in their order, and these. Raises Unruled for other layouts, batches and
    values that are rows."""
    arg = c.arg(position)
    assert isinstance(arg, tuple)
    assert isinstance(arg[0], Token)
    plain, values, *compressed = (Operand(c, c.step.values[each.id]) for each in arg if isinstance(each, Ref))
    if len(values.shape) != 1:
        raise Unruled("a batch of sparse matrices, or one with dense rows")
    table = content(plain).astype(np.int64)
    if not compressed:
        return table[0], table[1], values
    ends = content(compressed[0]).astype(np.int64)
    repeated = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    if arg[0].text not in ("sparse_csr", "sparse_csc"):
        raise Unruled(f"a sparse matrix of the layout {arg[0].text}")
    return (repeated, table, values) if arg[0].text == "sparse_csr" else (table, repeated, values)


def product(c: OpCall, i: Index) -> Expr:
    """`y[n,o] = Σₖ a[n,k]·b[k,o]` where one of a and b is sparse, over its values."""
    n, o = i
    if is_sparse(c.arg(0)) and is_sparse(c.arg(1)):
        raise Unruled("two sparse matrices")
    if is_sparse(c.arg(0)):
        rows, columns, values = _entries(c, 0)
        at = np.flatnonzero(rows == n)
        return _sum(values, at, c.t(1), columns[at], o)
    a = c.t(0)
    rows, columns, values = _entries(c, 1)
    at = np.flatnonzero(columns == o)
    if not len(at):
        return Case("the column is empty", Num(0), "Σ a·b")
    return Dot(a.at(np.stack([np.full(len(at), n), rows[at]], 1)), values.at(at.reshape(-1, 1)), orders=_IN_TURN)


def _sum(values: Operand, at: Integers, dense: Operand, rows: Integers, column: int) -> Expr:
    if not len(at):
        return Case("the row is empty", Num(0), "Σ a·b")
    return Dot(values.at(at.reshape(-1, 1)), dense.at(np.stack([rows, np.full(len(at), column)], 1)), orders=_IN_TURN)


@rule("aten.sparse_sampled_addmm")
def sampled_addmm(c: OpCall, i: Index) -> Expr:
    """`v′[k] = alpha·Σⱼ a[r,j]·b[j,col[k]] + beta·v[k]`, r the row of k: a product where the sparse matrix has values."""
    sparse, (k,) = compressed(c, 0), i
    row, column = sparse.row_of(k), int(sparse.col[k])
    total = Dot(c.t(1).series(row, None), c.t(2).series(None, column), orders=_PAIRS)
    return add(mul(c.number(-1, "alpha", 1), total), mul(c.number(-1, "beta", 1), sparse.values[i]))


@rule("aten._sparse_mm_reduce_impl")
def mm_reduce(c: OpCall, i: Index) -> Expr:
    """`y[r,o] = Σₖ v[k]·x[col[k],o]` over the row's values, or the mean, largest or smallest of these products."""
    sparse, x, (row, column) = compressed(c, 0), c.t(1), i
    kind, at = str(c.arg(2)), sparse.row(row)
    if not len(at):
        return Case("the row is empty", Num(0), "v·x")
    if kind in ("sum", "mean"):
        total = _sum(sparse.values, at, x, sparse.col[at], column)
        return total if kind == "sum" else div(total, Num(float(len(at)), "n"))
    best = int(content(c.out(1))[i])
    words = "it is the largest of the row" if kind == "amax" else "it is the smallest of the row"
    return Case(words, mul(sparse.values[(best,)], x[(int(sparse.col[best]), column)]), "another product")


@rule("aten._sparse_mm_reduce_impl", output=1)
def mm_reduce_place(c: OpCall, i: Index) -> Expr:
    """Which value of the row made the largest (smallest) product: the first of equals."""
    sparse, x, (row, column) = compressed(c, 0), c.t(1), i
    kind, at = str(c.arg(2)), sparse.row(row)
    if kind not in ("amax", "amin"):
        raise Unruled("no place is written for a sum")
    if not len(at):
        return Case("the row is empty", Num(float(len(sparse.col))), "a place")
    products = content(sparse.values)[at].astype(np.float64) * content(x)[sparse.col[at], column].astype(np.float64)
    products = products.astype(content(x).dtype) if x.dtype in ("float32", "float64") else products
    for k in at:
        mul(sparse.values[(int(k),)], x[(int(sparse.col[k]), column)])
    best = int(np.argmax(products) if kind == "amax" else np.argmin(products))
    return Case("its product is the largest" if kind == "amax" else "its product is the smallest", Num(float(at[best])))


@rule("aten._sparse_mm_reduce_impl_backward")
def mm_reduce_backward(c: OpCall, i: Index) -> Expr:
    """`∂v[k] = Σₒ g[r,o]·x[col[k],o]`, r the row of k; for a mean divided by the row's n; for the largest over the columns o
    whose largest it was."""
    sparse, g, x, (k,) = compressed(c, 0), c.t(1), c.t(2), i
    kind, row = str(c.arg(3)), sparse.row_of(i[0])
    columns = np.arange(g.shape[1])
    if kind in ("amax", "amin"):
        columns = np.flatnonzero(content(c.t(4))[row] == k)
    if not len(columns):
        return Case("its product was nowhere chosen", Num(0), "Σ g·x")
    there = np.stack([np.full(len(columns), row), columns], 1)
    total = Dot(
        g.at(there), x.at(np.stack([np.full(len(columns), sparse.col[k]), columns], 1)),
        orders=_PAIRS if kind in ("sum", "mean") else _IN_TURN,
    )  # fmt: skip
    return div(total, Num(float(len(sparse.row(row))), "n")) if kind == "mean" else total


@rule("aten._sparse_mm_reduce_impl_backward", output=1)
def mm_reduce_backward_dense(c: OpCall, i: Index) -> Expr:
    """`∂x[j,o] = Σₖ v[k]·g[r,o]` over the values in column j, r the row of each (for a mean v over the row's n; for the
    largest, those that were it)."""
    sparse, g, (column, o) = compressed(c, 0), c.t(1), i
    kind = str(c.arg(3))
    at = np.flatnonzero(sparse.col == column)
    rows = np.array([sparse.row_of(int(k)) for k in at], dtype=np.int64)
    if kind in ("amax", "amin") and len(at):
        chosen = content(c.t(4))[rows, o] == at
        at, rows = at[chosen], rows[chosen]
    if not len(at):
        return Case("no value of the row was used", Num(0), "Σ v·g")
    there = g.at(np.stack([rows, np.full(len(at), o)], 1))
    if kind != "mean":
        return Dot(sparse.values.at(at.reshape(-1, 1)), there, orders=_IN_TURN)
    counts = (sparse.crow[rows + 1] - sparse.crow[rows]).astype(np.float64)
    numbers = c.constants_of(counts, lambda k: "n")
    return Dot(
        sparse.values.at(at.reshape(-1, 1)),
        there,
        more=(numbers,),
        term=mul(div(Var(0), Var(-1)), Var(1)),
        orders=_IN_TURN,
    )


def copied_indices(c: OpCall, position: int, which: int, i: Index) -> Expr:
    """The plain (0) or compressed (1) indices of argument `position`."""
    arg = c.arg(position)
    ref = arg[1 if which == 0 else 4] if isinstance(arg, tuple) and is_compressed(arg) else None
    if not isinstance(ref, Ref):
        raise Unruled(f"argument {position} is no matrix of compressed rows")
    return Operand(c, c.step.values[ref.id])[i]
