"""`with whygrad.record() as run:` — any training loop, watched."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from whygrad.errors import AddressError, WhygradError
from whygrad.recorder.info import run_info
from whygrad.recorder.live import LiveRun
from whygrad.recorder.policy import parse_keep
from whygrad.recorder.session import Session, is_recording
from whygrad.recorder.settle import settle
from whygrad.recorder.tracebacks import as_unwatched
from whygrad.trace.store import Trace


class Recording:
    """Watches from `start` to `stop`; `trace` is what was seen up to now, `find` the address of a live tensor."""

    def __init__(self, steps: str, budget: int | str) -> None:
        self.session = Session(parse_keep(steps, budget))
        self._live = LiveRun(self.session)
        self._info = run_info(self.session.keep)
        self._trace: Trace | None = None
        self.status = "running"

    def start(self) -> None:
        """Begin to watch this thread. Raises WhygradError when it is being watched already."""
        if is_recording():
            raise WhygradError("this program is being recorded already; leave the inner record() out.")
        self.session.__enter__()

    def stop(self, error: BaseException | None) -> None:
        """Watch no longer; keep what the program could still overwrite."""
        self.session.__exit__(None, None, None)
        if not settle(self.session):
            self._live_trace(self._info)
        self.status = "ok" if error is None else "exception"
        if error is not None:
            as_unwatched(error)

    def trace(self) -> Trace:
        """The run up to now; the same object until another step was finished."""
        from dataclasses import replace

        if self._trace is None or len(self._trace.index) != len(self.session.closed) or self.status == "running":
            if is_recording():
                return self._live_trace(replace(self._info, notes=tuple(self.session.notes)))
            self._trace = self._live_trace(replace(self._info, notes=tuple(self.session.notes), status=self.status))
        return self._trace

    def _live_trace(self, info: Any) -> Trace:
        with self.unwatched():
            return self._live.trace(info)

    @contextmanager
    def unwatched(self) -> Generator[None]:
        """What runs here is no part of the program: a why asked while it is still being recorded."""
        if not is_recording():
            yield
            return
        self.session.suspended = True
        try:
            with _disable_current_modes():
                yield
        finally:
            self.session.suspended = False

    def find(self, tensor: torch.Tensor, index: Any) -> tuple[int, Any, tuple[int, ...]]:
        """Step, Value and index of an element of a live tensor. Raises AddressError."""
        trace = self.trace()
        found = self._live.address_of(tensor, trace)
        if found is None:
            raise AddressError(
                f"no kept step met this tensor of shape {tuple(tensor.shape)}: only tensors that an op of the recorded "
                "program made or read can be asked."
            )
        where: tuple[Any, ...] = () if index is None else tuple(index) if isinstance(index, (tuple, list)) else (index,)
        part: tuple[int, ...] = ()
        if tensor.is_complex():
            part = (int("imag" in where[-1:]),)
            where = where[:-1] if where and where[-1] in ("real", "imag") else where
        if not where and tensor.numel() == 1:
            where = tuple(0 for _ in tensor.shape)
        if len(where) != tensor.dim() or any(not -n <= int(i) < n for i, n in zip(where, tensor.shape, strict=True)):
            raise AddressError(f"no element {where} in a tensor of shape {tuple(tensor.shape)}.")
        return found[0], found[1], (*(int(i) % n for i, n in zip(where, tensor.shape, strict=True)), *part)
