"""Distances and renormalised rows (aten/src/ATen/native/ReduceOps.cpp, Normalization.cpp), and hashes of a tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from whygrad.floats.summation import Chain, Lanes, Order
from whygrad.rules.activations import add, div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Case, Dot, Expr, Num, Round, Series, Var
from whygrad.rules.movement_maps import content
from whygrad.rules.norms import lanes_of
from whygrad.rules.reductions import reduced
from whygrad.rules.reductions_loops import NARROW, dims_of
from whygrad.rules.registry import rule

Array = np.ndarray[Any, Any]
_FUSED = (Order(Chain(), fused=True),)
_IN_TURN = (Order(Chain()),)


def _power_sum(a: Series, b: Series | None, term: Expr, p: float, squares: tuple[Order, ...]) -> Expr:
    """`(Σ |t|^p)^(1/p)` over the terms t."""
    size = Call("abs", (term,))
    if p == 2:
        if b is None:
            return Call("sqrt", (Dot(a, a, orders=squares),))
        return Call("sqrt", (Dot(a, b, term=mul(term, term), orders=_IN_TURN),))
    if p == 1:
        return Dot(a, b, term=size, orders=_IN_TURN)
    if p == 0:
        return Dot(a, b, term=sub(Num(1), Call("equal", (term, Num(0)))), orders=_IN_TURN)
    total = Dot(a, b, term=Call("pow", (size, Num(p)), "C library"), orders=_IN_TURN)
    return Call("pow", (total, Num(1 / p, "1/p")), "C library")


def _everywhere(x: Operand, shape: Index) -> Series:
    """The elements of `x` as broadcasting to `shape` reads them, in row-major order."""
    places = np.broadcast_to(np.arange(x.value.numel).reshape(x.shape), shape).reshape(-1)
    return x.at(
        np.stack(np.unravel_index(places, x.shape), axis=1) if x.shape else np.zeros((len(places), 0), np.int64)
    )


@rule("aten.dist")
def dist(c: OpCall, i: Index) -> Expr:
    """`y = ‖a − b‖ₚ`, the difference stored in the dtype."""
    a, b, p = c.t(0), c.t(1), c.real(2, "p", 2.0)
    shape = np.broadcast_shapes(a.shape, b.shape)
    sizes = [np.broadcast_to(content(x), shape).astype(np.float64).reshape(-1) for x in (a, b)]
    # A scalar is no series: it is the same in every term.
    left: Expr = Var(a[()].k + 2) if shape and not a.shape else Var(0)
    right: Expr = Var(b[()].k + 2) if shape and not b.shape else Var(1 if left == Var(0) else 0)
    one = _everywhere(a if left == Var(0) else b, shape)
    other = _everywhere(b, shape) if right == Var(1) else None
    difference: Expr = sub(left, right)
    if a.dtype in NARROW:
        difference = Round(difference, a.dtype)
    if math.isinf(p):
        apart = np.abs(sizes[0] - sizes[1])
        at = np.unravel_index(int(np.argmax(apart) if p > 0 else np.argmin(apart)), shape) if shape else ()
        pair = sub(a.broadcast(tuple(int(k) for k in at)), b.broadcast(tuple(int(k) for k in at)))
        return Case(f"no difference is {'larger' if p > 0 else 'smaller'}", Call("abs", (pair,)), "another")
    if p == 2:
        lanes = Lanes(lanes_of(c, a.dtype), lanes_join="in turn", rest="after")
        order = Order(Chain()) if a.dtype == "float16" else Order(lanes)
        return Call("sqrt", (Dot(one, other, term=mul(difference, difference), orders=(order,)),))
    return _power_sum(one, other, difference, p, _FUSED)


@rule("aten.renorm")
def renorm(c: OpCall, i: Index) -> Expr:
    """`y = x`, but `x · maxnorm/(‖row‖ₚ + 10⁻⁷)` in a row whose norm is above `maxnorm`; the factor in x's dtype."""
    x, p, dim = c.t(0), c.real(1, "p"), c.integer(2, "dim") % len(i)
    most = c.number(3, "maxnorm")
    others = tuple(d for d in range(len(i)) if d != dim)
    row = reduced(x, dims_of(others, len(i)), False, (i[dim],))
    numbers = np.abs(content(x)[tuple(row.indices.T)].astype(np.float64))
    with np.errstate(all="ignore"):
        norm = float(
            numbers.max() if math.isinf(p) else (numbers**p).sum() ** (1 / p) if p else np.count_nonzero(numbers)
        )
    if norm <= c.real(3, "maxnorm"):
        return Case("its row's norm is not above maxnorm", x[i], "x · maxnorm/(‖x‖ + 1e-07)")
    if math.isinf(p):
        size: Expr = Call("abs", (x[tuple(row.indices[int(np.argmax(numbers))])],))
    else:
        lanes = Lanes(lanes_of(c, x.dtype), lanes_join="in turn", rest="fused after")
        together = dim == 0 and x.value.stride[-1] == 1 and x.dtype != "float16"
        size = _power_sum(row, None, Var(0), p, (Order(lanes, fused=True),) if together else (Order(Chain()),))
    factor = div(most, add(size, Num(1e-7)))
    factor = Round(factor, x.dtype) if x.dtype in NARROW else factor
    return Case("its row's norm is above maxnorm", mul(x[i], factor), "x")


@rule("aten.hash_tensor")
def hash_tensor(c: OpCall, i: Index) -> Expr:
    """The bits of all elements (as doubles or 64-bit integers) joined by exclusive or."""
    x = c.t(0)
    elements = reduced(x, dims_of(c.arg(1, "dim"), len(x.shape)), bool(c.arg(2, "keepdim", False)), i).indices
    numbers = content(x)[tuple(elements.T)].reshape(-1)
    wide = numbers.astype(np.int64 if numbers.dtype.kind in "biu" else np.float64)
    found = int(np.bitwise_xor.reduce(wide.view(np.uint64))) if len(wide) else 0
    return Case(f"the bits of {len(wide):,} elements, joined by exclusive or", Num(float(found)))
