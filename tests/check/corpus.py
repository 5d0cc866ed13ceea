"""The corpus: documents of prose about real runs, each once as it is right and once with errors planted.

A document of `corpus/` is Markdown whose Python is run and recorded here. What a run computes stands in it as a mark:

    ⟦=ADDRESS FORMAT⟧                  the recorded number, formatted
    ⟦=FORMULA WITH {ADDRESS:FORMAT} FORMAT⟧    arithmetic with recorded numbers (those in braces as the document shows them)
    ⟦RIGHT¦WRONG¦LABEL⟧                RIGHT is a text, or a mark of the two kinds above; WRONG replaces it in the planted copy

WRONG is a text, `~digit` (one digit changed), `~step N` (the same address at step N), `~other` (the same address in the
same program run in another precision). A first line `<!-- notebook -->` makes it a notebook, `<!-- python only -->` none.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

import whygrad
from whygrad.check.grammar import parse
from whygrad.check.prose.arithmetic import evaluate
from whygrad.check.prose.checking import check_document
from whygrad.check.prose.document import Document
from whygrad.check.prose.findings import Finding, Report
from whygrad.check.prose.markdown import read_markdown
from whygrad.check.prose.reading import read_notebook

FOLDER = Path(__file__).with_name("corpus")
HELD_OUT = ("errata", "momentum", "schedule", "regression", "scaling", "notes")
"""Documents that were written when the checker was done, without a look at its rules."""
_MARK = re.compile(r"⟦([^⟧]*)⟧")
_FENCE = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Planted:
    """An error in the planted copy: its line and column there (cell 0 in Markdown), its text and its label."""

    cell: int
    line: int
    column: int
    text: str
    label: str


@dataclass
class Made:
    """A document made: the right text, the planted one, its errors, and the run behind it."""

    name: str
    notebook: bool
    right: str
    wrong: str
    planted: list[Planted]
    run: whygrad.Run
    outputs: dict[int, str] = field(default_factory=dict[int, str])

    def document(self, planted: bool) -> Document:
        """The document as the checker reads it."""
        text = self.wrong if planted else self.right
        if self.notebook:
            return read_notebook(json.dumps(notebook_of(text, self.outputs)), f"{self.name}.ipynb")
        found = Document(f"{self.name}.md")
        read_markdown(text, found)
        return found


def names() -> list[str]:
    """Names of the documents."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


@cache
def made(name: str) -> Made:
    """Make a document: run its code, fill its marks."""
    source = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    fences = [match[1] for match in _FENCE.finditer(source)]
    run, outputs = _recorded(fences)
    other: list[whygrad.Run] = []

    def elsewhere() -> whygrad.Run:
        if not other:
            other.append(_recorded(_other_precision(fences))[0])
        return other[0]

    notebook = source.startswith("<!-- notebook -->")
    if not notebook:
        source = _with_outputs(source, outputs)
    right = _MARK.sub(lambda m: _right(m[1].split("¦")[0], run), source)
    wrong, planted = _planted(source, run, elsewhere)
    found = Made(name, notebook, right, wrong, planted, run, outputs)
    if notebook:
        found.planted = [_in_cell(each, wrong) for each in planted]
    return found


# ---- running


def _recorded(fences: list[str]) -> tuple[whygrad.Run, dict[int, str]]:
    """Run the code of a document in one namespace, recorded; what each block printed."""
    outputs: dict[int, str] = {}
    space: dict[str, Any] = {"__name__": "__main__"}
    dtype = torch.get_default_dtype()
    torch.set_num_threads(1)
    try:
        with whygrad.record() as run:
            for place, code in enumerate(fences):
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    exec(compile(code, "document.py", "exec"), space)
                outputs[place] = out.getvalue()
            run.trace  # noqa: B018  the record as it is while the block is open
    finally:
        torch.set_default_dtype(dtype)
    return run, outputs


def _other_precision(fences: list[str]) -> list[str]:
    text = "\n".join(fences)
    if ".half()" in text or "float16" in text:
        return [re.sub(r"torch\.b?float16", "torch.float32", code.replace(".half()", "")) for code in fences]
    return ["import torch\ntorch.set_default_dtype(torch.bfloat16)\n", *fences]


def _with_outputs(source: str, outputs: dict[int, str]) -> str:
    """What each block printed, in a fence below it."""
    place = iter(range(len(outputs)))

    def shown(match: re.Match[str]) -> str:
        text = outputs[next(place)]
        return match[0] + (f"\n```text\n{text}```\n" if text else "")

    return _FENCE.sub(shown, source)


# ---- marks


def _right(mark: str, run: whygrad.Run) -> str:
    if not mark.startswith("="):
        return mark
    formula, form = mark[1:].rsplit(" ", 1)
    return _formatted(_computed(formula, run), form)


def _computed(formula: str, run: whygrad.Run) -> float:
    if "{" not in formula and "@" in formula:
        return float(run.why(formula, depth=0).value)
    filled = re.sub(
        r"\{([^:{}]+)(?::([^{}]*))?\}",
        lambda m: (
            "(" + (format(run.why(m[1], depth=0).value, m[2]) if m[2] else repr(run.why(m[1], depth=0).value)) + ")"
        ),
        formula,
    )
    return float(evaluate(parse(filled), {}))


def _formatted(value: float, form: str) -> str:
    if form == "%":
        return f"{100 * value:.1f} %"
    return format(value, form).replace("-", "−") if not form.endswith("e") else format(value, form)


def _planted(source: str, run: whygrad.Run, elsewhere: Any) -> tuple[str, list[Planted]]:
    text, at, planted = "", 0, list[Planted]()
    for match in _MARK.finditer(source):
        text += source[at : match.start()]
        at = match.end()
        right, *rest = match[1].split("¦")
        shown = _right(right, run)
        if rest:
            wrong = _wrong(right, shown, rest[0], run, elsewhere)
            assert wrong != shown, match[0]
            line, column = text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1
            planted.append(Planted(0, line, column, wrong, rest[1]))
            shown = wrong
        text += shown
    return text + source[at:], planted


def _wrong(right: str, shown: str, how: str, run: whygrad.Run, elsewhere: Any) -> str:
    if how == "~digit":
        place = max(i for i, c in enumerate(shown.partition("e")[0]) if c.isdigit())
        place = place - 1 if shown[place - 1].isdigit() and shown[place] in "05" else place
        digit = (int(shown[place]) + 3) % 10
        return shown[:place] + str(digit) + shown[place + 1 :]
    if not how.startswith("~"):
        return how
    formula, form = right[1:].rsplit(" ", 1)
    if how == "~other":
        return _formatted(_computed(formula, elsewhere()), form)
    return _formatted(_computed(re.sub(r"@\w+", f"@{how.removeprefix('~step ')}", formula), run), form)


# ---- notebooks


def _cells(text: str) -> list[tuple[str, int, str]]:
    """(kind, first line, source) of the cells: code fences, and the prose between them."""
    found: list[tuple[str, int, str]] = []
    at = 0
    for match in _FENCE.finditer(text):
        _prose(text, at, match.start(), found)
        found.append(("code", text.count("\n", 0, match.start(1)) + 1, match[1]))
        at = match.end()
    _prose(text, at, len(text), found)
    return found


def _prose(text: str, start: int, end: int, into: list[tuple[str, int, str]]) -> None:
    piece = text[start:end].strip("\n")
    if piece and piece != "<!-- notebook -->":
        skipped = len(text[start:end]) - len(text[start:end].lstrip("\n"))
        into.append(("markdown", text.count("\n", 0, start + skipped) + 1, piece))


def notebook_of(text: str, outputs: dict[int, str]) -> dict[str, Any]:
    """A notebook of format 4, its code's outputs in it."""
    cells: list[dict[str, Any]] = []
    place = 0
    for kind, _, source in _cells(text):
        cell: dict[str, Any] = {"cell_type": kind, "source": source, "metadata": {}}
        if kind == "code":
            printed = outputs.get(place, "")
            shown = [{"output_type": "stream", "name": "stdout", "text": printed}] if printed else []
            cell |= {"outputs": shown, "execution_count": None}
            place += 1
        cells.append(cell)
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def _in_cell(error: Planted, text: str) -> Planted:
    for number, (_, first, source) in enumerate(_cells(text), 1):
        if first <= error.line < first + source.count("\n") + 1:
            return Planted(number, error.line - first + 1, error.column, error.text, error.label)
    raise AssertionError(error)


# ---- figures


@dataclass
class Figures:
    """What came of one document: errors planted and found, findings where nothing is wrong, numbers in the right copy."""

    name: str
    numbers: int
    planted: int
    missed: list[Planted]
    invented: list[Finding]
    traced: int = 0

    @property
    def found(self) -> int:
        return self.planted - len(self.missed)


def figures(name: str) -> Figures:
    """Check both copies of a document. Invented: any finding in the right copy, and one in the planted copy that is in no
    sentence with an error."""
    it = made(name)
    right = check_document(it.document(False), [it.run.trace])
    wrong = check_document(it.document(True), [it.run.trace])
    missed = [each for each in it.planted if not any(_meets(each, finding) for finding in wrong.findings)]
    known = {(f.place.cell, f.place.line, f.text) for f in right.findings}
    away = [f for f in wrong.findings if not any(_near(each, f) for each in it.planted)]
    away = [f for f in away if (f.place.cell, f.place.line, f.text) not in known]
    return Figures(name, _marks(right), len(it.planted), missed, [*right.findings, *away], sum(right.traced.values()))


def _marks(report: Report) -> int:
    return report.numbers


def _meets(error: Planted, finding: Finding) -> bool:
    place = finding.place
    if (place.cell, place.line) != (error.cell, error.line):
        return False
    return place.column <= error.column + len(error.text) and error.column <= place.column + max(len(finding.text), 1)


def _near(error: Planted, finding: Finding) -> bool:
    return finding.place.cell == error.cell and abs(finding.place.line - error.line) <= 1


def main() -> int:
    """Print precision and recall, held-out documents apart."""
    total: dict[bool, list[int]] = {False: [0, 0, 0, 0], True: [0, 0, 0, 0]}
    print(f"{'document':14} {'numbers':>8} {'planted':>8} {'found':>6} {'invented':>9}")
    for name in names():
        one = figures(name)
        held = name in HELD_OUT
        for place, value in enumerate((one.numbers, one.planted, one.found, len(one.invented))):
            total[held][place] += value
        print(f"{name + (' *' if held else ''):14} {one.numbers:8} {one.planted:8} {one.found:6} {len(one.invented):9}")
        if "-v" in sys.argv:
            for each in one.missed:
                print(f"    missed {each}")
            for finding in one.invented:
                print(f"    invented {finding.place}: {finding.text!r} {finding.sentence()}")
    for held, words in ((False, "written first"), (True, "held out (*)")):
        numbers, planted, found, invented = total[held]
        if planted:
            print(_line(words, numbers, planted, found, invented))
    print(_line("all", *(a + b for a, b in zip(total[False], total[True], strict=True))))
    return 0


def _line(words: str, numbers: int, planted: int, found: int, invented: int) -> str:
    precision = found / (found + invented) if found + invented else 1.0
    return (
        f"{words}: recall {found}/{planted} = {100 * found / planted:.1f} %, precision {100 * precision:.1f} %, "
        f"{invented} invented in {numbers} numbers"
    )


def everything() -> Iterator[Figures]:
    """The figures of all documents."""
    return map(figures, names())


if __name__ == "__main__":
    sys.exit(main())
