"""`make lessons`: lessons/*.ipynb from lessons/*.py, executed, without what differs from run to run.

A source is Python with cell marks: `# %%` begins a code cell, `# %% [markdown]` a cell of comment lines.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
LESSONS = ROOT / "lessons"
_MARK = re.compile(r"^# %%( \[markdown\])?[ ]*\n", re.MULTILINE)
SECONDS = 300
# A live page has a name of its own each time: committed notebooks hold the static HTML.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "WHYGRAD_NOTEBOOK": "static"}


def main() -> None:
    """Build all lessons."""
    for source in sorted(LESSONS.glob("*.py")):
        notebook = source.with_suffix(".ipynb")
        notebook.write_text(built(source.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
        print(notebook.relative_to(ROOT))


def built(source: str) -> str:
    """The notebook's file, executed. Raises nbclient's CellExecutionError when a cell fails."""
    v4: Any = nbformat.v4
    return v4.writes(executed(notebook_of(source))) + "\n"


def notebook_of(source: str) -> Any:
    """The cells of a source, not executed. Raises ValueError for text before the first mark or Markdown without `#`."""
    head, *rest = _MARK.split(source)
    if head.strip():
        raise ValueError(f"expected '# %%' in the first line, found {head.splitlines()[0]!r}")
    v4: Any = nbformat.v4
    notebook = v4.new_notebook(metadata={
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    })  # fmt: skip
    for number, (mark, body) in enumerate(zip(rest[::2], rest[1::2], strict=True)):
        make = v4.new_markdown_cell if mark else v4.new_code_cell
        text = _markdown(body.strip("\n")) if mark else body.strip("\n")
        notebook.cells.append(make(text, id=f"cell-{number}"))
    return notebook


def _markdown(body: str) -> str:
    lines = body.splitlines()
    wrong = [line for line in lines if line != "#" and not line.startswith("# ")]
    if wrong:
        raise ValueError(f"a line of a markdown cell begins with '# ', found {wrong[0]!r}")
    return "\n".join(line[2:] for line in lines)


def executed(notebook: Any) -> Any:
    """Run all cells in a kernel of this Python; timings and versions are left out."""
    saved = {key: os.environ.get(key) for key in (*_ENVIRONMENT, "COLUMNS")}
    os.environ |= _ENVIRONMENT
    os.environ.pop("COLUMNS", None)
    try:
        # Sockets of the file system: nobody on the network can talk to the kernel. In a folder of their own, as two
        # kernels at once would take each other's.
        with tempfile.TemporaryDirectory() as sockets:
            client = NotebookClient(notebook, timeout=SECONDS, record_timing=False)
            manager = client.create_kernel_manager()
            manager.transport, manager.ip = "ipc", str(Path(sockets) / "kernel")
            client.execute()
    finally:
        for key, value in saved.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell["outputs"] = _joined(cell["outputs"])
    return notebook


def _joined(outputs: list[Any]) -> list[Any]:
    """A kernel sends what is printed in pieces, cut by time: put them together."""
    whole: list[Any] = []
    for output in outputs:
        if whole and output.output_type == whole[-1].output_type == "stream" and output.name == whole[-1].name:
            whole[-1]["text"] += output.text
        else:
            whole.append(output)
    return whole


if __name__ == "__main__":
    sys.exit(main())
