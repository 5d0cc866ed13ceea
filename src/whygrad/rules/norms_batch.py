"""Batch normalisation (S. Ioffe, C. Szegedy, arXiv:1502.03167), for training and for evaluation; instance
normalisation is the same with each example's channels as channels of their own.

Source: aten/src/ATen/native/cpu/batch_norm_kernel.cpp, aten/src/ATen/native/Normalization.cpp. The output is
`x·α + β`, α = w·invstd, β = b − mean·α. Sums over a channel are added up in double in float32, image by image; where the
channels are the fastest dimension in memory, in a float32 buffer for each thread instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from whygrad.floats.summation import Chain, Lanes, Order, Parts, Planes
from whygrad.floats.summation_moments import TwoPasses
from whygrad.rules.activations import add, div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Algorithm, Dot, Expr, Fma, In, Kernel, Neg, Num, Round, Series, Var
from whygrad.rules.norms import (
    MEAN,
    NARROW,
    VARIANCE,
    at_flat,
    dot,
    given,
    lanes_of,
    over,
    root,
    row_order,
    shared_order,
    stored,
    times,
)  # fmt: skip
from whygrad.rules.registry import Unruled, rule
from whygrad.trace.model import Value


@dataclass(frozen=True)
class Channel:
    """One channel of a call's input: its elements, and how the kernel adds them up. `kept`: the dtype of the statistics."""

    c: OpCall
    x: Operand
    number: int
    kept: str

    @property
    def dtype(self) -> str:
        """The numbers' own."""
        return self.x.dtype

    @property
    def between(self) -> str:
        """The dtype in which the mean and the sum of squares lie before anything is made of them: float16's have too
        narrow a range, so they stay in float32."""
        return "float32" if self.kept == "float16" else self.kept

    @property
    def image(self) -> int:
        """The numbers of one channel of one example."""
        return int(np.prod(self.x.shape[2:], dtype=np.int64))

    @property
    def n(self) -> int:
        """The numbers of the channel."""
        return self.x.shape[0] * self.image

    @property
    def last(self) -> bool:
        """Whether the kernel takes the channels as the fastest dimension. Raises Unruled where the memory has gaps."""
        value = self.x.value
        if is_contiguous(value):
            return self.image == 1
        if not is_contiguous(value, channels_last=True):
            raise Unruled("the input is neither contiguous nor in channels-last order")
        return True

    @property
    def double(self) -> bool:
        """Whether float32 numbers are added up in double, one by one."""
        return self.dtype == "float32" and (not self.last or (self.few and self.x.shape[1] > 16))

    @property
    def few(self) -> bool:
        """Whether there is no more than one number for each thread, so that channels are shared out and not numbers."""
        return self.n <= self.c.step.threads

    def of(self, tensor: Operand) -> Series:
        """The channel's elements of a tensor of the input's shape, example by example."""
        first = (np.arange(tensor.shape[0]) * tensor.shape[1] + self.number) * self.image
        return at_flat(tensor, (first[:, None] + np.arange(self.image)).reshape(-1))

    def statistics_order(self, fused: bool) -> Order:
        """Of the sums of x and of (x − mean)²."""
        if self.last:
            if self.few:  # products are fused where there are too few channels to be worth a vector
                return Order(Chain(), fused=fused and self.dtype not in NARROW and self.x.shape[1] <= 16)
            return shared_order(self.c, self.n, fused, self.dtype not in NARROW)
        if self.dtype not in NARROW:
            return Order(Chain())
        width = lanes_of(self.c, self.dtype)
        return Order(Planes(self.image, width, 2 * width))

    def gradient_order(self, fused: bool) -> Order:
        """Of the sums of g and of (x − mean)·g."""
        if self.last:
            return shared_order(self.c, self.n, fused, self.dtype not in NARROW)
        width = lanes_of(self.c, self.dtype)
        if self.dtype in NARROW:
            return Order(Planes(self.image, width, 2 * width, self.dtype == "float16"), fused=fused)
        plane = row_order(self.c, self.image, self.dtype, fused)
        assert isinstance(plane.pattern, Chain | Lanes)
        return Order(Parts(self.image, plane.pattern, wide=True), fused=plane.fused)


def is_contiguous(value: Value, channels_last: bool = False) -> bool:
    """Whether a tensor's elements lie in row-major order, or in that with the channels (dimension 1) last."""
    dims = list(range(len(value.shape)))
    if channels_last:
        if len(dims) < 4:
            return False
        dims = [0, *dims[2:], 1]
    step = 1
    for dim in reversed(dims):
        if value.shape[dim] != 1 and value.stride[dim] != step:
            return False
        step *= value.shape[dim]
    return True


# ---- forward


@dataclass(frozen=True)
class Forward:
    """A call's arguments by their meaning; the overloads put them in different places."""

    c: OpCall
    train: bool
    momentum: int
    running: bool

    def channel(self, number: int) -> Channel:
        """A channel, whose statistics are kept in the dtype of what the op returns or was given for them."""
        c = self.c
        kept = c.t(3).dtype if self.running and given(c, 3) else c.t(1).dtype if given(c, 1) else c.t(0).dtype
        return Channel(c, c.t(0), number, kept)

    @property
    def eps(self) -> Expr:
        return self.c.number(self.momentum + 1, "eps")


def _forward(c: OpCall) -> Forward:
    match c.op.name.removeprefix("aten."):
        case "_batch_norm_with_update.default":
            return Forward(c, True, 5, True)
        case "_native_batch_norm_legit_no_training.default" | "_batch_norm_no_update.default":
            return Forward(c, False, 5, True)
        case "_native_batch_norm_legit.no_stats":
            return Forward(c, bool(c.arg(3)), 4, False)
        case _:
            return Forward(c, bool(c.arg(5, "training")), 6, True)


_OPS = ("aten.native_batch_norm", "aten._native_batch_norm_legit", "aten._batch_norm_with_update")
_EVAL = ("aten._native_batch_norm_legit_no_training", "aten._batch_norm_no_update")


@rule(*_OPS, *_EVAL)
def batch_norm(c: OpCall, i: Index) -> Expr:
    """`y = x·α + (b − mean·α)`, α = w·invstd, both products fused into their sums; mean and invstd of the batch, or, in
    evaluation, the running mean and 1/√(running_var + ε)."""
    forward, x, k = _forward(c), c.t(0), i[1]
    forward.channel(k).last  # noqa: B018 (refuses what it does not cover)
    if forward.train:
        mean, invstd = c.out(1)[(k,)], c.out(2)[(k,)]
    else:
        mean, invstd = c.t(3)[(k,)], div(Num(1), root(add(c.t(4)[(k,)], forward.eps)))
    alpha = times(invstd, c.t(1)[(k,)] if given(c, 1) else None)
    beta = Fma(Neg(mean), alpha, c.t(2)[(k,)]) if given(c, 2) else Neg(mul(mean, alpha))
    return Fma(x[i], alpha, beta)


@rule(*_OPS, output=1)
def batch_norm_mean(c: OpCall, i: Index) -> Expr:
    """`mean = Σ x / n` over the channel."""
    return _mean(_forward(c).channel(i[0]))


def _mean(channel: Channel) -> Expr:
    x = channel.of(channel.x)
    mean = div(dot(x, channel.statistics_order(False)), over(channel.n))
    return In("float64", mean) if channel.double else mean


@rule(*_OPS, output=2)
def batch_norm_invstd(c: OpCall, i: Index) -> Expr:
    """`invstd = 1/√(Σ (x − mean)²/n + ε)`, the root in double."""
    forward = _forward(c)
    channel = forward.channel(i[0])

    def invstd(squares: Expr) -> Expr:
        inverse = div(Num(1), root(add(_share(channel, squares, channel.n, "n"), forward.eps)))
        return inverse if channel.dtype == "float64" else Round(In("float64", inverse), "float32")

    return _of_squares(channel, invstd)


def _of_squares(channel: Channel, make: Callable[[Expr], Expr]) -> Expr:
    """What `make` makes of `Σ (x − mean)²`."""
    x = channel.of(channel.x)
    mean = channel.c.out(1)[(channel.number,)]
    deviation = sub(Var(0), Var(mean.k + 2))
    narrow = channel.dtype in NARROW
    order = channel.statistics_order(True)
    if narrow and channel.kept in NARROW and (not channel.last or channel.kept == "float16"):
        routine = TwoPasses(order)
        value = make(VARIANCE if channel.between == "float32" else Round(VARIANCE, channel.between))
        return Kernel((), (), make(Dot(x, term=mul(deviation, deviation))), computed=(Algorithm(routine, (x,), value),))
    term = mul(deviation, deviation)
    squares: Expr = dot(x, order, term=In("float32", term) if channel.double else term)
    if channel.double:
        squares = In("float64", squares)
    return make(stored(squares, channel.between))


def _share(channel: Channel, total: Expr, count: int, text: str) -> Expr:
    """`total/count` in the dtype that lies between."""
    kind = channel.between
    if kind == "float64":
        return div(total, over(count, text))
    if kind == "float32":
        return In("float32", div(total, over(count, text)))
    return Round(In("float32", div(total, Round(Num(float(count)), kind))), kind)


def _running_mean(c: OpCall, i: Index) -> Expr:
    """`running_mean ← momentum·mean + (1 − momentum)·running_mean`."""
    forward = _forward(c)
    channel = forward.channel(i[0])
    new, kept = _momentum(forward, channel)
    old, mean = c.t(3)[i], c.out(1)[i]
    formula = add(_product(channel, new, mean), _product(channel, kept, old))
    if channel.kept != "float16":
        return formula
    order = channel.statistics_order(True)
    value = add(mul(new, MEAN), mul(kept, old))
    return Kernel((), (), formula, computed=(Algorithm(TwoPasses(order), (channel.of(channel.x),), value),))


def _running_var(c: OpCall, i: Index) -> Expr:
    """`running_var ← momentum·Σ (x − mean)²/(n − 1) + (1 − momentum)·running_var`: of the variance that is not biased."""
    forward = _forward(c)
    channel = forward.channel(i[0])
    new, kept = _momentum(forward, channel)
    old = _product(channel, kept, c.t(4)[i])

    def updated(squares: Expr) -> Expr:
        unbiased = mul(new, _share(channel, squares, channel.n - 1, "(n − 1)"))
        if channel.dtype != "float32":
            return add(unbiased, old)
        return In("float64", add(unbiased, In("float32", old)))

    return _of_squares(channel, updated)


def _momentum(forward: Forward, channel: Channel) -> tuple[Expr, Expr]:
    """momentum and 1 − momentum, in the dtype of the statistics."""
    kind, c = channel.between, forward.c
    momentum = c.real(forward.momentum, "momentum")
    if kind == "float64":
        new = Num(momentum)
        return new, sub(Num(1), new)
    new = Round(Num(momentum), kind)
    return new, Round(sub(Num(1), new), kind) if kind == "bfloat16" else sub(Num(1), new)


def _product(channel: Channel, a: Expr, b: Expr) -> Expr:
    product = mul(a, b)
    return Round(product, channel.between) if channel.between in NARROW else product


for _op, _first in (
    ("aten.native_batch_norm", 3),
    ("aten._native_batch_norm_legit", 3),
    ("aten._batch_norm_with_update", 4),
):
    rule(_op, output=_first)(_running_mean)
    rule(_op, output=_first + 1)(_running_var)
