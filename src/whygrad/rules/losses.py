"""Losses, forward and backward. A reduced loss is a sum over the terms that the unreduced one would have, each stored in
the tensor's dtype first (aten/src/ATen/native/Loss.cpp, LossNLL.cpp, cpu/BinaryOpsKernel.cpp, cpu/PointwiseOpsKernel.cpp)."""

from __future__ import annotations

from collections.abc import Callable

from whygrad.floats import number_format, round_to
from whygrad.rules.activations import div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Case, Dot, Expr, Kernel, Num, Round, Var
from whygrad.rules.registry import rule

NONE, MEAN, SUM = 0, 1, 2
"""torch's `Reduction` enumeration."""

NARROW = ("float16", "bfloat16")
Term = Callable[[Expr, Expr], Expr]


def reduction_of(c: OpCall, position: int) -> int:
    """The reduction argument; the mean where it was left out."""
    return c.integer(position, "reduction", MEAN)


def reduced(c: OpCall, i: Index, term: Term, reduction: int) -> Expr:
    """`term(aᵢ, bᵢ)`, or the sum of all, or that over n. A term is stored in the dtype before it is summed; the sum of 16-bit
    terms, and the division of it, are float32's."""
    a, b = c.t(0), c.t(1)
    if reduction == NONE:
        return term(a.broadcast(i), b.broadcast(i))
    inner = term(Var(0), Var(1))
    total = Dot(a.all(), b.all(), term=Round(inner, a.dtype) if a.dtype in NARROW else inner)
    return total if reduction == SUM else div(total, Num(float(len(total.a)), "n"))


def share(x: Operand, reduction: int, top: float = 1.0, text: str = "1/n") -> Num:
    """The factor of a loss's derivative: `top/n` for a mean, one double that is rounded to the width, else `top`."""
    return Num(top / max(x.value.numel, 1), text) if reduction == MEAN else Num(top)


@rule("aten.mse_loss", rounds="each")
def mse_loss(c: OpCall, i: Index) -> Expr:
    """`yᵢ = (aᵢ − bᵢ)²`, summed, and for the mean divided by n."""
    return reduced(c, i, lambda a, b: mul(sub(a, b), sub(a, b)), reduction_of(c, 2))


@rule("aten.mse_loss_backward", rounds="each")
def mse_loss_backward(c: OpCall, i: Index) -> Expr:
    """`∂aᵢ = (2/n)·(aᵢ − bᵢ)·g`."""
    g, a, b = (c.t(k).broadcast(i) for k in range(3))
    return mul(share(c.t(1), reduction_of(c, 3), 2.0, "2/n"), sub(a, b), g)


def _less(a: Expr, b: Expr, then: Expr, otherwise: Expr) -> Expr:
    """`then` if a < b, else `otherwise`, where it differs from term to term."""
    return Call("where", (Call("less", (a, b)), then, otherwise))


def _difference(c: OpCall, i: Index, first: int) -> float:
    """`a − b`, rounded to the dtype."""
    a, b = (c.t(k).item(_at(c.t(k), i)) for k in (first, first + 1))
    return round_to(a - b, number_format(c.t(first).dtype))


def _at(x: Operand, i: Index) -> Index:
    tail = i[len(i) - len(x.shape) :] if x.shape else ()
    return tuple(0 if n == 1 else k for k, n in zip(tail, x.shape, strict=True))


def _two_parts(
    c: OpCall, i: Index, bound: float, name: str, near: Callable[[Expr], Expr], far: Callable[[Expr], Expr]
) -> Expr:
    """A loss of z = |a − b| that is quadratic below `bound` and linear from there."""

    def term(a: Expr, b: Expr) -> Expr:
        z = Call("abs", (sub(a, b),))
        return _less(z, Num(bound, name), near(z), far(z))

    if reduction_of(c, 2) != NONE:
        return reduced(c, i, term, reduction_of(c, 2))
    z = Call("abs", (sub(c.t(0).broadcast(i), c.t(1).broadcast(i)),))
    if abs(_difference(c, i, 0)) < bound:
        return Case(f"|a − b| < {name}", near(z), "the linear part")
    return Case(f"|a − b| ≥ {name}", far(z), "the quadratic part")


@rule("aten.smooth_l1_loss", rounds="float16")
def smooth_l1_loss(c: OpCall, i: Index) -> Expr:
    """`yᵢ = ½·z²/β if z < β, else z − ½·β`, z = |aᵢ − bᵢ|."""
    beta = c.real(3, "beta", 1.0)
    half, b = Num(0.5, "½"), Num(beta, "β")
    return _two_parts(c, i, beta, "β", lambda z: div(mul(half, z, z), b), lambda z: sub(z, mul(half, b)))


@rule("aten.huber_loss", rounds="bfloat16")
def huber_loss(c: OpCall, i: Index) -> Expr:
    """`yᵢ = ½·z² if z < δ, else δ·(z − ½·δ)`, z = |aᵢ − bᵢ|."""
    delta = c.real(3, "delta", 1.0)
    half, d = Num(0.5, "½"), Num(delta, "δ")
    return _two_parts(c, i, delta, "δ", lambda z: mul(half, z, z), lambda z: mul(d, sub(z, mul(half, d))))


def _slope(
    c: OpCall,
    i: Index,
    bound: float,
    name: str,
    outer: Callable[[Num, Expr], Expr],
    inner: Callable[[Expr, Expr], Expr],
) -> Expr:
    """The derivative of such a loss: from `bound` on `outer(±norm, g)`, else `inner(a − b, g)`."""
    g, a, b = (c.t(k).broadcast(i) for k in range(3))
    x = _difference(c, i, 1)
    norm = share(c.t(1), reduction_of(c, 3))
    if x <= -bound:
        negative = Num(-norm.value, "−" + norm.text if norm.text else "")
        return Case(f"a − b ≤ −{name}", outer(negative, g), "the quadratic part's slope")
    if x >= bound:
        return Case(f"a − b ≥ {name}", outer(norm, g), "the quadratic part's slope")
    return Case(f"|a − b| < {name}", inner(sub(a, b), g), "the linear part's slope")


@rule("aten.smooth_l1_loss_backward", rounds="once")
def smooth_l1_loss_backward(c: OpCall, i: Index) -> Expr:
    """`∂aᵢ = (1/n)·(aᵢ − bᵢ)·g/β if |aᵢ − bᵢ| < β, else ±(1/n)·g`; the vector body divides by β before it
    multiplies by g, the scalar body by β as a double."""
    beta = c.real(4, "beta", 1.0)
    norm = share(c.t(1), reduction_of(c, 3))

    def inner(x: Expr, g: Expr) -> Expr:
        exact = Round(Num(beta, "β"), "float64")
        return Kernel((), (), div(mul(norm, x, g), exact), (mul(norm, div(x, Num(beta, "β")), g),))

    return _slope(c, i, beta, "β", mul, inner)


def _wider(number: Num, x: Operand) -> Expr:
    """A number as the scalar body keeps it: float32 where x has 16 bits, a double beside float32."""
    return Round(number, "float32" if x.dtype in NARROW else "float64")


@rule("aten.huber_loss_backward", rounds="each")
def huber_loss_backward(c: OpCall, i: Index) -> Expr:
    """`∂aᵢ = (1/n)·(aᵢ − bᵢ)·g if |aᵢ − bᵢ| < δ, else ±(1/n)·g·δ`; the vector body multiplies by δ
    before g, the scalar body has δ in a wider format."""
    delta = Num(c.real(4, "delta", 1.0), "δ")
    norm = share(c.t(1), reduction_of(c, 3))

    def outer(signed: Num, g: Expr) -> Expr:
        return Kernel((), (), mul(signed, delta, g), (mul(signed, g, _wider(delta, c.t(1))), mul(signed, g, delta)))

    return _slope(c, i, delta.value, "δ", outer, lambda x, g: mul(norm, x, g))
