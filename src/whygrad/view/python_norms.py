"""torch's own normalisation kernels in a program, on as little as gives the same numbers: of a LayerNorm one row, or one
column of its parameters' gradients, of a BatchNorm one channel.

Their sums run in threads' buffers, planes and lanes, which no short program spells out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.explain.check import Checked
from whygrad.rules.call import Index
from whygrad.trace.model import Op

__all__ = ["NORMS", "Cut", "cut_of"]

Array = np.ndarray[Any, Any]
Part = Callable[[Array], Array]


@dataclass(frozen=True)
class Cut:
    """How a call is made smaller. `parts`: of each tensor argument, by its position, what is kept of it; `constants`:
    arguments that become others; `at`: the asked element in what the smaller call gives, or leaves in the argument at
    `written`."""

    parts: dict[int, Part]
    constants: dict[int, str]
    at: Index
    what: str
    written: int = -1


def cut_of(checked: Checked) -> Cut | None:
    """None for an op that is no normalisation."""
    made = NORMS.get(checked.call.op.kind)
    return None if made is None else made(checked)


def _size(op: Op, position: int) -> int:
    """Elements of a `normalized_shape`."""
    sizes = op.args[position]
    return int(np.prod([n for n in sizes if isinstance(n, int)], dtype=np.int64)) if isinstance(sizes, tuple) else 1


def _layer(checked: Checked) -> Cut:
    """Row `r` of `native_layer_norm(x, shape, weight, bias, ε)`."""
    n = _size(checked.call.op, 1)
    row, column = _row_and_column(checked, n)
    parts: dict[int, Part] = {0: lambda x: x.reshape(-1, n)[row : row + 1], 2: _flat, 3: _flat}
    return Cut(parts, {1: f"[{n}]"}, (0, column), "on the whole row")


def _layer_backward(checked: Checked) -> Cut:
    """Row `r` of `native_layer_norm_backward(g, x, shape, mean, rstd, weight, bias, mask)`, or column `c` where the gradient
    of weight or bias is asked."""
    n = _size(checked.call.op, 2)
    row, column = _row_and_column(checked, n)

    def of_row(x: Array) -> Array:
        return x.reshape(-1, n)[row : row + 1]

    def of_column(x: Array) -> Array:
        return x.reshape(-1, n)[:, column : column + 1]

    if checked.rule.output == 0:
        one: Part = lambda x: x.reshape(-1, 1)[row : row + 1]  # noqa: E731
        return Cut(
            {0: of_row, 1: of_row, 3: one, 4: one, 5: _flat, 6: _flat}, {2: f"[{n}]"}, (0, column), "on the whole row"
        )
    each: Part = lambda x: x.reshape(-1, 1)  # noqa: E731
    few: Part = lambda x: x.reshape(-1)[column : column + 1]  # noqa: E731
    parts = {0: of_column, 1: of_column, 3: each, 4: each, 5: few, 6: few}
    return Cut(parts, {2: "[1]"}, (0,), "on the whole column")


def _row_and_column(checked: Checked, n: int) -> tuple[int, int]:
    """Of the asked element: its row of n elements, and its place in it. Means have an element a row, gradients of weight and
    bias one a column."""
    shape = checked.call.out(checked.rule.output).shape
    place = int(np.ravel_multi_index(checked.index, shape)) if shape else 0
    if checked.rule.output == 0:
        return divmod(place, n)
    return (0, place) if checked.call.op.kind.endswith("backward") else (place, 0)


def _flat(x: Array) -> Array:
    return x.reshape(-1)


def _batch(tensors: tuple[int, ...], running: tuple[int, int]) -> Callable[[Checked], Cut]:
    """One channel of a BatchNorm; `tensors` are the positions of what has all examples, `running` those of the statistics
    that a training step writes anew."""

    def cut(checked: Checked) -> Cut:
        op, output = checked.call.op, checked.rule.output
        shaped = output == 0
        channel = checked.index[1] if shaped else checked.index[0]
        parts: dict[int, Part] = {
            k: (lambda x: x[:, channel : channel + 1])
            if k in tensors
            else (lambda x: x.reshape(-1)[channel : channel + 1])
            for k in range(len(op.args))
        }
        inner = tuple(0 if d == 1 else i for d, i in enumerate(checked.index)) if shaped else (0,)
        written = running[output - 3] if not op.kind.endswith("backward") and output >= 3 else -1
        return Cut(parts, {}, inner, "on the whole channel", written)

    return cut


NORMS: dict[str, Callable[[Checked], Cut]] = {
    "aten.native_layer_norm": _layer,
    "aten.native_layer_norm_backward": _layer_backward,
    "aten.native_batch_norm": _batch((0,), (3, 4)),
    "aten._native_batch_norm_legit": _batch((0,), (3, 4)),
    "aten.native_batch_norm_backward": _batch((0, 1), (-1, -1)),
}
"""The cut of each op."""
