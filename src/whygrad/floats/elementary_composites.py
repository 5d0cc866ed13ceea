"""ATen's pointwise activation kernels as sequences of binary32 operations: what is fused, what is rounded.

Each function is one kernel's formula in the kernel's own order. `m.fma(a, b, c)` is one rounding, every
other `m.` call is one rounding; the compiler contracts a product into the sum that consumes it wherever
`fma` is written here. `f` says where `exp`, `log1p`, `tanh` and `erf` come from, because a kernel has two
bodies:

- the *vector* body (SLEEF, `VECTOR`), for whole steps of 2·V elements (V = 16 float32 on AVX-512, 8 on AVX2);
- the *scalar* body (the C library's float functions, `LIBRARY`), for the 0 … 2·V−1 elements left over, for
  tensors that are not contiguous, and for tensors shorter than one step.

float16 and bfloat16 inputs are widened, go through the same formula, and are rounded once at the end.

Sources: aten/src/ATen/native/cpu/Activation.cpp, UnaryOpsKernel.cpp, BinaryOpsKernel.cpp, Gelu.h,
SoftMaxKernel.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.floats import elementary_onednn as onednn
from whygrad.floats import elementary_sleef as sleef
from whygrad.floats.elementary_activations import glu, mish, mish_backward
from whygrad.floats.elementary_arithmetic import Arithmetic, Number


def _f32(x: float) -> float:
    return float(np.float32(x))


Unary = Callable[[Arithmetic, Number], Number]

TWO_OVER_SQRT_PI = 1.1283791670955126
GELU_BETA = _f32(2**0.5 * TWO_OVER_SQRT_PI * 0.5)
GELU_KAPPA = _f32(0.044715)
GELU_PDF = _f32(TWO_OVER_SQRT_PI * 0.5**0.5 * 0.5)


@dataclass(frozen=True)
class Functions:
    """The elementary functions that a kernel body calls."""

    name: str
    exp: Unary
    log1p: Unary
    tanh: Unary
    erf: Unary
    log: Unary


VECTOR = Functions("SLEEF", sleef.exp, sleef.log1p, sleef.tanh, onednn.erf, sleef.log)


def sigmoid(m: Arithmetic, f: Functions, x: Number) -> Number:
    """1 / (1 + e^(−x))"""
    return m.div(1.0, m.add(1.0, f.exp(m, -x)))


def sigmoid_backward(m: Arithmetic, f: Functions, grad: Number, y: Number) -> Number:
    """(grad·(1 − y))·y; in float16 each of the three operations is rounded to float16"""
    return m.mul(m.mul(grad, m.sub(1.0, y)), y)


def tanh_backward(m: Arithmetic, f: Functions, grad: Number, y: Number) -> Number:
    """grad·fma(−y, y, 1)"""
    return m.mul(grad, m.fma(-y, y, 1.0))


def silu(m: Arithmetic, f: Functions, x: Number) -> Number:
    """x / (1 + e^(−x)): one division, no reciprocal"""
    return m.div(x, m.add(1.0, f.exp(m, -x)))


def silu_backward(m: Arithmetic, f: Functions, grad: Number, x: Number) -> Number:
    """(grad·s)·fma(x, 1 − s, 1), s = 1/(1 + e^(−x))"""
    s = sigmoid(m, f, x)
    return m.mul(m.mul(grad, s), m.fma(x, m.sub(1.0, s), 1.0))


def softplus(m: Arithmetic, f: Functions, x: Number, beta: float = 1.0, threshold: float = 20.0) -> Number:
    """log1p(e^(x·β)) / β, or x where x·β > threshold"""
    scaled = m.mul(x, beta)
    return m.where(scaled > threshold, x, m.div(f.log1p(m, f.exp(m, scaled)), beta))


def softplus_backward(
    m: Arithmetic, f: Functions, grad: Number, x: Number, beta: float = 1.0, threshold: float = 20.0
) -> Number:
    """(grad·z) / (z + 1), z = e^(x·β), or grad where x·β > threshold"""
    scaled = m.mul(x, beta)
    z = f.exp(m, scaled)
    return m.where(scaled > threshold, grad, m.div(m.mul(grad, z), m.add(z, 1.0)))


def log_sigmoid_buffer(m: Arithmetic, f: Functions, x: Number) -> Number:
    """e^(−|x|), the second result of aten.log_sigmoid_forward"""
    return f.exp(m, -m.abs(x))


def log_sigmoid(m: Arithmetic, f: Functions, x: Number) -> Number:
    """min(x, 0) − log1p(e^(−|x|))"""
    return m.sub(m.where(x < 0.0, x, 0.0), f.log1p(m, log_sigmoid_buffer(m, f, x)))


def log_sigmoid_backward(m: Arithmetic, f: Functions, grad: Number, x: Number, buffer: Number) -> Number:
    """(d − s·(b/(1 + b)))·grad, b = e^(−|x|); d = s = 1 where x < 0, else d = 0, s = −1"""
    ratio = m.div(buffer, m.add(1.0, buffer))
    return m.mul(m.where(x < 0.0, m.sub(1.0, ratio), m.add(0.0, ratio)), grad)


def gelu(m: Arithmetic, f: Functions, x: Number) -> Number:
    """(x·½)·(1 + erf(x·√½)), ATen's own kernel (float32 and bfloat16 go to oneDNN, see `gelu_onednn`)"""
    return m.mul(m.mul(x, 0.5), m.add(1.0, f.erf(m, m.mul(x, onednn.SQRT_HALF))))


def gelu_backward(m: Arithmetic, f: Functions, grad: Number, x: Number) -> Number:
    """grad·fma(x, pdf, cdf), cdf = ½·(1 + erf(x·√½)), pdf = 1/√(2π)·e^((x·x)·−½)"""
    cdf = m.mul(0.5, m.add(1.0, f.erf(m, m.mul(x, onednn.SQRT_HALF))))
    pdf = m.mul(GELU_PDF, f.exp(m, m.mul(m.mul(x, x), -0.5)))
    return m.mul(grad, m.fma(x, pdf, cdf))


def gelu_backward_scalar(m: Arithmetic, f: Functions, grad: Number, x: Number) -> Number:
    """The scalar body of `gelu_backward`: grad·(cdf + x·pdf), not fused"""
    cdf = m.mul(0.5, m.add(1.0, f.erf(m, m.mul(x, onednn.SQRT_HALF))))
    pdf = m.mul(GELU_PDF, f.exp(m, m.mul(m.mul(x, x), -0.5)))
    return m.mul(grad, m.add(cdf, m.mul(x, pdf)))


def _gelu_tanh_inner(m: Arithmetic, f: Functions, x: Number) -> Number:
    cube = m.mul(m.mul(x, x), x)
    return f.tanh(m, m.mul(GELU_BETA, m.fma(GELU_KAPPA, cube, x)))


def gelu_tanh(m: Arithmetic, f: Functions, x: Number) -> Number:
    """(½·x)·(1 + tanh(β·fma(κ, x³, x))), x³ = (x·x)·x"""
    return m.mul(m.mul(0.5, x), m.add(1.0, _gelu_tanh_inner(m, f, x)))


def gelu_tanh_backward(m: Arithmetic, f: Functions, grad: Number, x: Number) -> Number:
    """grad·(½·(1 + t) + ((½·x)·fma(−t, t, 1))·(β·fma(3κ, x·x, 1))), t as in `gelu_tanh`"""
    t = _gelu_tanh_inner(m, f, x)
    left = m.mul(0.5, m.add(1.0, t))
    slope = m.mul(GELU_BETA, m.fma(m.mul(3.0, GELU_KAPPA), m.mul(x, x), 1.0))
    right = m.mul(m.mul(m.mul(0.5, x), m.fma(-t, t, 1.0)), slope)
    return m.mul(grad, m.add(left, right))


def gelu_onednn(m: Arithmetic, f: Functions, x: Number) -> Number:
    """oneDNN, AVX-512: (x·(1 + P(x)))·½, P a minimax polynomial of degree 5 per quarter binade"""
    return onednn.gelu(m, x)


def gelu_onednn_avx2(m: Arithmetic, f: Functions, x: Number) -> Number:
    """oneDNN, AVX2: fma(erf(x·√½), h, h), h = ½·x"""
    return onednn.gelu_avx2(m, x)


def gelu_onednn_backward(m: Arithmetic, f: Functions, grad: Number, x: Number) -> Number:
    """oneDNN: grad·fma(erf(r), ½, r·(1/√π)·e^(−r·r) + ½), r = x·√½"""
    return m.mul(grad, onednn.gelu_derivative(m, x))


COMPOSITES: Mapping[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        sigmoid, sigmoid_backward, tanh_backward, silu, silu_backward, softplus, softplus_backward,
        log_sigmoid_buffer, log_sigmoid, log_sigmoid_backward, gelu, gelu_backward,
        gelu_backward_scalar, gelu_tanh, gelu_tanh_backward, gelu_onednn, gelu_onednn_avx2,
        gelu_onednn_backward, mish, mish_backward, glu,
    )
}  # fmt: skip
