"""A small network: what edges show, the example of the batch, the number under the pointer, the sum over examples."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chromium import Tabs
from tests.browser.conftest import Pages
from tests.browser.reading import answer, ask, opened, step_shown

EDGE = "weight, x1 to layer 1 unit 0"


@pytest.fixture
def page(tabs: Tabs, page_of: Pages) -> Page:
    return tabs.open(page_of("xor").as_uri())


def graph(page: Page) -> Locator:
    return page.get_by_role("group", name="The network: arrow keys")


def edge(page: Page, name: str = EDGE) -> Locator:
    return graph(page).get_by_role("button", name=name, exact=True)


def show_lines(page: Page, mode: str) -> None:
    page.get_by_role("group", name="What lines show").get_by_role("button", name=mode).click()


def strokes(page: Page) -> list[tuple[str, str, str]]:
    """Colour, dashes and width of each drawn line."""
    read = """paths => paths.filter(p => !p.dataset.k).map(p => {
      const {stroke, strokeDasharray, strokeWidth} = getComputedStyle(p); return [stroke, strokeDasharray, strokeWidth];
    })"""
    return [tuple(each) for each in graph(page).locator("svg path").evaluate_all(read)]


def test_sign_is_colour_and_line_style_and_size_is_width(page: Page) -> None:
    drawn = strokes(page)
    assert len(drawn) == 2 * 4 + 4 + 4 + 1  # biases are edges like any other
    solid = {colour for colour, dashes, _ in drawn if dashes == "none"}
    dashed = {colour for colour, dashes, _ in drawn if dashes != "none"}
    assert (len(solid), len(dashed)) == (1, 1)
    assert solid != dashed
    assert len({width for _, _, width in drawn}) > 10


def test_a_switch_changes_what_the_lines_show(page: Page) -> None:
    seen = []
    for mode in ("forward", "backward", "update"):
        show_lines(page, mode)
        expect(page.get_by_role("button", name=mode)).to_have_attribute("aria-pressed", "true")
        seen.append(strokes(page))
    assert seen[0] != seen[1] != seen[2] != seen[0]


@pytest.mark.parametrize(
    ("mode", "address"),
    [
        ("forward", "hidden.weight[0,0]@0"),
        ("backward", "hidden.weight[0,0].grad@0"),
        ("update", "hidden.weight[0,0]@0"),
    ],
)
def test_a_click_on_an_edge_asks_what_it_shows(page: Page, mode: str, address: str) -> None:
    show_lines(page, mode)
    edge(page).dispatch_event("click")
    opened(page, address)


def test_the_number_under_the_pointer(page: Page) -> None:
    unit = graph(page).get_by_role("button", name="layer 1 unit 0", exact=True)
    unit.hover()
    expect(graph(page).get_by_role("status")).to_contain_text(re.compile(r"layer 1 unit 0.*\[0,0\]@0 = ", re.DOTALL))
    expect(page.get_by_role("figure")).to_contain_text("layer 1 unit 0 over x1 and x2")
    box = page.get_by_role("heading", level=1)
    box.hover()
    expect(page.get_by_role("figure")).to_contain_text("output over x1 and x2")


def test_a_gradient_is_a_sum_over_examples_the_largest_first(page: Page) -> None:
    show_lines(page, "backward")
    edge(page, "weight, x2 to layer 1 unit 0").dispatch_event("click")
    opened(page, "hidden.weight[0,1].grad@0")
    by_example = answer(page).get_by_role("figure").filter(has_text="by example")
    amounts = [text.replace("−", "-") for text in by_example.get_by_role("code").all_inner_texts()]
    sizes = [abs(float(text.removeprefix("≈").strip())) for text in amounts]
    assert len(sizes) >= 2
    assert sizes == sorted(sizes, reverse=True)


def test_a_batch_selector_picks_the_example(page: Page) -> None:
    unit = graph(page).get_by_role("button", name="layer 1 unit 0", exact=True)
    page.get_by_label("example of the batch").fill("2")
    unit.click()
    row = answer(page).locator("button[data-row]").first
    expect(row).to_have_attribute("data-row", re.compile(r"\[2,0\]@0$"))


def test_steps_of_a_saved_network(page: Page) -> None:
    before = strokes(page)
    page.get_by_role("button", name="Step", exact=True).click()
    expect(page.get_by_text("In step 1 the loss was")).to_be_visible()
    assert step_shown(page) == 1
    assert strokes(page) != before
    page.get_by_text("table of steps").click()
    ask(page, "loss@3", page.get_by_role("grid"))
    page.get_by_role("grid").get_by_role("button", name="7", exact=True).click()
    expect(page.get_by_text("In step 7 the loss was")).to_be_visible()


def test_what_is_asked_lights_up_in_the_graph(page: Page) -> None:
    unit = graph(page).get_by_role("button", name="layer 1 unit 0", exact=True)
    look = (
        "each => getComputedStyle(each).outline + getComputedStyle(each).boxShadow + getComputedStyle(each).borderColor"
    )
    page.mouse.move(0, 0)
    dark = graph(page).get_by_role("button", name="layer 1 unit 1", exact=True).evaluate(look)
    unit.click()
    expect(answer(page).locator("button[data-row]").first).to_be_visible()
    page.mouse.move(0, 0)
    page.get_by_role("button", name="forward").focus()
    assert unit.evaluate(look) != dark


def pixels(page: Page) -> str:
    """The picture of the output, as it is drawn."""
    return page.get_by_role("figure").get_by_role("img").evaluate("each => each.toDataURL()")


def test_the_boundary_moves_with_the_step(page: Page) -> None:
    before = pixels(page)
    page.get_by_role("slider").fill("11")
    expect(page.get_by_text("In step 11 the loss was")).to_be_visible()
    assert pixels(page) != before
