"""Mish and the gated linear unit as sequences of binary32 operations; see `elementary_composites`.

Source: aten/src/ATen/native/cpu/Activation.cpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from whygrad.floats.elementary_arithmetic import Arithmetic, Number

if TYPE_CHECKING:
    from whygrad.floats.elementary_composites import Functions


def mish(m: Arithmetic, f: Functions, x: Number) -> Number:
    """x·tanh(log1p(e^x))"""
    return m.mul(x, f.tanh(m, f.log1p(m, f.exp(m, x))))


def mish_backward(m: Arithmetic, f: Functions, grad: Number, x: Number) -> Number:
    """grad·fma(x·s, fma(−t, t, 1), t), s = 1/(1 + e^(−x)), t = tanh(log1p(e^x))"""
    s = m.div(1.0, m.add(1.0, f.exp(m, -x)))
    t = f.tanh(m, f.log1p(m, f.exp(m, x)))
    return m.mul(grad, m.fma(m.mul(x, s), m.fma(-t, t, 1.0), t))


def glu(m: Arithmetic, f: Functions, a: Number, b: Number) -> Number:
    """a·(1 / (1 + e^(−b)))"""
    return m.mul(a, m.div(1.0, m.add(1.0, f.exp(m, -b))))
