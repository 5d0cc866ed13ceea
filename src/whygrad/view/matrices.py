"""A recorded tensor as a matrix, in whole and from near.

Its last dimension goes across and the others are folded down; a vector is one row. Of a parameter of more than two
dimensions (a convolution's weight) the first dimension goes down and the rest across.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.errors import AddressError
from whygrad.explain.addresses import step_text
from whygrad.view.blocks import Keys, difference
from whygrad.view.numbers import number, typographic

__all__ = [
    "MOST_CELLS",
    "MOST_TEXTS",
    "Matrix",
    "fold",
    "folding",
    "index_of",
    "levels_of",
    "readable",
    "start_of",
    "unfold",
]

Array = np.ndarray[Any, Any]
MOST_CELLS: int = 64
"""Cells of a tile, down and across."""
MOST_TEXTS: tuple[int, int] = (24, 16)
"""Elements, down and across, of a tile whose numbers are written out."""
ZOOM = 4
"""Each zoom shows this many times fewer elements a cell, down and across."""


@dataclass(frozen=True)
class Matrix:
    """A recorded tensor as a matrix. `fold`: which dimensions the row counts through, and which the column. `before` is
    the tensor before the update, where the update is looked at."""

    name: str
    what: str
    step: int
    dims: tuple[int, ...]
    shape: tuple[int, int]
    fold: tuple[tuple[int, ...], tuple[int, ...]]
    data: Array
    before: Array | None
    format: str
    keys: Keys
    part: str

    def read(self, rows: slice, columns: slice) -> Array:
        """A window of it."""
        window = self.data[rows, columns]
        return window if self.before is None else difference(window, self.before[rows, columns])

    def index(self, row: int, column: int) -> tuple[int, ...]:
        """An element's index in the tensor."""
        return (*unfold(row, self.fold[0]), *unfold(column, self.fold[1]))

    def pattern(self) -> str:
        """An element's address, with {r} and {c} for its row and its column; a dimension of none has neither."""
        places = [text for text, dims in zip(("{r}", "{c}"), self.fold, strict=True) if dims]
        index = f"[{','.join(places)}]" if places else ""
        grad = ".grad" if self.what == "grad" else ""
        return f"{self.name}{index}{grad}{self.part}{step_text(self.step)}"

    def address(self, row: int, column: int) -> str:
        """An element's address."""
        index = self.index(row, column)
        where = f"[{','.join(map(str, index))}]" if index else ""
        return f"{self.name}{where}{'.grad' if self.what == 'grad' else ''}{self.part}{step_text(self.step)}"

    def text(self, row: int, column: int) -> str:
        """An element as its format writes it: of an update, the number that it led to."""
        return typographic(number(self.data[row, column].item(), self.format))


def folding(dims: tuple[int, ...], parameter: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which dimensions the row counts through, and which the column."""
    if len(dims) > 2 and parameter:
        return dims[:1], dims[1:]
    return dims[:-1], dims[-1:]


def unfold(place: int, dims: tuple[int, ...]) -> tuple[int, ...]:
    """The index of element number `place`, the last dimension the fastest."""
    found: list[int] = []
    for size in reversed(dims):
        found.append(place % size)
        place //= size
    return tuple(reversed(found))


def fold(index: tuple[int, ...], dims: tuple[int, ...]) -> int:
    """The inverse of `unfold`."""
    place = 0
    for i, size in zip(index, dims, strict=True):
        place = place * size + i
    return place


def readable(counts: tuple[int, int]) -> bool:
    """Whether a tile of so many elements has its numbers written out."""
    return counts[0] <= MOST_TEXTS[0] and counts[1] <= MOST_TEXTS[1]


def levels_of(shape: tuple[int, int]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Elements a cell, and the most cells, down and across, of each zoom."""
    many = (MOST_CELLS, MOST_CELLS)
    per_cell = (-(-shape[0] // MOST_CELLS), -(-shape[1] // MOST_CELLS))
    levels: list[tuple[tuple[int, int], tuple[int, int]]] = [(per_cell, many)]
    while per_cell != (1, 1):
        per_cell = (-(-per_cell[0] // ZOOM), -(-per_cell[1] // ZOOM))
        levels.append((per_cell, many))
    if not readable((min(shape[0], MOST_CELLS), min(shape[1], MOST_CELLS))):
        levels.append(((1, 1), MOST_TEXTS))
    return levels


def start_of(wanted: int, size: int, per_cell: int, count: int) -> int:
    """The first element of a tile, near the wanted one: on the grid of the cells, and so that the tile is full."""
    last = max(-(-size // per_cell) - count, 0) * per_cell
    return min(max(wanted // per_cell * per_cell, 0), last)


def index_of(name: str, text: str, dims: tuple[int, ...]) -> tuple[int, ...]:
    """The index that a person wrote. Raises AddressError."""
    bare = text.strip().removeprefix(name).strip().removeprefix("[").removesuffix("]").strip(" ,")
    if not re.fullmatch(r"-?\d+(?:[\s,]+-?\d+)*", bare):
        raise AddressError(f"{text!r} is no index of {name!r}, whose shape is {dims}: expected {_example(dims)}.")
    found = tuple(int(each) for each in re.split(r"[\s,]+", bare))
    if len(found) == 1 and len(dims) != 1:
        count = math.prod(dims)
        if not -count <= found[0] < count:
            raise AddressError(f"no element {found[0]} in {name!r}: its shape is {dims}, elements run 0–{count - 1:,}.")
        return unfold(found[0] % count, dims)
    if len(found) != len(dims):
        raise AddressError(f"no element {text!r} in {name!r}: its shape is {dims}; expected {_example(dims)}.")
    for place, (i, size) in enumerate(zip(found, dims, strict=True)):
        if not -size <= i < size:
            raise AddressError(
                f"no element [{bare}] in {name!r}: its shape is {dims}, index {place} runs 0–{size - 1:,}."
            )
    return tuple(i % size for i, size in zip(found, dims, strict=True))


def _example(dims: tuple[int, ...]) -> str:
    indices = ",".join(str(size - 1) for size in dims)
    flat = f"a number from 0 to {math.prod(dims) - 1:,}"
    return flat if len(dims) < 2 else f"{len(dims)} numbers such as {indices}, or {flat}"
