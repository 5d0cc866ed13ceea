"""Bit patterns: all of the narrow formats, sampled ones of the wide, against ml_dtypes, numpy and torch."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whygrad.errors import FormatError
from whygrad.floats import FORMATS, NumberFormat, bit_fields, from_bits, to_bits

NARROW = [fmt for fmt in FORMATS.values() if fmt.bits <= 16]
WIDE = [fmt for fmt in FORMATS.values() if fmt.bits > 16]
UNSIGNED = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}


def same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))


@pytest.mark.parametrize("fmt", NARROW, ids=str)
def test_every_pattern_of_the_narrow_formats(fmt: NumberFormat):
    patterns = np.arange(2**fmt.bits, dtype=UNSIGNED[fmt.bits])
    with np.errstate(invalid="ignore"):  # widening a signalling NaN
        as_numpy = patterns.view(fmt.numpy_dtype).astype(np.float64).tolist()
    as_torch = torch.from_numpy(patterns).view(getattr(torch, fmt.name)).double().tolist()
    for bits, expected, again in zip(patterns.tolist(), as_numpy, as_torch, strict=True):
        value = from_bits(bits, fmt)
        assert same(value, expected)
        assert same(value, again)
        assert to_bits(value, fmt) == bits


@pytest.mark.parametrize("fmt", WIDE, ids=str)
@given(data=st.data())
def test_patterns_of_the_wide_formats(fmt: NumberFormat, data: st.DataObject):
    bits = data.draw(st.integers(0, 2**fmt.bits - 1))
    value = from_bits(bits, fmt)
    assert to_bits(value, fmt) == bits
    with np.errstate(invalid="ignore"):  # widening a signalling NaN
        assert same(value, float(UNSIGNED[fmt.bits](bits).view(fmt.numpy_dtype)))


def test_nan_stays_nan_where_its_payload_does_not_fit():
    float32, float16 = FORMATS["float32"], FORMATS["float16"]
    value = from_bits(0x7F800001, float32)  # the payload's only bit is below float16's last
    assert math.isnan(from_bits(to_bits(value, float16), float16))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (0.1, "float16"),
        (65536.0, "float16"),
        (2.0**-25, "float16"),
        (math.inf, "float8_e4m3fn"),
        (480.0, "float8_e4m3fn"),
    ],
)
def test_a_number_outside_the_format_is_refused(value: float, name: str):
    with pytest.raises(FormatError, match="round_to"):
        to_bits(value, FORMATS[name])


@pytest.mark.parametrize("bits", [-1, 1 << 16])
def test_a_pattern_outside_the_format_is_refused(bits: int):
    with pytest.raises(FormatError, match="16 bits"):
        from_bits(bits, FORMATS["float16"])


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (0x3C00, ("0", "01111", "0000000000", 0, "normal")),
        (0xC500, ("1", "10001", "0100000000", 2, "normal")),
        (0x0001, ("0", "00000", "0000000001", -14, "subnormal")),
        (0x8000, ("1", "00000", "0000000000", None, "zero")),
        (0xFC00, ("1", "11111", "0000000000", None, "infinity")),
        (0x7E00, ("0", "11111", "1000000000", None, "nan")),
    ],
)
def test_fields_of_float16(bits: int, expected: tuple[str, str, str, int | None, str]):
    fields = bit_fields(from_bits(bits, FORMATS["float16"]), FORMATS["float16"])
    assert (fields.sign, fields.exponent, fields.significand, fields.exponent_value, fields.kind) == expected


@pytest.mark.parametrize("fmt", NARROW, ids=str)
def test_the_fields_are_the_value(fmt: NumberFormat):
    for bits in range(2**fmt.bits):
        value = from_bits(bits, fmt)
        fields = bit_fields(value, fmt)
        assert int(fields.sign + fields.exponent + fields.significand, 2) == bits
        if fields.exponent_value is not None:
            hidden = "1" if fields.kind == "normal" else "0"
            significand = int(hidden + fields.significand, 2)
            magnitude = math.ldexp(significand, fields.exponent_value - len(fields.significand))
            assert math.copysign(magnitude, -1 if fields.sign == "1" else 1) == value
