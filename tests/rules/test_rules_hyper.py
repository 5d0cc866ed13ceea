"""Constants of an optimizer's ops come back as what the program set: lr, betas, eps, the count of steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.rules import harness
from tests.rules.networks import SGD, Adam, AdamW
from whygrad.explain.check import Checker
from whygrad.rules.call import Hyper
from whygrad.rules.hyperparameters import Constants

SETTINGS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any], set[str]]] = {
    "sgd": (SGD, {"lr": 0.1}, {"lr"}),
    "momentum": (
        SGD,
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.03},
        {"lr", "momentum", "dampening", "weight_decay"},
    ),
    "adam": (Adam, {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8}, {"lr", "beta1", "beta2", "eps", "step"}),
    "adamw": (
        AdamW,
        {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.05},
        {"lr", "beta1", "beta2", "eps", "step", "weight_decay"},
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", SETTINGS)
def test_constants_are_named(name: str, dtype: torch.dtype) -> None:
    kind, hyper, expected = SETTINGS[name]
    steps = 3

    def train(dtype: torch.dtype) -> None:
        weight = torch.randn(5, 4).to(dtype).requires_grad_()
        optimizer = kind([weight], **hyper)
        for _ in range(steps):
            optimizer.zero_grad()
            (weight * weight).sum().backward()
            optimizer.step()

    trace = harness.record(train, dtype)
    step = trace.step(steps - 1)
    checker, constants = Checker(trace), Constants(hyper, steps)
    found: dict[str, float] = {}
    for op in step.ops:
        for written in op.written if op.phase == "optimizer" else ():
            value = step.values[written]
            checked = checker.check(step, op, value, tuple(0 for _ in value.shape), constants) if value.numel else None
            if checked is not None:
                found |= {o.name: o.value for o in checked.call.operands if isinstance(o, Hyper)}
                assert checked.found is None or checked.found.ulp <= 1, op.name
    assert set(found) == expected
    plain = {
        **hyper,
        "step": float(steps),
        "beta1": hyper.get("betas", (0,))[0],
        "beta2": hyper.get("betas", (0, 0))[1],
    }
    assert found == {key: plain[key] for key in expected}
