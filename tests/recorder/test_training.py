"""What people do around an optimizer: recording changes nothing, every why answers, and what is special is said."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import whygrad
from tests.recorder.programs import Outcome
from tests.recorder.programs_training import TRAINING, scheduled
from tests.recorder.test_programs import same
from whygrad.explain.derivation import Derivation

SCHEDULERS = {
    "StepLR": "set by StepLR(step_size=2, gamma=0.5) at epoch 3: lr = 0.1 · 0.5^⌊3/2⌋",
    "MultiStepLR": "MultiStepLR(milestones=[1, 2], gamma=0.1) at epoch 3: lr = 0.1 · 0.1^2",
    "ExponentialLR": "ExponentialLR(gamma=0.9) at epoch 3: lr = 0.1 · 0.9^3",
    "CosineAnnealingLR": "lr = 0.0 + (0.1 − 0.0)·(1 + cos(π·3/5))/2",
    "LambdaLR": "lr = 0.1 · half(3)",
    "LinearLR": "LinearLR(start_factor=",
    "OneCycleLR": "OneCycleLR(total_steps=6",
    "ReduceLROnPlateau": "set by ReduceLROnPlateau(",
    "SequentialLR": "SequentialLR at epoch 3, by ExponentialLR(gamma=0.9) at epoch 1",
}


def recorded(program: Callable[[], Outcome]) -> tuple[Any, Outcome]:
    plain = program()
    with whygrad.record() as run:
        outcome = program()
    assert same(plain, outcome) == []
    return run, outcome


def every(node: Derivation) -> list[Derivation]:
    return [node, *(each for operand in node.operands for each in every(operand))]


@pytest.mark.parametrize("name", TRAINING)
def test_whys_in_every_phase(name: str) -> None:
    run, _ = recorded(TRAINING[name])
    phases: set[str] = set()
    for number in run.steps:
        step = run.trace.step(number)
        for named in step.names:
            value = step.values[named.value]
            if value.numel and named.kind in ("parameter", "gradient", "state", "module", "loss"):
                why = run.why(_address(run, step, value), depth=1).inert
                phases |= {node.phase for node in every(why)}
                assert all(node.verdict.kind not in ("opaque", "differs") for node in every(why)), why
    assert "backward" in phases or name == "functional_transforms"


def _address(run: Any, step: Any, value: Any) -> str:
    naming = run._explain().tracks.world.resolver.naming(step)
    return naming.address(value, tuple(n // 2 for n in value.shape))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_scheduler_of_a_learning_rate(name: str) -> None:
    run, outcome = recorded(partial(scheduled, name))
    for number, rate in enumerate(outcome["rates"]):
        lr = run.why(f"optimizer.lr@{number}").inert
        assert lr.value == rate and lr.role == "hyperparameter"
    assert SCHEDULERS[name] in run.why("optimizer.lr@3").verdict.reason
    used = [node for node in every(run.why("weight[0,0]@3", depth=1).inert) if node.label == "lr"]
    assert [node.value for node in used] == [outcome["rates"][3]]


def test_a_rate_that_the_program_sets_itself() -> None:
    w = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    with whygrad.record() as run:
        for i in range(2):
            optimizer.zero_grad()
            (w * w).sum().backward()
            if i:
                optimizer.param_groups[0]["lr"] = 0.07
            optimizer.step()
            scheduler.step()
    assert "StepLR" in run.why("optimizer.lr@0").verdict.reason
    assert run.why("optimizer.lr@1").verdict.reason == "set by the program"


def test_several_param_groups() -> None:
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1)
    with whygrad.record() as run:
        (a * b).sum().backward()
        optimizer.step()
    lr = next(node for node in every(run.why("b[0]@0").inert) if node.label == "lr")
    assert (lr.address, lr.value) == ("optimizer.lr_1@0", 0.5)
    assert run.why(lr.address).value == 0.5


def test_clipping_by_norm() -> None:
    run, _ = recorded(TRAINING["clipped_by_norm"])
    why = run.why("0.weight[1,1].grad@1", depth=2).inert
    before, factor = why.operands
    assert before.address == "0.weight.unclipped[1,1].grad@1" and before.role == "gradient"
    assert factor.address == "clip_coef@1" and before.value != why.value
    norm = run.why("total_norm@1", depth=1)
    assert norm.op == "aten.linalg_vector_norm.default" and norm.value > 0.1
    assert factor.value == pytest.approx(0.1 / norm.value, rel=1e-4)
    assert run.why(before.address).value == before.value


def test_clipping_by_value() -> None:
    run, _ = recorded(TRAINING["clipped_by_value"])
    clipped = 0
    for i in range(4):
        why = run.why(f"0.weight[{i},0].grad@0")
        assert abs(why.value) <= float(torch.tensor(0.01))
        before = run.why(f"0.weight.unclipped[{i},0].grad@0")
        clipped += before.value != why.value
    assert clipped


def test_a_skipped_step_is_said() -> None:
    run, outcome = recorded(TRAINING["scaled_and_skipped"])
    assert len(run.table()) == 3 and outcome["scale"] == 512.0
    why = run.why("weight[0,0]@1")
    assert why.value == run.why("weight[0,0]@0").value and "step was skipped" in why.note
    assert "skipped" not in run.why("weight[0,0]@2").note
    unscaled = run.why("weight[0,0].grad@0", depth=1).inert
    assert unscaled.operands[0].address == "weight.scaled[0,0].grad@0"
    assert unscaled.operands[0].value == unscaled.value * 1024


def test_casts_by_autocast() -> None:
    run, _ = recorded(TRAINING["autocast"])
    nodes = every(run.why("0.output[0,0]@0", depth=3).inert)
    assert {node.note for node in nodes if node.op == "aten._to_copy.default"} == {"cast by autocast"}
    x = torch.ones(2, requires_grad=True)
    with whygrad.record() as plain, torch.autocast("cpu", dtype=torch.bfloat16):
        x.to(torch.bfloat16).sum().backward()
    assert all(not op.note for op in plain.trace.step(0).ops)


@pytest.mark.parametrize("name", ["checkpointed", "checkpointed_reentrant"])
def test_recomputed_ops(name: str, tmp_path: Path) -> None:
    run, _ = recorded(TRAINING[name])
    step = run.trace.step(1)
    again = [op for op in step.ops if op.note]
    assert {op.note for op in again} == {"recomputed by checkpointing"}
    modules = {op.module for op in again if op.kind == "aten.addmm"}
    assert modules == ({"first.0"} if name == "checkpointed" else {"first.0", "first.2"})  # the one stops where it can
    run.save(tmp_path / "run.why")
    loaded = whygrad.load(tmp_path / "run.why")
    assert [op.note for op in loaded.trace.step(1).ops] == [op.note for op in step.ops]


def test_hooks_and_custom_functions() -> None:
    run, _ = recorded(TRAINING["hooked"])
    why = run.why("weight[0,1].grad@0", depth=1)
    assert why.note == "in the hook doubled" and why.value == 2 * why.operands[0].value
    assert why.source.function == "doubled"
    assert run.why("bias[0].grad@0").note == "in the hook halve"
    run, _ = recorded(TRAINING["custom_function"])
    why = run.why("prediction[0,0].grad@0", depth=1)
    assert why.node == "ReversedBackward" and why.value == -0.5 * why.operands[0].value and not why.note


def test_tied_and_parametrized_weights() -> None:
    run, _ = recorded(TRAINING["tied"])
    for suffix in ("[1,2]@1", "[1,2].grad@1"):
        assert run.why("head.weight" + suffix).value == run.why("embedding.weight" + suffix).value
    run, outcome = recorded(TRAINING["parametrized"])
    why = run.why("0.weight[1,1]@0", depth=1)
    assert why.verdict.kind in ("same bits", "replayed") and outcome["0.0.bias"].shape == (4,)


def test_a_sparse_gradient_has_rows(tmp_path: Path) -> None:
    run, outcome = recorded(TRAINING["sparse_embedding"])
    twice = run.why("embedding.weight[1,2].grad@0", depth=1).inert
    assert twice.verdict.kind == "same bits"
    assert sum(abs(node.value) > 0 for node in twice.operands) == 2
    assert run.why("embedding.weight[0,0].grad@0").value == 0
    for index in ((1, 2), (0, 0), (5, 1)):
        why = run.why(f"embedding.weight[{index[0]},{index[1]}]@1", depth=4)
        assert why.value == outcome["embedding_weight"][index].item()
        assert all(node.verdict.kind not in ("opaque", "differs") for node in every(why.inert))
    run.save(tmp_path / "run.why")
    loaded: Any = whygrad.load(tmp_path / "run.why")
    assert loaded.why("embedding.weight[1,2]@1", depth=3).verdict.kind == "same bits"


def test_a_gradient_too_large_to_be_made_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whygrad.recorder.leaves.MOST_DENSE", 8)
    run, _ = recorded(TRAINING["sparse_embedding"])
    assert any("embedding.weight is sparse" in note for note in run.notes)


def test_set_reaches_the_parameter_itself() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    with whygrad.record() as run:
        with torch.no_grad():
            p.set_(torch.full((3,), 2.0))  # pyright: ignore[reportCallIssue, reportArgumentType]
        (p * p).sum().backward()
        with torch.no_grad():
            p -= 0.5
    assert p.tolist() == [1.5, 1.5, 1.5] and run.why("p[2]@0").value == 1.5
