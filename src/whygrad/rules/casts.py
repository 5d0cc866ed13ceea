"""Conversions of dtype, and copies (aten/src/ATen/native/cpu/CopyKernel.cpp)."""

from __future__ import annotations

from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Case, Expr, Num, Round
from whygrad.rules.registry import rule

FLOATS = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


def converted(source: Operand, index: Index, dtype: str) -> Expr:
    """Element `index` of a tensor, in another dtype: rounded to nearest; to an integer, cut off; to bool, whether it is not
    0. A double goes to a narrower format by way of float32."""
    x = source[index]
    if dtype == source.dtype:
        return x
    if dtype == "bool":
        return Case("it is not 0", Num(1)) if source.item(index) != 0 else Case("it is 0", Num(0))
    if dtype not in FLOATS:
        return x if source.is_integer else _cut_off(x, float(source.item(index)), dtype)
    if dtype == "float64" or (dtype == "float32" and source.dtype in FLOATS[2:]):
        return x
    narrow = dtype not in ("float64", "float32")
    wide = source.dtype == "float64" or (source.is_integer and source.dtype not in ("bool", "uint8", "int8", "int16"))
    return Round(Round(x, "float32") if narrow and wide else x, dtype)


def _cut_off(x: Expr, number: float, dtype: str) -> Expr:
    """A number without its fraction. The instructions of x86 (CVTTSS2SI, CVTTSD2SI) give the lowest integer for what an
    integer cannot hold."""
    bits = {"int64": 64, "int32": 32}.get(dtype)
    if bits is not None and not -(2.0 ** (bits - 1)) <= number < 2.0 ** (bits - 1):
        return Case(f"{dtype} cannot hold it", Num(-(2.0 ** (bits - 1))), "trunc(x)")
    return Call("trunc", (x,))


@rule("aten._to_copy", "aten.clone", "aten.contiguous", "aten.lift_fresh", "aten.lift_fresh_copy",
      "aten.view_as", "aten.positive")  # fmt: skip
def same_place(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ`, in the result's dtype."""
    return converted(c.t(0), i, c.out().dtype)


@rule("aten.copy")
def copy(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ` by broadcasting, y being what is overwritten, in its dtype."""
    source = c.t(1)
    tail = i[len(i) - len(source.shape) :] if source.shape else ()
    return converted(source, tuple(0 if n == 1 else k for k, n in zip(tail, source.shape, strict=True)), c.out().dtype)
