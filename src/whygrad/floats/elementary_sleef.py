"""The float32 functions of SLEEF's vector library, operation by operation, as ATen's kernels call them.

ATen's `Vectorized<float>` (aten/src/ATen/cpu/vec/vec256/vec256_float.h, vec512/vec512_float.h) hands `exp`,
`log`, `tanh`, … to SLEEF (N. Shibata, F. Petrogalli, "SLEEF: A Portable Vectorized Library of C Standard
Mathematical Functions", IEEE TPDS 31(6), 2020). Coefficients and order of operations are those of SLEEF's
src/libm/sleefsimdsp.c and df.h, built with FMA (AVX2 and AVX-512 give the same bits). `u10` in a name is the
documented bound, 1.0 ULP.

Every function takes the arithmetic to run on (`SCALAR`, `ARRAY`) and binary32 values, and returns a
binary32 value. A `Pair` is an unevaluated sum hi + lo of two binary32 numbers, |lo| ≤ ½ ulp(hi) where it is
normalised.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whygrad.floats.elementary_arithmetic import Arithmetic, Number

Pair = tuple[Number, Number]


def _f32(x: float) -> float:
    return float(np.float32(x))


INF, NAN = float("inf"), float("nan")
LOG2_E = _f32(1.442695040888963407359924681001892137426645954152985934135449406931)
LN2_HI, LN2_LO = _f32(0.693145751953125), _f32(1.428606765330187045e-06)
LN2_PAIR = (_f32(0.69314718246459960938), _f32(-1.904654323148236017e-09))
FOUR_THIRDS = _f32(1.0 / 0.75)


def _all_f32(*values: float) -> tuple[float, ...]:
    return tuple(_f32(value) for value in values)


EXP = _all_f32(
    0.000198527617612853646278381,
    0.00139304355252534151077271,
    0.00833336077630519866943359,
    0.0416664853692054748535156,
    0.166666671633720397949219,
    0.5,
)
EXP_OF_PAIR = _all_f32(0.1980960224e-3, 0.1394256484e-2, 0.8333456703e-2, 0.4166637361e-1)
EXP_OF_PAIR_3 = _f32(0.166666659414234244790680580464)
EXP_IN_POW = _all_f32(
    0.00136324646882712841033936,
    0.00836596917361021041870117,
    0.0416710823774337768554688,
    0.166665524244308471679688,
    0.499999850988388061523438,
)
LOG = _all_f32(0.3027294874, 0.3996108174, 0.6666694880)
LOG2 = _all_f32(0.4374550283, 0.5764790177, 0.9618012905120)
LOG10 = _all_f32(0.1314289868, 0.1735493541, 0.2895309627)
LOG_IN_POW = _all_f32(0.240320354700088500976562, 0.285112679004669189453125, 0.400007992982864379882812)
LOG_IN_POW_3 = (_f32(0.66666662693023681640625), _f32(3.69183861259614332084311e-09))


def horner(m: Arithmetic, x: Number, coefficients: Sequence[float]) -> Number:
    """`((c₀·x + c₁)·x + c₂)…`, one FMA per step, highest power first."""
    total: Number = coefficients[0]
    for coefficient in coefficients[1:]:
        total = m.fma(total, x, coefficient)
    return total


# --- arithmetic on pairs (df.h, with FMA) ---


def pair_normalize(m: Arithmetic, a: Pair) -> Pair:
    """The same sum with the larger part first, |lo| ≤ ½ ulp(hi); needs |hi| ≥ |lo|."""
    hi = m.add(a[0], a[1])
    return hi, m.add(m.sub(a[0], hi), a[1])


def pair_add(m: Arithmetic, a: Pair, b: Pair) -> Pair:
    """a + b where |a| ≥ |b|."""
    hi = m.add(a[0], b[0])
    return hi, m.add(m.add(m.add(m.sub(a[0], hi), b[0]), a[1]), b[1])


def pair_add_one(m: Arithmetic, a: Pair, b: Number) -> Pair:
    """a + b where |a| ≥ |b|, b a single number."""
    hi = m.add(a[0], b)
    return hi, m.add(m.add(m.sub(a[0], hi), b), a[1])


def one_add_pair(m: Arithmetic, a: Number, b: Pair) -> Pair:
    """a + b where |a| ≥ |b|, a a single number."""
    hi = m.add(a, b[0])
    return hi, m.add(m.add(m.sub(a, hi), b[0]), b[1])


def two_sum(m: Arithmetic, a: Number, b: Number) -> Pair:
    """a + b exactly, for any a and b (Knuth)."""
    hi = m.add(a, b)
    shift = m.sub(hi, a)
    return hi, m.add(m.sub(a, m.sub(hi, shift)), m.sub(b, shift))


def pair_sum(m: Arithmetic, a: Pair, b: Pair) -> Pair:
    """a + b, whichever is larger."""
    hi, lo = two_sum(m, a[0], b[0])
    return hi, m.add(lo, m.add(a[1], b[1]))


def pair_sum_one(m: Arithmetic, a: Pair, b: Number) -> Pair:
    """a + b, whichever is larger, b a single number."""
    hi, lo = two_sum(m, a[0], b)
    return hi, m.add(lo, a[1])


def one_sum_pair(m: Arithmetic, a: Number, b: Pair) -> Pair:
    """a + b, whichever is larger, a a single number."""
    hi, lo = two_sum(m, a, b[0])
    return hi, m.add(lo, b[1])


def pair_mul(m: Arithmetic, a: Pair, b: Pair) -> Pair:
    """a·b, low parts multiplied out by FMA; lo·lo is dropped."""
    hi = m.mul(a[0], b[0])
    return hi, m.fma(a[0], b[1], m.fma(a[1], b[0], m.fma(a[0], b[0], -hi)))


def pair_mul_one(m: Arithmetic, a: Pair, b: Number) -> Pair:
    """a·b, b a single number."""
    hi = m.mul(a[0], b)
    return hi, m.fma(a[1], b, m.fma(a[0], b, -hi))


def pair_square(m: Arithmetic, a: Pair) -> Pair:
    """a·a."""
    hi = m.mul(a[0], a[0])
    return hi, m.fma(m.add(a[0], a[0]), a[1], m.fma(a[0], a[0], -hi))


def pair_div(m: Arithmetic, n: Pair, d: Pair) -> Pair:
    """n/d by the reciprocal of d's high part and one correction."""
    t = m.div(1.0, d[0])
    hi = m.mul(n[0], t)
    u = m.fma(t, n[0], -hi)
    lo = m.fma(-d[1], t, m.fma(-d[0], t, 1.0))
    return hi, m.fma(hi, lo, m.fma(n[1], t, u))


def pair_reciprocal(m: Arithmetic, d: Pair) -> Pair:
    """1/d, one correction."""
    hi = m.div(1.0, d[0])
    return hi, m.mul(hi, m.fma(-d[1], hi, m.fma(-d[0], hi, 1.0)))


# --- exponentials ---


def exp(m: Arithmetic, x: Number) -> Number:
    """`Sleef_expf_u10`: e^x = 2^q·(1 + s + s²·P(s)), q = rint(x·log₂e), s = x − q·ln 2."""
    q = m.rint(m.mul(x, LOG2_E))
    s = m.fma(q, -LN2_LO, m.fma(q, -LN2_HI, x))
    u = m.add(1.0, m.fma(m.mul(s, s), horner(m, s, EXP), s))
    u = m.ldexp(u, q)
    u = m.where(x < -104.0, 0.0, u)
    return m.where(x > 100.0, INF, u)


def _exp_of_pair(m: Arithmetic, d: Pair) -> Pair:
    q = m.rint(m.mul(m.add(d[0], d[1]), LOG2_E))
    s = pair_sum_one(m, d, m.mul(q, -LN2_HI))
    s = pair_sum_one(m, s, m.mul(q, -LN2_LO))
    u = horner(m, s[0], EXP_OF_PAIR)
    t = pair_sum_one(m, pair_mul_one(m, s, u), EXP_OF_PAIR_3)
    t = pair_sum_one(m, pair_mul(m, s, t), 0.5)
    t = pair_sum(m, s, pair_mul(m, pair_square(m, s), t))
    t = one_add_pair(m, 1.0, t)
    small = d[0] < -104.0
    return m.where(small, 0.0, m.ldexp(t[0], q)), m.where(small, 0.0, m.ldexp(t[1], q))


def expm1(m: Arithmetic, x: Number) -> Number:
    """`Sleef_expm1f_u10`: e^x as a pair, minus one."""
    d = pair_sum_one(m, _exp_of_pair(m, (x, 0.0)), -1.0)
    y = m.add(d[0], d[1])
    y = m.where(x > _f32(88.72283172607421875), INF, y)
    y = m.where(x < _f32(-16.635532333438687426013570), -1.0, y)
    return m.where(x == 0.0, x, y)


def tanh(m: Arithmetic, x: Number) -> Number:
    """`Sleef_tanhf_u10`: (e^|x| − e^−|x|) / (e^|x| + e^−|x|) on pairs; ±1 above 8.664339742."""
    size = m.abs(x)
    d = _exp_of_pair(m, (size, 0.0))
    e = pair_reciprocal(m, d)
    d = pair_div(m, pair_add(m, d, (-e[0], -e[1])), pair_add(m, d, e))
    y = m.add(d[0], d[1])
    y = m.where(m.either(size > _f32(8.664339742), m.is_nan(y)), 1.0, y)
    return m.where(m.is_nan(x), NAN, m.copysign(y, x))


# --- logarithms ---


def _exponent_of(m: Arithmetic, d: Number) -> Number:
    e = m.exponent(m.mul(d, FOUR_THIRDS))
    return m.where(e == INF, 128.0, e)


def _mantissa(m: Arithmetic, d: Number) -> Number:
    """The significand of d, scaled into [0.75, 1.5)."""
    s = m.ldexp(m.abs(d), -m.exponent(d))
    return m.where(s >= 1.5, 0.5 * s, s)


def _log_ends(m: Arithmetic, d: Number, r: Number) -> Number:
    r = m.where(d == INF, INF, r)
    r = m.where(m.either(d < 0.0, m.is_nan(d)), NAN, r)
    return m.where(d == 0.0, -INF, r)


def _atanh_argument(m: Arithmetic, d: Number) -> Pair:
    mantissa = _mantissa(m, d)
    return pair_div(m, two_sum(m, -1.0, mantissa), two_sum(m, 1.0, mantissa))


def _log_tail(m: Arithmetic, s: Pair, x: Pair) -> Number:
    x2 = m.mul(x[0], x[0])
    s = pair_add(m, s, (m.mul(x[0], 2.0), m.mul(x[1], 2.0)))
    s = pair_add_one(m, s, m.mul(m.mul(x2, x[0]), horner(m, x2, LOG)))
    return m.add(s[0], s[1])


def log(m: Arithmetic, d: Number) -> Number:
    """`Sleef_logf_u10`: e·ln 2 + 2·atanh((m − 1)/(m + 1)), d = m·2^e with m in [0.75, 1.5)."""
    s = pair_mul_one(m, LN2_PAIR, _exponent_of(m, d))
    return _log_ends(m, d, _log_tail(m, s, _atanh_argument(m, d)))


def log1p(m: Arithmetic, d: Number) -> Number:
    """`Sleef_log1pf_u10`: as `log` of 1 + d, the reduced argument formed from d itself."""
    e = _exponent_of(m, m.add(d, 1.0))
    t = m.ldexp(1.0 + 0.0 * e, -e)
    reduced = m.fma(d, t, m.sub(t, 1.0))
    s = pair_mul_one(m, LN2_PAIR, e)
    two = m.add(2.0, reduced)
    x = pair_div(m, (reduced, 0.0), (two, m.add(m.sub(2.0, two), reduced)))
    r = _log_tail(m, s, x)
    r = m.where(d > _f32(1e38), INF, r)
    r = m.where(d < -1.0, NAN, r)
    r = m.where(d == -1.0, -INF, r)
    return m.where(d == 0.0, d, r)


def log2(m: Arithmetic, d: Number) -> Number:
    """`Sleef_log2f_u10`."""
    x = _atanh_argument(m, d)
    x2 = m.mul(x[0], x[0])
    scale = (_f32(2.8853900432586669922), _f32(3.2734474483568488616e-08))
    s = one_sum_pair(m, _exponent_of(m, d), pair_mul(m, x, scale))
    s = pair_sum_one(m, s, m.mul(m.mul(x2, x[0]), horner(m, x2, LOG2)))
    return _log_ends(m, d, m.add(s[0], s[1]))


def log10(m: Arithmetic, d: Number) -> Number:
    """`Sleef_log10f_u10`."""
    x = _atanh_argument(m, d)
    x2 = m.mul(x[0], x[0])
    s = pair_mul_one(m, (_f32(0.30103001), _f32(-1.432098889e-08)), _exponent_of(m, d))
    s = pair_add(m, s, pair_mul(m, x, (_f32(0.868588984), _f32(-2.170757285e-08))))
    s = pair_add_one(m, s, m.mul(m.mul(x2, x[0]), horner(m, x2, LOG10)))
    return _log_ends(m, d, m.add(s[0], s[1]))


# --- powers ---


def _log_as_pair(m: Arithmetic, d: Number) -> Pair:
    x = _atanh_argument(m, d)
    x2 = pair_square(m, x)
    t = horner(m, x2[0], LOG_IN_POW)
    s = pair_mul_one(m, LN2_PAIR, _exponent_of(m, d))
    s = pair_add(m, s, (m.mul(x[0], 2.0), m.mul(x[1], 2.0)))
    return pair_add(m, s, pair_mul(m, pair_mul(m, x2, x), pair_sum(m, pair_mul_one(m, x2, t), LOG_IN_POW_3)))


def _exp_in_pow(m: Arithmetic, d: Pair) -> Number:
    q = m.rint(m.mul(m.add(d[0], d[1]), LOG2_E))
    s = pair_sum_one(m, d, m.mul(q, -LN2_HI))
    s = pair_normalize(m, pair_sum_one(m, s, m.mul(q, -LN2_LO)))
    u = horner(m, s[0], EXP_IN_POW)
    t = one_add_pair(m, 1.0, pair_add(m, s, pair_mul_one(m, pair_square(m, s), u)))
    return m.where(d[0] < -104.0, 0.0, _ldexp_twice(m, m.add(t[0], t[1]), q))


def _ldexp_twice(m: Arithmetic, x: Number, q: Number) -> Number:
    """x·2^q in two steps, as SLEEF's `vldexp`: a subnormal result is rounded twice."""
    coarse = m.where(q < 0.0, 64.0 * (m.floor((q - 1.0) / 64.0) + 1.0), 64.0 * m.floor(q / 64.0))
    return m.ldexp(m.ldexp(x, coarse), q - coarse)


def pow(m: Arithmetic, x: Number, y: Number) -> Number:
    """`Sleef_powf_u10`: e^(y·ln|x|) on pairs, then sign and special cases of C99 `pow`."""
    y_size = m.abs(y)
    y_integer = m.either(m.trunc(y) == y, y_size > 2.0**24)
    half = m.mul(y, 0.5)
    y_odd = m.where(y_size < 2.0**24, m.where(y_integer, m.trunc(half) != half, False), False)
    r = _exp_in_pow(m, pair_mul_one(m, _log_as_pair(m, m.abs(x)), y))
    r = m.where(m.is_nan(r), INF, r)
    sign = m.where(x > 0.0, 1.0, m.where(y_integer, m.where(y_odd, -1.0, 1.0), NAN))
    r = m.mul(r, sign)
    excess = m.mul(m.sub(m.abs(x), 1.0), m.copysign(1.0, y))
    at_infinite_y = m.where(excess < 0.0, 0.0, m.where(excess == 0.0, 1.0, INF))
    r = m.where(y_size == INF, at_infinite_y, r)
    direction = m.where(x == 0.0, -y, y)
    at_end = m.mul(m.where(y_odd, m.copysign(1.0, x), 1.0), m.where(direction < 0.0, 0.0, INF))
    r = m.where(m.either(m.abs(x) == INF, x == 0.0), at_end, r)
    r = m.where(m.either(m.is_nan(x), m.is_nan(y)), NAN, r)
    return m.where(m.either(y == 0.0, x == 1.0), 1.0, r)
