"""The page says what `whygrad why` says, word for word, and copies what its options print."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import Tabs
from tests.browser.conftest import Pages, Servers
from tests.browser.reading import answer, copied, go_to, page_words, printed, terminal, words
from tests.browser.recorded import said
from whygrad.view.pack import unpack

ADDRESSES = {
    "neuron": (
        "linear.weight[0,0]@0", "linear.weight[0,0].grad@3", "loss@5", "prediction[0]@2", "linear.bias[0]@15",
        "linear.weight[0,0]@init", "linear.output[0].grad@0",
    ),
    "xor": (
        "hidden.weight[0,0].grad@0", "hidden.weight[3,1]@11", "loss@7", "output.bias[0]@4", "hidden.output[2,1]@0",
        "prediction[3,0]@2", "output.weight[0,2].grad@5",
    ),
    "gpt": (
        "loss@4", "blocks.0.mlp.0.weight[0,0].grad@4", "norm.weight[3].grad@4", "embedding.weight[12,2]@4",
        "blocks.1.attention.in_proj_weight[5,2].grad@4", "head.weight[1,1]@4", "blocks.0.mlp.1.output[0,2,5]@4", "loss@5",
    ),
}  # fmt: skip


def held(path: Path) -> Iterator[dict[str, Any]]:
    """The nodes that a page holds."""
    found = re.search(r'<script type="application/json" id="whygrad-page">(.*?)</script>', path.read_text("utf-8"))
    assert found is not None
    yield from unpack(json.loads(found[1])["nodes"])


@pytest.mark.parametrize("name", ["neuron", "xor", "gpt"])
def test_what_a_saved_page_says(tabs: Tabs, page_of: Pages, run_of: Pages, name: str) -> None:
    path = page_of(name)
    nodes = {node["address"]: node for node in held(path) if node["operands"] or not node["more"]}
    asked = [*(each for each in ADDRESSES[name] if each in nodes), *list(nodes)[:: max(1, len(nodes) // 12)]]
    assert len(asked) >= 14
    page = tabs.open(path.as_uri())
    for address in asked:
        go_to(page, path.as_uri(), address)
        # A saved page takes apart the gradients that it begins with, and not those on the way to them.
        expected = terminal(run_of(name), address, parts=bool(nodes[address]["parts"]))
        assert page_words(page, address) == expected, address


@pytest.mark.parametrize("name", ["xor", "gpt"])
def test_what_a_live_page_says(tabs: Tabs, run_of: Pages, server_of: Servers, name: str) -> None:
    url = server_of(str(run_of(name))).url
    page = tabs.open(url)
    for address in ADDRESSES[name]:
        go_to(page, url, address)
        assert page_words(page, address) == terminal(run_of(name), address), address


@pytest.mark.parametrize("way", ["file", "live"])
def test_copies_are_what_the_command_prints(
    tabs: Tabs, page_of: Pages, run_of: Pages, server_of: Servers, way: str
) -> None:
    run, address = run_of("neuron"), "linear.weight[0,0]@0"
    url = page_of("neuron").as_uri() if way == "file" else server_of(str(run)).url
    page = tabs.open(url)
    go_to(page, url, address)
    assert copied(page, "LaTeX") == said(["why", str(run), address, "--latex"]).rstrip("\n")
    assert copied(page, "Python").strip() == said(["why", str(run), address, "--python"]).strip()
    text = printed(run, address, "--depth", "1") if way == "file" else printed(run, address, width=88)
    assert words(copied(page, "text").splitlines()) == words(text.splitlines())


def test_where_the_clipboard_is_allowed_it_is_used(tabs: Tabs, run_of: Pages, server_of: Servers) -> None:
    server = server_of(str(run_of("neuron")))
    page = tabs.open(server.url)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    go_to(page, server.url, "loss@0")
    answer(page).get_by_role("button", name="LaTeX", exact=True).click()
    expect(answer(page).get_by_text("copied as LaTeX")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == said(
        ["why", str(run_of("neuron")), "loss@0", "--latex"]
    ).rstrip("\n")


def test_a_screen_reader_gets_the_sentence(page_of: Pages, tabs: Tabs) -> None:
    path = page_of("neuron")
    nodes = {node["address"]: node for node in held(path)}
    page = tabs.open(path.as_uri())
    go_to(page, path.as_uri(), "linear.weight[0,0]@0")
    spoken: Page | Any = answer(page).locator('[aria-live="polite"]')
    expect(spoken).to_have_text(nodes["linear.weight[0,0]@0"]["sentence"])
