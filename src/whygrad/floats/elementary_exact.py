"""The truth: elementary functions to any number of digits, and correctly rounded to binary32 or binary64."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import numpy as np

from whygrad.floats.elementary_arithmetic import ARRAY, SCALAR
from whygrad.floats.elementary_special import SPECIAL, special_exact

BASIC: Final = (
    "exp", "log", "log2", "log10", "log1p", "expm1", "sqrt", "rsqrt", "tanh", "sigmoid", "erf", "erfc", "sin",
    "cos", "pow",
)  # fmt: skip
FUNCTIONS: Final = (*BASIC, *SPECIAL)
WIDTHS: Final = ("float32", "float64")

_erf64 = np.vectorize(math.erf, otypes=[np.float64])
_erfc64 = np.vectorize(math.erfc, otypes=[np.float64])
_NEARBY: Final[dict[str, Callable[..., Any]]] = {
    "exp": np.exp, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "expm1": np.expm1,
    "sqrt": np.sqrt, "rsqrt": lambda x: 1.0 / np.sqrt(x), "tanh": np.tanh,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)), "erf": _erf64, "erfc": _erfc64, "sin": np.sin,
    "cos": np.cos, "pow": np.power,
    **{name: each.nearby for name, each in SPECIAL.items() if each.nearby is not None},
}  # fmt: skip
# The double functions above are good to a few units in the 53rd bit; 2⁻⁴⁸ is a safe radius around them.
_DOUBT: Final = 2.0**-48


def arity(function: str) -> int:
    """How many arguments `function` takes."""
    return SPECIAL[function].arity if function in SPECIAL else 2 if function == "pow" else 1


def check(function: str, count: int | None = None, width: str = "float32") -> None:
    """Raises ValueError unless function, number of arguments and width are known ones."""
    if function not in FUNCTIONS:
        raise ValueError(f"no elementary function {function!r}: expected one of {', '.join(FUNCTIONS)}")
    if width not in WIDTHS:
        raise ValueError(f"no width {width!r}: a kernel computes in float32 or in float64; give one of the two")
    if count is not None and count != arity(function):
        raise ValueError(f"{function} takes {arity(function)} argument(s), found {count}")


def exact(function: str, args: tuple[Fraction | float, ...], digits: int = 60) -> Any:
    """The function's value, an `mpmath.mpf` good to `digits` decimal digits, for finite arguments.

    Raises:
        ValueError: the function is not one of `FUNCTIONS`, the number of arguments is wrong, or there is no value.
    """
    import mpmath

    check(function, len(args))
    with mpmath.workdps(digits + 10):
        x = [mpmath.mpf(a.numerator) / a.denominator if isinstance(a, Fraction) else mpmath.mpf(a) for a in args]
        match function:
            case "pow":
                return mpmath.power(x[0], x[1])
            case "log2":
                return mpmath.log(x[0]) / mpmath.log(2)
            case "rsqrt":
                return 1 / mpmath.sqrt(x[0])
            case "sigmoid":
                return 1 / (1 + mpmath.exp(-x[0]))
            case _ if function in SPECIAL:
                return special_exact(function, x)
            case _:
                return getattr(mpmath, function)(x[0])


def _round_exact(value: Any, width: str) -> float:
    """An mpf rounded to nearest, ties to even, in binary32 or binary64."""
    sign, mantissa, exponent, _ = value._mpf_
    fraction = Fraction(int(-mantissa if sign else mantissa)) * Fraction(2) ** int(exponent)
    if width == "float64":
        return float(fraction)
    last = int(mantissa).bit_length() + int(exponent) - 24  # the weight of the last of 24 bits is 2^last
    quantum = Fraction(2) ** max(last, -149)
    return SCALAR.round(float(round(fraction / quantum) * quantum))


def correctly_rounded(function: str, args: tuple[float, ...], width: str) -> float:
    """The exact value of `function(*args)`, rounded once to `width`.

    Raises:
        ValueError: there is none, and no double function says what to give instead.
    """
    if function not in _NEARBY:
        return _from_digits(function, args, width)
    with np.errstate(all="ignore"):
        nearby = float(_NEARBY[function](*(np.float64(a) for a in args)))
    if nearby == 0.0 or nearby - nearby != 0.0:
        return nearby
    if width == "float32":
        low, high = SCALAR.round(nearby * (1.0 - _DOUBT)), SCALAR.round(nearby * (1.0 + _DOUBT))
        if low == high:
            return low
    return _round_exact(exact(function, args), width)


def _from_digits(function: str, args: tuple[float, ...], width: str) -> float:
    if any(a != a for a in args):
        return math.nan
    value = exact(function, args)
    return _round_exact(value, width) if value._mpf_[1] else float(value)  # without a significand: 0, an infinity, NaN


def correctly_rounded_array(function: str, arrays: tuple[np.ndarray, ...], width: str) -> np.ndarray:
    """`correctly_rounded` on float64 carriers of one shape."""
    if width == "float64" or function not in _NEARBY:
        rows = zip(*(a.ravel().tolist() for a in arrays), strict=True)
        values = [correctly_rounded(function, row, width) for row in rows]
        return np.array(values, dtype=np.float64).reshape(arrays[0].shape)
    nearby = np.asarray(_NEARBY[function](*arrays), dtype=np.float64)
    result = ARRAY.round(nearby)
    unsure = ARRAY.round(nearby * (1.0 - _DOUBT)) != ARRAY.round(nearby * (1.0 + _DOUBT))
    for index in np.argwhere(unsure & np.isfinite(nearby)):
        place = tuple(index.tolist())
        result[place] = correctly_rounded(function, tuple(float(a[place]) for a in arrays), width)
    return result
