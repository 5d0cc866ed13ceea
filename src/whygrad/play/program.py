"""A config as a PyTorch program: the text that a learner can copy and run, and the same text at work here.

The text is put together from the pieces below; what a config adds are numbers, written by `repr`, and names that `config.py`
has a closed list of. So nothing that a page sends is ever code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whygrad.play.config import Config, Network, Neuron
from whygrad.play.datasets import source_of

ACTIVATIONS: Mapping[str, str] = {
    "tanh": "nn.Tanh()", "relu": "nn.ReLU()", "sigmoid": "nn.Sigmoid()", "gelu": "nn.GELU()", "silu": "nn.SiLU()",
    "leaky_relu": "nn.LeakyReLU()", "elu": "nn.ELU()", "softplus": "nn.Softplus()",
}  # fmt: skip
LOSSES: Mapping[str, str] = {
    "mse": "nn.MSELoss()", "bce": "nn.BCEWithLogitsLoss()", "l1": "nn.L1Loss()", "huber": "nn.HuberLoss()",
}  # fmt: skip
OPTIMIZERS: Mapping[str, str] = {"momentum": "SGD"}
_FEATURES: Mapping[str, str] = {
    "x1": "x1", "x2": "x2", "x1^2": "x1 * x1", "x2^2": "x2 * x2", "x1*x2": "x1 * x2", "sin(x1)": "math.sin(x1)",
    "sin(x2)": "math.sin(x2)",
}  # fmt: skip
_INIT: Mapping[str, str] = {
    "xavier": "nn.init.xavier_uniform_(layer.weight)",
    "kaiming": 'nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")',
    "normal": "nn.init.normal_(layer.weight)",
    "zeros": "nn.init.zeros_(layer.weight)",
}
Change = tuple[str, float]
"""An address without its step, and what it was set to."""

_STEP = '''
def train_step(net, optimizer, x, target):
    """Forward, loss, backward, update."""
    optimizer.zero_grad()
    prediction = net(x)
    loss = {loss}(prediction, target)
    loss.backward()
    optimizer.step()
    return prediction, loss
'''

_NEURON = '''"""One neuron learns."""

import torch
from torch import nn

SEED = {seed}
DTYPE = torch.{format}
STEPS = {steps}


class Net(nn.Module):
    """{formula}."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1){act_made}

    def forward(self, x):
        return {forward}


x = torch.tensor([{x}], dtype=DTYPE)
target = torch.tensor([{target}], dtype=DTYPE)


def build():
    """The neuron and its optimizer, before the first step."""
    torch.manual_seed(SEED)
    net = Net().to(DTYPE){given}
    return net, {optimizer}


def batch(step):
    """What step number `step` is trained on."""
    return x, target

{train_step}

def main():
    net, optimizer = build(){first}
    for step in range(STEPS):
        prediction, loss = train_step(net, optimizer, *batch(step)){changes}
    print({{name: each.tolist() for name, each in net.named_parameters()}})


if __name__ == "__main__":
    main()
'''

_NETWORK = '''"""A small network learns to tell points apart."""

import functools
import math
import random

import torch
from torch import nn

SEED = {seed}
DTYPE = torch.{format}
STEPS = {steps}
BATCH = {batch}


class Net(nn.Module):
    """{sizes}: linear layers in a chain."""

    def __init__(self):
        super().__init__()
{layers}

    def forward(self, x):
{forward}


{points}


def features(x1, x2):
    """What of a point goes into the network."""
    return [{features}]


random.Random(SEED + 1).shuffle(points)
kept = max(1, len(points) * {train} // 100)
inputs = torch.tensor([features(x1, x2) for x1, x2, _ in points], dtype=DTYPE)
targets = torch.tensor([[{label}] for _, _, label in points], dtype=DTYPE)
test_inputs, test_targets = inputs[kept:], targets[kept:]
inputs, targets = inputs[:kept], targets[:kept]
loss_function = {loss}


def build():
    """The network and its optimizer, before the first step."""
    torch.manual_seed(SEED)
    net = Net(){init}
    net = net.to(DTYPE)
    return net, {optimizer}


@functools.lru_cache(maxsize=4)
def order(epoch):
    """In which order an epoch takes the points."""
    return torch.randperm(kept, generator=torch.Generator().manual_seed(SEED * 1_000_003 + epoch))


def batch(step):
    """What step number `step` is trained on."""
    size = min(BATCH or kept, kept)
    epoch, place = divmod(step, kept // size)
    chosen = order(epoch)[place * size : (place + 1) * size]
    return inputs[chosen], targets[chosen]

{train_step}

def main():
    net, optimizer = build(){first}
    for step in range(STEPS):
        prediction, loss = train_step(net, optimizer, *batch(step)){changes}
    print({{name: each.tolist() for name, each in net.named_parameters()}})


if __name__ == "__main__":
    main()
'''


@dataclass(frozen=True)
class Program:
    """The text at work. `space` are its names; `run` is its `train_step`, `batch` its choice of examples."""

    name: str
    space: Mapping[str, Any]

    @property
    def run(self) -> Callable[[Any, Any, Any, Any], tuple[Any, Any]]:
        return self.space["train_step"]

    @property
    def batch(self) -> Callable[[int], tuple[Any, Any]]:
        return self.space["batch"]

    @property
    def build(self) -> Callable[[], tuple[Any, Any]]:
        return self.space["build"]


def program_of(config: Config) -> Program:
    """The program of a config, its data made, nothing trained yet."""
    name = f"{config.level}.py"
    space: dict[str, Any] = {"__name__": f"whygrad_play_{config.level}", "__file__": name}
    # Under a bare file name: what lies in this package would be taken for ours, and this stands for a user's program.
    exec(compile(program_text(config), name, "exec"), space)
    return Program(name, space)


def program_text(config: Config, steps: int = 20, changes: Sequence[tuple[int, tuple[Change, ...]]] = ()) -> str:
    """The program as text. `changes`: what was set by hand, after which step."""
    if isinstance(config, Neuron):
        return _neuron_text(config, steps, changes)
    return _network_text(config, steps, changes)


def _neuron_text(config: Neuron, steps: int, changes: Sequence[tuple[int, tuple[Change, ...]]]) -> str:
    active = ACTIVATIONS.get(config.activation)
    inner = "weight · x + bias"
    given = "".join(
        f"\n    nn.init.constant_(net.linear.{name}, {value!r})"
        for name, value in (("weight", config.w), ("bias", config.b))
        if value is not None
    )
    return _NEURON.format(
        seed=config.seed,
        format=config.format,
        steps=steps,
        formula=f"prediction = {config.activation}({inner})" if active else f"prediction = {inner}",
        act_made=f"\n        self.activation = {active}" if active else "",
        forward="self.activation(self.linear(x))" if active else "self.linear(x)",
        x=repr(config.x),
        target=repr(config.target),
        given=given,
        optimizer=_optimizer(config),
        train_step=_STEP.format(loss=LOSSES["mse"]),
        changes=_changes(changes),
        first="".join(f"\n    {change_line(*each)}" for each in dict(changes).get(-1, ())),
    )


def layer_names(config: Network) -> list[tuple[str, str]]:
    """Names of the layers, each with that of the activation after it ("" for none)."""
    hidden = [
        (f"hidden{i}", f"act{i}" if config.activation in ACTIVATIONS else "") for i in range(1, len(config.hidden) + 1)
    ]
    return [*hidden, ("output", "")]


def _network_text(config: Network, steps: int, changes: Sequence[tuple[int, tuple[Change, ...]]]) -> str:
    features = config.features.split(",")
    sizes = (len(features), *config.hidden, 1)
    layers: list[str] = []
    forward: list[str] = []
    for (name, act), fan_in, fan_out in zip(layer_names(config), sizes[:-1], sizes[1:], strict=True):
        layers.append(f"        self.{name} = nn.Linear({fan_in}, {fan_out})")
        if act:
            layers.append(f"        self.{act} = {ACTIVATIONS[config.activation]}")
        called = f"self.{act}(self.{name}(x))" if act else f"self.{name}(x)"
        forward.append(f"        return {called}" if name == "output" else f"        x = {called}")
    return _NETWORK.format(
        seed=config.seed,
        format=config.format,
        steps=steps,
        batch=config.batch,
        sizes="-".join(map(str, sizes)),
        layers="\n".join(layers),
        forward="\n".join(forward),
        points=_points(config),
        features=", ".join(_FEATURES[each] for each in features),
        train=config.train,
        label="(label + 1) / 2" if config.loss == "bce" else "label",
        loss=LOSSES[config.loss],
        init=_init(config),
        optimizer=_optimizer(config),
        train_step=_STEP.format(loss="loss_function"),
        changes=_changes(changes),
        first="".join(f"\n    {change_line(*each)}" for each in dict(changes).get(-1, ())),
    )


def _points(config: Network) -> str:
    if config.dataset == "own":
        return "\n".join(["points = [", *(f"    {each!r}," for each in config.points), "]"])
    name, source = source_of(config.dataset)
    return f"{source}\n\npoints = {name}({config.samples}, {config.noise / 100!r}, random.Random(SEED))"


def _init(config: Network) -> str:
    chosen = _INIT.get(config.init)
    if chosen is None:
        return ""
    lines = ("for layer in net.modules():", "    if isinstance(layer, nn.Linear):", f"        {chosen}")
    return "".join(f"\n    {line}" for line in (*lines, "        nn.init.zeros_(layer.bias)"))


def _optimizer(config: Config) -> str:
    momentum = f", momentum={config.momentum!r}" if config.optimizer == "momentum" else ""
    decay = f", weight_decay={config.weight_decay!r}" if config.weight_decay or config.optimizer == "AdamW" else ""
    name = OPTIMIZERS.get(config.optimizer, config.optimizer)
    return f"torch.optim.{name}(net.parameters(), lr={config.lr!r}{momentum}{decay})"


def _changes(changes: Sequence[tuple[int, tuple[Change, ...]]]) -> str:
    lines: list[str] = []
    for step, each in changes:
        if step < 0:
            continue
        lines.append(f"if step == {step}:  # set by hand")
        lines += [f"    {change_line(address, value)}" for address, value in each]
    return "".join(f"\n        {line}" for line in lines)


def change_line(address: str, value: float) -> str:
    """The statement that sets a number; `address` is one that `lab.py` found in the program."""
    if address == "optimizer.lr":
        return f'optimizer.param_groups[0]["lr"] = {value!r}'
    name, _, index = address.partition("[")
    if name in ("x", "target"):
        return f"{name}.data[{index.rstrip(']') or '0'}] = {value!r}"
    return f"net.{name}.data[{index.rstrip(']')}] = {value!r}"
