"""Spacing and steps: against math.ulp, numpy.spacing and torch.nextafter."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whygrad.errors import FormatError
from whygrad.floats import (
    FORMATS,
    NumberFormat,
    from_bits,
    neighbours,
    number_format,
    round_to,
    rounding_error_ulp,
    ulp,
    ulp_array,
    ulp_distance,
)

ALL = list(FORMATS.values())
FLOAT16, FLOAT32, FLOAT64, E4M3 = map(number_format, ("half", "single", "double", "e4m3"))
finite64 = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def finite_of(draw: st.DrawFn, fmt: NumberFormat) -> float:
    return draw(st.integers(0, 2**fmt.bits - 1).map(lambda bits: from_bits(bits, fmt)).filter(math.isfinite))


@given(finite64)
def test_ulp_of_float64_is_math_ulp(x: float):
    assert ulp(x, FLOAT64) == Fraction(math.ulp(x))


@pytest.mark.parametrize("name", ["float16", "float32"])
@given(data=st.data())
def test_ulp_is_numpy_spacing(name: str, data: st.DataObject):
    fmt = FORMATS[name]
    x = data.draw(finite_of(fmt))
    if abs(x) == fmt.max:
        return  # numpy's spacing there is the step to infinity
    assert ulp(x, fmt) == Fraction(float(np.spacing(fmt.numpy_dtype.type(abs(x)))))
    assert Fraction(float(ulp_array(x, fmt))) == ulp(x, fmt)


def test_ulp_by_hand():
    assert ulp(1.0, FLOAT16) == Fraction(1, 1024)
    assert ulp(math.nextafter(1.0, 0), FLOAT16) == Fraction(1, 2048)
    assert ulp(0.0, FLOAT16) == ulp(2.0**-15, FLOAT16) == Fraction(1, 2**24)
    assert ulp(1e30, FLOAT16) == ulp(65504.0, FLOAT16) == 32
    assert ulp_array([1e30, 0.0, -1.5], FLOAT16).tolist() == [32.0, 2.0**-24, 2.0**-10]
    for x in (math.inf, math.nan):
        assert math.isnan(ulp_array(x, FLOAT16))
        with pytest.raises(FormatError, match="finite"):
            ulp(x, FLOAT16)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
@given(data=st.data())
def test_neighbours_are_those_of_torch(name: str, data: st.DataObject):
    x = data.draw(finite_of(FORMATS[name]))
    tensor = torch.tensor(x, dtype=getattr(torch, name))
    limits = (torch.tensor(sign * math.inf, dtype=tensor.dtype) for sign in (-1, 1))
    assert neighbours(x, FORMATS[name]) == tuple(torch.nextafter(tensor, limit).item() for limit in limits)


@given(finite64, st.sampled_from(ALL))
def test_neighbours_enclose_any_number(x: float, fmt: NumberFormat):
    below, above = neighbours(x, fmt)
    assert below < x or (math.isnan(below) and x <= -fmt.max)
    assert x < above or (math.isnan(above) and x >= fmt.max)
    if math.isfinite(below) and math.isfinite(above):
        assert ulp_distance(below, above, fmt) == (2 if round_to(x, fmt) == x else 1)


def test_neighbours_at_the_ends():
    assert neighbours(65504.0, FLOAT16) == (65472.0, math.inf)
    assert neighbours(math.inf, FLOAT16) == (65504.0, math.inf)
    assert neighbours(-math.inf, FLOAT16) == (-math.inf, -65504.0)
    assert all(map(math.isnan, neighbours(math.nan, FLOAT16)))
    below, above = neighbours(448.0, E4M3)
    assert below == 416.0
    assert math.isnan(above)
    assert math.copysign(1, neighbours(-(2.0**-24), FLOAT16)[1]) == -1


@given(st.integers(0, 0x7F7FFFFF), st.integers(0, 0x7F7FFFFF))
def test_ulp_distance_counts_steps(i: int, j: int):
    a, b = from_bits(i, FLOAT32), from_bits(j, FLOAT32)
    assert ulp_distance(a, b, FLOAT32) == abs(i - j)
    assert ulp_distance(-a, b, FLOAT32) == i + j


def test_ulp_distance_at_zero_infinity_and_nan():
    assert ulp_distance(0.0, -0.0, FLOAT16) == 0
    assert ulp_distance(65504.0, math.inf, FLOAT16) == 1
    with pytest.raises(FormatError, match="nan"):
        ulp_distance(1.0, math.nan, FLOAT16)
    with pytest.raises(FormatError, match="round_to"):
        ulp_distance(0.1, 1.0, FLOAT16)


@given(st.fractions(min_value=-60000, max_value=60000))
def test_a_rounded_number_is_within_half_an_ulp(x: Fraction):
    value = round_to(x, FLOAT16)
    error = rounding_error_ulp(value, x, FLOAT16)
    assert abs(error) <= Fraction(1, 2)
    assert Fraction(value) - error * ulp(value, FLOAT16) == x


def test_rounding_error_is_signed_and_takes_an_mpf():
    assert rounding_error_ulp(1.0, Fraction(1) + Fraction(1, 4096), FLOAT16) == Fraction(-1, 4)
    assert rounding_error_ulp(1.0, mpmath.mpf(1) - mpmath.mpf(2) ** -12, FLOAT16) == Fraction(1, 4)
    with pytest.raises(FormatError):
        rounding_error_ulp(math.inf, Fraction(1), FLOAT16)
