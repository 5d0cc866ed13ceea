"""Largest of windows, and back to it (aten/src/ATen/native/cpu/MaxPoolKernel.cpp, AdaptiveMaxPoolKernel.cpp,
FractionalMaxPool2d.cpp). The first of equals is taken, and a NaN before any number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Case, Expr, Num
from whygrad.rules.movement import ints
from whygrad.rules.movement_maps import content
from whygrad.rules.movement_sums import flat, meeting, running_sum
from whygrad.rules.pooling_windows import adaptive, fractional, grid, maximum, sliding
from whygrad.rules.registry import rule

Array = np.ndarray[Any, Any]
Windows = Callable[[OpCall, Index], list[range]]


def _largest(c: OpCall, i: Index, rank: int, windows: Windows) -> tuple[Index, int]:
    """The element that was taken, and its place in the plane."""
    x = c.t(0)
    elements = grid(i[:-rank], windows(c, i))
    numbers = content(x)[tuple(elements.T)]
    if numbers.dtype.kind not in "biu":
        numbers = numbers.astype(np.float64)
        missing = np.flatnonzero(np.isnan(numbers))
        at = int(missing[-1]) if len(missing) else int(np.argmax(numbers))
    else:
        at = int(np.argmax(numbers))
    index = tuple(int(k) for k in elements[at])
    return index, flat(index[-rank:], x.shape[-rank:])


def _pool(names: tuple[str, ...], rank: int, windows: Windows) -> None:
    def value(c: OpCall, i: Index) -> Expr:
        """`y = max x` over a window."""
        index, _ = _largest(c, i, rank, windows)
        return Case("it is the largest of its window", c.t(0)[index], "another element")

    def place(c: OpCall, i: Index) -> Expr:
        """Where in its plane the largest of the window stands."""
        index, at = _largest(c, i, rank, windows)
        c.t(0)[index]
        return Case("the largest of the window is there", Num(float(at)), "another place")

    rule(*(f"aten.{name}" for name in names))(value)
    rule(*(f"aten.{name}" for name in names), output=1)(place)


def _sliding(rank: int) -> Windows:
    def windows(c: OpCall, i: Index) -> list[range]:
        pool, sizes = maximum(c, rank, 1), c.t(0).shape[-rank:]
        return [sliding(pool, d, k, sizes[d]) for d, k in enumerate(i[-rank:])]

    return windows


def _adaptive(rank: int) -> Windows:
    def windows(c: OpCall, i: Index) -> list[range]:
        sizes, out = c.t(0).shape[-rank:], c.out().shape[-rank:]
        return [adaptive(k, out[d], sizes[d]) for d, k in enumerate(i[-rank:])]

    return windows


def _fractional(rank: int) -> Windows:
    def windows(c: OpCall, i: Index) -> list[range]:
        x, kernel, samples = c.t(0), ints(c.arg(1)), c.t(3)
        lead = i[:-rank] if len(i) == rank + 2 else (0, *i[:-rank])
        out = c.out().shape[-rank:]
        drawn = content(samples)[lead[: len(samples.shape) - 1]]
        c.t(3)[(*lead, 0)]
        # In two dimensions the first sample is the width's.
        order = (1, 0) if rank == 2 else (0, 1, 2)
        return [
            fractional(drawn[order[d]], k, out[d], x.shape[len(x.shape) - rank + d], kernel[d])
            for d, k in enumerate(i[-rank:])
        ]

    return windows


def _targets(c: OpCall, indices: Array, rank: int) -> Array:
    """For every element of g the place in the result: its plane's, and in it what the index says."""
    shape = c.out().shape
    planes = int(np.prod(shape[:-rank], dtype=np.int64))
    size = int(np.prod(shape[-rank:], dtype=np.int64))
    lead = np.arange(planes).reshape(*shape[:-rank], *(1,) * rank) * size
    return indices.astype(np.int64) + lead


def _backward(name: str, rank: int) -> None:
    def function(c: OpCall, i: Index) -> Expr:
        """`∂x = Σ g` over the windows whose largest element it is."""
        g, shape = c.t(0), c.out().shape
        indices = c.t(len(c.op.args) - 1, "indices")
        hits = meeting(c, "windows", lambda: _targets(c, content(indices), rank), flat(i, shape))
        return running_sum(g, hits, none="it is the largest of no window")

    function.__name__ = function.__qualname__ = name
    rule(f"aten.{name}", rounds="either")(function)


for _rank in (2, 3):
    _pool((f"max_pool{_rank}d_with_indices",), _rank, _sliding(_rank))
    _pool((f"adaptive_max_pool{_rank}d",), _rank, _adaptive(_rank))
    _pool((f"fractional_max_pool{_rank}d",), _rank, _fractional(_rank))
    for _name in ("max_pool{}d_with_indices", "adaptive_max_pool{}d", "fractional_max_pool{}d"):
        _backward(f"{_name.format(_rank)}_backward", _rank)
_pool(("max_pool1d", "max_pool1d_with_indices"), 1, _sliding(1))
_pool(("max_pool2d", "mkldnn_max_pool2d"), 2, _sliding(2))
