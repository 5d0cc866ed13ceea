"""The scalar functions again, over float64 arrays that carry numbers of any format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from whygrad.floats.formats import NumberFormat

__all__ = ["half_ulp_test_array", "round_array", "round_sum_odd", "two_sum_error", "ulp_array"]


def round_array(x: ArrayLike, fmt: NumberFormat) -> NDArray[np.float64]:
    """`round_to`, elementwise: float64 in, numbers of `fmt` out, carried as float64; same shape."""
    x = np.asarray(x, dtype=np.float64)
    if fmt.precision >= 53:
        return x.copy()
    quantum = _exponents(x, fmt) - np.int32(fmt.precision - 1)
    with np.errstate(over="ignore"):  # up from the top of float64 itself
        rounded = np.ldexp(np.rint(np.ldexp(x, -quantum)), quantum)
    beyond = np.abs(rounded) > fmt.max
    return np.where(beyond, np.copysign(np.inf if fmt.has_infinity else fmt.max, x), rounded)


def ulp_array(x: ArrayLike, fmt: NumberFormat) -> NDArray[np.float64]:
    """`ulp`, elementwise, as float64, which holds every ulp; NaN where there is none: infinities and NaN."""
    x = np.asarray(x, dtype=np.float64)
    exponents = np.minimum(_exponents(x, fmt), np.int32(fmt.emax)) - np.int32(fmt.precision - 1)
    return np.where(np.isfinite(x), np.ldexp(1.0, exponents), np.nan)


def half_ulp_test_array(update: ArrayLike, value: ArrayLike, fmt: NumberFormat) -> NDArray[np.bool_]:
    """`half_ulp_test`, elementwise: where value + update, rounded once into `fmt`, is `value` again.

    Shapes broadcast. Both float64; `value` holds numbers of `fmt`.
    """
    update, value = np.asarray(update, dtype=np.float64), np.asarray(value, dtype=np.float64)
    with np.errstate(all="ignore"):
        if fmt.precision >= 53:
            return value + update == value
        return round_array(round_sum_odd(value, update), fmt) == value


def round_sum_odd(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """x + y rounded to odd: an inexact sum becomes that of its two float64 neighbours whose last bit is 1.

    Rounding this again to 51 bits or fewer is as rounding x + y once (Boldo & Melquiond, 2008). Call it under
    np.errstate(all="ignore"): infinities pass through its differences.
    """
    total = np.atleast_1d(x + y)
    error = two_sum_error(x, y, total)
    bits = total.view(np.int64)
    towards_infinity = (error > 0) == (total > 0)
    # A float64's bits, read as an integer, count its magnitude up: one step is the next neighbour.
    stepped = bits + np.where(towards_infinity, 1, -1)
    inexact_and_even = np.isfinite(total) & (error != 0) & np.isfinite(error) & (bits & 1 == 0)
    odd = np.where(inexact_and_even, stepped, bits).view(np.float64)
    return odd.reshape(np.broadcast_shapes(x.shape, y.shape))


def two_sum_error(x: NDArray[np.float64], y: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
    """(x + y) - total exactly, where total is the float64 sum: Knuth's TwoSum, TAOCP 2, §4.2.2, th. B."""
    y_part = total - x
    return (x - (total - y_part)) + (y - y_part)


def _exponents(x: NDArray[np.float64], fmt: NumberFormat) -> NDArray[np.int32]:
    """e with 2^e ≤ |x| < 2^(e+1), not below the format's emin; emin for zero, infinities and NaN."""
    exponents = np.frexp(x)[1] - np.int32(1)
    return np.maximum(np.where((x == 0) | ~np.isfinite(x), np.int32(fmt.emin), exponents), np.int32(fmt.emin))
