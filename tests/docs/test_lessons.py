"""The lessons run, and say what the committed notebooks say. `make lessons` writes them again."""

from __future__ import annotations

import ast
import difflib
import itertools
import re
from dataclasses import dataclass
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
_ANSWER = re.compile(r"<details>.*?^`([^`]+)`$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Exercise:
    """`attempt` is what the lesson's cell holds, `right` what is hidden below it."""

    run: str
    attempt: str
    address: str
    right: str

    @property
    def asked(self) -> str:
        """A cell that asks for both."""
        both = ", ".join(f"{self.run}.check({text!r}, {self.address!r}).right" for text in (self.attempt, self.right))
        return f"print({both})"


def exercises(notebook: Any) -> list[Exercise]:
    """The cells that end in `run.check(FORMULA, ADDRESS)` and are followed by an answer to open."""
    found: list[Exercise] = []
    for cell, after in itertools.pairwise(notebook.cells):
        hidden = _ANSWER.match(after.source) if after.cell_type == "markdown" else None
        if cell.cell_type != "code" or hidden is None:
            continue
        match ast.parse(cell.source).body[-1]:
            case ast.Expr(
                ast.Call(ast.Attribute(ast.Name(run), "check"), [ast.Constant(attempt), ast.Constant(address)])
            ):
                found.append(Exercise(run, str(attempt), str(address), hidden[1]))
            case other:
                raise AssertionError(
                    f"expected run.check(FORMULA, ADDRESS) above an answer, found {ast.unparse(other)}"
                )
    return found


def source_of(name: str) -> str:
    return (ROOT / "lessons" / f"{name}.py").read_text(encoding="utf-8")


def printed(notebook: Any) -> list[str]:
    """What the cells print and show as text."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [o.text if o.output_type == "stream" else o.data["text/plain"] for o in outputs]


@pytest.mark.parametrize("name", SOURCES)
def test_the_committed_lesson_is_what_its_source_gives(lessons: ModuleType, name: str) -> None:
    """And each exercise's attempt is wrong, its answer right; asked in the same kernel, after all cells."""
    old = (ROOT / "lessons" / f"{name}.ipynb").read_text(encoding="utf-8")
    notebook = lessons.notebook_of(source_of(name))
    tasks, size = exercises(notebook), len(notebook.cells)
    v4: Any = nbformat.v4
    notebook.cells += [v4.new_code_cell(task.asked, id=f"answer-{k}") for k, task in enumerate(tasks)]
    lessons.executed(notebook)
    said = printed(notebook)[-len(tasks) :]
    notebook.cells = notebook.cells[:size]
    new = v4.writes(notebook) + "\n"
    changed = "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, "now", n=1))
    assert not changed, f"run `make lessons`, and read what it changed:\n{changed[:4000]}"
    assert len(tasks) >= 3
    assert {task: text.strip() for task, text in zip(tasks, said, strict=True)} == dict.fromkeys(tasks, "False True")


@pytest.mark.parametrize("name", SOURCES)
def test_a_lesson_leads_on(name: str) -> None:
    """Its links lead somewhere, and it says how to open it live."""
    prose = "\n".join(c.source for c in nbformat.reads(_read(name), as_version=4).cells if c.cell_type == "markdown")
    dead = [
        link for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", prose) if not (ROOT / "lessons" / link).exists()
    ]
    assert not dead
    assert f"whygrad play lesson-{name.partition('-')[0]}`" in prose


def _read(name: str) -> str:
    return (ROOT / "lessons" / f"{name}.ipynb").read_text(encoding="utf-8")


def test_an_exercise_is_a_check_with_an_answer_below(lessons: ModuleType) -> None:
    task = '# %%\nx = 1\nrun.check(\n    "a",\n    "loss@0",\n)\n\n# %% [markdown]\n# <details><summary>A</summary>\n#\n# `b`\n'
    assert exercises(lessons.notebook_of(task)) == [Exercise("run", "a", "loss@0", "b")]
    assert exercises(lessons.notebook_of(task.replace("<details>", ""))) == []
    with pytest.raises(AssertionError, match=r"found run\.why"):
        exercises(lessons.notebook_of(task.replace("check", "why")))


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
