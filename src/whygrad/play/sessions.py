"""A session per open page: begun when it asks, ended when it has been silent for long."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from whygrad.errors import WhygradError

IDLE_SECONDS = 15 * 60
MOST_SESSIONS = 16


class Ended(WhygradError):
    """The session is not there any more."""


class Busy(WhygradError):
    """The session answers another request."""


class Answers(Protocol):
    """What a session holds: a training, or a saved run."""

    def ask(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer one question. Raises WhygradError."""
        ...

    def page(self) -> dict[str, Any]:
        """The whole page."""
        ...


@dataclass
class _Session:
    answers: Answers
    used: float
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """All open pages. `begin` makes what a page's config asks for; `clock` counts seconds; `wait`: how long a request waits
    for another one of its session to be answered."""

    def __init__(
        self, begin: Callable[[object], Answers], clock: Callable[[], float] = time.monotonic, wait: float = 10.0
    ) -> None:
        self._begin, self._clock, self._wait = begin, clock, wait
        self._open: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, config: object) -> tuple[str, dict[str, Any]]:
        """A new session: its name and its page. Raises ConfigError."""
        answers = self._begin(config)
        page = answers.page()
        name = secrets.token_urlsafe(16)
        with self._lock:
            self._tidy()
            while len(self._open) >= MOST_SESSIONS:
                oldest = min(self._open, key=lambda each: self._open[each].used)
                del self._open[oldest]
            self._open[name] = _Session(answers, self._clock())
        return name, page

    def close(self, name: str) -> None:
        """End a session; one that is not there has ended already."""
        with self._lock:
            self._open.pop(name, None)

    @contextmanager
    def use(self, name: str) -> Generator[Answers]:
        """A session, for one request at a time. Raises Ended and Busy."""
        with self._lock:
            self._tidy()
            found = self._open.get(name)
        if found is None:
            raise Ended("this page was silent for so long that its session has ended; reload it to begin anew.")
        if not found.lock.acquire(timeout=self._wait):
            raise Busy("this page's last request is still being answered.")
        try:
            yield found.answers
        finally:
            found.used = self._clock()
            found.lock.release()

    def _tidy(self) -> None:
        now = self._clock()
        idle = [n for n, each in self._open.items() if now - each.used > IDLE_SECONDS and not each.lock.locked()]
        for name in idle:
            del self._open[name]
