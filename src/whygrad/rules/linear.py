"""Products of matrices and vectors. float16 and bfloat16 accumulate in float32 and round once."""

from __future__ import annotations

from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Bin, Dot, Expr
from whygrad.rules.registry import rule


@rule("aten.mm")
def mm(c: OpCall, i: Index) -> Expr:
    """`y[n,o] = Σₖ a[n,k]·b[k,o]`; a (N,K), b (K,O)."""
    n, o = i
    return Dot(c.t(0).series(n, None), c.t(1).series(None, o))


@rule("aten.bmm")
def bmm(c: OpCall, i: Index) -> Expr:
    """`y[b,n,o] = Σₖ a[b,n,k]·b[b,k,o]`."""
    b, n, o = i
    return Dot(c.t(0).series(b, n, None), c.t(1).series(b, None, o))


@rule("aten.mv")
def mv(c: OpCall, i: Index) -> Expr:
    """`y[n] = Σₖ a[n,k]·x[k]`."""
    return Dot(c.t(0).series(i[0], None), c.t(1).series(None))


@rule("aten.dot", "aten.vdot")
def dot(c: OpCall, i: Index) -> Expr:
    """`y = Σₖ a[k]·b[k]`."""
    return Dot(c.t(0).series(None), c.t(1).series(None))


def _with_bias(c: OpCall, i: Index, product: Dot) -> Expr:
    """`beta·bias + alpha·product`; beta and alpha are 1 in every layer of torch.nn."""
    beta, alpha = c.arg(-1, "beta", 1), c.arg(-1, "alpha", 1)
    bias = c.t(0).broadcast(i)
    if beta == 1 and alpha == 1:
        return Dot(product.a, product.b, init=bias)
    if alpha == 1 and beta != 0:
        return Dot(product.a, product.b, init=Bin("*", c.number(-1, "beta"), bias))
    scaled: Expr = product if alpha == 1 else Bin("*", c.number(-1, "alpha"), product)
    if beta == 0:
        return scaled
    return Bin("+", bias if beta == 1 else Bin("*", c.number(-1, "beta"), bias), scaled)


@rule("aten.addmm")
def addmm(c: OpCall, i: Index) -> Expr:
    """`y[n,o] = bias[o] + Σₖ a[n,k]·b[k,o]`: the forward pass of nn.Linear, b being the weight's transpose."""
    n, o = i
    return _with_bias(c, i, Dot(c.t(1).series(n, None), c.t(2).series(None, o)))


@rule("aten.addmv")
def addmv(c: OpCall, i: Index) -> Expr:
    """`y[n] = bias[n] + Σₖ a[n,k]·x[k]`."""
    return _with_bias(c, i, Dot(c.t(1).series(i[0], None), c.t(2).series(None)))


@rule("aten.baddbmm")
def baddbmm(c: OpCall, i: Index) -> Expr:
    """`y[b,n,o] = bias[b,n,o] + Σₖ a[b,n,k]·b[b,k,o]`."""
    b, n, o = i
    return _with_bias(c, i, Dot(c.t(1).series(b, n, None), c.t(2).series(b, None, o)))
