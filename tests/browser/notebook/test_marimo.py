"""In marimo: the live page while its kernel lives, the static HTML in an exported file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import whygrad
from tests.browser.notebook.conftest import TOKEN
from tests.browser.notebook.servers import Notebooks, environment

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

LIVE, STILL = "[data-lm-suppress-shortcuts]", "[data-whygrad]:visible"


def test_a_run_and_a_why_are_pages_answered_by_the_kernel(page: Page, marimo_edit: Notebooks, run: whygrad.Run) -> None:
    page.goto(f"{marimo_edit.url}/?access_token={TOKEN}")
    page.locator(".cm-content").nth(1).wait_for()
    page.locator("#run-button, [data-testid=run-button]").last.click()
    page.locator(LIVE).nth(1).wait_for()
    assert (page.locator(LIVE).count(), page.locator(STILL).count()) == (2, 0)
    a_run, a_why = page.locator(LIVE).all()
    a_run.get_by_role("button", name="Why?", exact=True).click()
    expected = run.why("weight[0,0]@0").view()
    assert expected.equation is not None
    for panel in (a_run, a_why):
        panel.locator(".verdict").first.wait_for()
        text = panel.locator(".why").inner_text()
        assert expected.equation.result in text and expected.verdict.words in text
    a_why.locator('[data-row="weight[0,0].grad@0"]').click()
    a_why.locator('[data-row="weight[0,0].grad@0"][aria-expanded=true]').wait_for()


def test_an_exported_file_shows_the_static_html(exported: Page, marimo_notebook: Path, tmp_path: Path) -> None:
    import marimo

    out = tmp_path / "exported.html"
    command = [sys.executable, "-m", "marimo", "export", "html", marimo_notebook.name, "-o", str(out)]
    done = subprocess.run(
        command, cwd=marimo_notebook.parent, env=environment(tmp_path), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert out.stat().st_size < 200_000
    front_end = Path(marimo.__file__).parent / "_static"
    types = {".js": "text/javascript", ".css": "text/css"}

    def serve(route: Route) -> None:
        """The exported file takes marimo's front end from a CDN; here it comes from the installed package."""
        file = front_end / route.request.url.partition("/dist/")[2].partition("?")[0]
        headers = {"Access-Control-Allow-Origin": "*"}
        if file.is_file():
            route.fulfill(path=file, headers=headers, content_type=types.get(file.suffix))
        else:
            route.fulfill(status=200, body="", headers=headers)

    exported.route(re.compile("^https://"), serve)
    exported.goto(out.as_uri())
    exported.locator(STILL).nth(1).wait_for()
    assert "0.3839252" in exported.locator(STILL).nth(1).inner_text()
    exported.wait_for_timeout(1500)  # what a front end without a kernel might still draw
    assert (exported.locator(LIVE).count(), exported.locator(STILL).count()) == (0, 2)
