"""What people do around an optimizer, each as a program that returns everything that training changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tests.recorder.programs import Outcome, mlp, outcome

TRAINING: dict[str, Callable[[], Outcome]] = {}


def training(function: Callable[[], Outcome]) -> Callable[[], Outcome]:
    TRAINING[function.__name__] = function
    return function


@training
def clipped_by_norm() -> Outcome:
    torch.manual_seed(1)
    model = mlp(3, 4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(4, 3)).pow(2).sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
    return outcome(model)


@training
def clipped_by_value() -> Outcome:
    torch.manual_seed(2)
    model = mlp(3, 4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(4, 3)).pow(2).sum().backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.01)
        optimizer.step()
    return outcome(model)


def _schedulers(optimizer: Any) -> dict[str, Any]:
    kinds = torch.optim.lr_scheduler
    return {
        "StepLR": lambda: kinds.StepLR(optimizer, 2, 0.5),
        "MultiStepLR": lambda: kinds.MultiStepLR(optimizer, [1, 2], 0.1),
        "ExponentialLR": lambda: kinds.ExponentialLR(optimizer, 0.9),
        "CosineAnnealingLR": lambda: kinds.CosineAnnealingLR(optimizer, 5),
        "LambdaLR": lambda: kinds.LambdaLR(optimizer, half),
        "LinearLR": lambda: kinds.LinearLR(optimizer, total_iters=3),
        "OneCycleLR": lambda: kinds.OneCycleLR(optimizer, 0.1, total_steps=6),
        "ReduceLROnPlateau": lambda: kinds.ReduceLROnPlateau(optimizer, patience=0),
        "SequentialLR": lambda: kinds.SequentialLR(
            optimizer, [kinds.LinearLR(optimizer, total_iters=2), kinds.ExponentialLR(optimizer, 0.9)], [2]
        ),
    }


def half(epoch: int) -> float:
    return 0.5**epoch


def scheduled(name: str) -> Outcome:
    torch.manual_seed(3)
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = _schedulers(optimizer)[name]()
    x, rates = torch.randn(4, 2), list[float]()
    for _ in range(4):
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step(*([1.0] if name == "ReduceLROnPlateau" else []))
    return outcome(model, optimizers=(optimizer,), rates=rates)


@training
def averaged() -> Outcome:
    torch.manual_seed(4)
    model = mlp(2, 3, 1)
    ema = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(4, 2)).pow(2).mean().backward()
        optimizer.step()
        ema.update_parameters(model)
    return outcome(model, ema)


@training
def scaled_and_skipped() -> Outcome:
    torch.manual_seed(5)
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for i in range(3):
        optimizer.zero_grad()
        loss = model(torch.randn(4, 2)).pow(2).mean() * (float("inf") if i == 1 else 1.0)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    return outcome(model, scale=scaler.get_scale())


@training
def autocast() -> Outcome:
    torch.manual_seed(6)
    model = mlp(3, 4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = model(torch.randn(4, 3))
            loss = out.float().pow(2).mean()
        loss.backward()
        optimizer.step()
    return outcome(model)


def _checkpointed(reentrant: bool) -> Outcome:
    from torch.utils.checkpoint import checkpoint

    torch.manual_seed(7)
    first, second = mlp(3, 4, 4), nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        hidden: Any = checkpoint(first, torch.randn(4, 3, requires_grad=True), use_reentrant=reentrant)
        second(hidden).pow(2).mean().backward()
        optimizer.step()
    return outcome(first, second)


@training
def checkpointed() -> Outcome:
    return _checkpointed(False)


@training
def checkpointed_reentrant() -> Outcome:
    return _checkpointed(True)


@training
def functional_transforms() -> Outcome:
    torch.manual_seed(8)
    model = nn.Linear(3, 1)
    params = {name: p.detach().clone() for name, p in model.named_parameters()}
    x, y = torch.randn(5, 3), torch.randn(5, 1)

    def loss_of(weights: dict[str, torch.Tensor], one: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (torch.func.functional_call(model, weights, (one,)) - target).pow(2).sum()

    for _ in range(2):
        grads = torch.func.vmap(torch.func.grad(loss_of), in_dims=(None, 0, 0))(params, x, y)
        params = {name: p - 0.1 * grads[name].mean(0) for name, p in params.items()}
    jacobian = torch.func.jacrev(torch.tanh)(x[0])
    return outcome(jacobian=jacobian, weight=params["weight"], bias=params["bias"])


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return grad_output * -0.5


@training
def custom_function() -> Outcome:
    torch.manual_seed(9)
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        reverse: Any = Reversed.apply
        reverse(model(torch.randn(4, 2))).pow(2).sum().backward()
        optimizer.step()
    return outcome(model)


def doubled(grad: torch.Tensor) -> torch.Tensor:
    return grad * 2


@training
def hooked() -> Outcome:
    torch.manual_seed(10)
    model = nn.Linear(2, 1)
    model.weight.register_hook(doubled)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def halve(parameter: torch.Tensor) -> None:
        assert parameter.grad is not None
        parameter.grad.mul_(0.5)

    model.bias.register_post_accumulate_grad_hook(halve)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(4, 2)).pow(2).sum().backward()
        optimizer.step()
    return outcome(model)


@training
def parametrized() -> Outcome:
    torch.manual_seed(11)
    first = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    second = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
    third = nn.utils.parametrizations.orthogonal(nn.Linear(4, 2))
    model = nn.Sequential(first, second, third)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(4, 3)).pow(2).mean().backward()
        optimizer.step()
    return outcome(model)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(tokens))


@training
def tied() -> Outcome:
    torch.manual_seed(12)
    model = Tied()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tokens = torch.tensor([0, 1, 1, 4])
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(tokens), tokens).backward()
        optimizer.step()
    return outcome(model)


@training
def sparse_embedding() -> Outcome:
    torch.manual_seed(13)
    embedding, head = nn.Embedding(6, 3, sparse=True), nn.Linear(3, 1)
    sparse = torch.optim.SparseAdam(embedding.parameters(), lr=0.1)
    dense = torch.optim.SGD(head.parameters(), lr=0.1)
    tokens = torch.tensor([1, 2, 1, 5])
    for _ in range(2):
        sparse.zero_grad()
        dense.zero_grad()
        head(embedding(tokens)).pow(2).sum().backward()
        sparse.step()
        dense.step()
    return outcome(embedding_weight=embedding.weight.detach().clone(), head=head.weight.detach().clone())
