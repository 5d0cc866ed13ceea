"""Programs whose step needs a few megabytes, most of it for activations. Each trains and returns its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

Tensor = torch.Tensor


class Block(nn.Module):
    """Attention and a feed-forward net, with dropout, an in-place ReLU and views."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.drop = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q, k, v = (each.view(b, t, 2, d // 2).transpose(1, 2) for each in self.qkv(self.norm(x)).chunk(3, -1))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.drop(y.transpose(1, 2).reshape(b, t, d))
        return x + self.drop(self.down(functional.relu(self.up(x), inplace=True)))


class Transformer(nn.Module):
    """Three blocks over an embedding."""

    def __init__(self, checkpointed: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(40, 32)
        self.blocks = nn.ModuleList([Block(32) for _ in range(3)])
        self.head = nn.Linear(32, 40)
        self.checkpointed = checkpointed

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointed else block(x)  # pyright: ignore[reportAssignmentType]
        return self.head(x)


def _trained(model: nn.Module, batch: Callable[[], tuple[Tensor, Tensor]], optimizer: Any, steps: int) -> list[Tensor]:
    for _ in range(steps):
        x, y = batch()
        loss = functional.cross_entropy(model(x).flatten(0, -2), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [each.detach().clone() for each in model.parameters()]


def transformer(steps: int = 1, checkpointed: bool = False) -> list[Tensor]:
    """A GPT in small, AdamW."""
    torch.manual_seed(1)
    model = Transformer(checkpointed)

    def batch() -> tuple[Tensor, Tensor]:
        tokens = torch.randint(40, (12, 48))
        return tokens, tokens.roll(-1, 1)

    return _trained(model, batch, torch.optim.AdamW(model.parameters()), steps)


def checkpointed() -> list[Tensor]:
    """The same with activation checkpointing."""
    return transformer(checkpointed=True)


def convolutional(steps: int = 1) -> list[Tensor]:
    """Convolutions, batch norm, in-place ReLUs, pooling, dropout; SGD with momentum."""
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.AvgPool2d(4),
        nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip

    def batch() -> tuple[Tensor, Tensor]:
        return torch.randn(8, 3, 32, 32), torch.randint(10, (8,))

    return _trained(model, batch, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), steps)


def written_in_place() -> list[Tensor]:
    """Results written again and again, as a whole and in part, through views, and as memory that held nothing."""
    torch.manual_seed(3)
    w = torch.randn(64, 1, requires_grad=True)
    x = torch.randn(600, 64)
    for _ in range(2):
        a = x * 1.5
        room = torch.empty(1200, 64)
        room.zero_()
        room[:600].copy_(a)
        room[600:] = a * 2
        a.mul_(0.5)
        view = room.view(600, 128).t()
        view[3:70, ::2].add_(1)
        b = room.clone()
        room.uniform_()
        b.view(-1)[::3].sub_(room.view(-1)[::3])
        b.addcmul_(room, room)
        loss = ((b @ w).relu() ** 2).mean()
        loss.backward()
        with torch.no_grad():
            assert w.grad is not None
            w -= 0.001 * w.grad
            w.grad = None
    return [w.detach().clone()]


PROGRAMS: dict[str, Callable[[], list[Tensor]]] = {
    "transformer": transformer,
    "checkpointed": checkpointed,
    "convolutional": convolutional,
    "written_in_place": written_in_place,
}
