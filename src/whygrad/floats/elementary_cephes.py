"""Gamma, zeta and Bessel functions as PyTorch's CPU kernels compute them, one rounding per operation.

Source of the algorithms: aten/src/ATen/native/Math.h, which takes them from S. L. Moshier's Cephes library (netlib.org/cephes;
*Methods and Programs for Mathematical Functions*, 1989) and, for the incomplete gamma functions, from SciPy's and Boost's
continuation of it. The series' coefficients are those of the Cephes tables. `m` is the arithmetic of the width: binary32 or
binary64; `m.fma` stands where the compiler fuses a product into the sum that takes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from whygrad.floats.elementary_arithmetic import SCALAR
from whygrad.floats.elementary_cephes_tables import DIGAMMA, I0E_FAR, I0E_NEAR, I1E_FAR, I1E_NEAR, ZETA
from whygrad.floats.elementary_double import BFLOAT16, DOUBLE, FLOAT16, Scalar
from whygrad.floats.elementary_library import c_function

PSI_10 = 2.25175258906672110764
_MACHEP = 1.11022302462515654042e-16


def _library(m: Scalar, name: str) -> Callable[..., float]:
    """The C library's function in the width of an arithmetic."""
    width = "float64" if m is DOUBLE else "float32"
    function = c_function(name, width, 2 if name == "pow" else 1)
    if function is None:
        raise ValueError(f"expected a C library with {name}, found none")
    return function


def _polynomial(m: Scalar, x: float, coefficients: Sequence[float]) -> float:
    """Horner's rule from the highest power down, each step fused."""
    value = 0.0
    for c in coefficients:
        value = m.fma(value, x, m.round(c))
    return value


def _chebyshev(m: Scalar, x: float, coefficients: Sequence[float]) -> float:
    """Clenshaw's sum of Chebyshev polynomials at x/2, coefficients from the highest down, the zeroth halved."""
    b0, b1, b2 = m.round(coefficients[0]), 0.0, 0.0
    for c in coefficients[1:]:
        b2, b1 = b1, b0
        b0 = m.add(m.fma(x, b1, -b2), m.round(c))
    return m.mul(0.5, m.sub(b0, b2))


def digamma(m: Scalar, x: float) -> float:
    """ψ(x): reflected below 0, moved up to 10 by ψ(x) = ψ(x + 1) − 1/x, then the asymptotic series."""
    if x == 0:
        return math.copysign(math.inf, -x)
    if x < 0:
        if x == math.trunc(x):
            return math.nan
        cotangent = m.round(math.pi / math.tan(math.pi * math.fmod(x, 1.0)))
        return m.sub(digamma(m, m.sub(1.0, x)), cotangent)
    total = 0.0
    while x < 10:
        total = m.sub(total, m.div(1.0, x))
        x = m.add(x, 1.0)
    if x == 10:
        return m.add(total, m.round(PSI_10))
    y = 0.0
    if x < 1e17:
        z = m.div(1.0, m.mul(x, x))
        y = m.mul(z, _polynomial(m, z, DIGAMMA))
    return m.sub(m.sub(m.add(total, _library(m, "log")(x)), m.div(0.5, x)), y)


def trigamma(m: Scalar, x: float) -> float:
    """ψ′(x): reflected below ½, moved up by six, then three terms of the asymptotic series."""
    sign, total, pi = 1.0, 0.0, m.round(math.pi)
    if x < 0.5:
        sign = -1.0
        sine = _library(m, "sin")(m.mul(pi, x))
        total = -m.div(m.mul(pi, pi), m.mul(sine, sine))
        x = m.sub(1.0, x)
    for _ in range(6):
        total = m.add(total, m.div(1.0, m.mul(x, x)))
        x = m.add(x, 1.0)
    square = m.div(1.0, m.mul(x, x))
    inner = m.fma(-square, m.div(1.0, 42.0), m.div(1.0, 30.0))
    inner = m.fma(-square, inner, m.div(1.0, 6.0))
    tail = m.fma(square, inner, m.add(1.0, m.div(1.0, m.mul(2.0, x))))
    return m.mul(sign, m.add(total, m.div(tail, x)))


def polygamma(m: Scalar, n: float, x: float) -> float:
    """ψ⁽¹⁾; higher ones go by `zeta`."""
    if n != 1:
        raise ValueError("only the first derivative has an algorithm of its own")
    return trigamma(m, x)


def zeta(m: Scalar, x: float, q: float) -> float:
    """ζ(x, q) = Σ (q + k)^(−x): ten terms or until q + k > 9, then Euler and Maclaurin's rest. The first term is computed in
    the width, the rest in double; for tensors of 16 bits all of it in binary32."""
    if x == 1:
        return math.inf
    if x < 1:
        return math.nan
    if q <= 0:
        if q == math.floor(q):
            return math.inf
        if x != math.floor(x):
            return math.nan
    first = SCALAR if m is not DOUBLE else DOUBLE
    wide = DOUBLE if m in (SCALAR, DOUBLE) else SCALAR
    power = _library(wide, "pow")
    total = _library(first, "pow")(q, -x)
    a, b, i = q, 0.0, 0
    while i < 9 or a <= 9.0:
        i += 1
        a = wide.add(a, 1.0)
        b = power(a, -x)
        total = wide.add(total, b)
        if -_MACHEP * total < b < _MACHEP * total:
            return m.round(total)
    total = wide.add(total, wide.div(wide.mul(b, a), wide.sub(x, 1.0)))
    total = wide.sub(total, wide.mul(0.5, b))
    return m.round(_euler_maclaurin(wide, total, x, a, b))


def _euler_maclaurin(m: Scalar, total: float, x: float, w: float, b: float) -> float:
    factor, k = 1.0, 0.0
    for coefficient in ZETA:
        factor = m.mul(factor, m.add(x, k))
        b = m.div(b, w)
        t = m.div(m.mul(factor, b), m.round(coefficient))
        total = m.add(total, t)
        if abs(m.div(t, total)) < _MACHEP:
            return total
        k += 1.0
        factor = m.mul(factor, m.add(x, k))
        b = m.div(b, w)
        k += 1.0
    return total


def _far(m: Scalar, x: float, coefficients: Sequence[float]) -> float:
    return _chebyshev(m, m.sub(m.div(32.0, x), 2.0), coefficients)


def _near(m: Scalar, x: float, coefficients: Sequence[float]) -> float:
    return _chebyshev(m, m.sub(m.div(x, 2.0), 2.0), coefficients)


def i0e(m: Scalar, x: float) -> float:
    """e^(−|x|)·I₀(x)"""
    x = abs(x)
    return _near(m, x, I0E_NEAR) if x <= 8 else m.div(_far(m, x, I0E_FAR), m.sqrt(x))


def i0(m: Scalar, x: float) -> float:
    """I₀(x): e^|x| times the scaled function"""
    x = abs(x)
    growth = _library(m, "exp")(x)
    if x <= 8:
        return m.mul(growth, _near(m, x, I0E_NEAR))
    return m.div(m.mul(growth, _far(m, x, I0E_FAR)), m.sqrt(x))


def _i1_tables(m: Scalar) -> tuple[Sequence[float], Sequence[float]]:
    """In binary32 the terms that matter there."""
    return (I1E_NEAR, I1E_FAR) if m is DOUBLE else (I1E_NEAR[-17:], I1E_FAR[-7:])


def i1e(m: Scalar, x: float) -> float:
    """e^(−|x|)·I₁(x)"""
    near, far = _i1_tables(m)
    size = abs(x)
    value = m.mul(_near(m, size, near), size) if size <= 8 else m.div(_far(m, size, far), m.sqrt(size))
    return -value if x < 0 else value


def i1(m: Scalar, x: float) -> float:
    """I₁(x): e^|x| times the scaled function"""
    near, far = _i1_tables(m)
    size = abs(x)
    growth = _library(m, "exp")(size)
    if size <= 8:
        value = m.mul(m.mul(growth, size), _near(m, size, near))
    else:
        value = m.div(m.mul(growth, _far(m, size, far)), m.sqrt(size))
    return -value if x < 0 else value


CEPHES: dict[str, Callable[..., float]] = {
    "digamma": digamma, "polygamma": polygamma, "zeta": zeta, "i0": i0, "i0e": i0e, "i1": i1, "i1e": i1e,
}  # fmt: skip


ARITHMETICS: dict[str, Scalar] = {"float64": DOUBLE, "float32": SCALAR, "float16": FLOAT16, "bfloat16": BFLOAT16}


def cephes(name: str, args: tuple[float, ...], width: str) -> float:
    """`name` of `elementary_special` by the algorithm of PyTorch's kernel in a width (also float16 or bfloat16). Raises
    ValueError where it has none."""
    return CEPHES[name](ARITHMETICS[width], *args)
