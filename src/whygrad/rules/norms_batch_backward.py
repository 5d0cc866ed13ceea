"""The backward pass of batch normalisation: see `norms_batch`."""

from __future__ import annotations

from whygrad.rules.activations import add, div, mul, sub
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Dot, Expr, Fma, In, Neg, Num, Round, Var
from whygrad.rules.norms import dot, given, lanes_of, over, root, stored, times
from whygrad.rules.norms_batch import Channel, is_contiguous
from whygrad.rules.registry import Unruled, rule


def _channel(c: OpCall, number: int) -> Channel:
    kept = next((c.t(k).dtype for k in (2, 3, 5) if given(c, k)), c.t(1).dtype)
    channel = Channel(c, c.t(1), number, kept)
    if not is_contiguous(c.t(0).value, channels_last=not is_contiguous(c.t(1).value)):
        raise Unruled("the gradient's memory is not laid out as the input's")
    return channel


def _statistics(c: OpCall, number: int) -> tuple[Var, Expr]:
    """The mean and 1/σ: saved by the forward pass, or in evaluation of the running ones."""
    if bool(c.arg(7)):
        return c.t(5)[(number,)], c.t(6)[(number,)]
    inverse = div(Num(1), root(add(c.t(4)[(number,)], c.number(8))))
    wide = c.t(1).dtype == "float64"
    return c.t(3)[(number,)], inverse if wide else Round(In("float64", inverse), "float32")


def _total(channel: Channel) -> Dot:
    return dot(channel.of(channel.c.t(0)), channel.gradient_order(False))


def _products(channel: Channel, mean: Var) -> Dot:
    g, x = channel.of(channel.c.t(0)), channel.of(channel.x)
    return dot(x, channel.gradient_order(True), g, term=mul(sub(Var(0), Var(mean.k + 2)), Var(1)))


def _in_buffer(channel: Channel, total: Dot) -> Expr:
    """float32's sums are added in double; with the channels last they are stored again before they are used."""
    return stored(total, "float32") if channel.last and channel.dtype == "float32" else total


@rule("aten.native_batch_norm_backward")
def batch_norm_backward(c: OpCall, i: Index) -> Expr:
    """`∂x = (g − (Σ g)/n − (x − mean)·k)·invstd·w`, k = (Σ (x − mean)·g)·invstd²/n; in evaluation `g·invstd·w`."""
    number, g, x = i[1], c.t(0)[i], c.t(1)[i]
    channel = _channel(c, number)
    mean, invstd = _statistics(c, number)
    weight = c.t(2)[(number,)] if given(c, 2) else None
    if not bool(c.arg(7)):
        return times(mul(g, invstd), weight)
    n = over(channel.n)
    products = _products(channel, mean)
    k = div(mul(stored(products, "float32") if channel.dtype == "float32" else products, invstd, invstd), n)
    centred = sub(g, div(_in_buffer(channel, _total(channel)), n))
    whole = lanes_of(c, channel.dtype)
    fused = not channel.last or number < c.t(1).shape[1] // whole * whole
    deviation = sub(x, mean)
    rest = Fma(Neg(deviation), k, centred) if fused else sub(centred, mul(deviation, k))
    return times(mul(rest, invstd), weight)


@rule("aten.native_batch_norm_backward", output=1)
def batch_norm_weight(c: OpCall, i: Index) -> Expr:
    """`∂w = (Σ (x − mean)·g)·invstd`."""
    channel = _channel(c, i[0])
    mean, invstd = _statistics(c, i[0])
    return mul(_in_buffer(channel, _products(channel, mean)), invstd)


@rule("aten.native_batch_norm_backward", output=2)
def batch_norm_bias(c: OpCall, i: Index) -> Expr:
    """`∂b = Σ g`."""
    return _total(_channel(c, i[0]))
