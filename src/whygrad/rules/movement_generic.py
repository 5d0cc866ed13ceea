"""Ops that only move numbers, each by running it once on the numbers of places (`movement_maps`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Expr
from whygrad.rules.movement_maps import moved
from whygrad.rules.registry import EVERY, Unruled, rule

_COPIES = (
    "alias_copy", "detach_copy", "diagonal_copy", "expand_copy", "permute_copy", "narrow_copy", "select_copy",
    "slice_copy", "squeeze_copy", "t_copy", "transpose_copy", "unsqueeze_copy", "view_copy", "unfold_copy", "unbind_copy",
    "split_copy", "split_with_sizes_copy", "unsafe_split", "unsafe_split_with_sizes", "unsafe_chunk", "_reshape_copy",
)  # fmt: skip
"""Views' forms that copy (native/TensorShape.cpp): each result is elements of the first operand."""
_ONE = (
    "channel_shuffle", "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle", "rot90", "take", "masked_select",
    "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d", "replication_pad2d",
    "replication_pad3d", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact1d",
    "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "repeat_interleave.self_int", "repeat_interleave.self_Tensor",
)  # fmt: skip
_WITH_GAPS = {
    "im2col": "padding", "diag_embed": "off the diagonal", "block_diag": "outside the blocks",
    "diagonal_backward": "off the diagonal", "_chunk_cat": "padding", "max_unpool2d": "no maximum",
    "max_unpool3d": "no maximum", "masked_scatter_backward": "left over",
}  # fmt: skip
_TWO = {
    "masked_scatter": (0, 2), "index_copy": (0, 3), "diagonal_scatter": (0, 1), "select_scatter": (0, 1),
    "slice_scatter": (0, 1),
}  # fmt: skip
"""Where the numbers of two operands go into one result: their argument positions."""


def _movement(positions: tuple[int, ...], otherwise: str) -> Callable[[OpCall, Index], Expr]:
    def function(c: OpCall, i: Index) -> Expr:
        """`yᵢ = x_j`, j found by running the op on the numbers of places."""
        return moved(c, i, positions, otherwise)

    function.__name__ = function.__qualname__ = f"movement of {positions}"
    return function


for _op in _COPIES:
    rule(f"aten.{_op}", output=EVERY)(_movement((0,), "a gap"))
for _op in _ONE:
    rule(f"aten.{_op}")(_movement((0,), "a gap"))
for _op, _otherwise in _WITH_GAPS.items():
    rule(f"aten.{_op}")(_movement((0,), _otherwise))
for _op, _positions in _TWO.items():
    rule(f"aten.{_op}")(_movement(_positions, "a gap"))


@rule("aten.resize", "aten.resize_as")
def resize(c: OpCall, i: Index) -> Expr:
    """`y` looks at the memory that x had, from its beginning (aten/src/ATen/native/Resize.cpp); what that did not have
    holds no number that anything wrote."""
    x, y = c.t(0), c.out()
    place = y.value.offset + sum(k * stride for k, stride in zip(i, y.value.stride, strict=True))
    strides = np.array(x.value.stride, dtype=np.int64).reshape(-1, *([1] * len(x.shape)))
    places = x.value.offset + (np.indices(x.shape) * strides).sum(axis=0)
    found = np.argwhere(places == place)
    if not len(found):
        raise Unruled("this memory was not the argument's, and nothing has written it")
    return x[tuple(int(k) for k in found[0])]
