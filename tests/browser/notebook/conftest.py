"""Notebooks in real front ends. Each server is started once a session; what pages do is watched as in tests/browser."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import whygrad
from tests.browser.chromium import Watch
from tests.browser.notebook.servers import TOKEN, Notebooks, jupyter_lab
from tests.browser.notebook.servers import marimo as marimo_server
from whygrad.errors import WhygradError
from whygrad.render.page import bundle

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TRAINING = """\
import torch, whygrad
torch.manual_seed(0)
net = torch.nn.Linear(1, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
with whygrad.record() as run:
    for _ in range(4):
        opt.zero_grad()
        loss = (net(torch.tensor([2.0])) - 1.5).pow(2).sum()
        loss.backward()
        opt.step()
"""
WHY = 'run.why("weight[0,0]@0")'
_OF_MARIMO = """\
import marimo

app = marimo.App()


@app.cell
def _():
{training}
    run
    return (run,)


@app.cell
def _(run):
    {why}
    return


if __name__ == "__main__":
    app.run()
"""


def needs(*packages: str) -> None:
    """Skip, or fail where a browser is required, without the page's script or one of `packages`."""
    missing = [f"{each} is not installed" for each in packages if importlib.util.find_spec(each) is None]
    try:
        bundle("notebook")
    except WhygradError as error:
        missing.append(str(error))
    if missing and os.environ.get("WHYGRAD_BROWSER") == "required":
        pytest.fail(f"WHYGRAD_BROWSER=required, but {missing[0]}")
    if missing:
        pytest.skip(missing[0])


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebooks]:
    """JupyterLab."""
    needs("anywidget", "jupyterlab", "jupyterlab_widgets")
    with jupyter_lab(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="session")
def marimo_notebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook of marimo's that shows a run and a why."""
    needs("anywidget", "marimo")
    path = tmp_path_factory.mktemp("marimo") / "shown.py"
    training = "".join(f"    {line}\n" for line in TRAINING.splitlines()).rstrip()
    path.write_text(_OF_MARIMO.format(training=training, why=WHY), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def marimo_edit(marimo_notebook: Path) -> Iterator[Notebooks]:
    """`marimo edit`."""
    with marimo_server(marimo_notebook, "edit") as server:
        yield server


@contextmanager
def _watched(browser: Browser, *expected: str) -> Generator[Page]:
    context, watch = browser.new_context(viewport={"width": 1280, "height": 1600}), Watch(expected=list(expected))
    watch.look(context)
    found = context.new_page()
    found.set_default_timeout(40_000)
    yield found
    context.close()
    assert watch.found() == []


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a server of this machine, watched: at the end there was no error, and no request to elsewhere."""
    # marimo's own pictures and fonts are loaded ahead and not used.
    with _watched(browser, "^request: http://127.0.0.1:", "console warning: The resource .* was preloaded") as found:
        yield found


@pytest.fixture
def exported(browser: Browser) -> Iterator[Page]:
    """A page of an exported file, whose front end is fetched from elsewhere: a test answers for that."""
    with _watched(browser, "^request: https://", "console warning: The resource .* was preloaded") as found:
        yield found


@pytest.fixture(scope="session")
def run() -> whygrad.Run:
    """The notebooks' training, here."""
    space: dict[str, whygrad.Run] = {}
    exec(TRAINING, space)
    return space["run"]


__all__ = ["TOKEN", "TRAINING", "WHY"]
