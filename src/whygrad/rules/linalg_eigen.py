"""Decompositions that LAPACK finds by iteration: eigenvalues and singular values, and QR.

No sequence of operations leads to such a number that could be written down; it is given by the equation that defines it,
solved for it, with the op's other results as operands. Of several such equations the one is taken in which rounding
matters least."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.rules.activations import div, mul, sub
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Bin, Call, Case, Dot, Expr, Neg, Num, Series, Var
from whygrad.rules.linalg_matrices import Matrix, solved, split, without
from whygrad.rules.registry import COMPLEX, Unruled, rule

Array = np.ndarray[Any, Any]


def defining(value: Expr, text: str) -> Expr:
    """An equation that the number satisfies, and is not computed by."""
    return Case(
        f"an iteration found it; this is the equation that defines it, {text}, solved for this number", value, ""
    )


def quadratic(left: Matrix, at: int, middle: Series, rows: Array, columns: Array, right: Matrix, to: int) -> Dot:
    """`Σ left[r,at]·middle[r,c]·right[c,to]`, over all r and c."""
    return Dot(
        left.at(rows, np.full(len(rows), at)), middle, term=mul(mul(Var(0), Var(1)), Var(-1)),
        more=(right.at(columns, np.full(len(columns), to)),),
    )  # fmt: skip


def grid(rows: int, columns: int) -> tuple[Array, Array]:
    """Row and column of every element, row by row."""
    found = np.indices((rows, columns))
    return found[0].reshape(-1), found[1].reshape(-1)


# ---- symmetric matrices


def triangle(c: OpCall, rows: Array, columns: Array) -> tuple[Array, Array]:
    """Where an element of a symmetric matrix is read: in one triangle."""
    small, large = np.minimum(rows, columns), np.maximum(rows, columns)
    return (small, large) if str(c.arg(1, "UPLO", "L")).upper() == "U" else (large, small)


def _vectors(c: OpCall, batch: Index) -> Matrix:
    if not c.out(1).value.numel:
        raise Unruled("without eigenvectors")
    return Matrix(c.out(1), batch)


@rule("aten._linalg_eigh")
def eigenvalue(c: OpCall, i: Index) -> Expr:
    """`λ = vᵀ·A·v`, v being its eigenvector, of length 1."""
    a, v = Matrix(c.t(0), i[:-1]), _vectors(c, i[:-1])
    rows, columns = grid(a.rows, a.rows)
    return defining(quadratic(v, i[-1], a.at(*triangle(c, rows, columns)), rows, columns, v, i[-1]), "λ = vᵀ·A·v")


@rule("aten._linalg_eigh", output=1)
def eigenvector(c: OpCall, i: Index) -> Expr:
    """`A·v = λ·v`: its row p solved for `v[r]`."""
    batch, row, column = split(c, i)
    a, v, value = Matrix(c.t(0), batch), Matrix(c.out(1), batch), c.out(0)
    numbers, found = a.numbers(), v.numbers()[:, column]
    size = len(found)
    full = numbers[triangle(c, *np.indices((size, size)))]
    if size == 1:
        return Case("an eigenvector has length 1, and there is one element", Num(1.0 if found[0] > 0 else -1.0), "")
    shifted = full - np.eye(size) * float(value.item((*batch, column)))
    p = _least_disturbed(shifted, found, row)
    if p is None:
        return orthogonal(v, row, column)
    # (A − λ)[p] · v = 0, where λ stands in the row's own column.
    others = without(size, row)
    line = np.full(len(others), p)
    read = a.at(*triangle(c, line, others))
    total: Expr = Dot(read, v.at(others, np.full(len(others), column)))
    eigen = value[(*batch, column)]
    here = a[tuple(int(k[0]) for k in triangle(c, np.array([p]), np.array([row])))]  # pyright: ignore[reportArgumentType]
    if p == row:
        return defining(div(total, sub(eigen, here)), "row p of A·v = λ·v")
    return defining(div(sub(mul(eigen, v[p, column]), total), here), "row p of A·v = λ·v")


def _least_disturbed(a: Array, x: Array, unknown: int) -> int | None:
    """Of the equations `a[p]·x = 0` the one that determines `x[unknown]` best; None when none does to a few digits."""
    sizes = np.abs(a) @ np.abs(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(a[:, unknown] != 0, sizes / np.abs(a[:, unknown]), np.inf)
    best = int(np.argmin(errors))
    return best if np.isfinite(errors[best]) and errors[best] < 1e3 * np.abs(x).max() else None


def orthogonal(vectors: Matrix, row: int, column: int) -> Expr:
    """`uᵀ·uⱼ = 0` for another of the orthonormal columns, solved for `u[row]`; for a single column, its length is 1."""
    numbers = vectors.numbers()
    rest = without(vectors.rows, row)
    if vectors.columns == 1:
        squares = vectors.column(rest, column)
        found = Call("sqrt", (sub(Num(1), Dot(squares, squares)),)) if len(rest) else Num(1)
        return defining(found if numbers[row, column] >= 0 else Neg(found), "the column has length 1")
    with np.errstate(divide="ignore"):
        sizes = (np.abs(numbers).T @ np.abs(numbers[:, column])) / np.abs(numbers[row])
    sizes[column] = np.inf
    j = int(np.argmin(sizes))
    if not np.isfinite(sizes[j]):
        raise Unruled("no other column determines it")
    total = Dot(vectors.column(rest, column), vectors.column(rest, j))
    return defining(Neg(div(total, vectors[row, j])), "the column is orthogonal to another")


# ---- general matrices: complex eigenvalues


def _complex(x: Any, batch: Index, rows: Array, column: int, part: int) -> Series:
    lead = np.broadcast_to(np.array(batch, dtype=np.int64), (len(rows), len(batch)))
    return x.at(np.column_stack([lead, rows, np.full(len(rows), column), np.full(len(rows), part)]))


def _real_matrix(c: OpCall, batch: Index) -> Matrix:
    if c.t(0).value.is_complex:
        raise Unruled("a complex matrix")
    return Matrix(c.t(0), batch)


@rule(f"{COMPLEX}aten.linalg_eig")
def complex_eigenvalue(c: OpCall, i: Index) -> Expr:
    """`λ = v̄ᵀ·A·v`, v being its eigenvector, of length 1: `re = Σ A[r,c]·(v[r].re·v[c].re + v[r].im·v[c].im)`,
    `im = Σ A[r,c]·(v[r].re·v[c].im − v[r].im·v[c].re)`."""
    batch, k, part = i[:-2], i[-2], i[-1]
    a, v = _real_matrix(c, batch), c.out(1)
    rows, columns = grid(a.rows, a.rows)
    first = _complex(v, batch, rows, k, 0), _complex(v, batch, columns, k, part)
    second = _complex(v, batch, rows, k, 1), _complex(v, batch, columns, k, 1 - part)
    inner = Bin("-" if part else "+", mul(Var(1), Var(-1)), mul(Var(-2), Var(-3)))
    return defining(Dot(a.at(rows, columns), first[0], term=mul(Var(0), inner), more=(first[1], *second)), "λ = v̄ᵀ·A·v")


@rule(f"{COMPLEX}aten.linalg_eig", output=1)
def complex_eigenvector(c: OpCall, i: Index) -> Expr:
    """`A·v = λ·v`: its row p solved for `v[r]`."""
    batch, row, column, part = i[:-3], i[-3], i[-2], i[-1]
    a, value, v = _real_matrix(c, batch), c.out(0), c.out(1)
    numbers = a.numbers()
    content = c.trace.content(c.step, v.value)[batch].astype(np.float64)
    found = content[:, column, 0] + 1j * content[:, column, 1]
    eigen = complex(*(float(value.item((*batch, column, k))) for k in (0, 1)))
    size = len(found)
    if size == 1:
        return Case("an eigenvector has length 1, and there is one element", Num(float(content[0, column, part])), "")
    p = _least_disturbed_complex(numbers - np.eye(size) * eigen, found, row)
    others = without(size, row)
    totals = [Dot(a.row(p, others), _complex(v, batch, others, column, k)) for k in (0, 1)]
    lam = [value[(*batch, column, k)] for k in (0, 1)]
    if p != row:
        other = [v[(*batch, p, column, k)] for k in (0, 1)]
        product = (
            sub(mul(lam[0], other[0]), mul(lam[1], other[1]))
            if part == 0
            else Bin("+", mul(lam[0], other[1]), mul(lam[1], other[0]))
        )
        return defining(div(sub(product, totals[part]), a[p, row]), "row p of A·v = λ·v")
    # (λ − A[r,r])·v[r] = Σ: a quotient of complex numbers; where both are real, of real ones.
    if eigen.imag == 0:
        return defining(div(totals[part], sub(lam[0], a[row, row])), "row r of A·v = λ·v")
    re, im = sub(lam[0], a[row, row]), lam[1]
    top = Bin("+", mul(totals[0], re), mul(totals[1], im)) if part == 0 else sub(mul(totals[1], re), mul(totals[0], im))
    return defining(div(top, Bin("+", mul(re, re), mul(im, im))), "row r of A·v = λ·v")


def _least_disturbed_complex(a: Array, x: Array, unknown: int) -> int:
    sizes = np.abs(a) @ np.abs(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(a[:, unknown] != 0, sizes / np.abs(a[:, unknown]), np.inf)
    best = int(np.argmin(errors))
    if not np.isfinite(errors[best]) or errors[best] > 1e3 * np.abs(x).max():
        raise Unruled("no row of A·v = λ·v determines it")
    return best


# ---- singular values


def _factors(c: OpCall, batch: Index) -> tuple[Matrix, Matrix, Matrix]:
    if not c.out(0).value.numel:
        raise Unruled("without singular vectors")
    return Matrix(c.t(0), batch), Matrix(c.out(0), batch), Matrix(c.out(2), batch).T


@rule("aten._linalg_svd", output=1)
def singular_value(c: OpCall, i: Index) -> Expr:
    """`σ = uᵀ·A·v`, u and v being its singular vectors."""
    a, u, v = _factors(c, i[:-1])
    rows, columns = grid(a.rows, a.columns)
    return defining(quadratic(u, i[-1], a.at(rows, columns), rows, columns, v, i[-1]), "σ = uᵀ·A·v")


def _singular_vector(c: OpCall, batch: Index, row: int, column: int, right: bool) -> Expr:
    """`u[r] = Σ A[r,c]·v[c] / σ`; where σ is 0 or missing, the column is orthogonal to another."""
    a, u, v = _factors(c, batch)
    if right:
        a, u, v = a.T, v, u
    s = c.out(1)
    count = s.shape[-1]
    values = c.trace.content(c.step, s.value)[batch].astype(np.float64)
    if column < count and values[column] > 1e-3 * values[0]:
        return defining(
            div(Dot(a.row(row, range(a.columns)), v.column(range(a.columns), column)), s[(*batch, column)]),
            "A·v = σ·u" if not right else "Aᵀ·u = σ·v",
        )
    return orthogonal(u, row, column)


@rule("aten._linalg_svd")
def left_vector(c: OpCall, i: Index) -> Expr:
    """`A·v = σ·u`."""
    return _singular_vector(c, *split(c, i), right=False)


@rule("aten._linalg_svd", output=2)
def right_vector(c: OpCall, i: Index) -> Expr:
    """`Aᵀ·u = σ·v`; Vᵀ is returned."""
    batch, row, column = split(c, i)
    return _singular_vector(c, batch, column, row, right=True)


# ---- QR


_RUN_AGAIN = 64
"""So many reflections and fewer are run again one by one (`explain.inside`)."""


def _orthonormal(c: OpCall, batch: Index) -> tuple[Matrix, Matrix, Matrix]:
    a = Matrix(c.t(0), batch)
    if min(a.rows, a.columns) <= _RUN_AGAIN or not c.out(0).value.numel:
        raise Unruled("it is told by its reflections")
    return a, Matrix(c.out(0), batch), Matrix(c.out(1), batch)


@rule("aten.linalg_qr")
def qr_q(c: OpCall, i: Index) -> Expr:
    """`Q[i,j] = (A[i,j] − Σ_{k<j} Q[i,k]·R[k,j]) / R[j,j]`, or, where A has no column j, orthogonal to another."""
    batch, row, column = split(c, i)
    a, q, r = _orthonormal(c, batch)
    if column >= min(a.rows, a.columns):
        return orthogonal(q, row, column)
    before = range(column)
    found = solved(a[row, column], q.row(row, before), r.column(before, column), r[column, column])
    return defining(found, "A = Q·R")


@rule("aten.linalg_qr", output=1)
def qr_r(c: OpCall, i: Index) -> Expr:
    """`R = Qᵀ·A`, 0 below the diagonal."""
    batch, row, column = split(c, i)
    a, q, _ = _orthonormal(c, batch)
    if row > column:
        return Case("below the diagonal", Num(0), "Qᵀ·A")
    return defining(Dot(q.column(range(a.rows), row), a.column(range(a.rows), column)), "R = Qᵀ·A")
