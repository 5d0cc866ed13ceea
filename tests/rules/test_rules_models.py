"""What real models showed: gradients of an embedding looked up often, and numbers that an integer cannot hold."""

from __future__ import annotations

import platform

import pytest
import torch

import whygrad
from whygrad.explain.derivation import Derivation
from whygrad.explain.tensors import threads
from whygrad.explain.why import Explainer
from whygrad.trace.store import Trace


def answers(trace: Trace, name: str) -> list[Derivation]:
    """Of each element that an op of this name made."""
    explainer, found = Explainer(trace), list[Derivation]()
    for info in trace.index:
        step = trace.step(info.number)
        for op in step.ops:
            if op.name == name:
                value = step.values[op.written[0]]
                places = torch.ones(value.shape).nonzero().tolist()
                found += [explainer.explain(explainer.at(step.number, value, tuple(place)), 0) for place in places]
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("looked_up", [1, 12, 300])
def test_an_embeddings_gradients_are_added_in_turn(looked_up: int, dtype: torch.dtype) -> None:
    with threads(1), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weight = torch.randn(4, 3, dtype=dtype, requires_grad=True)
        index, scale = torch.randint(0, 3, (looked_up,)), torch.randn(looked_up, 3, dtype=dtype)
        with whygrad.record(steps="all") as run:
            (torch.nn.functional.embedding(index, weight, padding_idx=1) * scale).sum().backward()
            with torch.no_grad():
                weight.sub_(1)
        found = answers(run.trace, "aten.embedding_dense_backward.default")
    assert len(found) == 12
    assert {each.verdict.kind for each in found} == {"same bits"}
    assert all(each.value == 0 for each in found[9:])  # no index looked the last row up


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="what x86 gives for what does not fit")
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32], ids=str)
def test_what_an_integer_cannot_hold(dtype: torch.dtype) -> None:
    weight = torch.ones(1, requires_grad=True)
    x = torch.tensor([-torch.inf, torch.inf, torch.nan, 1e30, -1e30, 2.7, -2.7])
    with threads(1), whygrad.record(steps="all") as run:
        (weight * x.to(dtype).clamp(0, 1)).sum().backward()
        with torch.no_grad():
            weight.sub_(1)
    found = answers(run.trace, "aten._to_copy.default")
    assert {each.verdict.kind for each in found} == {"same bits"}
    lowest = torch.iinfo(dtype).min
    assert [each.value for each in found] == [lowest] * 5 + [2, -2]
