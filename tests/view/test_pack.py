"""Packed nodes come back as they were: here, and in the page's own code."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.view.runs import block_run, in_the_page, neuron_run, xor_run
from whygrad.run import Run
from whygrad.view.node import merged, page_nodes
from whygrad.view.pack import pack, unpack

LIMIT = 25_000


def nodes_of(run: Run, *addresses: str, python: bool = False) -> list[dict[str, Any]]:
    answers = [run.why(address, depth=4) for address in addresses]
    return merged(page_nodes(a.inert, a.contributions, python=python) for a in answers)


def every_cell(run: Run) -> list[dict[str, Any]]:
    """The nodes of all cells of a run's table, as deep as they are told without being asked."""
    cells = [f"{address}@{step}" for address in run.table().attrs["addresses"].values() for step in run.steps]
    answers = [run.why(cell) for cell in cells]
    return merged(page_nodes(answer.inert, answer.contributions) for answer in answers)


@pytest.fixture(scope="module")
def nodes() -> list[dict[str, Any]]:
    found = nodes_of(xor_run(), "hidden.weight[0,1]@1", "loss@0", python=True)
    return found + nodes_of(block_run(), "norm.weight[2].grad@0", "mlp.0.weight[3,2]@0")


def test_nodes_come_back(nodes: list[dict[str, Any]]) -> None:
    assert len(nodes) > 40
    packed = pack(nodes)
    assert unpack(json.loads(json.dumps(packed))) == nodes
    assert len(packed["deflated"]) < len(json.dumps(nodes)) / 10


def test_all_cells_of_one_neuron_are_small() -> None:
    """222 nodes of 20 steps: under 9,000 characters when this was written."""
    found = every_cell(neuron_run())
    assert len(found) > 200
    packed = pack(found)
    assert unpack(packed) == found
    assert len(packed["deflated"]) <= LIMIT


def changed(node: dict[str, Any], text: str) -> dict[str, Any]:
    node = deepcopy(node)
    node["address"] = node["label"] = node["sentence"] = text
    node["where"] = [text, text]
    if node["equation"] is not None:
        node["equation"]["numeric"] = [text, [0, text]]
    return node


HOSTILE = st.lists(
    st.text(alphabet=st.sampled_from("ab01.eE+-−x\"\\ \n\x00\ud800😀</[]{}|,")) | st.text(max_size=8)
    | st.sampled_from(("1e-05", "0x1f", "+0.23", "\\u0031", "-", "1.2.3")), min_size=1, max_size=6,
)  # fmt: skip


@given(texts=HOSTILE)
def test_any_text_comes_back(texts: list[str], nodes: list[dict[str, Any]]) -> None:
    made = [changed(node, text) for text in texts for node in nodes[:3]]
    assert unpack(pack(made)) == made


def test_hexadecimal_digits_that_are_not_the_bits_come_back(nodes: list[dict[str, Any]]) -> None:
    made = [nodes[0] | {"hex": "0xdead"}, nodes[0] | {"hex": "", "bits": ""}, nodes[0] | {"hex": "", "bits": "0|1|1"}]
    assert unpack(pack(made)) == made
    assert unpack(pack([])) == []


def test_the_page_unpacks_the_same(nodes: list[dict[str, Any]], tmp_path: Path) -> None:
    made = [*nodes, changed(nodes[0], 'a −1e-05 "0x1f" \\ 😀 \ud800')]
    assert in_the_page("src/host/unpack.ts", "await m.unpackNodes(given)", pack(made), tmp_path) == made
