"""Softmax and log-softmax over one dimension (aten/src/ATen/native/cpu/SoftMaxKernel.cpp)."""

from __future__ import annotations

import numpy as np

from whygrad.rules.activations import div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Case, Dot, Expr, Kernel, Num, Round, Series, Var
from whygrad.rules.registry import rule

NARROW = ("float16", "bfloat16")


def row(x: Operand, dim: int, i: Index) -> Series:
    """The elements that share every index of `i` but the one along `dim`."""
    return x.series(*(None if d == dim else at for d, at in enumerate(i)))


def dim_of(c: OpCall, position: int) -> int:
    """The dimension argument, counted from the front."""
    return c.integer(position) % max(len(c.t(0).shape), 1)


def largest(x: Operand, elements: Series, dim: int) -> tuple[Expr, int]:
    """The largest of a row as operand, and the operand's number (a NaN counts as largest)."""
    recorded = x.call.trace.content(x.call.step, x.value)
    # argmax takes the first NaN, and the first of equals.
    place = int(np.argmax(recorded[tuple(elements.indices.T)].astype(np.float64)))
    var = x[tuple(int(k) for k in elements.indices[place])]
    return Case("it is the largest of its row", var, "the largest"), var.k


def sum_of_exp(x: Operand, elements: Series, dim: int) -> tuple[Expr, Dot]:
    """`max` and `Σ e^(x − max)`."""
    top, k = largest(x, elements, dim)
    return top, Dot(elements, term=Call("exp", (sub(Var(0), Var(k + 2)),)))


@rule("aten._softmax")
def softmax(c: OpCall, i: Index) -> Expr:
    """`yᵢ = e^(xᵢ − max) / Σⱼ e^(xⱼ − max)`; along the last dimension as a product with 1/Σ, along
    another one, in 16 bits, the elements that fill no vector with e^(xᵢ − max) stored in the dtype."""
    x = c.t(0)
    if not x.shape:
        return Num(1)
    dim = dim_of(c, 1)
    top, total = sum_of_exp(x, row(x, dim, i), dim)
    e = Call("exp", (sub(x[i], top),))
    if dim == len(x.shape) - 1:
        return mul(e, div(Num(1), total))
    stored = (div(Round(e, x.dtype), total),) if x.dtype in NARROW else ()
    return Kernel((), (), div(e, total), stored)


@rule("aten._log_softmax")
def log_softmax(c: OpCall, i: Index) -> Expr:
    """`yᵢ = (xᵢ − max) − log Σⱼ e^(xⱼ − max)`; along the last dimension, in 16 bits, the sum
    and its logarithm are stored in the dtype on the way."""
    x = c.t(0)
    if not x.shape:
        return Num(0)
    dim = dim_of(c, 1)
    top, total = sum_of_exp(x, row(x, dim, i), dim)
    if x.dtype in NARROW and dim == len(x.shape) - 1:
        return sub(sub(x[i], top), Round(Call("log", (Round(total, x.dtype),)), x.dtype))
    return sub(sub(x[i], top), Call("log", (total,)))


@rule("aten._softmax_backward_data")
def softmax_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = (gᵢ − Σⱼ gⱼ·yⱼ)·yᵢ`, y the result."""
    g, y = c.t(0), c.t(1)
    if not g.shape:
        return Num(0)
    dim = dim_of(c, 2)
    return mul(sub(g[i], Dot(row(g, dim, i), row(y, dim, i))), y[i])


@rule("aten._log_softmax_backward_data")
def log_softmax_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ − e^(yᵢ)·Σⱼ gⱼ`, y the result; the product is fused into the difference."""
    g, y = c.t(0), c.t(1)
    if not g.shape:
        return Num(0)
    dim = dim_of(c, 2)
    return sub(g[i], mul(Call("exp", (y[i],)), Dot(row(g, dim, i))))
