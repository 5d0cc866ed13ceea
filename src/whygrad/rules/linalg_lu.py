"""LU decomposition with row pivoting (LAPACK getrf), and what is made of it: determinants.

`P·L·U = A`: `LU[i,j] = A[p(i),j] − Σ_{k<min(i,j)} L[i,k]·U[k,j]`, divided by `U[j,j]` below the diagonal. Solutions and
inverses have no rule: they are those of two triangular systems, which `explain.inside` runs again one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.rules.activations import mul
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Call, Case, Dot, Expr, Neg, Num, Var
from whygrad.rules.linalg_matrices import Matrix, remainder, solved, split
from whygrad.rules.orders import KernelCall, candidates
from whygrad.rules.registry import Unruled, rule

Array = np.ndarray[Any, Any]
_NEARLY_LARGEST = 0.99
"""Rounding decides between candidates for a pivot that are as near to each other as this."""


def permutation(pivots: Array, rows: int) -> Array:
    """Row i of `L·U` is row `permutation[i]` of A; pivots count from 1, as LAPACK's."""
    order = np.arange(rows)
    for i, pivot in enumerate(pivots.astype(int).tolist()):
        order[[i, pivot - 1]] = order[[pivot - 1, i]]
    return order


@dataclass(frozen=True)
class Factored:
    """`low·up = a[order]`; low has an unwritten diagonal of ones (`unit`), low and up may be one matrix."""

    a: Matrix
    low: Matrix
    up: Matrix
    order: Array

    def element(self, i: int, j: int) -> Expr:
        """Element (i, j) of L (below the diagonal) or U."""
        start = self.a[int(self.order[i]), j]
        before = range(min(i, j))
        left, right = self.low.row(i, before), self.up.column(before, j)
        if i <= j:
            return remainder(start, left, right)
        if self.up.x.item((*self.up.batch, j, j)) == 0:
            return remainder(start, left, right)
        return solved(start, left, right, self.up[j, j])

    def was_largest(self, i: int) -> bool:
        """Whether the row chosen as the i-th had the largest candidate in its column."""
        a = self.a.numbers()[self.order]
        low, up = np.tril(self.low.numbers(), -1), self.up.numbers()
        k = min(i, low.shape[1])
        candidates = np.abs(a[i:, i] - low[i:, :k] @ up[:k, i])
        return bool(candidates[0] >= _NEARLY_LARGEST * candidates.max())


def factored(c: OpCall, a: Matrix, packed: int, pivots: int) -> Factored:
    """The factors as the op returned them, packed in one matrix. The kernel factors the transpose of a matrix that is
    stored by rows: which of the two these are, their product tells."""
    lu = Matrix(c.out(packed), a.batch)
    order = permutation(c.trace.content(c.step, c.out(pivots).value)[a.batch], lu.rows)
    numbers = lu.numbers()
    k = min(numbers.shape)
    product = (np.tril(numbers[:, :k], -1) + np.eye(len(numbers), k)) @ np.triu(numbers[:k])
    given = a.numbers()
    if given.shape[0] == given.shape[1] and _distance(product, given.T[order]) < _distance(product, given[order]):
        a = a.T
    return Factored(a, lu, lu, order)


def _distance(a: Array, b: Array) -> float:
    return float(np.abs(a - b).sum())


def _packed(position: int, pivots: int) -> Callable[[OpCall, Index], Expr]:
    def element(c: OpCall, i: Index) -> Expr:
        """`U[i,j] = A[p(i),j] − Σ L[i,k]·U[k,j]`, `L[i,j]` so and divided by `U[j,j]`; one matrix holds both."""
        batch, row, column = split(c, i)
        return factored(c, Matrix(c.t(0), batch), position, pivots).element(row, column)

    return element


def _pivot(position: int, packed: int) -> Callable[[OpCall, Index], Expr]:
    def pivot(c: OpCall, i: Index) -> Expr:
        """The row that changed places with row i: that of the largest candidate in column i."""
        found = int(c.out(position).item(i))
        parts = factored(c, Matrix(c.t(0), i[:-1]), packed, position)
        row = i[-1]
        if c.op.kind.startswith("aten.linalg_lu") and not c.arg(1, "pivot", True):
            return Case("rows are not exchanged", Num(float(row + 1)), "the row of the largest candidate")
        if not parts.was_largest(row):
            raise Unruled("another row has a larger candidate")
        held = parts.a[int(parts.order[row]), row]
        del held
        return Case(
            "this row, counted from 1, has the largest candidate left in its column", Num(float(found)), "another"
        )

    return pivot


def _info(c: OpCall, i: Index) -> Expr:
    """0, or the number of the first pivot that is 0."""
    found = c.out(c.output).item(i)
    packed = {"aten.linalg_lu_factor_ex": 0}.get(c.op.kind, 1)
    if c.op.kind == "aten.linalg_inv_ex":
        a = Matrix(c.t(0), i).numbers()
        diagonal = np.ones(1) if found == 0 and np.linalg.matrix_rank(a) == len(a) else np.zeros(1)
    else:
        diagonal = np.diagonal(Matrix(c.out(packed), i).numbers())
    zeros = np.flatnonzero(diagonal == 0)
    first = int(zeros[0]) + 1 if len(zeros) else 0
    if first != found:
        raise Unruled("a pivot near 0")
    text = "this pivot, counted from 1, is 0" if first else "no pivot is 0"
    return Case(text, Num(float(first)), "0" if first else "the number of the first that is")


for _op, _where, _at in (
    ("linalg_lu_factor_ex", 0, 1), ("_linalg_solve_ex", 1, 2), ("_linalg_det", 1, 2), ("_linalg_slogdet", 2, 3),
):  # fmt: skip
    rule(f"aten.{_op}", output=_where)(_packed(_where, _at))
    rule(f"aten.{_op}", output=_at)(_pivot(_at, _where))
for _op, _where in (("linalg_lu_factor_ex", 2), ("_linalg_solve_ex", 3), ("linalg_inv_ex", 1)):
    rule(f"aten.{_op}", output=_where)(_info)


# ---- the factors apart


def _order_of(c: OpCall, batch: Index) -> Array:
    """From the recorded matrix P: row i of L·U is that row of A."""
    return np.argmax(Matrix(c.out(0), batch).numbers(), axis=0)


def _apart(c: OpCall, batch: Index) -> Factored:
    a, low, up = (Matrix(x, batch) for x in (c.t(0), c.out(1), c.out(2)))
    return Factored(a, low, up, _order_of(c, batch))


@rule("aten.linalg_lu", output=0)
def lu_p(c: OpCall, i: Index) -> Expr:
    """`P[r,i]` is 1 where row r of A became row i."""
    batch, row, column = split(c, i)
    parts = _apart(c, batch)
    if (
        column < parts.up.columns
        and c.arg(1, "pivot", True)
        and not parts.was_largest(min(column, parts.low.columns - 1))
    ):
        raise Unruled("another row has a larger candidate")
    hit = int(parts.order[column]) == row
    return Case("this row was chosen" if hit else "another row was chosen", Num(float(hit)), "0" if hit else "1")


@rule("aten.linalg_lu", output=1)
def lu_l(c: OpCall, i: Index) -> Expr:
    """`L[i,j] = (A[p(i),j] − Σ L[i,k]·U[k,j]) / U[j,j]` below the diagonal, 1 on it."""
    batch, row, column = split(c, i)
    return _apart(c, batch).element(row, column) if row > column else _fixed(row, column)


@rule("aten.linalg_lu", output=2)
def lu_u(c: OpCall, i: Index) -> Expr:
    """`U[i,j] = A[p(i),j] − Σ L[i,k]·U[k,j]` from the diagonal on."""
    batch, row, column = split(c, i)
    if row > column:
        return Case("below the diagonal", Num(0), "A[p(i),j] − Σ")
    return _apart(c, batch).element(row, column)


def _fixed(row: int, column: int) -> Expr:
    if row == column:
        return Case("on the diagonal", Num(1), "L[i,j]")
    return Case("above the diagonal", Num(0), "L[i,j]")


@rule("aten.lu_unpack", output=0)
def unpacked_p(c: OpCall, i: Index) -> Expr:
    """`P[r,i]` is 1 where the pivots carried row r to row i."""
    batch, row, column = split(c, i)
    pivots = c.t(1)
    order = permutation(c.trace.content(c.step, pivots.value)[batch], c.t(0).shape[-2])
    hit = int(order[column]) == row
    return Case(f"the pivots carried row {int(order[column])} here", Num(float(hit)), "0" if hit else "1")


@rule("aten.lu_unpack", output=1)
def unpacked_l(c: OpCall, i: Index) -> Expr:
    """What is below the diagonal, with ones on it."""
    _, row, column = split(c, i)
    return Case("below the diagonal", c.t(0)[i]) if row > column else _fixed(row, column)


@rule("aten.lu_unpack", output=2)
def unpacked_u(c: OpCall, i: Index) -> Expr:
    """What is on the diagonal and above."""
    _, row, column = split(c, i)
    above = row <= column
    return Case("on or above the diagonal", c.t(0)[i]) if above else Case("below the diagonal", Num(0), "LU[i,j]")


# ---- determinants


def _sign_of_order(c: OpCall, pivots: int, i: Index) -> float:
    found = c.trace.content(c.step, c.out(pivots).value)[i]
    return -1.0 if int((found != np.arange(1, len(found) + 1)).sum()) % 2 else 1.0


@rule("aten._linalg_det")
def det(c: OpCall, i: Index) -> Expr:
    """`det A = ±Π U[k,k]`; minus where an odd number of rows changed places."""
    lu = Matrix(c.out(1), i)
    if lu.rows == 0:
        return Case("the matrix is empty", Num(1), "Π U[k,k]")
    total: Expr = lu[0, 0]
    for k in range(1, lu.rows):
        total = mul(total, lu[k, k])
    return (
        total if _sign_of_order(c, 2, i) > 0 else Case("an odd number of rows changed places", Neg(total), "Π U[k,k]")
    )


@rule("aten._linalg_slogdet", output=1)
def logabsdet(c: OpCall, i: Index) -> Expr:
    """`log |det A| = Σ log |U[k,k]|`."""
    lu = Matrix(c.out(2), i)
    ks = np.arange(lu.rows)
    if not len(ks):
        return Case("the matrix is empty", Num(0), "Σ log |U[k,k]|")
    call = KernelCall("aten.sum", lu.x.dtype, ((lu.rows,),), ((1,),), (0,), (), c.step.threads)
    return Dot(lu.at(ks, ks), term=Call("log", (Call("abs", (Var(0),)),)), orders=candidates(call))


@rule("aten._linalg_slogdet", output=0)
def sign(c: OpCall, i: Index) -> Expr:
    """`±Π sign U[k,k]`; minus where an odd number of rows changed places."""
    lu = Matrix(c.out(2), i)
    total: Expr = Num(_sign_of_order(c, 3, i), "sign of the exchanges of rows")
    for k in range(lu.rows):
        total = mul(total, Call("sign", (lu[k, k],)))
    return total
