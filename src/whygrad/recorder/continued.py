"""A recording that is left and entered again, as the cells of a notebook go: one run, its steps numbered on, its names kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from whygrad.capture.freeze import Freezer, geometry
from whygrad.errors import WhygradError
from whygrad.recorder.names import scan_space
from whygrad.recorder.open_step import OpenStep, WithOpen, open_step, print_of, prints_of
from whygrad.recorder.record import Recording
from whygrad.recorder.session import is_recording
from whygrad.recorder.tracebacks import as_unwatched
from whygrad.trace.model import Step, Value
from whygrad.trace.store import Trace

Tensor = torch.Tensor
_MOST_PRINTED = 1 << 28
"""Bytes of parameters whose content is compared when the recording goes on; of larger ones, what torch counts."""

CHANGED = (
    "{names} changed before step {step}, in a cell without %%why. The numbers before and after are recorded, the change "
    "itself has no explanation."
)
CUT = (
    "step {step} had begun, and numbers that it stands on changed in a cell without %%why: it ends there, without an update; "
    "what follows is step {next}."
)


@dataclass(frozen=True)
class _Parameter:
    """A parameter as a cell left it."""

    tensor: Tensor
    name: str
    version: int
    pointer: int
    print: int | None

    def changed(self) -> bool:
        """Whether something wrote it, or gave it other memory, since."""
        tensor = self.tensor
        if tensor.data_ptr() != self.pointer:
            return True
        return tensor._version != self.version if self.print is None else print_of(tensor) != self.print


class Continued(Recording):
    """Watches from each `start` to the next `pause`. In between, `trace` is what was recorded up to then; the step that was
    begun and not updated is its last one, incomplete."""

    def __init__(self, steps: str, budget: int | str) -> None:
        super().__init__(steps, budget)
        self.open: OpenStep | None = None
        self._whole: Trace | None = None
        self._prints: dict[int, tuple[Tensor, int]] = {}
        self._left: list[_Parameter] = []

    def start(self) -> None:
        """Begin to watch, or go on; what changed in between is noted. Raises WhygradError when this thread is watched."""
        if is_recording():
            raise WhygradError("this program is being recorded already; leave the inner record() out.")
        self._notice()
        self.status = "running"
        self.session.__enter__()

    def pause(self, error: BaseException | None, namespace: dict[str, Any]) -> None:
        """Watch no longer, and make what was recorded inert. `namespace`: the program's variables, whose names are taken."""
        session = self.session
        session.leave()
        self.status = "ok" if error is None else "exception"
        if error is not None:
            as_unwatched(error)
        self._trace = self._whole = None
        variables = list(scan_space(namespace))
        session.look_at([each for each in variables if not _is_plain(each[1])])
        closed = self._live_trace(self._told())
        self.open = open_step(session, self._live._freezer, variables)
        self._prints = {} if self.open is None else prints_of(self.open)
        self._left = self._parameters()
        self._whole = closed if self.open is None else _with(closed, self.open)
        shown = self.open is not None and (self.open.forward or not closed.index)
        self._trace = self._whole if shown else closed

    def trace(self) -> Trace:
        """The run up to now; between cells, the same object each time."""
        if self._trace is None or self.status == "running":
            return super().trace()
        return self._trace

    def whole(self) -> Trace:
        """As `trace`, with what ran since the last step even where nothing of that can become a step."""
        return self.trace() if self._whole is None or self.status == "running" else self._whole

    def showing(self, tensor: Tensor, fits: Callable[[Step, Value], bool]) -> tuple[Step, Value] | None:
        """The latest step and Value that look at a live tensor's memory as it does, and `fits`; None where none do."""
        looks, trace = geometry(tensor), self.whole()
        for freezer, numbers in self._places(trace):
            storage = freezer.storage_id(tensor)
            if storage is None:
                continue
            for number in numbers:
                step = trace.step(number)
                for value in reversed(step.values.values()):
                    found = (value.dtype, value.shape, value.stride, value.offset, value.form)
                    if value.storage == storage and found == looks and fits(step, value):
                        return step, value
        return None

    def _places(self, trace: Trace) -> list[tuple[Freezer, list[int]]]:
        kept = [info.number for info in reversed(trace.index) if info.kept]
        if self.open is None or trace is not self._whole:
            return [(self._live._freezer, kept[:64])]
        return [(self.open.freezer, kept[:1]), (self._live._freezer, kept[1:64])]

    def _told(self) -> Any:
        return replace(self._info, notes=tuple(self.session.notes), status=self.status)

    # ---- between two cells

    def _parameters(self) -> list[_Parameter]:
        session = self.session
        leaves = [leaf.tensor for leaf in (*session.leaves.values(), *session._used.values())]
        known = {id(each): each for each in (*session.modules.parameters(), *leaves) if each.layout is torch.strided}
        small = sum(each.nbytes for each in known.values()) <= _MOST_PRINTED
        return [
            _Parameter(
                each, session._name_of_leaf(each), each._version, each.data_ptr(), print_of(each) if small else None
            )
            for each in known.values()
        ]

    def _notice(self) -> None:
        """What was written while nobody watched: say so, once, and end the open step where it stood on that."""
        session = self.session
        changed = [each for each in self._left if each.changed()]
        cut = bool(changed) or any(print_of(tensor) != was for tensor, was in self._prints.values())
        if self.open is not None and cut:
            self._cut(self.open)
        if changed:
            names = [each.name for each in changed]
            shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more parameters" if len(names) > 4 else "")
            session.note(CHANGED.format(names=shown, step=session.number))
        for each in changed:
            session._small.pop(id(each.tensor), None)
            leaf = session.leaves.get(id(each.tensor))
            if leaf is not None:
                leaf.version = each.tensor._version
        self.open, self._prints, self._left = None, {}, []

    def _cut(self, left: OpenStep) -> None:
        """The open step becomes one of the run, as it was when the last cell ended; the next begins after a gap."""
        session, raw = self.session, left.raw
        with session.lock:
            session.events, session.base = [], session.index + 1
            session.writes.order = []
            if left.forward:
                session.note(CUT.format(step=raw.number, next=raw.number + 1))
                session.keeper.admit(raw, [leaf.alias for leaf in session.leaves.values()])
                self._live.adopt(raw, left.step, left.contents, left.freezer)
            else:
                self._live._freezer.skip(raw)
            session._begin_next(left.forward)


def _is_plain(thing: Any) -> bool:
    """A tensor that no program trains: what it is called between two cells says nothing of the step it is used in."""
    return isinstance(thing, Tensor) and not (thing.requires_grad and thing.is_leaf)


def _with(closed: Trace, left: OpenStep) -> Trace:
    index = [*closed.index, left.info()]
    source = WithOpen(closed.source, left)
    return Trace(closed.info, index, closed.history, source, load_statistics=closed.load_statistics)
