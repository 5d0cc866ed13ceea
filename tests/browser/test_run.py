"""A practitioner's run, on a saved page and live: flags, the tree, a tensor, and a why in at most four clicks."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.chromium import Tabs
from tests.browser.conftest import Pages, Servers
from tests.browser.reading import answer, ask, opened
from tests.browser.recorded import said


@pytest.fixture
def page(tabs: Tabs, page_of: Pages) -> Page:
    return tabs.open(page_of("gpt").as_uri())


@pytest.fixture
def live(tabs: Tabs, run_of: Pages, server_of: Servers) -> Page:
    return tabs.open(server_of(str(run_of("gpt"))).url)


def tree(page: Page) -> Locator:
    return page.get_by_role("tree", name="Modules")


def choose(page: Page, path: str, tensor: str) -> Locator:
    """Look for a tensor in the tree, and click it; the look into it."""
    page.get_by_role("searchbox", name="Find").fill(f"{path}.{tensor}")
    tree(page).get_by_role("treeitem", name=re.compile(f"^{re.escape(tensor)}, ")).first.click()
    look = page.get_by_role("region", name=f"Tensor {path}.{tensor}", exact=True)
    expect(look).to_be_visible()
    return look


def test_a_flag_leads_to_a_scalar_and_its_why_in_one_click(page: Page) -> None:
    flags = page.get_by_role("region", name="What went wrong")
    expect(flags).to_contain_text("lost updates")
    expect(flags).to_contain_text("non-finite")
    why = flags.get_by_role("button", name=re.compile(r"^Why\? embedding.weight"))
    address = (why.get_attribute("aria-label") or "").removeprefix("Why? ")
    why.click()
    opened(page, address)
    expect(answer(page)).to_contain_text(re.compile("same 16 bits ✓"))
    expect(answer(page).get_by_role("img", name=re.compile("update"))).to_be_visible()
    expect(page.get_by_role("region", name="Tensor embedding.weight")).to_be_visible()


def test_all_flags_are_there_when_asked(page: Page) -> None:
    flags = page.get_by_role("region", name="What went wrong")
    few = flags.get_by_role("listitem").count()
    more = flags.get_by_role("button", name=re.compile(r"^all \d+$"))
    total = int(more.inner_text().split()[1])
    more.click()
    assert few < flags.get_by_role("listitem").count() == total


def test_the_tree_is_searched_and_has_sparklines(page: Page) -> None:
    whole = tree(page).get_by_role("treeitem").count()
    find = page.get_by_role("searchbox", name="Find")
    find.fill("1.mlp.2")
    names = [each.get_attribute("aria-label") or "" for each in tree(page).get_by_role("treeitem").all()]
    assert 0 < len(names) < whole
    assert any(re.match("weight, .*parameter, 16 × 64, grad norm: ≈ ", name) for name in names)
    weight = tree(page).get_by_role("treeitem", name=re.compile("^weight"))
    assert weight.locator("svg").count() == 4
    find.fill("nothing of the kind")
    expect(page.get_by_text("No module or tensor has “nothing of the kind” in its name.")).to_be_visible()


def test_a_cell_of_the_heat_map_is_a_why(live: Page) -> None:
    look = choose(live, "blocks.0.norm1", "bias")
    numbers = look.get_by_role("table", name="Elements of blocks.0.norm1.bias")
    ask(live, "blocks.0.norm1.bias[3]@5", numbers)


def test_the_largest_are_listed_and_asked(page: Page) -> None:
    look = choose(page, "blocks.0.mlp.2", "bias")
    top = look.get_by_role("listitem").first.get_by_role("button")
    address = top.get_attribute("data-address") or ""
    top.click()
    opened(page, address)


def test_what_the_page_does_not_hold_says_which_command_does(page: Page) -> None:
    left_out = page.get_by_role("listitem").filter(has_text="more are kept with whygrad run --steps all")
    expect(left_out).to_be_visible()
    expect(page.get_by_text("--steps all, or --steps with their numbers, keeps others")).to_be_visible()
    look = page.get_by_role("region", name="Tensor embedding.weight")
    look.get_by_label("Index of an element").fill("3,4")
    look.get_by_role("button", name="go", exact=True).click()
    expect(look.get_by_role("alert")).to_contain_text('whygrad play "gpt.why"')


def test_go_to_an_index(live: Page) -> None:
    look = choose(live, "blocks.0.mlp.0", "weight")
    look.get_by_label("Index of an element").fill("40,7")
    look.get_by_role("button", name="go", exact=True).click()
    opened(live, "blocks.0.mlp.0.weight[40,7]@5")
    expect(look.get_by_role("table").locator('[data-address="blocks.0.mlp.0.weight[40,7]@5"]')).to_be_visible()


def test_a_place_that_is_not_there_is_said(live: Page, tabs: Tabs) -> None:
    tabs.watch.expected.append("status of 400")
    look = choose(live, "blocks.0.norm1", "bias")
    look.get_by_label("Index of an element").fill("99")
    look.get_by_role("button", name="go", exact=True).click()
    expect(look.get_by_role("alert")).to_contain_text(re.compile(r"99"))


def test_nearer_until_the_numbers_are_there(live: Page) -> None:
    look = choose(live, "blocks.0.mlp.0", "weight")
    heat = look.get_by_role("button", name=re.compile("Heat map of blocks.0.mlp.0.weight"))
    expect(heat).to_be_visible()
    look.get_by_role("button", name="Nearer").click()
    expect(look.get_by_role("table", name="Elements of blocks.0.mlp.0.weight")).to_be_visible()
    look.get_by_role("button", name="The whole tensor").click()
    expect(heat).to_be_visible()


def test_gradient_update_and_step(live: Page) -> None:
    look = choose(live, "blocks.1.norm2", "weight")
    look.get_by_role("slider", name="step").fill("1")
    expect(look.get_by_text("after step 4")).to_be_visible()
    look.get_by_role("radio", name="gradient").check()
    ask(live, "blocks.1.norm2.weight[2].grad@4", look.get_by_role("table"))
    expect(answer(live)).to_contain_text("by example")


def test_an_activation_is_looked_into(live: Page) -> None:
    look = choose(live, "blocks.0.mlp.1", "output")
    expect(look.get_by_role("radio", name="update")).to_have_count(0)
    look.get_by_label("Index of an element").fill("0,2,5")
    look.get_by_role("button", name="go", exact=True).click()
    expect(answer(live)).to_contain_text("gelu")


@pytest.mark.parametrize("name", ["neuron", "xor"])
def test_a_saved_run_of_another_level_is_played(tabs: Tabs, run_of: Pages, server_of: Servers, name: str) -> None:
    page = tabs.open(server_of(str(run_of(name))).url)
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.get_by_role("group", name="Settings")).to_have_count(0)
    page.get_by_role("button", name="Step", exact=True).click()
    page.get_by_role("paragraph").filter(has_text="In step 1").first.get_by_role("button").last.click()
    expect(answer(page)).to_contain_text("✓")


def test_a_hundred_million_parameters(tabs: Tabs, page_of: Pages, run_of: Pages) -> None:
    path = page_of("large")
    assert path.stat().st_size <= 5_000_000
    page = tabs.open(path.as_uri())
    expect(tree(page)).to_contain_text(re.compile(r"100,\d\d\d,\d\d\d"))
    look = page.get_by_role("region", name="Tensor 0.weight")
    expect(look).to_contain_text("95,000,000")
    top = look.get_by_role("listitem").first.get_by_role("button")
    address = top.get_attribute("data-address") or ""
    assert said(["why", str(run_of("large")), address, "--depth", "0"]).startswith(f"{address} = {top.inner_text()}")
    top.click()
    expect(answer(page)).to_contain_text(address)
