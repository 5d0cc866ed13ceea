"""PyTorch's cascade sums: running sums in a few levels, so that errors grow with the logarithm of the length.

Sources: aten/src/ATen/native/cpu/SumKernel.cpp (multi_row_sum, row_sum, vectorized_inner_sum, scalar_inner_sum,
vectorized_outer_sum, scalar_outer_sum) and aten/src/ATen/native/LossNLL.cpp (nll_loss_out_frame).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whygrad.floats.summation_fma import Floats
from whygrad.floats.summation_terms import Terms, in_turn

__all__ = ["Cascade", "NllCascade", "cascade_sum", "nll_sum"]

_LEVELS = 4
_NLL_LEVELS = 8


@dataclass(frozen=True)
class Cascade:
    """aten.sum of one output element.

    width: lanes of the vectorised inner sum; 1: the terms are not contiguous, or too few. rows: how many running
    sums a lane has (4 interleaved, added in turn at the end; or 1). halves: float16 and bfloat16 are
    loaded two vectors at a time and the two added at once.
    parts: contiguous parts of the terms, each summed so, the parts then added in turn.
    """

    width: int = 1
    rows: int = 4
    halves: bool = False
    parts: int = 1

    @property
    def text(self) -> str:
        """For users."""
        lanes = f"{self.width} lanes × {self.rows}" if self.width > 1 else f"{self.rows} running sums"
        lanes = "one running sum" if (self.width, self.rows) == (1, 1) else lanes
        return f"cascade of {lanes}" + (f", in {self.parts} parts" if self.parts > 1 else "")


@dataclass(frozen=True)
class NllCascade:
    """The mean or sum of nll_loss: levels that are emptied into the next when the index is a multiple of their size."""

    smallest_power: int = 4

    @property
    def text(self) -> str:
        """For users."""
        return "cascade of running sums"


def cascade_sum(pattern: Cascade, terms: Terms) -> Floats:
    """The sum of `terms` as aten.sum does it, shape (sums,)."""
    if pattern.parts > 1:
        size = -(-len(terms) // pattern.parts)
        parts = [_inner(pattern, terms[at : at + size]) for at in range(0, len(terms), size)]
        return in_turn(np.stack([terms.zeros(), *parts]))
    return _inner(pattern, terms)


def nll_sum(pattern: NllCascade, terms: Terms) -> Floats:
    """The running sums of nll_loss, shape (sums,)."""
    power = max(pattern.smallest_power, _ceil_log2(len(terms)) // _NLL_LEVELS)
    mask = (1 << power) - 1
    partial = [terms.zeros() for _ in range(_NLL_LEVELS)]
    at = 0
    while at < len(terms):
        # Level 0 runs on to the next index that is a multiple of its size, inclusive.
        end = min(at + (-at % (mask + 1)) + 1, len(terms))
        partial[0] = terms[at:end].chain(partial[0])
        last = end - 1
        for level in range(_NLL_LEVELS - 1):
            if last & (mask << (level * power)):
                break
            partial[level + 1] = partial[level + 1] + partial[level]
            partial[level] = terms.zeros()
        at = end
    return in_turn(np.stack([terms.zeros(), *partial]))


def _inner(pattern: Cascade, terms: Terms) -> Floats:
    memory_width = pattern.width * (2 if pattern.halves else 1)
    if pattern.width == 1 or len(terms) < memory_width:
        return _row_sum(terms, pattern.rows)
    whole = len(terms) // memory_width * memory_width
    vectors = Terms(terms.a[:whole].reshape(-1, memory_width * terms.sums), None)
    if pattern.halves:
        pairs = vectors.a.reshape(-1, 2, pattern.width * terms.sums)
        vectors = Terms(pairs[:, 0] + pairs[:, 1], None)
    lanes = _row_sum(vectors, pattern.rows).reshape(pattern.width, terms.sums)
    return in_turn(np.concatenate([terms[whole:].chain()[None], lanes]))


def _row_sum(terms: Terms, rows: int) -> Floats:
    """`rows` interleaved running sums over the terms, what is left into the first, then added in turn."""
    whole = len(terms) // rows * rows
    interleaved = Terms(terms.a[:whole].reshape(-1, rows * terms.sums), None)
    partial = _multi_row_sum(interleaved).reshape(rows, terms.sums)
    partial[0] = terms[whole:].chain(partial[0])
    return in_turn(partial)


def _multi_row_sum(terms: Terms) -> Floats:
    power = max(4, _ceil_log2(len(terms)) // _LEVELS)
    step = 1 << power
    acc = [terms.zeros() for _ in range(_LEVELS)]
    at = 0
    while at + step <= len(terms):
        acc[0] = terms[at : at + step].chain(acc[0])
        at += step
        for level in range(1, _LEVELS):
            acc[level] = acc[level] + acc[level - 1]
            acc[level - 1] = terms.zeros()
            if at & ((step - 1) << (level * power)):
                break
    acc[0] = terms[at:].chain(acc[0])
    return in_turn(np.stack(acc))


def _ceil_log2(n: int) -> int:
    return max(n - 1, 0).bit_length()
