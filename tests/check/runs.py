"""Small networks, recorded once for the tests of this folder."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn

import whygrad


class Network(nn.Module):
    """Two or three layers; `raw1` is what `act1` bends."""

    def __init__(self, sizes: tuple[int, ...], activation: type[nn.Module], last: nn.Module | None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(sizes[0], sizes[1])
        self.act1 = activation()
        self.fc2 = nn.Linear(sizes[1], sizes[2])
        self.deep = len(sizes) == 4
        if self.deep:
            self.act2 = activation()
            self.fc3 = nn.Linear(sizes[2], sizes[3])
        self.last = nn.Identity() if last is None else last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.fc2(self.act1(self.fc1(x)))
        return self.last(self.fc3(self.act2(h)) if self.deep else h)


ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid}
OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
}


@cache
def network(
    activation: str = "tanh",
    loss: str = "mse",
    batch: int = 1,
    layers: int = 2,
    optimizer: str = "sgd",
    dtype: str = "float32",
) -> whygrad.Run:
    """Three steps of a network of 2 inputs, 3 (and 3) hidden units and 1 output, or 3 classes."""
    torch.manual_seed({"tanh": 3, "relu": 1, "sigmoid": 5}[activation])
    outputs = 3 if loss == "ce" else 1
    sizes = (2, 3, outputs) if layers == 2 else (2, 3, 3, outputs)
    model = Network(sizes, ACTIVATIONS[activation], nn.Sigmoid() if loss == "bce" else None).to(getattr(torch, dtype))
    x = torch.randn(batch, 2).to(getattr(torch, dtype))
    target: Any = torch.randn(batch, 1).to(x.dtype)
    if loss == "bce":
        target = (torch.arange(batch) % 2).to(x.dtype).reshape(batch, 1)
    if loss == "ce":
        target = torch.arange(batch) % 3
    criterion = {"mse": nn.MSELoss(), "bce": nn.BCELoss(), "ce": nn.CrossEntropyLoss()}[loss]
    updates = OPTIMIZERS[optimizer](model.parameters())
    with whygrad.record() as run:
        for _ in range(3):
            updates.zero_grad()
            value = criterion(model(x), target)
            value.backward()
            updates.step()
    return run
