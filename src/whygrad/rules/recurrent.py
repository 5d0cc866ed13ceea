"""What oneDNN's recurrent layers compute and no ATen op does: their logistic function and tanh, and their product of
matrices. The ops are made by `explain/inside/recurrent_ops.py`."""

from __future__ import annotations

from whygrad.floats.summation import Chain, Order, Pairs, Panels
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Call, Dot, Expr
from whygrad.rules.registry import rule

PANELS = Panels(384, "last two")
_PANELS = (Order(PANELS, fused=True, init="first"),)
_ONE_ROW = (Order(Chain(), fused=True, init="first"),)
_PAIRS = (Order(Pairs(), fused=True, init="last"),)


@rule("whygrad.tanh_onednn")
def tanh_onednn(c: OpCall, i: Index) -> Expr:
    """`yᵢ = tanh xᵢ`."""
    return Call("tanh", (c.t(0)[i],), "oneDNN")


@rule("whygrad.sigmoid_onednn")
def sigmoid_onednn(c: OpCall, i: Index) -> Expr:
    """`yᵢ = σ(xᵢ)`."""
    return Call("sigmoid", (c.t(0)[i],), "oneDNN")


@rule("whygrad.gemm")
def gemm(c: OpCall, i: Index) -> Expr:
    """`y[n,o] = start[n,o] + Σₖ a[n,k]·b[k,o]`: panels of k onto the start; of one row one chain that begins there; of
    numbers of 16 bits (`pairs`) a chain over pairs of k."""
    orders = _orders(c.t(1).shape[0], bool(c.arg(3)))
    return Dot(c.t(1).series(i[0], None), c.t(2).series(None, i[1]), init=c.t(0)[i], orders=orders)


@rule("whygrad.gemm_from_zero")
def gemm_from_zero(c: OpCall, i: Index) -> Expr:
    """`y[n,o] = Σₖ a[n,k]·b[k,o]`, added up as `gemm` does."""
    orders = _orders(c.t(0).shape[0], bool(c.arg(2)))
    return Dot(c.t(0).series(i[0], None), c.t(1).series(None, i[1]), orders=orders)


def _orders(rows: int, pairs: bool) -> tuple[Order, ...]:
    return _PAIRS if pairs else _ONE_ROW if rows == 1 else _PANELS


@rule("whygrad.sum_rows")
def sum_rows(c: OpCall, i: Index) -> Expr:
    """`y[o] = Σₙ x[n,o]`, one row after the other."""
    return Dot(c.t(0).series(None, i[0]), orders=(Order(Chain()),))
