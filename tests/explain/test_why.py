"""Whys of recorded programs: names, depth, verdicts, errors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import whygrad
from tests.recorder.programs import PROGRAMS, mlp
from whygrad.explain.derivation import Derivation
from whygrad.explain.why import Explainer


@pytest.fixture(scope="module")
def neuron() -> whygrad.Run:
    with whygrad.record() as run:
        PROGRAMS["notebook"]()
    return run


def every(node: Derivation) -> list[Derivation]:
    return [node, *(each for operand in node.operands for each in every(operand))]


def test_the_weight_of_the_notebook(neuron: whygrad.Run) -> None:
    why: Any = neuron.why("linear.weight[0,0]@0")
    assert (why.value, why.role, why.phase, why.op) == (0.08660888671875, "parameter", "optimizer", "aten.add_.Tensor")
    before, grad, lr = sorted(why.operands, key=lambda d: ("init" not in d.address, d.role))
    assert (before.address, grad.address, lr.address) == (
        "linear.weight[0,0]@init", "linear.weight[0,0].grad@0", "optimizer.lr@0",
    )  # fmt: skip
    assert (lr.value, lr.role) == (0.1, "hyperparameter")
    assert grad.label == "∂loss/∂linear.weight" and grad.gradient_of == "linear.weight"
    error, x = grad.operands
    assert (error.address, error.value, x.address, x.value) == ("prediction[0].grad@0", -0.94140625, "input[0]@0", 1.0)
    addresses = {d.address for d in every(why.inert)}
    assert {"prediction[0]@0", "target[0]@0", "linear.bias[0]@init", "loss.grad@0"} <= addresses
    assert all(d.verdict.kind in ("same bits", "given", "not asked") for d in every(why.inert))
    assert why.source.file.endswith("programs.py") and why.source.function == "notebook"


def test_depth_is_as_asked(neuron: whygrad.Run) -> None:
    def levels(node: Derivation) -> int:
        return 1 + max((levels(each) for each in node.operands), default=0)

    for depth in (0, 1, 2, 3):
        why = neuron.why("linear.weight[0,0]@3", depth=depth).inert
        assert levels(why) == depth + 1
    assert neuron.why("linear.weight[0,0]@3", depth=0).more


def test_each_operand_can_be_asked(neuron: whygrad.Run) -> None:
    for node in every(neuron.why("linear.weight[0,0]@1", depth=8).inert):
        again = neuron.why(node.address, depth=0)
        assert again.value == node.value and again.address == node.address


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_adam_constants_come_from_hyperparameters(optimizer: str) -> None:
    torch.manual_seed(0)
    model = mlp(3, 4, 1)
    made = getattr(torch.optim, optimizer)(model.parameters(), lr=0.01, weight_decay=0.1)
    with whygrad.record() as run:
        for _ in range(3):
            made.zero_grad()
            model(torch.ones(2, 3)).pow(2).mean().backward()
            made.step()
    nodes = every(run.why("0.weight[1,2]@2", depth=12).inert)
    names = {n.label: n.value for n in nodes if n.role == "hyperparameter"}
    assert names["lr"] == 0.01 and names["weight_decay"] == 0.1
    if optimizer != "SGD":
        assert (names["beta1"], names["beta2"], names["eps"], names["step"]) == (0.9, 0.999, 1e-8, 3.0)
        state = run.why("optimizer.exp_avg(0.weight)[1,2]@2")
        assert state.role == "state"
        parameter = next(iter(model.parameters()))
        assert state.value == made.state[parameter]["exp_avg"][1, 2].item()
        before = run.why("optimizer.exp_avg(0.weight)[1,2]@1", depth=0)
        assert before.address in {n.address for n in nodes}
    assert all(n.verdict.kind != "opaque" for n in nodes)
    for node in nodes:
        assert run.why(node.address, depth=0).value == node.value


def test_a_long_sum_shows_its_largest_terms() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(100, 2)
    with whygrad.record() as run:
        layer(torch.randn(3, 100)).sum().backward()
    why = run.why("output[1,0]", depth=1)
    info = why.sum
    assert info is not None and info.count == 100 and len(info.terms) == 3 and info.rest_count == 97 and info.init
    total = sum(t.product for t in info.terms) + info.rest + layer.bias[0].item()
    assert total == pytest.approx(why.value, rel=1e-6)
    products = [abs(t.product) for t in info.terms]
    for term in info.terms:
        a, b = (why.operands[k] for k in term.factors)
        assert a.value * b.value == pytest.approx(term.product)
    x = run.trace.step(0)
    del x
    assert min(products) > 0


def test_an_op_without_a_rule_is_opaque_and_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whygrad.explain.places.candidates", lambda op: [])
    monkeypatch.setattr("whygrad.explain.check.find_rule", lambda *_: None)
    x = torch.randn(3, 3, requires_grad=True)
    with whygrad.record() as run:
        torch.linalg.inv(x).sum().backward()
    step = run.trace.step(0)
    op = next(op for op in step.ops if "inv" in op.name)
    why = run.why(f"op{op.index - step.first}[0,0]@0")
    assert why.verdict.kind == "opaque" and "very bits" in why.verdict.reason and "operands" in why.note
    assert why.operands == ()


def test_tampered_numbers_differ_loudly(neuron: whygrad.Run) -> None:
    with whygrad.record() as run:
        PROGRAMS["notebook"]()
    step = run.trace.step(2)
    grad = next(n for n in step.names if n.kind == "gradient" and n.text == "prediction")
    value = step.values[grad.value]
    from whygrad.trace.store import chunk_of

    chunk = chunk_of(step, value)
    assert chunk is not None
    data = run.trace.source.load_chunk(2, chunk)
    assert data is not None
    data[:] = np.frombuffer(np.float16(-0.25).tobytes(), dtype=np.uint8)
    why = run.why("prediction[0].grad@2", depth=0)
    assert why.value == -0.25 and why.verdict.kind == "differs" and why.verdict.reason


def test_a_weight_changed_behind_the_recorders_back_is_named() -> None:
    model = nn.Linear(40, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with whygrad.record() as run:
        for i in range(3):
            optimizer.zero_grad()
            model(torch.ones(1, 40)).pow(2).sum().backward()
            optimizer.step()
            if i == 0:
                model.weight.detach().numpy()[0, 7] = 0.5
    why = run.why("weight[0,7]@0", depth=0)
    assert why.value == 0.5 and why.verdict.kind == "differs" and "unseen" in why.verdict.reason


ERRORS = {
    "linear.wieght[0,0]@3": (whygrad.AddressError, "nearest names are: .*linear.weight"),
    "linear.weight[1,0]@3": (whygrad.AddressError, r"shape is \(1, 1\), rows run 0–0"),
    "linear.weight[0,3]@3": (whygrad.AddressError, "columns run 0–0"),
    "linear.weight[0]@3x": (whygrad.AddressError, ""),
    "linear.weight[0,0,0]@3": (whygrad.AddressError, "takes 2 indices, found 3"),
    "linear.weight[0,0]@99": (whygrad.StepNotKept, "steps 0 to 19"),
    "": (whygrad.AddressError, "NAME"),
}


@pytest.mark.parametrize("address", ERRORS)
def test_errors_say_what_to_do(neuron: whygrad.Run, address: str) -> None:
    kind, text = ERRORS[address]
    with pytest.raises(kind) as caught:
        neuron.why(address)
    assert re.search(text, str(caught.value))


def test_short_names_and_last_step(neuron: whygrad.Run) -> None:
    assert neuron.why("weight@0", depth=0).address == "linear.weight[0,0]@0"
    assert neuron.why("loss", depth=0).address == "loss@19"
    assert neuron.why("linear.weight@init", depth=0).value == neuron.why("weight@init", depth=0).value
    assert neuron.why("bias.grad@12", depth=0).value != 0


def test_a_parameter_of_a_step_not_kept_is_had_from_the_next() -> None:
    with whygrad.record(steps="5") as run:
        PROGRAMS["notebook"]()
    with whygrad.record() as whole:
        PROGRAMS["notebook"]()
    assert run.why("linear.weight@4", depth=0).value == whole.why("linear.weight@4", depth=0).value
    why = run.why("linear.weight@4", depth=1)
    assert why.verdict.kind == "given" and "--steps 4" in why.verdict.reason


def test_accumulated_and_clipped_gradients() -> None:
    with whygrad.record() as run:
        PROGRAMS["accumulation"]()
    nodes = every(run.why("0.weight[0,0]@1", depth=10).inert)
    assert any(n.op == "aten.mul_.Tensor" for n in nodes), "the clipping"
    assert {"loss_0", "loss"} <= {n.text for n in run.trace.step(1).names}
    assert not [n for n in nodes if n.verdict.kind == "differs"]


def test_every_scalar_of_many_programs_is_explained_without_error() -> None:
    generator = np.random.default_rng(0)
    for name, program in PROGRAMS.items():
        with whygrad.record() as run:
            program()
        explainer = Explainer(run.trace)
        step = run.trace.step(run.steps[-1])
        for op in step.ops:
            for written in op.written[:2]:
                value = step.values[written]
                if value.numel == 0:
                    continue
                index = tuple(int(generator.integers(n)) for n in value.shape)
                try:
                    node, _ = explainer.node(explainer.at(step.number, value, index))
                except whygrad.ValueDropped:
                    continue
                assert node.verdict.kind != "differs", (name, op.name, node.verdict)


def test_a_call_that_its_rule_does_not_cover_is_opaque(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whygrad.explain.places.candidates", lambda op: [])
    table = nn.Embedding(4, 2, scale_grad_by_freq=True)
    with whygrad.record() as run:
        table(torch.tensor([1, 1, 2])).sum().backward()
    step = run.trace.step(0)
    op = next(op for op in step.ops if op.kind == "aten.embedding_dense_backward")
    why = run.why(f"op{op.index - step.first}[1,0]@0", depth=0)
    assert why.verdict.kind == "opaque" and "scaled by frequency" in why.verdict.reason
