"""Histograms: how many numbers, or how much weight, each bin has (aten/src/ATen/native/Histogram.cpp,
cpu/HistogramKernel.cpp). Numbers outside of the edges are in no bin; the last bin holds its upper edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.floats import fma, number_format, round_to
from whygrad.floats.summation import Chain, Order
from whygrad.rules.activations import add, div, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Case, Dot, Expr, Fma, Neg, Num
from whygrad.rules.movement_maps import content
from whygrad.rules.registry import EVERY, rule

Array = np.ndarray[Any, Any]
_IN_TURN = (Order(Chain()),)


@dataclass(frozen=True)
class _End:
    """Where the first bin begins, or the last one ends: a number of the program, or an element of x, moved by a half where
    all elements are alike."""

    value: float
    at: Index | None
    moved: float = 0.0

    def expr(self, x: Operand) -> Expr:
        if self.at is None:
            return Num(self.value)
        return add(x[self.at], Num(self.moved)) if self.moved else x[self.at]


def _ends(c: OpCall, dim: int, dims: int) -> tuple[_End, _End]:
    given = c.arg(-1, "range")
    if isinstance(given, tuple):
        low, high = (float(str(given[2 * dim + k])) for k in (0, 1))
        return _End(low, None), _End(high, None)
    x = c.t(0)
    numbers = content(x).reshape(-1, dims)[:, dim].astype(np.float64)
    if not len(numbers):
        return _End(0.0, None), _End(1.0, None)
    places = [
        np.unravel_index(int(k) * dims + dim, x.shape) if x.shape else () for k in (numbers.argmin(), numbers.argmax())
    ]
    low, high = float(numbers.min()), float(numbers.max())
    half = 0.5 if low == high else 0.0
    first, last = (tuple(int(k) for k in place) for place in places)
    return _End(low - half, first, -half), _End(high + half, last, half)


def _spaced(low: float, high: float, bins: int, dtype: str) -> Array:
    """The bins' edges, as `linspace` makes them."""
    w = number_format(dtype)
    low, high = round_to(low, w), round_to(high, w)
    step = round_to(round_to(high - low, w) / bins, w)
    found = [
        fma(step, k, low, w) if k < (bins + 1) // 2 else fma(-step, bins - k, high, w)
        for k in map(float, range(bins + 1))
    ]
    return np.array(found)


def _counts(c: OpCall) -> tuple[int, ...]:
    """Of `…bin_ct(s)`: how many bins each dimension has."""
    bins = c.arg(1, "bins", 100)
    return tuple(int(str(each)) for each in bins) if isinstance(bins, tuple) else (int(str(bins)),)


def _edges(c: OpCall) -> list[Array]:
    """The edges of the bins, by dimension."""
    if c.op.name.endswith(("bins_tensor", "bin_tensors.default")):
        return [content(each).astype(np.float64) for each in c.each(1)]
    counts = _counts(c)
    ends = [_ends(c, dim, len(counts)) for dim in range(len(counts))]
    return [_spaced(low.value, high.value, bins, c.t(0).dtype) for (low, high), bins in zip(ends, counts, strict=True)]


def _members(c: OpCall, i: Index, edges: list[Array]) -> tuple[Array, Array]:
    """Which points lie in bin i, and which lie in any."""
    points = content(c.t(0)).reshape(-1, len(edges)).astype(np.float64)
    here, inside = np.ones(len(points), bool), np.ones(len(points), bool)
    for dim, row in enumerate(edges):
        place = np.minimum(np.searchsorted(row, points[:, dim], side="right") - 1, len(row) - 2)
        inside &= (points[:, dim] >= row[0]) & (points[:, dim] <= row[-1])
        here &= place == i[dim]
    return np.flatnonzero(here & inside), np.flatnonzero(inside)


def _weights(c: OpCall, which: Array) -> Expr:
    weight = c.t(-1, "weight")
    rows = np.stack(np.unravel_index(which, weight.shape), axis=1) if weight.shape else np.zeros((len(which), 0), int)
    return Dot(weight.at(rows), orders=_IN_TURN)


@rule("aten.histogram", "aten._histogramdd_from_bin_cts", "aten._histogramdd_from_bin_tensors")
def histogram(c: OpCall, i: Index) -> Expr:
    """`hᵢ`: how many points lie in bin i, or the sum of their weights; as a density over that of all bins and over the size
    of the bin."""
    edges = _edges(c)
    here, inside = _members(c, i, edges)
    weighted = c.arg(-1, "weight") is not None
    if weighted:
        total = _weights(c, here) if len(here) else Case("no point lies in the bin", Num(0), "Σ weight")
    else:
        total = Case("so many points lie in the bin", Num(float(len(here))), "another count")
    if not c.arg(-1, "density", False):
        return total
    total = div(total, _weights(c, inside) if weighted and len(inside) else Num(float(len(inside)), "n"))
    w = number_format(c.t(0).dtype)
    for dim, k in enumerate(i):
        total = div(total, Num(round_to(float(edges[dim][k + 1] - edges[dim][k]), w), "width"))
    return total


def _edge(c: OpCall, k: int, dim: int, counts: tuple[int, ...]) -> Expr:
    x, bins = c.t(0), counts[dim]
    low, high = (end.expr(x) for end in _ends(c, dim, len(counts)))
    step = div(sub(high, low), Num(float(bins), "bins"))
    if k < (bins + 1) // 2:
        return low if k == 0 else Fma(step, Num(float(k)), low)
    return high if k == bins else Fma(Neg(step), Num(float(bins - k)), high)


@rule("aten.histogram.bins_tensor", output=1)
def given_edges(c: OpCall, i: Index) -> Expr:
    """The edges that were given."""
    return c.t(1)[i]


@rule("aten.histogram.bin_ct", output=1)
def histogram_edges(c: OpCall, i: Index) -> Expr:
    """`low + k·(high − low)/bins`, counted from the end in the second half (native/cpu/RangeFactoriesKernel.cpp)."""
    return _edge(c, i[0], 0, _counts(c))


@rule("aten._histogramdd_bin_edges", output=EVERY)
def histogramdd_edges(c: OpCall, i: Index) -> Expr:
    """The same, in each dimension."""
    return _edge(c, i[0], c.output, _counts(c))
