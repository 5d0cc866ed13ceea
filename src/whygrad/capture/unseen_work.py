"""Work that no dispatch mode sees: other threads' (a mode belongs to one thread), and replays of CUDA graphs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import torch

_autograd: Any = torch.autograd
_sequence_number: Callable[[], int] = _autograd._get_sequence_nr


class WatchedThreads:
    """As long as one is open, `on_work(name)` is called when a thread that was started meanwhile ends and has recorded ops
    for autograd. Only autograd's own count for the thread is read: the thread runs as it would."""

    def __init__(self, on_work: Callable[[str], None]) -> None:
        self._on_work = on_work

    def __enter__(self) -> WatchedThreads:
        before = self._start = threading.Thread.start
        on_work = self._on_work

        def start(self: threading.Thread) -> None:
            thread = self
            run = thread.run

            def watched() -> None:
                thread.__dict__.pop("run", None)
                first = _sequence_number()
                try:
                    run()
                finally:
                    if _sequence_number() != first:
                        on_work(thread.name)

            thread.run = watched
            before(thread)

        threading.Thread.start = start
        return self

    def __exit__(self, *_: object) -> None:
        threading.Thread.start = self._start


class WatchedGraphs:
    """As long as one is open, `on_replay` is called when a CUDA graph is replayed: its kernels run without ops."""

    def __init__(self, on_replay: Callable[[], None]) -> None:
        self._on_replay = on_replay
        self._kind: Any = None

    def __enter__(self) -> WatchedGraphs:
        graphs = sys.modules.get("torch.cuda.graphs")
        kind: Any = getattr(graphs, "CUDAGraph", None)
        if kind is None or not torch.cuda.is_available():
            return self
        self._kind, before, on_replay = kind, kind.replay, self._on_replay
        self._replay = before

        def replay(graph: Any) -> None:
            on_replay()
            before(graph)

        kind.replay = replay
        return self

    def __exit__(self, *_: object) -> None:
        if self._kind is not None:
            self._kind.replay, self._kind = self._replay, None
