"""Fused multiply-add: a·b + c rounded once (IEEE 754-2019 §5.4.1), one at a time and over arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from whygrad.floats.arrays import round_sum_odd, two_sum_error
from whygrad.floats.rounding import round_ratio, round_to

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whygrad.floats.formats import NumberFormat

__all__ = ["fma", "fma32", "fma_chain32"]

_LOW_BITS = (1 << 29) - 1  # of a float64's 52, those a float32 does not store
_TIE = 1 << 28
_SMALLEST_NORMAL_32 = 2.0**-126
_BLOCK_STEPS = 256


def fma(a: float, b: float, c: float, fmt: NumberFormat) -> float:
    """a·b + c in exact arithmetic, then one rounding into `fmt`; zeros, infinities and NaN as in IEEE 754."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return round_to(a * b + c, fmt)
    if not math.isfinite(c):
        return round_to(c, fmt)
    if (a == 0 or b == 0) and c == 0:
        return a * b + c  # the sign of a sum of two zeros
    (a_num, a_den), (b_num, b_den), (c_num, c_den) = (x.as_integer_ratio() for x in (a, b, c))
    product_den = a_den * b_den
    return round_ratio(a_num * b_num * c_den + c_num * product_den, product_den * c_den, fmt)


def fma32(a: NDArray[np.float32], b: NDArray[np.float32], c: NDArray[np.float32]) -> NDArray[np.float32]:
    """Elementwise float32 a·b + c, rounded once; shapes broadcast.

    The float64 product of two float32 numbers is exact (48 bits of 53). Its sum with c is rounded to odd in
    float64, from which a second rounding to at most 51 bits is right: Boldo & Melquiond, Emulation of FMA and
    correctly rounded sums: proved algorithms using rounding to odd (2008).
    """
    with np.errstate(all="ignore"):
        product = np.multiply(a, b, dtype=np.float64)
        return round_sum_odd(product, np.asarray(c, dtype=np.float64)).astype(np.float32)


def fma_chain32(
    a: NDArray[np.float32], b: NDArray[np.float32], start: NDArray[np.float32] | float = 0.0
) -> NDArray[np.float32]:
    """acc ← fma(a[k], b[k], acc) for k = 0 … K-1 from `start`, every step rounded to float32.

    a, b: shapes (K, ...) that broadcast; start: broadcasts with what follows K, whose shape is returned. The
    steps are serial, so Python's cost is per step: give it many chains at once.
    """
    a, b = np.broadcast_arrays(np.asarray(a, np.float32), np.asarray(b, np.float32))
    shape = np.broadcast_shapes(a.shape[1:], np.shape(start))
    steps, width = a.shape[0], math.prod(shape)
    acc = np.broadcast_to(np.asarray(start, np.float32), shape).reshape(width)
    for first in range(0, steps, _BLOCK_STEPS):
        block = slice(first, first + _BLOCK_STEPS)
        count = a[block].shape[0]
        left, right = (np.broadcast_to(x[block], (count, *shape)).reshape(count, width) for x in (a, b))
        acc = _chain_block(left, right, acc)
    return acc.reshape(shape)


def _chain_block(a: NDArray[np.float32], b: NDArray[np.float32], start: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take each step with two roundings, then redo the chains in which the two may not have equalled one.

    They differ only if the float64 sum was inexact and lies on a tie of float32: about one step in 2^29 for
    arbitrary numbers. a, b: (steps, width); start: (width,).
    """
    with np.errstate(all="ignore"):
        product = np.multiply(a, b, dtype=np.float64)
        before = np.empty((len(product) + 1, len(start)), np.float32)
        before[0] = start
        sums = np.empty_like(product)
        for k, row in enumerate(product):
            np.add(row, before[k], out=sums[k])
            before[k + 1] = sums[k]
        doubtful = (sums.view(np.int64) & _LOW_BITS) == _TIE
        doubtful |= np.abs(sums) < _SMALLEST_NORMAL_32  # ties lie elsewhere among subnormals
        if doubtful.any():
            doubtful &= two_sum_error(product, before[:-1].astype(np.float64), sums) != 0
        chains = np.flatnonzero(doubtful.any(axis=0))
    acc = before[-1].copy()
    if chains.size:
        redone = start[chains]
        for a_k, b_k in zip(a[:, chains], b[:, chains], strict=True):
            redone = fma32(a_k, b_k, redone)
        acc[chains] = redone
    return acc
