"""Chains of fused multiply-adds, one rounding a step, quick enough to be tried many times.

float32: the product of two float32 numbers is exact in float64 (48 bits of 53), so only the sum can be
rounded twice (to float64, then to float32). That differs from one rounding only where the float64 sum lies
half-way between two float32 numbers although the exact sum does not; the error of the float64 sum (Knuth's
TwoSum) then tells the side.

float64: a·b is split without error (Dekker 1971), and its two parts and c are added with one rounding as in
Boldo & Melquiond, Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd
(2008). Near overflow and underflow, where the splitting is not exact, a step is taken in exact arithmetic.
"""

from __future__ import annotations

import math
from array import array
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whygrad.floats.formats import number_format
from whygrad.floats.fused import fma, fma_chain32

__all__ = ["Floats", "fma_chain"]

Floats: TypeAlias = NDArray[np.floating[Any]]

_SPLIT = 2.0**27 + 1  # Veltkamp's constant for 53 bits
_LOW, _HIGH = 2.0**-400, 2.0**400  # between these the product, its splitting and its error are exact
_FLOAT64 = number_format("float64")
_FEW = 6  # columns up to which Python's floats are quicker than numpy's rows


def fma_chain(a: Floats, b: Floats, start: Floats) -> Floats:
    """acc ← fma(a[k], b[k], acc) for k = 0 … n-1, for every column, from `start`.

    a, b: (n, columns); start: (columns,) in the accumulator's dtype, float32 or float64, which is returned.
    """
    if start.dtype == np.float32 and start.size > _FEW:
        return fma_chain32(a.astype(np.float32), b.astype(np.float32), start)
    step = _chain32 if start.dtype == np.float32 else _chain64
    left, right = a.T.astype(np.float64).tolist(), b.T.astype(np.float64).tolist()
    totals = [step(x, y, c) for x, y, c in zip(left, right, start.tolist(), strict=True)]
    return np.array(totals, dtype=start.dtype)


def _chain32(a: list[float], b: list[float], acc: float) -> float:
    cell = array("f", [0.0])  # storing in a C float: the quickest correct rounding in reach of Python
    for x, y in zip(a, b, strict=True):
        product = x * y
        total = product + acc
        cell[0] = total
        rounded = cell[0]
        rest = total - rounded
        if rest != 0.0:
            other = total + rest  # if `total` is half-way, this is the float32 number on its other side
            cell[0] = other
            if cell[0] == other:
                shadow = total - product
                error = (product - (total - shadow)) + (acc - shadow)
                if (error > 0.0 and rest > 0.0) or (error < 0.0 and rest < 0.0):
                    rounded = other
        acc = rounded
    return acc


def _chain64(a: list[float], b: list[float], acc: float) -> float:
    for x, y in zip(a, b, strict=True):
        acc = _fma64(x, y, acc)
    return acc


def _fma64(a: float, b: float, c: float) -> float:
    product = a * b
    safe = _LOW < abs(product) < _HIGH and abs(a) < _HIGH and abs(b) < _HIGH
    if not (safe and (c == 0.0 or _LOW < abs(c) < _HIGH)):
        return fma(a, b, c, _FLOAT64)
    low_sum, low_error = _two_sum(c, _product_error(a, b, product))
    high_sum, high_error = _two_sum(product, low_sum)
    return high_sum + _add_to_odd(low_error, high_error)


def _product_error(a: float, b: float, product: float) -> float:
    """a·b - product, exactly."""
    t = _SPLIT * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = _SPLIT * b
    b_high = t - (t - b)
    b_low = b - b_high
    return a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _two_sum(a: float, b: float) -> tuple[float, float]:
    """a + b rounded, and what the rounding lost, exactly."""
    total = a + b
    shadow = total - a
    return total, (a - (total - shadow)) + (b - shadow)


def _add_to_odd(a: float, b: float) -> float:
    """a + b rounded to odd: an inexact sum gets a last bit of 1, so that no later rounding takes it for a
    tie.
    """
    total, error = _two_sum(a, b)
    if error == 0.0 or int(math.frexp(total)[0] * 2.0**53) & 1:
        return total
    return math.nextafter(total, math.copysign(math.inf, error))
