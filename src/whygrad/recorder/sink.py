"""From a program that trains to a file, while it trains.

Every half second a thread freezes the steps that were closed since and appends them to the file. Freezing
holds the session's lock, a step at a time, so the program waits only when it is about to overwrite what is
being read; writing holds none. When too much waits, or the program stops copying what it overwrites, the
program's own thread freezes.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode

from whygrad.capture.freeze import Freezer
from whygrad.capture.raw import RawStep
from whygrad.recorder.build import build_step
from whygrad.recorder.policy import Keep
from whygrad.recorder.session import Session
from whygrad.trace.file import RunWriter
from whygrad.trace.model import Step, StepInfo
from whygrad.trace.statistics import Numbers
from whygrad.trace.statistics_step import step_statistics

Array = np.ndarray[Any, Any]
MOST_WAITING = 256 << 20
"""Bytes of recorded steps that may wait for the thread."""
_EVENT_BYTES = 1500
_alive: weakref.WeakSet[Sink] = weakref.WeakSet()


@dataclass(slots=True)
class _Frozen:
    info: StepInfo
    step: Step | None
    contents: dict[int, Array]
    raw: RawStep

    def statistics(self) -> dict[str, Numbers]:
        """Of the step's tensors."""
        taken = self.raw.take_statistics()
        if taken is not None or self.step is None:
            return taken or {}
        return step_statistics(self.step, self.contents, self.raw.stands, self.raw.grads)


class SavedSession(Session):
    """A Session that tells its sink of each step."""

    sink: Sink | None = None

    def on_closed(self, step: RawStep) -> None:
        if self.sink is not None:
            self.sink.admitted(step)

    def drop_step(self) -> None:
        # From here on nothing that this step overwrites may be copied: what waits must be read now.
        if self.sink is not None:
            self.sink.freeze(undecided=True)
        super().drop_step()


class Sink:
    """Ties a session to a writer. `finish` ends it; a program that ends without it is finished at exit."""

    def __init__(self, session: SavedSession, writer: RunWriter, refresh: Callable[[Sink], None] | None = None) -> None:
        self.session, self.writer = session, writer
        self.ops = self.complete = self.kept = self.kept_complete = 0
        self.last_kept: Step | None = None
        self.failed = ""
        self._refresh = refresh
        self.pid = os.getpid()
        self._freezer = Freezer(session.writes, session.modules.path, session.keep.budget)
        self._frozen: deque[_Frozen] = deque()
        self._waiting = 0
        self._write_lock = threading.Lock()
        self._stop = threading.Event()
        self._done = False
        self._thread = threading.Thread(target=self._run, name="whygrad", daemon=True)
        session.sink = self

    @classmethod
    def open(cls, keep: Keep, writer: RunWriter, refresh: Callable[[Sink], None] | None = None) -> Sink:
        """A sink with a session of its own, not entered yet; its thread runs."""
        sink = cls(SavedSession(keep), writer, refresh)
        _alive.add(sink)
        atexit.register(sink.finish, "killed")
        sink._thread.start()
        return sink

    def admitted(self, step: RawStep) -> None:
        """A step was closed (by the program's thread, which holds the session's lock)."""
        if os.getpid() != self.pid:
            return
        self._waiting += _weight(step)
        if not self.session.keeping or self._waiting > MOST_WAITING:
            self.freeze()
            if self._waiting > MOST_WAITING:
                self.write()

    def freeze(self, undecided: bool = False) -> None:
        """Make closed steps into inert data, in order. A step that is kept only for being among the last
        waits, unless `undecided`: whether it stays one of the last is not known yet."""
        session = self.session
        while True:
            with session.lock:
                if not session.closed:
                    return
                raw = session.closed[0]
                if raw.keep and not raw.counted and not undecided:
                    return
                session.closed.popleft()
                self._freeze_one(raw)

    def _freeze_one(self, raw: RawStep) -> None:
        weight = _weight(raw)
        info = StepInfo(raw.number, raw.first, raw.last, raw.complete, False, 0, raw.why_not)
        frozen = _Frozen(info, None, {}, raw)
        if raw.keep and not self.failed:
            try:
                frozen.step, frozen.contents = build_step(raw, self._freezer)
                self._settle_budget(raw, frozen)
            except Exception as error:  # a step that cannot be frozen must not stop the program
                frozen = _Frozen(replace(info, why_not="error"), None, {}, raw)
                self._report(f"step {raw.number} could not be recorded: {type(error).__name__}: {error}")
        else:
            self._freezer.skip(raw)
        size = sum(data.nbytes for data in frozen.contents.values())
        self._waiting += size - weight
        self.session.waiting -= raw.later_bytes
        raw.events, raw.seen = [], []
        self.session.writes.forget(raw.first, raw.last, {key for _, key in raw.writes}, None)
        self._frozen.append(frozen)

    def _settle_budget(self, raw: RawStep, frozen: _Frozen) -> None:
        """The budget was charged an estimate; what the step takes is known now."""
        if raw.counted:
            exact = sum(data.nbytes for data in frozen.contents.values())
            self.session.keeper.kept_bytes += exact - raw.held
            raw.held, raw.exact = exact, True

    def write(self) -> None:
        """Append what is frozen, and the rows of the table."""
        with self._write_lock:
            if self._done or os.getpid() != self.pid:
                return
            try:
                self._write()
            except Exception as error:
                self.failed = f"{type(error).__name__}: {error}"
                self._report(f"from here on nothing is saved to {self.writer.path}: {error}")

    def _write(self) -> None:
        if self.failed:
            self._frozen.clear()
            self._waiting = 0
            self._take_rows()
            return
        # Rows first: of a killed program there may be a row too many, but no step without its row.
        self.writer.write_rows([(row.step, row.cells()) for row in self._take_rows()])
        skipped: list[StepInfo] = []
        statistics: list[tuple[int, dict[str, Numbers]]] = []
        while self._frozen:
            frozen = self._frozen.popleft()
            self.ops = frozen.info.last
            self.complete += frozen.info.complete
            if frozen.info.complete:
                statistics.append((frozen.info.number, frozen.statistics()))
            if frozen.step is None:
                skipped.append(frozen.info)
            else:
                self.writer.write_step(frozen.step, frozen.contents, frozen.info)
                self._waiting -= sum(data.nbytes for data in frozen.contents.values())
                self.kept += 1
                self.kept_complete += frozen.info.complete
                if frozen.info.complete or self.last_kept is None:
                    self.last_kept = frozen.step
        self.writer.write_index(skipped)
        self.writer.write_statistics(statistics)
        for note in list(self.session.notes):
            self.writer.note(note)
        if self._refresh is not None:
            self._refresh(self)

    def _take_rows(self) -> list[Any]:
        rows = self.session.rows
        taken = rows[:]
        del rows[: len(taken)]
        return taken

    def flush(self) -> None:
        """Freeze and write all that is decided."""
        self.freeze()
        self.write()

    def finish(self, status: str) -> None:
        """Write the rest and close the file. Does nothing the second time, or in a forked child."""
        if self._done or os.getpid() != self.pid:
            return
        if _get_current_dispatch_mode() is self.session:
            self.session.__exit__(None, None, None)
        self._stop.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()
        self.freeze(undecided=True)
        self.write()
        with self._write_lock:
            self._done = True
            atexit.unregister(self.finish)
            try:
                if self.failed:
                    self.writer.abandon()
                else:
                    self.writer.close(status)
            except Exception as error:
                self.failed = f"{type(error).__name__}: {error}"
                self._report(f"{self.writer.path} could not be closed: {error}")

    def _run(self) -> None:
        # The first flush should not have to wait for it.
        import pyarrow as _  # noqa: F401

        while not self._stop.wait(0.5):
            try:
                self.flush()
            except Exception as error:
                self._report(f"saving failed: {type(error).__name__}: {error}")

    def _report(self, text: str) -> None:
        """Say it on stderr, the first time."""
        if text not in self.session.notes:
            self.session.note(text)
            if sys.stderr is not None:
                sys.stderr.write(f"whygrad: {text}\n")

    def leave_child(self) -> None:
        """In a forked child: nobody watches there, and the parent's file is none of its business."""
        session = self.session
        session.lock = threading.RLock()
        self._write_lock = threading.Lock()
        session.sink = None
        if _get_current_dispatch_mode() is session:
            TorchDispatchMode.__exit__(session, None, None, None)
        for handle in session._handles:
            handle.remove()
        self.writer.abandon()


def _weight(raw: RawStep) -> int:
    return raw.held + _EVENT_BYTES * len(raw.events) if raw.keep else 0


def _after_fork() -> None:
    for sink in list(_alive):
        sink.leave_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
