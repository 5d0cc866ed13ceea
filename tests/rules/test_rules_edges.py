"""Zeros of both signs, infinities, NaN, the largest and the smallest numbers, and the borders of every branch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from tests.rules import harness

Tensor = torch.Tensor
INF, NAN = float("inf"), float("nan")
EDGES = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    20.0,
    20.25,
    -20.0,
    60000.0,
    -60000.0,
    6e-8,
    -6e-8,
    1e-30,
    INF,
    -INF,
    NAN,
    3.0,
]

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "elu": F.elu,
    "selu": F.selu,
    "celu": lambda x: F.celu(x, 1.3),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "softplus": F.softplus,
    "log_sigmoid": F.logsigmoid,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "sign": torch.sign,
    "abs": torch.abs,
    "clamp": lambda x: x.clamp(-0.5, 0.5),
    "smooth_l1": lambda x: F.smooth_l1_loss(x, torch.zeros_like(x), reduction="none", beta=0.5),
    "huber": lambda x: F.huber_loss(x, torch.zeros_like(x), reduction="none", delta=0.5),
    "mse": lambda x: F.mse_loss(x, torch.ones_like(x), reduction="none"),
    "logits": lambda x: F.binary_cross_entropy_with_logits(x, torch.ones_like(x), reduction="none"),
    "softmax": lambda x: torch.softmax(x[:14].view(7, 2), 1),
    "log_softmax": lambda x: torch.log_softmax(x[:14].view(7, 2), 0),
    "add": lambda x: x.add(x.flip(0), alpha=0.1),
    "sub": lambda x: x.sub(x.flip(0), alpha=0.1),
    "div": lambda x: x / x.flip(0),
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_edges(name: str, dtype: torch.dtype) -> None:
    def run(dtype: torch.dtype) -> None:
        x = torch.tensor(EDGES, dtype=torch.float64).to(dtype).requires_grad_()
        y = FUNCTIONS[name](x)
        y.backward(torch.linspace(-1, 1, y.numel()).to(dtype).view(y.shape))

    table = harness.shares(harness.record(run, dtype), samples=100)
    wrong = {
        k: s
        for k, s in table.items()
        if s.opaque or (s.same < s.sampled and s.worst > (2 if dtype.itemsize > 2 else 0))
    }
    assert not wrong, "\n" + harness.table(wrong)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_probabilities_of_0_and_1(dtype: torch.dtype) -> None:
    def run(dtype: torch.dtype) -> None:
        p = torch.tensor([0.0, 1.0, 0.5, 1e-7, 1.0, 0.0], dtype=torch.float64).to(dtype).requires_grad_()
        t = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.0, 1.0]).to(dtype)
        F.binary_cross_entropy(p, t).backward()
        F.kl_div(p, t, reduction="sum").backward()

    table = harness.shares(harness.record(run, dtype), samples=100)
    wrong = {k: s for k, s in table.items() if s.opaque or s.same < s.sampled}
    assert not wrong, "\n" + harness.table(wrong)
