"""Names that would run a script, were they ever taken for HTML: in modules, files and points."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.browser.chromium import Tabs
from tests.browser.conftest import Pages, Servers
from tests.browser.recorded import HOSTILE, show

FILE = "<img src=x onerror=alert(1)>&quot;.why"


def watched(page: Page) -> list[str]:
    """What a script of somebody else's would have said."""
    found: list[str] = []

    def heard(dialog: Dialog) -> None:
        found.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", heard)
    return found


def ran(page: Page) -> bool:
    """Whether the page has any element that only such a name could have made."""
    return page.evaluate(
        """() => {
          const all = (root) => [...root.querySelectorAll("*")].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
          return all(document).some((each) => each.localName === "img" || each.hasAttribute("onerror"));
        }"""
    )


@pytest.mark.parametrize("way", ["file", "live"])
def test_a_module_and_a_file_stay_text(tabs: Tabs, run_of: Pages, server_of: Servers, tmp_path: Path, way: str) -> None:
    run = Path(shutil.copy(run_of("hostile"), tmp_path / FILE))
    page = tabs.open(show(run, out="page.html").as_uri() if way == "file" else server_of(str(run)).url)
    said = watched(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(FILE.removesuffix(".why"))
    item = page.get_by_role("treeitem", name=HOSTILE.replace(".", ""))
    expect(item.first).to_contain_text("</script><img")
    page.get_by_role("treeitem", name="weight, ").first.click()
    look = page.get_by_role("region", name="Tensor </script>")
    expect(look).to_be_visible()
    look.get_by_role("listitem").first.get_by_role("button").click()
    why = page.get_by_role("region", name="Why", exact=True)
    expect(why).to_contain_text("</script><img")
    expect(why.locator("button[data-row][aria-expanded='true']")).to_be_visible()
    assert not ran(page)
    assert said == []


def test_a_page_may_run_nothing_but_its_own_script(tabs: Tabs, page_of: Pages) -> None:
    page = tabs.open(page_of("neuron").as_uri())
    tabs.watch.expected.append("Content Security Policy")
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.foreign = true";
          document.body.append(script);
        }"""
    )
    assert page.evaluate("window.foreign") is None
