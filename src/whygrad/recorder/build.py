"""A recorded step made into inert data: frozen, then told apart into forward, loss, backward and optimizer,
and named."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.capture.freeze import Freezer
from whygrad.capture.raw import RawStep
from whygrad.trace.analysis import analyse
from whygrad.trace.model import Step

Array = np.ndarray[Any, Any]


def build_step(raw: RawStep, freezer: Freezer) -> tuple[Step, dict[int, Array]]:
    """The step as data, and the content of its chunks (chunk id → bytes as a 1-D uint8 array).

    Steps must come in the order in which they ran, those not kept through `freezer.skip`. The caller holds
    the session's lock: contents are read from memory that the program goes on writing.
    """
    frozen = freezer.freeze(raw)
    found = analyse(frozen.ops, frozen.values, frozen.names)
    step = Step(
        raw.number,
        raw.first,
        raw.last,
        raw.complete,
        found.ops,
        frozen.values,
        frozen.chunks,
        found.names,
        raw.threads,
        tuple(raw.notes),
        frozen.dropped,
    )
    return step, frozen.contents
