"""The exponentials of ATen's attention kernels (aten/src/ATen/native/cpu/FlashAttentionKernel.cpp).

`fexp_u20`: `Vectorized<float>::fexp_u20` (aten/src/ATen/cpu/vec/vec512/vec512_float.h, vec256/vec256_float.h), for numbers
that are stored in 16 bits: A. C. I. Malossi, Y. Ineichen, C. Bekas, A. Curioni, "Fast Exponential Computation on SIMD
Architectures" (HIPEAC WAPCO 2015). The exponent and the significand of the result are one linear function of the
logarithm, corrected by a polynomial of degree 3.

`exp_double`: SLEEF's `Sleef_expd8_u10` and `Sleef_expd4_u10` (src/libm/sleefsimddp.c), built with FMA, which
`Vectorized<double>::exp` and `exp_u20` are.
"""

from __future__ import annotations

import math
import struct

import numpy as np

from whygrad.floats.arrays import round_sum_odd, two_sum_error
from whygrad.floats.elementary_arithmetic import Arithmetic, Number
from whygrad.floats.elementary_onednn import HIGHEST, LOWEST
from whygrad.floats.elementary_sleef import LOG2_E, horner

FRACTION = tuple(
    float(np.float32(c)) for c in (-0.079204240219773236, -0.22433836478672356, 0.30354260500649682, 0.00010703434948458272)
)  # fmt: skip
_UNIT, _BIAS = 2.0**23, 127 * 2.0**23  # one binade, and the exponent's bias, in units of the last place of the bits

_LOG2_E = 1.442695040888963407359924681001892137426645954152985934135449406931
_LN2_HI, _LN2_LO = 0.69314718055966295651160180568695068359375, 0.28235290563031577122588448175013436025525412068e-12
# Lowest power first: 1/3!, 1/4!, … as a minimax polynomial has them.
_EXP = (
    0.1666666666666669072, 0.4166666666666602598e-1, 0.8333333333314938210e-2, 0.1388888888914497797e-2,
    0.1984126989855865850e-3, 0.2480158687479686264e-4, 0.2755723402025388239e-5, 0.2755762628169491192e-6,
    0.2511210703042288022e-7, 0.2081276378237164457e-8,
)  # fmt: skip
_LOWEST, _HIGHEST = -1000.0, float.fromhex("0x1.62e42fefa39efp+9")


def _of_bits(pattern: Number) -> Number:
    """The binary32 number that has these bits, given as a whole number below 2³¹."""
    if isinstance(pattern, float):
        return struct.unpack("<f", struct.pack("<I", int(pattern)))[0]
    return pattern.astype(np.uint32).view(np.float32).astype(np.float64)


def fexp_u20(m: Arithmetic, x: Number) -> Number:
    """ATen's `Vectorized<float>::fexp_u20`: bits = 2²³·(x·log₂e − P(x·log₂e − ⌊x·log₂e⌋) + 127)."""
    inside = m.where(x > HIGHEST, 0.0, m.where(x < LOWEST, 0.0, m.where(m.is_nan(x), 0.0, x)))
    scaled = m.mul(inside, LOG2_E)
    corrected = m.sub(scaled, horner(m, m.sub(scaled, m.floor(scaled)), FRACTION))
    y = _of_bits(m.trunc(m.fma(_UNIT, corrected, _BIAS)))
    return m.where(x > HIGHEST, math.inf, m.where(x < LOWEST, 0.0, m.where(m.is_nan(x), x, y)))


def exp_double(x: np.ndarray) -> np.ndarray:
    """SLEEF's double exponential, within 1.0 ULP."""
    with np.errstate(all="ignore"):
        inside = np.where((x >= _LOWEST) & (x <= _HIGHEST), x, 0.0)
        n = np.rint(inside * _LOG2_E)
        r = _fma(n, -_LN2_LO, _fma(n, -_LN2_HI, inside))
        r2 = r * r
        r4 = r2 * r2
        pairs = [_fma(r, _EXP[k + 1], _EXP[k]) for k in range(0, 10, 2)]
        low = _fma(r4, _fma(r2, pairs[3], pairs[2]), _fma(r2, pairs[1], pairs[0]))
        y = _fma(r4 * r4, pairs[4], low)
        for coefficient in (0.5, 1.0, 1.0):
            y = _fma(y, r, coefficient)
        half = np.floor(n / 2)
        y = np.ldexp(np.ldexp(y, half.astype(np.int32)), (n - half).astype(np.int32))
        return np.where(x > _HIGHEST, np.inf, np.where(x < _LOWEST, 0.0, np.where(np.isnan(x), x, y)))


def _fma(a: np.ndarray, b: np.ndarray | float, c: np.ndarray | float) -> np.ndarray:
    """a·b + c rounded once, for numbers far from overflow and underflow: the product's error by Dekker's splitting, the sum
    of three rounded to odd before the last rounding (Boldo & Melquiond 2008)."""
    product = a * b
    a_high, b_high = _high(a), _high(np.asarray(b))
    a_low, b_low = a - a_high, b - b_high
    error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    low, low_error = _two_sum(np.asarray(c), error)
    high, high_error = _two_sum(product, low)
    return high + round_sum_odd(low_error, high_error)


def _high(a: np.ndarray) -> np.ndarray:
    """The upper 26 bits."""
    scaled = a * (2.0**27 + 1)
    return scaled - (scaled - a)


def _two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total = a + b
    return total, two_sum_error(a, b, total)
