"""What a random generator draws, and dropout. Such numbers are checked by drawing again, from the recorded state of the
generator (aten/src/ATen/native/Distributions.cpp, Dropout.cpp)."""

from __future__ import annotations

from whygrad.rules.activations import mul
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Case, Drawn, Expr, Num
from whygrad.rules.pointwise import operand, stored
from whygrad.rules.registry import rule


def _draws(op: str, distribution: str, *parameters: tuple[int, str, float], output: int = 0) -> None:
    """Enter a rule for an op whose elements are drawn from a distribution; `parameters` are the positions, names and
    defaults of the arguments that `{}` in its text stand for."""

    def function(c: OpCall, i: Index) -> Expr:
        numbers = [c.arg(position, name, default) for position, name, default in parameters]
        texts = [
            f"{n:g}" if isinstance(n, (int, float)) else name
            for n, (_, name, _) in zip(numbers, parameters, strict=True)
        ]
        return Drawn(float(c.out(output).item(i)), "drawn from " + distribution.format(*texts))

    function.__name__ = function.__qualname__ = f"draw {op}"
    function.__doc__ = f"`yᵢ` is drawn from {distribution}."
    rule(f"aten.{op}", output=output)(function)


_draws("bernoulli_.float", "Bernoulli({})", (1, "p", 0.5))
_draws("bernoulli.p", "Bernoulli({})", (1, "p", 0.5))
_draws("rand", "the uniform distribution on [0, 1)")
_draws("rand_like", "the uniform distribution on [0, 1)")
_draws("uniform", "the uniform distribution on [{}, {})", (1, "from", 0.0), (2, "to", 1.0))
_draws("randn", "the normal distribution N(0, 1)")
_draws("randn_like", "the normal distribution N(0, 1)")
_draws("normal_", "the normal distribution with mean {} and standard deviation {}", (1, "mean", 0.0), (2, "std", 1.0))
_draws("normal", "a normal distribution")
_draws("log_normal", "a log-normal distribution")
_draws("exponential", "the exponential distribution of rate {}", (1, "lambd", 1.0))
_draws("cauchy", "a Cauchy distribution")
_draws("geometric", "the geometric distribution of {}", (1, "p", 0.5))
_draws("randint.default", "the integers 0 … {} − 1", (0, "high", 0))
_draws("randint.low", "the integers {} … {} − 1", (0, "low", 0), (1, "high", 0))
_draws("randint_like", "a range of integers")
_draws("random", "a range of integers")
_draws("randperm", "a random permutation of the integers below {}", (0, "n", 0))
_draws("multinomial", "a multinomial distribution")
_draws("poisson", "a Poisson distribution")
_draws("native_dropout", "Bernoulli(1 − p)", output=1)


@rule("aten.bernoulli.default", "aten.bernoulli_.Tensor")
def bernoulli(c: OpCall, i: Index) -> Expr:
    """`yᵢ` is drawn from Bernoulli(pᵢ), pᵢ an element of the tensor."""
    operand(c, 1 if c.has(1) else 0, i)
    return Drawn(float(c.out().item(i)), "drawn from Bernoulli(p)")


@rule("aten.native_dropout")
def native_dropout(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ·mᵢ·1/(1 − p)`, m the mask that is drawn on the way; in 16 bits the factor is stored in the dtype."""
    x, p = c.t(0), c.real(1)
    if not c.arg(2):
        return x[i]
    scale = Num(0.0 if p == 1 else 1 / (1 - p), "1/(1 − p)")
    return _masked(x[i], bool(c.out(1).item(i)), stored(scale, x.dtype))


@rule("aten.native_dropout_backward")
def native_dropout_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ·mᵢ·scale`, m the mask, scale = 1/(1 − p)."""
    g, mask = c.t(0), c.t(1)
    mask[i]
    return _masked(g[i], bool(mask.item(i)), stored(c.number(2, "scale"), g.dtype))


def _masked(x: Expr, kept: bool, scale: Expr) -> Expr:
    if kept:
        return Case("the mask is 1", mul(x, scale), "0")
    return Case("the mask is 0", mul(x, Num(0)), "x / (1 − p)")
