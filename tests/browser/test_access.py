"""Keyboard alone, screen readers, light and dark, narrow screens, reduced motion."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import NARROW, WIDE, Tabs
from tests.browser.conftest import Pages, Servers
from tests.browser.reading import answer, number, opened, violations

ASKED = {"neuron": "linear.weight[0,0]@0", "xor": "hidden.weight[0,0].grad@0", "gpt": "head.weight[1,1]@4"}


@pytest.mark.parametrize("name", ["neuron", "xor", "gpt"])
def test_axe_finds_nothing_before_anything_was_asked(tabs: Tabs, page_of: Pages, name: str) -> None:
    assert violations(tabs.open(page_of(name).as_uri())) == []


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["neuron", "xor", "gpt"])
def test_axe_finds_nothing_on_a_saved_page(
    tabs: Tabs, page_of: Pages, name: str, scheme: str, size: tuple[int, int]
) -> None:
    page = tabs.open(f"{page_of(name).as_uri()}#why={ASKED[name]}", size, scheme)
    opened(page, ASKED[name])
    for each in page.get_by_text(re.compile("^(table of steps|about|every digit|what the columns say)$")).all():
        each.click()
    assert violations(page) == []


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["neuron", "network"])
def test_axe_finds_nothing_on_a_live_page(
    tabs: Tabs, server_of: Servers, name: str, scheme: str, size: tuple[int, int]
) -> None:
    page = tabs.open(server_of(name).url, size, scheme)
    page.get_by_text("Share").click()
    page.get_by_role("button", name="Step", exact=True).click()
    page.get_by_role("paragraph").filter(has_text=re.compile("In step . the")).first.get_by_role("button").last.click()
    expect(answer(page).locator("button[data-row]").first).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("name", ["neuron", "xor", "gpt"])
def test_nothing_is_wider_than_a_narrow_screen(tabs: Tabs, page_of: Pages, name: str) -> None:
    page = tabs.open(f"{page_of(name).as_uri()}#why={ASKED[name]}", NARROW)
    opened(page, ASKED[name])
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]


@pytest.mark.parametrize("name", ["neuron", "network"])
def test_nothing_live_is_wider_than_a_narrow_screen(tabs: Tabs, server_of: Servers, name: str) -> None:
    page = tabs.open(server_of(name).url, NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]


def focused(page: Page) -> str:
    """The address of the number that has the focus; "" where it is none."""
    return page.evaluate("document.getElementById('whygrad').shadowRoot.activeElement?.dataset.address ?? ''")


def tab_to(page: Page, address: str, most: int = 60) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if focused(page) == address:
            return
    raise AssertionError(f"{address} is not among the first {most} stops of the Tab key")


def test_a_why_without_a_mouse(tabs: Tabs, page_of: Pages) -> None:
    page = tabs.open(page_of("neuron").as_uri())
    first = "linear.weight[0,0]@0"
    tab_to(page, first)
    page.keyboard.press("w")
    opened(page, first)
    assert focused(page) == first
    assert answer(page).locator(":focus").get_attribute("data-row") == first
    tab_to(page, "linear.weight[0,0].grad@0", 12)
    page.keyboard.press("Enter")
    opened(page, "linear.weight[0,0].grad@0")
    page.keyboard.press("Backspace")
    expect(page.get_by_role("navigation", name="The way here")).to_have_count(0)
    opened(page, first)
    page.keyboard.press("Escape")
    expect(answer(page).locator("button[data-row]")).to_have_count(0)
    assert focused(page) == first  # back where one asked


def test_the_table_is_one_stop_and_arrows_go_on(tabs: Tabs, page_of: Pages) -> None:
    page = tabs.open(page_of("neuron").as_uri())
    number(page.get_by_role("grid"), "prediction[0]@0").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert focused(page) == "loss@1"
    page.keyboard.press("w")
    opened(page, "loss@1")


def test_the_graph_is_walked_with_arrows(tabs: Tabs, page_of: Pages) -> None:
    page = tabs.open(page_of("xor").as_uri())
    page.get_by_role("button", name="x1", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("w")
    opened(page, "hidden.weight[1,0]@0")


def test_a_run_is_walked_with_arrows(tabs: Tabs, page_of: Pages) -> None:
    page = tabs.open(page_of("gpt").as_uri())
    page.get_by_role("searchbox", name="Find").focus()
    page.keyboard.type("0.norm1.bias")
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    look = page.get_by_role("region", name="Tensor blocks.0.norm1.bias")
    expect(look).to_be_visible()
    number(look.get_by_role("table"), "blocks.0.norm1.bias[0]@5").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("w")
    opened(page, "blocks.0.norm1.bias[1]@5")


def test_the_heat_map_is_walked_with_arrows(tabs: Tabs, page_of: Pages) -> None:
    page = tabs.open(page_of("gpt").as_uri())
    heat = page.get_by_role("button", name=re.compile("^Heat map of embedding.weight"))
    heat.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(heat).to_have_attribute("aria-label", re.compile(r"embedding\.weight\[1,1\]@5"))
    page.keyboard.press("w")
    expect(answer(page).or_(page.get_by_role("alert")).first).to_contain_text("embedding.weight[1,1]@5")


def test_the_keys_are_listed(tabs: Tabs, page_of: Pages) -> None:
    page = tabs.open(page_of("neuron").as_uri())
    page.get_by_role("button", name="Keys").focus()
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_contain_text("why is this number what it is?")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(keys).to_have_count(0)


def test_the_focus_is_seen(tabs: Tabs, page_of: Pages) -> None:
    page = tabs.open(page_of("neuron").as_uri())
    tab_to(page, "linear.weight[0,0]@0")
    style = "() => getComputedStyle(document.getElementById('whygrad').shadowRoot.activeElement).outlineStyle"
    assert page.evaluate(style) != "none"


def test_nothing_moves_where_motion_is_reduced(tabs: Tabs, page_of: Pages) -> None:
    moving = """() => {
      const all = [...document.getElementById("whygrad").shadowRoot.querySelectorAll("*")];
      const long = (text) => text.split(",").some((each) => parseFloat(each) > 0.001);
      return all.filter((each) => {
        const style = getComputedStyle(each);
        return long(style.transitionDuration) || (style.animationName !== "none" && long(style.animationDuration));
      }).length;
    }"""
    for name in ("neuron", "xor", "gpt"):
        page = tabs.open(page_of(name).as_uri(), calm=True)
        assert page.evaluate(moving) == 0
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_is_chosen(tabs: Tabs, page_of: Pages, theme: str) -> None:
    page = tabs.open(page_of("neuron").as_uri(), scheme="dark" if theme == "light" else "light")
    read = "() => getComputedStyle(document.getElementById('whygrad')).backgroundColor"
    before = page.evaluate(read)
    page.get_by_label("theme").select_option(theme)
    expect(page.locator("#whygrad")).to_have_attribute("data-theme", theme)
    assert page.evaluate(read) != before
