"""The largest in size of each block of a large matrix, found by whole-array operations.

A float's bits, turned left by one, put the sign last: as unsigned integers they are then in the order of their sizes,
infinities and NaN above all finite numbers. So one maximum of integers finds the largest in size, with its sign, in any
format, without a float being made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.floats import FORMATS

__all__ = ["Keys", "Read", "block_maxima", "difference", "keys_of", "largest_keys", "numbers_of"]

Array = np.ndarray[Any, Any]
Read = Callable[[slice, slice], Array]
"""Gives a window of a matrix: rows, columns."""
_AT_ONCE = 1 << 19
"""Elements whose keys are made at a time: they stay in the processor's cache."""


@dataclass(frozen=True)
class Keys:
    """How keys of a format are read: `bits` of the unsigned integer; a key of `limit` or more is not finite."""

    format: str
    bits: int
    limit: int


def keys_of(fmt: str) -> Keys:
    """The keys of a floating-point format; of integers and booleans those of float64, which they are counted as."""
    known = FORMATS.get(fmt, FORMATS["float64"])
    fraction = known.precision - 1
    exponents = (1 << known.exponent_bits) - 1
    top = exponents << fraction if known.has_infinity else (1 << (known.bits - 1)) - 1
    return Keys(known.name, known.bits, top << 1)


def _turned(block: Array, keys: Keys) -> Array:
    """The keys of a block of numbers; a new array."""
    kind = np.dtype(f"uint{keys.bits}")
    if block.dtype.itemsize * 8 != keys.bits or block.dtype.kind in "iub":
        block = block.astype(np.float64)
    raw = block.view(kind)
    found = raw << kind.type(1)
    found |= raw >> kind.type(keys.bits - 1)
    return found


def numbers_of(found: Array, keys: Keys) -> Array:
    """Keys turned back into numbers, as float64."""
    kind = np.dtype(f"uint{keys.bits}")
    raw = (found >> kind.type(1)) | (found << kind.type(keys.bits - 1))
    return raw.view(FORMATS[keys.format].numpy_dtype).astype(np.float64)


def difference(after: Array, before: Array) -> Array:
    """after − before, for colours: float32 for formats of 32 bits and fewer, else float64."""
    wide = np.dtype(np.float64) if after.dtype.itemsize > 4 or after.dtype.kind in "iub" else np.dtype(np.float32)
    with np.errstate(all="ignore"):
        return _widened(after, wide) - _widened(before, wide)


def _widened(block: Array, wide: np.dtype[Any]) -> Array:
    if block.dtype.name == "bfloat16":  # its bits are the upper half of a float32's
        return (block.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    return block.astype(wide, copy=False)


def block_maxima(read: Read, shape: tuple[int, int], per_cell: tuple[int, int], keys: Keys) -> tuple[Array, int]:
    """The largest key of each block of `per_cell` elements of a matrix, and the largest finite key of all (0: none).

    `read` gives a window of the matrix. Blocks at the right and lower edge may be smaller.
    """
    down, across = (-(-n // per) for n, per in zip(shape, per_cell, strict=True))
    kind = np.dtype(f"uint{keys.bits}")
    cells, finite = np.zeros((down, across), kind), 0
    for row in range(down):
        for rows, columns in _windows(shape, per_cell, row):
            found = _turned(read(rows, columns), keys)
            best = found.max(axis=0) if found.shape[0] > 1 else found[0]
            starts = np.arange(0, len(best), per_cell[1])
            of_cells = np.maximum.reduceat(best, starts)
            at = slice(columns.start // per_cell[1], columns.start // per_cell[1] + len(starts))
            np.maximum(cells[row, at], of_cells, out=cells[row, at])
            largest = int(of_cells.max())
            if largest >= keys.limit:
                good = found[found < kind.type(keys.limit)]
                largest = int(good.max()) if good.size else 0
            finite = max(finite, largest)
    return cells, finite


def largest_keys(read: Read, shape: tuple[int, int], least: int, k: int, keys: Keys) -> list[tuple[int, int, int]]:
    """Key, row and column of the `k` largest elements of a matrix whose keys are at least `least`, the largest first; of
    equal ones the first. What is below `least` is passed over unsorted, so a bound near the k-th largest makes it quick."""
    kind = np.dtype(f"uint{keys.bits}")
    found: list[tuple[int, int, int]] = []
    for rows, columns in _stretches(shape):
        block = _turned(read(rows, columns), keys)
        wide, flat = block.shape[1], block.reshape(-1)
        places = np.flatnonzero(flat > kind.type(least))
        if len(places) > k:  # ~ turns the order round: a stable sort then has the first of equal ones first
            bound = np.partition(flat[places], len(places) - k)[len(places) - k]
            places = places[flat[places] >= bound]
            places = places[np.argsort(~flat[places], kind="stable")[:k]]
        if len(places) < k:
            places = np.append(places, np.flatnonzero(flat == kind.type(least))[: k - len(places)])
        found += [
            (key, rows.start + at // wide, columns.start + at % wide)
            for key, at in zip(flat[places].tolist(), places.tolist(), strict=True)
        ]
    return sorted(found, key=lambda each: (-each[0], each[1], each[2]))[:k]


def _stretches(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """Windows of bounded size, row after row, that make up a matrix."""
    wide = min(shape[1], _AT_ONCE)
    high = max(1, _AT_ONCE // wide)
    for start in range(0, shape[0], high):
        for column in range(0, shape[1], wide):
            yield slice(start, min(start + high, shape[0])), slice(column, min(column + wide, shape[1]))


def _windows(shape: tuple[int, int], per_cell: tuple[int, int], row: int) -> Iterator[tuple[slice, slice]]:
    """Windows of bounded size over one row of blocks, each of whole blocks across."""
    first, last = row * per_cell[0], min((row + 1) * per_cell[0], shape[0])
    wide = min(shape[1], per_cell[1] * max(1, _AT_ONCE // per_cell[1]))
    high = max(1, _AT_ONCE // wide)
    for column in range(0, shape[1], wide):
        for start in range(first, last, high):
            yield slice(start, min(start + high, last)), slice(column, min(column + wide, shape[1]))
