"""The page's state stands in its URL: a reload, or a link that was sent, shows the same."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.chromium import Tabs
from tests.browser.conftest import Pages, Servers
from tests.browser.reading import answer, ask, opened, step_shown


def kept(page: Page, *parts: str) -> str:
    """The URL, once it holds all of `parts`."""
    for part in parts:
        page.wait_for_url(re.compile(re.escape(part)))
    return page.url


def test_a_saved_neuron(tabs: Tabs, page_of: Pages) -> None:
    page = tabs.open(page_of("neuron").as_uri())
    page.get_by_role("slider").fill("4")
    ask(page, "linear.weight[0,0]@4", page.get_by_role("grid"))
    answer(page).locator('button[data-row="linear.weight[0,0].grad@4"]').click()
    page.get_by_label("theme").select_option("dark")
    url = kept(page, "step=4", "theme=dark", ".grad@4")
    again = tabs.open(url)
    opened(again, "linear.weight[0,0]@4")
    opened(again, "linear.weight[0,0].grad@4")
    assert step_shown(again) == 4
    expect(again.get_by_label("theme")).to_have_value("dark")
    page.reload()
    opened(page, "linear.weight[0,0].grad@4")


def test_a_saved_network(tabs: Tabs, page_of: Pages) -> None:
    page = tabs.open(page_of("xor").as_uri())
    page.get_by_role("button", name="backward").click()
    page.get_by_label("example of the batch").fill("2")
    again = tabs.open(kept(page, "edges=backward", "example=2"))
    expect(again.get_by_role("button", name="backward")).to_have_attribute("aria-pressed", "true")
    expect(again.get_by_label("example of the batch")).to_have_value("2")


def test_a_run(tabs: Tabs, page_of: Pages) -> None:
    page = tabs.open(page_of("gpt").as_uri())
    page.get_by_role("searchbox", name="Find").fill("0.norm1.bias")
    page.get_by_role("treeitem", name=re.compile("^bias")).click()
    expect(page.get_by_role("region", name="Tensor blocks.0.norm1.bias")).to_be_visible()
    again = tabs.open(kept(page, "blocks.0.norm1.bias"))
    expect(again.get_by_role("region", name="Tensor blocks.0.norm1.bias")).to_be_visible()


def test_knobs_and_step_of_a_live_page(tabs: Tabs, server_of: Servers) -> None:
    url = server_of("neuron").url
    page = tabs.open(url)
    page.get_by_role("spinbutton", name="target", exact=True).fill("2")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=re.compile("^2.0, target"))).to_be_visible()
    for _ in range(3):
        page.get_by_role("button", name="Step", exact=True).click()
    expect(page.get_by_role("region", name="The neuron in step 3")).to_be_visible()
    shown = page.get_by_role("region", name="The neuron in step 3").get_by_role("button").all_inner_texts()
    again = tabs.open(kept(page, "config=", "step=3"))
    there = again.get_by_role("region", name="The neuron in step 3")
    expect(there).to_be_visible()
    assert there.get_by_role("button").all_inner_texts() == shown


def test_a_link_that_was_cut_is_passed_over(tabs: Tabs, page_of: Pages) -> None:
    page = tabs.open(page_of("neuron").as_uri() + "#step=oops&why=nothing@9&theme=pink&config=%7B")
    assert step_shown(page) == 0
    expect(page.get_by_role("region", name="The neuron in step 0")).to_be_visible()


def test_the_state_is_shared_as_a_file_and_a_program(tabs: Tabs, server_of: Servers) -> None:
    page = tabs.open(server_of("network").url)
    page.get_by_text("Share").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save state").click()
    assert '"level": "network"' in download.value.path().read_text("utf-8")
    program = page.get_by_label("The same training as a Python program").inner_text()
    compile(program, "shared.py", "exec")
