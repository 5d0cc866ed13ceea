"""Every optimizer of torch.optim, in each of its forms: nothing opaque, and its hyperparameters come back by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import whygrad
from whygrad.explain.derivation import Derivation

NAMED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "Adadelta": ({"weight_decay": 0.1}, {"lr", "rho", "eps", "weight_decay"}),
    "Adafactor": ({}, {"lr", "beta2_decay", "eps1", "eps2", "d", "step"}),
    "Adagrad": ({"lr_decay": 0.5}, {"lr", "lr_decay", "eps", "step"}),
    "Adam": ({"weight_decay": 0.1, "amsgrad": True}, {"lr", "beta1", "beta2", "eps", "step", "weight_decay"}),
    "AdamW": ({"maximize": True}, {"lr", "beta1", "beta2", "eps", "step", "weight_decay"}),
    "Adamax": ({}, {"lr", "beta1", "beta2", "eps", "step"}),
    "ASGD": ({"lambd": 0.3}, {"lambd", "eta"}),
    "LBFGS": ({}, {"lr"}),
    "Muon": ({}, {"lr", "weight_decay", "momentum", "ns_coefficient_a"}),
    "NAdam": ({}, {"lr", "beta1", "beta2", "eps", "step", "momentum_decay", "mu_product"}),
    "RAdam": ({"betas": (0.5, 0.7)}, {"lr", "beta1", "beta2", "step"}),
    "RMSprop": ({"momentum": 0.9, "centered": True}, {"lr", "alpha", "momentum", "eps"}),
    "Rprop": ({}, {"step_size_min", "step_size_max"}),
    "SGD": ({"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, {"lr", "momentum", "weight_decay"}),
    "SparseAdam": ({}, {"lr", "beta1", "beta2", "eps", "step"}),
}
FUSED = ("Adagrad", "Adam", "AdamW", "SGD")
FORMS = [
    (name, form)
    for name in NAMED
    for form in ("", "foreach", "fused")
    if not form
    or (form == "fused" and name in FUSED)
    or (form == "foreach" and name not in ("LBFGS", "Muon", "SparseAdam"))
]


def trained(name: str, dtype: torch.dtype, steps: int = 2, **options: Any) -> Any:
    torch.manual_seed(0)
    sparse = nn.Embedding(6, 3, sparse=True, dtype=dtype)
    shapes = [(3, 35)] if name == "Muon" else [(3, 35), (1,)]
    params = [sparse.weight] if name == "SparseAdam" else [nn.Parameter(torch.randn(s).to(dtype)) for s in shapes]
    optimizer = getattr(torch.optim, name)(params, **options)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        used = [sparse(torch.tensor([1, 2, 1, 5]))] if name == "SparseAdam" else params
        loss = torch.stack([(p * p * 0.5 + p * 0.3).sum() for p in used]).sum()
        loss.backward()
        return loss

    with whygrad.record() as run:
        for _ in range(steps):
            optimizer.step(*([closure] if name == "LBFGS" else [closure() and None]))
    return run


def asked(run: Any, depth: int) -> list[Derivation]:
    found: list[Derivation] = []
    explainer = run._explain()
    step = run.trace.step(run.steps[-1])
    for name in step.names:
        value = step.values[name.value]
        if name.kind in ("parameter", "state") and value.numel:
            last = tuple(n - 1 for n in value.shape)
            for index in {last, tuple(0 for _ in last)}:
                found += every(explainer.explain(explainer.at(step.number, value, index), depth))
    return found


def every(node: Derivation) -> list[Derivation]:
    return [node, *(each for operand in node.operands for each in every(operand))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_no_optimizer_is_opaque(name: str, form: str, dtype: torch.dtype) -> None:
    options, labels = NAMED[name]
    run = trained(name, dtype, **options, **({form: True} if form else {}))
    nodes = [node for node in asked(run, 6) if node.phase == "optimizer"]
    kinds = [node.verdict.kind for node in nodes if node.verdict.kind not in ("given", "not asked")]
    assert kinds and not {"opaque", "differs"} & set(kinds)
    assert kinds.count("same bits") >= 0.9 * len(kinds), {
        (n.op, n.verdict) for n in nodes if n.verdict.kind == "replayed"
    }
    assert labels <= {node.label.partition("[")[0] for node in nodes if node.role in ("hyperparameter", "state")}


@pytest.mark.parametrize("name", FUSED)
def test_fused_kernels_give_the_bits(name: str) -> None:
    options, _ = NAMED[name]
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        run = trained(name, dtype, 3, fused=True, **options)
        kernel = [node for node in asked(run, 1) if node.op.startswith("aten._fused")]
        assert all(node.verdict.kind == "same bits" for node in kernel)
        assert kernel or dtype is torch.float32  # op by op gives the same bits there now and then


def test_fused_sgd_in_16_bits_leaves_whole_vectors_alone() -> None:
    p = nn.Parameter(torch.ones(70, dtype=torch.bfloat16))
    optimizer = torch.optim.SGD([p], lr=0.5, fused=True)
    with whygrad.record() as run:
        p.sum().backward()
        optimizer.step()
    assert p[0].item() == 1.0 and p[69].item() == 0.5
    assert "leaves the elements of whole vectors as they were" in " ".join(
        str(run.why("p[0]@0")).replace("│", "").split()
    )
    assert run.why("p[0]@0").verdict.kind == run.why("p[69]@0").verdict.kind == "same bits"


def test_rectification_of_radam_is_named() -> None:
    run = trained("RAdam", torch.float32, 8, betas=(0.5, 0.9))
    numbers = [str(node.equation) for node in asked(run, 3) if node.op == "aten.mul.Tensor"]
    assert any("'½'" in text and "Python" in text for text in numbers)


def test_a_tensor_as_learning_rate() -> None:
    run = trained("SGD", torch.float32, lr=torch.tensor(0.125))
    assert run.why("optimizer.lr@1").value == 0.125
    assert "lr" in {node.label for node in asked(run, 2)}
