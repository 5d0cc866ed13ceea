"""Factors and triangular systems of complex matrices: the recurrences of `linalg_lu` and `linalg_triangular`, part by part.

A quotient by `d` is a product by `d̄/|d|²`, so that an equation keeps one sum."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.rules.activations import add, div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Case, Dot, Expr, Num, Series, Var
from whygrad.rules.linalg_lu import permutation
from whygrad.rules.registry import COMPLEX, Unruled, rule

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Matrix:
    """One complex matrix of a batch, or its transpose."""

    x: Operand
    batch: Index
    transposed: bool = False

    @property
    def T(self) -> Matrix:
        """The transpose."""
        return Matrix(self.x, self.batch, not self.transposed)

    @property
    def size(self) -> int:
        """How many rows a square one has."""
        return self.x.shape[-3]

    def _where(self) -> Index:
        own = self.x.shape[:-3]
        tail = self.batch[len(self.batch) - len(own) :] if own else ()
        return tuple(0 if n == 1 else k for k, n in zip(tail, own, strict=True))

    def parts(self, row: int, column: int) -> tuple[Var, Var]:
        """The real and the imaginary part of an element."""
        at = (column, row) if self.transposed else (row, column)
        return self.x[(*self._where(), *at, 0)], self.x[(*self._where(), *at, 1)]

    def series(self, rows: Iterable[int], columns: Iterable[int]) -> tuple[Series, Series]:
        """The parts of the elements at pairs of a row and a column."""
        pairs = list(zip(rows, columns, strict=True))
        lead = self._where()
        places = np.array([(*lead, *(p[::-1] if self.transposed else p)) for p in pairs], dtype=np.int64)
        places = places.reshape(len(pairs), len(lead) + 2)
        re, im = (self.x.at(np.column_stack([places, np.full(len(pairs), k)])) for k in (0, 1))
        return re, im

    def numbers(self) -> Array:
        """The recorded matrix."""
        content = self.x.call.trace.content(self.x.call.step, self.x.value)[self._where()].astype(np.float64)
        found = content[..., 0] + 1j * content[..., 1]
        return found.T if self.transposed else found


Pair = tuple[Expr, Expr]


def rest(start: Pair, a: tuple[Series, Series], b: tuple[Series, Series], part: int) -> Expr:
    """A part of `start − Σ a·b`."""
    if not len(a[0]):
        return start[part]
    first, second = mul(Var(0), Var(1)), mul(Var(-1), Var(-2))
    if part == 0:
        return sub(start[0], Dot(a[0], b[0], term=sub(first, second), more=(a[1], b[1])))
    return sub(start[1], Dot(a[0], b[1], term=add(first, second), more=(a[1], b[0])))


def quotient(start: Pair, a: tuple[Series, Series], b: tuple[Series, Series], d: tuple[Var, Var], part: int) -> Expr:
    """A part of `(start − Σ a·b)·d̄ / |d|²`."""
    top = _times_conjugate(start, d, part)
    if len(a[0]):
        # Inside the sum Var(0), Var(1), Var(-1), Var(-2) are a.re, b.re, a.im, b.im, and d is a variable of the equation.
        product = (
            sub(mul(Var(0), Var(1)), mul(Var(-1), Var(-2))),
            add(mul(Var(0), Var(-2)), mul(Var(-1), Var(1))),
        )
        term = _times_conjugate(product, (Var(d[0].k + 2), Var(d[1].k + 2)), part)
        top = sub(top, Dot(a[0], b[0], term=term, more=(a[1], b[1])))
    return div(top, add(mul(d[0], d[0]), mul(d[1], d[1])))


def _times_conjugate(z: Pair, d: tuple[Expr, Expr], part: int) -> Expr:
    if part == 0:
        return add(mul(z[0], d[0]), mul(z[1], d[1]))
    return sub(mul(z[1], d[0]), mul(z[0], d[1]))


@rule(f"{COMPLEX}aten.linalg_solve_triangular")
def solve_triangular(c: OpCall, i: Index) -> Expr:
    """`A·X = B` (or `X·A = B`) by substitution."""
    batch, (row, column, part) = i[:-3], i[-3:]
    a, b, x = (Matrix(operand, batch) for operand in (c.t(0), c.t(1), c.out()))
    upper, unit = bool(c.arg(-1, "upper")), bool(c.arg(-1, "unitriangular", False))
    if not c.arg(-1, "left", True):
        a, b, x, row, column, upper = a.T, b.T, x.T, column, row, not upper
    before = range(row + 1, a.size) if upper else range(row)
    left = a.series([row] * len(before), before)
    right = x.series(before, [column] * len(before))
    start = b.parts(row, column)
    return rest(start, left, right, part) if unit else quotient(start, left, right, a.parts(row, row), part)


def factors(c: OpCall, batch: Index, packed: int, pivots: int) -> tuple[Matrix, Matrix, Array]:
    """The matrix, its factors in one, and which of its rows became which."""
    lu = Matrix(c.out(packed), batch)
    order = permutation(c.trace.content(c.step, c.out(pivots).value)[batch], lu.size)
    a = Matrix(c.t(0), batch)
    numbers = lu.numbers()
    k = min(numbers.shape)
    product = (np.tril(numbers[:, :k], -1) + np.eye(len(numbers), k)) @ np.triu(numbers[:k])
    given = a.numbers()
    square = given.shape[0] == given.shape[1]
    if square and np.abs(product - given.T[order]).sum() < np.abs(product - given[order]).sum():
        a = a.T
    return a, lu, order


def _packed(position: int, pivots: int) -> Callable[[OpCall, Index], Expr]:
    def element(c: OpCall, i: Index) -> Expr:
        """`U[i,j] = A[p(i),j] − Σ L[i,k]·U[k,j]`, `L[i,j]` so and divided by `U[j,j]`; one matrix holds both."""
        batch, (row, column, part) = i[:-3], i[-3:]
        a, lu, order = factors(c, batch, position, pivots)
        before = range(min(row, column))
        left = lu.series([row] * len(before), before)
        right = lu.series(before, [column] * len(before))
        start = a.parts(int(order[row]), column)
        if row <= column or lu.numbers()[column, column] == 0:
            return rest(start, left, right, part)
        return quotient(start, left, right, lu.parts(column, column), part)

    return element


def _pivot(position: int, packed: int) -> Callable[[OpCall, Index], Expr]:
    def pivot(c: OpCall, i: Index) -> Expr:
        """The row that changed places with row i: that of the largest `|re| + |im|` in column i."""
        a, lu, order = factors(c, i[:-1], packed, position)
        row, numbers = i[-1], lu.numbers()
        low = np.tril(numbers, -1)
        left = a.numbers()[order][row:, row] - low[row:, :row] @ numbers[:row, row]
        sizes = np.abs(np.real(left)) + np.abs(np.imag(left))
        if sizes[0] < 0.99 * sizes.max():
            raise Unruled("another row has a larger candidate")
        a.parts(int(order[row]), row)
        found = float(c.out(position).item(i))
        return Case("this row, counted from 1, has the largest candidate left in its column", Num(found), "another")

    return pivot


def _info(packed: int) -> Callable[[OpCall, Index], Expr]:
    def info(c: OpCall, i: Index) -> Expr:
        """0, or the number of the first pivot that is 0."""
        zeros = np.flatnonzero(np.diagonal(Matrix(c.out(packed), i).numbers()) == 0)
        first = int(zeros[0]) + 1 if len(zeros) else 0
        return Case(
            "this pivot, counted from 1, is 0" if first else "no pivot is 0", Num(float(first)), "another number"
        )

    return info


for _op, _where in (("linalg_lu_factor_ex", 0), ("_linalg_solve_ex", 1), ("_linalg_det", 1), ("_linalg_slogdet", 2)):
    rule(f"{COMPLEX}aten.{_op}", output=_where)(_packed(_where, _where + 1))
    rule(f"{COMPLEX}aten.{_op}", output=_where + 1)(_pivot(_where + 1, _where))
for _op, _where in (("linalg_lu_factor_ex", 0), ("_linalg_solve_ex", 1)):
    rule(f"{COMPLEX}aten.{_op}", output=_where + 2)(_info(_where))


@rule(f"{COMPLEX}aten.lu_unpack", output=0)
def unpacked_p(c: OpCall, i: Index) -> Expr:
    """`P[r,i]` is 1 where the pivots carried row r to row i."""
    batch, (row, column, part) = i[:-3], i[-3:]
    order = permutation(c.trace.content(c.step, c.t(1).value)[batch], c.t(0).shape[-3])
    hit = int(order[column]) == row and not part
    return Case(f"the pivots carried row {int(order[column])} here", Num(float(hit)), "0" if hit else "1")


@rule(f"{COMPLEX}aten.lu_unpack", output=1)
def unpacked_l(c: OpCall, i: Index) -> Expr:
    """What is below the diagonal, with ones on it."""
    row, column, part = i[-3:]
    if row > column:
        return Case("below the diagonal", c.t(0)[i])
    return Case("on or above the diagonal", Num(float(row == column and not part)), "L[i,j]")


@rule(f"{COMPLEX}aten.lu_unpack", output=2)
def unpacked_u(c: OpCall, i: Index) -> Expr:
    """What is on the diagonal and above."""
    if i[-3] <= i[-2]:
        return Case("on or above the diagonal", c.t(0)[i])
    return Case("below the diagonal", Num(0), "LU[i,j]")
