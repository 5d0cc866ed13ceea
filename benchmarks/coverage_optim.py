"""PyTorch's own database of optimizers: every configuration, as a loop over parameters, with lists of them, and fused."""

from __future__ import annotations

import copy
import random
from functools import cache
from typing import Any

import torch
from torch import nn

from benchmarks.coverage_ask import Case, Outcome, Plan, Program, observe
from benchmarks.coverage_ops import seed_of

STEPS = 2


@cache
def database() -> dict[str, Any]:
    """The OptimizerInfos by name."""
    from torch.testing._internal.common_optimizers import optim_db

    infos: list[Any] = list(optim_db)
    return {info.optim_cls.__name__: info for info in infos}


def forms(info: Any) -> list[tuple[str, dict[str, bool]]]:
    """The ways in which an optimizer may run on a CPU, and their keywords."""
    known = [impl for impl in ("foreach", "fused") if impl in info.supported_impls]
    if "fused" in known and "cpu" not in info.supports_fused_on:
        known.remove("fused")
    plain: dict[str, bool] = {"foreach": False} if "foreach" in known else {}
    return [("loop", plain), *((impl, {impl: True}) for impl in known)]


def cases() -> list[Case]:
    """Every optimizer in each of its forms."""
    return [Case("optimizers", f"{n} {form}", "float32") for n, info in database().items() for form, _ in forms(info)]


def run(case: Case, plan: Plan) -> Outcome:
    """Every configuration of an optimizer, two steps on a small network; every number inside of the updates."""
    name, form = case.name.split(" ")
    info = database()[name]
    keywords = dict(forms(info))[form]
    outcome = Outcome(case, differentiable=True)
    rng = random.Random(seed_of(case))
    for given in info.optim_inputs_func("cpu"):
        observe(outcome, program(info.optim_cls, {**given.kwargs, **keywords}), plan, rng, updates=True)
    return outcome


def program(make: Any, keywords: dict[str, Any]) -> Program:
    """Two updates of a small network; of an embedding's sparse gradients, or of matrices alone, where one needs that."""
    torch.manual_seed(0)
    model, x = _network(make.__name__)
    optimizer = make(model.parameters(), **copy.deepcopy(keywords))

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (model(x) - 1).square().mean()
        loss.backward()
        return loss

    def run_once() -> None:
        for _ in range(STEPS):
            if make.__name__ == "LBFGS":
                optimizer.step(closure)
            else:
                closure()
                optimizer.step()

    return run_once


def _network(optimizer: str) -> tuple[nn.Module, torch.Tensor]:
    if optimizer == "SparseAdam":
        return nn.Embedding(7, 3, sparse=True), torch.tensor([1, 3, 3, 5])
    bias = optimizer != "Muon"
    return nn.Sequential(nn.Linear(4, 6, bias=bias), nn.Tanh(), nn.Linear(6, 2, bias=bias)), torch.randn(5, 4)
