"""Every step of a lab as a Trace: a step is run again under the recorder when it is asked for, and compared bit for bit with
what the training left."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

import whygrad
from whygrad.errors import WhygradError
from whygrad.explain.why import Explainer
from whygrad.play.lab import TORCH, Instance, Lab
from whygrad.trace.history import Column, History
from whygrad.trace.model import UNWRITTEN, Chunk, RunInfo, Step, StepInfo
from whygrad.trace.store import Trace

Array = np.ndarray[Any, Any]
STRIDE = 1 << 16
"""Op indices and storages of a step begin at its number times this; no step here has as many."""
_OWN = 4096
"""Where the storages of a step's own begin; persistent ones come before, in all steps alike."""
_AROUND = 10_000
"""An Explainer knows so many steps on both sides of one that was asked."""
_MOST_LOADED = 400
"""So many steps an Explainer holds; then it begins anew."""
_BEFORE = {"before": "parameter", "state_before": "state"}
Key = tuple[str, str, str]


class NotTheSame(WhygradError):
    """A step run again gave other bits than it did in training: its numbers cannot be explained."""


@dataclass
class Recorded:
    """A StepSource (`trace/store.py`) over a lab. Persistent memory (parameters, optimizer state) bears the same storage
    number in every step, and its version is the op that wrote it in the step before; so the way back leads from step to
    step as if all had been recorded together."""

    lab: Lab
    info: RunInfo | None = None
    columns: History | None = None
    _instance: Instance | None = None
    _storages: dict[Key, int] = field(default_factory=dict[Key, int])
    _wrote: dict[int, dict[Key, int]] = field(default_factory=dict[int, dict[Key, int]])
    _contents: dict[tuple[int, int], Array | None] = field(default_factory=dict[tuple[int, int], "Array | None"])
    _steps: dict[int, Step] = field(default_factory=dict[int, Step])

    def load_step(self, number: int) -> Step:
        """See StepSource. Raises NotTheSame."""
        if number not in self._steps:
            with TORCH:
                trace = self._run_again(number)
                for chunk in trace.step(0).chunks:
                    self._contents[number, chunk.id] = trace.source.load_chunk(0, chunk)
                self._steps[number] = self._as_step(number, trace.step(0))
        return self._steps[number]

    def load_chunk(self, step: int, chunk: Chunk) -> Array | None:
        """See StepSource."""
        return self._contents.get((step, chunk.id))

    @property
    def loaded(self) -> int:
        """How many steps are held."""
        return len(self._steps)

    def _run_again(self, number: int) -> Trace:
        """Step `number` under the recorder, as step 0 of a run of its own."""
        lab = self.lab
        if self._instance is None:
            self._instance = Instance(lab.program)
        instance = self._instance
        try:
            lab.bring(instance, number)
            x, target = lab.program.batch(number)
            instance.fresh = False
            with whygrad.record() as run:
                lab.program.run(instance.net, instance.optimizer, x, target)
                lab.apply(instance, lab.changes.get(number, ()))
        finally:
            lab.set_as_before(lab.live, lab.step)
        self._compare(number, instance)
        trace = run.trace
        if self.info is None:
            self.info, self.columns = trace.info, trace.history
        self._wrote[number] = _last_writes(trace.step(0))
        return trace

    def _compare(self, number: int, instance: Instance) -> None:
        row = self.lab.snapshots.row(number + 1)
        for views, kept in zip(instance.views(), row or (), strict=row is not None):
            again = torch.cat(views)
            if not torch.equal(again.view(torch.uint8), kept[: again.numel()].view(torch.uint8)):
                raise NotTheSame(
                    f"step {number}, run again, gave other bits than in training; its numbers are not explained."
                )

    def _before(self, number: int) -> dict[Key, int]:
        """By which op of the step before persistent memory was written last, counted from that step's first."""
        if number == 0:
            return {}
        if number in self.lab.changes or number - 1 in self.lab.changes:
            if number - 1 not in self._wrote:
                self._run_again(number - 1)
            return self._wrote[number - 1]
        return self._wrote[number]  # every step runs the same ops

    def _as_step(self, number: int, found: Step) -> Step:
        """One recording of one step → step `number` of the whole."""
        keys, first, before = _persistent(found), number * STRIDE, self._before(number)
        for key in sorted(keys.values()):
            self._storages.setdefault(key, len(self._storages))

        def moved(each: Any) -> Any:
            key = keys.get(each.storage)
            storage = first + _OWN + each.storage if key is None else self._storages[key]
            if each.version != UNWRITTEN:
                version = first + each.version
            else:
                known = None if key is None else before.get(key)
                version = UNWRITTEN if known is None else first - STRIDE + known
            return replace(each, storage=storage, version=version)

        return replace(
            found,
            number=number,
            first=first,
            last=first + len(found.ops),
            ops=tuple(replace(op, index=first + op.index) for op in found.ops),
            values={key: moved(value) for key, value in found.values.items()},
            chunks=tuple(moved(chunk) for chunk in found.chunks),
        )


def _persistent(step: Step) -> dict[int, Key]:
    """Storages that live on from step to step, with what they are."""
    return {
        step.values[name.value].storage: (_BEFORE.get(name.kind, name.kind), name.of, name.text)
        for name in step.names
        if name.kind in ("before", "parameter", "state_before", "state")
    }


def _last_writes(step: Step) -> dict[Key, int]:
    keys, last = _persistent(step), dict[Key, int]()
    for value in step.values.values():
        key = keys.get(value.storage)
        if key is not None and value.version > last.get(key, UNWRITTEN):
            last[key] = value.version
    return last


class Asker:
    """A lab's Explainer: knows all steps that were trained, and forgets what is not true any more."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._epoch = -1
        self._first = 0
        self._recorded: Recorded | None = None
        self._explainer: Explainer | None = None

    def explainer(self, address: str = "") -> Explainer:
        """The Explainer over the steps trained so far; of a long training, over those around the step of `address`."""
        done = max(1, self.lab.done)  # step 0 is known before it is trained: it tells what things are called
        step = step_of(address, done)
        recorded, found = self._recorded, self._explainer
        stale = recorded is None or self._epoch != self.lab.epoch or recorded.loaded > _MOST_LOADED
        if stale or found is None or not self._first <= step < self._first + 2 * _AROUND:
            recorded = self._recorded = Recorded(self.lab)
            self._epoch, self._first = self.lab.epoch, max(0, step - _AROUND)
            found = self._explainer = Explainer(Trace(RunInfo(), [], History(), recorded))
        index = found.trace.index
        index += [
            StepInfo(number, number * STRIDE, (number + 1) * STRIDE, True, True)
            for number in range(self._first + len(index), min(done, self._first + 2 * _AROUND + 2))
        ]
        return found

    def columns(self) -> list[Column]:
        """The columns that recording gives the table."""
        found = self._known().columns
        return [] if found is None else found.columns

    def info(self) -> RunInfo:
        """Where the training runs."""
        return replace(self._known().info or RunInfo(), script=self.lab.program.name, seed=self.lab.config.seed)

    def _known(self) -> Recorded:
        """What recorded at least one step."""
        recorded = self._recorded
        if recorded is None or recorded.info is None:
            self.explainer("@0").trace.step(0)
            recorded = self._recorded
        assert recorded is not None
        return recorded


def step_of(address: str, done: int) -> int:
    """The step in which an address stands; the last one where it does not say."""
    text = address.rpartition("@")[2] if "@" in address else ""
    step = int(text) if text.lstrip("-").isdecimal() and len(text) < 12 else 0 if text == "init" else done - 1
    return min(max(step, 0), done - 1)
