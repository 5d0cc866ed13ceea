"""Running sums, products and extremes along a dimension (aten/src/ATen/native/cpu/ReduceOpsKernel.cpp,
native/ReduceOps.cpp): one after the other, float32 in double precision, 16 bits in float32."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from whygrad.floats.summation import Chain, Order
from whygrad.rules.activations import add, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Case, Dot, Expr, In, Num, Round
from whygrad.rules.movement_maps import content
from whygrad.rules.registry import rule

Array = np.ndarray[Any, Any]
WRITTEN_OUT = 16
"""A product of more factors starts from the result before it."""


def _dim(c: OpCall, i: Index) -> int:
    return c.integer(1, "dim") % max(len(i), 1)


def accumulated(expr: Expr, dtype: str) -> Expr:
    """In the precision in which a scan of `dtype` accumulates."""
    return In("float64", expr) if dtype in ("float32", "float64") else expr


def _until(x: Operand, dim: int, i: Index) -> Array:
    """Indices of the elements along `dim` up to `i`."""
    count = i[dim] + 1 if i else 1
    indices = np.empty((count, len(i)), np.int64)
    indices[:] = i
    if i:
        indices[:, dim] = np.arange(count)
    return indices


def factor(x: Operand, index: Index, dtype: str) -> Expr:
    """An element, converted to the scan's dtype."""
    return (
        x[index]
        if x.dtype == dtype or dtype == "float64" or not dtype.startswith(("float", "bf"))
        else Round(x[index], dtype)
    )


@rule("aten.cumsum")
def cumsum(c: OpCall, i: Index) -> Expr:
    """`yᵢ = Σ_{j ≤ i} xⱼ`."""
    x, dim, dtype = c.t(0), _dim(c, i), c.out().dtype
    if not i:
        return factor(x, i, dtype)
    series = x.at(_until(x, dim, i))
    return accumulated(Dot(series, orders=(Order(Chain()),)), dtype)


@rule("aten.cumprod")
def cumprod(c: OpCall, i: Index) -> Expr:
    """`yᵢ = Π_{j ≤ i} xⱼ`; a long one as `yᵢ₋₁ · xᵢ`, yᵢ₋₁ as it was before it was stored."""
    x, dim, dtype = c.t(0), _dim(c, i), c.out().dtype
    if not i or not i[dim]:
        return factor(x, i, dtype)
    until = _until(x, dim, i)
    if i[dim] >= WRITTEN_OUT:
        wide = content(x)[tuple(until[:-1].T)].astype(_wide(dtype))
        with np.errstate(all="ignore"):
            before = np.multiply.accumulate(wide)[-1]
        return accumulated(mul(_before(c, until[-2], float(before)), factor(x, i, dtype)), dtype)
    total = factor(x, tuple(until[0]), dtype)
    for index in until[1:]:
        total = mul(total, factor(x, tuple(index), dtype))
    return accumulated(total, dtype)


def _wide(dtype: str) -> Any:
    return np.float32 if dtype in ("float16", "bfloat16") else np.float64


def _before(c: OpCall, index: Array, number: float) -> Expr:
    """The scan's running value, which the result stores rounded."""
    c.out()[tuple(int(k) for k in index)]
    return Num(number, "y before this, unrounded")


@rule("aten.logcumsumexp", "aten._logcumsumexp")
def logcumsumexp(c: OpCall, i: Index) -> Expr:
    """`yᵢ = log Σ_{j ≤ i} e^xⱼ`, from the one before: `log(1 + e^(min − max)) + max` of it and xᵢ."""
    x, dim = c.t(0), _dim(c, i)
    if not i or not i[dim]:
        return x[i]
    until = _until(x, dim, i)
    numbers = content(x)[tuple(until.T)].astype(_wide(x.dtype))
    before, last = _log_sum(numbers[:-1]), numbers[-1]
    running = x[tuple(until[0])] if i[dim] == 1 else _before(c, until[-2], float(before))
    low, high = (running, x[i]) if before < last or np.isnan(last) else (x[i], running)
    if before == last and np.isinf(last):
        return Case("both are infinite", x[i], "their logarithms")
    return accumulated(add(Call("log1p", (Call("exp", (sub(low, high),)),)), high), x.dtype)


def _log_sum(numbers: Array) -> Any:
    """The running value over all of `numbers`, by the C library's functions."""
    total = numbers[0]
    kind = numbers.dtype.type
    for number in numbers[1:]:
        low, high = (total, number) if total <= number or number != number else (number, total)
        if low == high and np.isinf(low):
            continue
        with np.errstate(all="ignore"):
            apart = kind(low - high)
            wide = kind is np.float64 and apart == apart
            total = (math.log1p(math.exp(apart)) if wide else kind(np.log1p(np.exp(apart)))) + high
    return total


def _extreme(name: str, better: Callable[[Array], Any], word: str) -> None:
    def place(c: OpCall, i: Index) -> int:
        x, dim = content(c.t(0)), _dim(c, i)
        if not i:
            return 0
        row = x[(*i[:dim], slice(0, i[dim] + 1), *i[dim + 1 :])].astype(np.float64)
        missing = np.flatnonzero(np.isnan(row))
        if len(missing):
            return int(missing[-1])
        best = better(row)
        return int(np.flatnonzero(row == best)[-1])

    def at(c: OpCall, i: Index, k: int) -> Index:
        dim = _dim(c, i)
        return (*i[:dim], k, *i[dim + 1 :]) if i else ()

    def value(c: OpCall, i: Index) -> Expr:
        """`yᵢ`: the largest (or smallest) element so far."""
        return Case(f"it is the {word} so far", c.t(0)[at(c, i, place(c, i))], "another element")

    def index(c: OpCall, i: Index) -> Expr:
        """Where it stands: the last of equals."""
        k = place(c, i)
        c.t(0)[at(c, i, k)]
        return Case(f"the {word} so far is there", Num(float(k)), "another index")

    rule(f"aten.{name}")(value)
    rule(f"aten.{name}", output=1)(index)


_extreme("cummax", np.max, "largest")
_extreme("cummin", np.min, "smallest")
