"""An op with masks in place of its numbers: rows of terms in, their sums out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from whygrad.errors import ValueDropped, WhygradError
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Dot, Var
from whygrad.rules.registry import Rule
from whygrad.trace.model import Ref, Value

__all__ = ["Kernel", "NotProbed"]

Array = np.ndarray[Any, Any]
_ALIGNMENT = 64
_FLOATS = ("float32", "float64", "float16", "bfloat16")


class NotProbed(Exception):
    """The op cannot be asked: there is no torch, or its sum has no operand of its own to mask."""


class Kernel:
    """The sum `dot` of element `index`, as the op computes it. `terms`: how many numbers it adds, its initial value last.

    `axis`: the elements along this dimension of the result have in the first operand of their sums, which is the one that is
    masked, numbers of their own, so that one call computes as many sums; None: one sum. Raises NotProbed.
    """

    def __init__(self, call: OpCall, rule: Rule, index: Index, dot: Dot, deadline: float, axis: int | None) -> None:
        self._call, self._rule, self._index, self._deadline = call, rule, index, deadline
        self.terms = len(dot.a) + (dot.init is not None)
        indices = dot.a.indices
        if len(np.unique(indices, axis=0)) < len(indices) or self._value(dot).dtype not in _FLOATS:
            raise NotProbed("the operand has no number for each term")
        dots = [(index, dot)] if axis is None else self._siblings(dot, axis)
        self._elements = [at for at, _ in dots]
        self._build([each for _, each in dots])
        self.dtype = self._dtype(dot)

    def sums(self, rows: Callable[[slice], Array], count: int) -> Array:
        """The sums (count,) of so many rows of terms, some at a time. Raises TimeoutError after the deadline."""
        import torch

        from whygrad.explain.tensors import threads

        found, at_once = [np.empty(0)], len(self._elements)
        with torch.no_grad(), threads(self._call.step.threads):
            for at in range(0, count, at_once):
                if time.process_time() > self._deadline:
                    raise TimeoutError
                part = torch.from_numpy(rows(slice(at, min(at + at_once, count))))
                for room, places, columns in self._masked:
                    room[places[: len(part)].reshape(-1)] = part[:, columns].reshape(-1).to(room.dtype)
                out = self._function(*self._args, **self._kwargs)
                out = out[self._call.output] if isinstance(out, (tuple, list)) else out
                found.append(out[tuple(self._read[:, : len(part)])].double().numpy())
        return np.concatenate(found)

    def fused(self, pairs: Sequence[tuple[int, int]], epsilon: float) -> list[bool]:
        """For pairs of terms: whether the first one's product is added to the second's unrounded; see
        `whygrad.floats.summation_products`. Raises TimeoutError after the deadline."""
        chosen = np.array(pairs).reshape(-1, 2)
        factor, initial = 1.0 + epsilon, self._products

        def rows(part: slice) -> Array:
            made = np.zeros((len(chosen[part]), self.terms))
            at = np.arange(len(made))
            made[at, chosen[part, 1]] = np.where(chosen[part, 1] == initial, -factor, -1.0)
            made[at, chosen[part, 0]] = factor
            return made

        self._other.fill_(factor)
        try:
            return (self.sums(rows, len(chosen)) != epsilon).tolist()
        finally:
            self._other.fill_(1.0)

    def stored(self, gaps: Sequence[tuple[int, int, int]], delta: float) -> list[bool]:
        """For three terms each: whether the sum of the first two is rounded to 16 bits before the third is added."""
        chosen = np.array(gaps).reshape(-1, 3)

        def rows(part: slice) -> Array:
            made = np.zeros((len(chosen[part]), self.terms))
            for column, value in enumerate((1.0, delta, -1.0)):
                made[np.arange(len(made)), chosen[part, column]] = value
            return made

        return (self.sums(rows, len(chosen)) == 0).tolist()

    def _siblings(self, dot: Dot, axis: int) -> list[tuple[Index, Dot]]:
        """Elements that can be asked at once: this one first."""
        found, at = [(self._index, dot)], self._index
        for k in range(self._call.out(self._call.output).shape[axis]):
            other = (*at[:axis], k, *at[axis + 1 :])
            expr = self._rule.function(self._call, other) if other != at else None
            if isinstance(expr, Dot) and len(expr.a) == len(dot.a):
                found.append((other, expr))
        return found

    def _value(self, dot: Dot) -> Value:
        return self._call.step.values[self._call.tensors[dot.a.operand]]

    def _dtype(self, dot: Dot) -> str:
        """The narrower of what goes in and what comes out: masks are exact in both."""
        names = (self._value(dot).dtype, self._call.out(self._call.output).dtype)
        return max(names, key=("float64", "float32", "float16", "bfloat16").index)

    def _build(self, dots: list[Dot]) -> None:
        """The arguments, the memory of the masked operand, and which places of it are the terms."""
        try:
            import torch

            from whygrad.explain.replay import overload
            from whygrad.explain.tensors import Rebuilder

            op = self._call.op
            self._function = overload(op.name)
            rooms: dict[int, tuple[Any, Value]] = {}
            rebuilder = Rebuilder(self._call.trace, self._call.step)

            def argument(arg: Any) -> Any:
                if isinstance(arg, Ref) and self._call.step.values[arg.id].dtype in _FLOATS:
                    value = _spread(self._call.step.values[arg.id])
                    room, tensor = _ones(value)
                    rooms[arg.id] = (room, value)
                    return tensor
                return rebuilder.argument(arg)

            self._args = [argument(arg) for arg in op.args]
            if op.kind == "aten.convolution_backward":  # the other gradients are other kernels
                self._args[10] = [k == self._call.output for k in range(3)]
            self._kwargs = {key: argument(arg) for key, arg in op.kwargs}
            n = len(dots[0].a)
            value = self._value(dots[0])
            places = [_places(rooms[value.id], dot.a.indices) for dot in dots]
            self._masked = [(rooms[value.id][0], torch.from_numpy(np.stack(places)), slice(0, n))]
            self._products = n
            if dots[0].b is not None:
                self._other = rooms[self._call.step.values[self._call.tensors[dots[0].b.operand]].id][0]
            if dots[0].init is not None:
                first = [self._initial(rooms, dot) for dot in dots]
                self._masked.append((first[0][0], torch.tensor([[place] for _, place in first]), slice(n, n + 1)))
            self._read = torch.tensor(self._elements).T.reshape(len(self._index), -1)
        except (ImportError, ValueDropped, WhygradError, KeyError) as error:
            raise NotProbed(str(error)) from error

    def _initial(self, rooms: dict[int, tuple[Any, Value]], dot: Dot) -> tuple[Any, int]:
        key = self._call.operands[dot.init.k] if isinstance(dot.init, Var) else None
        if not isinstance(key, tuple):
            raise NotProbed("the initial value is no tensor's element")
        return rooms[key[0]][0], int(_places(rooms[key[0]], np.array([key[1]]))[0])


def _spread(value: Value) -> Value:
    """A tensor with a place in memory for each element, where the recorded one had fewer."""
    if all(stride or size == 1 for size, stride in zip(value.shape, value.stride, strict=True)):
        return value
    strides = tuple(math.prod(value.shape[d + 1 :]) for d in range(len(value.shape)))
    return replace(value, stride=strides, offset=0)


def _ones(value: Value) -> tuple[Any, Any]:
    """Memory full of ones, and the tensor over it, aligned as the recorded one."""
    import torch

    dtype: torch.dtype = getattr(torch, value.dtype)
    start, stop = value.extent()
    lead = start % (_ALIGNMENT // dtype.itemsize)
    room = torch.ones(lead + stop - start, dtype=dtype)[lead:]
    return room, room.as_strided(value.shape, value.stride, lead)


def _places(room: tuple[Any, Value], indices: Array) -> Array:
    """Where elements lie in the memory of `room`."""
    return indices @ np.array(room[1].stride, dtype=np.int64)
