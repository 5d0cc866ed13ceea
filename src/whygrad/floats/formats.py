"""Binary number formats as data: IEEE 754-2019 §3.3 parameters, and the 8-bit formats of OCP OFP8 (2023)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from whygrad.errors import FormatError

__all__ = ["FORMATS", "NumberFormat", "number_format"]


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """A binary floating-point format.

    Its finite numbers are n·2^(e-precision+1) with |n| < 2^precision and emin ≤ e ≤ emax, none beyond `max`.
    Every number of every format here is also a float64, so a Python float carries it without loss.
    """

    name: str
    bits: int
    """Width of the whole encoding."""
    exponent_bits: int
    precision: int
    """Bits of the significand, the hidden one included: 11 for float16, 8 for bfloat16."""
    bias: int
    emin: int
    """Exponent of the smallest normal number, and of every subnormal."""
    emax: int
    max: float
    smallest_normal: float
    smallest_subnormal: float
    has_infinity: bool
    """False for float8_e4m3fn: its top exponent holds numbers, and what overflows saturates to `max`.

    torch 2.13 converts so (torch/headeronly/util/Float8_e4m3fn.h), infinities included; older versions and
    ml_dtypes give NaN.
    """

    def __hash__(self) -> int:
        """The name alone: formats are keys of hot caches."""
        return hash(self.name)

    def __str__(self) -> str:
        return self.name

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The array type of this format: numpy's own, or ml_dtypes', which is imported only then."""
        return _numpy_dtype(self.name)


@lru_cache
def _numpy_dtype(name: str) -> np.dtype[Any]:
    native = hasattr(np, name)
    return np.dtype(getattr(np if native else import_module("ml_dtypes"), name))


def _format(name: str, exponent_bits: int, precision: int, *, has_infinity: bool = True) -> NumberFormat:
    """Derive every parameter from the two widths.

    With infinities the top exponent is theirs and NaN's; without (`fn`), only the all-ones pattern is NaN.
    """
    bias = 2 ** (exponent_bits - 1) - 1
    emin, emax = 1 - bias, bias if has_infinity else bias + 1
    largest_significand = 2**precision - (1 if has_infinity else 2)
    return NumberFormat(
        name=name,
        bits=exponent_bits + precision,
        exponent_bits=exponent_bits,
        precision=precision,
        bias=bias,
        emin=emin,
        emax=emax,
        max=largest_significand * 2.0 ** (emax - precision + 1),
        smallest_normal=2.0**emin,
        smallest_subnormal=2.0 ** (emin - precision + 1),
        has_infinity=has_infinity,
    )


FORMATS: dict[str, NumberFormat] = {
    fmt.name: fmt
    for fmt in (
        _format("float16", 5, 11),
        _format("bfloat16", 8, 8),
        _format("float32", 8, 24),
        _format("float64", 11, 53),
        _format("float8_e4m3fn", 4, 4, has_infinity=False),
        _format("float8_e5m2", 5, 3),
    )
}

# "float" is torch's float32; Python's own class `float`, which is a float64, is told apart below.
# "float8_e4m3" is not among them: in ml_dtypes it is another format, one with infinities.
_ALIASES = {
    "float16": ("half", "fp16", "f16"),
    "bfloat16": ("bf16", "bfloat"),
    "float32": ("single", "float", "fp32", "f32"),
    "float64": ("double", "fp64", "f64"),
    "float8_e4m3fn": ("e4m3fn", "e4m3", "fp8_e4m3fn", "fp8_e4m3"),
    "float8_e5m2": ("e5m2", "fp8_e5m2"),
}
_BY_NAME = FORMATS | {alias: FORMATS[name] for name, aliases in _ALIASES.items() for alias in aliases}


def number_format(spec: object) -> NumberFormat:
    """The format that `spec` means.

    `spec`: a name or its usual short form ("float16", "half", "fp16", "torch.float16"), a torch dtype, a
    numpy or ml_dtypes dtype or scalar class, or a NumberFormat. Raises FormatError, naming the nearest names.
    """
    if isinstance(spec, NumberFormat):
        return spec
    if spec is float:
        return FORMATS["float64"]
    if isinstance(spec, np.dtype):
        text = spec.name
    else:
        text = spec.__name__ if isinstance(spec, type) else str(spec)
    found = _BY_NAME.get(text.strip().lower().removeprefix("torch."))
    if found is None:
        raise FormatError(_unknown(text))
    return found


def _unknown(text: str) -> str:
    from difflib import get_close_matches  # only on the way out

    near = get_close_matches(text.strip().lower().removeprefix("torch."), _BY_NAME, n=3)
    advice = f"did you mean {' or '.join(near)}?" if near else "pick one of these."
    return f"no floating-point format {text!r}: expected one of {', '.join(FORMATS)}; {advice}"
