"""From what a cell ended with, or a variable of its user, to the number that the recording knows it by."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whygrad.errors import AddressError, ValueDropped
from whygrad.explain.addresses import parse
from whygrad.explain.why import Explainer
from whygrad.trace.model import UNWRITTEN, Op, Ref, Step, Value

if TYPE_CHECKING:
    from whygrad.explain.places import Place
    from whygrad.recorder.continued import Continued
    from whygrad.trace.store import Trace

_VARIABLE = re.compile(r"(?P<name>[^\W\d]\w*(?:\.\w+)*?)(?P<index>\[[-\d,\s]*\])?(?P<grad>\.grad)?")
_READ = "aten._local_scalar_dense"


def place_of(
    recording: Continued, explainer: Explainer, thing: Any, index: tuple[int, ...] | None = None
) -> Place | None:
    """Where a live number stands in the record of `explainer`: a tensor's element, or a number that `.item()` gave. None
    where the record knows no such number, or another than is there now."""
    import torch

    if isinstance(thing, torch.Tensor):
        return _of_tensor(recording, explainer, thing, index)
    if isinstance(thing, (int, float)) and not isinstance(thing, bool):
        return _of_number(explainer, float(thing))
    return None


def _of_tensor(recording: Continued, explainer: Explainer, tensor: Any, index: tuple[int, ...] | None) -> Place | None:
    import torch

    if tensor.layout is not torch.strided or tensor.is_complex() or tensor.device.type == "meta":
        return None
    if index is None:
        if tensor.numel() != 1:
            return None
        index = tuple(0 for _ in tensor.shape)
    if len(index) != tensor.dim() or any(not -n <= i < n for i, n in zip(index, tensor.shape, strict=True)):
        raise AddressError(f"no element {list(index)} in a tensor of shape {tuple(tensor.shape)}.")
    index = tuple(i % n for i, n in zip(index, tensor.shape, strict=True))
    now = float(tensor.detach()[index].item())

    def fits(step: Step, value: Value) -> bool:
        return _same(_number(explainer.trace, step, value, index), now)

    found = recording.showing(tensor.detach(), fits)
    return None if found is None else _where_made(explainer, *found, index)


def _of_number(explainer: Explainer, number: float) -> Place | None:
    """What the last `.item()` that gave it read; of the two last steps."""
    kept = [info.number for info in explainer.trace.index if info.kept][-2:]
    for step in (explainer.trace.step(each) for each in reversed(kept)):
        for op in reversed(step.ops):
            if op.name.startswith(_READ) and isinstance(op.result, (int, float)) and _same(float(op.result), number):
                read = _read(op)
                if read is not None:
                    value = step.values[read]
                    return _where_made(explainer, step, value, tuple(0 for _ in value.shape))
    return None


def _where_made(explainer: Explainer, step: Step, value: Value, index: tuple[int, ...]) -> Place:
    """The place of a number in the step that made it: a loss that is read after its step's update is that step's."""
    made = None if value.version == UNWRITTEN else explainer.trace.step_of_op(value.version)
    if made is not None and made.kept and made.number < step.number:
        looks = (value.storage, value.version, value.dtype, value.shape, value.stride, value.offset, value.form)
        for each in explainer.trace.step(made.number).values.values():
            if looks == (each.storage, each.version, each.dtype, each.shape, each.stride, each.offset, each.form):
                return explainer.at(made.number, each, index)
    return explainer.at(step.number, value, index)


def _read(op: Op) -> int | None:
    return op.args[0].id if op.args and isinstance(op.args[0], Ref) else None


def _number(trace: Trace, step: Step, value: Value, index: tuple[int, ...]) -> float | None:
    try:
        return float(trace.content(step, value)[index])
    except ValueDropped:
        return None


def _same(one: float | None, other: float) -> bool:
    """Whether two numbers have the same bits, NaNs aside."""
    if one is None:
        return False
    return struct.pack("d", one) == struct.pack("d", other) or (math.isnan(one) and math.isnan(other))


def variable(namespace: dict[str, Any], text: str) -> tuple[Any, tuple[int, ...] | None] | None:
    """The tensor that `model.fc1.weight[0,0].grad` names in the user's namespace, and the index; None where there is none.
    Looked up, through modules' own parts alone: nothing of it is evaluated."""
    import torch

    match = _VARIABLE.fullmatch(text.replace(" ", ""))
    if match is None:
        return None
    first, *path = match["name"].split(".")
    thing: Any = namespace.get(first)
    for part in path:
        if not isinstance(thing, torch.nn.Module):
            return None
        parts = {**thing._modules, **thing._parameters, **thing._buffers}
        thing = parts.get(part)
    thing = thing.grad if match["grad"] and isinstance(thing, torch.Tensor) else thing
    index = None if match["index"] is None else tuple(int(i) for i in match["index"][1:-1].split(",") if i)
    return (thing, index) if isinstance(thing, torch.Tensor) else None


def earlier(trace: Trace, address: str) -> list[str]:
    """An address that names no step, in the steps before the last: a notebook goes on to the next step while the number is
    still that of the step before."""
    parsed = parse(address)
    if parsed.step is not None:
        return []
    kept = [info.number for info in trace.index if info.kept]
    return [replace(parsed, step=number).spelled() for number in (*reversed(kept[-3:-1]), -1)]
