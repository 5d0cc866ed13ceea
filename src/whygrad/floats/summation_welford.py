"""Welford's update in double over all of a tensor's numbers: the kernel of `var` and `std`.

Sources: aten/src/ATen/native/SharedReduceOps.h (WelfordOps), aten/src/ATen/native/cpu/Reduce.h
(binary_kernel_reduce).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.floats.summation_cascade import GRAIN
from whygrad.floats.summation_fma import Floats

__all__ = ["Welford"]


@dataclass(frozen=True)
class Welford:
    """Mean and sum of squared deviations in double, number by number; from `GRAIN` numbers on, `threads` share them, a part
    each, and the parts are joined."""

    threads: int = 1

    @property
    def text(self) -> str:
        """For users."""
        return "mean and squares by Welford's update in double"

    def results(self, arrays: tuple[Floats, ...], kind: type[np.floating[Any]]) -> tuple[float, float]:
        """Of `arrays[0]`, shape (n,): its mean and the sum of squared deviations from it."""
        row = np.asarray(arrays[0], np.float64).tolist()
        shared = len(row) >= GRAIN and self.threads > 1
        busy = min(self.threads, -(-len(row) // GRAIN)) if shared else 1
        size = max(1, -(-len(row) // busy))
        count, mean, squares = 0, 0.0, 0.0
        for at in range(0, len(row), size):
            added, more_mean, more = _part(row[at : at + size])
            if not count:
                count, mean, squares = added, more_mean, more
                continue
            delta, share = more_mean - mean, added / (count + added)
            squares = squares + more + delta * delta * count * share
            mean, count = mean + delta * share, count + added
        return mean, squares


def _part(row: list[float]) -> tuple[int, float, float]:
    mean = squares = 0.0
    for count, x in enumerate(row, 1):
        delta = x - mean
        mean += delta / count
        squares += delta * (x - mean)
    return len(row), mean, squares
