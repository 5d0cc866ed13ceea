"""Four training programs, from one neuron to a ResNet-18: small, deterministic, written out by hand.

Each `build(dtype)` returns a `Program` whose `step` trains once on the same batch. All numbers come from
`torch.manual_seed(SEED)`, so two builds of a program are equal to the last bit; the caller's random state is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

Tensor = torch.Tensor
SEED = 0


@dataclass(frozen=True)
class Program:
    """A model that is being trained on one batch: x and target. `make_optimizer` gives the optimizer of one step (the
    same each time, unless the program makes it anew)."""

    name: str
    model: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    x: Tensor
    target: Tensor
    make_optimizer: Callable[[], torch.optim.Optimizer]

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The trained tensors by name."""
        return dict(self.model.named_parameters())

    def step(self) -> None:
        """Forward, backward, update."""
        optimizer = self.make_optimizer()
        optimizer.zero_grad()
        loss = self.loss(self.model(self.x), self.target)
        loss.backward()
        optimizer.step()


class Neuron(nn.Module):
    """y = w·x + b."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


def neuron(dtype: torch.dtype = torch.float16) -> Program:
    """One neuron, x = [1], target [2], squared error; its SGD is made anew at each step, as a notebook's cell does."""
    with _seeded():
        model = Neuron().to(dtype)
    x, target = torch.tensor([1.0], dtype=dtype), torch.tensor([2.0], dtype=dtype)
    return Program("neuron", model, nn.MSELoss(), x, target, lambda: torch.optim.SGD(model.parameters(), lr=0.1))


ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "silu": nn.SiLU, "elu": nn.ELU,
    "softplus": nn.Softplus, "leaky_relu": nn.LeakyReLU,
}  # fmt: skip
LOSSES: Mapping[str, Callable[[], nn.Module]] = {
    "cross_entropy": nn.CrossEntropyLoss, "mse": nn.MSELoss, "l1": nn.L1Loss, "smooth_l1": nn.SmoothL1Loss,
    "bce_with_logits": nn.BCEWithLogitsLoss, "nll": nn.NLLLoss,
}  # fmt: skip
OPTIMIZERS: Mapping[str, Callable[[Iterable[Tensor], float], torch.optim.Optimizer]] = {
    "sgd": lambda p, eps: torch.optim.SGD(p, lr=0.1),
    "sgd_momentum": lambda p, eps: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-4),
    "adam": lambda p, eps: torch.optim.Adam(p, lr=1e-3, eps=eps),
    "adamw": lambda p, eps: torch.optim.AdamW(p, lr=1e-3, eps=eps),
    "rmsprop": lambda p, eps: torch.optim.RMSprop(p, lr=1e-3, eps=eps),
    "adagrad": lambda p, eps: torch.optim.Adagrad(p, lr=1e-2, eps=eps),
}


@dataclass(frozen=True)
class MLPConfig:
    """Widths of the layers (input first, output last) and what stands between, after and below them."""

    widths: tuple[int, ...] = (64, 128, 128, 10)
    batch: int = 32
    activation: str = "relu"
    loss: str = "cross_entropy"
    optimizer: str = "adamw"


def mlp(dtype: torch.dtype = torch.float32, config: MLPConfig | None = None) -> Program:
    """Linear layers with activations between; 64-128-128-10, ReLU, cross-entropy, batch 32, AdamW unless told."""
    config = config or MLPConfig()
    with _seeded():
        layers: list[nn.Module] = []
        for fan_in, fan_out in zip(config.widths, config.widths[1:], strict=False):
            layers += [nn.Linear(fan_in, fan_out), ACTIVATIONS[config.activation]()]
        layers.pop()
        if config.loss == "nll":
            layers.append(nn.LogSoftmax(-1))
        model = nn.Sequential(*layers).to(dtype)
        x = torch.randn(config.batch, config.widths[0]).to(dtype)
        target = _target(config, dtype)
    optimizer = OPTIMIZERS[config.optimizer](model.parameters(), _eps(dtype))
    return Program("mlp", model, LOSSES[config.loss](), x, target, lambda: optimizer)


def _eps(dtype: torch.dtype) -> float:
    """PyTorch's default, but for float16: there 1e-8 is 0, a gradient of 0 divided by its own root is NaN, and after one
    step so is every number of the network."""
    return 1e-4 if dtype == torch.float16 else 1e-8


def _target(config: MLPConfig, dtype: torch.dtype) -> Tensor:
    if config.loss in ("cross_entropy", "nll"):
        return torch.randint(0, config.widths[-1], (config.batch,))
    if config.loss == "bce_with_logits":
        return torch.randint(0, 2, (config.batch, config.widths[-1])).to(dtype)
    return torch.randn(config.batch, config.widths[-1]).to(dtype)


@dataclass(frozen=True)
class GPTConfig:
    """`sdpa`: attention by `scaled_dot_product_attention` instead of written out."""

    vocabulary: int = 256
    length: int = 64
    width: int = 128
    heads: int = 4
    layers: int = 4
    batch: int = 4
    sdpa: bool = False


class Attention(nn.Module):
    """Causal self-attention (Vaswani et al. 2017): softmax(QKᵀ/√d + mask)·V in each head. (B, T, C) → (B, T, C)."""

    mask: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.heads, self.sdpa = config.heads, config.sdpa
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.register_buffer("mask", torch.ones(config.length, config.length, dtype=torch.bool).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        heads = (batch, length, self.heads, width // self.heads)
        q, k, v = (part.reshape(heads).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        if self.sdpa:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
            scores = scores.masked_fill(self.mask[:length, :length], -math.inf)
            mixed = scores.softmax(dim=-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """Pre-norm block: x + attention(norm(x)), then x + mlp(norm(x)). (B, T, C) → (B, T, C)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attention = Attention(config)
        self.up, self.down = nn.Linear(config.width, 4 * config.width), nn.Linear(4 * config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_1(x))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


class GPT(nn.Module):
    """Decoder-only transformer: token and position embeddings, blocks, norm, untied head. (B, T) → (B, T, vocab)."""

    positions: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.token = nn.Embedding(config.vocabulary, config.width)
        self.position = nn.Embedding(config.length, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        self.register_buffer("positions", torch.arange(config.length))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens) + self.position(self.positions[: tokens.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def gpt(dtype: torch.dtype = torch.float32, config: GPTConfig | None = None) -> Program:
    """A GPT of 4 layers, width 128, 4 heads, on 4 sequences of 64 tokens; next-token cross-entropy, AdamW."""
    config = config or GPTConfig()
    with _seeded():
        model = GPT(config).to(dtype)
        tokens = torch.randint(0, config.vocabulary, (config.batch, config.length + 1))
    x, target = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), target.flatten())

    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    return Program("gpt", model, loss, x, target, lambda: optimizer)


class Residual(nn.Module):
    """relu(F(x) + shortcut(x)), F two 3×3 convolutions with batch norm (He et al. 2015).

    (N, C, H, W) → (N, D, H/s, W/s).
    """

    def __init__(self, fan_in: int, fan_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(fan_in, fan_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(fan_out)
        self.conv2 = nn.Conv2d(fan_out, fan_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(fan_out)
        same = stride == 1 and fan_in == fan_out
        shortcut = (nn.Conv2d(fan_in, fan_out, 1, stride, bias=False), nn.BatchNorm2d(fan_out))
        self.shortcut = nn.Identity() if same else nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """ResNet-18 with the CIFAR stem: one 3×3 convolution, no pooling, then four stages of two blocks. (N, 3, 32, 32) →
    (N, classes)."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(64)
        blocks: list[nn.Module] = []
        fan_in = 64
        for fan_out, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [Residual(fan_in, fan_out, stride), Residual(fan_out, fan_out, 1)]
            fan_in = fan_out
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.relu(self.bn(self.conv(x))))
        return self.fc(x.mean(dim=(2, 3)))


def resnet(dtype: torch.dtype = torch.float32) -> Program:
    """ResNet-18 on 4 images of 32 × 32; cross-entropy, SGD with momentum 0.9 and weight decay."""
    with _seeded():
        model = ResNet().to(dtype)
        x, target = torch.randn(4, 3, 32, 32).to(dtype), torch.randint(0, 10, (4,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    return Program("resnet", model, nn.CrossEntropyLoss(), x, target, lambda: optimizer)


PROGRAMS: Mapping[str, Callable[..., Program]] = {"neuron": neuron, "mlp": mlp, "gpt": gpt, "resnet": resnet}


class _seeded:
    """torch's default generator seeded, and as it was afterwards."""

    def __enter__(self) -> None:
        self._before = torch.get_rng_state()
        torch.manual_seed(SEED)

    def __exit__(self, *_: Any) -> None:
        torch.set_rng_state(self._before)
