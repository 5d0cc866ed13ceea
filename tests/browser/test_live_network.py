"""`whygrad play network`: datasets, layers, points of one's own, and training that is watched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chromium import Tabs
from tests.browser.conftest import Servers
from tests.browser.reading import answer, ask, opened, step_shown

EDGE = "weight, x1 to layer 1 unit 0"


@pytest.fixture
def page(tabs: Tabs, server_of: Servers) -> Page:
    return tabs.open(server_of("network").url)


def graph(page: Page) -> Locator:
    return page.get_by_role("group", name="The network: arrow keys")


def step(page: Page, count: int = 1) -> None:
    for _ in range(count):
        page.get_by_role("button", name="Step", exact=True).click()


def output(page: Page) -> str:
    return page.get_by_role("figure").get_by_role("img").evaluate("each => each.toDataURL()")


def until_other(page: Page, before: str) -> None:
    """Wait until the output's picture is another."""
    page.wait_for_function(
        """before => [...document.getElementById("whygrad").shadowRoot.querySelectorAll("canvas[role=img]")]
          .some(each => each.toDataURL() !== before)""",
        arg=before,
    )


def settled(page: Page) -> tuple[int, str]:
    """Step and picture, once no more answers come."""
    found: list[tuple[int, str]] = []
    while len(found) < 3 or len(set(found[-3:])) > 1:
        page.wait_for_timeout(150)
        found.append((step_shown(page), output(page)))
    return found[-1]


def test_training_moves_the_boundary_and_can_be_stopped(page: Page) -> None:
    before = output(page)
    page.get_by_label("Speed").select_option("fastest")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(
        """() => Number(/step (\\d+) of/.exec(document.getElementById("whygrad").shadowRoot.textContent)?.[1]) > 100"""
    )
    page.get_by_role("button", name="Pause").click()
    stopped, drawn = settled(page)
    assert drawn != before
    assert stopped > 100
    ask(page, f"loss@{stopped}")
    expect(answer(page)).to_contain_text("✓")


def test_a_number_of_the_past_is_computed_again(page: Page) -> None:
    step(page, 5)
    expect(page.get_by_text(re.compile("In step 4 the loss"))).to_be_visible()
    page.get_by_role("slider", name=re.compile("step")).fill("2")
    expect(page.get_by_text(re.compile("In step 2 the loss"))).to_be_visible()
    page.get_by_role("group", name="What lines show").get_by_role("button", name="backward").click()
    graph(page).get_by_role("button", name=EDGE, exact=True).dispatch_event("click")
    opened(page, "hidden1.weight[0,0].grad@2")
    expect(answer(page)).to_contain_text("by example")
    expect(answer(page)).to_contain_text("same 32 bits ✓")


@pytest.mark.parametrize("name", ["xor", "gauss", "spiral", "plane", "multi-gauss"])
def test_another_dataset(page: Page, name: str) -> None:
    before = output(page)
    data = page.get_by_role("group", name="dataset")
    data.get_by_role("button", name=name, exact=True).click()
    expect(data.get_by_role("button", name=name, exact=True)).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text(f"{name}: not trained yet")).to_be_visible()
    step(page)
    until_other(page, before)


def test_points_that_are_pasted(page: Page) -> None:
    page.get_by_text("own points").click()
    page.get_by_role("textbox", name="Own points").fill("x1, x2, label\n1, 1, 1\n-1, -1, -1\n1, -1, 1\n-1, 1, -1")
    page.get_by_role("button", name="Use these").click()
    expect(page.get_by_text("own: not trained yet")).to_be_visible()
    step(page)
    expect(page.get_by_text(re.compile("In step 0 the loss"))).to_be_visible()


def test_points_of_a_file(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("x1,x2,label\n0.5,1.5,1\n-2,-1,-1\n3,-1,1\n-1,2,-1\n", encoding="utf-8")
    page.get_by_text("own points").click()
    page.get_by_label("A CSV file of points").set_input_files(path)
    page.get_by_role("button", name="Use these").click()
    expect(page.get_by_text("own: not trained yet")).to_be_visible()


def test_points_that_make_no_sense_are_refused_in_words(page: Page, tabs: Tabs) -> None:
    tabs.watch.expected.append("status of 400")
    page.get_by_text("own points").click()
    page.get_by_role("textbox", name="Own points").fill("one, two\nthree")
    page.get_by_role("button", name="Use these").click()
    expect(page.get_by_role("alert")).to_be_visible()


def test_a_click_on_the_plane_adds_a_point(page: Page) -> None:
    page.get_by_text("own points").click()
    page.get_by_label("a click on the plane adds").select_option("● 1")
    page.get_by_role("figure").get_by_role("img").click(position={"x": 30, "y": 40}, force=True)
    expect(page.get_by_role("group", name="dataset").get_by_role("button", name="own")).to_have_attribute(
        "aria-pressed", "true"
    )


def test_layers_units_and_inputs(page: Page) -> None:
    units = graph(page).get_by_role("button", name=re.compile(r"^layer \d+ unit \d+$"))
    expect(units).to_have_count(6)
    page.get_by_role("button", name="one unit more in layer 1").click()
    expect(units).to_have_count(7)
    page.get_by_role("button", name="one layer more").click()
    expect(units).to_have_count(9)
    page.get_by_role("button", name="one layer less").click()
    page.get_by_role("button", name="one layer less").click()
    expect(units).to_have_count(5)
    page.get_by_role("group", name="inputs").get_by_role("button", name="x1*x2").click()
    expect(graph(page).get_by_role("button", name="x1*x2", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("knob", "choice"),
    [("activation", "relu"), ("loss", "huber"), ("optimizer", "Adam"), ("init", "xavier"), ("format", "float16")],
)
def test_a_knob_with_choices(page: Page, knob: str, choice: str) -> None:
    page.get_by_role("group", name="Settings").get_by_label(knob, exact=True).select_option(choice)
    step(page)
    sentence = page.get_by_role("paragraph").filter(has_text=re.compile("In step 0 the loss"))
    sentence.get_by_role("button").last.click()
    expect(answer(page)).to_contain_text("✓")


def test_the_batch_and_its_examples(page: Page) -> None:
    batch = page.get_by_role("group", name="Settings").get_by_role("spinbutton", name="batch")
    batch.fill("4")
    batch.press("Tab")
    example = page.get_by_label("example of the batch")
    expect(example).to_have_attribute("max", "3")
    step(page)
    example.fill("3")
    graph(page).get_by_role("button", name="layer 1 unit 2", exact=True).click()
    expect(answer(page).locator("button[data-row]").first).to_have_attribute("data-row", re.compile(r"\[3,2\]@0$"))


def test_the_live_weight_under_the_pointer(page: Page) -> None:
    step(page)
    graph(page).get_by_role("button", name=EDGE, exact=True).dispatch_event("pointermove", {"bubbles": True})
    label = graph(page).get_by_role("status")
    expect(label).to_contain_text(re.compile(r"hidden1\.weight\[0,0\]@0 = [−\d]"))


def test_stopped_at_full_speed_the_picture_is_that_of_the_step(page: Page) -> None:
    page.get_by_label("Speed").select_option("fastest")
    for _ in range(3):
        page.get_by_role("button", name="Play").click()
        page.wait_for_timeout(150)
        page.get_by_role("button", name="Pause").click()
        stopped = settled(page)
        page.get_by_role("button", name="One step back").click()
        page.get_by_role("slider", name=re.compile("step")).fill(str(stopped[0]))
        assert settled(page) == stopped
