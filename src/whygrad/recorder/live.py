"""A run still in memory, as a Trace that can be asked."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.capture.freeze import Freezer, geometry
from whygrad.capture.raw import RawStep
from whygrad.recorder.build import build_step
from whygrad.recorder.session import Session
from whygrad.trace.history import History
from whygrad.trace.model import Chunk, RunInfo, Step, StepInfo, Value
from whygrad.trace.statistics import Numbers, Statistics
from whygrad.trace.statistics_step import step_statistics
from whygrad.trace.store import Trace, uncollected

Array = np.ndarray[Any, Any]


class LiveRun:
    """Freezes a session's steps when they are asked for, in order, and keeps them as numpy arrays."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._freezer = Freezer(session.writes, session.modules.path, session.keep.budget)
        self._steps: dict[int, Step] = {}
        self._contents: dict[int, dict[int, Array]] = {}
        self._done = 0
        self._statistics: dict[int, dict[str, Numbers]] = {}

    def trace(self, info: RunInfo) -> Trace:
        """The run up to now. Steps that are still being recorded are not part of it."""
        session = self.session
        with session.lock, uncollected():
            closed = list(session.closed)
            for raw in closed[self._done :]:
                if raw.keep:
                    step, contents = build_step(raw, self._freezer)
                    self._steps[raw.number], self._contents[raw.number] = step, contents
                    raw.events, raw.seen = [], []
                    session.writes.forget(raw.first, raw.last, {key for _, key in raw.writes}, None)
                else:
                    self._freezer.skip(raw)
            self._done = len(closed)
        index = [
            StepInfo(raw.number, raw.first, raw.last, raw.complete, raw.number in self._steps, raw.held, raw.why_not)
            for raw in closed
        ]
        return Trace(info, index, self.history(), self, load_statistics=lambda: self.statistics(closed))

    def adopt(self, raw: RawStep, step: Step, contents: dict[int, Array], freezer: Freezer) -> None:
        """Take in the session's last closed step, which was made inert by `freezer`; that has met all steps before it."""
        self._freezer, self._done = freezer, len(self.session.closed)
        if raw.keep:
            self._steps[raw.number], self._contents[raw.number] = step, contents
        raw.events, raw.seen = [], []
        self.session.writes.forget(raw.first, raw.last, {key for _, key in raw.writes}, None)

    def history(self) -> History:
        """The table, of all steps."""
        history = History()
        for row in self.session.rows:
            history.add(row.step, row.cells())
        return history

    def statistics(self, closed: list[RawStep]) -> Statistics:
        """Of the tensors of all finished steps; those of kept steps are worked out here, when they are first asked for."""
        found = Statistics()
        for raw in closed:
            if not raw.complete:
                continue
            row = raw.take_statistics() or self._statistics.get(raw.number)
            if row is None and raw.number in self._steps:
                step, contents = self._steps[raw.number], self._contents[raw.number]
                row = self._statistics[raw.number] = step_statistics(step, contents, raw.stands, raw.grads)
            found.add(raw.number, row or {})
        return found

    def address_of(self, tensor: Any, trace: Trace) -> tuple[int, Value] | None:
        """The latest step that knows a live tensor, and its Value there; None when no recorded op met it."""
        storage = self._freezer.storage_id(tensor)
        if storage is None:
            return None
        looks = geometry(tensor)
        for info in reversed(trace.index):
            if info.kept:
                for value in reversed(self._steps[info.number].values.values()):
                    found = (value.dtype, value.shape, value.stride, value.offset, value.form)
                    if value.storage == storage and found == looks:
                        return info.number, value
        return None

    def load_step(self, number: int) -> Step:
        """See StepSource."""
        return self._steps[number]

    def load_chunk(self, step: int, chunk: Chunk) -> Array | None:
        """See StepSource."""
        return self._contents[step].get(chunk.id)
