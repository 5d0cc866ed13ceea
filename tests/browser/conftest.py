"""One Chromium a session; each test's pages are watched: an error, or a request to elsewhere, fails the test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import NoBrowser, Tabs, chromium
from tests.browser.recorded import save, served, show
from whygrad.play.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Pages = Callable[[str], Path]
Servers = Callable[[str], Server]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Skips where there is no Chromium; with WHYGRAD_BROWSER=required that is a failure."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(chromium())
        except NoBrowser as missing:
            if os.environ.get("WHYGRAD_BROWSER") == "required":
                pytest.fail(f"WHYGRAD_BROWSER=required, but {missing}")
            pytest.skip(str(missing))
        yield found


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Tabs]:
    """Opens pages; at the test's end none of them may have had an error or asked for anything elsewhere."""
    opened = Tabs(browser)
    try:
        yield opened
    finally:
        opened.close()
    assert opened.watch.found() == []


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """The saved run of a name in `recorded.RUNS`, recorded when first asked for."""
    known: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in known:
            known[name] = save(name, tmp_path_factory.mktemp(f"run-{name}"))
        return known[name]

    return run


@pytest.fixture(scope="session")
def page_of(run_of: Pages) -> Pages:
    """The page of such a run, as `whygrad show` writes it."""
    known: dict[str, Path] = {}

    def page(name: str) -> Path:
        if name not in known:
            known[name] = show(run_of(name), "--max-size", "300KB" if name == "gpt" else "5MB")
        return known[name]

    return page


@pytest.fixture
def server_of() -> Iterator[Servers]:
    """The server of `whygrad play WHAT`; it ends with the test."""
    with ExitStack() as stack:
        yield lambda what: stack.enter_context(served(what))
