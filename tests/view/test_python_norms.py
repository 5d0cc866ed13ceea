"""The Python form of a normalisation, and of whatever a small network computes: the very bits, or a sentence."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import nn

import whygrad
from whygrad.errors import OpaqueError, ValueDropped
from whygrad.explain.why import Explainer
from whygrad.floats import FORMATS, to_bits
from whygrad.trace.store import Trace
from whygrad.view.python import python_form


class Attending(nn.Module):
    """A transformer's block in small."""

    def __init__(self) -> None:
        super().__init__()
        self.ln1, self.qkv, self.ln2, self.head = (
            nn.LayerNorm(64), nn.Linear(64, 192), nn.LayerNorm(64), nn.Linear(64, 5),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(self.ln1(x)).chunk(3, -1)
        x = x + torch.softmax(q @ k.transpose(-1, -2) / 8, -1) @ v
        return self.head(nn.functional.gelu(self.ln2(x)))


class Folding(nn.Module):
    """A convolutional network in small."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.bn(self.conv(x))).mean((2, 3)))


def recorded(model: nn.Module, x: torch.Tensor, dtype: torch.dtype) -> Trace:
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.2, 0.5)
    model, x = model.to(dtype), x.to(dtype)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    with whygrad.record(steps="all") as run:
        out = model(x).flatten(0, -2)
        loss = nn.functional.cross_entropy(out, torch.arange(len(out)) % 5)
        loss.backward()
        optimizer.step()
    return run.trace


def pasted(source: str) -> float:
    space: dict[str, Any] = {}
    exec(source, space)
    return space["result"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kind", "shape"), [(Attending, (2, 24, 64)), (Folding, (4, 3, 8, 8))])
def test_any_number_of_a_network_has_a_program_or_a_sentence(
    kind: type[nn.Module], shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    trace = recorded(kind(), torch.randn(shape, generator=torch.Generator().manual_seed(1)), dtype)
    explainer, chosen, same = Explainer(trace), random.Random(2), 0
    step = trace.step(0)
    results = [step.values[written] for op in step.ops for written in op.written if step.values[written].numel]
    for value in results:
        try:
            answer = explainer.explain(explainer.at(0, value, tuple(chosen.randrange(n) for n in value.shape)), 1)
            form = python_form(answer)
        except (OpaqueError, ValueDropped):
            continue
        if answer.format not in FORMATS:  # integers
            assert pasted(form.source) == answer.value
            same += 1
            continue
        fmt = FORMATS[answer.format]
        off = to_bits(pasted(form.source), fmt) != to_bits(float(answer.value), fmt)
        assert off == bool(form.ulp), answer.address
        same += not off
    assert same >= 0.8 * len(results)


LAYER = ["ln1.output[0,21,20]", "ln1.weight[7].grad", "ln1.bias[7].grad", "ln2.weight[0].grad"]
BATCH = ["bn.output[1,2,3,4]", "bn.weight[1].grad", "bn.bias[5].grad"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("kind", "shape", "names"), [(Attending, (2, 24, 64), LAYER), (Folding, (4, 3, 8, 8), BATCH)])
def test_normalisations_have_a_program(
    kind: type[nn.Module], shape: tuple[int, ...], names: list[str], dtype: torch.dtype
) -> None:
    trace = recorded(kind(), torch.randn(shape, generator=torch.Generator().manual_seed(1)), dtype)
    explainer = Explainer(trace)
    for name in names:
        answer = explainer.why(f"{name}@0", 1)
        assert answer.equation is not None, name
        form = python_form(answer)
        assert form.ulp == 0, name
        assert pasted(form.source) == answer.value, name
