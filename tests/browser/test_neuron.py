"""One neuron on a saved page: from a sentence to the inputs, and back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import Tabs
from tests.browser.conftest import Pages
from tests.browser.reading import answer, ask, number, opened, step_shown
from tests.browser.recorded import show

WEIGHT, GRADIENT, OUTPUT, X = (
    "linear.weight[0,0]@0", "linear.weight[0,0].grad@0", "linear.output[0]@0", "input[0]@0",
)  # fmt: skip


@pytest.fixture
def page(tabs: Tabs, page_of: Pages) -> Page:
    return tabs.open(page_of("neuron").as_uri())


def test_a_sentence_with_numbers_is_what_one_reads_first(page: Page) -> None:
    said = page.get_by_text("In step 0 the weight moved from")
    expect(said).to_contain_text("from −0.00749 to 0.0866")
    assert said.get_by_role("button").all_inner_texts() == ["−0.00749", "0.0866"]


def test_from_the_sentence_down_to_the_input_and_back(page: Page) -> None:
    page.get_by_role("button", name="Why?", exact=True).click()
    opened(page, WEIGHT)
    panel = answer(page)
    expect(panel).to_contain_text("−0.00749 − float16(0.1) · (−0.9414)")
    expect(panel).to_contain_text(re.compile(r"same 16 bits ✓ · rounded −0\.71 ulp"))
    down = [WEIGHT]
    while True:
        below = panel.locator('button[data-row][aria-expanded="false"]').first
        address = below.get_attribute("data-row") or ""
        below.click()
        opened(page, address)
        down.append(address)
        if (
            panel.locator(f'button[data-row="{address}"]').locator("xpath=../..").locator("button[data-row]").count()
            == 1
        ):
            break
    assert len(down) >= 3
    way = page.get_by_role("navigation", name="The way here")
    assert [each.get_attribute("title") for each in way.get_by_role("button").all()] == down
    way.get_by_role("button").first.click()
    opened(page, WEIGHT)
    expect(way).to_have_count(0)


def test_a_number_in_the_equation_is_a_button_with_its_role(page: Page) -> None:
    ask(page, WEIGHT)
    inside = answer(page).get_by_role(
        "button", name=re.compile("gradient: how the loss changes with linear.weight. Why")
    )
    inside.last.click()
    opened(page, GRADIENT)
    way = page.get_by_role("navigation", name="The way here").get_by_role("button")
    assert [each.get_attribute("data-address") for each in way.all()] == [WEIGHT, GRADIENT]
    assert "∂loss/∂" in way.nth(1).inner_text()


def test_what_is_asked_lights_up_wherever_it_stands(page: Page) -> None:
    ask(page, WEIGHT)
    dark = number(page.get_by_role("grid"), "loss@3")
    lit = page.locator(f'button[data-address="{WEIGHT}"]')
    assert lit.count() >= 3  # diagram, sentence, table
    look = "each => getComputedStyle(each).backgroundColor"
    colours = {each.evaluate(look) for each in lit.all() if each.get_attribute("data-row") is None}
    assert dark.evaluate(look) not in colours


def test_step_back_play_and_the_slider(page: Page) -> None:
    training = page.get_by_role("group", name="Training")
    back = training.get_by_role("button", name="One step back")
    expect(back).to_be_disabled()
    training.get_by_role("button", name="Step", exact=True).click()
    expect(page.get_by_role("region", name="The neuron in step 1")).to_contain_text("0.7173")
    expect(page.get_by_text("In step 1 the weight moved from")).to_be_visible()
    back.click()
    assert step_shown(page) == 0
    training.get_by_label("Speed").select_option("60 steps/s")
    training.get_by_role("button", name="Play").click()
    expect(page.get_by_role("region", name="The neuron in step 19")).to_be_visible()
    expect(training.get_by_role("button", name="Play")).to_be_visible()
    training.get_by_role("slider").fill("5")
    assert step_shown(page) == 5
    training.get_by_role("button", name="To the start").click()
    assert step_shown(page) == 0


def test_every_cell_is_a_why_and_takes_the_diagram_along(page: Page) -> None:
    table = page.get_by_role("grid")
    assert table.get_by_role("row").count() == 21
    ask(page, "loss@7", table)
    expect(page.get_by_role("region", name="The neuron in step 7")).to_be_visible()
    expect(table.locator('[aria-current="step"]').get_by_role("rowheader")).to_have_text("7")


def test_a_number_in_bits_and_among_its_neighbours(page: Page) -> None:
    ask(page, WEIGHT)
    panel = answer(page)
    expect(panel.get_by_text("float16 0x2D8B", exact=False)).to_be_visible()
    for field in ("sign", "exponent", "significand"):
        expect(panel.get_by_text(field, exact=True)).to_be_visible()
    line = panel.get_by_role("img", name=re.compile("0.0866 stands between its neighbours"))
    expect(line).to_contain_text("before rounding")
    panel.get_by_text("every digit").click()
    expect(panel.get_by_text("0.08660888671875", exact=True)).to_be_visible()


def test_a_lost_update_is_seen(page: Page) -> None:
    lost = page.get_by_role("grid").get_by_role("button", name=re.compile("update lost to rounding")).first
    address = lost.get_attribute("data-address") or ""
    assert address.startswith("linear.bias")
    lost.click()
    opened(page, address)
    expect(page.get_by_role("region", name=f"The neuron in step {address.split('@')[1]}")).to_contain_text("lost")
    drawn = answer(page).get_by_role("img", name=re.compile("update"))
    expect(drawn).to_be_visible()
    expect(answer(page)).to_contain_text("half")


def test_a_number_that_the_page_does_not_hold_says_who_does(tabs: Tabs, run_of: Pages) -> None:
    page = tabs.open(show(run_of("neuron"), "--steps", "3", out="one-step.html").as_uri())
    number(page.get_by_role("grid"), "loss@9").click()
    expect(page.get_by_role("alert")).to_contain_text('whygrad why "neuron.why" "loss@9"')
