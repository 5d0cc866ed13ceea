"""A real Chromium: where it is found, how it is started, and a watch over what a page does in it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")
WIDE, NARROW = (1280, 900), (380, 800)


class NoBrowser(Exception):
    """There is no Chromium here; says where it was looked for."""


def executable() -> str | None:
    """The Chromium that $WHYGRAD_CHROMIUM names, else one on the PATH; None: Playwright's own, where it was installed."""
    named = os.environ.get("WHYGRAD_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def chromium() -> Generator[Browser]:
    """A Chromium without a window, until the block ends. Raises NoBrowser."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise NoBrowser("playwright is not installed: pip install -e '.[dev]'") from None
    with sync_playwright() as playwright:
        path = executable()
        try:
            browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        except Error as error:
            looked = path or f"$WHYGRAD_CHROMIUM, {', '.join(NAMES)} on the PATH, Playwright's own"
            raise NoBrowser(f"no Chromium could be started ({looked}): {str(error).splitlines()[0]}") from None
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watch:
    """What pages did that they must not: errors, and requests to anywhere but this machine's own server."""

    origin: str = ""
    expected: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def look(self, context: BrowserContext) -> None:
        """Watch every page of a context, from its first request on."""
        context.on("request", lambda request: self._asked(request.url))
        context.on("console", lambda message: self._said(message.type, message.text))
        context.on("weberror", lambda error: self.problems.append(f"error: {error.error}"))

    def _asked(self, url: str) -> None:
        self.requests.append(url)
        parts = urlsplit(url)
        if parts.scheme not in ("file", "data", "blob", "about") and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.problems.append(f"request: {url}")

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.problems.append(f"console {kind}: {text}")

    def found(self) -> list[str]:
        """The problems that no one expects."""
        return [each for each in self.problems if not any(re.search(known, each) for known in self.expected)]


@dataclass
class Tabs:
    """Opens pages, each in a context of its own, and watches them."""

    browser: Browser
    watch: Watch = field(default_factory=Watch)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(
        self, url: str, size: tuple[int, int] = WIDE, scheme: str = "light", scale: float = 1, calm: bool = False
    ) -> Page:
        """The page at a URL, drawn: its title is seen. `calm`: prefers-reduced-motion."""
        options: dict[str, Any] = {"color_scheme": scheme, "reduced_motion": "reduce" if calm else "no-preference"}
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]}, device_scale_factor=scale, **options
        )
        self.contexts.append(context)
        if url.startswith("http"):
            parts = urlsplit(url)
            self.watch.origin = f"{parts.scheme}://{parts.netloc}"
        self.watch.look(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.goto(url)
        page.locator("#whygrad").get_by_role("heading", level=1).first.wait_for()
        page.wait_for_function("() => document.getElementById('whygrad').shadowRoot?.querySelector('.level')")
        return page

    def close(self) -> None:
        """Close them all."""
        for context in self.contexts:
            context.close()
        self.contexts.clear()
