"""`--execute`: a document's code, run in a fresh kernel under recording."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whygrad.check.prose.document import Document, Output
from whygrad.check.prose.reading import read_notebook
from whygrad.errors import WhygradError

__all__ = ["executed"]

SECONDS = 600
"""How long one cell may take."""
_BEGIN = """\
import whygrad as _whygrad
_whygrad_record = _whygrad.record(budget="500MB")
_whygrad_run = _whygrad_record.__enter__()
"""
_END = """\
import whygrad as _whygrad
if "_whygrad_record" in globals():
    _whygrad_record.__exit__(None, None, None)
_whygrad_place = 0
for _whygrad_each in {id(x): x for x in list(globals().values()) if isinstance(x, _whygrad.Run)}.values():
    try:
        _whygrad_each.save(FOLDER + f"/{_whygrad_place}.why")
        _whygrad_place += 1
    except _whygrad.WhygradError:
        pass
"""


@contextmanager
def executed(path: Path, document: Document) -> Generator[tuple[Document, list[Path]]]:
    """The document with what its code prints when it is run now, and the files of the runs that it made. A notebook runs in
    its own folder, the code of Markdown in an empty one. Code that records by itself is left to it.

    Raises WhygradError where there is nothing to run it with, or the code raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        notebook, cells = _notebook(path, document, Path(folder))
        own = any("whygrad.record" in code.text for code in document.codes)
        before = 0 if own else 1
        if before:
            notebook.cells.insert(0, _cell(_BEGIN))
        notebook.cells.append(_cell(_END.replace("FOLDER", repr(folder))))
        own_folder = path.resolve().parent if path.suffix == ".ipynb" else Path(folder)
        _run(notebook, own_folder, Path(folder), cells, before)
        runs = sorted(Path(folder).glob("[0-9]*.why"))
        yield _fresh(path, document, notebook, before), runs


def _format() -> Any:
    try:
        import nbformat
    except ImportError:
        raise WhygradError("--execute needs nbclient and ipykernel: pip install nbclient ipykernel") from None
    return nbformat


def _cell(source: str) -> Any:
    return _format().v4.new_code_cell(source)


def _notebook(path: Path, document: Document, folder: Path) -> tuple[Any, list[str]]:
    """A notebook to run, and a name for each of its cells in messages."""
    nbformat = _format()
    made = nbformat.v4.new_notebook()
    if path.suffix == ".ipynb":
        # Made anew: notebooks of older editors lack the cells' ids, which nbclient warns of.
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            make = nbformat.v4.new_code_cell if cell["cell_type"] == "code" else nbformat.v4.new_markdown_cell
            made.cells.append(make(source))
        return made, [f"cell {number}" for number in range(1, len(made.cells) + 1)]
    names: list[str] = []
    for code in document.codes:
        if code.file:
            (folder / Path(code.file).name).write_text(code.text, encoding="utf-8")
        else:
            made.cells.append(_cell(code.text))
            names.append(f"the code at line {code.line}")
    return made, names


def _run(notebook: Any, folder: Path, sockets: Path, names: list[str], before: int) -> None:
    try:
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    except ImportError:
        raise WhygradError("--execute needs nbclient and ipykernel: pip install nbclient ipykernel") from None
    environment = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    saved = {key: os.environ.get(key) for key in environment}
    os.environ.update(environment)
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        manager: Any = client.create_kernel_manager()
        manager.transport, manager.ip = "ipc", str(sockets / "k")  # nobody on the network can talk to the kernel
        client.execute()
    except CellExecutionError as error:
        failed = [
            i for i, cell in enumerate(notebook.cells) if any(o.output_type == "error" for o in cell.get("outputs", ()))
        ]
        place = failed[0] - before if failed else -1
        where = names[place] if 0 <= place < len(names) else "the code"
        raise WhygradError(f"{where} raised {error.ename}: {error.evalue}") from None
    except (CellTimeoutError, DeadKernelError, RuntimeError) as error:
        raise WhygradError(f"the code did not end: {str(error).splitlines()[0]}") from None
    finally:
        for key, value in saved.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def _fresh(path: Path, document: Document, notebook: Any, before: int) -> Document:
    nbformat = _format()
    notebook.cells = notebook.cells[before:-1]
    if path.suffix == ".ipynb":
        return read_notebook(nbformat.writes(notebook), document.name)
    printed = read_notebook(nbformat.writes(notebook), document.name).outputs
    last = max((block.order for block in document.blocks), default=0)
    added = [Output(each.text, 0, last + place) for place, each in enumerate(printed, 1)]
    return Document(document.name, document.blocks, document.codes, [*document.outputs, *added], document.left_alone)
