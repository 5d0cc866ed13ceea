"""Sums of products of floats without rounding, whole arrays at a time.

Significands become whole numbers that are split until their products fit a float64 (T. J. Dekker, "A floating-point
technique for extending the available precision", Numer. Math. 18, 1971); products of one exponent are added up in two
halves, which stays exact for 2²⁶ terms; only the sums of the exponents are added as Python's integers.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_Piece = tuple[Array, Array]
"""Whole numbers of at most 2⁵³, and the exponents of two that they are multiplied by."""
_HALF = 2.0**27
_MOST = 1 << 26


class Undefined(Exception):
    """No exact value: an operand is infinite or NaN, or a division by zero."""


def product_sum(series: list[Array]) -> Fraction:
    """`Σ aᵢ·bᵢ·…` exactly, of one or more series of float64 numbers of the same length, (n,) each. Raises Undefined where a
    number is not finite."""
    if not all(np.isfinite(each).all() for each in series):
        raise Undefined("an operand is not finite")
    count = len(series[0])
    total = Fraction(0)
    for start in range(0, count, _MOST):
        total += _sum_of(_products([each[start : start + _MOST] for each in series]))
    return total


def _products(series: list[Array]) -> list[_Piece]:
    pieces = [_whole(series[0])]
    for each in series[1:]:
        factors = _halves(_whole(each))
        pieces = [(a * b, e + f) for piece in pieces for a, e in _halves(piece) for b, f in factors]
    return pieces


def _whole(x: Array) -> _Piece:
    significands, exponents = np.frexp(np.asarray(x, dtype=np.float64))
    return significands * 2.0**53, exponents.astype(np.int64) - 53


def _halves(piece: _Piece) -> list[_Piece]:
    """The same numbers as whole numbers of at most 2²⁶, whose products fit; halves that are all zero are left out."""
    whole, exponents = piece
    high = np.rint(whole / _HALF)
    low = whole - high * _HALF
    return [(part, e) for part, e in ((high, exponents + 27), (low, exponents)) if part.any()]


def _sum_of(pieces: list[_Piece]) -> Fraction:
    if not pieces:
        return Fraction(0)
    least = min(int(exponents.min(initial=0)) for _, exponents in pieces)
    total = 0
    for piece in pieces:
        for whole, exponents in _halves(piece):
            sums = np.bincount(exponents - least, weights=whole)
            for place in np.flatnonzero(sums).tolist():
                total += int(sums[place]) << place
    return Fraction(total) * Fraction(2) ** least
