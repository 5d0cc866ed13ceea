"""The page's text of a number is the terminal's; its nodes are whole, and each address has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.view.runs import ASKED, adamw_run, asked, block_run, each, in_the_page, neuron_run, xor_run
from tests.view.test_tokens import leaf, made
from whygrad.explain.contributions import Contributions, Part
from whygrad.explain.derivation import Derivation
from whygrad.render.terminal import Screen, derivation_text
from whygrad.rules.expr import Bin, Case, Var
from whygrad.run import Run
from whygrad.view.derivation import derivation_view
from whygrad.view.latex import derivation_latex
from whygrad.view.node import merged, page_nodes
from whygrad.view.tokens import joined

Node = dict[str, Any]
MARKS = {"same": " ✓", "replayed": " ≈", "opaque": " ?", "differs": " ✗"}


# ---- the page's text, as web/src/parts/text.ts and why.tsx put it together


def page_text(nodes: Iterable[Node], address: str) -> list[str]:
    """The lines of a number and, each once, of its operands."""
    known = {node["address"]: node for node in nodes}
    node = known[address]
    operands = [known[each] for each in dict.fromkeys(node["operands"])]
    return own_text(node) + [line for operand in operands for line in own_text(operand, bare=True)]


def own_text(node: Node, bare: bool = False) -> list[str]:
    """A number's heading, equation, verdict and remarks; `bare`: without equation and notes, as operands stand below."""
    verdict, equation = node["verdict"], node["equation"]
    given = verdict["sign"] == "given" and verdict["words"]
    lines = [f"{node['address']} = {node['value']} {node['role']}" + (f" · {verdict['words']}" if given else "")]
    if equation is not None and not bare:
        sides = [joined(equation["symbolic"]), joined(equation["numeric"]), equation["result"]]
        sides = [side for side in sides if side]
        sides = [side for i, side in enumerate(sides) if not i or side != sides[i - 1]]
        lines += [f"{equation['left']} = {sides[0]}", *(f"= {side}" for side in sides[1:]), equation["note"]]
    mark = MARKS.get(verdict["sign"])
    parts = [verdict["words"] + mark if mark else "", verdict["rounding"], *node["where"]]
    lines += [" · ".join(part for part in parts if part), verdict["how"], verdict["reason"]]
    lines += [] if bare else node["notes"]
    return [" ".join(line.split()) for line in lines if line.strip()]


def terminal_text(derivation: Derivation, parts: tuple[Contributions, ...] = ()) -> list[str]:
    """The terminal's lines without the tree: each address once."""
    text = derivation_text(derivation_view(derivation, parts=parts), Screen(width=100_000))
    lines = [" ".join(line.lstrip(" │├└─").removesuffix("▸").split()) for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("▸")]
    return list(dict.fromkeys(lines))


def unique(lines: list[str]) -> list[str]:
    return list(dict.fromkeys(lines))


@pytest.mark.parametrize(("run", "address"), ASKED)
def test_the_page_says_what_the_terminal_says(run: Callable[[], Run], address: str) -> None:
    answer = run().why(address, depth=1)
    nodes = page_nodes(answer.inert, answer.contributions)
    expected = terminal_text(answer.inert, answer.contributions)
    assert unique(page_text(nodes, nodes[0]["address"])) == expected
    assert len(expected) >= 4


def test_every_number_of_a_tree_says_what_it_says_when_it_is_asked_itself() -> None:
    run = neuron_run()
    answer = run.why("linear.weight[0,0]@3")
    nodes = page_nodes(answer.inert, contributions_of=lambda address: run.why(address).contributions)
    opened = [node for node in nodes if node["operands"]]
    assert len(opened) >= 3
    for node in opened:
        alone = run.why(node["address"], depth=1)
        shown = own_text(node)
        assert shown == terminal_text(alone.inert, alone.contributions)[: len(shown)]


def test_the_page_puts_it_together_like_this(tmp_path: Path) -> None:
    """The functions above and the page's own agree."""
    nodes = merged(page_nodes(asked(run, address, 3)) for run, address in ASKED)
    known = {node["address"]: node for node in nodes}
    copied = in_the_page(
        "src/parts/text.ts", "given.map((n) => m.textOf(n, (a) => given.find((o) => o.address === a)))", nodes, tmp_path
    )
    for node, text in zip(nodes, copied, strict=True):
        operands = [line for each in dict.fromkeys(node["operands"]) for line in own_text(known[each], bare=True)]
        assert [" ".join(line.split()) for line in text.splitlines()] == [*own_text(node), *operands]


# ---- nodes


@pytest.mark.parametrize(("run", "address"), ASKED)
def test_each_address_is_one_node_and_has_its_operands(run: Callable[[], Run], address: str) -> None:
    d = asked(run, address)
    nodes = page_nodes(d)
    known = {node["address"]: node for node in nodes}
    assert len(known) == len(nodes)
    assert nodes[0]["address"] == d.address
    assert set(known) == {one.address for one in each(d)}
    assert all(operand in known for node in nodes for operand in node["operands"])
    for one in each(d):
        node = known[one.address]
        assert node["equation"] is not None or one.equation is None
        if one.operands:
            assert node["operands"] == [operand.address for operand in one.operands]
    for node in nodes:
        tokens = [] if node["equation"] is None else node["equation"]["symbolic"] + node["equation"]["numeric"]
        assert all(isinstance(token, str) or token[0] < len(node["operands"]) for token in tokens)


def test_a_node_is_what_the_contract_says() -> None:
    node = page_nodes(asked(neuron_run, "linear.weight[0,0]@3", 2))[0]
    assert list(node) == [
        "address", "label", "value", "exact", "role", "kind", "format", "bits", "hex", "sentence", "equation", "verdict",
        "where", "notes", "operands", "more", "line", "parts",
    ]  # fmt: skip
    assert (node["value"], node["exact"], node["bits"], node["hex"]) == (
        "0.1973", "0.197265625", "0|01100|1001010000", "0x3250",
    )  # fmt: skip
    assert node["equation"]["left"] == "new linear.weight"
    assert node["equation"]["latex"] == derivation_latex(asked(neuron_run, "linear.weight[0,0]@3", 2))
    assert "<mfrac>" in node["equation"]["mathml"]
    assert node["sentence"] == (
        "linear.weight[0,0]@3 is 0.1973, parameter. It equals linear.weight − float16(lr) · ∂loss/∂linear.weight = "
        "0.177 − float16(0.1) · (−0.2031) = 0.1973. Same 16 bits; rounded −0.40 ulp."
    )


def test_a_number_that_was_cut_off_first_is_told_where_it_is_not() -> None:
    whole = made(Bin("+", Var(0), Var(1)), leaf("a", 1.0), leaf("b", 2.0))
    cut = leaf("y", 0.0)
    root = replace(made(Case("x > 0", Bin("*", Var(0), Var(1))), cut, whole), address="z@0")
    nodes = page_nodes(root)
    assert [node["address"] for node in nodes] == ["z@0", "y@0", "a@0", "b@0"]
    assert nodes[1]["operands"] == ["a@0", "b@0"]
    assert "Because x > 0; otherwise 0." in nodes[0]["sentence"]


def test_of_several_answers_the_one_that_tells_more_is_kept() -> None:
    run = neuron_run()
    weight, gradient = run.why("linear.weight[0,0]@1", depth=2), run.why("linear.weight[0,0].grad@1", depth=2)
    shallow = page_nodes(run.why("linear.weight[0,0]@1", depth=1).inert)
    lists = [shallow, page_nodes(weight.inert), page_nodes(gradient.inert, gradient.contributions)]
    nodes = {node["address"]: node for node in merged(lists)}
    assert len(nodes) == len({node["address"] for nodes in lists for node in nodes})
    assert nodes[gradient.inert.address] == lists[2][0]
    assert nodes == {node["address"]: node for node in merged(lists[::-1])}


def test_parts_of_a_gradient_are_the_largest_first() -> None:
    answer = xor_run().why("hidden.weight[0,1].grad@1", depth=1)
    node = page_nodes(answer.inert, answer.contributions)[0]
    assert node["parts"]
    assert {part["by"] for part in node["parts"]} == {found.by for found in answer.contributions}
    for way in {part["by"] for part in node["parts"]}:
        shares = [abs(part["share"]) for part in node["parts"] if part["by"] == way]
        assert shares[0] == 1
        assert shares == sorted(shares, reverse=True)
    assert any(note.startswith("By example") for note in node["notes"])
    endless = Contributions("example", "x", (Part("0", float("inf"), 1), Part("1", -2.0, 1)), 0.0, 1.0)
    shown = page_nodes(answer.inert, (endless,))[0]["parts"]
    assert [(part["amount"], part["share"]) for part in shown] == [("inf", 0.0), ("−2", -1.0)]


def test_python_where_it_is_asked_for() -> None:
    d = adamw_run().why("weight[0,1]@1", depth=2).inert
    assert not any("python" in node for node in page_nodes(d))
    programs = [node["python"] for node in page_nodes(d, python=True) if "python" in node]
    assert programs
    assert all("import numpy" in program for program in programs)
    assert page_nodes(asked(block_run, "embedding.weight[1,2].grad@0"), python=True)  # some have no such form
