"""The page's model of a run: level, texts that equal the answers of `why`, what fits, what is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

import whygrad
from whygrad.cli.demo import record_demo
from whygrad.errors import WhygradError
from whygrad.explain.why import Explainer
from whygrad.trace.history import Column, History
from whygrad.view.pack import unpack
from whygrad.view.page import PageOptions, level_of, page_view, saved_page
from whygrad.view.page_network import fill
from whygrad.view.page_table import page_table


@pytest.fixture(scope="module")
def neuron() -> Explainer:
    torch.set_num_threads(1)
    return Explainer(record_demo("neuron", "float16", 20).trace)


@pytest.fixture(scope="module")
def network() -> Explainer:
    torch.set_num_threads(1)
    return Explainer(record_demo("xor", "float32", 6).trace)


def nodes_of(page: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["address"]: node for node in unpack(page["nodes"])}


def plain(said: list[Any]) -> str:
    return "".join(each if isinstance(each, str) else each[1] for each in said)


def value(explainer: Explainer, address: str) -> str:
    from whygrad.view.derivation import derivation_view

    return derivation_view(explainer.why(address, 0)).value


# ---- one neuron


def test_every_number_of_a_neuron_is_the_one_at_its_address(neuron: Explainer) -> None:
    page = page_view(neuron, "neuron.why")
    assert (page["level"], page["file"], page["steps"]) == ("neuron", "neuron.why", list(range(20)))
    for row in page["neuron"]["steps"][::5]:
        for name, address in row["addresses"].items():
            assert row[name] == value(neuron, address), address
        for said in (each for sentence in row["sentences"] for each in sentence if isinstance(each, list)):
            assert said[1] in (value(neuron, said[0]), "its gradient")


def test_a_neurons_sentences(neuron: Explainer) -> None:
    steps = page_view(neuron)["neuron"]["steps"]
    assert plain(steps[0]["sentences"][0]) == "In step 0 the weight moved from −0.00749 to 0.0866."
    lost = "In step 12 the bias stands still at 0.7715, although its gradient is not zero: the update was rounded away."
    assert plain(steps[12]["sentences"][1]) == lost
    assert plain(steps[18]["sentences"][0]) == "In step 18 the weight stays at 0.2283: its gradient is 0."
    assert [step["step"] for step in steps if step["lost"]] == [12, 13, 14, 15, 16]


def test_a_saved_neuron_holds_every_cell_with_its_tree(neuron: Explainer) -> None:
    page = saved_page(neuron, "neuron.why")
    nodes = nodes_of(page)
    assert page["leftOut"] == []
    for step in page["steps"]:
        for column in page["table"]["columns"]:
            node = nodes[f"{column['address']}@{step}"]
            assert not node["more"], node["address"]
    for node in nodes.values():
        assert all(address in nodes for address in node["operands"])
    assert len(json.dumps(page["nodes"])) < 25_000


def test_the_story_names_numbers_that_can_be_asked(neuron: Explainer) -> None:
    page = saved_page(neuron, "neuron.why")
    asked = [said for paragraph in page["story"] for said in paragraph if isinstance(said, list)]
    assert ["linear.bias[0]@16", "0.7715"] in asked
    assert all(address in nodes_of(page) for address, _ in asked)
    assert any("5 updates were lost" in plain(paragraph) for paragraph in page["story"])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", [nn.Identity(), nn.Tanh()])
def test_neurons_of_other_programs(bias: bool, activation: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=bias, dtype=torch.bfloat16), activation)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, target = torch.rand(5, 1, dtype=torch.bfloat16), torch.rand(5, 1, dtype=torch.bfloat16)
    with whygrad.record(steps="all") as run:
        for _ in range(2):
            loss = nn.functional.mse_loss(model(x), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    explainer = Explainer(run.trace)
    page = page_view(explainer)
    assert page["level"] == "neuron"
    assert page["neuron"]["activation"] == ("tanh" if isinstance(activation, nn.Tanh) else "")
    row = page["neuron"]["steps"][1]
    assert (row["b"] == "") != bias
    assert row["w"] == page["neuron"]["steps"][0]["wNew"]
    assert all(row[name] == value(explainer, at) for name, at in row["addresses"].items() if at)


# ---- a network


def test_a_network_is_drawn_with_the_numbers_of_its_addresses(network: Explainer) -> None:
    page = page_view(network)
    found = page["network"]
    assert page["level"] == "network"
    assert (found["sizes"], found["examples"], len(found["frames"])) == ([2, 4, 1], 4, 6)
    assert [layer["activation"] for layer in found["layers"]] == ["tanh", ""]
    for frame in found["frames"]:
        step = frame["step"]
        for k, layer in enumerate(found["layers"]):
            units, inputs = found["sizes"][k + 1], found["sizes"][k]
            for o in range(units):
                for i in range(inputs):
                    weight = network.why(f"{layer['weight']}[{o},{i}]@{step}", 0).value
                    assert frame["weights"][k][o * inputs + i] == pytest.approx(weight, rel=1e-3)
        assert frame["loss"] == value(network, frame["lossAddress"])


def test_a_units_pattern_leads_to_its_output(network: Explainer) -> None:
    found = page_view(network)["network"]
    for frame in found["frames"][:2]:  # the first step has the initialisation's ops besides, and other numbers for them
        for pattern, units in zip(frame["unit"], found["sizes"], strict=True):
            address = f"{fill(pattern, 3, units - 1)}@{frame['step']}"
            assert network.why(address, 0).address == address
    inputs, hidden, output = found["frames"][1]["unit"]
    assert (inputs, output) == ("input[{e},{u}]", "prediction[{e},{u}]")
    assert network.why(f"{fill(hidden, 0, 0)}@1", 1).op == "aten.tanh.default"


def test_pictures_cover_the_plane_of_the_examples(network: Explainer) -> None:
    import base64

    found = page_view(network)["network"]
    frame = found["frames"][-1]
    assert [len(layer) for layer in frame["pictures"]] == [2, 4, 1]
    assert all(len(base64.b64decode(each)) == frame["side"] ** 2 for layer in frame["pictures"] for each in layer)
    assert len(base64.b64decode(frame["output"])) == frame["outputSide"] ** 2
    assert frame["legend"] == ["0.0", "0.5", "1"]
    assert sorted(found["points"]["label"]) == [-1, -1, 1, 1]
    assert frame["batch"] == [0, 1, 2, 3]
    first = base64.b64decode(frame["pictures"][0][0])  # x1: from left to right
    signed = [byte - 256 if byte > 127 else byte for byte in first[: frame["side"]]]
    assert signed == sorted(signed)
    assert signed[0] == -signed[-1]


def test_a_network_of_three_inputs_has_no_pictures() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with whygrad.record(steps="all") as run:
        loss = model(torch.rand(4, 3)).sum()
        loss.backward()
        optimizer.step()
    found = page_view(Explainer(run.trace))["network"]
    assert found["points"] is None
    assert found["frames"][0]["output"] == ""


# ---- levels, steps, sizes


def test_the_level_can_be_chosen(neuron: Explainer, network: Explainer) -> None:
    assert (level_of(neuron.trace), level_of(network.trace)) == ("neuron", "network")
    assert page_view(neuron, level="run")["run"] is not None
    assert page_view(neuron, level="network")["level"] == "network"
    with pytest.raises(WhygradError, match=r"--level neuron draws one nn\.Linear\(1, 1\)"):
        page_view(network, level="neuron")


def test_chosen_steps(network: Explainer) -> None:
    page = saved_page(network, "xor.why", PageOptions(steps=(0, 5), most_numbers=400))
    assert page["steps"] == [0, 5]
    assert [frame["step"] for frame in page["network"]["frames"]] == [0, 5]
    assert any("2 of 6 kept steps can be asked here" in note for note in page["leftOut"])
    with pytest.raises(WhygradError, match="no step 9"):
        saved_page(network, "xor.why", PageOptions(steps=(9,)))


def test_a_full_page_says_what_it_left_out(network: Explainer) -> None:
    small = PageOptions(most_bytes=40_000, steps=(0, 5))
    page = saved_page(network, "my run.why", small)
    assert len(json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode()) <= small.most_bytes
    nodes = nodes_of(page)
    assert "loss@0" in nodes
    assert all(address in nodes for node in nodes.values() for address in node["operands"])
    assert all(node["more"] for node in nodes.values() if node["verdict"]["sign"] == "unasked")
    assert any("whygrad why 'my run.why' \"ADDRESS\"" in note for note in page["leftOut"])


def test_a_long_table_is_cut_and_says_so() -> None:
    history = History()
    column = Column("loss", "loss", "float32", "loss")
    for step in range(2_000):
        history.add(step, [(column, step / 2)])
    table = page_table(history, 500, prefer=[777])
    assert (len(table["steps"]), table["total"]) == (len(set(table["steps"])), 2_000)
    assert 450 <= len(table["steps"]) <= 500
    assert {0, 777, 1_999} <= set(table["steps"])
    assert table["rows"][table["steps"].index(777)] == ["388.5"]


def test_a_run_of_a_hundred_million_parameters_fits() -> None:
    weights = torch.zeros(10_000, 10_000, dtype=torch.float16)
    table = nn.Embedding.from_pretrained(weights, freeze=False, sparse=True)
    head = nn.Linear(10_000, 1, dtype=torch.float16)
    optimizer = torch.optim.SGD([*table.parameters(), *head.parameters()], lr=0.1)
    with whygrad.record(steps="all") as run:
        loss = (head(table(torch.tensor([3, 9_999]))) - 1).pow(2).mean()
        loss.backward()
        optimizer.step()
    options = PageOptions(most_numbers=60)
    page = saved_page(Explainer(run.trace), "big.why", options)
    assert page["level"] == "run"
    assert len(json.dumps(page).encode()) < options.most_bytes
    assert any("it does not hold them all" in note for note in page["leftOut"])


def test_a_run_without_kept_steps_has_its_table() -> None:
    page = saved_page(Explainer(record_demo("neuron", "float16", 5, keep="none").trace), "neuron.why")
    assert (page["level"], page["steps"], len(page["table"]["rows"])) == ("run", [], 5)
    assert any("0 were kept" in note and "--steps" in note for note in page["leftOut"])
