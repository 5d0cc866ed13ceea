"""Running means and variances, and sums in parts: against plain sums, and against themselves written out."""

from __future__ import annotations

import numpy as np
import pytest

from whygrad.floats.summation import Chain, Order, Parts, Planes, evaluate
from whygrad.floats.summation_moments import RowMoments, TwoPasses
from whygrad.floats.summation_welford import Welford


def numbers(n: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Random float32 numbers around 1."""
    return (np.random.default_rng(n).standard_normal(n) * 2 + 1).astype(np.float32)


@pytest.mark.parametrize("n", [1, 5, 8, 40, 129, 1000, 5000])
@pytest.mark.parametrize("halves", [False, True])
def test_row_moments_are_mean_and_variance(n: int, halves: bool) -> None:
    """Whatever the order, the mathematics is the same."""
    row = numbers(n)
    mean, variance = RowMoments(8, halves).results((row,), np.float32)
    assert mean == pytest.approx(float(np.mean(row, dtype=np.float64)), rel=1e-5, abs=1e-6)
    assert variance == pytest.approx(float(np.var(row, dtype=np.float64)), rel=1e-5)
    assert (mean, variance) == tuple(map(float, map(np.float32, (mean, variance))))


def test_row_moments_differ_by_width() -> None:
    """The number of lanes decides the last bits: it is no detail."""
    found = {RowMoments(width).results((numbers(1000),), np.float32) for width in (4, 8, 16)}
    assert len(found) > 1


def test_two_passes_keep_the_mean() -> None:
    """The mean that is subtracted is not rounded to 16 bits."""
    row = numbers(100)
    mean, squares = TwoPasses(Order(Chain())).results((row,), np.float32)
    total = np.add.accumulate(np.concatenate([[np.float32(0)], row]))[-1]
    assert mean == total / np.float32(100)
    deviations = row - np.float32(mean)
    assert squares == np.add.accumulate(np.concatenate([[np.float32(0)], deviations * deviations]))[-1]


def test_welford_in_threads() -> None:
    """Threads share a long row; the parts are joined."""
    row = numbers(70000).astype(np.float64)
    alone, shared = (Welford(threads).results((row,), np.float64) for threads in (1, 3))
    assert alone != shared
    assert shared == pytest.approx(alone, rel=1e-9)


def test_parts() -> None:
    """Each part from zero, then the parts; in double where they are wide; rounded to 16 bits at each step where stored."""
    row = numbers(10)
    parts = [evaluate(Order(Chain()), row[at : at + 4]) for at in (0, 4, 8)]
    assert evaluate(Order(Parts(4, wide=True)), row) == sum(parts)
    assert evaluate(Order(Parts(4)), row) == np.float32(np.float32(parts[0] + parts[1]) + parts[2])
    assert evaluate(Order(Parts(10, stored="bfloat16")), np.array([256.0, 1.0, 1.0], np.float32)) == 256.0


def test_planes() -> None:
    """Lanes run on from plane to plane; what is left over of each has a sum of its own."""
    row = numbers(10)
    a, b = row[:5], row[5:]
    lanes = [np.float32(a[j] + a[j + 2]) for j in (0, 1)]
    lanes = [np.float32(np.float32(lanes[j] + b[j]) + b[j + 2]) for j in (0, 1)]
    expected = np.float32(np.float32(a[4] + b[4]) + np.float32(lanes[0] + lanes[1]))
    assert evaluate(Order(Planes(5, 2, 4)), row) == expected
