"""The prediction's tensor of a step that is about to be dropped: found once per program shape, looked up afterwards."""

from __future__ import annotations

import torch

from whygrad.capture.freeze import Freezer
from whygrad.capture.raw import RawStep
from whygrad.capture.tape import Writes
from whygrad.trace.analysis import analyse

Tensor = torch.Tensor


class Predictions:
    """Where the prediction stands on the tape, by the sequence of ops."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[int, int] | None] = {}

    def of(self, step: RawStep) -> Tensor | None:
        """A tensor with the numbers of the step's prediction, or None when there is none."""
        shape = hash(tuple([id(event.info) for event in step.events]))
        if shape not in self._places:
            self._places[shape] = _place(step)
        place = self._places[shape]
        if place is None:
            return None
        out = step.events[place[0]].out
        tensor = out[place[1]] if isinstance(out, (list, tuple)) else out  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(tensor, Tensor) or tensor.device.type == "meta":  # of a large result, which was let go
            return None
        return tensor.detach()


def _place(step: RawStep) -> tuple[int, int] | None:
    frozen = Freezer(Writes()).freeze(step, contents=False)
    found = analyse(frozen.ops, frozen.values, frozen.names)
    prediction = next((name for name in found.names if name.kind == "prediction"), None)
    if prediction is None:
        return None
    value = frozen.values[prediction.value]
    for position, op in enumerate(found.ops):
        for i, out in enumerate(op.outputs):
            if out is not None and frozen.values[out].id == value.id:
                return position, i
    return None
