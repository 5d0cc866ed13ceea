"""What the rules of normalisation share: vectors, elements of tensors, and the orders of their kernels' sums.

The kernels are PyTorch's own (aten/src/ATen/native/cpu), built for AVX2 or NEON, so each call has one order. Where a
compiler may fuse a product into a sum, it does so except in a running sum that is carried through a loop in a register
(GCC's `avoid-fma-chains`): there the product is rounded first, and only the last vector, which is not full, is fused.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.floats.summation import Chain, Lanes, Order, Parts
from whygrad.rules.activations import add, mul
from whygrad.rules.call import OpCall, Operand
from whygrad.rules.expr import Call, Dot, Expr, Fma, Num, Round, Series, Var
from whygrad.trace.model import Ref

NARROW = ("float16", "bfloat16")
MEAN, VARIANCE = Var(-1), Var(-2)
"""What `RowMoments` results in; `TwoPasses` has the sum of squares in the variance's place."""
Array = np.ndarray[Any, Any]


def lanes_of(c: OpCall, dtype: str) -> int:
    """How many numbers of the kernel's width a vector has: 32 bytes of AVX2, 16 of NEON."""
    arm = c.trace.info.platform.endswith(("aarch64", "arm64"))
    return (16 if arm else 32) // (8 if dtype == "float64" else 4)


def given(c: OpCall, position: int, name: str = "") -> bool:
    """Whether an optional tensor argument was given, and is not empty."""
    arg = c.arg(position, name)
    return isinstance(arg, Ref) and c.step.values[arg.id].numel > 0


def at_flat(x: Operand, places: Array) -> Series:
    """The elements of `x` at row-major places."""
    return x.at(np.stack(np.unravel_index(places, x.shape), axis=1))


def one_flat(x: Operand, place: int) -> Var:
    """The element of `x` at a row-major place."""
    return x[tuple(int(k) for k in np.unravel_index(place, x.shape))]


def flat(x: Operand, index: tuple[int, ...]) -> int:
    """The row-major place of an index."""
    return int(np.ravel_multi_index(index, x.shape)) if x.shape else 0


def over(n: int, text: str = "n") -> Num:
    """n, as the equation writes it."""
    return Num(float(n), text)


def root(x: Expr) -> Expr:
    """`√x`."""
    return Call("sqrt", (x,))


def times(x: Expr, weight: Expr | None) -> Expr:
    """`x·w`, or x."""
    return x if weight is None else mul(x, weight)


def scaled(x: Expr, weight: Expr | None, bias: Expr | None) -> Expr:
    """`x·w + b` with what there is of the two; the product is fused into the sum."""
    if bias is None:
        return times(x, weight)
    return add(x, bias) if weight is None else Fma(x, weight, bias)


def stored(x: Expr, dtype: str) -> Expr:
    """`x` as a kernel stores it on the way: rounded, unless double is its width anyway."""
    return x if dtype == "float64" else Round(x, dtype)


def row_order(c: OpCall, terms: int, dtype: str, fused: bool) -> Order:
    """vec::reduce_all and vec::map_reduce_all over contiguous numbers (aten/src/ATen/cpu/vec/functional_base.h,
    functional_bfloat16.h): one vector of running sums (two in 16 bits). `fused`: its terms are products."""
    width = lanes_of(c, dtype)
    if terms < width:
        return Order(Chain(from_zero=False))
    registers = 2 if dtype in NARROW and terms >= 2 * width else 1
    join = "in turn" if dtype == "float64" else "halving"
    lanes = Lanes(width, registers, lanes_join=join, rest="fused lanes" if fused else "lanes")
    return Order(lanes, fused=fused)


def shared_size(c: OpCall, count: int) -> int:
    """How many of `count` things that `at::parallel_for` hands out one thread gets."""
    return -(-count // max(1, min(c.step.threads, count)))


def shared_order(c: OpCall, count: int, fused: bool, wide: bool, dtype: str = "") -> Order:
    """Columns added up row by row into a buffer for each thread, and the buffers at the end; in memory, so that products
    are fused. `dtype`: the 16-bit format of the buffer."""
    kept = "bfloat16" if dtype == "bfloat16" else "float16" if dtype == "float16" else ""
    return Order(Parts(shared_size(c, count), wide=wide, stored=kept), fused=fused)


def dot(
    a: Series, order: Order, b: Series | None = None, term: Expr | None = None, more: tuple[Series, ...] = ()
) -> Dot:
    """A sum whose order is known."""
    return Dot(a, b, term=term, more=more, orders=(order,))
