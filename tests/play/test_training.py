"""The lab is real PyTorch: the demo's numbers, the same bits back and forth, in the program's text, and under the recorder."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import whygrad
from whygrad.cli import main
from whygrad.cli.demo import record_demo
from whygrad.explain.derivation import Derivation
from whygrad.play.config import ACTIVATIONS, DATASETS, FEATURES, INITIALISATIONS, LOSSES, OPTIMIZERS, config_of
from whygrad.play.lab import Lab
from whygrad.play.program import program_text
from whygrad.play.recorded import Asker, NotTheSame
from whygrad.play.snapshots import Snapshots
from whygrad.play.training import Training
from whygrad.view.page_neuron import neuron_step
from whygrad.view.table import table_dict

SMALL = {"level": "network", "samples": 20, "batch": 4, "hidden": [3]}


def lab_of(config: dict[str, Any] | None = None, steps: int = 0) -> Lab:
    lab = Lab(config_of(config))
    if steps:
        assert lab.advance(steps, 60.0) == steps
    return lab


def state(lab: Lab) -> list[bytes]:
    return [each.detach().reshape(-1).view(torch.uint8).numpy().tobytes() for each in lab.live.parts()]


def ran(text: str) -> dict[str, Any]:
    """What the program's text prints at its end: all parameters."""
    out = io.StringIO()
    space: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(out):
        exec(compile(text, "learned.py", "exec"), space)
    return eval(out.getvalue())


def parameters(lab: Lab) -> dict[str, Any]:
    return {name: each.tolist() for name, each in lab.live.params.items()}


def tree(derivation: Derivation) -> list[Derivation]:
    return [derivation, *(each for operand in derivation.operands for each in tree(operand))]


def test_the_default_neuron_is_the_demo() -> None:
    demo = record_demo("neuron", "float16", 20).trace.history
    training = Training(config_of(None))
    found = training.ask("advance", {"steps": 20, "budget": 5000})["table"]
    rows = table_dict(demo)["rows"]
    names = [column["name"] for column in found["columns"]]
    assert [dict(zip(names, row, strict=True)) for row in found["rows"]] == [
        {name: row[name].replace("-", "−", 1) if row[name].startswith("-") else row[name] for name in names}
        for row in rows
    ]


CONFIGS: list[dict[str, Any]] = [
    *({"level": "neuron", "optimizer": name} for name in OPTIMIZERS),
    *({"level": "neuron", "activation": name, "format": "float32"} for name in ACTIVATIONS),
    {"level": "neuron", "format": "bfloat16", "w": 0.3, "b": -1.5, "x": -2.0, "target": 3.0, "weight_decay": 0.1},
    {"level": "neuron", "format": "float64", "lr": 0.0},
    *({**SMALL, "dataset": name, "noise": 20, "points": [[1, 2, 1], [-1, 0.5, -1], [0, 0, 1]]} for name in DATASETS),
    *({**SMALL, "loss": name} for name in LOSSES),
    *({**SMALL, "init": name} for name in INITIALISATIONS),
    {**SMALL, "features": ",".join(FEATURES), "hidden": [], "batch": 0},
    {**SMALL, "hidden": [2] * 6, "format": "bfloat16", "optimizer": "Adam", "activation": "relu"},
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: "-".join(str(v) for v in c.values())[:60])
def test_the_text_gives_the_very_bits_and_every_step_can_be_asked(config: dict[str, Any]) -> None:
    lab = lab_of(config, 4)
    assert ran(lab.text()) == parameters(lab)
    explainer = Asker(lab).explainer()
    name = next(iter(lab.live.params))
    index = "[0,0]"
    for step in (0, 3):  # each is run again under the recorder and compared with the snapshot
        nodes = tree(explainer.why(f"{name}{index}@{step}", 3))
        assert nodes[0].value == lab.snapshots.row(step + 1)[0][0].item()  # type: ignore[index]
        assert not [each.address for each in nodes if each.verdict.kind in ("differs", "opaque")]


def test_under_whygrad_run_too(tmp_path: Path) -> None:
    lab = lab_of(SMALL, 3)
    (tmp_path / "learned.py").write_text(lab.text(), encoding="utf-8")
    assert main(["run", "-o", str(tmp_path / "learned.why"), str(tmp_path / "learned.py")]) == 0
    run = whygrad.load(tmp_path / "learned.why")
    for name, tensor in lab.live.params.items():
        first = "[0,0]" if tensor.dim() == 2 else "[0]"
        assert run.why(f"{name}{first}@2", depth=0).value == tensor.reshape(-1)[0].item()


def test_the_way_back_goes_on_from_step_to_step() -> None:
    lab = lab_of({"optimizer": "Adam"}, 6)
    steps = {each.address.rpartition("@")[2] for each in tree(Asker(lab).explainer().why("linear.weight[0,0]@5", 30))}
    assert steps >= {"0", "1", "2", "3", "4", "5", "init"}


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.sampled_from(["SGD", "Adam", "momentum"]))
def test_going_back_and_forth_changes_no_bit(seeks: list[int], optimizer: str) -> None:
    lab = lab_of({**SMALL, "optimizer": optimizer})
    states = [state(lab)]
    for _ in range(12):
        lab.advance(1, 60.0)
        states.append(state(lab))
    for step in seeks:
        lab.seek(step)
        if step:
            assert state(lab) == states[step]
    lab.seek(3)
    lab.advance(9, 60.0)
    assert state(lab) == states[12]
    assert len(lab.losses) == 12


def test_where_memory_is_short_steps_between_are_run_again() -> None:
    config = {**SMALL, "optimizer": "Adam"}
    whole, short = lab_of(config, 0), Lab(config_of(config), most_bytes=100_000)
    for lab in (whole, short):
        lab.advance(3000, 60.0)
    assert short.snapshots.every > 1
    for step in (3000, 1501, 7):
        for lab in (whole, short):
            lab.seek(step)
        assert state(whole) == state(short)
    number = short.snapshots.every + 1
    one, other = (Asker(lab).explainer().why(f"hidden1.weight[0,0]@{number}", 1).bits for lab in (whole, short))
    assert one == other


def test_a_step_that_gives_other_bits_is_not_explained() -> None:
    lab = lab_of(None, 3)
    lab.snapshots.row(2)[0][0] += 1  # type: ignore[index]
    with pytest.raises(NotTheSame, match="step 1, run again, gave other bits"):
        Asker(lab).explainer().why("loss@1")


def test_snapshots_forget_every_second_row() -> None:
    kept = Snapshots(most=1024 * 4 * 2)
    for number in range(1, 5000):
        kept.put(number, [[torch.tensor([float(number)])]])
    assert kept.every > 1
    for number in range(1, 5000):
        row = kept.row(number)
        assert (row is None) == bool(number % kept.every)
        assert row is None or row[0].item() == number
        near = kept.nearest(number)
        assert near == 0 or kept.row(near) is not None


@pytest.mark.parametrize("config", [{"optimizer": "Adam"}, {**SMALL, "optimizer": "momentum"}])
def test_what_is_set_by_hand(config: dict[str, Any]) -> None:
    training = Training(config_of(config))
    lab = training.lab
    training.ask("advance", {"steps": 6, "budget": 5000})
    training.ask("seek", {"step": 4})
    name = next(iter(lab.live.params))
    page = training.ask("set", {"address": f"{name}[0,0]@3", "value": "−0.25"})
    training.ask("set", {"address": "optimizer.lr", "value": "0.01"})
    assert page["steps"] == [0, 1, 2, 3]
    training.ask("advance", {"steps": 3, "budget": 5000})
    nodes = training.ask("why", {"address": f"{name}[0,0]@3"})["nodes"]
    assert (nodes[0]["value"], nodes[0]["verdict"]["sign"]) == ("−0.25", "given")
    assert "by hand" in nodes[0]["verdict"]["words"]
    nodes = {each["address"]: each for each in training.ask("why", {"address": f"{name}[0,0]@4"})["nodes"]}
    assert nodes[f"{name}[0,0]@4"]["verdict"]["sign"] == "same"
    assert nodes["optimizer.lr@4"]["value"] == "0.01"
    assert ran(lab.text()) == parameters(lab)
    if training.rows.neuron:
        told = training.ask("advance", {"steps": 1, "budget": 5000})
        assert told["neuron"][0]["step"] == 7
        assert "by hand" in json.dumps(training.page()["neuron"]["steps"][3]["sentences"][0])


def test_a_weight_of_a_network_set_before_the_first_step() -> None:
    training = Training(config_of(SMALL))
    page = training.ask("set", {"address": "output.bias[0]@init", "value": "0.5"})
    assert page["network"]["frames"][0]["biases"][-1] == [0.5]
    training.ask("advance", {"steps": 3, "budget": 5000})
    assert ran(training.lab.text()) == parameters(training.lab)
    node = training.ask("why", {"address": "output.bias[0]@init"})["nodes"][0]
    assert (node["value"], node["verdict"]["words"]) == ("0.5", "set by hand, while the training ran")
    training.ask("seek", {"step": 0})
    frame = training.ask("advance", {"steps": 1, "budget": 5000, "show": "update"})["frame"]
    new, moved = frame["biases"][-1][0], frame["biasUpdates"][-1][0]
    assert abs(new - moved - 0.5) < 1e-3


def test_input_and_target_set_by_hand_hold_from_then_on() -> None:
    training = Training(config_of({"format": "float32"}))
    training.ask("advance", {"steps": 3, "budget": 5000})
    training.ask("set", {"address": "input[0]@2", "value": "2"})
    training.ask("set", {"address": "target[0]", "value": "0.1"})
    steps = training.ask("advance", {"steps": 2, "budget": 5000})["neuron"]
    assert [(each["x"], each["target"]) for each in steps] == [("2.0", "0.1")] * 2
    assert training._value("input[0]@1") == "1.0"  # pyright: ignore[reportPrivateUsage]
    assert training._value("input[0]@4") == "2.0"  # pyright: ignore[reportPrivateUsage]
    assert ran(training.lab.text()) == parameters(training.lab)
    training.ask("seek", {"step": 0})
    page = training.ask("set", {"address": "linear.weight[0,0]@init", "value": "0.5"})
    assert page["live"]["config"]["w"] == 0.5


@pytest.mark.parametrize(
    "config", [{}, {"optimizer": "Adam", "format": "float32"}, {"format": "bfloat16", "lr": 0.001}]
)
def test_a_step_told_live_is_the_step_told_of_a_recording(config: dict[str, Any]) -> None:
    training = Training(config_of(config))
    told = training.ask("advance", {"steps": 30, "budget": 5000})["neuron"]
    explainer = training.asker.explainer()
    for step in (0, 1, 15, 29):
        assert told[step] == neuron_step(explainer, explainer.trace.step(step))


def test_a_second_format_goes_in_lockstep_and_parts() -> None:
    training = Training(config_of({"format": "float16", "other": "float32"}))
    live = training.ask("advance", {"steps": 5, "budget": 5000})["live"]
    alone = Training(config_of({"format": "float32"})).ask("advance", {"steps": 5, "budget": 5000})["table"]
    assert live["other"]["table"]["rows"] == alone["rows"]
    said = live["parts"]["sentence"]
    addresses = [each[0] for each in said if not isinstance(each, str)]
    assert addresses[1].startswith("float32:")
    nodes = [training.ask("why", {"address": each})["nodes"][0] for each in addresses]
    assert [each["format"] for each in nodes] == ["float16", "float32"]
    assert [each["value"] for each in nodes] == [each[1] for each in said if not isinstance(each, str)]
    same = Training(config_of({"format": "float32", "other": "float64", "w": 0.0, "b": 0.0, "target": 0.0}))
    assert same.ask("advance", {"steps": 3, "budget": 5000})["live"]["parts"] is None


def test_frames_of_a_network() -> None:
    training = Training(config_of({**SMALL, "hidden": [3, 2]}))
    network = training.page()["network"]
    assert network["sizes"] == [2, 3, 2, 1]
    assert network["frames"][0]["step"] == -1
    assert network["frames"][0]["loss"] == ""
    assert len(network["points"]["x"]) == 20
    for show, there in {"forward": None, "backward": "gradients", "update": "updates"}.items():
        frame = training.ask("advance", {"steps": 2, "budget": 5000, "show": show, "pictures": True})["frame"]
        assert [key for key in ("gradients", "updates") if frame[key] is not None] == [there] * bool(there)
        assert [len(each) for each in frame["weights"]] == [6, 6, 2]
        assert [len(each) for each in frame["pictures"]] == [2, 3, 2, 1]
        assert training.ask("values", {"addresses": [frame["lossAddress"]]})["values"] == [frame["loss"]]
    asked = [*(each.replace("{e}", "1").replace("{u}", "0") + "@4" for each in network["unit"])]
    asked += [
        f"{layer[key]}{at}@4" for layer in network["layers"] for key, at in (("weight", "[0,1]"), ("bias", "[0]"))
    ]
    values = training.ask("values", {"addresses": asked})["values"]
    assert all(values)
    nodes = [training.ask("why", {"address": each})["nodes"][0] for each in asked]
    assert [each["value"] for each in nodes] == values
    parts = training.ask("why", {"address": "hidden1.weight[0,0].grad@4"})["nodes"][0]["parts"]
    assert len([each for each in parts if each["by"] == "example"]) == 4


def test_a_training_that_blows_up_is_still_told() -> None:
    for config in ({"lr": 10.0, "x": 50.0}, {**SMALL, "lr": 10.0, "activation": "relu", "noise": 50}):
        training = Training(config_of(config))
        training.ask("advance", {"steps": 300, "budget": 5000})
        text = json.dumps(training.page(), allow_nan=False)
        assert "nan" in text or "inf" in text or config.get("level") == "network"
        training.ask("why", {"address": "loss@299"})


def test_the_text_is_numbers_and_known_names() -> None:
    for config in CONFIGS:
        text = program_text(config_of(config))
        compile(text, "learned.py", "exec")
        assert "{" not in text.replace("print({name", "").replace("{name: each", "")
