"""Training programs of every kind that a user may write; each returns everything that training changed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import nn

Outcome = dict[str, Any]
PROGRAMS: dict[str, Callable[[], Outcome]] = {}


def program(function: Callable[[], Outcome]) -> Callable[[], Outcome]:
    PROGRAMS[function.__name__] = function
    return function


def outcome(*modules: nn.Module, optimizers: tuple[Any, ...] = (), **more: Any) -> Outcome:
    found: Outcome = {"rng": torch.get_rng_state()}
    for i, module in enumerate(modules):
        found.update({f"{i}.{name}": value.detach().clone() for name, value in module.state_dict().items()})
        found.update({f"{i}.{n}.grad": p.grad.clone() for n, p in module.named_parameters() if p.grad is not None})
    for i, optimizer in enumerate(optimizers):
        for j, state in enumerate(optimizer.state.values()):
            found.update({f"optimizer{i}.{j}.{k}": v for k, v in state.items()})
    found.update(more)
    return found


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


@program
def notebook() -> Outcome:
    torch.manual_seed(0)
    model = Net().half()
    x, y = torch.tensor([1.0]).half(), torch.tensor([1.0]).half()
    criterion = nn.MSELoss()
    for _ in range(20):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        prediction = model(x)
        loss = criterion(prediction, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return outcome(model)


def mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


@program
def adamw_mlp() -> Outcome:
    torch.manual_seed(1)
    model = mlp(8, 16, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    x, y = torch.randn(10, 8), torch.randint(0, 3, (10,))
    for _ in range(4):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
    return outcome(model, optimizers=(optimizer,))


@program
def raw_tensors() -> Outcome:
    torch.manual_seed(2)
    w = torch.randn(3, requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    x, target = torch.randn(5, 3), torch.randn(5)
    lr = 0.05
    for _ in range(4):
        y_hat = (x * w).sum(1) + b
        error = ((y_hat - target) ** 2).mean()
        error.backward()
        assert w.grad is not None and b.grad is not None
        w.data.add_(-lr * w.grad)
        b.data += -lr * b.grad
        w.grad = None
        b.grad = None
    return outcome(w=w.detach(), b=b.detach())


@program
def no_grad_updates() -> Outcome:
    torch.manual_seed(3)
    params = [torch.randn(2, 2, requires_grad=True), torch.randn(2, requires_grad=True)]
    x = torch.randn(4, 2)
    for _ in range(3):
        loss = torch.tanh(x @ params[0] + params[1]).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            for p in params:
                assert p.grad is not None
                p -= 0.1 * p.grad
                p.grad.zero_()  # pyright: ignore[reportOptionalMemberAccess]
    return outcome(a=params[0].detach(), b=params[1].detach())


@program
def assigned_data() -> Outcome:
    torch.manual_seed(4)
    w = torch.randn(3, requires_grad=True)
    for _ in range(3):
        loss = (w * w).sum()
        loss.backward()
        assert w.grad is not None
        w.data = w.data - 0.1 * w.grad
        w.grad = None
    return outcome(w=w.detach())


@program
def functional_update() -> Outcome:
    torch.manual_seed(5)
    w = torch.randn(3, requires_grad=True)
    for _ in range(3):
        loss = (w * w).sum()
        loss.backward()
        assert w.grad is not None
        w = (w - 0.1 * w.grad).detach().requires_grad_()
    return outcome(w=w.detach())


@program
def grad_function() -> Outcome:
    torch.manual_seed(6)
    w = torch.randn(3, requires_grad=True)
    for _ in range(3):
        (g,) = torch.autograd.grad((w * w).sum(), [w])
        with torch.no_grad():
            w -= 0.1 * g
    return outcome(w=w.detach())


@program
def gan() -> Outcome:
    torch.manual_seed(7)
    generator, discriminator = mlp(2, 4, 1), mlp(1, 4, 1)
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=0.01)
    d_optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.01, momentum=0.9)
    bce = nn.BCEWithLogitsLoss()
    for _ in range(3):
        real, noise = torch.randn(4, 1), torch.randn(4, 2)
        d_optimizer.zero_grad()
        d_loss = bce(discriminator(real), torch.ones(4, 1)) + bce(
            discriminator(generator(noise).detach()), torch.zeros(4, 1)
        )
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        g_loss = bce(discriminator(generator(noise)), torch.ones(4, 1))
        g_loss.backward()
        g_optimizer.step()
    return outcome(generator, discriminator, optimizers=(g_optimizer, d_optimizer))


@program
def two_optimizers_one_backward() -> Outcome:
    torch.manual_seed(8)
    body, head = mlp(3, 4, 4), nn.Linear(4, 1)
    first, second = torch.optim.SGD(body.parameters(), lr=0.1), torch.optim.Adam(head.parameters())
    x = torch.randn(6, 3)
    for _ in range(3):
        first.zero_grad()
        second.zero_grad()
        head(body(x)).pow(2).mean().backward()
        first.step()
        second.step()
    return outcome(body, head, optimizers=(first, second))


@program
def accumulation() -> Outcome:
    torch.manual_seed(9)
    model = mlp(3, 4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    data = torch.randn(8, 4, 3)
    for i, x in enumerate(data):
        loss = model(x).pow(2).mean() / 2
        loss.backward()
        if i % 2:
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    return outcome(model, optimizers=(optimizer,))


@program
def dropout_and_norm() -> Outcome:
    torch.manual_seed(10)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01)
    for _ in range(3):
        x, y = torch.randn(6, 4), torch.randn(6, 2)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            model(x)
        model.train()
    return outcome(model, optimizers=(optimizer,))


@program
def lbfgs() -> Outcome:
    torch.manual_seed(11)
    model = nn.Linear(2, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    x, y = torch.randn(5, 2), torch.randn(5, 1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)
    return outcome(model)


class Signs(torch.optim.Optimizer):
    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 0.01})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.state[p]["seen"] = self.state[p].get("seen", torch.zeros_like(p)) + p.grad.abs()
                    p.add_(p.grad.sign(), alpha=-group["lr"])


@program
def own_optimizer() -> Outcome:
    torch.manual_seed(12)
    model = mlp(3, 4, 1)
    optimizer = Signs(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(4, 3)).pow(2).mean().backward()
        optimizer.step()
    return outcome(model, optimizers=(optimizer,))


@program
def transformer() -> Outcome:
    torch.manual_seed(13)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.001, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        layer(torch.randn(2, 5, 8)).pow(2).mean().backward()
        optimizer.step()
    return outcome(layer, optimizers=(optimizer,))


@program
def recurrent_and_conv() -> Outcome:
    torch.manual_seed(14)
    conv, rnn = nn.Conv1d(2, 3, 3), nn.LSTM(3, 4, batch_first=True)
    optimizer = torch.optim.SGD([*conv.parameters(), *rnn.parameters()], lr=0.1, momentum=0.9, foreach=True)
    for _ in range(2):
        optimizer.zero_grad()
        out, _ = rnn(conv(torch.randn(2, 2, 7)).transpose(1, 2))
        out.pow(2).sum().backward()
        optimizer.step()
    return outcome(conv, rnn, optimizers=(optimizer,))


@program
def autocast_and_checkpoint() -> Outcome:
    from torch.utils.checkpoint import checkpoint

    torch.manual_seed(15)
    first, second = nn.Linear(4, 4), nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden: Any = checkpoint(first, torch.randn(3, 4, requires_grad=True), use_reentrant=False)
            loss = second(hidden).float().pow(2).mean()
        loss.backward()
        optimizer.step()
    return outcome(first, second)


@program
def double_backward() -> Outcome:
    torch.manual_seed(16)
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, amsgrad=True)
    for _ in range(2):
        x = torch.randn(3, 2, requires_grad=True)
        optimizer.zero_grad()
        y = model(x).sum()
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        (y + g.pow(2).sum()).backward()
        optimizer.step()
    return outcome(model, optimizers=(optimizer,))
