"""Products, logsumexp and what else a row of numbers comes down to."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.floats.summation import Chain, Order
from whygrad.rules.activations import add, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Case, Dot, Expr, In, Num, Round, Var
from whygrad.rules.movement_maps import content
from whygrad.rules.reductions import reduced, summed, walk_of
from whygrad.rules.reductions_loops import ITEM, NARROW, dims_of, terms_of
from whygrad.rules.registry import rule
from whygrad.trace.store import numpy_dtype

Array = np.ndarray[Any, Any]
_WRITTEN_OUT, _WRITTEN_OUT_LANES = 48, 128


def _product(factors: list[Expr]) -> Expr:
    total = factors[0]
    for each in factors[1:]:
        total = mul(total, each)
    return total


def _lanes(factors: list[Expr], width: int) -> Expr:
    """`vectorized_inner_reduction` (native/cpu/Reduce.h): four vectors of running products, joined in pairs, their lanes in
    turn, then what is left."""
    row = 4 * width
    body = len(factors) // row * row
    lanes = [_product(factors[j:body:row]) for j in range(row)]
    vector = [
        mul(mul(lanes[j], lanes[width + j]), mul(lanes[2 * width + j], lanes[3 * width + j])) for j in range(width)
    ]
    return _product([*vector, *factors[body:]])


def _parts(numbers: Array, width: int) -> tuple[Any, Any]:
    """The last two factors of a long row's product, as the kernel makes it: of all lanes but the last and of that one, or
    of all numbers but the last and of that one."""
    row = 4 * width
    body = len(numbers) // row * row if width else 0
    if not body:
        return np.multiply.accumulate(numbers[:-1])[-1], numbers[-1]
    lanes = np.multiply.accumulate(numbers[:body].reshape(-1, row), axis=0)[-1].reshape(4, width)
    turn = np.concatenate([(lanes[0] * lanes[1]) * (lanes[2] * lanes[3]), numbers[body:]]).astype(numbers.dtype)
    return np.multiply.accumulate(turn)[-2], turn[-1]


@rule("aten.prod", rounds="each")
def prod(c: OpCall, i: Index) -> Expr:
    """`y = Π x` over the named dimension, or over all (native/cpu/ReduceOpsKernel.cpp)."""
    x, dtype = c.t(0), c.out().dtype
    dims = dims_of(c.arg(1, "dim"), len(x.shape))
    keepdim = bool(c.arg(2, "keepdim", False))
    found = walk_of(c, x, dims, keepdim, dtype != x.dtype)
    terms = terms_of(x, found.reduced, keepdim, i)
    if not len(terms):
        return Num(1)
    width = 32 // ITEM.get(dtype, 8) if found.loops and found.loops[0].stride == 1 else 0
    narrow = dtype in NARROW and x.dtype != dtype
    if len(terms) <= (_WRITTEN_OUT_LANES if width else _WRITTEN_OUT):
        factors: list[Expr] = [Round(x[tuple(t)], dtype) if narrow else x[tuple(t)] for t in terms]
        return _lanes(factors, width) if width and len(terms) >= 4 * width else _product(factors)
    numbers = content(x)[tuple(terms.T)].astype(numpy_dtype(dtype))
    with np.errstate(all="ignore"):
        first, last = _parts(numbers, width)
    x[tuple(terms[-1])]
    return mul(Num(float(first), f"the product of the others of {len(terms):,}"), Num(float(last), "the last factor"))


def _largest(x: Operand, elements: Array) -> tuple[Expr, Var]:
    numbers = content(x)[tuple(elements.T)].astype(np.float64)
    var = x[tuple(int(k) for k in elements[int(np.argmax(numbers))])]
    return Case("it is the largest", var, "another element"), var


@rule("aten.logsumexp", rounds="each")
def logsumexp(c: OpCall, i: Index) -> Expr:
    """`y = log Σ e^(x − max) + max` (native/ReduceOps.cpp): each step stored in the dtype."""
    x, dtype = c.t(0), c.out().dtype
    dims = dims_of(c.arg(1, "dim"), len(x.shape))
    keepdim = bool(c.arg(2, "keepdim", False))
    elements = reduced(x, dims, keepdim, i).indices
    if not len(elements):
        return Num(-np.inf)
    top, var = _largest(x, elements)
    infinite = np.isinf(x.item(tuple(int(k) for k in elements[0])) if len(elements) == 1 else _value(x, elements, var))
    shift: Expr = Num(0) if infinite else Var(var.k + 2)
    total = summed(c, i, x, dims, keepdim, dtype, Call("exp", (sub(Var(0), shift),)), copied=True)
    logged = Call("log", (Round(total, dtype) if dtype in NARROW else total,))
    return logged if infinite else add(logged, top)


def _value(x: Operand, elements: Array, var: Var) -> float:
    return float(np.max(content(x)[tuple(elements.T)].astype(np.float64)))


@rule("aten.trace")
def trace(c: OpCall, i: Index) -> Expr:
    """`y = Σ x[k,k]`, in double precision (native/ReduceOps.cpp)."""
    x = c.t(0)
    n = min(x.shape)
    total = Dot(x.at(np.stack([np.arange(n), np.arange(n)], axis=1)), orders=(Order(Chain()),))
    return In("float64", total) if c.out().dtype in ("float32", "float64") else total


@rule("aten.count_nonzero")
def count_nonzero(c: OpCall, i: Index) -> Expr:
    """`y`: how many elements are not 0."""
    x = c.t(0)
    dims = dims_of(c.arg(1, "dim"), len(x.shape))
    elements = reduced(x, dims, False, i).indices
    count = int(np.count_nonzero(content(x)[tuple(elements.T)])) if len(elements) else 0
    if len(elements) and 0 < count <= 4:
        for row in elements[np.flatnonzero(content(x)[tuple(elements.T)])]:
            x[tuple(row)]
    return Case(f"{count} of {len(elements)} elements are not 0", Num(float(count)), "another count")
