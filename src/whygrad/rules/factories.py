"""Tensors made of constants (aten/src/ATen/native/TensorFactories.cpp, RangeFactories.cpp)."""

from __future__ import annotations

from collections.abc import Callable

from whygrad.rules.activations import add, mul, sub
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Case, Expr, Num
from whygrad.rules.registry import rule


def _constant(value: float) -> Callable[[OpCall, Index], Expr]:
    def function(c: OpCall, i: Index) -> Expr:
        return Num(value)

    function.__name__ = function.__qualname__ = f"constant {value:g}"
    function.__doc__ = f"`yᵢ = {value:g}`."
    return function


for _op in ("zeros", "zeros_like", "new_zeros", "zero", "_efficientzerotensor"):
    rule(f"aten.{_op}")(_constant(0.0))
for _op in ("ones", "ones_like", "new_ones"):
    rule(f"aten.{_op}")(_constant(1.0))


def _filled(position: int, name: str) -> Callable[[OpCall, Index], Expr]:
    def function(c: OpCall, i: Index) -> Expr:
        return c.number(position, name)

    function.__name__ = function.__qualname__ = f"fill {position} {name}"
    function.__doc__ = "`yᵢ = value`."
    return function


for _op, _position in (("full", 1), ("full_like", 1), ("new_full", 2), ("fill", 1), ("scalar_tensor", 0)):
    rule(f"aten.{_op}")(_filled(_position, {"fill": "value", "scalar_tensor": "s"}.get(_op, "fill_value")))


@rule("aten.eye")
def eye(c: OpCall, i: Index) -> Expr:
    """`y[r,c] = 1 if r = c, else 0`."""
    return Case("r = c", Num(1), "0") if i[0] == i[1] else Case("r ≠ c", Num(0), "1")


@rule("aten.arange.default", "aten.arange.start", "aten.arange.start_step")
def arange(c: OpCall, i: Index) -> Expr:
    """`yᵢ = start + i·step`."""
    several = isinstance(c.arg(1), (int, float))
    start = c.number(0, "start") if several else Num(0)
    step = c.number(2, "step", 1) if isinstance(c.arg(2, "step"), (int, float)) else Num(1)
    return add(start, mul(Num(float(i[0]), "i"), step))


@rule("aten.linspace")
def linspace(c: OpCall, i: Index) -> Expr:
    """`yᵢ = start + i·step` in the first half, `end − (n − 1 − i)·step` in the second; step = (end − start)/(n − 1)."""
    start, end = c.real(0), c.real(1)
    n = c.out().shape[0]
    if n == 1:
        return c.number(0)
    step = Num((end - start) / (n - 1), "(end − start)/(n − 1)")
    if i[0] < n // 2:
        return add(c.number(0), mul(step, Num(float(i[0]), "i")))
    return sub(c.number(1), mul(step, Num(float(n - 1 - i[0]), "n − 1 − i")))
