"""Which elements a pooling window holds (aten/src/ATen/native/Pool.h, AdaptivePooling.h, FractionalMaxPooling.h)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.rules.call import Index, OpCall
from whygrad.rules.movement import ints

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Pool:
    """Sizes of a sliding window, one number a spatial dimension. `include_pad`, `divisor`: what a mean divides by."""

    kernel: Index
    stride: Index
    padding: Index
    dilation: Index
    include_pad: bool = True
    divisor: int | None = None


def each(arg: object, rank: int, default: Index) -> Index:
    """A size argument, one number for each spatial dimension."""
    numbers = ints(arg) or default
    return numbers * rank if len(numbers) == 1 else numbers


def average(c: OpCall, rank: int, first: int) -> Pool:
    """The arguments of avg_pool2d, avg_pool3d, from the kernel's size at position `first` on."""
    kernel = each(c.arg(first, "kernel_size"), rank, (1,))
    divisor = c.arg(first + 5, "divisor_override")
    return Pool(
        kernel, each(c.arg(first + 1, "stride"), rank, kernel), each(c.arg(first + 2, "padding", 0), rank, (0,)),
        (1,) * rank, bool(c.arg(first + 4, "count_include_pad", True)), divisor if isinstance(divisor, int) else None,
    )  # fmt: skip


def maximum(c: OpCall, rank: int, first: int) -> Pool:
    """The arguments of max_pool2d_with_indices, max_pool3d_with_indices."""
    kernel = each(c.arg(first, "kernel_size"), rank, (1,))
    return Pool(
        kernel, each(c.arg(first + 1, "stride"), rank, kernel), each(c.arg(first + 2, "padding", 0), rank, (0,)),
        each(c.arg(first + 3, "dilation", 1), rank, (1,)),
    )  # fmt: skip


def sliding(pool: Pool, d: int, at: int, size: int) -> range:
    """The coordinates along spatial dimension d that window number `at` holds, of an operand of `size`."""
    step = pool.dilation[d]
    start = at * pool.stride[d] - pool.padding[d]
    stop = min(start + (pool.kernel[d] - 1) * step + 1, size)
    if start < 0:
        start += -(start // step) * step
    return range(start, stop, step)


def padded(pool: Pool, d: int, at: int, size: int) -> int:
    """How many coordinates the window has along d, counting padding but nothing beyond it."""
    start = at * pool.stride[d] - pool.padding[d]
    return min(start + pool.kernel[d], size + pool.padding[d]) - start


def adaptive(at: int, out: int, size: int) -> range:
    """The coordinates of window `at` of `out` windows that share `size`."""
    return range(at * size // out, -(-(at + 1) * size // out))


def fractional(sample: Any, at: int, out: int, size: int, kernel: int) -> range:
    """The coordinates of window `at` of a fractional pooling, in the arithmetic of the sample's dtype."""
    if at == out - 1:
        return range(size - kernel, size)
    kind = type(sample)
    alpha = kind(size - kernel) / kind(out - 1)
    start = int(kind(kind(at) + sample) * alpha) - int(kind(sample * alpha))
    return range(start, start + kernel)


def grid(batch: Index, ranges: list[range]) -> Array:
    """Indices of all elements with the leading index `batch` and the spatial coordinates `ranges`, row by row."""
    spatial = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, len(ranges))
    lead = np.broadcast_to(np.array(batch, dtype=np.int64), (len(spatial), len(batch)))
    return np.concatenate([lead, spatial], axis=1).astype(np.int64)


def covering(ranges: list[range], at: int) -> list[int]:
    """Numbers of the windows (along one dimension) that hold coordinate `at`."""
    return [k for k, each_range in enumerate(ranges) if at in each_range]
