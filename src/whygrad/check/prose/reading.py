"""A file → Document: a notebook or Markdown, by its suffix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from whygrad.check.prose.document import Code, Document, Output
from whygrad.check.prose.markdown import read_markdown
from whygrad.errors import WhygradError

__all__ = ["read_document", "read_notebook"]


def read_document(path: Path) -> Document:
    """Read a file. Raises WhygradError where there is none, or it is neither a notebook nor text."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise WhygradError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise WhygradError(f"{path} is no text in UTF-8; expected a notebook (.ipynb) or Markdown (.md).") from None
    if path.suffix == ".ipynb":
        return read_notebook(text, str(path))
    if path.suffix not in (".md", ".markdown", ".txt"):
        raise WhygradError(f"expected a notebook (.ipynb) or Markdown (.md), found {path.name!r}.")
    found = Document(str(path))
    read_markdown(text, found)
    return found


def read_notebook(text: str, name: str) -> Document:
    """A notebook's cells, counted from 1 as they stand. Raises WhygradError where the text is no notebook."""
    try:
        cells: Any = json.loads(text)["cells"]
        found = Document(name)
        for number, cell in enumerate(cells, 1):
            _cell(cell, number, found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WhygradError(f"{name} is no notebook of format 4: {type(error).__name__}: {error}.") from None
    return found


def _cell(cell: Any, number: int, into: Document) -> None:
    source = _text(cell["source"])
    order = len(into.blocks) + len(into.codes) + len(into.outputs) + into.left_alone
    if cell["cell_type"] == "markdown":
        read_markdown(source, into, number)
    elif cell["cell_type"] == "code":
        into.codes.append(Code(source, number, 1, order))
        for output in cell.get("outputs", ()):
            shown = _shown(output)
            if shown:
                into.outputs.append(Output(shown, number, order + 1))


def _shown(output: Any) -> str:
    """An output as plain text; an error's traceback is none."""
    if output["output_type"] == "stream":
        return _text(output["text"])
    return _text(output.get("data", {}).get("text/plain", ""))


def _text(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)
