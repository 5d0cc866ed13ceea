"""Mish and the gated linear unit, forward and backward (native/cpu/Activation.cpp, native/GatedLinearUnit.cpp)."""

from __future__ import annotations

from whygrad.rules.activations import ONE, add, logistic, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Expr, Kernel, Round
from whygrad.rules.registry import rule


def _tanh_softplus(x: Expr) -> Expr:
    """`tanh(log(1 + e^x))`."""
    return Call("tanh", (Call("log1p", (Call("exp", (x,)),)),))


@rule("aten.mish")
def mish(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ·tanh(log(1 + e^xᵢ))` (D. Misra, arXiv:1908.08681)."""
    x = c.t(0)[i]
    return Kernel(("mish",), (x,), mul(x, _tanh_softplus(x)))


@rule("aten.mish_backward")
def mish_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ·(t + xᵢ·s·(1 − t²))`, t = tanh(log(1 + e^xᵢ)), s = 1/(1 + e^(−xᵢ))."""
    g, x = c.t(0)[i], c.t(1)[i]
    t = _tanh_softplus(x)
    return Kernel(("mish_backward",), (g, x), mul(g, add(t, mul(mul(x, logistic(x)), sub(ONE, mul(t, t))))))


def _halves(x: Operand, i: Index, dim: int) -> tuple[Expr, Expr, bool]:
    """The elements of both halves of x that meet at an index of one half or of the whole, and whether the index is in the
    first half."""
    dim %= len(x.shape)
    half = x.shape[dim] // 2
    first = i[dim] < half
    low = (*i[:dim], i[dim] % half, *i[dim + 1 :])
    return x[low], x[(*low[:dim], low[dim] + half, *low[dim + 1 :])], first


@rule("aten.glu")
def glu(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ/(1 + e^(−bᵢ))`, a and b the halves of x along a dimension (Y. Dauphin et al., arXiv:1612.08083)."""
    a, b, _ = _halves(c.t(0), i, c.integer(1, "dim", -1))
    return Kernel(("glu",), (a, b), mul(a, logistic(b)))


@rule("aten.glu_backward")
def glu_backward(c: OpCall, i: Index) -> Expr:
    """`∂aᵢ = s·gᵢ`, `∂bᵢ = (1 − s)·s·aᵢ·gᵢ`, s = 1/(1 + e^(−bᵢ)), which is stored in the dtype in between."""
    x, dim = c.t(1), c.integer(2, "dim", -1)
    a, b, first = _halves(x, i, dim)
    s: Expr = Kernel(("sigmoid",), (b,), logistic(b))
    if x.dtype in ("float16", "bfloat16"):
        s = Round(s, x.dtype)
    dim %= len(x.shape)
    half = x.shape[dim] // 2
    g = c.t(0)[(*i[:dim], i[dim] % half, *i[dim + 1 :])]
    return mul(s, g) if first else mul(sub(ONE, s), s, a, g)
