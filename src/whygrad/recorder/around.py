"""What a recording puts around the program while it runs, and takes away after: operators unfolded, threads and graphs
watched. What cannot be recorded is said once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from whygrad.capture.higher_order import Unfolded
from whygrad.capture.unseen_work import WatchedGraphs, WatchedThreads
from whygrad.recorder.notes import GRAPH, THREAD, UNFOLDED


class Around:
    """Entered with a recording and left with it."""

    def __init__(self, tape: Any, note: Callable[[str], None]) -> None:
        self._parts = (
            Unfolded(tape, lambda: note(UNFOLDED)),
            WatchedThreads(lambda name: note(THREAD.format(name=name))),
            WatchedGraphs(lambda: note(GRAPH)),
        )

    def __enter__(self) -> Around:
        for part in self._parts:
            part.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for part in reversed(self._parts):
            part.__exit__()
