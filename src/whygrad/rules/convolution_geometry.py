"""Where a convolution's numbers meet: which elements of input, weight and output are multiplied, as index arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.rules.call import Index, OpCall
from whygrad.trace.model import Arg

Array = np.ndarray[Any, Any]

__all__ = ["Geometry", "geometry", "paired"]


@dataclass(frozen=True)
class Geometry:
    """How a window moves, one entry a spatial dimension: output place p and tap k meet input place
    `p·stride + k·dilation - padding`. A transposed convolution exchanges input and output."""

    stride: Index
    padding: Index
    dilation: Index
    transposed: bool
    groups: int

    def gathered(self, at: Index, kernel: Index, size: Index) -> tuple[Array, Array]:
        """The taps of the window at place `at`, and where they lie in what the window looks at, of shape `size`: two
        (taps, dims) arrays in row-major order of the taps. Taps on the padding are left out: they add exact zeros."""
        pairs = [self._window(d, at[d], np.arange(kernel[d]), size[d]) for d in range(len(at))]
        return _grid([taps for taps, _ in pairs]), _grid([places for _, places in pairs])

    def scattered(self, at: Index, kernel: Index, size: Index) -> tuple[Array, Array]:
        """The taps through which place `at` is seen, and the places, below `size`, of the windows that see it."""
        pairs = [self._seen(d, at[d], kernel[d], size[d]) for d in range(len(at))]
        return _grid([taps for taps, _ in pairs]), _grid([places for _, places in pairs])

    def moved(self, tap: Index, windows: Index, size: Index) -> tuple[Array, Array]:
        """All places, below `windows`, of a window, and what its tap `tap` sees there, below `size`."""
        found: list[tuple[Array, Array]] = []
        for d, k in enumerate(tap):
            places = np.arange(windows[d])
            seen = places * self.stride[d] + k * self.dilation[d] - self.padding[d]
            kept = (seen >= 0) & (seen < size[d])
            found.append((places[kept], seen[kept]))
        return _grid([places for places, _ in found]), _grid([seen for _, seen in found])

    def _window(self, d: int, at: int, taps: Array, size: int) -> tuple[Array, Array]:
        places = at * self.stride[d] + taps * self.dilation[d] - self.padding[d]
        kept = (places >= 0) & (places < size)
        return taps[kept], places[kept]

    def _seen(self, d: int, at: int, kernel: int, size: int) -> tuple[Array, Array]:
        taps = np.arange(kernel)
        steps = at + self.padding[d] - taps * self.dilation[d]
        kept = (steps % self.stride[d] == 0) & (steps >= 0) & (steps < size * self.stride[d])
        return taps[kept], steps[kept] // self.stride[d]


def geometry(c: OpCall, first: int, dims: int) -> Geometry:
    """The geometry of `aten.convolution` and its backward, whose arguments stride, padding, dilation, transposed,
    output_padding and groups begin at position `first`."""

    def each(position: int) -> Index:
        return _sizes(c.arg(position), dims)

    return Geometry(each(first), each(first + 1), each(first + 2), bool(c.arg(first + 3)), c.integer(first + 5))


def _sizes(arg: Arg, dims: int) -> Index:
    """One number a dimension; a single one stands for all."""
    given = arg if isinstance(arg, tuple) else (arg,)
    sizes = tuple(n for n in given if isinstance(n, int))
    return sizes * dims if len(sizes) == 1 else sizes


def _grid(axes: list[Array]) -> Array:
    """The cartesian product of 1-d arrays: (product of lengths, axes), the last axis fastest."""
    meshed = np.meshgrid(*axes, indexing="ij")
    return np.stack([each.reshape(-1) for each in meshed], axis=1).astype(np.int64)


def paired(outer: Array, inner: Array) -> tuple[Array, Array]:
    """Every row of `outer` with every row of `inner`, the latter fastest: (rows, …) and (rows, …)."""
    return np.repeat(outer, len(inner), axis=0), np.tile(inner, (len(outer), 1))
