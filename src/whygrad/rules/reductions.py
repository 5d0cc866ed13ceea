"""Sums and means over dimensions."""

from __future__ import annotations

from itertools import product

import numpy as np

from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Bin, Dot, Expr, Num, Series
from whygrad.rules.registry import rule
from whygrad.trace.model import Arg


def dims_of(arg: Arg, rank: int) -> tuple[int, ...]:
    """Reduced dimensions, all of them where none is named."""
    if isinstance(arg, int) and not isinstance(arg, bool):
        return (arg % rank,) if rank else ()
    named = tuple(d % rank for d in arg if isinstance(d, int)) if isinstance(arg, tuple) else ()
    return named or tuple(range(rank))


def reduced(x: Operand, dims: tuple[int, ...], keepdim: bool, i: Index) -> Series:
    """The elements of `x` that one element of the result reduces, in row-major order."""
    kept = iter(i if not keepdim else [j for d, j in enumerate(i) if d not in dims])
    ranges = [range(n) if d in dims else (next(kept),) for d, n in enumerate(x.shape)]
    rows = list(product(*ranges))
    return x.at(np.array(rows, dtype=np.int64).reshape(len(rows), len(x.shape)))


@rule("aten.sum")
def sum_(c: OpCall, i: Index) -> Expr:
    """`y = Σ x` over the named dimensions (native/cpu/SumKernel.cpp: cascade summation)."""
    x = c.t(0)
    dims = dims_of(c.arg(1, "dim"), len(x.shape))
    return Dot(reduced(x, dims, bool(c.arg(2, "keepdim", False)), i))


@rule("aten.mean")
def mean(c: OpCall, i: Index) -> Expr:
    """`y = (Σ x) / n` over the named dimensions."""
    x = c.t(0)
    dims = dims_of(c.arg(1, "dim"), len(x.shape))
    series = reduced(x, dims, bool(c.arg(2, "keepdim", False)), i)
    return Bin("/", Dot(series), Num(float(len(series)), "n"))
