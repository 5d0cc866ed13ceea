"""Numbers on their own: formats, bits, spacing, exact arithmetic, one correct rounding. No torch.

A Python float carries a number of any format here without loss.
"""

from whygrad.floats.arrays import half_ulp_test_array, round_array, ulp_array
from whygrad.floats.bits import BitFields, bit_fields, from_bits, to_bits
from whygrad.floats.decimals import exact, parse_decimal, shortest
from whygrad.floats.formats import FORMATS, NumberFormat, number_format
from whygrad.floats.fused import fma, fma32, fma_chain32
from whygrad.floats.rounding import Real, as_fraction, half_ulp_test, round_to
from whygrad.floats.spacing import neighbours, rounding_error_ulp, ulp, ulp_distance

__all__ = [
    "FORMATS",
    "BitFields",
    "NumberFormat",
    "Real",
    "as_fraction",
    "bit_fields",
    "exact",
    "fma",
    "fma32",
    "fma_chain32",
    "from_bits",
    "half_ulp_test",
    "half_ulp_test_array",
    "neighbours",
    "number_format",
    "parse_decimal",
    "round_array",
    "round_to",
    "rounding_error_ulp",
    "shortest",
    "to_bits",
    "ulp",
    "ulp_array",
    "ulp_distance",
]
