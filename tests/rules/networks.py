"""Multilayer perceptrons in training: activations, losses, optimizers, each by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

Tensor = torch.Tensor
Loss = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
    "elu": nn.ELU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "softplus beta": lambda: nn.Softplus(2.0, 1.0),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "log_sigmoid": nn.LogSigmoid,
    "gelu": nn.GELU,
    "gelu tanh": lambda: nn.GELU("tanh"),
    "softmax": lambda: nn.Softmax(-1),
    "softmax 0": lambda: nn.Softmax(0),
    "log_softmax": lambda: nn.LogSoftmax(-1),
    "log_softmax 0": lambda: nn.LogSoftmax(0),
    "dropout": lambda: nn.Dropout(0.3),
}
REDUCTIONS = ("mean", "sum", "none")


def numbers(o: Tensor) -> Tensor:
    """Targets of a regression."""
    return torch.randn(o.shape).to(o.dtype)


def classes(o: Tensor) -> Tensor:
    """One class for each row."""
    return torch.randint(0, o.shape[-1], o.shape[:-1])


def labels(o: Tensor) -> Tensor:
    """0 or 1 for each element."""
    return torch.randint(0, 2, o.shape).to(o.dtype)


def probabilities(o: Tensor) -> Tensor:
    """A distribution for each row."""
    return torch.softmax(torch.randn(o.shape), -1).to(o.dtype)


def weights(o: Tensor) -> Tensor:
    """One weight for each class."""
    return torch.linspace(0.5, 2, o.shape[-1]).to(o.dtype)


LOSSES: dict[str, Callable[[Tensor, str], Tensor]] = {
    "mse": lambda o, r: F.mse_loss(o, numbers(o), reduction=r),
    "l1": lambda o, r: F.l1_loss(o, numbers(o), reduction=r),
    "smooth_l1": lambda o, r: F.smooth_l1_loss(o, numbers(o), reduction=r, beta=0.7),
    "huber": lambda o, r: F.huber_loss(o, numbers(o), reduction=r, delta=0.7),
    "ce": lambda o, r: F.cross_entropy(o, classes(o), reduction=r),
    "ce weights": lambda o, r: F.cross_entropy(o, classes(o), weights(o), reduction=r),
    "ce smoothing": lambda o, r: F.cross_entropy(o, classes(o), reduction=r, label_smoothing=0.1),
    "ce smoothing weights": lambda o, r: F.cross_entropy(o, classes(o), weights(o), reduction=r, label_smoothing=0.1),
    "ce ignore": lambda o, r: F.cross_entropy(o, classes(o), reduction=r, ignore_index=1),
    "ce probabilities": lambda o, r: F.cross_entropy(o, probabilities(o), reduction=r),
    "nll": lambda o, r: F.nll_loss(F.log_softmax(o, -1), classes(o), reduction=r),
    "bce": lambda o, r: F.binary_cross_entropy(torch.sigmoid(o), labels(o), reduction=r),
    "bce weight": lambda o, r: F.binary_cross_entropy(torch.sigmoid(o), labels(o), weights(o), reduction=r),
    "bce logits": lambda o, r: F.binary_cross_entropy_with_logits(o, labels(o), reduction=r),
    "bce logits pos_weight": lambda o, r: F.binary_cross_entropy_with_logits(
        o, labels(o), reduction=r, pos_weight=weights(o)
    ),
    "kl": lambda o, r: F.kl_div(F.log_softmax(o, -1), probabilities(o), reduction="batchmean" if r == "mean" else r),
    "kl log": lambda o, r: F.kl_div(
        F.log_softmax(o, -1), probabilities(o).log(), reduction="sum" if r == "mean" else r, log_target=True
    ),
}


class SGD(torch.optim.SGD):
    """Not torch's own class any more, so that the recorder writes down its ops."""


class Adam(torch.optim.Adam):
    """As SGD."""


class AdamW(torch.optim.AdamW):
    """As SGD."""


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: SGD(p, 0.1),
    "momentum": lambda p: SGD(p, 0.1, momentum=0.9, weight_decay=0.01, dampening=0.1),
    "nesterov": lambda p: SGD(p, 0.1, momentum=0.9, nesterov=True, maximize=True),
    "adam": lambda p: Adam(p, 0.01, eps=1e-4),
    "amsgrad": lambda p: Adam(p, 0.01, eps=1e-4, amsgrad=True, weight_decay=0.01),
    "adamw": lambda p: AdamW(p, 0.01, eps=1e-4),
}


@dataclass(frozen=True)
class Network:
    """A perceptron with one hidden layer. `batch` None: a single vector goes in."""

    activation: str = "relu"
    loss: str = "mse"
    reduction: str = "mean"
    optimizer: str = "sgd"
    batch: int | None = 8
    width: int = 33
    outputs: int = 5
    steps: int = 2

    def train(self, dtype: torch.dtype) -> None:
        """Run it from a fixed seed."""
        torch.manual_seed(0)
        hidden = ACTIVATIONS[self.activation]()
        model = nn.Sequential(nn.Linear(7, self.width), hidden, nn.Linear(self.width, self.outputs)).to(dtype)
        optimizer = OPTIMIZERS[self.optimizer](model.parameters())
        for _ in range(self.steps):
            x = torch.randn(*(() if self.batch is None else (self.batch,)), 7).to(dtype)
            optimizer.zero_grad()
            loss = LOSSES[self.loss](model(x), self.reduction)
            (loss if self.reduction != "none" else loss.sum()).backward()
            optimizer.step()
