"""Group normalisation (Y. Wu, K. He, arXiv:1803.08494): the channels of an example in groups, each normalised together.

Source: aten/src/ATen/native/cpu/group_norm_kernel.cpp. Here `size` is the numbers of one channel of one example, D the
channels of a group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whygrad.floats.summation import Chain, Lanes, Order, Parts
from whygrad.floats.summation_moments import GroupSums, GroupWeight
from whygrad.rules.activations import add, div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Algorithm, Call, Dot, Expr, Fma, In, Kernel, Neg, Num, Round, Series, Var
from whygrad.rules.norms import (
    MEAN,
    NARROW,
    VARIANCE,
    Array,
    at_flat,
    dot,
    given,
    lanes_of,
    one_flat,
    over,
    root,
    row_order,
    times,
)  # fmt: skip
from whygrad.rules.norms_batch import is_contiguous
from whygrad.rules.norms_layer import mean_of, moments_of
from whygrad.rules.registry import Unruled, rule


@dataclass(frozen=True)
class Groups:
    """How a call's input is divided."""

    c: OpCall
    x: Operand
    channels: int
    size: int
    groups: int

    @property
    def depth(self) -> int:
        """Channels of a group."""
        return self.channels // self.groups

    def row(self, group: int) -> Array:
        """The row-major places of group number `group`, counted over all examples."""
        n = self.depth * self.size
        return np.arange(group * n, (group + 1) * n)

    def place(self, index: Index) -> tuple[int, int]:
        """An element's group, counted over all examples, and its channel."""
        channel = int(index[1])
        return index[0] * self.groups + channel // self.depth, channel

    def channel(self, channel: int, examples: int) -> Array:
        """The row-major places of one channel, example by example."""
        first = (np.arange(examples) * self.channels + channel) * self.size
        return (first[:, None] + np.arange(self.size)).reshape(-1)


def _groups(c: OpCall, x: int, first: int) -> Groups:
    operand = c.t(x)
    if not is_contiguous(operand.value):
        raise Unruled("the input's channels are its fastest dimension")
    return Groups(c, operand, c.integer(first), c.integer(first + 1), c.integer(first + 2))


@rule("aten.native_group_norm")
def group_norm(c: OpCall, i: Index) -> Expr:
    """`y = x·α + (b − mean·α)`, α = rstd·w, both products fused; without weights and bias `(x − mean)·rstd`."""
    parts = _groups(c, 0, 4)
    group, channel = parts.place(i)
    x, mean, rstd = c.t(0)[i], one_flat(c.out(1), group), one_flat(c.out(2), group)
    weight = c.t(1)[(channel,)] if given(c, 1) else None
    bias = c.t(2)[(channel,)] if given(c, 2) else None

    def value(mean: Expr, rstd: Expr) -> Expr:
        if weight is None and bias is None:
            return mul(sub(x, mean), rstd)
        alpha = times(rstd, weight)
        return Fma(alpha, x, Neg(mul(alpha, mean)) if bias is None else Fma(Neg(alpha), mean, bias))

    formula = value(mean, rstd)
    if parts.x.dtype not in NARROW:
        return formula
    row = at_flat(parts.x, parts.row(group))
    inner = value(MEAN, _rstd(parts, VARIANCE))
    return Kernel((), (), formula, computed=(moments_of(c, parts.x, row, inner),))


def _rstd(parts: Groups, variance: Expr) -> Expr:
    """`1/√(σ² + ε)`, the root in double."""
    inverse = div(Num(1), root(add(Call("max", (variance, Num(0))), parts.c.number(7, "eps"))))
    return inverse if parts.x.dtype == "float64" else Round(In("float64", inverse), "float32")


@rule("aten.native_group_norm", output=1)
def group_norm_mean(c: OpCall, i: Index) -> Expr:
    """`mean = Σ x / n` over a group."""
    parts = _groups(c, 0, 4)
    return mean_of(c, parts.x, at_flat(parts.x, parts.row(i[0] * parts.groups + i[1])))


@rule("aten.native_group_norm", output=2)
def group_norm_rstd(c: OpCall, i: Index) -> Expr:
    """`rstd = 1/√(Σ (x − mean)²/n + ε)` over a group."""
    parts = _groups(c, 0, 4)
    row = at_flat(parts.x, parts.row(i[0] * parts.groups + i[1]))
    deviation = sub(Var(0), Var(c.out(1)[i].k + 2))
    variance = div(Dot(row, term=mul(deviation, deviation)), over(len(row)))
    formula = div(Num(1), root(add(variance, c.number(7, "eps"))))
    return Kernel((), (), formula, computed=(moments_of(c, parts.x, row, _rstd(parts, VARIANCE)),))


def _channel_order(parts: Groups) -> Order:
    """Of the sums over one channel of one example: products are rounded, the last vector's too."""
    width = lanes_of(parts.c, parts.x.dtype)
    if parts.x.dtype not in NARROW:
        return row_order(parts.c, parts.size, parts.x.dtype, fused=False)
    return Order(Lanes(width, multiple=2 * width, lanes_join="in turn"))


def _outer_order(parts: Groups, kept: str) -> Order:
    """Of a group's sum of its channels' sums."""
    width = lanes_of(parts.c, parts.x.dtype)
    lanes = Lanes(width, multiple=2 * width if kept in NARROW else width, lanes_join="in turn")
    return Order(lanes, fused=True)


@rule("aten.native_group_norm_backward")
def group_norm_backward(c: OpCall, i: Index) -> Expr:
    """`∂x = rstd·w·g + β·x + γ`, β = (mean·Σ g·w − Σ g·w·x)·rstd³/n, γ = −β·mean − rstd·(Σ g·w)/n."""
    parts = _groups(c, 1, 6)
    group, channel = parts.place(i)
    row = parts.row(group)
    g, x = at_flat(c.t(0), row), at_flat(c.t(1), row)
    mean, rstd = one_flat(c.t(2), group), one_flat(c.t(3), group)
    weight: Expr | None = None
    weights: tuple[Series, ...] = ()
    each: tuple[Series, ...] = ()
    if given(c, 4):
        weight = c.t(4)[(channel,)]
        own = group % parts.groups * parts.depth + np.arange(parts.depth)
        weights, each = (at_flat(c.t(4), own),), (at_flat(c.t(4), np.repeat(own, parts.size)),)
    at, n = c.t(1)[i], over(parts.depth * parts.size)

    def value(with_x: Expr, alone: Expr) -> Expr:
        one_over = div(Num(1), n)
        slope = mul(Fma(alone, mean, Neg(with_x)), rstd, rstd, rstd, one_over)
        offset = Neg(Fma(mul(alone, rstd), one_over, mul(slope, mean)))
        alpha, g = times(rstd, weight), c.t(0)[i]
        half = parts.x.dtype == "float16"  # whose conversions the compiler does not vectorise
        return add(Fma(slope, at, mul(alpha, g)) if half else Fma(alpha, g, mul(slope, at)), offset)

    product = mul(Var(0), Var(1), Var(-1)) if each else mul(Var(0), Var(1))
    formula = value(Dot(g, x, term=product, more=each), Dot(g, each[0] if each else None))
    kept = c.t(2).dtype
    routine = GroupSums(parts.size, _channel_order(parts), _outer_order(parts, kept))
    return Kernel((), (), formula, computed=(Algorithm(routine, (g, x, *weights), value(Var(-1), Var(-2))),))


@rule("aten.native_group_norm_backward", output=1)
def group_norm_weight(c: OpCall, i: Index) -> Expr:
    """`∂w = Σ (Σ g·x − mean·Σ g)·rstd` over the examples."""
    parts = _groups(c, 1, 6)
    examples = c.t(1).shape[0]
    places = parts.channel(i[0], examples)
    g, x = at_flat(c.t(0), places), at_flat(c.t(1), places)
    own = np.arange(examples) * parts.groups + i[0] // parts.depth
    each = np.repeat(own, parts.size)
    term = mul(mul(Var(0), sub(Var(1), Var(-1))), Var(-2))
    formula = Dot(g, x, term=term, more=(at_flat(c.t(2), each), at_flat(c.t(3), each)))
    routine = GroupWeight(parts.size, _channel_order(parts))
    series = (g, x, at_flat(c.t(2), own), at_flat(c.t(3), own))
    return Kernel((), (), formula, computed=(Algorithm(routine, series, Var(-1)),))


@rule("aten.native_group_norm_backward", output=2)
def group_norm_bias(c: OpCall, i: Index) -> Expr:
    """`∂b = Σ g` over the examples and their numbers."""
    parts = _groups(c, 1, 6)
    inner = _channel_order(parts).pattern
    assert isinstance(inner, Chain | Lanes)
    places = parts.channel(i[0], c.t(1).shape[0])
    return dot(at_flat(c.t(0), places), Order(Parts(parts.size, inner)))
