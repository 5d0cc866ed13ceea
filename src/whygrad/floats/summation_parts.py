"""Sums in parts: what several threads, or the planes of an image, add up apart.

Sources: aten/src/ATen/native/cpu/layer_norm_kernel.cpp, batch_norm_kernel.cpp, group_norm_kernel.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from whygrad.floats.formats import number_format
from whygrad.floats.rounding import round_to
from whygrad.floats.summation_fma import Floats
from whygrad.floats.summation_terms import Terms, in_turn

__all__ = ["parts_sum", "planes_sum", "stored_chain"]


def parts_sum(size: int, wide: bool, terms: Terms, part: Callable[[Terms], Floats]) -> Floats:
    """Parts of `size` terms, each summed by `part`, added one after the other onto zero (in double where `wide`)."""
    total = np.zeros(terms.sums, np.float64) if wide else terms.zeros()
    for at in range(0, len(terms), max(size, 1)):
        total = total + part(terms[at : at + size])
    return total


def stored_chain(terms: Terms, stored: Literal["float16", "bfloat16"]) -> Floats:
    """One running sum from zero that is kept in 16 bits: rounded after every addition."""
    fmt, total = number_format(stored), terms.zeros()
    for k in range(len(terms)):
        reached = terms[k : k + 1].chain(total)
        total = np.array([round_to(x, fmt) for x in reached.tolist()], terms.dtype)
    return total


def planes_sum(size: int, width: int, multiple: int, fused_rest: bool, terms: Terms) -> Floats:
    """See `Planes`."""
    whole = size // multiple * multiple
    place = np.arange(len(terms)) % size
    lanes = in_turn(terms[np.flatnonzero(place < whole)].lanes(width))
    rest = terms[np.flatnonzero(place >= whole)]
    if rest.b is not None and not fused_rest:
        rest = Terms(rest.a * rest.b, None)
    return rest.chain() + lanes
