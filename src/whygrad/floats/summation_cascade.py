"""PyTorch's cascade sums: running sums in a few levels, so that errors grow with the logarithm of the length.

Sources: aten/src/ATen/native/cpu/SumKernel.cpp (multi_row_sum, row_sum, vectorized_inner_sum,
scalar_inner_sum, vectorized_outer_sum, scalar_outer_sum) and aten/src/ATen/native/LossNLL.cpp
(nll_loss_out_frame).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from whygrad.floats.arrays import round_array
from whygrad.floats.formats import number_format
from whygrad.floats.summation_fma import Floats
from whygrad.floats.summation_terms import Terms, in_turn

__all__ = ["GRAIN", "Cascade", "NllCascade", "cascade_sum", "nll_sum"]

GRAIN = 32768  # at::internal::GRAIN_SIZE
_LEVELS = 4
_NLL_LEVELS = 8


@dataclass(frozen=True)
class Cascade:
    """aten.sum of one output element.

    width: lanes of the vectorised inner sum; 1: the terms are not contiguous, or too few. rows: how many
    running sums a lane has (4 interleaved, added in turn at the end; or 1). halves: float16 and bfloat16
    are loaded two vectors at a time and the two added at once. threads: that many may share more than
    `GRAIN` terms, a part each; the parts' sums are stored in `stored` ("" for the accumulator's own dtype),
    and are then summed in the same way.
    """

    width: int = 1
    rows: int = 4
    halves: bool = False
    threads: int = 1
    stored: Literal["", "float16", "bfloat16"] = ""

    @property
    def text(self) -> str:
        """For users."""
        lanes = f"{self.width} lanes × {self.rows}" if self.width > 1 else f"{self.rows} running sums"
        lanes = "one running sum" if (self.width, self.rows) == (1, 1) else lanes
        shared = f", shared by {self.threads} threads" if self.threads > 1 else ""
        return f"cascade of {lanes}{shared}" + (f", their sums in {self.stored}" if self.stored else "")


@dataclass(frozen=True)
class NllCascade:
    """The mean or sum of nll_loss: levels that are emptied into the next when the index is a multiple of
    their size.
    """

    smallest_power: int = 4

    @property
    def text(self) -> str:
        """For users."""
        return "cascade of running sums"


def cascade_sum(pattern: Cascade, terms: Terms) -> Floats:
    """The sum of `terms` as aten.sum does it, shape (sums,)."""
    busy = min(pattern.threads, -(-len(terms) // GRAIN))
    if busy < 2:
        return _inner(pattern, terms)
    size = -(-len(terms) // busy)
    sums = np.zeros((pattern.threads, terms.sums), terms.dtype)  # a thread without work leaves its zero
    for thread, at in enumerate(range(0, len(terms), size)):
        sums[thread] = _inner(pattern, terms[at : at + size])
    if pattern.stored:
        sums = round_array(sums, number_format(pattern.stored)).astype(terms.dtype)
    return _inner(pattern, Terms(sums, None))


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
        last, at = end - 1, end
        if not terms.a[last].any():
            continue  # An ignored target, which is a term of 0, also leaves out what follows a term.
        for level in range(_NLL_LEVELS - 1):
            if last & (mask << (level * power)):
                break
            partial[level + 1] = partial[level + 1] + partial[level]
            partial[level] = terms.zeros()
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
