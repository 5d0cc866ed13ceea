"""Addresses lead back to the very numbers that they were given for, whatever names a program's tensors share."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

import whygrad
from whygrad.explain.addresses import Naming, Resolver
from whygrad.trace.model import Name, Step


class Parts(nn.Module):
    """One linear layer whose output is cut in three, as attention's queries, keys and values are."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return (q * k).tanh() + v * q


@pytest.fixture(scope="module")
def run() -> whygrad.Run:
    torch.manual_seed(0)
    model, x = Parts(), torch.randn(3, 4)
    optimizer = torch.optim.AdamW(model.parameters())
    with whygrad.record(steps="all") as found:
        for _ in range(2):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    return found


def addresses(step: Step) -> dict[str, tuple[int, int, int]]:
    """The address of every element of every result of an op, and where that element is."""
    naming, found = Naming(step), dict[str, tuple[int, int, int]]()
    for op in step.ops:
        for value in (step.values[written] for written in op.written):
            for index in product(*map(range, value.shape)):
                found[naming.address(value, index)] = (value.storage, value.version, value.location(index))
    return found


def test_an_address_leads_to_its_number(run: whygrad.Run) -> None:
    resolver = Resolver(run.trace)
    for number in run.steps:
        for address, place in addresses(run.trace.step(number)).items():
            found = resolver.resolve(address)
            assert (found.value.storage, found.value.version, found.value.location(found.index)) == place, address


def test_the_gradient_of_a_part_is_not_that_of_the_whole(run: whygrad.Run) -> None:
    step = run.trace.step(1)
    named = [step.values[n.value].shape for n in step.names if (n.text, n.kind) == ("qkv.output", "gradient")]
    assert named == [(3, 6)]
    whole = run.why("qkv.output[1,0].grad@1")
    assert whole.gradient_of == "qkv.output[1,0]" and whole.verdict.kind == "same bits"


def test_of_names_alike_the_first_is_used(run: whygrad.Run) -> None:
    """As in files whose names were given when the gradients of parts still bore the name of the whole."""
    step = run.trace.step(1)
    whole = next(step.values[n.value] for n in step.names if (n.text, n.kind) == ("qkv.output", "gradient"))
    other = next(v for op in step.ops for v in (step.values[w] for w in op.written) if v.shape == (3, 2) and op.node)
    doubled = Name("qkv.output", other.id, "gradient", "activation")
    naming = Naming(replace(step, names=(*step.names, doubled)))
    assert naming.address(whole, (0, 1)) == "qkv.output[0,1].grad@1"
    assert naming.address(other, (0, 1)).startswith("op")


def test_the_state_before_a_step_is_had_where_only_that_step_was_kept() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = torch.optim.Adam([weight])
    with whygrad.record(steps="2") as run:
        for _ in range(3):
            optimizer.zero_grad()
            weight.square().sum().backward()
            optimizer.step()
    answer = run.why("optimizer.exp_avg(weight)[1]@2")
    before = next(each for each in answer.operands if each.role == "state")
    assert before.address.endswith("@1") and run.why(before.address).value == before.value
