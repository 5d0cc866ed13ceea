"""A tensor to look at: tiles of cells, the elements largest in size, and where an index leads.

A tensor stands as a matrix: its last dimension across, the others folded down; a vector is one row. Of a parameter of
more than two dimensions (a convolution's weight) the first dimension goes down and the rest across.
"""

from __future__ import annotations

import math
import weakref
from base64 import b64encode
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from whygrad.errors import AddressError
from whygrad.explain.addresses import Naming
from whygrad.trace.model import Step, Value
from whygrad.trace.store import Trace
from whygrad.view.blocks import Keys, Read, block_maxima, keys_of, largest_keys, numbers_of
from whygrad.view.matrices import Matrix, fold, folding, index_of, levels_of, readable, start_of
from whygrad.view.numbers import about, number, typographic

__all__ = ["Recorded", "Tiles", "goto", "tile", "top"]

Array = np.ndarray[Any, Any]
_REMEMBERED = 32
_EARLIER = ("before", "state_before")
_WHAT = ("value", "grad", "update")


class Recorded(Protocol):
    """What has a trace: a Run, an Explainer (with which numbers that were let go are computed again)."""

    @property
    def trace(self) -> Trace:
        """The recorded data."""
        ...


@dataclass(frozen=True)
class Whole:
    """A matrix at a glance: the largest key of each block, the largest finite key, the places of the largest elements."""

    matrix: Matrix
    cells: Array
    per_cell: tuple[int, int]
    largest: int
    top: tuple[tuple[int, int], ...]


class Tiles:
    """Looks at the tensors of one run; remembers what it found of whole tensors, the latest ones."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._naming: dict[int, tuple[Step, Naming]] = {}
        self._wholes: dict[tuple[str, str, int], tuple[Step, Whole]] = {}

    def tile(self, name: str, what: str, step: int, row: int, column: int, zoom: int, k: int = 10) -> dict[str, Any]:
        """A `Tile` of the page: its first cell holds element (`row`, `column`), or as near to it as the tensor allows.
        `zoom` 0 is the whole tensor; each deeper zoom has fewer elements a cell, the deepest one a cell, with texts.

        Raises AddressError (no such tensor), StepNotKept, ValueDropped.
        """
        whole = self._whole(name, what, step)
        matrix = whole.matrix
        levels = levels_of(matrix.shape)
        per_cell, most = levels[min(max(zoom, 0), len(levels) - 1)]
        counts = (
            min(-(-matrix.shape[0] // per_cell[0]), most[0]),
            min(-(-matrix.shape[1] // per_cell[1]), most[1]),
        )
        first = (
            start_of(row, matrix.shape[0], per_cell[0], counts[0]),
            start_of(column, matrix.shape[1], per_cell[1], counts[1]),
        )
        cells = whole.cells if per_cell == whole.per_cell else self._cells(matrix, first, per_cell, counts)
        if per_cell == whole.per_cell:
            at = first[0] // per_cell[0], first[1] // per_cell[1]
            cells = cells[at[0] : at[0] + counts[0], at[1] : at[1] + counts[1]]
        return {
            "name": name,
            "what": what,
            "step": step,
            "shape": list(matrix.shape),
            "dims": list(matrix.dims),
            "row": first[0],
            "column": first[1],
            "perCell": list(per_cell),
            "rows": counts[0],
            "columns": counts[1],
            "cells": b64encode(_colours(cells, whole).tobytes()).decode(),
            "scale": _scale(whole),
            "texts": _texts(matrix, first, counts) if per_cell == (1, 1) and readable(counts) else None,
            "addresses": matrix.pattern(),
            "fold": [list(dims) for dims in matrix.fold],
            "top": self._top(whole)[:k],
            "zoom": min(max(zoom, 0), len(levels) - 1),
            "deepest": len(levels) - 1,
            "note": _note(matrix, whole),
        }

    def top(self, name: str, what: str, step: int, k: int = 10) -> list[dict[str, str]]:
        """The elements largest in size, not finite ones first: `{"address": …, "value": …}`. Of an update, its size."""
        return self._top(self._whole(name, what, step))[:k]

    def goto(self, name: str, index: str, what: str = "value", step: int | None = None) -> dict[str, Any]:
        """Where an element is: `index` is "3,17", "[3,17]", or one number that counts through all of them.

        Raises AddressError, which names the shape and the range.
        """
        number_of = self._last() if step is None else step
        matrix = self._matrix(name, what, number_of)
        numbers = index_of(name, index, matrix.dims)
        down = len(matrix.fold[0])
        row, column = fold(numbers[:down], matrix.fold[0]), fold(numbers[down:], matrix.fold[1])
        return {"address": matrix.address(row, column), "row": row, "column": column}

    # ---- how

    def _last(self) -> int:
        kept = [info.number for info in self._trace.index if info.kept]
        if not kept:
            raise AddressError("no step of this run was kept, so no tensor can be looked at; record with --steps all.")
        return kept[-1]

    def naming(self, number: int) -> Naming:
        """Names of a step's tensors. Raises StepNotKept."""
        step = self._trace.step(number)
        known = self._naming.get(number)
        if known is None or known[0] is not step:
            known = self._naming[number] = (step, Naming(step))
        return known[1]

    def _matrix(self, name: str, what: str, number: int) -> Matrix:
        if what not in _WHAT:
            raise AddressError(f"no look {what!r} at a tensor: expected value, grad or update.")
        naming = self.naming(number)
        step = naming.step
        names = naming.by_text.get((name, what == "grad"), ())
        after = next((step.values[n.value] for n in names if n.kind not in _EARLIER), None)
        if after is None:
            what_of = f"{name}.grad" if what == "grad" else name
            raise AddressError(f"no tensor {what_of!r} in step {number}.")
        before = None
        if what == "update":
            earlier = next((step.values[n.value] for n in names if n.kind == "before"), None)
            if earlier is None or earlier.shape != after.shape:
                raise AddressError(f"{name!r} is no parameter: step {number} has no update of it.")
            before = self._content(step, earlier)
        dims = after.shape[:-1] if after.is_complex else after.shape
        if 0 in dims:
            raise AddressError(f"{name!r} has shape {dims}: no element to look at.")
        fold = folding(dims, any(n.kind in ("parameter", "before") for n in naming.by_text.get((name, False), ())))
        shape = math.prod(fold[0]), math.prod(fold[1])
        data = self._content(step, after)
        keys = keys_of(after.dtype)
        if before is not None:
            keys = keys_of("float64" if keys.bits > 32 or data.dtype.kind in "iub" else "float32")
            before = before.reshape(shape)
        part = ".real" if after.is_complex else ""
        return Matrix(name, what, number, dims, shape, fold, data.reshape(shape), before, after.dtype, keys, part)

    def _content(self, step: Step, value: Value) -> Array:
        content = self._trace.content(step, value)
        return content[..., 0] if value.is_complex else content

    def _whole(self, name: str, what: str, number: int) -> Whole:
        step, key = self._trace.step(number), (name, what, number)
        known = self._wholes.pop(key, None)
        if known is None or known[0] is not step:
            matrix = self._matrix(name, what, number)
            per_cell, _ = levels_of(matrix.shape)[0]
            cells, largest = block_maxima(matrix.read, matrix.shape, per_cell, matrix.keys)
            known = (step, Whole(matrix, cells, per_cell, largest, _largest(matrix, cells, per_cell)))
        self._wholes[key] = known
        if len(self._wholes) > _REMEMBERED:
            del self._wholes[next(iter(self._wholes))]
        return known[1]

    def _cells(
        self, matrix: Matrix, first: tuple[int, int], per_cell: tuple[int, int], counts: tuple[int, int]
    ) -> Array:
        high = min(counts[0] * per_cell[0], matrix.shape[0] - first[0])
        wide = min(counts[1] * per_cell[1], matrix.shape[1] - first[1])
        return block_maxima(_part(matrix, first), (high, wide), per_cell, matrix.keys)[0]

    def _top(self, whole: Whole) -> list[dict[str, str]]:
        matrix = whole.matrix
        return [
            {
                "address": matrix.address(row, column),
                "value": matrix.text(row, column) if matrix.before is None else _update_text(matrix, row, column),
            }
            for row, column in whole.top
        ]


# ---- what is shown of it


def _largest(matrix: Matrix, cells: Array, per_cell: tuple[int, int], k: int = 10) -> tuple[tuple[int, int], ...]:
    """Rows and columns of the elements largest in size. The first k of them lie in the k cells with the largest maxima, and
    none of them is smaller than the smallest of these maxima."""
    flat = cells.reshape(-1)
    few = np.argsort(~flat, kind="stable")[:k]  # of equal ones the first
    least = max(int(flat[few[-1]]), 1) if len(few) == k else 1
    found: list[tuple[int, int, int]] = []
    for cell in few.tolist():
        if flat[cell] == 0:
            continue
        row, column = (cell // cells.shape[1]) * per_cell[0], (cell % cells.shape[1]) * per_cell[1]
        size = min(per_cell[0], matrix.shape[0] - row), min(per_cell[1], matrix.shape[1] - column)
        inside = largest_keys(_part(matrix, (row, column)), size, least, k, matrix.keys)
        found += [(key, row + r, column + c) for key, r, c in inside]
    found.sort(key=lambda each: (-each[0], each[1], each[2]))
    return tuple((row, column) for key, row, column in found[:k] if key)


def _part(matrix: Matrix, first: tuple[int, int]) -> Read:
    """Windows of a matrix, counted from the element `first`."""
    return lambda rows, columns: matrix.read(
        slice(first[0] + rows.start, first[0] + rows.stop),
        slice(first[1] + columns.start, first[1] + columns.stop),
    )


def _colours(cells: Array, whole: Whole) -> Array:
    """Colours: −127 … 127 of the largest finite size, at least ±1 for what is not 0; −128 for what is not finite."""
    keys = whole.matrix.keys
    numbers, largest = numbers_of(cells, keys), abs(float(numbers_of(_key_array(whole.largest, keys), keys)[0]))
    finite = cells < _key_array(keys.limit, keys)[0]
    with np.errstate(all="ignore"):
        scaled = np.where(finite & (largest > 0), numbers / (largest or 1.0), 0.0) * 127
        away = np.copysign(np.maximum(np.abs(np.rint(scaled)), numbers != 0), numbers)
    return np.where(finite, np.clip(away, -127, 127), -128).astype(np.int8)


def _key_array(key: int, keys: Keys) -> Array:
    return np.array([key], dtype=f"uint{keys.bits}")


def _scale(whole: Whole) -> str:
    """The largest finite size."""
    keys = whole.matrix.keys
    size = abs(float(numbers_of(_key_array(whole.largest, keys), keys)[0]))
    if whole.matrix.before is not None:
        return about(size)
    integer = whole.matrix.data.dtype.kind in "iub"
    return number(int(size) if integer else size, whole.matrix.format)


def _texts(matrix: Matrix, first: tuple[int, int], counts: tuple[int, int]) -> list[str]:
    return [matrix.text(first[0] + r, first[1] + c) for r in range(counts[0]) for c in range(counts[1])]


def _update_text(matrix: Matrix, row: int, column: int) -> str:
    """after − before of an element, exactly, then to a few digits (≈ where cut)."""
    assert matrix.before is not None
    after, before = (float(each[row, column].item()) for each in (matrix.data, matrix.before))
    if not (math.isfinite(after) and math.isfinite(before)):
        return f"{typographic(number(before, matrix.format))} → {typographic(number(after, matrix.format))}"
    return about(float(Fraction(after) - Fraction(before)))


def _note(matrix: Matrix, whole: Whole) -> str:
    if matrix.part:
        return f"The real parts; the imaginary ones go by {matrix.name}[…].imag."
    if matrix.what == "update" and whole.largest == 0 and not whole.top:
        return "No element moved in this step."
    return ""


# ---- for those that hold no Tiles of their own

_known: dict[int, tuple[weakref.ref[Trace], Tiles]] = {}


def tiles_of(run: Recorded) -> Tiles:
    """The Tiles of a run, the same one each time."""
    trace = run.trace
    known = _known.get(id(trace))
    if known is None or known[0]() is not trace:
        if len(_known) > 8:
            _known.clear()
        known = _known[id(trace)] = (weakref.ref(trace), Tiles(trace))
    return known[1]


def tile(run: Recorded, name: str, what: str, step: int, row: int, column: int, zoom: int) -> dict[str, Any]:
    """See `Tiles.tile`."""
    return tiles_of(run).tile(name, what, step, row, column, zoom)


def top(run: Recorded, name: str, what: str, step: int, k: int = 10) -> list[dict[str, str]]:
    """See `Tiles.top`."""
    return tiles_of(run).top(name, what, step, k)


def goto(run: Recorded, name: str, index: str, what: str = "value", step: int | None = None) -> dict[str, Any]:
    """See `Tiles.goto`."""
    return tiles_of(run).goto(name, index, what, step)
