"""Where the places of a grid lie among elements (aten/src/ATen/native/GridSampler.h, cpu/GridSamplerKernel.cpp)."""

from __future__ import annotations

import math

from whygrad.floats import NumberFormat, fma, round_to
from whygrad.rules.call import OpCall

ZEROS, BORDER, REFLECTION = 0, 1, 2
BILINEAR, NEAREST, CUBIC = 0, 1, 2


def place_of(coordinate: float, size: int, corners: bool, vector: bool, w: NumberFormat) -> float:
    """A coordinate from −1 to 1 as a place among `size` elements; `vector`: by the kernel for pictures, which multiplies
    first and fuses the sum."""
    moved = round_to(coordinate + 1, w)
    if corners:
        return round_to(moved * ((size - 1) / 2), w) if vector else round_to(round_to(moved / 2, w) * (size - 1), w)
    if vector:
        return fma(moved, size / 2, -0.5, w)
    return round_to(round_to(round_to(moved * size, w) - 1, w) / 2, w)


def drawn_in(place: float, size: int, padding: int, corners: bool, w: NumberFormat, clip: bool = True) -> float:
    """A place outside as the padding has it: itself, on the border, or mirrored at it."""
    if padding == REFLECTION:
        low, high = (0.0, float(size - 1)) if corners else (-0.5, size - 0.5)
        span = high - low
        if not span:
            place = 0.0
        else:
            away = abs(round_to(place - low, w))
            extra, flips = math.fmod(away, span), math.floor(round_to(away / span, w))
            place = round_to(extra + low, w) if flips % 2 == 0 else round_to(round_to(span - extra, w) + low, w)
    return place if padding == ZEROS or not clip else min(max(place, 0.0), size - 1.0)


def lanes_of(c: OpCall) -> int:
    """How many numbers of the first operand's dtype a vector of the recording machine has."""
    bits = 512 if c.trace.info.cpu in ("", "AVX512") else 256
    return bits // {"float64": 64, "float32": 32}.get(c.t(0).dtype, 16)
