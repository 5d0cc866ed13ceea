"""The lessons run, and say what the committed notebooks say. `make lessons` writes them again."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest

# pyzmq and tornado, in nbclient: sockets that a dying kernel leaves are closed by the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:zmq.*"),
]
ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path.stem for path in (ROOT / "lessons").glob("*.py"))
SOLUTIONS = {
    "1-one-neuron": {
        "answer_1 = None": 'answer_1 = 2 * (table["prediction"][0] - 1)',
        "answer_2 = None": 'answer_2 = "linear.weight[0,0]@4"',
        "answer_3 = None": "answer_3 = 0.2",
    }
}
WRONG = {
    "1-one-neuron": {
        "answer_1 = None": 'answer_1 = table["prediction"][0] - 1',
        "answer_2 = None": 'answer_2 = "optimizer.lr@5"',
        "answer_3 = None": "answer_3 = 0.1",
    }
}


def source_of(name: str) -> str:
    return (ROOT / "lessons" / f"{name}.py").read_text(encoding="utf-8")


def printed(notebook: Any) -> list[str]:
    """What the cells print and show as text."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [o.text if o.output_type == "stream" else o.data["text/plain"] for o in outputs]


@pytest.mark.parametrize("name", SOURCES)
def test_the_committed_lesson_is_what_its_source_gives(lessons: ModuleType, name: str) -> None:
    old = (ROOT / "lessons" / f"{name}.ipynb").read_text(encoding="utf-8")
    new = lessons.built(source_of(name))
    changed = "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, "now", n=1))
    assert not changed, f"run `make lessons`, and read what it changed:\n{changed[:4000]}"


@pytest.mark.parametrize("name", SOURCES)
def test_prose_holds_no_result(name: str) -> None:
    """A number with a decimal point in the text would be a typed one."""
    cells = [c for c in nbformat.reads(_read(name), as_version=4).cells if c.cell_type == "markdown"]
    assert [found for cell in cells for found in re.findall(r"\d+\.\d+", cell.source)] == []


def _read(name: str) -> str:
    return (ROOT / "lessons" / f"{name}.ipynb").read_text(encoding="utf-8")


def test_exercises_tell_right_from_wrong(lessons: ModuleType) -> None:
    """Both in one kernel: each exercise's cell with a wrong answer, then with the right one."""
    name = "1-one-neuron"
    notebook = lessons.notebook_of(source_of(name))
    v4: Any = nbformat.v4
    cells: list[Any] = []
    for number, cell in enumerate(notebook.cells):
        blank = next((line for line in SOLUTIONS[name] if line in cell.source), None)
        if blank is None:
            cells.append(cell)
            continue
        for answers in (WRONG, SOLUTIONS):
            source = cell.source.replace(blank, answers[name][blank])
            cells.append(v4.new_code_cell(source, id=f"{number}-{len(cells)}"))
    notebook.cells = cells
    said = [text.split(".")[0] for text in printed(lessons.executed(notebook))[-2 * len(SOLUTIONS[name]) :]]
    assert said == ["Not yet", "Right"] * len(SOLUTIONS[name])


def test_cells_of_a_source(lessons: ModuleType) -> None:
    notebook = lessons.notebook_of("# %% [markdown]\n# # Title\n#\n# text\n\n# %%\nx = 1\n\n# a comment\n")
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        ("markdown", "# Title\n\ntext"),
        ("code", "x = 1\n\n# a comment"),
    ]


@pytest.mark.parametrize("source", ["x = 1\n# %%\n", "# %% [markdown]\ntext\n"])
def test_a_source_that_is_none_is_refused(lessons: ModuleType, source: str) -> None:
    with pytest.raises(ValueError, match=r"expected '# %%'|begins with '# '"):
        lessons.notebook_of(source)
