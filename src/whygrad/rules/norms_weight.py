"""Weight normalisation (T. Salimans, D. P. Kingma, arXiv:1602.07868): w = g·v/‖v‖, over the first or the last dimension.

Source: aten/src/ATen/native/cpu/WeightNormKernel.cpp.
"""

from __future__ import annotations

import numpy as np

from whygrad.rules.activations import div, mul
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Dot, Expr, Fma, Neg, Series, Var
from whygrad.rules.norms import at_flat, dot, flat, one_flat, root, row_order, shared_order
from whygrad.rules.registry import rule


def _slices(c: OpCall, v: Operand, position: int) -> tuple[int, bool]:
    """How many slices are normalised, and whether they lie along the last dimension."""
    dim = c.integer(position, "dim", 0) % max(len(v.shape), 1)
    first = dim == 0
    return (v.shape[0] if first else v.shape[-1]), not first


def _slice(v: Operand, number: int, count: int, last: bool) -> Series:
    size = int(np.prod(v.shape, dtype=np.int64))
    if last:
        return at_flat(v, np.arange(number, size, count))
    n = size // count
    return at_flat(v, np.arange(number * n, (number + 1) * n))


def _number(v: Operand, index: Index, count: int, last: bool) -> int:
    place = flat(v, index)
    size = int(np.prod(v.shape, dtype=np.int64))
    return place % count if last else place // (size // count)


def _sum(c: OpCall, a: Series, b: Series, dtype: str, last: bool) -> Dot:
    order = shared_order(c, len(a), True, False) if last else row_order(c, len(a), dtype, fused=False)
    return dot(a, order, b)


@rule("aten._weight_norm_interface")
def weight_norm(c: OpCall, i: Index) -> Expr:
    """`w = v·(g/‖v‖)`."""
    v = c.t(0)
    count, last = _slices(c, v, 2)
    number = _number(v, i, count, last)
    return mul(v[i], div(one_flat(c.t(1), number), one_flat(c.out(1), number)))


@rule("aten._weight_norm_interface", output=1)
def weight_norm_norm(c: OpCall, i: Index) -> Expr:
    """`‖v‖ = √Σ v²` of one slice."""
    v = c.t(0)
    count, last = _slices(c, v, 2)
    number = flat(c.out(1), i)
    elements = _slice(v, number, count, last)
    return root(_sum(c, elements, elements, v.dtype, last))


def _gradient_of_scale(c: OpCall, number: int, count: int, last: bool) -> Expr:
    w, v = _slice(c.t(0), number, count, last), _slice(c.t(1), number, count, last)
    return div(_sum(c, w, v, c.t(1).dtype, last), one_flat(c.t(3), number))


@rule("aten._weight_norm_interface_backward")
def weight_norm_backward(c: OpCall, i: Index) -> Expr:
    """`∂v = a·∂w − b·v`, a = g/‖v‖, b = a·∂g/‖v‖."""
    v = c.t(1)
    count, last = _slices(c, v, 4)
    number = _number(v, i, count, last)
    norm: Var = one_flat(c.t(3), number)
    a = div(one_flat(c.t(2), number), norm)
    b = div(mul(a, _gradient_of_scale(c, number, count, last)), norm)
    return Fma(Neg(b), v[i], mul(a, c.t(0)[i]))


@rule("aten._weight_norm_interface_backward", output=1)
def weight_norm_scale(c: OpCall, i: Index) -> Expr:
    """`∂g = (Σ ∂w·v)/‖v‖`."""
    v = c.t(1)
    count, last = _slices(c, v, 4)
    return _gradient_of_scale(c, flat(c.out(1), i), count, last)
