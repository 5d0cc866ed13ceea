"""Which programs are plain chains of linear layers, and that the chain computes what the program did."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import whygrad
from whygrad.explain.chain import Chain, find_chain
from whygrad.explain.field import field, grid
from whygrad.trace.store import Trace


def trained(forward: Callable[[torch.Tensor], torch.Tensor], parameters: list[torch.Tensor], x: torch.Tensor) -> Trace:
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    with whygrad.record(steps="all") as run:
        for _ in range(3):
            loss = (forward(x) - 1).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return run.trace


def chain_of(model: nn.Module, x: torch.Tensor) -> Chain | None:
    return find_chain(trained(model, list(model.parameters()), x).step(1))


def named(chain: Chain | None) -> list[tuple[str, str]]:
    assert chain is not None
    return [(layer.weight.name.rpartition(".")[2], layer.activation_name) for layer in chain.layers]


def test_layers_sizes_and_activations() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 1))
    chain = chain_of(model, torch.rand(5, 2))
    assert chain is not None
    assert (chain.sizes, chain.examples) == ([2, 4, 3, 1], 5)
    assert [layer.activation_name for layer in chain.layers] == ["tanh", "gelu", ""]
    assert all(layer.bias is not None and layer.weight.grad is not None for layer in chain.layers)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (6, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_shapes_and_no_bias(shape: tuple[int, ...], bias: bool) -> None:
    model = nn.Sequential(nn.Linear(2, 3, bias=bias), nn.ReLU(inplace=True), nn.Linear(3, 1, bias=bias))
    chain = chain_of(model, torch.rand(shape))
    assert chain is not None
    assert chain.sizes == [2, 3, 1]
    assert [layer.activation_name for layer in chain.layers] == ["relu", ""]
    assert [layer.bias is not None for layer in chain.layers] == [bias, bias]


def test_a_neuron_of_raw_tensors() -> None:
    w, b, x = torch.tensor(0.5, requires_grad=True), torch.tensor(0.1, requires_grad=True), torch.tensor(2.0)
    chain = find_chain(trained(lambda x: w * x + b, [w, b], x).step(0))
    assert chain is not None
    assert chain.sizes == [1, 1]
    assert (chain.layers[0].weight.name, chain.layers[0].bias and chain.layers[0].bias.name) == (
        "parameters[0]",
        "parameters[1]",
    )


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(x + self.a(x))


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 1)
        self.c = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x)) + self.c(x)


@pytest.mark.parametrize(
    "model",
    [
        Residual(),
        Shared(),
        nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Linear(2, 1)),
        nn.Sequential(nn.Linear(2, 2), nn.Softmax(dim=1), nn.Linear(2, 1)),
        nn.Sequential(nn.Linear(2, 2), nn.PReLU(), nn.Linear(2, 1)),
        nn.Bilinear(2, 2, 1),
        nn.Embedding(3, 2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_what_is_no_chain(model: nn.Module) -> None:
    x = torch.tensor([0, 1]) if isinstance(model, nn.Embedding) else torch.rand(4, 2)
    forward = (lambda x: model(x, x)) if isinstance(model, nn.Bilinear) else model
    assert find_chain(trained(forward, list(model.parameters()), x).step(1)) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_field_is_the_networks_next_forward_pass(dtype: torch.dtype) -> None:
    """After step k's update, the network gives for the same inputs what step k + 1's forward pass gave."""
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).to(dtype)
    trace = trained(model, list(model.parameters()), torch.rand(5, 2, dtype=dtype))
    now, later = find_chain(trace.step(0)), find_chain(trace.step(1))
    assert now is not None
    assert later is not None
    given = trace.content(now.step, now.input).astype(np.float64)
    layers = field(trace, now, given)
    assert [each.shape[1] for each in layers] == [2, 4, 1]
    for found, layer in zip(layers[1:], later.layers, strict=True):
        assert (found == trace.content(later.step, layer.output).astype(np.float64)).all()


def test_the_grid_runs_row_by_row_from_the_top() -> None:
    points = grid((0.0, 2.0, 10.0, 12.0), 2)
    assert points.tolist() == [[0.5, 11.5], [1.5, 11.5], [0.5, 10.5], [1.5, 10.5]]
