"""Results that are an element picked by its size, the index of one, or the answer to a question."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Case, Expr, Num
from whygrad.rules.movement_maps import content
from whygrad.rules.reductions import dims_of, reduced
from whygrad.rules.registry import rule


def _best(c: OpCall, i: Index, dims: tuple[int, ...], keepdim: bool, sign: float) -> tuple[Index, int]:
    """Index in x of the largest (sign 1) or smallest of a row, and its place among them; NaN counts, the first of equals."""
    x = c.t(0)
    indices = reduced(x, dims, keepdim, i).indices
    values = content(x)[tuple(indices.T)]
    if values.dtype.kind not in "biu":
        values = values.astype(np.float64)
    best = int(np.argmax(values) if sign > 0 else np.argmin(values))
    return tuple(int(k) for k in indices[best]), best


def _extremes(name: str, sign: float) -> None:
    size = "largest" if sign > 0 else "smallest"

    def value(c: OpCall, i: Index) -> Expr:
        """`y = max x` (or min) over the named dimensions: one of its elements."""
        dims = dims_of(c.arg(1, "dim"), len(c.t(0).shape))
        place, _ = _best(c, i, dims, bool(c.arg(2, "keepdim", False)), sign)
        return Case(f"it is the {size}", c.t(0)[place], "another element")

    def place(c: OpCall, i: Index) -> Expr:
        """The index of that element, in the flattened tensor where no dimension is named."""
        dims = dims_of(c.arg(1, "dim"), len(c.t(0).shape))
        where, at = _best(c, i, dims, bool(c.arg(2, "keepdim", False)), sign)
        c.t(0)[where]
        return Case(f"the {size} is there", Num(float(at)), "another index")

    rule(f"aten.a{name}", f"aten.{name}.default", f"aten.{name}.dim")(value)
    rule(f"aten.{name}.dim", output=1)(place)
    rule(f"aten.arg{name}")(place)


_extremes("max", 1.0)
_extremes("min", -1.0)


@rule("aten.sort", "aten.topk")
def sorted_(c: OpCall, i: Index) -> Expr:
    """`y[…, k, …]` is the k-th in order: the element that the second result names."""
    x, dim = c.t(0), c.integer(2 if c.op.kind == "aten.topk" else 1, "dim", -1) % max(len(i), 1)
    at = int(c.out(1).item(i))
    if not i:
        return x[()]
    return Case(f"it is number {i[dim]} in order", x[(*i[:dim], at, *i[dim + 1 :])], "another element")


@rule("aten.sort", "aten.topk", output=1)
def order(c: OpCall, i: Index) -> Expr:
    """The index in x of the k-th element in order."""
    x, dim = c.t(0), c.integer(2 if c.op.kind == "aten.topk" else 1, "dim", -1) % max(len(i), 1)
    at = int(c.out(1).item(i))
    if not i:
        return Num(0)
    x[(*i[:dim], at, *i[dim + 1 :])]
    return Case(f"that element is number {i[dim]} in order", Num(float(at)), "another index")


def _question(name: str, sentence: str, answer: Callable[[float, float], bool]) -> None:
    def function(c: OpCall, i: Index) -> Expr:
        numbers: list[float] = []
        for position in range(len(c.op.args)):
            if c.has(position):
                x = c.t(position)
                at = _broadcast(x, i)
                x[at]
                numbers.append(x.item(at))
            else:
                numbers.append(c.real(position))
        holds = answer(numbers[0], numbers[1] if len(numbers) > 1 else 0.0)
        return Case(sentence if holds else f"not: {sentence}", Num(float(holds)), "0" if holds else "1")

    function.__name__ = function.__qualname__ = f"question {name}"
    function.__doc__ = f"`yᵢ` is 1 if {sentence}, else 0."
    rule(f"aten.{name}")(function)


def _broadcast(x: Operand, i: Index) -> Index:
    tail = i[len(i) - len(x.shape) :] if x.shape else ()
    return tuple(0 if n == 1 else k for k, n in zip(tail, x.shape, strict=True))


_question("logical_not", "a is 0", lambda a, b: a == 0)
_question("logical_and", "a and b", lambda a, b: a != 0 and b != 0)
_question("logical_or", "a or b", lambda a, b: a != 0 or b != 0)
_question("logical_xor", "a or b but not both", lambda a, b: (a != 0) != (b != 0))
_question("isnan", "a is NaN", lambda a, b: a != a)
_question("isinf", "a is infinite", lambda a, b: a in (float("inf"), float("-inf")))


def _bits(name: str, text: str, answer: Callable[[int, int], int]) -> None:
    def function(c: OpCall, i: Index) -> Expr:
        numbers: list[int] = []
        for position in range(len(c.op.args)):
            x = c.t(position) if c.has(position) else None
            if x is not None:
                x[_broadcast(x, i)]
            numbers.append(c.integer(position) if x is None else x.item(_broadcast(x, i)))
        result = answer(int(numbers[0]), int(numbers[-1]))
        return Case(text, Num(float(result & 1 if c.out().dtype == "bool" else result)), "")

    function.__name__ = function.__qualname__ = f"bits {name}"
    function.__doc__ = f"`yᵢ = {text}`."
    rule(f"aten.{name}")(function)


_bits("bitwise_not", "not a, bit by bit", lambda a, b: ~a)
_bits("bitwise_and", "a and b, bit by bit", lambda a, b: a & b)
_bits("bitwise_or", "a or b, bit by bit", lambda a, b: a | b)
_bits("bitwise_xor", "a xor b, bit by bit", lambda a, b: a ^ b)


@rule("aten.all", "aten.any")
def all_or_any(c: OpCall, i: Index) -> Expr:
    """`y` is 1 if every (any) element is not 0."""
    x = c.t(0)
    dims = dims_of(c.arg(1, "dim"), len(x.shape))
    places = reduced(x, dims, bool(c.arg(2, "keepdim", False)), i).indices
    every = c.op.kind == "aten.all"
    deciding = np.flatnonzero((content(x)[tuple(places.T)] != 0) != every)
    if not len(deciding):
        return Case("every element is not 0" if every else "every element is 0", Num(float(every)))
    x[tuple(int(k) for k in places[deciding[0]])]
    return Case("one element is 0" if every else "one element is not 0", Num(float(not every)))
