"""Decimals: read back by numpy, Python and torch; shortest by trying every shorter one."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from whygrad.errors import FormatError
from whygrad.floats import (
    NumberFormat,
    exact,
    from_bits,
    number_format,
    parse_decimal,
    round_to,
    shortest,
)
from whygrad.floats.decimals import _lay_out, _shortest_digits

FLOAT16, BFLOAT16, FLOAT32, FLOAT64, E4M3, E5M2 = map(
    number_format, ("half", "bf16", "single", "double", "e4m3", "e5m2")
)


def positive(fmt: NumberFormat) -> list[float]:
    values = (from_bits(bits, fmt) for bits in range(1, 2 ** (fmt.bits - 1)))
    return [v for v in values if math.isfinite(v)]


def by_trial(value: float, fmt: NumberFormat) -> Fraction:
    """The closest of the shortest decimals, found by rounding every candidate; a tie is even."""
    v = Fraction(value)
    decade = Decimal(value).adjusted()
    for count in range(1, 20):
        found: list[tuple[Fraction, int, Fraction]] = []
        for power in (decade - count + 1, decade - count + 2):
            unit = Fraction(10) ** power
            below = math.floor(v / unit)
            found += [(abs(n * unit - v), n % 2, n * unit) for n in (below, below + 1) if rounds(n * unit, v, fmt)]
        if found:
            return min(found)[-1]
    raise AssertionError(value)


def rounds(candidate: Fraction, value: Fraction, fmt: NumberFormat) -> bool:
    if value == fmt.max and not fmt.has_infinity:
        return abs(candidate - value) <= 16  # half a step; saturation, which takes the rest to 448, does not count
    return round_to(candidate, fmt) == value


@pytest.mark.parametrize("fmt", [FLOAT16, BFLOAT16, E4M3, E5M2], ids=str)
def test_every_number_of_the_narrow_formats_reads_back(fmt: NumberFormat):
    values = positive(fmt)
    texts = [shortest(v, fmt) for v in values]
    assert [parse_decimal(text, fmt) for text in texts] == values
    assert [shortest(-v, fmt) for v in values] == ["-" + text for text in texts]


@pytest.mark.parametrize("fmt", [FLOAT16, BFLOAT16, E4M3, E5M2], ids=str)
def test_none_is_shorter_and_none_as_short_is_closer(fmt: NumberFormat):
    values = positive(fmt)
    for value in values[:300] + values[300 :: 7 if fmt.bits > 8 else 1]:
        assert Fraction(Decimal(shortest(value, fmt))) == by_trial(value, fmt)


def test_every_float16_as_numpy_writes_it():
    for value in positive(FLOAT16):
        assert float(shortest(value, FLOAT16)) == float(str(np.float16(value)))


@given(st.integers(1, 0x7F7FFFFF))
@example(1)
@example(0x00800000)
@example(0x7F7FFFFF)
def test_float32_as_numpy_writes_it(bits: int):
    value = from_bits(bits, FLOAT32)
    text = shortest(value, FLOAT32)
    assert text == repr(float(str(np.float32(value))))
    assert torch.tensor(float(text), dtype=torch.float64).float().item() == value


@given(st.integers(0, 253))
def test_float32_powers_of_two_as_numpy_writes_them(exponent: int):
    value = 2.0 ** (exponent - 126)
    assert shortest(value, FLOAT32) == repr(float(str(np.float32(value))))


@given(st.floats(min_value=5e-324, allow_infinity=False))
@example(5e-324)
@example(2.0**-1022)
@example(2.0**60)
@example(9007199254740993.0)
def test_the_search_itself_agrees_with_repr(value: float):
    """float64 is written by repr; the search that writes the others must come to the same."""
    digits, power = _shortest_digits(value, FLOAT64)
    assert _lay_out(str(digits), len(str(digits)) + power) == repr(value) == shortest(value, FLOAT64)


@pytest.mark.parametrize(
    ("value", "fmt", "text"),
    [
        (1.0, FLOAT16, "1.0"),
        (65504.0, FLOAT16, "65500.0"),
        (448.0, E4M3, "450.0"),
        (2.0**-24, FLOAT16, "6e-08"),
        (0.0999755859375, FLOAT16, "0.1"),
        (0.0, BFLOAT16, "0.0"),
        (-0.0, BFLOAT16, "-0.0"),
        (math.inf, BFLOAT16, "inf"),
        (-math.inf, FLOAT16, "-inf"),
        (math.nan, E4M3, "nan"),
        (16777216.0, FLOAT32, "16777216.0"),
        (0.0001, FLOAT64, "0.0001"),
        (2.0**-14, FLOAT32, "6.1035156e-05"),
        (2.0**60, BFLOAT16, "1.153e+18"),
        (2.0**-133, BFLOAT16, "9e-41"),
    ],
)
def test_shortest_by_hand(value: float, fmt: NumberFormat, text: str):
    assert shortest(value, fmt) == text


def test_shortest_never_writes_a_rounded_value():
    with pytest.raises(FormatError, match="round_to"):
        shortest(0.1, FLOAT16)


def test_zero_and_minus_zero_are_told_apart_in_any_order():
    assert [shortest(x, FLOAT16) for x in (0.0, -0.0, 0.0)] == ["0.0", "-0.0", "0.0"]


@given(st.floats(allow_nan=False))
def test_exact_is_exact(value: float):
    text = exact(value)
    assert math.copysign(1, float(text)) == math.copysign(1, value)
    if math.isfinite(value):
        assert Fraction(Decimal(text)) == Fraction(value)
        assert ("e" in text) == ("e" in repr(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0999755859375, "0.0999755859375"),
        (0.1, "0.1000000000000000055511151231257827021181583404541015625"),
        (5.0, "5.0"),
        (-(2.0**-20), "-9.5367431640625e-07"),
        (2.0**60, "1.152921504606846976e+18"),
        (100.0, "100.0"),
        (-0.0, "-0.0"),
        (math.nan, "nan"),
    ],
)
def test_exact_by_hand(value: float, text: str):
    assert exact(value) == text


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_float64_is_parsed_as_python_does(number: Decimal):
    assert parse_decimal(str(number), FLOAT64) == float(number)


def test_parse_rounds_once():
    tie = "1.000000059604644775390625"  # 1 + 2^-24, half way to the next float32
    assert parse_decimal(tie, FLOAT32) == 1.0
    # in float64 the last digit is lost, and with it the direction
    assert parse_decimal(tie + "000000000000000000001", FLOAT32) == 1 + 2.0**-23


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e999999999", math.inf),
        ("-1e-999999999", -0.0),
        ("inf", math.inf),
        (" 0.5 ", 0.5),
        ("7e4", math.inf),
    ],
)
def test_parse_at_the_ends(text: str, value: float):
    result = parse_decimal(text, FLOAT16)
    assert result == value
    assert math.copysign(1, result) == math.copysign(1, value)


@pytest.mark.parametrize("text", ["", "one", "0x10", "1.2.3"])
def test_parse_refuses_what_is_no_decimal(text: str):
    with pytest.raises(FormatError, match="decimal"):
        parse_decimal(text, FLOAT16)
