"""The orders in which oneDNN's convolution kernels for AVX-512 add, where they follow from the shape.

Found by asking the kernels (whygrad.explain.probe), oneDNN 3.12 as in torch 2.13. Direct kernels (`jit:avx512_core`,
cpu/x64/jit_avx512_core_common_conv_kernel.cpp, and `jit_bf16:avx512_core_bf16`) take 16 channels at a time: for each tap,
row by row, a chain over the 16; the sums of these blocks are added in order. Gradients of strided convolutions
(`brgconv_strided`, jit_brgemm_conv_bwd_strided.cpp) take all channels for each tap; taps of one column of the kernel
are one chain. Gradients of weights are a chain over images and places, the images shared out among the threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.floats.summation import Order, Tree
from whygrad.rules.call import Index

__all__ = ["Terms", "input_orders", "nested", "weight_orders"]

Array = np.ndarray[Any, Any]
_BLOCK = 16


@dataclass(frozen=True)
class Terms:
    """The terms of one sum over channels and taps: (n,) and (n, dims); how many channels there are, and the kernel's shape."""

    channels: Array
    taps: Array
    count: int
    kernel: Index
    depthwise: bool = False


def input_orders(terms: Terms, dtype: str, strided: bool, biased: bool) -> tuple[Order, ...]:
    """The orders expected of a sum over channels and taps; empty: none is."""
    if dtype not in ("float32", "bfloat16") or not len(terms.channels):
        return ()
    pairs = dtype == "bfloat16"
    channel = terms.channels ^ 1 if pairs else terms.channels  # of two neighbours vdpbf16ps adds the second first
    taps = list(terms.taps.T)
    if strided:
        tree = nested([*taps[::-1], channel], taps[-1])
        label = "chain over kernel rows and channels, kernel columns apart"
    elif max(terms.kernel) == 1:
        tree = nested([channel], None)
        label = "chain over channels"
    elif terms.count <= 3 and pairs:
        flat = taps[-1] * terms.count + terms.channels
        tree = nested([*taps[:-1], flat ^ 1], None)
        label = "chain over kernel places and channels"
    else:
        block = terms.channels // _BLOCK
        tree = nested([block, *taps, channel], block)
        label = f"chain over kernel places and {_BLOCK} channels"
        label += ", blocks of channels added in order" if terms.count > _BLOCK else ""
    if biased:
        after = sum(isinstance(item, range) for item in tree)
        after = 0 if terms.depthwise else len(tree) if strided else after  # or onto the first block's sum
        tree = (*tree[:after], range(len(channel), len(channel) + 1), *tree[after:])
        label += (
            ", bias first" if terms.depthwise else ", bias last" if after == len(tree) - 1 else ", bias after the first"
        )
    return (Order(Tree(tree, f"{label}, of two neighbours the second first" if pairs else label), True, flush=pairs),)


def weight_orders(
    threads: int, dtype: str, images: Array, places: Array, windows: Index, tap: Index
) -> tuple[Order, ...]:
    """The orders expected of a weight's gradient, a sum over images and the places of the window."""
    if dtype != "float32" or not len(images):
        return ()
    count = windows[0]
    if max(tap, default=0) == 0 and places.shape[0] == np.prod([count, *windows[2:]]):
        one = nested([np.arange(len(images))], images)
        return (Order(Tree(one, "chain over the places of an image, images added in order"), True),)
    shares = np.minimum(images // -(-count // threads), threads - 1)
    label = "chain over images and places" + (", one for each thread, added in order" if threads > 1 else "")
    return (Order(Tree(nested([np.arange(len(images))], shares), label), True),)


def nested(keys: Sequence[Array], apart: Array | None) -> tuple[Any, ...]:
    """Terms in the order of `keys`, the first of them the slowest, as a tree's items: those with the first value of
    `apart` begin the outermost chain, those with each further one are summed apart and then added."""
    order = np.lexsort(tuple(keys)[::-1])
    if apart is None:
        return runs(order)
    changes = np.flatnonzero(np.diff(apart[order])) + 1
    first, *others = np.split(order, changes)
    return (*runs(first), *(runs(part) for part in others))


def runs(order: Array) -> tuple[range, ...]:
    """Indices in order as ranges: neighbours at equal distances become one."""
    found: list[range] = []
    at, n = 0, len(order)
    steps = np.diff(order)
    ends = np.append(np.flatnonzero(np.diff(steps)) + 2, n).tolist() if n > 1 else [n]
    for end in ends:
        if at == n or (end - 2 < at and end < n):
            continue
        first, last = int(order[at]), int(order[end - 1])
        step = int(steps[at]) if end - at > 1 else 1
        found.append(range(first, last + (1 if step > 0 else -1), step))
        at = end
    return tuple(found)
