"""Convolutions of one to three dimensions and their backward: every element is one sum of products.

float16 and bfloat16 accumulate in float32 and round once, where the kernel keeps no partial sums in 16 bits. Sources:
aten/src/ATen/native/Convolution.cpp chooses the kernel; oneDNN's (mkldnn/Conv.cpp), or an unfolded input and a matrix product
(ConvolutionMM2d.cpp, ConvolutionMM3d.cpp, NaiveDilatedConvolution.cpp, NaiveConvolutionTranspose2d.cpp).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.convolution_geometry import Array, Geometry, geometry, paired
from whygrad.rules.convolution_orders import Terms, input_orders, weight_orders
from whygrad.rules.expr import Dot, Expr
from whygrad.rules.registry import rule

__all__ = ["channel_axis", "interior", "names"]


@rule("aten.convolution", "aten.convolution_overrideable")
def convolution(c: OpCall, i: Index) -> Expr:
    """`y[n,o,p] = b[o] + Σ_{c,k} w[o,c,k]·x[n,c,p·stride + k·dilation - padding]`; x (N,C,…), w (O,C/groups,…). A transposed
    one is the gradient of a convolution: `y[n,o,p] = b[o] + Σ_{c,k} w[c,o,k]·x[n,c,q]`, q·stride + k·dilation - padding = p.
    """
    move = geometry(c, 3, len(i) - 2)
    found = _weighted(move, c.t(1), c.t(0), i, into_input=move.transposed, biased=c.has(2))
    return replace(found, init=c.t(2)[(i[1],)]) if c.has(2) else found


@rule("aten.convolution_backward", output=0)
def grad_input(c: OpCall, i: Index) -> Expr:
    """`∂x[n,c,y] = Σ_{o,k} w[o,c,k]·∂y[n,o,p]`, p·stride + k·dilation - padding = y."""
    move = geometry(c, 4, len(i) - 2)
    return _weighted(move, c.t(2), c.t(0), i, into_input=not move.transposed)


@rule("aten.convolution_backward", output=1)
def grad_weight(c: OpCall, i: Index) -> Expr:
    """`∂w[o,c,k] = Σ_{n,p} ∂y[n,o,p]·x[n,c,p·stride + k·dilation - padding]`; transposed: x and ∂y change places."""
    grad, x = c.t(0), c.t(1)
    move = geometry(c, 4, len(i) - 2)
    # What the window moves over has a channel for each of the group; the other is the one that each place was made for.
    windows, seen = (x, grad) if move.transposed else (grad, x)
    first, second, tap = i[0], i[1], i[2:]
    of_group = first // (windows.shape[1] // move.groups) * (seen.shape[1] // move.groups)
    places, under = move.moved(tap, windows.shape[2:], seen.shape[2:])
    images, places = paired(np.arange(grad.shape[0])[:, None], places)
    under = np.tile(under, (grad.shape[0], 1))
    left = windows.at(np.hstack([images, np.full_like(images, first), places]))
    right = seen.at(np.hstack([images, np.full_like(images, of_group + second), under]))
    orders = weight_orders(c.step.threads, grad.dtype, images[:, 0], places, windows.shape, tap)
    return Dot(left, right, orders=orders)


@rule("aten.convolution_backward", output=2)
def grad_bias(c: OpCall, i: Index) -> Expr:
    """`∂b[o] = Σ_{n,p} ∂y[n,o,p]`."""
    grad = c.t(0)
    return Dot(grad.series(None, i[0], *(None for _ in grad.shape[2:])))


@rule("aten.conv_tbc")
def conv_tbc(c: OpCall, i: Index) -> Expr:
    """`y[t,n,o] = b[o] + Σ_{k,c} x[t+k-padding,n,c]·w[k,c,o]`; x (T,N,C), w (K,C,O) (native/ConvolutionTBC.cpp)."""
    x, w, padding = c.t(0), c.t(1), c.integer(3, "pad", 0)
    taps = np.arange(w.shape[0])
    taps = taps[(taps + i[0] >= padding) & (taps + i[0] - padding < x.shape[0])]
    k, channels = paired(taps[:, None], np.arange(w.shape[1])[:, None])
    places = np.hstack([k + i[0] - padding, np.full_like(k, i[1]), channels])
    return Dot(x.at(places), w.at(np.hstack([k, channels, np.full_like(k, i[2])])), init=c.t(2)[(i[2],)])


def _weighted(move: Geometry, weight: Operand, data: Operand, i: Index, into_input: bool, biased: bool = False) -> Dot:
    """The sum over channels and taps for element `i`. `into_input`: against the direction of the convolution, the weight's
    first dimension being summed over."""
    kernel, size = weight.shape[2:], data.shape[2:]
    taps, places = (move.scattered if into_input else move.gathered)(i[2:], kernel, size)
    per_group = weight.shape[0] // move.groups if into_input else weight.shape[1]
    own = weight.shape[1] if into_input else weight.shape[0] // move.groups
    group, within = divmod(i[1], own)
    channels, taps = paired(np.arange(per_group)[:, None], taps)
    places = np.tile(places, (per_group, 1))
    here = np.full_like(channels, within if into_input else i[1])
    channel = channels + group * per_group
    pair = (channel, here) if into_input else (here, channels)
    left = weight.at(np.hstack([*pair, taps]))
    right = data.at(np.hstack([np.full_like(channels, i[0]), channel, places]))
    terms = Terms(channels[:, 0], taps, per_group, kernel, depthwise=per_group == own == 1)
    strided = into_input and max(move.stride, default=1) > 1
    return Dot(left, right, orders=input_orders(terms, data.dtype, strided, biased))


def interior(c: OpCall, i: Index) -> Index:
    """An element that the kernel makes as it makes element `i`, with no part of its window on the padding if there is
    one: its sum holds all terms that `i`'s has, and more. The first image and channel stand for all."""
    backward = c.op.kind == "aten.convolution_backward"
    if backward and c.output == 2:
        return (0,)
    move = geometry(c, 4 if backward else 3, len(i) - 2)
    if backward and c.output == 1:
        windows, seen = (c.t(1), c.t(0)) if move.transposed else (c.t(0), c.t(1))
        return (0, 0, *(_fullest(move, d, n, windows.shape, seen.shape) for d, n in enumerate(c.out(1).shape[2:])))
    weight, data = c.t(2 if backward else 1), c.t(0)
    into_input = move.transposed is not backward
    best: list[int] = []
    for d, n in enumerate(c.out(0).shape[2:]):
        stride = move.stride[d] if into_input else 1
        alike = np.arange(i[d + 2] % stride, n, stride)
        look = _along(move, d).scattered if into_input else _along(move, d).gathered
        counts = np.array([len(look((int(p),), (weight.shape[d + 2],), (data.shape[d + 2],))[0]) for p in alike])
        best.append(_middle(alike, counts))
    return (0, 0, *best)


def names(c: OpCall, dot: Dot) -> Array:
    """What each term of an element's sum is called in every element that is made alike: channel and tap, or image and
    place; (terms, …)."""
    indices, backward = dot.a.indices, c.op.kind == "aten.convolution_backward"
    if backward and c.output > 0:
        return np.delete(indices, 1, axis=1)
    if bool(c.arg(7 if backward else 6)) is backward:
        return indices[:, 1:]
    named = np.delete(indices, 1, axis=1)
    named[:, 0] %= c.t(2 if backward else 1).shape[0] // c.integer(9 if backward else 8)
    return named


def channel_axis(c: OpCall) -> int:
    """The dimension of the result along which each element has weights, or gradients of an output channel, of its own."""
    return 0 if c.op.kind == "aten.convolution_backward" and c.output > 0 else 1


def _along(move: Geometry, d: int) -> Geometry:
    """One dimension alone."""
    return Geometry((move.stride[d],), (move.padding[d],), (move.dilation[d],), move.transposed, 1)


def _fullest(move: Geometry, d: int, taps: int, windows: Index, seen: Index) -> int:
    """The tap that looks at the padding least often."""
    one = _along(move, d)
    counts = np.array([len(one.moved((k,), (windows[d + 2],), (seen[d + 2],))[0]) for k in range(taps)])
    return _middle(np.arange(taps), counts)


def _middle(places: Array, counts: Array) -> int:
    full = places[counts == counts.max()]
    return int(full[len(full) // 2])
