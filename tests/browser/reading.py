"""Finding things on the page by role, label and address, and reading its text as the terminal's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.recorded import said

_TREE = "│├└─▸ "


def answer(page: Page) -> Locator:
    """The panel that the equation stands in."""
    return page.get_by_role("region", name="Why", exact=True)


def number(place: Page | Locator, address: str) -> Locator:
    """The first button that asks why a number is what it is."""
    return place.locator(f'button[data-address="{address}"]').first


def opened(page: Page, address: str) -> Locator:
    """The row of an address in the answer, unfolded."""
    row = answer(page).locator(f'button[data-row="{address}"]')
    expect(row).to_have_attribute("aria-expanded", "true")
    expect(row).to_contain_text(" = ")  # its node has come
    return row


def ask(page: Page, address: str, place: Page | Locator | None = None) -> Locator:
    """Click a number; its row in the answer."""
    number(place or page, address).click()
    return opened(page, address)


def go_to(page: Page, url: str, address: str) -> None:
    """The page with an answer open, as a link with the address opens it."""
    page.goto("about:blank")
    page.goto(f"{url}#why={address.replace('%', '%25')}")
    opened(page, address)


def step_shown(page: Page) -> int:
    """The step that is looked at; −1 where the network is untrained."""
    words = page.get_by_role("group", name="Training").inner_text()
    found = re.search(r"step\s+(\d+)\s+of", words)
    return int(found[1]) if found else -1


def terminal(run: Path, address: str, parts: bool = True) -> list[str]:
    """The words that `whygrad why --depth 1` prints. Of an operand its address, number and role: on the page it unfolds to
    the rest. `parts`: with what examples and paths contributed."""
    lines = printed(run, address, "--depth", "1").splitlines()
    lines = [line for line in lines if parts or not re.match("│ By (example|path)", line)]
    below = next((n for n, line in enumerate(lines) if line[0:1] in "├└"), len(lines))
    operands = [line.partition(" · ")[0] for line in lines[below:] if line[0:1] in "├└"]
    return words([*lines[:below], *operands])


def printed(run: Path, address: str, *options: str, width: int = 1000) -> str:
    """What `whygrad why` prints on a terminal of `width` columns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        return said(["why", str(run), address, *options])


def words(lines: list[str]) -> list[str]:
    """The words of an answer, without the tree's lines and without the last hint."""
    return " ".join(line.strip(_TREE) for line in lines if not line.startswith("▸")).replace("▸", "").split()


def page_words(page: Page, address: str) -> list[str]:
    """The words that the answer to one address shows, in the order in which the terminal has them."""
    text: str = page.evaluate(_READ, address)
    return text.split()


_READ = """(address) => {
  const root = document.getElementById("whygrad").shadowRoot;
  const row = [...root.querySelectorAll("[data-row]")].find((each) => each.dataset.row === address);
  const body = row.closest("section");
  // What only the page has: the way here, bits, pictures, bars, buttons to copy, the sentence for screen readers.
  const skipped = "details, figure, [aria-hidden=true], [aria-live], [role=status], textarea, nav, svg";
  const copying = [...body.querySelectorAll("button")].find((each) => each.textContent === "LaTeX");
  const found = [];
  const walk = (node) => {
    if (node.dataset?.row && node !== row) found.push(node.textContent.split(" · ")[0], " ");
    else if (node.nodeType === Node.TEXT_NODE) found.push(node.data);
    else if (node.nodeType === Node.ELEMENT_NODE && !node.matches(skipped) && node !== copying?.parentElement) {
      const block = !getComputedStyle(node).display.startsWith("inline");
      if (block) found.push(" ");
      node.childNodes.forEach(walk);
      if (block) found.push(" ");
    }
  };
  walk(body);
  return found.join("");
}"""


def copied(page: Page, way: str) -> str:
    """What `copy as` gives where the clipboard is not allowed: it is shown to be copied."""
    page.evaluate("() => void (navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')))")
    answer(page).get_by_role("button", name=way, exact=True).click()
    return answer(page).get_by_role("textbox", name="text to copy").input_value()


def violations(page: Page) -> list[str]:
    """What axe-core finds, in the shadow root too."""
    from axe_playwright_python.sync_playwright import Axe

    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['help']}: {node['html'][:160]}" for each in found for node in each["nodes"]]
