"""Tensors made of constants (aten/src/ATen/native/TensorFactories.cpp, RangeFactories.cpp)."""

from __future__ import annotations

from collections.abc import Callable

from whygrad.rules.activations import add, div, mul, sub
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Call, Case, Expr, Fma, In, Neg, Num, Round
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
        number = c.number(position, name)
        if c.out().dtype == "bool" and isinstance(number, Num) and number.value not in (0.0, 1.0):
            return Case(f"{number.value:g} is not 0", Num(1), "0")
        return number

    function.__name__ = function.__qualname__ = f"fill {position} {name}"
    function.__doc__ = "`yᵢ = value`."
    return function


for _op, _position in (("full", 1), ("full_like", 1), ("new_full", 2), ("fill", 1), ("scalar_tensor", 0)):
    rule(f"aten.{_op}")(_filled(_position, {"fill": "value", "scalar_tensor": "s"}.get(_op, "fill_value")))


@rule("aten.eye")
def eye(c: OpCall, i: Index) -> Expr:
    """`y[r,c] = 1 if r = c, else 0`."""
    return Case("r = c", Num(1), "0") if i[0] == i[1] else Case("r ≠ c", Num(0), "1")


def _whole(c: OpCall, number: Expr) -> Expr:
    """A number as a range of integers takes it: cut off."""
    if isinstance(number, Num) and c.out().is_integer:
        return Num(float(int(number.value)), number.text)
    return number


@rule("aten.arange.default", "aten.arange.start", "aten.arange.start_step")
def arange(c: OpCall, i: Index) -> Expr:
    """`yᵢ = start + i·step`."""
    several = isinstance(c.arg(1), (int, float))
    start = c.number(0, "start") if several else Num(0)
    step = c.number(2, "step", 1) if isinstance(c.arg(2, "step"), (int, float)) else Num(1)
    return add(_whole(c, start), mul(Num(float(i[0]), "i"), _whole(c, step)))


def _spaced(c: OpCall, i: Index, fused: bool = True) -> Expr:
    """`start + i·step` in the first half, `end − (n − 1 − i)·step` in the second (native/cpu/RangeFactoriesKernel.cpp):
    products fused, but in 16 bits, where each operation rounds."""
    start, end = c.number(0, "start"), c.number(1, "end")
    n, dtype = c.out().shape[0], c.out().dtype
    if n == 1:
        return start
    narrow = dtype in ("float16", "bfloat16")
    first, last = (float(c.t(k).item(())) if c.has(k) else c.real(k) for k in (0, 1))
    if c.out().is_integer:
        first, last = float(int(first)), float(int(last))
        start, end = _whole(c, start), _whole(c, end)
    front = i[0] < n // 2
    count = i[0] if front else n - 1 - i[0]
    if dtype not in ("float32", "float64") and not narrow:
        step: Expr = Num(
            (last - first) / (n - 1) * (1 if front else -1), f"{'' if front else '−'}(end − start)/(n − 1)"
        )
        at = Num(float(count), "i" if front else "n − 1 − i")
        return Fma(step, at, start if front else end) if fused else add(start if front else end, mul(step, at))
    ends = (Round(start, dtype), Round(end, dtype))
    step = div(sub(ends[1], ends[0]), Round(Num(float(n - 1), "n − 1"), dtype))
    if not narrow and fused:
        at = Num(float(count), "i" if front else "n − 1 − i")
        return Fma(step if front else Neg(step), at, ends[0 if front else 1])
    product = mul(step, Round(Num(float(count), "i" if front else "n − 1 − i"), dtype))
    return add(ends[0], product) if front else sub(ends[1], product)


@rule("aten.linspace", rounds="each")
def linspace(c: OpCall, i: Index) -> Expr:
    """`yᵢ = start + i·(end − start)/(n − 1)`, counted from the end in the second half; to an integer, cut off."""
    spaced = _spaced(c, i)
    return Call("trunc", (spaced,)) if c.out().is_integer else spaced


@rule("aten.logspace", rounds="each")
def logspace(c: OpCall, i: Index) -> Expr:
    """`yᵢ = base^(start + i·(end − start)/(n − 1))` (native/RangeFactories.cpp): the exponent without fused
    products, the power in double precision."""
    base, whole = c.number(3, "base", 10.0), c.out().is_integer
    if c.out().shape[0] == 1:
        exponent = c.number(0, "start")
    else:
        exponent = In("float64" if whole else c.out().dtype, _spaced(c, i, fused=False))
    powers = In("float64", Call("pow", (base, exponent)))
    return Call("trunc", (powers,)) if whole else powers
