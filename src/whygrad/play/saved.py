"""A saved run behind a page: nothing is left out, each kept number is explained when it is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from whygrad.explain.why import Explainer
from whygrad.play.lab import TORCH
from whygrad.render.terminal import derivation_text
from whygrad.trace.file import open_run
from whygrad.trace.store import Trace
from whygrad.view.answers import Answers


class SavedRun(Answers):
    """A page over a saved run."""

    def __init__(self, path: Path, trace: Trace) -> None:
        super().__init__(Explainer(trace), derivation_text, path.name)

    def ask(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer one question. Raises WhygradError with what was wrong about it."""
        with TORCH:
            return super().ask(kind, body)

    def page(self) -> dict[str, Any]:
        """The whole page."""
        with TORCH:
            return super().page()


def saved_run(path: Path) -> Callable[[object], SavedRun]:
    """What begins a session over a saved run. Raises RunFileError."""
    trace = open_run(path)
    return lambda _: SavedRun(path, trace)
