"""Where every element of a result was taken from: an op that only moves numbers, run on the numbers of places.

The data operands are filled with 1, 2, 3, …, and the op is run on them; what comes out says which element of which
operand went where, and a 0 that nothing went there. A dtype that cannot hold so many numbers is given them digit by
digit: the kernel is the one of the recorded dtype, also where that decides which element it takes (upsampling).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Case, Expr, Num, Var
from whygrad.rules.registry import Unruled
from whygrad.trace.model import Arg, Ref, Step, Token

Array = np.ndarray[Any, Any]
T = TypeVar("T")

_KEPT = 64
_kept: OrderedDict[tuple[int, int, str], tuple[Step, Any]] = OrderedDict()
_DIGITS = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7, "int64": 62, "int32": 30, "int16": 14, "int8": 6}


def once(c: OpCall, what: str, work: Callable[[], T]) -> T:
    """`work()`, worked out once for an op: its elements are asked one by one."""
    key = (id(c.step), c.op.index, what)
    known = _kept.get(key)
    if known is not None and known[0] is c.step:
        _kept.move_to_end(key)
        return known[1]
    found = work()
    _kept[key] = (c.step, found)
    while len(_kept) > _KEPT:
        _kept.popitem(last=False)
    return found


def content(x: Operand) -> Array:
    """A tensor's recorded numbers."""
    return np.asarray(x.call.trace.content(x.call.step, x.value))


def torch_op(name: str) -> Any:
    """torch's function of `aten.take.default`. Raises Unruled when this torch has none."""
    import torch

    found: Any = torch.ops
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise Unruled(f"this torch has no op {name}")
    return found


def operands(c: OpCall, positions: tuple[int, ...]) -> list[Operand]:
    """The tensors at argument positions; those of a list argument one after the other."""
    found: list[Operand] = []
    for position in positions:
        found += c.each(position) if position < len(c.op.args) else []
    return found


def sources(c: OpCall, positions: tuple[int, ...]) -> list[Array]:
    """For every result of the op: 1 + the flat place (of all operands at `positions` laid end to end) of each element."""
    return once(c, f"sources {positions}", lambda: _run(c, positions))


def taken(c: OpCall, i: Index, positions: tuple[int, ...] = (0,)) -> tuple[Operand, Index] | None:
    """The operand that element `i` of the result was taken from, and where; None where nothing was moved to it."""
    place = int(sources(c, positions)[c.output][i]) - 1
    if place < 0:
        return None
    for x in operands(c, positions):
        if place < x.value.numel:
            return x, tuple(int(k) for k in np.unravel_index(place, x.shape)) if x.shape else ()
        place -= x.value.numel
    raise Unruled(f"element {i} comes from no operand")


def moved(c: OpCall, i: Index, positions: tuple[int, ...] = (0,), otherwise: str = "a gap") -> Expr:
    """Element `i` of the result as the element that was moved there, or 0."""
    found = taken(c, i, positions)
    if found is None:
        return Case(f"it is {otherwise}", Num(0), "an element of x")
    x, index = found
    at: Var = x[index]
    return at


def _run(c: OpCall, positions: tuple[int, ...]) -> list[Array]:
    total = sum(x.value.numel for x in operands(c, positions))
    dtype = operands(c, positions)[0].dtype
    bits = _DIGITS.get(dtype, 1)
    digits = max(1, -(-total.bit_length() // bits))
    found: list[Array] = []
    for digit in range(digits):
        results = _run_digit(c, positions, dtype, digit * bits, (1 << bits) - 1)
        found = [old + (new << digit * bits) for old, new in zip(found, results, strict=True)] if found else results
    return found


def _run_digit(c: OpCall, positions: tuple[int, ...], dtype: str, shift: int, mask: int) -> list[Array]:
    import torch

    start = 1

    def argument(arg: Arg, data: bool) -> Any:
        nonlocal start
        if isinstance(arg, Ref):
            value = c.step.values[arg.id]
            if not data:
                numbers = np.array(content(Operand(c, value)))
                return torch.from_numpy(numbers)
            places = np.arange(start, start + value.numel, dtype=np.int64) >> shift & mask
            start += value.numel
            return torch.from_numpy(places.reshape(value.shape)).to(getattr(torch, dtype))
        if isinstance(arg, tuple):
            return [argument(each, data) for each in arg]
        return None if isinstance(arg, Token) else arg

    args = [argument(arg, k in positions) for k, arg in enumerate(c.op.args)]
    kwargs = {key: argument(arg, False) for key, arg in c.op.kwargs if not isinstance(arg, Token)}
    with torch.no_grad():
        result = torch_op(c.op.name)(*args, **kwargs)
    results: list[Any] = list(result) if isinstance(result, (list, tuple)) else [result]  # pyright: ignore[reportUnknownArgumentType]
    return [each.to(torch.int64).numpy() for each in results if isinstance(each, torch.Tensor)]
