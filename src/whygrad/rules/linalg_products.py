"""Outer products, cross products, and distances of rows. (Batched sums of products and bilinear forms have no rule: their
kernels run other ops, which `explain.inside` shows.)"""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.floats.summation import Chain, Order
from whygrad.rules.activations import div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Bin, Call, Case, Dot, Expr, Num, Series, Var
from whygrad.rules.linalg_matrices import difference_of_products
from whygrad.rules.registry import Unruled, rule

Array = np.ndarray[Any, Any]


def factor(c: OpCall, position: int, name: str) -> float:
    """`beta` or `alpha`, whether given by place or by name."""
    found = c.arg(position, name, c.arg(-1, name, 1))
    if not isinstance(found, (int, float)):
        raise Unruled(f"{name} is no real number")
    return float(found)


def biased(c: OpCall, i: Index, total: Expr) -> Expr:
    """`beta·input + alpha·total`; nothing is read of the input for beta = 0."""
    beta, alpha = factor(c, 3, "beta"), factor(c, 4, "alpha")
    scaled = total if alpha == 1 else mul(Num(alpha), total)
    if beta == 0:
        return scaled
    start = c.t(0).broadcast(i)
    return Bin("+", start if beta == 1 else mul(Num(beta), start), scaled)


@rule("aten.addr", rounds="either")
def addr(c: OpCall, i: Index) -> Expr:
    """`y[n,m] = beta·input[n,m] + alpha·a[n]·b[m]` (native/cpu/LinearAlgebraKernel.cpp)."""
    return biased(c, i, mul(c.t(1)[(i[0],)], c.t(2)[(i[1],)]))


@rule("aten.linalg_cross", "aten.cross", rounds="either")
def cross(c: OpCall, i: Index) -> Expr:
    """`y[0] = a[1]·b[2] − a[2]·b[1]`, and so on in turn, along one dimension of size 3."""
    a, b = c.t(0), c.t(1)
    dim = c.arg(2, "dim", c.arg(-1, "dim", -1))
    at = dim % len(i) if isinstance(dim, int) else next(d for d, n in enumerate(a.shape) if n == 3)
    one, two = ((*i[:at], (i[at] + k) % 3, *i[at + 1 :]) for k in (1, 2))
    return difference_of_products(a.broadcast(one), b.broadcast(two), a.broadcast(two), b.broadcast(one))


# ---- distances


def distance(a: Series, b: Series, p: float) -> Expr:
    """`(Σ |aₖ − bₖ|ᵖ)^(1/p)`; the count of differences for p = 0, the largest for p = ∞."""
    apart = Call("abs", (sub(Var(0), Var(1)),))
    orders = (Order(Chain()),)
    if p == 0:
        unequal = sub(Num(1), Call("equal", (Var(0), Var(1))))
        return Dot(a, b, term=unequal, orders=orders)
    if p == 1:
        return Dot(a, b, term=apart, orders=orders)
    if p == 2:
        difference = sub(Var(0), Var(1))
        return Call("sqrt", (Dot(a, b, term=mul(difference, difference), orders=orders),))
    total = Dot(a, b, term=Call("pow", (apart, Num(p))), orders=orders)
    return Call("pow", (total, div(Num(1), Num(p))))


def line(x: Operand, batch: Index, row: int) -> Series:
    """A row of a (broadcast) batch of matrices."""
    own = x.shape[:-2]
    tail = batch[len(batch) - len(own) :] if own else ()
    return x.series(*(0 if n == 1 else k for k, n in zip(tail, own, strict=True)), row, None)


def largest(x: Operand, y: Operand, one: Index, other: Index, width: int) -> Expr:
    """The largest of `|xₖ − yₖ|`, by the recorded numbers."""
    gaps = [abs(float(x.item((*one, k))) - float(y.item((*other, k)))) for k in range(width)]
    k = int(np.argmax(gaps))
    return Case("the largest of the differences", Call("abs", (sub(x[(*one, k)], y[(*other, k)]),)), "another")


@rule("aten._cdist_forward")
def cdist(c: OpCall, i: Index) -> Expr:
    """`y[n,m] = ‖a[n] − b[m]‖ₚ` (native/cpu/DistanceOpsKernel.cpp)."""
    a, b, p = c.t(0), c.t(1), c.real(2)
    if not a.shape[-1]:
        return Case("rows are empty", Num(0), "‖a − b‖")
    if p == float("inf"):
        one, other = (_row_at(x, i[:-2], row) for x, row in ((a, i[-2]), (b, i[-1])))
        return largest(a, b, one, other, a.shape[-1])
    return distance(line(a, i[:-2], i[-2]), line(b, i[:-2], i[-1]), p)


def _row_at(x: Operand, batch: Index, row: int) -> Index:
    own = x.shape[:-2]
    tail = batch[len(batch) - len(own) :] if own else ()
    return (*(0 if n == 1 else k for k, n in zip(tail, own, strict=True)), row)


def pair_of(n: int, k: int) -> tuple[int, int]:
    """The k-th pair of rows in the order (0,1), (0,2), …, (1,2), …"""
    for row in range(n):
        if k < n - 1 - row:
            return row, row + 1 + k
        k -= n - 1 - row
    raise ValueError(f"no pair {k} of {n} rows")


@rule("aten._pdist_forward")
def pdist(c: OpCall, i: Index) -> Expr:
    """`y[k] = ‖x[a] − x[b]‖ₚ` for the k-th pair of rows."""
    x, p = c.t(0), c.real(1, "p", 2.0)
    a, b = pair_of(x.shape[0], i[0])
    if p == float("inf"):
        return largest(x, x, (a,), (b,), x.shape[1])
    return distance(x.series(a, None), x.series(b, None), p)


def slope(difference: Expr, p: float, dist: Expr, grad: Expr) -> Expr:
    """The gradient of a distance by one difference: `g·sign(d)` for p = 1, `g·d/dist` for 2, the largest difference's
    `g·sign(d)` for ∞, else `d·|d|^(p−2)·g / dist^(p−1)`."""
    sign = Call("sign", (difference,))
    size = Call("abs", (difference,))
    if p == 0:
        return Num(0)
    if p == 1:
        return mul(grad, sign)
    if p == float("inf"):
        return mul(mul(grad, sign), Call("equal", (size, dist)))
    if p == 2:
        return div(mul(grad, difference), dist)
    below = Call("pow", (dist, Num(p - 1)))
    if p < 2:
        return div(mul(mul(sign, Call("pow", (size, Num(p - 1)))), grad), below)
    return div(mul(mul(difference, Call("pow", (size, Num(p - 2)))), grad), below)


def _slopes(mine: Expr, theirs: Series, grads: Series, dists: Series, zero: Array, p: float) -> Expr:
    """`Σ` of `slope` over what a row was compared with; a distance of 0 has the gradient 0."""
    kept = ~zero
    if not kept.any() or p == 0:
        return Case("every distance is 0" if p else "p is 0", Num(0), "Σ")
    theirs, grads, dists = (Series(s.operand, s.indices[kept]) for s in (theirs, grads, dists))
    term = slope(sub(mine, Var(0)), p, Var(-1), Var(1))
    return Dot(theirs, grads, term=term, more=(dists,), orders=(Order(Chain()),))


@rule("aten._cdist_backward")
def cdist_backward(c: OpCall, i: Index) -> Expr:
    """`∂a[n,k] = Σₘ g[n,m]·∂‖a[n] − b[m]‖ₚ/∂a[n,k]` (native/cpu/DistanceOpsKernel.cpp)."""
    grad, a, b, p, dist = c.t(0), c.t(1), c.t(2), c.real(3), c.t(4)
    batch, row, k = i[:-2], i[-2], i[-1]
    count = b.shape[-2]
    rows = np.arange(count)

    def spread(x: Operand, *last: Array) -> Series:
        own = x.shape[:-2]
        tail = batch[len(batch) - len(own) :] if own else ()
        where = np.array([0 if n == 1 else at for at, n in zip(tail, own, strict=True)], dtype=np.int64)
        return x.at(np.column_stack([np.broadcast_to(where, (count, len(where))), *last]))

    here, column = np.full(count, row), np.full(count, k)
    dists = spread(dist, here, rows)
    zero = np.array([float(dist.item(tuple(int(t) for t in at))) == 0 for at in dists.indices])
    mine = a[(*_row_at(a, batch, row), k)]
    return _slopes(_outside(mine), spread(b, rows, column), spread(grad, here, rows), dists, zero, p)


def _outside(var: Var) -> Var:
    """A variable of the equation as the terms of a sum name it."""
    return Var(var.k + 2)


@rule("aten._pdist_backward")
def pdist_backward(c: OpCall, i: Index) -> Expr:
    """`∂x[n,k] = Σ g·∂‖x[n] − x[m]‖ₚ/∂x[n,k]` over the other rows m."""
    grad, x, p, dist = c.t(0), c.t(1), c.real(2), c.t(3)
    n, k = i
    others = [m for m in range(x.shape[0]) if m != n]
    places = {pair: at for at, pair in enumerate((a, b) for a in range(x.shape[0]) for b in range(a + 1, x.shape[0]))}
    at = np.array([places[min(n, m), max(n, m)] for m in others], dtype=np.int64).reshape(-1, 1)
    zero = np.array([float(dist.item((int(place[0]),))) == 0 for place in at], dtype=bool)
    if not others:
        return Case("there is no other row", Num(0), "Σ")
    theirs = x.at(np.column_stack([others, np.full(len(others), k)]))
    return _slopes(_outside(x[n, k]), theirs, grad.at(at), dist.at(at), zero, p)
