"""The page in a notebook: anywidget carries its questions to the kernel, and the answers back.

In JupyterLab and Notebook an output is the static HTML alone, and that is what is saved. One widget a kernel, which is shown
nowhere, looks for such outputs in the document and draws the live page in the place of each, once the kernel has answered.
So a notebook that no kernel stands behind shows the static HTML, as nbconvert and GitHub do.
VS Code and Colab load widgets only where one is the output; there, and in marimo, it is one, with the static HTML beside it.

The widget's state is a module of 2 KB, which asks the kernel for the page's script: no notebook stores that.
Messages: {id, key, kind, body} to the kernel; {id, answer} or {id, error: a sentence} back. `key` names what was displayed."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Callable
from functools import cache
from html import escape
from typing import Any

from whygrad.errors import WhygradError
from whygrad.render.page import bundle

__all__ = ["Asked", "marimo_display", "mimebundle"]

Asked = Callable[[str, dict[str, Any]], dict[str, Any]]
"""What is displayed, as its page asks it: kind (`page`, or one of `Asks`) and body to the answer. Raises WhygradError."""

_MOST_SHOWN = 64
_GONE = "the kernel does not know this output any more: run its cell again."
_LEVELS = ("neuron", "network", "run", "why")


class _Shown:
    """What is on display, by key; of very many the first ones are let go."""

    def __init__(self) -> None:
        self._all: dict[str, tuple[object, Asked]] = {}

    def key(self, thing: object, asked: Asked) -> str:
        """The key of a thing, the same each time that it is displayed."""
        found = next((key for key, (known, _) in self._all.items() if known is thing), None)
        key = found or secrets.token_hex(8)
        self._all.pop(key, None)
        self._all[key] = (thing, asked)
        while len(self._all) > _MOST_SHOWN:
            del self._all[next(iter(self._all))]
        return key

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer to one message; what went wrong is a sentence in it."""
        try:
            return {"answer": self._answer(message)}
        except WhygradError as error:
            return {"error": str(error)}
        except Exception as error:  # a fault of ours must not end as a traceback under somebody's cell
            return {"error": f"whygrad could not answer this; it is a fault of whygrad ({type(error).__name__})."}

    def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        kind, body = message.get("kind"), message.get("body") or {}
        if not isinstance(kind, str) or not isinstance(body, dict):
            raise WhygradError("expected a kind and a body.")
        if kind == "script":
            level = body.get("level")
            if level not in _LEVELS:
                raise WhygradError(f"expected a level, one of {', '.join(_LEVELS)}.")
            return {"script": bundle(level)}
        found = self._all.get(message.get("key", ""))
        if found is None:
            raise WhygradError(_GONE)
        return found[1](kind, body)


@cache
def _shown() -> _Shown:
    return _Shown()


def _widget(key: str) -> Any:
    """A widget of the output `key`; of all outputs where it is empty. Raises ImportError without the extra."""
    import anywidget
    import traitlets

    class Page(anywidget.AnyWidget):
        """The page's widget."""

        _esm = bundle("notebook")
        key = traitlets.Unicode("").tag(sync=True)

    def told(widget: Any, message: object, _: object) -> None:
        if isinstance(message, dict) and isinstance(message.get("id"), str):
            _between_cells(lambda: widget.send({"id": message["id"], **_shown().answer(message)}))

    page = Page(key=key)
    page.on_msg(told)
    return page


def _between_cells(work: Callable[[], None]) -> None:
    """Run on the kernel's main thread, between two cells. JupyterLab has messages of widgets handled by a thread beside it,
    while a cell may be training and recording: torch's hooks would take what is computed for an answer as part of that."""
    loop = getattr(getattr(_ipython(), "kernel", None), "io_loop", None)
    if loop is None or threading.current_thread() is threading.main_thread():
        work()
    else:
        loop.add_callback(work)


def _ipython() -> Any:
    module = sys.modules.get("IPython")
    return None if module is None else module.get_ipython()


@cache
def _finder() -> Any:
    """The one widget that draws pages in place of static outputs; held by the cache."""
    return _widget("")


def mimebundle(thing: object, asked: Asked, still: Callable[[], str]) -> dict[str, Any]:
    """What a notebook's front end is given for `thing`, whose static HTML `still` makes; empty where there is no kernel, no
    anywidget, no script, or WHYGRAD_NOTEBOOK=static: then the static HTML is all there is."""
    ipython = _ipython()
    if getattr(ipython, "kernel", None) is None or not _wanted():
        return {}
    key = _shown().key(thing, asked)
    try:
        if _shows_widgets_only(ipython):
            return {**_mimebundle_of(_widget(key)), "text/plain": repr(thing), "text/html": still()}
        _finder()
    except ImportError:
        return {}
    return {"text/html": _marked(key, still())}


def _mimebundle_of(widget: Any) -> dict[str, Any]:
    data = widget._repr_mimebundle_()
    return dict(data[0] if isinstance(data, tuple) else data or {})


def _marked(key: str, still: str) -> str:
    return f'<div data-whygrad="{escape(key)}">{still}</div>'


def _wanted() -> bool:
    """Whether there is a page to be shown: its script was built, and nobody asked for the static HTML."""
    try:
        return os.environ.get("WHYGRAD_NOTEBOOK") != "static" and bool(bundle("notebook"))
    except WhygradError:
        return False


def _shows_widgets_only(ipython: Any) -> bool:
    """Whether this is VS Code or Colab, which load no widget that is not an output."""
    code = "__vsc_ipynb_file__" in getattr(ipython, "user_ns", {}) or "VSCODE_PID" in os.environ
    return code or "google.colab.output" in sys.modules


def marimo_display(thing: object, asked: Asked | None, still: Callable[[], str]) -> object:
    """What marimo shows for `thing`: the widget, which hides the static HTML when it draws. The static HTML alone where
    `asked` is None, and where `mimebundle` is empty."""
    import marimo

    if asked is None or not _wanted():
        return marimo.Html(still())
    key = _shown().key(thing, asked)
    try:
        drawn = marimo.ui.anywidget(_widget(key)).text
    except ImportError:
        return marimo.Html(still())
    return marimo.Html(f"<div>{_marked(key, still())}{drawn}</div>")
