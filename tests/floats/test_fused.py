"""Fused multiply-add: every path against exact fractions."""

import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from whygrad.floats import FORMATS, NumberFormat, fma, fma32, fma_chain32, from_bits, number_format, round_to

FLOAT16, FLOAT32, FLOAT64 = map(number_format, ("half", "single", "double"))
floats32 = st.integers(0, 2**32 - 1).map(lambda bits: from_bits(bits, FLOAT32))
# Few significant bits and near exponents: ties, cancellation and exact results are common among these.
tame = st.builds(lambda n, e: float(np.float32(math.ldexp(n, e))), st.integers(-4096, 4096), st.integers(-30, 30))


def f32(values: object) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def bits64(value: float) -> bytes:
    return struct.pack("<d", math.nan if math.isnan(value) else value)


def bits32(array: np.ndarray) -> list[int]:
    return np.where(np.isnan(array), np.float32(math.nan), array).view(np.uint32).tolist()


@given(st.data(), st.sampled_from(list(FORMATS.values())))
def test_fma_is_one_rounding_of_the_exact_result(data: st.DataObject, fmt: NumberFormat):
    draws = st.integers(0, 2**fmt.bits - 1).map(lambda bits: from_bits(bits, fmt)).filter(math.isfinite)
    a, b, c = (data.draw(draws) for _ in range(3))
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    assert fma(a, b, c, fmt) == round_to(exact, fmt)


@given(st.tuples(*[st.sampled_from([0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan])] * 3))
def test_zeros_and_specials_follow_ieee(operands: tuple[float, float, float]):
    a, b, c = operands
    expected = bits64(a * b + c)  # exact for these, so the same as fused
    assert bits64(fma(a, b, c, FLOAT32)) == expected
    arrays = (f32([x]) for x in operands)
    assert bits64(float(fma32(*arrays)[0])) == expected


@given(st.lists(st.tuples(floats32, floats32, floats32), min_size=1, max_size=20))
def test_fma32_is_fma_on_any_bits(rows: list[tuple[float, float, float]]):
    with np.errstate(invalid="ignore"):
        a, b, c = np.array(rows, dtype=np.float32).T
    expected = np.array([fma(*row, FLOAT32) for row in rows], dtype=np.float32)
    assert bits32(fma32(a, b, c)) == bits32(expected)


@given(st.integers(0, 2**23 - 1), st.integers(-60, 100), st.integers(1, 23), st.sampled_from([1, -1]))
def test_fma32_beside_a_tie(significand: int, exponent: int, depth: int, sign: int):
    """The product is half a step of c, less a 2^-2·depth of it: too little for float64 when depth > 14."""
    c = math.ldexp(2**23 + significand, exponent - 23)
    row = (1 + 2.0**-depth, sign * (1 - 2.0**-depth) * math.ldexp(1.0, exponent - 24), c)
    assert float(fma32(*(f32([x]) for x in row))[0]) == fma(*row, FLOAT32)


def test_two_roundings_would_be_wrong_here():
    """That the test above is not idle: through float64, this becomes a tie and goes to the wrong side."""
    a, b, c = (1 + 2.0**-20) * 2.0**-24, 1 - 2.0**-20, 1 + 2.0**-23
    assert float(np.float32(a * b + c)) == 1 + 2.0**-22
    assert fma(a, b, c, FLOAT32) == c
    assert fma32(f32(a), f32(b), f32(c)) == c


def chain_by_steps(a: np.ndarray, b: np.ndarray, start: float) -> float:
    acc = start
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        acc = fma(x, y, acc, FLOAT32)
    return acc


@given(st.lists(st.tuples(tame, tame), min_size=1, max_size=30), tame)
def test_chain_is_fma_after_fma(steps: list[tuple[float, float]], start: float):
    a, b = np.array(steps, dtype=np.float32).T
    assert float(fma_chain32(a, b, start)) == chain_by_steps(a, b, start)


def test_long_chains_side_by_side():
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal((700, 5)).astype(np.float32) for _ in range(2))
    start = rng.standard_normal(5).astype(np.float32)
    result = fma_chain32(a, b, start)
    assert result.tolist() == [chain_by_steps(a[:, j], b[:, j], float(start[j])) for j in range(5)]
    shared = fma_chain32(a[:, :1], b)  # one row of inputs against many of weights
    assert shared.tolist() == [chain_by_steps(a[:, 0], b[:, j], 0.0) for j in range(5)]
    assert fma_chain32(a[:0], b[:0], start).tolist() == start.tolist()


def test_a_chain_that_two_roundings_lead_astray():
    a = f32([[1 + 2.0**-23, 1.0], [(1 + 2.0**-20) * 2.0**-24, 1.0], [2.0**-30, 1.0]])
    b = f32([[1.0, 1.0], [1 - 2.0**-20, 1.0], [1.0, 1.0]])
    assert fma_chain32(a, b).tolist() == [1 + 2.0**-23, 3.0]
    naive = np.float32(0)
    for x, y in zip(a[:, 0], b[:, 0], strict=True):
        naive = np.float32(float(x) * float(y) + float(naive))
    assert float(naive) != 1 + 2.0**-23


@pytest.mark.parametrize("significand", [2**22 + 1, 2**22 + 2, 2**20 + 1])
def test_a_chain_among_subnormals(significand: int):
    """Among subnormals a float32's last bit stands elsewhere in a float64, and so do the ties."""
    start = math.ldexp(significand, -149)
    a, b = f32([[2.0**-75 * (1 + 2.0**-20)]]), f32([[2.0**-75 * (1 - 2.0**-20)]])
    twice = float(np.float32(float(a[0, 0]) * float(b[0, 0]) + start))
    assert (twice == start) == (significand % 2 == 0)  # where odd, a tie is made of it and taken up
    assert fma_chain32(a, b, f32([start])).tolist() == [start]
    assert fma32(a[0], b[0], f32([start])).tolist() == [start]


def test_overflow_is_silent_infinity():
    big = f32([3e38])
    assert fma32(big, big, big).tolist() == [math.inf]
    assert fma_chain32(big[:, None], f32([[2.0]])).tolist() == [math.inf]
    assert fma(3e38, 2.0, 0.0, FLOAT32) == math.inf
