"""The terms of sums, column by column, and the steps of which every order of summation is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whygrad.floats.summation_fma import Floats, fma_chain

__all__ = ["Terms", "across", "adjacent", "halving", "in_turn"]


@dataclass(frozen=True)
class Terms:
    """Terms a[k], or a[k]·b[k] that are not rounded before they are added, of many sums at once.

    a, b: shape (n, sums), in the accumulator's dtype. flush: subnormal factors and partial sums count as
    zero.
    """

    a: Floats
    b: Floats | None
    flush: bool = False

    def __len__(self) -> int:
        return self.a.shape[0]

    def __getitem__(self, which: slice | NDArray[np.integer]) -> Terms:
        return Terms(self.a[which], None if self.b is None else self.b[which], self.flush)

    @property
    def sums(self) -> int:
        """How many sums there are side by side."""
        return self.a.shape[1]

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """The accumulator's."""
        return self.a.dtype

    def zeros(self) -> Floats:
        """A fresh accumulator, shape (sums,)."""
        return np.zeros(self.sums, self.dtype)

    def first(self) -> Floats:
        """The first term, rounded; shape (sums,)."""
        return self.a[0] if self.b is None else self.a[0] * self.b[0]

    def chain(self, start: Floats | None = None) -> Floats:
        """All terms one after the other onto `start` (None: zero), shape (sums,)."""
        acc = self.zeros() if start is None else start
        if len(self) == 0:
            return acc
        if self.flush:
            return _flushed_chain(self, acc)
        if self.b is not None:
            return fma_chain(self.a, self.b, acc)
        # accumulate, not add.reduce: numpy's reduce adds pairwise.
        return np.add.accumulate(np.concatenate([acc[None], self.a]), axis=0)[-1]

    def lanes(self, width: int, start: Floats | None = None) -> Floats:
        """Term k onto lane k mod `width`, shape (width, sums). The number of terms must be a multiple of
        `width`.
        """
        acc = np.zeros((width, self.sums), self.dtype) if start is None else start
        if len(self) == 0:
            return acc
        a = self.a.reshape(-1, width * self.sums)
        b = None if self.b is None else self.b.reshape(-1, width * self.sums)
        return Terms(a, b, self.flush).chain(acc.reshape(-1)).reshape(width, self.sums)


def across(how: Literal["halving", "in turn"], vector: Floats) -> Floats:
    """The sum over the first axis of `vector`, by `halving` or `in_turn`."""
    return halving(vector) if how == "halving" else in_turn(vector)


def halving(vector: Floats) -> Floats:
    """Item i + item i+n/2 until one is left; shape (n, …) to (…), n a power of two."""
    while len(vector) > 1:
        half = len(vector) // 2
        vector = vector[:half] + vector[half:]
    return vector[0]


def adjacent(vectors: Floats) -> Floats:
    """(v0+v1)+(v2+v3): neighbours until one is left; shape (n, …) to (…), n a power of two."""
    while len(vectors) > 1:
        vectors = vectors[0::2] + vectors[1::2]
    return vectors[0]


def in_turn(vectors: Floats) -> Floats:
    """((v0+v1)+v2)+v3; shape (n, …) to (…)."""
    return np.add.accumulate(vectors, axis=0)[-1]


def _flushed_chain(terms: Terms, acc: Floats) -> Floats:
    acc, a = _flushed(acc), _flushed(terms.a)
    b = None if terms.b is None else _flushed(terms.b)
    quick = _chain_without_flushing(a, b, acc)
    if quick is not None:
        return quick
    for k in range(len(terms)):
        acc = _flushed(acc + a[k] if b is None else fma_chain(a[k : k + 1], b[k : k + 1], acc))
    return acc


def _flushed(x: Floats) -> Floats:
    return np.where(_is_subnormal(x), np.copysign(np.zeros_like(x), x), x)


def _is_subnormal(x: Floats) -> NDArray[np.bool_]:
    return (np.abs(x) < np.finfo(x.dtype).smallest_normal) & (x != 0)


def _chain_without_flushing(a: Floats, b: Floats | None, acc: Floats) -> Floats | None:
    """The chain, if its products are exact and no step needs a flush (the usual case); else None."""
    products = a if b is None else a * b
    if b is not None and (a.dtype != np.float32 or (np.multiply(a, b, dtype=np.float64) != products).any()):
        return None
    totals = np.add.accumulate(np.concatenate([acc[None], products]), axis=0)
    if not np.isfinite(totals).all() or _is_subnormal(totals).any():
        return None
    return totals[-1]
