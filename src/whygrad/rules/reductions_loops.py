"""How TensorIterator walks over a reduction (aten/src/ATen/TensorIterator.cpp): reduced dimensions innermost, each group
in the order of memory, dimensions that lie end to end as one. The order of the additions follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.floats.summation import Cascade, Chain, Order, Panels
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.trace.model import Arg

Array = np.ndarray[Any, Any]
ITEM = {
    "float64": 8,
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "int64": 8,
    "int32": 4,
    "int16": 2,
    "int8": 1,
    "uint8": 1,
}
NARROW = ("float16", "bfloat16")


@dataclass(frozen=True)
class Loop:
    """One loop: its dimensions of the tensor (fastest first), its length, strides of input and output (0: reduced)."""

    dims: tuple[int, ...]
    size: int
    stride: int
    out_stride: int


@dataclass(frozen=True)
class Walk:
    """All loops, innermost first, and the reduced dimensions in their order."""

    loops: tuple[Loop, ...]
    reduced: tuple[int, ...]

    @property
    def row(self) -> int:
        """How many terms the innermost loop reduces."""
        return self.loops[0].size if self.loops and self.loops[0].out_stride == 0 else 1

    @property
    def rows_reduced(self) -> bool:
        """Whether a loop outside the innermost one reduces too."""
        return any(loop.out_stride == 0 and loop.size > 1 for loop in self.loops[1:])


def dims_of(arg: Arg, rank: int) -> tuple[int, ...]:
    """Reduced dimensions, all of them where none is named."""
    if isinstance(arg, int) and not isinstance(arg, bool):
        return (arg % rank,) if rank else ()
    named = tuple(d % rank for d in arg if isinstance(d, int)) if isinstance(arg, tuple) and rank else ()
    return named or tuple(range(rank))


def out_strides(c: OpCall, rank: int, dims: tuple[int, ...], keepdim: bool) -> tuple[int, ...]:
    """The result's stride for each dimension of the operand, 0 for a reduced one."""
    kept = iter(c.out().value.stride)
    found: list[int] = []
    for d in range(rank):
        if d in dims:
            found.append(0)
            if keepdim:
                next(kept, 0)
        else:
            found.append(next(kept, 0))
    return tuple(found)


def _after(a: tuple[int, ...], b: tuple[int, ...], sizes: tuple[int, int]) -> int:
    """1 if dimension a comes after b, −1 if before, 0 if either would do; a and b: strides of output and input."""
    for position, (first, second) in enumerate(zip(a, b, strict=True)):
        if position == 0 and (first == 0) != (second == 0):
            return 1 if second == 0 else -1
        if first == 0 or second == 0:
            continue
        if first != second:
            return -1 if first < second else 1
        if sizes[0] > sizes[1]:
            return 1
    return 0


def walk(shape: Index, stride: Index, out: Index) -> Walk:
    """The loops of a reduction: `stride` the operand's, `out` the result's for each dimension of the operand."""
    order = list(reversed(range(len(shape))))
    for k in range(1, len(order)):
        at = k
        for before in range(k - 1, -1, -1):
            a, b = order[before], order[at]
            compared = _after((out[a], stride[a]), (out[b], stride[b]), (shape[a], shape[b]))
            if compared > 0:
                order[before], order[at], at = b, a, before
            elif compared < 0:
                break
    loops: list[Loop] = []
    for d in order:
        new = Loop((d,), shape[d], stride[d], out[d])
        loops = [*loops[:-1], *_joined(loops[-1], new)] if loops else [new]
    return Walk(tuple(loops), tuple(d for d in order if out[d] == 0))


def _joined(a: Loop, b: Loop) -> tuple[Loop, ...]:
    ends_meet = a.size * a.stride == b.stride and a.size * a.out_stride == b.out_stride
    if not (ends_meet or a.size == 1 or b.size == 1):
        return a, b
    first = b if a.size == 1 else a
    return (Loop(a.dims + b.dims, a.size * b.size, first.stride, first.out_stride),)


def terms_of(x: Operand, reduced: tuple[int, ...], keepdim: bool, i: Index) -> Array:
    """Indices of the elements that element `i` of the result reduces, in the order of the loops, shape (n, ndim)."""
    dims = set(reduced)
    kept = iter(i if not keepdim else [j for d, j in enumerate(i) if d not in dims])
    fixed = [0 if d in dims else next(kept) for d in range(len(x.shape))]
    count = int(np.prod([x.shape[d] for d in reduced], dtype=np.int64)) if reduced else 1
    indices = np.empty((count, len(x.shape)), dtype=np.int64)
    indices[:] = fixed
    rest = np.arange(count)
    for d in reduced:
        indices[:, d] = rest % x.shape[d]
        rest //= x.shape[d]
    return indices


def sum_order(found: Walk, dtype: str, column: int, threads: int = 1) -> Cascade | Chain:
    """How SumKernel.cpp, built for AVX2, adds the terms of one row; `column`: the row's number in the next loop."""
    narrow, width = dtype in NARROW, 32 // (8 if ITEM.get(dtype, 4) == 8 else 4)
    inner = found.loops[0] if found.loops else Loop((), 1, 1, 0)
    outer = found.loops[1] if len(found.loops) > 1 else Loop((), 1, 0, 0)
    memory = 32 // ITEM.get(dtype, 4)
    if inner.out_stride != 0:
        return Chain()
    if inner.stride == 1 and inner.size >= memory:
        return Cascade(width, 4, narrow)
    if outer.stride == 1 and outer.size >= memory:
        return Cascade(1, 1) if column < outer.size // (4 * width) * (4 * width) else Cascade(1, 4)
    if inner.stride < outer.stride or len(found.loops) == 1:
        return Cascade(1, 4)
    return Cascade(1, 1) if column < outer.size // 4 * 4 else Cascade(1, 4)


def column_of(found: Walk, shape: Index, keepdim: bool, i: Index) -> int:
    """The place of element `i` of the result in the loop next to the innermost; `shape`: of what is reduced."""
    if len(found.loops) < 2 or found.loops[1].out_stride == 0:
        return 0
    kept = [d for d in range(len(shape)) if keepdim or d not in found.reduced]
    at, place, step = dict(zip(kept, i, strict=True)), 0, 1
    for d in found.loops[1].dims:
        if d not in found.reduced:
            place += at[d] * step
            step *= shape[d]
    return place


def rows_in_turn(row: Cascade | Chain, length: int, terms: int) -> Order:
    """Rows of `length` terms each, their sums added one after the other."""
    return Order(row if length >= terms else Panels(length, inner=row))
