"""Ops that do to a complex tensor's real and imaginary parts what they do to a real tensor: movement, sums, sign.

Such an op needs no rule of its own: its rule for real tensors is asked about the part, every complex tensor of the call
standing as the real tensor of that part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Case, Expr, Neg, Num, Series, Var
from whygrad.rules.registry import COMPLEX, EVERY, Unruled, find_rule, rule
from whygrad.trace.model import Ref, Step, Value

_VIEWS = (
    "alias", "as_strided", "chunk", "detach", "diagonal", "expand", "expand_as", "flatten", "movedim", "narrow", "permute",
    "ravel", "reshape", "_reshape_alias", "select.int", "slice.Tensor", "split", "split_with_sizes", "squeeze", "swapaxes",
    "t", "transpose", "unbind", "unflatten", "unfold", "_unsafe_view", "unsqueeze", "view.default", "broadcast_to",
)  # fmt: skip
_MOVES = (
    "cat", "stack", "flip", "roll", "repeat", "tril", "triu", "select_backward", "slice_backward", "constant_pad_nd",
    "gather", "index_select", "index.Tensor", "_unsafe_index.Tensor", "index_put", "_index_put_impl", "scatter", "take",
    "scatter_add", "index_add", "index_copy", "index_fill", "masked_select", "masked_fill", "masked_scatter", "put",
    "diag_embed", "select_scatter", "slice_scatter", "diagonal_scatter", "as_strided_scatter", "unfold_backward", "rot90",
    "diagonal_backward", "view_copy", "embedding", "embedding_dense_backward", "clone", "contiguous", "lift_fresh",
    "lift_fresh_copy", "view_as", "positive", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
    "reflection_pad1d_backward", "reflection_pad2d_backward", "replication_pad1d", "replication_pad2d",
    "replication_pad3d", "new_zeros", "zeros_like", "zeros", "zero", "resolve_conj", "resolve_neg",
)  # fmt: skip
_LINEAR = ("sum", "mean", "cumsum", "trace", "nansum")


@dataclass
class PartCall(OpCall):
    """A call in which each complex tensor stands as the real tensor of one of its parts."""

    part: int = 0
    whole: Step | None = None

    def var(self, value: Value, index: Index) -> Var:
        return super().var(value, (*index, self.part) if self._of(value).is_complex else index)

    def series(self, value: Value, indices: np.ndarray[Any, Any]) -> Series:
        if self._of(value).is_complex:
            indices = np.column_stack([indices, np.full(len(indices), self.part)])
        return super().series(value, indices)

    def number(self, position: int, name: str = "", default: float = 0.0) -> Expr:
        """A number that fills: its part."""
        arg = self.arg(position, name, default)
        if isinstance(arg, Ref):
            return self.t(position, name)[()] if self._of(self.t(position, name).value).is_complex else self._real(arg)
        if not isinstance(arg, (int, float, complex)):
            raise TypeError(f"{self.op.name}: argument {position} is no number but {arg!r}")
        found = complex(arg)
        return Num(found.imag if self.part else found.real)

    def _real(self, arg: Ref) -> Expr:
        return Num(0) if self.part else self.var(self.step.values[arg.id], ())

    def _of(self, value: Value) -> Value:
        assert self.whole is not None
        return self.whole.values[value.id]


def part_of(value: Value, part: int) -> Value:
    """A part of a complex tensor as the real tensor that it is in memory; a real tensor as it is."""
    if not value.is_complex:
        return value
    return replace(
        value, shape=value.shape[:-1], stride=value.stride[:-1], offset=value.offset + part,
        form="neg" if value.form == "conj" and part else "",
    )  # fmt: skip


def by_parts(c: OpCall, i: Index) -> Expr:
    """`y.real = f(x.real)`, `y.imag = f(x.imag)`, f being what the op does to real tensors."""
    known = find_rule(c.op.name, c.output)
    result = _result(c)
    if known is None or not result.is_complex:
        raise Unruled(f"{c.op.kind} has no rule that its parts could follow")
    part = i[-1]
    values = {id: part_of(c.step.values[id], part) for id in _ids(c)}
    call = PartCall(
        c.trace,
        replace(c.step, values=values),
        c.op,
        c.constants,
        c.output,
        c.operands,
        c.tensors,
        c.weights,
        part,
        c.step,
    )
    return known.function(call, i[:-1])


def number_of(c: OpCall, position: int, name: str = "", default: float | None = None) -> complex:
    """A number argument. Raises Unruled when it is none."""
    found = c.arg(position, name, default)
    if not isinstance(found, (int, float, complex)):
        raise Unruled(f"argument {position} is no number")
    return complex(found)


def _ids(c: OpCall) -> list[int]:
    return [*c.op.refs(), *(v for v in (*c.op.outputs, *c.op.written) if v is not None)]


def _result(c: OpCall) -> Value:
    results = c.op.outputs if c.output < len(c.op.outputs) else c.op.written
    found = results[c.output]
    assert found is not None
    return c.step.values[found]


def _enter() -> None:
    for name in (*_VIEWS, *_MOVES, *_LINEAR):
        rule(f"{COMPLEX}aten.{name}", output=EVERY)(by_parts)


_enter()


@rule("aten._neg_view", "aten.resolve_neg")
@rule(f"{COMPLEX}aten.view_as_real", f"{COMPLEX}aten.view_as_complex", f"{COMPLEX}aten._neg_view", output=EVERY)
def same_memory(c: OpCall, i: Index) -> Expr:
    """A complex number lies in memory as its real and its imaginary part: `y[…, 0] = x.real`, `y[…, 1] = x.imag`."""
    x, y = c.t(0), c.out()
    found = x.value.index_at(y.value.location(i)) if x.value.storage == y.value.storage else i
    if found is None:
        raise ValueError(f"{c.op.name}: element {i} of the view is no element of what it views")
    shown = x[found]
    return shown if x.value.negates(found) == y.value.negates(i) else Neg(shown)


@rule(f"{COMPLEX}aten._conj", f"{COMPLEX}aten._conj_physical", f"{COMPLEX}aten.conj_physical", f"{COMPLEX}aten.conj")
def conj(c: OpCall, i: Index) -> Expr:
    """`y.real = x.real`, `y.imag = −x.imag`."""
    if not c.has(0):
        number = number_of(c, 0)
        return Num(-number.imag if i[-1] else number.real)
    x = c.t(0)[i]
    return Neg(x) if i[-1] else x


@rule(f"{COMPLEX}aten.real", f"{COMPLEX}aten.imag")
def part(c: OpCall, i: Index) -> Expr:
    """The real or the imaginary part."""
    return c.t(0)[(*i, int(c.op.kind.endswith("imag")))]


@rule(f"{COMPLEX}aten.complex")
def joined(c: OpCall, i: Index) -> Expr:
    """`y.real = a`, `y.imag = b`."""
    return c.t(i[-1]).broadcast(i[:-1])


_SOURCES = {
    "_to_copy": 0, "scalar_tensor": 0, "copy": 1, "fill": 1, "full": 1, "full_like": 1, "new_full": 1,
}  # fmt: skip
"""By op, the argument that it takes the number from."""


@rule(*(f"{COMPLEX}aten.{name}" for name in _SOURCES))
def converted(c: OpCall, i: Index) -> Expr:
    """To another dtype, part by part: a real number's imaginary part is 0, and of a complex one made real the real part is
    kept."""
    position = _SOURCES[c.op.kind.removeprefix("aten.").removesuffix("_")]
    is_complex = _result(c).is_complex
    place, part = (i[:-1], i[-1]) if is_complex else (i, 0)
    if not c.has(position):
        number = number_of(c, position)
        return Num(number.imag if part else number.real)
    x = c.t(position)
    if not x.value.is_complex:
        return Case("it was real", Num(0), "its imaginary part") if part else x.broadcast(place)
    shape = x.shape[:-1]
    tail = place[len(place) - len(shape) :] if shape else ()
    return x[(*(0 if n == 1 else k for k, n in zip(tail, shape, strict=True)), part)]


@rule(f"{COMPLEX}aten.ones_like", f"{COMPLEX}aten.ones", f"{COMPLEX}aten.new_ones", f"{COMPLEX}aten.eye")
def one(c: OpCall, i: Index) -> Expr:
    """1, or 0 off a unit matrix's diagonal; the imaginary part is 0."""
    unit = c.op.kind != "aten.eye" or i[0] == i[1]
    return Num(float(unit and not i[-1]))
