"""Elementary functions to the last bit: correctly rounded, and as PyTorch's CPU kernels return them.

A kernel computes in a *width* (float32 for float16, bfloat16 and float32; float64 for float64) and rounds
once to the stored dtype. In float32 a function has several bodies, each with its own last bit: its
`Variant`s. A pointwise kernel has a *vector body* (SLEEF) for whole steps of 2·V elements, V = 16 float32
on AVX-512 and 8 on AVX2, twice that in 16 bits, and a *scalar body* (the C library) for what is left over,
for strided tensors and for short ones.

Shares of elements reproduced in float32, measured on x86 with torch 2.13 (MKL, oneDNN), AVX-512 and AVX2
kernels:

    exp log log2 log10 tanh       MKL's vector functions, for every length and stride; no public formula.
    erf erfc sin cos sqrt         Correctly rounded: exp 98.9, log 95.0, log2 99.98, log10 99.98, tanh 99.8,
                                  erf 98.3, erfc 95.9, sin 95.0, cos 95.2, sqrt 83 %; else 1 ULP off.
                                  In float16 and bfloat16: SLEEF u10 (erf: rational), once rounded, 100 %.
    log1p expm1                   SLEEF u10 for every length                                      100 %
    rsqrt                         two steps; 16-bit scalar body: the root is rounded to the dtype   100 %
    pow                           x², x³, x⁻¹, x⁻² products (bfloat16 rounds each); x^½ sqrt; x^−½ rsqrt; else
                                  SLEEF u10; scalar body: C library, in double for a number as exponent.
                                  In 16 bits the exponent is rounded to the dtype first           100 %

    op                            vector body (one rounding per operation; s, t, e, … are rounded)
    sigmoid                       1 / (1 + exp(−x))                                               100 %
    sigmoid_backward              (g·(1 − y))·y; in float16 each operation rounded to float16     100 %
    tanh_backward                 g·fma(−y, y, 1)                                                 100 %
    silu, silu_backward           x / (1 + exp(−x)); (g·s)·fma(x, 1 − s, 1), s = sigmoid(x)       100 %
    softplus, …_backward          log1p(exp(x·β)) / β; (g·z) / (z + 1), z = exp(x·β)              100 %
    log_sigmoid_forward           min(x, 0) − log1p(b), b = exp(−|x|); no scalar body             100 %
    log_sigmoid_backward          (d − s·(b / (1 + b)))·g                                         100 %
    gelu                          float16: (x·½)·(1 + erf(x·√½)), erf rational                    100 %
                                  float32, bfloat16, > 1 element, contiguous: oneDNN, (x·(1 + P(x)))·½   100 %
    gelu_backward                 float16: g·fma(x, pdf, cdf), scalar body g·(cdf + x·pdf); or oneDNN   100 %
    gelu tanh                     (½·x)·(1 + tanh(β·fma(κ, x³, x)))                               100 %
    gelu_backward tanh            g·(½·(1 + t) + (½x·fma(−t, t, 1))·(β·fma(3κ, x², 1)))           100 %
    _softmax, …_backward_data     e·(1/Σ), e = exp(x − max); (g − Σ)·y                            100 %
    _log_softmax, …_backward_data (x − max) − log Σ; fma(−exp(y), Σ, g)                           100 %
    attention, flash, float32     as _softmax, but exp_u20 (16 bits: fexp_u20), and past the last whole vector the
                                  exponential in double, rounded                                  100 %
    exp, float64, inside kernels  SLEEF u10                                                       100 %
    binary_cross_entropy          (t − 1)·max(log1p(−p), −100) − t·max(log p, −100), C library    100 %
    …_backward                    (g·(p − t)) / max((1 − p)·p, 1e−12)                             100 %
    …_with_logits                 ((1 − t)·x) − logsigmoid(x)                                     100 %

The last three round every operation to the tensor's dtype and fuse nothing. The rational erf is good to
1.5e−7 absolute, so a float32 GELU shares few last bits with the correctly rounded one. The formulas run in
`elementary_composites` and `elementary_softmax`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from whygrad.floats import elementary_attention as attention
from whygrad.floats import elementary_composites as composites
from whygrad.floats import elementary_onednn as onednn
from whygrad.floats import elementary_recurrent as recurrent
from whygrad.floats import elementary_sleef as sleef
from whygrad.floats.elementary_arithmetic import ARRAY, SCALAR, Arithmetic, Number
from whygrad.floats.elementary_cephes import CEPHES, cephes
from whygrad.floats.elementary_exact import (
    BASIC,
    FUNCTIONS,
    WIDTHS,
    arity,
    check,
    correctly_rounded,
    correctly_rounded_array,
    exact,
)
from whygrad.floats.elementary_library import LIBRARY, c_function
from whygrad.floats.elementary_special import SPECIAL

__all__ = [
    "ATEN",
    "ATEN_BFLOAT16",
    "ATEN_FLOAT16",
    "BASIC",
    "CORRECTLY_ROUNDED",
    "C_LIBRARY",
    "C_LIBRARY_DOUBLE",
    "EXP_U20",
    "FEXP_U20",
    "FUNCTIONS",
    "ONEDNN",
    "PRODUCTS",
    "RATIONAL",
    "SLEEF",
    "TWO_STEPS",
    "WIDTHS",
    "Variant",
    "evaluate",
    "evaluate_array",
    "exact",
    "variants",
]  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One way of computing a function: whose code, to what accuracy."""

    name: str
    description: str


CORRECTLY_ROUNDED: Final = Variant("correctly rounded", "the exact value, rounded once")
SLEEF: Final = Variant("SLEEF u10", "SLEEF's vector function, within 1.0 ULP, as ATen's vector body calls it")
C_LIBRARY: Final = Variant("C library", "this machine's C library, as a kernel's scalar body calls it")
C_LIBRARY_DOUBLE: Final = Variant("C library, double", "this machine's C library in double, then rounded")
EXP_U20: Final = Variant("exp_u20", "ATen's fast exponential, within 20 ULP")
FEXP_U20: Final = Variant("fexp_u20", "ATen's fast exponential for numbers that are stored in 16 bits")
ONEDNN: Final = Variant("oneDNN", "oneDNN's own function, used inside its kernels")
RATIONAL: Final = Variant("rational", "ATen's erf, Abramowitz and Stegun 7.1.26, within 1.5e-7 absolute")
TWO_STEPS: Final = Variant("two steps", "the inner function is rounded, then the quotient")
PRODUCTS: Final = Variant("products", "x·x, (x·x)·x and reciprocals, each operation rounded")

ATEN: Final = Variant(
    "ATen's own", "the algorithm of PyTorch's kernel, mostly after the Cephes library, each operation rounded"
)
ATEN_FLOAT16: Final = Variant("ATen's own in float16", "that algorithm as it runs on a float16 number")
ATEN_BFLOAT16: Final = Variant("ATen's own in bfloat16", "that algorithm as it runs on a bfloat16 number")

_EXACT, _C = CORRECTLY_ROUNDED, C_LIBRARY
_NARROW: Final = {ATEN: "", ATEN_FLOAT16: "float16", ATEN_BFLOAT16: "bfloat16"}
_OF_MKL: Final = frozenset({"tan", "asin", "acos", "atan", "lgamma"})
"""Taken from MKL's vector functions where they have no public formula: nearly always the correctly rounded value."""


def _special_order(name: str) -> tuple[Variant, ...]:
    if name in CEPHES:
        return (ATEN, _EXACT)
    if not SPECIAL[name].library:
        return (_EXACT,)
    return (_EXACT, _C) if name in _OF_MKL else (_C, _EXACT)


_ORDER: Final[dict[str, dict[str, tuple[Variant, ...]]]] = {
    "float32": {
        "exp": (_EXACT, SLEEF, _C, EXP_U20, ONEDNN, FEXP_U20),
        "log": (_EXACT, SLEEF, _C),
        "log2": (_EXACT, SLEEF, _C),
        "log10": (_EXACT, SLEEF, _C),
        "log1p": (SLEEF, _C, _EXACT),
        "expm1": (SLEEF, _C, _EXACT),
        "sqrt": (_EXACT,),
        "rsqrt": (TWO_STEPS, _EXACT),
        "tanh": (_EXACT, SLEEF, _C),
        "sigmoid": (SLEEF, _C, _EXACT),
        "erf": (_EXACT, RATIONAL, _C),
        "erfc": (_EXACT, _C),
        "sin": (_EXACT, _C),
        "cos": (_EXACT, _C),
        "pow": (SLEEF, C_LIBRARY_DOUBLE, PRODUCTS, _C, _EXACT),
        **{name: _special_order(name) for name in SPECIAL},
        **dict.fromkeys(("i0e", "zeta"), (ATEN, _EXACT, ATEN_FLOAT16, ATEN_BFLOAT16)),
    },
    "float64": {
        **dict.fromkeys(BASIC, (_EXACT, _C)),
        **{name: _special_order(name) for name in SPECIAL},
        "exp": (_EXACT, _C, SLEEF),
        "sqrt": (_EXACT,),
        "rsqrt": (TWO_STEPS, _EXACT),
        "sigmoid": (TWO_STEPS, _EXACT),
    },
}


def _sigmoid_sleef(m: Arithmetic, x: Number) -> Number:
    return composites.sigmoid(m, composites.VECTOR, x)


def _sigmoid_library(m: Arithmetic, x: Number) -> Number:
    return composites.sigmoid(m, LIBRARY, x)


def _rsqrt(m: Arithmetic, x: Number) -> Number:
    return m.div(1.0, m.sqrt(x))


def _pow_products(m: Arithmetic, x: Number, y: Number) -> Number:
    """x^y for y in −2, −1, 1, 2, 3 (aten/src/ATen/native/cpu/PowKernel.cpp), NaN otherwise."""
    square = m.mul(x, x)
    value = m.where(y == 2.0, square, m.where(y == 3.0, m.mul(square, x), m.where(y == 1.0, x, math.nan)))
    value = m.where(y == -1.0, m.div(1.0, x), value)
    return m.where(y == -2.0, m.div(1.0, square), value)


_KERNELS: Final[dict[tuple[str, Variant], Callable[..., Number]]] = {
    ("exp", SLEEF): sleef.exp,
    ("exp", EXP_U20): onednn.exp_u20,
    ("exp", ONEDNN): onednn.exp_onednn,
    ("exp", FEXP_U20): attention.fexp_u20,
    ("expm1", SLEEF): sleef.expm1,
    ("tanh", SLEEF): sleef.tanh,
    ("log", SLEEF): sleef.log,
    ("log1p", SLEEF): sleef.log1p,
    ("log2", SLEEF): sleef.log2,
    ("log10", SLEEF): sleef.log10,
    ("pow", SLEEF): sleef.pow,
    ("pow", PRODUCTS): _pow_products,
    ("erf", RATIONAL): onednn.erf,
    ("tanh", ONEDNN): recurrent.tanh,
    ("sigmoid", ONEDNN): recurrent.logistic,
    ("sigmoid", SLEEF): _sigmoid_sleef,
    ("sigmoid", C_LIBRARY): _sigmoid_library,
    ("rsqrt", TWO_STEPS): _rsqrt,
}


def variants(function: str, width: str) -> tuple[Variant, ...]:
    """The ways in which PyTorch's CPU kernels compute `function` in `width`, most likely first.

    The order is that of the op of the same name; inside another kernel (`_softmax`, `gelu`) SLEEF is first.

    Args:
        function: one of `FUNCTIONS`.
        width: "float32" or "float64", the dtype in which the kernel computes.

    Raises:
        ValueError: unknown function or width.
    """
    check(function, None, width)
    has_library = c_function("exp", "float32") is not None
    order = _ORDER[width][function]
    return tuple(v for v in order if has_library or v not in (C_LIBRARY, C_LIBRARY_DOUBLE))


def evaluate(function: str, args: tuple[float, ...], width: str, variant: Variant) -> float:
    """`function(*args)` as `variant` computes it; arguments and result are representable in `width`.

    Raises:
        ValueError: unknown function or width, wrong number of arguments, or a variant not in `variants`.
    """
    check(function, len(args), width)
    named = width == "float32" and (function, variant) in _KERNELS  # some are only had by name
    if not named and variant not in variants(function, width):
        known = ", ".join(v.name for v in variants(function, width))
        raise ValueError(f"no variant {variant.name!r} of {function} in {width}: expected one of {known}")
    if variant == CORRECTLY_ROUNDED:
        return correctly_rounded(function, args, width)
    if variant in _NARROW:
        return cephes(function, args, _NARROW[variant] or width)
    if width == "float32" and (function, variant) in _KERNELS:
        return float(_KERNELS[function, variant](SCALAR, *(float(a) for a in args)))
    if variant == TWO_STEPS:
        return _two_steps64(function, args[0])
    if variant == SLEEF:  # of float64's functions, `exp`
        return float(attention.exp_double(np.asarray(args[0])))
    call = c_function(function, "float64" if variant == C_LIBRARY_DOUBLE else width, arity(function))
    if call is None:
        raise ValueError(f"expected a C library with {function}, found none; choose another variant")
    value = call(*args)
    return SCALAR.round(value) if width == "float32" else value


def _two_steps64(function: str, x: float) -> float:
    with np.errstate(all="ignore"):
        if function == "rsqrt":
            return float(1.0 / np.sqrt(np.float64(x)))
        return float(1.0 / (1.0 + np.float64(correctly_rounded("exp", (-x,), "float64"))))


def evaluate_array(function: str, arrays: tuple[np.ndarray, ...], width: str, variant: Variant) -> np.ndarray:
    """`evaluate` on arrays of one shape; returns an array of that shape and of dtype `width`.

    Raises:
        ValueError: as `evaluate`.
    """
    check(function, len(arrays), width)
    shape = np.shape(arrays[0])
    carriers = tuple(np.asarray(a, dtype=np.float64).reshape(-1) for a in arrays)
    with np.errstate(all="ignore"):
        if variant == CORRECTLY_ROUNDED:
            result = correctly_rounded_array(function, carriers, width)
        elif width == "float32" and (function, variant) in _KERNELS:
            result = np.asarray(_KERNELS[function, variant](ARRAY, *carriers))
        elif variant == SLEEF:
            result = attention.exp_double(carriers[0])
        else:
            rows = zip(*(a.tolist() for a in carriers), strict=True)
            result = np.array([evaluate(function, row, width, variant) for row in rows], dtype=np.float64)
        return result.astype(np.dtype(width)).reshape(shape)
