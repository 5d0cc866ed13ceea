"""In JupyterLab: an output is the live page while its kernel lives, and the static HTML otherwise; never both, never neither."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

import whygrad
from tests.browser.notebook.conftest import TOKEN, TRAINING, WHY, needs
from tests.browser.notebook.servers import Notebooks, environment

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

LIVE, STILL = "[data-whygrad] [data-lm-suppress-shortcuts]", "[data-whygrad] > .whygrad:visible"


@pytest.fixture(scope="module")
def notebook(lab: Notebooks) -> Path:
    """A notebook that was never run."""
    v4: Any = nbformat.v4
    cells = [v4.new_code_cell(f"{TRAINING}run"), v4.new_code_cell(WHY), v4.new_code_cell("print(run)")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = lab.folder / "shown.ipynb"
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def opened(page: Page, lab: Notebooks, notebook: Path) -> None:
    page.goto(f"{lab.url}/lab/tree/{notebook.name}?token={TOKEN}")
    page.locator(".jp-Notebook .jp-CodeCell").nth(2).wait_for()


def run_all(page: Page) -> None:
    page.locator(".jp-Notebook .jp-InputArea-editor").first.click()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def both(page: Page, selector: str) -> Locator:
    """The two outputs, drawn so."""
    found = page.locator(selector)
    found.nth(1).wait_for()
    assert found.count() == 2
    return found


def test_from_the_first_run_to_the_reopened_file(page: Page, lab: Notebooks, notebook: Path, run: whygrad.Run) -> None:
    opened(page, lab, notebook)
    page.locator('[data-status="idle"], .jp-Notebook-ExecutionIndicator').first.wait_for()
    run_all(page)
    a_run, a_why = both(page, LIVE).all()
    assert page.locator(STILL).count() == 0
    the_kernel_answers(a_run, a_why, run)
    the_keys_are_the_pages(page, a_run)
    page.keyboard.press("Escape")
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.get_by_text("Save Notebook", exact=True).click()
    page.wait_for_function("() => !document.querySelector('.jp-mod-dirty')")
    what_was_saved_is_static(notebook)

    opened(page, lab, notebook)
    both(page, LIVE)
    assert page.locator(STILL).count() == 0

    lab.end_kernels()
    opened(page, lab, notebook)
    a_run, a_why = both(page, STILL).all()
    assert run.why("weight[0,0]@0").view().value in a_why.inner_text()
    page.wait_for_timeout(1500)  # what a front end without a kernel might still draw
    assert page.locator(LIVE).count() == 0 and "model not found" not in page.locator(".jp-Notebook").inner_text()


def the_kernel_answers(a_run: Locator, a_why: Locator, run: whygrad.Run) -> None:
    a_run.get_by_role("button", name="Why?", exact=True).click()
    a_run.locator(".verdict").first.wait_for()
    expected = run.why("weight[0,0]@0").view()
    assert expected.equation is not None
    for panel in (a_run, a_why):
        text = panel.locator(".why").inner_text()
        assert expected.equation.result in text and expected.verdict.words in text
    operand = a_why.locator('[data-row="weight[0,0].grad@0"]')
    operand.click()
    inner = run.why("weight[0,0].grad@0").view()
    assert inner.equation is not None
    a_why.get_by_text(inner.equation.left, exact=False).first.wait_for()
    a_why.locator('[data-row="weight[0,0].grad@0"][aria-expanded=true]').wait_for()


def the_keys_are_the_pages(page: Page, a_run: Locator) -> None:
    """JupyterLab's `d d` would delete the cell."""
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    a_run.locator(".why .row").first.focus()
    for key in ("d", "d", "x", "b"):
        page.keyboard.press(key)
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    page.keyboard.press("Backspace")
    a_run.locator(".verdict").first.wait_for(state="detached")


def what_was_saved_is_static(notebook: Path) -> None:
    saved = json.loads(notebook.read_text(encoding="utf-8"))
    shown = [cell["outputs"][0] for cell in saved["cells"][:2]]
    for output in shown:
        assert set(output["data"]) == {"text/html", "text/plain"}
    assert "whygrad run: 4 steps" in "".join(shown[0]["data"]["text/plain"])
    assert "widgets" not in saved["metadata"]
    assert notebook.stat().st_size < 40_000


def test_nbconvert_shows_the_static_html(exported: Page, tmp_path: Path) -> None:
    """Executed without a front end: what it writes down of the widget stays small, and nothing hides the static HTML."""
    needs("anywidget", "nbconvert")
    v4: Any = nbformat.v4
    path = tmp_path / "shown.ipynb"
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(f"{TRAINING}run"), v4.new_code_cell(WHY)]), path)
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--execute", "--to", "html", path.name]
    done = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    page = path.with_suffix(".html")
    state = re.search(r'widget-state\+json">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert state is not None and "AnyModel" in state[1] and len(state[1]) < 8_000
    # nbconvert's pages load MathJax and what draws widgets from elsewhere: there is nothing that answers.
    exported.route(re.compile("^https://"), lambda route: route.fulfill(status=200, body=""))
    exported.goto(page.as_uri(), wait_until="domcontentloaded")
    both(exported, STILL)


def test_without_a_kernel_there_is_only_text(run: whygrad.Run) -> None:
    """As in plain IPython."""
    assert run._repr_mimebundle_() == {}
    assert run.why("loss@0")._repr_mimebundle_() == {}
    assert "WHYGRAD_NOTEBOOK" not in os.environ
