"""Losses, forward and backward. A reduced loss is a sum over the terms that the unreduced one would have, each stored in
the tensor's dtype first (aten/src/ATen/native/Loss.cpp, LossNLL.cpp, cpu/BinaryOpsKernel.cpp, cpu/PointwiseOpsKernel.cpp)."""

from __future__ import annotations

from collections.abc import Callable

from whygrad.rules.activations import ONE, add, div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Case, Dot, Expr, Kernel, Neg, Num, Round, Var
from whygrad.rules.registry import rule

NONE, MEAN, SUM = 0, 1, 2
"""torch's `Reduction` enumeration."""

Term = Callable[[Expr, Expr], Expr]


def reduction_of(c: OpCall, position: int) -> int:
    """The reduction argument; the mean where it was left out."""
    return int(c.arg(position, "reduction", MEAN))  # pyright: ignore[reportArgumentType]


def reduced(c: OpCall, i: Index, term: Term, reduction: int) -> Expr:
    """`term(aᵢ, bᵢ)`, or the sum of all, or that over n. A term is stored in the dtype before it is summed."""
    a, b = c.t(0), c.t(1)
    if reduction == NONE:
        return term(a.broadcast(i), b.broadcast(i))
    inner = term(Var(0), Var(1))
    total = Dot(a.all(), b.all(), term=Round(inner, a.dtype) if a.dtype in ("float16", "bfloat16") else inner)
    return total if reduction == SUM else div(total, Num(float(len(total.a)), "n"))


def share(c: OpCall, x: Operand, reduction: int, top: float = 1.0, text: str = "1/n") -> Expr:
    """The factor of a loss's derivative: `top/n` for a mean, one double that is rounded to the width, else `top`."""
    n = max(x.value.numel, 1)
    return Num(top / n, text) if reduction == MEAN else Num(top)


@rule("aten.mse_loss")
def mse_loss(c: OpCall, i: Index) -> Expr:
    """`yᵢ = (aᵢ − bᵢ)²`, summed, and for the mean divided by n."""
    return reduced(c, i, lambda a, b: mul(sub(a, b), sub(a, b)), reduction_of(c, 2))


@rule("aten.mse_loss_backward", rounds="each")
def mse_loss_backward(c: OpCall, i: Index) -> Expr:
    """`∂aᵢ = (2/n)·(aᵢ − bᵢ)·g`."""
    g, a, b = (c.t(k).broadcast(i) for k in range(3))
    return mul(share(c, c.t(1), reduction_of(c, 3), 2.0, "2/n"), sub(a, b), g)


def _branch(is_so: bool, yes: tuple[str, Callable[[], Expr]], no: tuple[str, Callable[[], Expr]], texts: tuple[str, str]) -> Expr:
    """One of two branches, with the other's text."""
    condition, value = yes if is_so else no
    return Case(condition, value(), texts[1] if is_so else texts[0])
