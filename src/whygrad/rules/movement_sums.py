"""Adding up what a movement made meet: the backward passes of ops that take an element more than once.

The forward op, run on the numbers of places, says which elements of g belong to an element of the result; kernels add
them to a zero one after the other, in the order in which they lie in g, and round to the dtype after every addition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from whygrad.floats.summation import Chain, Order, Parts
from whygrad.rules.activations import add
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Case, Dot, Expr, Num
from whygrad.rules.movement_maps import once, torch_op
from whygrad.rules.registry import rule
from whygrad.trace.model import Arg, Token

Array = np.ndarray[Any, Any]
IN_TURN = (Order(Chain()),)
WRITTEN_OUT = 16
_WRITTEN_OUT_NARROW = 64


def flat(index: Index, shape: Index) -> int:
    """The place of an element in row-major order."""
    place = 0
    for at, n in zip(index, shape, strict=True):
        place = place * n + at
    return place


def meeting(c: OpCall, what: str, targets: Callable[[], Array], place: int) -> Array:
    """The flat places k, ascending, with `targets()[k] == place`; `targets` is called and sorted once an op."""

    def work() -> tuple[Array, Array]:
        goals = targets().reshape(-1)
        order = np.argsort(goals, kind="stable")
        return order, goals[order]

    order, goals = once(c, what, work)
    return order[np.searchsorted(goals, place, "left") : np.searchsorted(goals, place, "right")]


def running_sum(x: Operand, places: Array, start: Expr | None = None, none: str = "nothing meets here") -> Expr:
    """`start + x[places[0]] + x[places[1]] + …`, in turn; `places` are flat."""
    indices = np.stack(np.unravel_index(places, x.shape), axis=1) if x.shape else np.zeros((len(places), 0), np.int64)
    if not len(places):
        return Case(none, Num(0) if start is None else start, "a sum")
    narrow = x.dtype in ("float16", "bfloat16")
    if len(places) > (_WRITTEN_OUT_NARROW if narrow else WRITTEN_OUT):
        orders = IN_TURN if start is None else (Order(Chain(), init="first"),)
        if start is None and (x.dtype == "float16" or x.dtype == "bfloat16"):
            orders = (Order(Parts(len(places), stored=x.dtype)),)
        return Dot(x.at(indices), init=start, orders=orders)
    total = x[tuple(indices[0])] if start is None else add(start, x[tuple(indices[0])])
    for index in indices[1:]:
        total = add(total, x[tuple(index)])
    return total if start is not None or x.is_integer else _from_zero(x, total, indices)


def _from_zero(x: Operand, total: Expr, indices: Array) -> Expr:
    """The sum of a gradient begins at +0, which only a sum of nothing but −0 shows."""
    numbers = [x.item(tuple(int(k) for k in index)) for index in indices]
    return add(Num(0), total) if all(n == 0 for n in numbers) else total


def forward_map(c: OpCall, op: str, shape: Index, args: tuple[Arg, ...]) -> Array:
    """`op(numbers of places of a tensor of `shape`, *args)`: for each element of its result the place it came from, −1
    where it came from none."""
    import torch

    numbers = torch.arange(1, int(np.prod(shape)) + 1, dtype=torch.float64).reshape(shape)
    with torch.no_grad():
        found = torch_op(op)(numbers, *(list(a) if isinstance(a, tuple) else a for a in args))
    return found.to(torch.int64).numpy() - 1


def _backward(op: str, forward: str, arguments: Callable[[OpCall], tuple[Arg, ...]]) -> None:
    def function(c: OpCall, i: Index) -> Expr:
        """`∂xᵢ = Σ gⱼ` over the j that were taken from i."""
        g, shape = c.t(0), c.out().shape
        given = tuple(None if isinstance(a, Token) else a for a in arguments(c))
        hits = meeting(c, "targets", lambda: forward_map(c, forward, shape, given), flat(i, shape))
        return running_sum(g, hits, none="it was taken nowhere")

    function.__name__ = function.__qualname__ = op
    rule(f"aten.{op}", rounds="either")(function)


for _n in (1, 2, 3):
    for _kind in ("reflection", "replication"):
        _backward(f"{_kind}_pad{_n}d_backward", f"aten.{_kind}_pad{_n}d.default", lambda c: c.op.args[2:3])
    for _kind in ("upsample_nearest", "_upsample_nearest_exact"):
        _backward(f"{_kind}{_n}d_backward", f"aten.{_kind}{_n}d.default", lambda c: (c.op.args[1], *c.op.args[3:]))
_backward("unfold_backward", "aten.unfold.default", lambda c: c.op.args[2:5])
_backward("col2im", "aten.im2col.default", lambda c: c.op.args[2:6])
