"""Float32 kernels that are not SLEEF's: ATen's fast exponential and rational erf, oneDNN's exp and GELU.

Sources: ATen aten/src/ATen/cpu/vec/vec512/vec512_float.h (`exp_u20`, `erf`); oneDNN
src/cpu/x64/injectors/jit_uni_eltwise_injector.cpp (`exp`, `gelu_erf`). ATen hands contiguous float32 and
bfloat16 GELU of more than one element to oneDNN (aten/src/ATen/native/Activation.cpp), unless
`torch.backends.mkldnn.flags(enabled=False)`. On AVX-512 the forward pass then evaluates a piecewise minimax
polynomial of degree 5; everything else is erf after M. Abramowitz, I. Stegun, Handbook of Mathematical
Functions, 7.1.26.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from whygrad.floats.elementary_arithmetic import Arithmetic, Number
from whygrad.floats.elementary_sleef import LOG2_E, horner
from whygrad.floats.elementary_sleef import exp as sleef_exp


def _f32(x: float) -> float:
    return float(np.float32(x))


def _bits(pattern: int) -> float:
    return struct.unpack("<f", struct.pack("<I", pattern))[0]


# The logarithms of the smallest normal and of the largest binary32.
LOWEST, HIGHEST = _bits(0xC2AEAC50), _bits(0x42B17218)
LN2 = _bits(0x3F317218)
EXP_20 = tuple(map(_f32, (0.00828929059, 0.0418978221, 0.166676521, 0.499991506, 0.999999701, 1.0)))
ERF_RATIONAL = tuple(map(_f32, (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)))
ERF_SLOPE = _f32(0.3275911)
SQRT_HALF = _f32(0.5**0.5)
ONE_OVER_SQRT_PI = _bits(0x3F106EBA)

# erf(|x|/√2) on 25 intervals (a quarter of a binade each), lowest degree first.
_GELU_BITS = """
a6f2cb94 32827792 3381cc0c 34523d4a 351ac44d 35f36d88 36ee8229 37b8a3bb 3867a213
3940033b 3a2a5a1d 3ae35863 3b7828f2 3c08b14b 3c515ed3 bb503236 bd8d8e5e
be8abcd9 bf0c19a2 beccb328 3e176ced 3f470d99 3f7abb28 3f800000 00000000
3f4c422a 3f4c421f 3f4c4207 3f4c41cb 3f4c413b 3f4c3fad 3f4c3a2f 3f4c2d40 3f4c146a
3f4bc341 3f4ad08c 3f48f8cf 3f45fac7 3f404e07 3f3b980f 3f48dff3 3f78b21b
3fbb0704 40019c32 3fe536d6 3f81331e 3e6c8684 3c98f936 00000000 3f800000
b62173f4 3735e4cf 37f2ff89 388c23be 3917535c 39ab2ab0 3a60fadb 3af9b960 3b6e5491
3c0a4ec5 3ca5aa8c 3d2138d9 3d8737d4 3ddfb660 3e0f27ab 3d94004b be0efdeb
bf1d96c3 bf89db58 bf6d9897 bef69fb8 bdc4f8a8 bbde6422 00000000 00000000
be081a19 be084570 be08639b be089837 be08f409 be09ab95 be0b66d0 be0e400a be124df8
be1bde02 be2f19c9 be4931bf be685fbc be89c95f be96cbca be8044aa be0550f2
3dcfd6a1 3e94c826 3e79345f 3decec91 3ca46568 3aa1e00a 00000000 00000000
ba3d61db 39f097a3 3a5845dc 3ab1fa35 3b0cefb8 3b653ab6 3bcae527 3c221712 3c6c5840
3cc0a703 3d1dcc19 3d63656d 3d955907 3dbf9910 3dd53f69 3db7dcef 3d639ebe
ba6ede48 bd22be69 bd041cf1 bc64f5ab bb097a32 b8ebf380 00000000 00000000
3cb7d80c 3c9b6050 3c978d11 3c92e850 3c8d058b 3c848454 3c6cd623 3c4c824b 3c2a7935
3be0b390 3b0651ac bb232f53 bbd42fa0 bc2c5366 bc492c9e bc2a7aa6 bbd55d04
ba823a76 3b102aa8 3ae25a7e 3a31f792 38b84375 3689bb5a 00000000 00000000
"""
GELU_POLYNOMIALS = np.array([_bits(int(p, 16)) for p in _GELU_BITS.split()]).reshape(6, 25)
_GELU_ROWS: list[list[float]] = GELU_POLYNOMIALS.tolist()
GELU_SATURATES = _bits(0x40B15CEE)
_INDEX_BIAS = 0xC21FFFFF - 2**32


def _two_to(m: Arithmetic, polynomial: Number, x: Number, n: Number) -> Number:
    """polynomial·2^n in two factors, 2^(n−1) and 2; zero below the smallest normal exponential, and where the bits of
    2^(n−1), which are put together, are those of zero."""
    y = m.mul(m.ldexp(polynomial, n - 1.0), 2.0)
    return m.where(x < LOWEST, 0.0, m.where(n < -125.0, 0.0, y))


def _clipped(m: Arithmetic, x: Number) -> Number:
    return m.where(x > HIGHEST, HIGHEST, m.where(x < LOWEST, LOWEST, x))


def exp_u20(m: Arithmetic, x: Number) -> Number:
    """ATen's `Vectorized<float>::exp_u20` (20 ULP): n = floor(fma(x, log₂e, ½))."""
    c = _clipped(m, x)
    n = m.floor(m.fma(c, LOG2_E, 0.5))
    return _two_to(m, horner(m, m.fma(-n, LN2, c), EXP_20), x, n)


def exp_onednn(m: Arithmetic, x: Number) -> Number:
    """oneDNN's injected `exp`: as `exp_u20`, but the product with log₂e is rounded before ½ is added."""
    c = _clipped(m, x)
    n = m.floor(m.add(m.mul(c, LOG2_E), 0.5))
    return _two_to(m, horner(m, m.fma(-n, LN2, c), EXP_20), x, n)


def _erf_rational(m: Arithmetic, x: Number, exponential: Number) -> Number:
    """sign(x)·(1 − e^(−x²)·t·r(t)), t = 1/(1 + 0.3275911·|x|), given e^(−x²)."""
    t = m.div(1.0, m.fma(ERF_SLOPE, m.abs(x), 1.0))
    y = m.fma(m.mul(-exponential, t), horner(m, t, ERF_RATIONAL), 1.0)
    return m.where(m.copysign(1.0, x) < 0.0, -y, y)


def erf(m: Arithmetic, x: Number) -> Number:
    """`Vectorized<float>::erf` of ATen: Abramowitz–Stegun 7.1.26, good to 1.5e-7 absolute, not to ULPs."""
    return _erf_rational(m, x, sleef_exp(m, -m.mul(x, x)))


def gelu(m: Arithmetic, x: Number) -> Number:
    """oneDNN GELU (erf form), AVX-512 forward: (x·(1 + sign(x)·P(|x|)))·½, P chosen by |x|."""
    size = m.abs(x)
    if isinstance(size, float):
        pattern = struct.unpack("<i", struct.pack("<f", size))[0]
        index = min(24, max(1, (pattern + _INDEX_BIAS) >> 21))
        rows: Any = [row[23 if size > GELU_SATURATES else index] for row in _GELU_ROWS]
    else:
        patterns = size.astype(np.float32).view(np.int32).astype(np.int64)
        index = np.clip((patterns + _INDEX_BIAS) >> 21, 1, 24)
        rows = GELU_POLYNOMIALS[:, np.where(size > GELU_SATURATES, 23, index)]
    total: Number = rows[5]
    for degree in (4, 3, 2, 1, 0):
        total = m.fma(total, size, rows[degree])
    erf_value = m.where(m.copysign(1.0, x) < 0.0, -total, total)
    return m.mul(m.mul(x, m.add(erf_value, 1.0)), 0.5)


def gelu_avx2(m: Arithmetic, x: Number) -> Number:
    """oneDNN GELU (erf form), AVX2 forward: h = ½·x, fma(erf(x/√2), h, h)."""
    r = m.mul(x, SQRT_HALF)
    y = _erf_rational(m, r, exp_onednn(m, -m.mul(r, r)))
    half = m.mul(x, 0.5)
    return m.fma(y, half, half)


def gelu_derivative(m: Arithmetic, x: Number) -> Number:
    """oneDNN GELU (erf form), derivative: fma(erf(r), ½, r/√π·e^(−r²) + ½), r = x/√2."""
    r = m.mul(x, SQRT_HALF)
    q = exp_onednn(m, -m.mul(r, r))
    slope = m.add(m.mul(m.mul(r, ONE_OVER_SQRT_PI), q), 0.5)
    return m.fma(_erf_rational(m, r, q), 0.5, slope)
