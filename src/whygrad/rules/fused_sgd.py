"""`_fused_sgd_` on the CPU (aten/src/ATen/native/cpu/FusedSGDKernel.cpp), as it is and not as it is meant to be."""

from __future__ import annotations

import struct

import numpy as np

from whygrad.rules.expr import Bin, Case, Expr, Fma, Num, Python
from whygrad.rules.fused_call import FusedCall
from whygrad.rules.registry import Unruled


def sgd(f: FusedCall) -> Expr:
    """The element asked for. In float16 and bfloat16 the vector body never writes the parameter, and reads the momentum
    buffer as float32: it takes two neighbours for one number."""
    if f.wanted == "grad":
        return f.scaled_grad()
    g = f.grad()
    if f.real("weight_decay"):
        g = Fma(f.old("param"), f.stored(f.named("weight_decay")), g)
    if f.wanted == "param" and f.narrow and f.in_vector:
        condition = "fused SGD in 16 bits leaves the elements of whole vectors as they were (a fault of this kernel)"
        return Case(condition, f.old("param"), "w − lr·g")
    if f.real("momentum"):
        buffer = g if f.flag("is_first_step") else _buffer(f, g)
        if f.wanted == "momentum_buffer":
            return buffer
        buffer = f.new("momentum_buffer", buffer)
        g = Fma(buffer, f.stored(f.named("momentum")), g) if f.flag("nesterov") else buffer
    return Fma(g, Python(f.minus("lr"), -f.real("lr")), f.old("param"))


def _buffer(f: FusedCall, g: Expr) -> Expr:
    """Of the two products, the vector body fuses the gradient's into the sum, the scalar body the buffer's."""
    dampening = f.real("dampening")
    keep = f.stored(f.named("momentum"))
    take = f.stored(Python(Bin("-", Num(1), f.hyper("dampening")), 1 - dampening))
    if f.in_vector:
        return Fma(take, g, Bin("*", _old_buffer(f), keep))
    return Fma(f.old("momentum_buffer"), keep, Bin("*", g, take))


def _old_buffer(f: FusedCall) -> Expr:
    if not f.narrow:
        return f.old("momentum_buffer")
    size = f.per_vector
    start, at = divmod(f.place, size)
    half, j = divmod(at, size // 2)
    first = start * size + half * (size // 2) + 2 * j
    low, high = f.old_at("momentum_buffer", first), f.old_at("momentum_buffer", first + 1)
    if low is None or high is None:
        raise Unruled("the kernel reads the momentum buffer past its end")
    text = "two neighbours of momentum_buffer read as one float32"
    return Num(_as_one([low[1], high[1]], f.dtype), text)


def _as_one(pair: list[float], dtype: str) -> float:
    """Two 16-bit numbers, the first in the low half, as the float32 that their bits are."""
    if dtype == "float16":
        raw = np.array(pair, dtype=np.float16).tobytes()
    else:
        raw = b"".join((np.float32(x).view(np.uint32) >> np.uint32(16)).astype(np.uint16).tobytes() for x in pair)
    return float(struct.unpack("<f", raw)[0])
