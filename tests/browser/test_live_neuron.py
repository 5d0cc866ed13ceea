"""`whygrad play`: one neuron whose knobs are turned."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chromium import Tabs
from tests.browser.conftest import Servers
from tests.browser.reading import answer, ask, number, opened, step_shown


@pytest.fixture
def page(tabs: Tabs, server_of: Servers) -> Page:
    return tabs.open(server_of("neuron").url)


def settings(page: Page) -> Locator:
    return page.get_by_role("group", name="Settings")


def diagram(page: Page) -> Locator:
    return page.get_by_role("region", name=re.compile("The neuron in step"))


def shown(page: Page, role: str) -> str:
    """A number of the diagram, by its role."""
    return diagram(page).get_by_role("button", name=re.compile(f", {role}\\. Why")).inner_text()


def test_the_first_update_is_there_from_the_start(page: Page) -> None:
    expect(page.get_by_text("In step 0 the weight moved from −0.00749 to 0.0866")).to_be_visible()
    page.get_by_role("button", name="Why?", exact=True).click()
    opened(page, "linear.weight[0,0]@0")
    expect(answer(page)).to_contain_text(re.compile(r"same 16 bits ✓ · rounded −0\.71 ulp"))


def test_steps_grow_the_table_and_each_cell_is_a_why(page: Page) -> None:
    table = page.get_by_role("grid")
    assert table.get_by_role("row").count() == 2
    step = page.get_by_role("button", name="Step", exact=True)
    for _ in range(3):
        step.click()
    expect(page.get_by_role("region", name="The neuron in step 3")).to_be_visible()
    assert table.get_by_role("row").count() == 5
    ask(page, "linear.bias[0]@2", table)
    expect(answer(page)).to_contain_text("same 16 bits ✓")


def test_playing_goes_on_and_back_keeps_the_seed(page: Page) -> None:
    page.get_by_label("Speed").select_option("60 steps/s")
    play = page.get_by_role("button", name="Play")
    play.click()
    expect(page.get_by_role("grid").get_by_role("row").nth(10)).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="To the start").click()
    assert step_shown(page) == 0
    expect(page.get_by_text("In step 0 the weight moved from −0.00749 to 0.0866")).to_be_visible()
    page.get_by_role("button", name="Step", exact=True).click()
    expect(page.get_by_text("In step 1 the weight moved from 0.0866 to 0.1431")).to_be_visible()


@pytest.mark.parametrize(
    ("knob", "to", "role", "expected"),
    [
        ("learning rate", "0.5", "weight after the update", "0.4631"),
        ("first w", "2", "weight before the update", "2.0"),
        ("first b", "-1", "bias before the update", "−1.0"),
        ("x", "2", "input", "2.0"),
        ("target", "-3", "target", "−3.0"),
    ],
)
def test_a_knob_is_turned(page: Page, knob: str, to: str, role: str, expected: str) -> None:
    field = page.get_by_role("spinbutton", name=knob, exact=True)
    field.fill(to)
    field.press("Tab")
    expect(diagram(page).get_by_role("button", name=re.compile(f"^{re.escape(expected)}, {role}"))).to_be_visible()


@pytest.mark.parametrize("knob", ["learning rate, slider", "first w, slider", "x, slider"])
def test_a_slider_is_moved_with_the_keyboard(page: Page, knob: str) -> None:
    before = diagram(page).inner_text()
    slider = page.get_by_role("slider", name=knob)
    slider.focus()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    expect(diagram(page)).not_to_have_text(before)
    page.wait_for_function("before => document.getElementById('whygrad').shadowRoot.textContent !== before", arg=before)
    numbers = diagram(page).get_by_role("button").all_inner_texts()
    assert numbers != re.findall(r"[−\d.e]+", before)


def test_an_open_answer_follows_a_turned_knob(page: Page) -> None:
    ask(page, "loss@0")
    before = answer(page).inner_text()
    page.get_by_role("spinbutton", name="target", exact=True).fill("2")
    page.keyboard.press("Tab")
    expect(answer(page)).to_contain_text(shown(page, "loss"))
    expect(answer(page)).to_contain_text("2.0")
    assert answer(page).inner_text() != before


def test_two_formats_side_by_side_and_where_they_part(page: Page) -> None:
    settings(page).get_by_label("second format").select_option("bfloat16")
    expect(page.get_by_role("grid")).to_have_count(2)
    other = page.get_by_role("grid", name="bfloat16")
    expect(page.get_by_role("paragraph").filter(has_text="bfloat16")).to_be_visible()
    marked = page.get_by_role("grid").first.get_by_role("button", name=re.compile("the formats part"))
    expect(marked.first).to_be_visible()
    cell = other.get_by_role("button").nth(2)
    address = cell.get_attribute("data-address") or ""
    assert address.startswith("bfloat16:")
    cell.click()
    opened(page, address)


def test_reset_turns_all_back(page: Page) -> None:
    page.get_by_role("spinbutton", name="seed").fill("5")
    page.keyboard.press("Tab")
    expect(page.get_by_text("In step 0 the weight moved from −0.00749")).to_have_count(0)
    page.get_by_role("button", name="Reset").click()
    expect(page.get_by_text("In step 0 the weight moved from −0.00749")).to_be_visible()


def test_a_knob_out_of_bounds_is_refused_in_words(page: Page, tabs: Tabs) -> None:
    tabs.watch.expected.append("status of 400")
    field = page.get_by_role("spinbutton", name="learning rate", exact=True)
    field.fill("1e9")
    field.press("Tab")
    expect(page.get_by_role("alert")).to_contain_text("lr")
    expect(number(diagram(page), "linear.weight[0,0]@0")).to_have_text("0.0866")


def test_adam_is_opened_too(page: Page) -> None:
    settings(page).get_by_label("optimizer").select_option("Adam")
    expect(page.get_by_text("In step 0 the weight moved from −0.00749 to 0.0866")).to_have_count(0)
    page.get_by_role("button", name="Why?", exact=True).click()
    opened(page, "linear.weight[0,0]@0")
    expect(answer(page)).to_contain_text("exp_avg")
