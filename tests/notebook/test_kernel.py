"""The magics in a real kernel: what a notebook stores of them."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.notebook.conftest import SETUP, STEP

WRONG = "%%why\nmodel(x[:, :0])"


@pytest.fixture(scope="module")
def notebook() -> Any:
    """Executed once; a cell's error does not end it."""
    v4: Any = nbformat.v4
    sources = [
        f"%load_ext whygrad\n{SETUP}", f"%%why\n{STEP}loss", f"%%why run\n{STEP}", "%why weight[0,0].grad@1", WRONG,
        "%why wieght", "print(run.steps)", "%%why\ny = (",
        "get_ipython().Completer.use_jedi, get_ipython().kernel.do_complete('%why loss@', 10)['matches']",
    ]  # fmt: skip
    book = v4.new_notebook(cells=[v4.new_code_cell(each) for each in sources])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHYGRAD_NOTEBOOK", "static")
        patch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        NotebookClient(book, timeout=60, kernel_name="python3", allow_errors=True).execute()
    return book


def outputs(book: Any, cell: int) -> list[Any]:
    return book.cells[cell].outputs


def test_results_are_stored_as_html_and_text(notebook: Any) -> None:
    for cell, heading in ((1, "loss@0 = "), (3, "weight[0,0].grad@1 = ")):
        [output] = outputs(notebook, cell)
        assert output.output_type == "execute_result"
        assert output.data["text/plain"].startswith(heading) and "same 32 bits ✓" in output.data["text/plain"]
        assert "whygrad" in output.data["text/html"]
    assert outputs(notebook, 2)[0].text.startswith("whygrad: recorded step 1")


def test_the_lines_are_those_of_the_cells(notebook: Any) -> None:
    assert "In[2]:3" in outputs(notebook, 1)[0].data["text/plain"]
    assert "In[3]:4" in outputs(notebook, 3)[0].data["text/plain"]


def test_errors_are_errors_of_the_cell(notebook: Any) -> None:
    [wrong], [unknown], [unreadable] = (outputs(notebook, cell) for cell in (4, 5, 7))
    assert (wrong.output_type, wrong.ename) == ("error", "RuntimeError")
    assert "notebook/" not in "".join(wrong.traceback) and "line 2" in "".join(wrong.traceback)
    assert unknown.ename == "AddressError" and len(unknown.traceback) == 1
    assert unreadable.ename == "SyntaxError" and "notebook/" not in "".join(unreadable.traceback)


def test_the_kernel_completes_addresses(notebook: Any) -> None:
    text = outputs(notebook, 8)[0].data["text/plain"]
    assert text == "(True, ['loss@2', 'loss@1', 'loss@0', 'loss@init'])"
    assert outputs(notebook, 6)[0].text.startswith("[0, 1")
