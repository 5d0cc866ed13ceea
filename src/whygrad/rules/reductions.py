"""Sums and means over dimensions (native/cpu/SumKernel.cpp: cascade summation)."""

from __future__ import annotations

from whygrad.floats.summation import Order
from whygrad.floats.summation_cascade import GRAIN
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.casts import FLOATS
from whygrad.rules.expr import Bin, Call, Dot, Expr, Num, Round, Series, Var
from whygrad.rules.reductions_loops import (
    NARROW,
    Walk,
    column_of,
    dims_of,
    out_strides,
    rows_in_turn,
    sum_order,
    terms_of,
    walk,
)
from whygrad.rules.registry import rule

__all__ = ["dims_of", "reduced", "summed", "walk_of"]


_ROWS_WRITTEN_OUT = 64


def reduced(x: Operand, dims: tuple[int, ...], keepdim: bool, i: Index) -> Series:
    """The elements of `x` that one element of the result reduces, in row-major order."""
    return x.at(terms_of(x, tuple(sorted(dims, reverse=True)), keepdim, i))


def _contiguous(shape: Index) -> Index:
    steps, step = [0] * len(shape), 1
    for d in reversed(range(len(shape))):
        steps[d], step = step, step * max(shape[d], 1)
    return tuple(steps)


def walk_of(c: OpCall, x: Operand, dims: tuple[int, ...], keepdim: bool, copied: bool = False) -> Walk:
    """The loops over `x`; `copied`: the kernel was given a copy of it in another dtype."""
    stride = x.value.stride
    if copied and not _dense(x.shape, stride):
        stride = _contiguous(x.shape)
    return walk(x.shape, stride, out_strides(c, len(x.shape), dims, keepdim))


def _dense(shape: Index, stride: Index) -> bool:
    """Whether the elements lie in memory without gaps, each once, in some order of the dimensions."""
    step = 1
    for at, n in sorted((s, n) for s, n in zip(stride, shape, strict=True) if n != 1):
        if at != step:
            return False
        step *= n
    return True


def summed(
    c: OpCall, i: Index, x: Operand, dims: tuple[int, ...], keepdim: bool, dtype: str, term: Expr | None = None,
    copied: bool = False, stored: bool = False,
) -> Expr:  # fmt: skip
    """`Σ term(x)` over `dims`, as SumKernel.cpp adds numbers of `dtype` up: the rows of the innermost loop one after the
    other. `stored`: each is added to a result in 16 bits. Threads share a long sum in a way that `rules.orders` knows."""
    found = walk_of(c, x, dims, keepdim, copied)
    terms = terms_of(x, found.reduced, keepdim, i)
    if c.step.threads > 1 and x.value.numel >= GRAIN:
        return Dot(x.at(terms_of(x, tuple(sorted(dims, reverse=True)), keepdim, i)), term=term)
    row = sum_order(found, dtype, column_of(found, x.shape, keepdim, i))
    if not stored or dtype not in NARROW or not 1 < len(terms) // found.row <= _ROWS_WRITTEN_OUT:
        return Dot(x.at(terms), term=term, orders=(rows_in_turn(row, found.row, len(terms)),))
    total: Expr | None = None
    for at in range(0, len(terms), found.row):
        part = Round(Dot(x.at(terms[at : at + found.row]), term=term, orders=(Order(row),)), dtype)
        total = part if total is None else Round(Bin("+", total, part), dtype)
    assert total is not None
    return total


@rule("aten.sum")
def sum_(c: OpCall, i: Index) -> Expr:
    """`y = Σ x` over the named dimensions; in another dtype, x is converted first."""
    x, dtype = c.t(0), c.out().dtype
    dims = dims_of(c.arg(1, "dim"), len(x.shape))
    copied = dtype != x.dtype
    term = Round(Var(0), dtype) if copied and dtype in NARROW else None
    if copied and dtype == "float32" and (x.dtype == "float64" or x.dtype in ("int32", "int64")):
        term = Round(Var(0), "float32")
    return summed(c, i, x, dims, _keepdim(c), dtype, term, copied)


@rule("aten.nansum")
def nansum(c: OpCall, i: Index) -> Expr:
    """`y = Σ x`, a NaN counting as 0."""
    x, dtype = c.t(0), c.out().dtype
    dims = dims_of(c.arg(1, "dim"), len(x.shape))
    number = Call("where", (Call("equal", (Var(0), Var(0))), Var(0), Num(0)))
    nan = x.dtype in FLOATS and any(v != v for v in _numbers(x, dims, _keepdim(c), i))
    return summed(c, i, x, dims, _keepdim(c), dtype, number if nan else None, dtype != x.dtype, stored=True)


def _numbers(x: Operand, dims: tuple[int, ...], keepdim: bool, i: Index) -> list[float]:
    recorded = x.call.trace.content(x.call.step, x.value)
    indices = terms_of(x, dims, keepdim, i)
    return recorded[tuple(indices.T)].astype("float64").reshape(-1).tolist()


@rule("aten.mean")
def mean(c: OpCall, i: Index) -> Expr:
    """`y = (Σ x) / n` over the named dimensions; float16 and bfloat16 in float32 (native/ReduceOps.cpp)."""
    x, dtype = c.t(0), c.out().dtype
    dims = dims_of(c.arg(1, "dim"), len(x.shape))
    wide = "float32" if dtype in NARROW else dtype
    total = summed(c, i, x, dims, _keepdim(c), wide, copied=wide != x.dtype)
    n = 1
    for d in dims:
        n *= x.shape[d]
    return Bin("/", total, Num(float(n), "n"))


def _keepdim(c: OpCall) -> bool:
    return bool(c.arg(2, "keepdim", False))
