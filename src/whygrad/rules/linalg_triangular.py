"""Triangular matrices: solving by substitution, and the Cholesky decomposition (LAPACK potrf, trtrs)."""

from __future__ import annotations

import numpy as np

from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Call, Case, Expr, Num
from whygrad.rules.linalg_matrices import Matrix, remainder, solved, split
from whygrad.rules.registry import Unruled, rule


def substituted(a: Matrix, b: Matrix, x: Matrix, place: tuple[int, int], upper: bool, unit: bool) -> Expr:
    """`x[i,j] = (b[i,j] − Σₖ a[i,k]·x[k,j]) / a[i,i]`, k over the rows solved before; a's diagonal counts as 1 if `unit`."""
    i, j = place
    before = range(i + 1, a.columns) if upper else range(i)
    left, right = a.row(i, before), x.column(before, j)
    return remainder(b[i, j], left, right) if unit else solved(b[i, j], left, right, a[i, i])


@rule("aten.linalg_solve_triangular")
def solve_triangular(c: OpCall, i: Index) -> Expr:
    """`A·X = B` (or `X·A = B`) by substitution (aten/src/ATen/native/BatchLinearAlgebra.cpp)."""
    batch, row, column = split(c, i)
    a, b, x = (Matrix(operand, batch) for operand in (c.t(0), c.t(1), c.out()))
    upper, unit = bool(c.arg(-1, "upper")), bool(c.arg(-1, "unitriangular", False))
    if c.arg(-1, "left", True):
        return substituted(a, b, x, (row, column), upper, unit)
    return substituted(a.T, b.T, x.T, (column, row), not upper, unit)


@rule("aten.triangular_solve")
def triangular_solve(c: OpCall, i: Index) -> Expr:
    """`A·X = B` by substitution, A triangular, or its transpose."""
    batch, row, column = split(c, i)
    b, a, x = (Matrix(operand, batch) for operand in (c.t(0), c.t(1), c.out()))
    upper, turned = bool(c.arg(2, "upper", True)), bool(c.arg(3, "transpose", False))
    return substituted(
        a.T if turned else a, b, x, (row, column), upper != turned, bool(c.arg(4, "unitriangular", False))
    )


@rule("aten.triangular_solve", output=1)
def coefficient(c: OpCall, i: Index) -> Expr:
    """The second result is A, copied."""
    return c.t(1).broadcast(i)


@rule("aten.linalg_cholesky_ex", "aten.cholesky")
def cholesky(c: OpCall, i: Index) -> Expr:
    """`A = L·Lᵀ`: `L[i,i] = √(A[i,i] − Σ L[i,k]²)`, `L[i,j] = (A[i,j] − Σ L[i,k]·L[j,k]) / L[j,j]`, k < j; one triangle of
    A is read. `upper`: the transpose."""
    batch, row, column = split(c, i)
    upper = bool(c.arg(1, "upper", c.arg(-1, "upper", False)))
    a, low = Matrix(c.t(0), batch, upper), Matrix(c.out(), batch, upper)
    if upper:
        row, column = column, row
    if column > row:
        return Case("on this side of the diagonal nothing is stored", Num(0), "A[i,j] − Σ")
    before = range(column)
    mine, theirs = low.row(row, before), low.row(column, before)
    if row == column:
        return Call("sqrt", (remainder(a[row, row], mine, theirs),))
    return solved(a[row, column], mine, theirs, low[column, column])


@rule("aten.linalg_cholesky_ex", output=1)
def cholesky_info(c: OpCall, i: Index) -> Expr:
    """0, or the number of the first leading minor that is not positive."""
    found = c.out(1).item(i)
    if found == 0:
        return Case("every leading minor of the matrix is positive", Num(0), "the number of the first that is not")
    upper = bool(c.arg(1, "upper", False))
    a = Matrix(c.t(0), i, upper).numbers()
    low = np.tril(a) + np.tril(a, -1).T
    first = next((k for k in range(1, len(a) + 1) if np.linalg.det(low[:k, :k]) <= 0), 0)
    if first != found:
        raise Unruled("a leading minor near 0")
    return Case("this leading minor of the matrix is not positive", Num(float(first)), "0")
