"""One rounding: against numpy and torch where they round once, and against a definition by neighbours."""

import math
import struct
from fractions import Fraction

import ml_dtypes
import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whygrad.floats import (
    FORMATS,
    NumberFormat,
    as_fraction,
    from_bits,
    half_ulp_test,
    half_ulp_test_array,
    neighbours,
    number_format,
    round_array,
    round_to,
    to_bits,
)

ALL = list(FORMATS.values())
FLOAT16, BFLOAT16, FLOAT32, E4M3, E5M2 = map(number_format, ("half", "bf16", "single", "e4m3", "e5m2"))
any_format = st.sampled_from(ALL)


def bits64(value: float) -> bytes:
    return struct.pack("<d", value)


def float32s() -> st.SearchStrategy[float]:
    patterns = st.integers(0, 2**32 - 1).map(lambda bits: from_bits(bits, FLOAT32))
    return patterns.filter(lambda x: not math.isnan(x))


@st.composite
def numbers_near(draw: st.DrawFn, fmt: NumberFormat) -> Fraction:
    """An exact number on, beside or between two numbers of the format: where roundings go wrong."""
    value = from_bits(draw(st.integers(0, 2**fmt.bits - 1)), fmt)
    if not math.isfinite(value):
        value = fmt.max
    other = next(n for n in neighbours(value, fmt) if math.isfinite(n))
    share = draw(st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(1, 4), Fraction(1, 3)]))
    nudge = draw(st.sampled_from([0, 1, -1])) * Fraction(1, 2 ** draw(st.integers(1, 1400)))
    return Fraction(value) + (Fraction(other) - Fraction(value)) * share + nudge * Fraction(fmt.smallest_subnormal)


@given(st.data(), any_format)
def test_the_result_is_the_nearest_and_a_tie_goes_to_even(data: st.DataObject, fmt: NumberFormat):
    x = data.draw(numbers_near(fmt))
    result = round_to(x, fmt)
    if math.isinf(result) or abs(x) > Fraction(fmt.max):
        tie = Fraction(fmt.max) + Fraction(fmt.max - neighbours(fmt.max, fmt)[0]) / 2
        assert math.isinf(result) == (abs(x) >= tie and fmt.has_infinity)
        return
    error = abs(Fraction(result) - x)
    for other in neighbours(result, fmt):
        if math.isfinite(other):
            rival = abs(Fraction(other) - x)
            assert error < rival or (error == rival and to_bits(result, fmt) % 2 == 0)


@given(float32s())
def test_float32_into_narrow_formats_as_torch(x: float):
    tensor = torch.tensor(x, dtype=torch.float32)
    for fmt in (FLOAT16, BFLOAT16, E4M3, E5M2):
        assert bits64(round_to(x, fmt)) == bits64(tensor.to(getattr(torch, fmt.name)).double().item())


@given(st.floats(allow_nan=False))
def test_float64_into_float32_and_float16_as_numpy(x: float):
    with np.errstate(all="ignore"):
        assert bits64(round_to(x, FLOAT32)) == bits64(float(np.float32(x)))
        assert bits64(round_to(x, FLOAT16)) == bits64(float(np.float16(x)))


@given(st.floats(allow_nan=False, allow_infinity=False), any_format)
def test_float_fraction_mpf_and_array_round_alike(x: float, fmt: NumberFormat):
    result = round_to(x, fmt)
    assert round_to(Fraction(x), fmt) == result
    assert round_to(mpmath.mpf(x), fmt) == result
    assert bits64(float(round_array(x, fmt))) == bits64(result)
    if x.is_integer():
        assert round_to(int(x), fmt) == result


@given(st.fractions())
def test_float64_as_python_divides(x: Fraction):
    assert round_to(x, FORMATS["float64"]) == x.numerator / x.denominator


def test_no_double_rounding_where_torch_and_ml_dtypes_have_it():
    """float64 goes through float32 there, which loses what would break the tie."""
    x = 1 + 2.0**-8 + 2.0**-40
    assert torch.tensor(x, dtype=torch.float64).bfloat16().item() == 1.0
    assert float(np.float64(x).astype(ml_dtypes.bfloat16)) == 1.0
    assert round_to(x, BFLOAT16) == 1 + 2.0**-7


def test_no_double_rounding_through_float64():
    x = 1 + Fraction(1, 2**24) + Fraction(1, 2**80)
    assert round_to(float(x), FLOAT32) == 1.0
    assert round_to(x, FLOAT32) == 1 + 2.0**-23


def test_zeros_infinities_and_nan():
    for fmt in ALL:
        assert bits64(round_to(-0.0, fmt)) == bits64(-0.0)
        assert bits64(round_to(-fmt.smallest_subnormal / 4, fmt)) == bits64(-0.0)
        assert bits64(round_to(Fraction(-1, 2**2000), fmt)) == bits64(-0.0)
        assert math.isnan(round_to(math.nan, fmt))
        assert math.isnan(round_to(mpmath.mpf("nan"), fmt))
        largest = math.inf if fmt.has_infinity else fmt.max
        for huge in (Fraction(10) ** 400, 10**400, math.inf, mpmath.mpf("inf"), mpmath.mpf(10) ** 10**6):
            assert round_to(huge, fmt) == largest
            assert round_to(-huge, fmt) == -largest


def test_e4m3fn_saturates_as_torch_does():
    values = [448.0, 463.9, 464.0, 464.1, 480.0, 1e9, math.inf, -math.inf]
    as_torch = torch.tensor(values).to(torch.float8_e4m3fn).tolist()
    assert [round_to(x, E4M3) for x in values] == as_torch == round_array(values, E4M3).tolist()


def test_as_fraction_is_exact():
    with mpmath.workprec(200):
        third = mpmath.mpf(1) / 3
    assert 0 < abs(as_fraction(third) - Fraction(1, 3)) < Fraction(1, 2**199)
    assert as_fraction(mpmath.mpf(-12)) == -12
    assert as_fraction(0.1) == Fraction(0.1)
    with pytest.raises(TypeError, match="float32"):
        round_to(np.float32(1.0), FLOAT16)  # pyright: ignore[reportArgumentType]


@given(st.integers(0, 2**16 - 1), st.floats(allow_nan=False, allow_infinity=False, width=32), st.integers(-40, 0))
def test_half_ulp_test_is_a_lost_update(bits: int, update: float, power: int):
    value = from_bits(bits, FLOAT16)
    if math.isfinite(value):
        update = math.ldexp(value or 1.0, power) if power % 2 else update
        lost = half_ulp_test(update, value, FLOAT16)
        assert lost == (round_to(Fraction(value) + Fraction(update), FLOAT16) == value)
        assert lost == bool(half_ulp_test_array(update, value, FLOAT16))


def test_half_ulp_test_at_the_edge():
    tie = 2.0**-11
    assert half_ulp_test(tie, 1.0, FLOAT16)
    assert not half_ulp_test(math.nextafter(tie, 1), 1.0, FLOAT16)
    assert not half_ulp_test(tie, 1 + 2.0**-10, FLOAT16)  # odd: the tie goes up
    # Half a step less a 2^-53th of it: in float64 the sum is the tie, which would take this odd value down.
    value, update = 1 + 2.0**-10, -math.nextafter(tie, 0)
    assert value + update == value - tie
    assert half_ulp_test(update, value, FLOAT16)
    assert half_ulp_test_array([update, -tie], value, FLOAT16).tolist() == [True, False]
    assert half_ulp_test(0.0, 0.5, FLOAT16)
    assert half_ulp_test(1.0, math.inf, FLOAT16)
    assert not half_ulp_test(1.0, math.nan, FLOAT16)
    assert not half_ulp_test(math.nan, 1.0, FLOAT16)
