"""Layer normalisation (J. L. Ba, J. R. Kiros, G. E. Hinton, arXiv:1607.06450): each row of N numbers on its own.

Source: aten/src/ATen/native/cpu/layer_norm_kernel.cpp, moments_utils.h. In 16 bits the kernel keeps the mean and 1/σ in
float32 for its own use, and stores them in the dtype of the weights.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from whygrad.floats.summation_moments import RowMoments
from whygrad.rules.activations import add, div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Algorithm, Dot, Expr, Fma, Kernel, Neg, Num, Series, Var
from whygrad.rules.norms import (
    MEAN,
    NARROW,
    VARIANCE,
    at_flat,
    dot,
    flat,
    given,
    lanes_of,
    one_flat,
    over,
    root,
    row_order,
    scaled,
    shared_order,
    times,
)  # fmt: skip
from whygrad.rules.registry import rule


def moments_of(c: OpCall, x: Operand, row: Series, value: Expr) -> Algorithm:
    """`value` of a row's mean and variance, as RowwiseMoments computes the two."""
    narrow = x.dtype in NARROW
    return Algorithm(RowMoments(lanes_of(c, x.dtype), narrow, x.dtype == "float16"), (row,), value)


def mean_of(c: OpCall, x: Operand, row: Series) -> Expr:
    """`Σ x / n`."""
    return Kernel((), (), div(Dot(row), over(len(row))), computed=(moments_of(c, x, row, MEAN),))


def rstd_of(c: OpCall, x: Operand, row: Series, mean: Var, eps: Expr) -> Expr:
    """`1/√(Σ (x − mean)²/n + ε)`."""
    deviation = sub(Var(0), Var(mean.k + 2))
    variance = div(Dot(row, term=mul(deviation, deviation)), over(len(row)))
    return Kernel((), (), _rstd(variance, eps), computed=(moments_of(c, x, row, _rstd(VARIANCE, eps)),))


def _rstd(variance: Expr, eps: Expr) -> Expr:
    return div(Num(1), root(add(variance, eps)))


def _width(c: OpCall, position: int) -> int:
    shape = c.arg(position)
    sizes = [n for n in shape if isinstance(n, int)] if isinstance(shape, tuple) else []
    return int(np.prod(sizes, dtype=np.int64))


def _row(x: Operand, row: int, n: int) -> Series:
    return at_flat(x, np.arange(row * n, (row + 1) * n))


@rule("aten.native_layer_norm")
def layer_norm(c: OpCall, i: Index) -> Expr:
    """`y = (x − mean)·rstd·w + b`, the last product fused into the sum; in 16 bits `(x·rstd − rstd·mean)·w + b`, both fused."""
    x, n = c.t(0), _width(c, 1)
    row, column = divmod(flat(x, i), n)
    at, mean, rstd = x[i], one_flat(c.out(1), row), one_flat(c.out(2), row)
    weight = one_flat(c.t(2), column) if given(c, 2) else None
    bias = one_flat(c.t(3), column) if given(c, 3) else None
    formula = scaled(mul(sub(at, mean), rstd), weight, bias)
    if x.dtype not in NARROW:
        return formula
    inner = _rstd(VARIANCE, c.number(4, "eps"))
    value = scaled(Fma(at, inner, mul(Neg(inner), MEAN)), weight, bias)
    return Kernel((), (), formula, computed=(moments_of(c, x, _row(x, row, n), value),))


@rule("aten.native_layer_norm", output=1)
def layer_norm_mean(c: OpCall, i: Index) -> Expr:
    """`mean = Σ x / n` over the normalised dimensions."""
    return mean_of(c, c.t(0), _row(c.t(0), flat(c.out(1), i), _width(c, 1)))


@rule("aten.native_layer_norm", output=2)
def layer_norm_rstd(c: OpCall, i: Index) -> Expr:
    """`rstd = 1/√(Σ (x − mean)²/n + ε)`: the variance has the divisor n."""
    row = flat(c.out(2), i)
    mean = one_flat(c.out(1), row)
    return rstd_of(c, c.t(0), _row(c.t(0), row, _width(c, 1)), mean, c.number(4, "eps"))


def _row_sums(c: OpCall, row: int, n: int) -> tuple[Dot, Dot]:
    """`Σ g·x·w` and `Σ g·w` over a row. With float32 weights on 16-bit numbers, g·w comes first."""
    g, x = (_row(c.t(k), row, n) for k in (0, 1))
    dtype = c.t(1).dtype
    products = row_order(c, n, dtype, fused=True)
    if not given(c, 5):
        return dot(g, products, x), dot(g, row_order(c, n, dtype, fused=False))
    w = _row(c.t(5), 0, n)
    mixed = dtype in NARROW and c.t(5).dtype == "float32"
    product = mul(Var(1), mul(Var(0), Var(-1))) if mixed else mul(Var(0), Var(1), Var(-1))
    return dot(g, products, x, term=product, more=(w,)), dot(g, products, w)


@rule("aten.native_layer_norm_backward")
def layer_norm_backward(c: OpCall, i: Index) -> Expr:
    """`∂x = rstd·g·w + β·x + γ`, β = (mean·Σ g·w − Σ g·w·x)·rstd³/n, γ = −β·mean − rstd·(Σ g·w)/n; the products of β·x, of
    mean·Σ g·w and of β·mean are fused into their sums."""
    g, x, n = c.t(0), c.t(1), _width(c, 2)
    row, column = divmod(flat(x, i), n)
    mean, rstd = one_flat(c.t(3), row), one_flat(c.t(4), row)
    with_x, alone = _row_sums(c, row, n)
    weight = one_flat(c.t(5), column) if given(c, 5) else None
    return input_gradient(g[i], x[i], weight, mean, rstd, with_x, alone, over(n, "n"))


def input_gradient(
    g: Expr, x: Expr, weight: Expr | None, mean: Expr, rstd: Expr, with_x: Expr, alone: Expr, n: Num
) -> Expr:
    """The gradient of a normalised input; n's reciprocal is rounded first."""
    one_over = div(Num(1), n)
    slope = mul(Fma(alone, mean, Neg(with_x)), rstd, rstd, rstd, one_over)
    offset = Fma(Neg(slope), mean, Neg(mul(alone, rstd, one_over)))
    return add(Fma(slope, x, times(mul(rstd, g), weight)), offset)


def _column(c: OpCall, x: Operand, column: int, n: int) -> Series:
    return at_flat(x, np.arange(column, int(np.prod(x.shape, dtype=np.int64)), n))


def _buffer(c: OpCall) -> Literal["", "float16", "bfloat16"]:
    """The format of a thread's sums: the input's."""
    dtype = c.t(1).dtype
    return "float16" if dtype == "float16" else "bfloat16" if dtype == "bfloat16" else ""


@rule("aten.native_layer_norm_backward", output=1)
def layer_norm_weight(c: OpCall, i: Index) -> Expr:
    """`∂w = Σ g·(rstd·x − rstd·mean)` over the rows, each thread's in a buffer of the input's dtype."""
    n, column = _width(c, 2), flat(c.out(1), i)
    g, x = (_column(c, c.t(k), column, n) for k in (0, 1))
    rows = np.arange(len(g))
    mean, rstd = at_flat(c.t(3), rows), at_flat(c.t(4), rows)
    term = mul(Var(0), Fma(Var(-2), Var(1), Neg(mul(Var(-2), Var(-1)))))
    order = shared_order(c, len(g), True, False, _buffer(c))
    return dot(g, order, x, term=term, more=(mean, rstd))


@rule("aten.native_layer_norm_backward", output=2)
def layer_norm_bias(c: OpCall, i: Index) -> Expr:
    """`∂b = Σ g` over the rows."""
    n, column = _width(c, 2), flat(c.out(2), i)
    g = _column(c, c.t(0), column, n)
    return dot(g, shared_order(c, len(g), False, False, _buffer(c)))
