"""Ops over lists of tensors. On the CPU each element of the list is computed by the plain op, one after the other
(aten/src/ATen/native/ForeachOpsKernels.cpp), so its mathematics, its width and its order of summation are that op's.
"""

from __future__ import annotations

from dataclasses import replace

from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Bin, Expr
from whygrad.rules.pointwise import stored
from whygrad.rules.registry import rule
from whygrad.trace.model import Arg, Op

_PREFIX = "aten._foreach_"
_POINTWISE = frozenset({"addcmul", "addcdiv"})
_BINARY = frozenset({"add", "sub", "mul", "div", "maximum", "minimum", "clamp_min", "clamp_max", "pow", "copy"})
_BY_SCALAR = {"maximum": "clamp_min", "minimum": "clamp_max"}


def element_op(op: Op, position: int) -> tuple[Op, int]:
    """What computed result `position` of a foreach op: the plain op on that element of its lists, and which of its results
    it is. Any other op, and one whose plain form is not known, as it is."""
    if not op.name.startswith(_PREFIX):
        return op, position
    base, _, overload = op.name.removeprefix(_PREFIX).partition(".")
    in_place = base.endswith("_")
    base = base.rstrip("_")
    plain = _plain(base, overload, _of_element(op, position))
    if plain is None:
        return op, position
    name, args, kwargs = plain
    name = f"{name.partition('.')[0]}{'_' if in_place else ''}.{name.partition('.')[2]}"
    outputs = op.outputs[position : position + 1]
    written = (op.written[position],) if position < len(op.written) else ()
    return replace(op, name=f"aten.{name}", args=args, kwargs=kwargs, outputs=outputs or written, written=written), 0


def _of_element(op: Op, position: int) -> tuple[tuple[Arg, ...], tuple[tuple[str, Arg], ...]]:
    def pick(arg: Arg) -> Arg:
        return arg[position] if isinstance(arg, tuple) and position < len(arg) else arg

    return tuple(pick(arg) for arg in op.args), tuple((key, pick(arg)) for key, arg in op.kwargs)


def _plain(
    base: str, overload: str, arguments: tuple[tuple[Arg, ...], tuple[tuple[str, Arg], ...]]
) -> tuple[str, tuple[Arg, ...], tuple[tuple[str, Arg], ...]] | None:
    args, kwargs = arguments
    by_number = overload in ("Scalar", "ScalarList")
    if base in _POINTWISE:
        if overload == "Tensor":
            return None  # the factors are elements of one tensor
        value = args[3] if len(args) > 3 else dict(kwargs).get("value", dict(kwargs).get("scalars", 1))
        return f"{base}.default", args[:3], (("value", value),)
    if base == "lerp":
        return ("lerp.Tensor" if overload == "List" else "lerp.Scalar"), args, kwargs
    if base == "norm":
        return "linalg_vector_norm.default", args[:2], kwargs
    if base == "pow":
        found = {"List": "Tensor_Tensor", "ScalarAndTensor": "Scalar"}.get(overload, "Tensor_Scalar")
        return f"pow.{found}", args, ()
    if base == "copy":
        return "copy.default", args, kwargs
    if base in _BINARY:
        name = _BY_SCALAR.get(base, base) if by_number else base
        if base in ("add", "sub", "mul", "div"):
            return f"{name}.{'Scalar' if by_number else 'Tensor'}", args, kwargs
        return f"{name}.default", args, kwargs
    return f"{base}.default", args, kwargs


@rule("aten.mul_.Scalar")
def mul_in_place(c: OpCall, i: Index) -> Expr:
    """`xᵢ·value`: called in C++ alone (native/BinaryOps.cpp), with the number as left operand, which a 16-bit kernel keeps
    in the dtype."""
    return Bin("*", stored(c.number(1), c.out().dtype), c.t(0)[i])
