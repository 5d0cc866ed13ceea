"""`make screenshots`: the page's three levels as they look in a browser, into docs/figures.

By the same steps that tests/browser tests. Fonts and drawing differ between machines, so this is no generated file that has to
equal its source: it is run by hand when the page looks different.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.chromium import NoBrowser, Tabs, chromium  # noqa: E402
from tests.browser.reading import answer, opened  # noqa: E402
from tests.browser.recorded import save, served  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

FIGURES = ROOT / "docs" / "figures"
MOST = 250_000
"""Bytes of a picture."""
SIZE = (1280, 800)


def main() -> None:
    """Take all pictures."""
    torch.set_num_threads(1)
    FIGURES.mkdir(parents=True, exist_ok=True)
    try:
        with chromium() as browser, tempfile.TemporaryDirectory() as folder:
            gpt = str(save("gpt", Path(folder)))
            for name, what, go in (("neuron", "neuron", neuron), ("network", "network", network), ("run", gpt, run)):
                tabs = Tabs(browser)
                with served(what) as server:
                    page = tabs.open(server.url, SIZE, scale=2)
                    go(page)
                    _take(page, FIGURES / f"page-{name}.png")
                    tabs.close()
                if found := tabs.watch.found():
                    sys.exit(f"whygrad: the page had errors: {found}")
    except NoBrowser as missing:
        sys.exit(f"whygrad: {missing}")


def neuron(page: Page) -> None:
    """Four steps on, the first update explained down to its gradient."""
    for _ in range(4):
        page.get_by_role("button", name="Step", exact=True).click()
    page.get_by_role("button", name="To the start").click()
    page.get_by_role("button", name="Why?", exact=True).click()
    opened(page, "linear.weight[0,0]@0")


def network(page: Page) -> None:
    """Trained on the circle until the boundary closes."""
    page.get_by_label("Speed").select_option("fastest")
    page.get_by_role("button", name="Play").click()
    _until(page, 4000)
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("figure").get_by_role("img").wait_for()


def run(page: Page) -> None:
    """A lost update, from its flag."""
    page.get_by_role("button", name=re.compile(r"^Why\? embedding.weight")).click()
    answer(page).locator("button[data-row]").first.wait_for()
    page.get_by_role("region", name="Tensor embedding.weight").get_by_role("list").wait_for()


def _until(page: Page, step: int) -> None:
    read = (
        "document.getElementById('whygrad').shadowRoot.querySelector('[role=group][aria-label=Training]').textContent"
    )
    page.wait_for_function(f"() => Number(/step\\s+(\\d+)/.exec({read})?.[1]) >= {step}", timeout=60_000)


def _take(page: Page, path: Path) -> None:
    """A picture of the screen from its top, with no more colours than fit into MOST bytes."""
    page.mouse.move(0, 0)
    page.evaluate("() => scrollTo(0, 0)")
    page.wait_for_timeout(300)
    data = _small(page.screenshot())
    path.write_bytes(data)
    print(f"{path.relative_to(ROOT)}: {len(data):,} bytes")


def _small(data: bytes) -> bytes:
    try:
        from PIL import Image
    except ImportError:  # as it is, then
        return data
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    for colours in (256, 128, 64):
        out = io.BytesIO()
        whole.quantize(colours, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if len(out.getvalue()) <= MOST:
            break
    return out.getvalue()


if __name__ == "__main__":
    main()
