"""The step that a program has begun and not updated yet, as it stands between two cells of a notebook: it can be asked like
any other, and nothing of what the recording knows is changed by that."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from whygrad.capture.evict import memory_of
from whygrad.capture.freeze import Freezer
from whygrad.capture.raw import RawStep, Seen, tensors_of
from whygrad.recorder.build import build_step
from whygrad.recorder.names import seen_outputs
from whygrad.recorder.session import Session
from whygrad.trace.model import UNWRITTEN, Chunk, Name, Step, StepInfo
from whygrad.trace.store import StepSource

Tensor = torch.Tensor
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class OpenStep:
    """The open step as inert data; `freezer` made it, and has met what later steps may go on from."""

    raw: RawStep
    step: Step
    contents: dict[int, Array]
    freezer: Freezer
    forward: bool

    def info(self) -> StepInfo:
        """Its line in the run's index."""
        return StepInfo(self.raw.number, self.raw.first, self.raw.last, False, True, self.raw.held)


class WithOpen:
    """The steps of a run, the open one among them (a StepSource)."""

    def __init__(self, others: StepSource, step: OpenStep) -> None:
        self._others, self._open = others, step

    def load_step(self, number: int) -> Step:
        """See StepSource."""
        return self._open.step if number == self._open.step.number else self._others.load_step(number)

    def load_chunk(self, step: int, chunk: Chunk) -> Array | None:
        """See StepSource."""
        if step == self._open.step.number:
            return self._open.contents.get(chunk.id)
        return self._others.load_chunk(step, chunk)


def open_step(session: Session, freezer: Freezer, variables: Iterable[tuple[str, Any]]) -> OpenStep | None:
    """What was recorded since the last step ended; None where that is nothing, or nothing of it is kept. `freezer`, which
    must have met all steps before, stays as it is. `variables`: the program's, by name."""
    if not session.events or not session.keeping or not session.holding:
        return None
    session.modules.decide()
    end = session.index
    raw = RawStep(
        session.number,
        session._first,
        list(session.events),
        False,
        True,
        torch.get_num_threads(),
        session.held,
        session.cloned,
    )
    raw.last, raw.seen = end, [*_seen(session, end), *_variables(variables, end)]
    raw.writes = [each for each in session.writes.order if each[0] < end]
    branch = branched(freezer)
    step, contents = build_step(raw, branch)
    step = replace(step, names=tuple(each for each in step.names if not _is_old(each, step)))
    return OpenStep(raw, step, contents, branch, session._grad_op or session._had_backward)


def branched(freezer: Freezer) -> Freezer:
    """A freezer that knows what this one does, and goes on by itself."""
    branch = copy.copy(freezer)
    branch._storages = {key: copy.copy(each) for key, each in freezer._storages.items()}
    branch._shared = dict(freezer._shared)
    return branch


def _variables(variables: Iterable[tuple[str, Any]], end: int) -> list[Seen]:
    return [
        Seen(end, name, value.detach(), "variable")
        for name, value in variables
        if isinstance(value, Tensor) and value.layout is torch.strided
    ]


def _is_old(name: Name, step: Step) -> bool:
    """Whether a variable still holds what an earlier step made: the loss that was printed after its update, say."""
    return name.kind == "variable" and UNWRITTEN != step.values[name.value].version < step.first


def _seen(session: Session, end: int) -> list[Seen]:
    """Names up to now: as at a step's end, but that no update has taken place."""
    seen = [replace(each) for each in session._seen if each.index <= end]
    losses = [each for each in seen if each.kind == "loss"]
    for i, each in enumerate(losses[:-1]):
        each.text = f"loss_{i}"
    seen += seen_outputs(session._outputs, session.modules, end)
    for leaf in list(session._used.values()):
        name = session._name_of_leaf(leaf.tensor)
        since = session._since.get(id(leaf.tensor), session._backward_at or session._first)
        grad = leaf.tensor.grad if session._had_backward else None
        for text in (name, *session.modules.also(leaf.tensor)):
            seen.append(Seen(since, text, leaf.alias, "before", create=True))
            if grad is not None and grad.layout is torch.strided:
                seen.append(Seen(end, text, grad, "gradient", create=True))
    return seen


def prints_of(step: OpenStep) -> dict[int, tuple[Tensor, int]]:
    """A CRC-32 of all memory that the open step refers to, by storage."""
    found: dict[int, tuple[Tensor, int]] = {}
    for event in step.raw.events:
        for tensor in tensors_of(event):
            key = tensor.untyped_storage()._cdata
            if key not in found:
                found[key] = (tensor, print_of(tensor))
    return found


def print_of(tensor: Tensor) -> int:
    """A CRC-32 of the memory behind a tensor; 0 where it has none."""
    if tensor.device.type == "meta" or tensor._is_zerotensor() or tensor.layout is not torch.strided:
        return 0
    return zlib.crc32(memory_of(tensor).numpy().data)
