"""What the rules of linear algebra share: matrices of a batch, rows and columns as series, and equations that are solved
for one number.

LAPACK factors in blocks, so that the order of a sum's terms is known only for small matrices: one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.floats.summation import Chain, Order
from whygrad.rules.activations import div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Dot, Expr, Fma, Kernel, Neg, Num, Series, Var

Array = np.ndarray[Any, Any]
IN_TURN = (Order(Chain(), fused=True, init="first"), Order(Chain(), init="first"))


@dataclass(frozen=True)
class Matrix:
    """One matrix of a tensor of matrices: `batch` is the index of a result's matrix, broadcast to the tensor's own."""

    x: Operand
    batch: Index
    transposed: bool = False

    @property
    def rows(self) -> int:
        return self.x.shape[-1 if self.transposed else -2]

    @property
    def columns(self) -> int:
        return self.x.shape[-2 if self.transposed else -1]

    @property
    def T(self) -> Matrix:
        """The transpose."""
        return Matrix(self.x, self.batch, not self.transposed)

    def _where(self) -> Index:
        own = self.x.shape[:-2]
        tail = self.batch[len(self.batch) - len(own) :] if own else ()
        return tuple(0 if n == 1 else k for k, n in zip(tail, own, strict=True))

    def __getitem__(self, place: tuple[int, int]) -> Var:
        row, column = place[::-1] if self.transposed else place
        return self.x[(*self._where(), row, column)]

    def at(self, rows: Sequence[int] | Array, columns: Sequence[int] | Array) -> Series:
        """The elements at pairs of a row and a column."""
        first, second = (np.asarray(k, dtype=np.int64) for k in (rows, columns))
        if self.transposed:
            first, second = second, first
        batch = np.broadcast_to(np.array(self._where(), dtype=np.int64), (len(first), len(self._where())))
        return self.x.at(np.column_stack([batch, first, second]))

    def row(self, row: int, columns: Iterable[int]) -> Series:
        """Elements of one row."""
        found = np.fromiter(columns, dtype=np.int64)
        return self.at(np.full(len(found), row), found)

    def column(self, rows: Iterable[int], column: int) -> Series:
        """Elements of one column."""
        found = np.fromiter(rows, dtype=np.int64)
        return self.at(found, np.full(len(found), column))

    def numbers(self) -> Array:
        """The recorded matrix in double precision."""
        content = self.x.call.trace.content(self.x.call.step, self.x.value)[self._where()].astype(np.float64)
        return content.T if self.transposed else content


def difference_of_products(a: Expr, b: Expr, c: Expr, d: Expr) -> Expr:
    """`a·b − c·d`; the compiler may fuse either product into the difference."""
    first, second = mul(a, b), mul(c, d)
    return Kernel((), (), sub(first, second), (Fma(a, b, Neg(second)), Fma(Neg(c), d, first)))


def rest(start: Expr, a: Series, b: Series) -> tuple[Expr, tuple[Expr, ...]]:
    """`start − Σ a·b`: as it is written, and as a loop that takes away one product after the other."""
    if not len(a):
        return start, ()
    return sub(start, Dot(a, b, orders=IN_TURN)), (Neg(Dot(a, b, init=Neg(start), orders=IN_TURN)),)


def remainder(start: Expr, a: Series, b: Series) -> Expr:
    """`start − Σ a·b`."""
    formula, others = rest(start, a, b)
    return Kernel((), (), formula, others) if others else formula


def solved(start: Expr, a: Series, b: Series, divisor: Expr) -> Expr:
    """`(start − Σ a·b) / divisor`; kernels may multiply by `1/divisor` instead."""
    formula, others = rest(start, a, b)
    tops = (*others, formula)
    inverse = div(Num(1), divisor)
    return Kernel((), (), div(formula, divisor), (*(div(t, divisor) for t in others), *(mul(t, inverse) for t in tops)))


def without(count: int, left_out: int) -> Array:
    """0 … count − 1 without one."""
    return np.delete(np.arange(count), left_out)


def best_row(a: Array, x: Array, right: Array, unknown: int) -> int:
    """Of the equations `Σₖ a[p,k]·x[k] = right[p]` the one in which rounding disturbs `x[unknown]` least."""
    sizes = np.abs(a) @ np.abs(x) + np.abs(right)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(a[:, unknown] != 0, sizes / np.abs(a[:, unknown]), np.inf)
    return int(np.argmin(errors))


def split(c: OpCall, i: Index) -> tuple[Index, int, int]:
    """A result's index: of the matrix, its row, its column."""
    return i[:-2], i[-2], i[-1]
