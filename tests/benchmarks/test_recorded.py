"""Recording changes no bit of what the measured programs train: the transformer, the residual network, and every
configuration of every optimizer in PyTorch's own database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import whygrad
from benchmarks.coverage_optim import cases, database, forms, program
from benchmarks.programs import GPTConfig, Program, gpt, resnet

State = dict[str, torch.Tensor]
BUILDS: dict[str, Callable[[], Program]] = {
    "gpt": gpt,
    "gpt in bfloat16": lambda: gpt(torch.bfloat16),
    "gpt with flash attention": lambda: gpt(torch.float32, GPTConfig(sdpa=True)),
    "resnet": resnet,
}


def trained(make: Callable[[], Program], record: bool) -> State:
    """Weights, gradients, buffers and optimizer state after two steps."""
    made = make()
    if record:
        with whygrad.record(steps="all", budget="8GB"):
            made.step()
            made.step()
    else:
        made.step()
        made.step()
    found = {name: value.detach().clone() for name, value in made.model.state_dict().items()}
    found |= {f"{name}.grad": p.grad for name, p in made.parameters.items() if p.grad is not None}
    for number, state in enumerate(made.make_optimizer().state.values()):
        found |= {f"{number}.{key}": value for key, value in state.items() if isinstance(value, torch.Tensor)}
    return found


@pytest.mark.parametrize("name", BUILDS)
def test_a_network_trains_to_the_same_bits(name: str) -> None:
    plain, recorded = trained(BUILDS[name], False), trained(BUILDS[name], True)
    assert plain.keys() == recorded.keys()
    for key, value in plain.items():
        assert torch.equal(value, recorded[key]), key


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_an_optimizer_updates_to_the_same_bits(case: Any) -> None:
    name, form = case.name.split(" ")
    info = database()[name]
    made: list[torch.optim.Optimizer] = []

    def make(*args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        made.append(info.optim_cls(*args, **kwargs))
        return made[-1]

    make.__name__ = name
    for given in info.optim_inputs_func("cpu"):
        keywords = {**given.kwargs, **dict(forms(info))[form]}
        program(make, keywords)()
        again = program(make, keywords)
        with whygrad.record(steps="all"):
            again()
        plain, recorded = ([p for group in each.param_groups for p in group["params"]] for each in made[-2:])
        assert all(torch.equal(a, b) for a, b in zip(plain, recorded, strict=True)), given.kwargs
