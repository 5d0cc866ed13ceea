"""From what was asked on the command line to a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

from whygrad.errors import WhygradError
from whygrad.play.config import KINDS, Network, Neuron, config_of
from whygrad.play.lessons import Program, is_lesson, lesson_of, record_lesson
from whygrad.play.server import Server
from whygrad.play.sessions import Answers, Sessions
from whygrad.play.training import Training, quiet_torch


def make_server(what: str = "neuron", port: int = 0) -> Server:
    """A server for `neuron`, `network`, `lesson-1` to `lesson-8`, a saved run (RUN.why) or a saved state (STATE.json). It does
    not serve yet.

    Raises ConfigError, RunFileError, WhygradError.
    """
    quiet_torch()
    if what in KINDS:
        # The first recording loads the rules, a second's work: while the browser starts.
        threading.Thread(target=_warm, daemon=True).start()
    try:
        return Server(Sessions(_beginner(what)), port)
    except OSError as error:
        raise WhygradError(f"cannot listen on port {port}: {error.strerror}. Choose another with --port.") from error


def _beginner(what: str) -> Callable[[object], Answers]:
    if what in KINDS:
        first: Neuron | Network = KINDS[what]()
    elif what.endswith(".json"):
        first = config_of(_state(Path(what)))
    elif is_lesson(what):
        lesson = lesson_of(what)
        if isinstance(lesson, Program):
            from whygrad.play.saved import SavedRun

            path, trace = Path(f"{what}.why"), record_lesson(what)
            return lambda _: SavedRun(path, trace)
        first = lesson.config
    else:
        from whygrad.play.saved import saved_run

        return saved_run(Path(what))
    return lambda config: Training(first if config is None else config_of(config))


def _warm() -> None:
    Training(Neuron()).page()


def _state(path: Path) -> object:
    """What a page was shared as. Raises WhygradError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WhygradError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no text'}.") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WhygradError(f"{path} is no state that a page of `whygrad play` saved: it is not JSON.") from error
