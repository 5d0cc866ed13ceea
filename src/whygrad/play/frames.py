"""The network at the step where a lab stands, for drawing: straight from the live tensors."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from whygrad.play.config import Network
from whygrad.play.lab import TORCH, Lab
from whygrad.play.program import layer_names
from whygrad.play.rows import Said
from whygrad.view.numbers import number, typographic

Tensor = torch.Tensor
SIDE, OUTPUT_SIDE = 20, 60
_BOUNDED = frozenset({"tanh", "sigmoid"})


class Frames:
    """Frames of one lab's network, and its `Network` of the page."""

    def __init__(self, lab: Lab) -> None:
        assert isinstance(lab.config, Network)
        self.lab, self.config = lab, lab.config
        self.names = layer_names(lab.config)
        self.points: list[tuple[float, float, float]] = [tuple(each) for each in lab.program.space["points"]]
        self.bounds = _bounds(self.points) if self.config.dataset == "own" else (-6.0, 6.0, -6.0, 6.0)
        with TORCH:
            self._small = self._grid(SIDE)
            self._large = self._grid(OUTPUT_SIDE)
            self._examples = len(lab.program.batch(0)[0])

    def network(self, frame: dict[str, Any]) -> dict[str, Any]:
        """`Network` of the page, with one frame."""
        features = self.config.features.split(",")
        kept = self.lab.program.space["kept"]
        low1, high1, low2, high2 = self.bounds
        return {
            "sizes": [len(features), *self.config.hidden, 1],
            "inputs": features,
            "layers": [
                {"weight": f"{name}.weight", "bias": f"{name}.bias", "activation": self.config.activation if act else ""}
                for name, act in self.names
            ],
            "unit": ["input[{e},{u}]", *(f"{act or name}.output[{{e}},{{u}}]" for name, act in self.names[:-1]),
                     "prediction[{e},{u}]"],
            "examples": self._examples,
            "bounds": list(self.bounds),
            "points": {
                "x": [round(2 * (x1 - low1) / (high1 - low1) - 1, 4) for x1, _, _ in self.points],
                "y": [round(2 * (x2 - low2) / (high2 - low2) - 1, 4) for _, x2, _ in self.points],
                "label": [round(label, 4) for _, _, label in self.points],
                "test": len(self.points) - kept,
            },
            "frames": [frame],
        }  # fmt: skip

    def frame(self, pictures: bool, show: str) -> dict[str, Any]:
        """`Frame` of the page, where the lab stands. `show` chooses what of gradients and updates comes along."""
        lab = self.lab
        with TORCH:
            params = {name: tensor.detach() for name, tensor in lab.live.params.items()}
            grads = {n: p.grad for n, p in lab.live.params.items() if p.grad is not None and lab.step}
            moved = self._updates(params) if show == "update" else {}
            found: dict[str, Any] = {"step": lab.step - 1}
            loss = lab.losses[lab.step - 1] if lab.step else None
            found["loss"] = "" if loss is None else self._text(loss)
            found["testLoss"] = self._test_loss()
            found["lossAddress"] = f"loss@{lab.step - 1}" if lab.step else ""
            found["weights"], found["biases"] = self._layers(params, "weight"), self._layers(params, "bias")
            found["gradients"], found["biasGradients"] = self._two(grads if show == "backward" else {})
            found["updates"], found["biasUpdates"] = self._two(moved)
            found["scale"] = {
                "weights": _largest(params), "gradients": _largest(grads) if grads else 1, "updates": _largest(moved),
            }  # fmt: skip
            shown = self._pictures() if pictures else ([], "")
        found |= {"pictures": shown[0], "side": SIDE, "output": shown[1], "outputSide": OUTPUT_SIDE}
        return found | {"sentence": self._sentence(found["loss"], found["testLoss"])}

    def _sentence(self, loss: str, test: str) -> list[Said]:
        step = self.lab.step - 1
        if step < 0:
            return [
                f"{self.config.dataset}: not trained yet. The weights are as torch's seed {self.config.seed} gives them."
            ]
        said: list[Said] = [f"In step {step} the loss of {self._examples} examples is ", [f"loss@{step}", loss]]
        return [*said, f"; of the points held back, {test} after it." if test else "."]

    def _test_loss(self) -> str:
        space = self.lab.program.space
        if not len(space["test_inputs"]):
            return ""
        with torch.no_grad():
            return self._text(
                space["loss_function"](self.lab.live.net(space["test_inputs"]), space["test_targets"]).item()
            )

    def _text(self, value: float) -> str:
        return typographic(number(value, self.config.format))

    def _two(self, tensors: dict[str, Tensor]) -> tuple[list[list[float]] | None, list[list[float]] | None]:
        return (self._layers(tensors, "weight"), self._layers(tensors, "bias")) if tensors else (None, None)

    def _layers(self, tensors: dict[str, Tensor], part: str) -> list[list[float]]:
        return [[_near(each) for each in tensors[f"{name}.{part}"].view(-1).tolist()] for name, _ in self.names]

    def _updates(self, params: dict[str, Tensor]) -> dict[str, Tensor]:
        """New weights − old ones, for drawing."""
        lab = self.lab
        if lab.step == 0:
            return {}
        row = None if lab.step == 1 else lab.snapshots.row(lab.step - 1)
        if row is None and lab.step > 1:
            return {}
        found: dict[str, Tensor] = {}
        place = 0
        for name, tensor in params.items():
            old = lab.start[name] if row is None else row[0][place : place + tensor.numel()].view(tensor.shape)
            found[name] = tensor.double() - old.double()
            place += tensor.numel()
        return found

    # ---- pictures

    def _grid(self, side: int) -> Tensor:
        """What goes into the network at the middle of each cell, row by row from the top."""
        low1, high1, low2, high2 = self.bounds
        across = [low1 + (high1 - low1) * (i + 0.5) / side for i in range(side)]
        down = [high2 - (high2 - low2) * (i + 0.5) / side for i in range(side)]
        features = self.lab.program.space["features"]
        return torch.tensor([features(x1, x2) for x2 in down for x1 in across], dtype=self.lab.dtype)

    def _pictures(self) -> tuple[list[list[str]], str]:
        """Of each unit its output over the plane, the inputs first; and the large one of the network's output."""
        net, config = self.lab.live.net, self.config
        with torch.no_grad():
            x = self._small
            layers = [_bytes_of(x, 0.0)]
            for name, act in self.names:
                x = getattr(net, name)(x)
                x = getattr(net, act)(x) if act else x
                last = name == "output"
                layers.append(self._output_bytes(x) if last else _bytes_of(x, float(config.activation in _BOUNDED)))
            return layers, self._output_bytes(net(self._large))[0]

    def _output_bytes(self, x: Tensor) -> list[str]:
        """The output around the middle of the targets: logits as what they say of the two classes."""
        return _bytes_of(torch.tanh(x / 2) if self.config.loss == "bce" else x, 1.0)


def _bytes_of(x: Tensor, scale: float) -> list[str]:
    """A picture a column: −127 to 127 for −scale to scale; `scale` 0: the largest size that the column has."""
    array = x.float().numpy().astype(np.float32)
    size = np.full(array.shape[1], scale) if scale else np.maximum(np.abs(array).max(axis=0), 1e-30)
    cells = np.clip(np.rint(np.nan_to_num(array / size) * 127), -127, 127).astype(np.int8)
    return [base64.b64encode(np.ascontiguousarray(cells[:, i]).tobytes()).decode() for i in range(cells.shape[1])]


def _largest(tensors: dict[str, Tensor]) -> float:
    sizes = [float(each.abs().max()) for each in tensors.values()]
    return _near(max(sizes, default=0.0)) or 1.0


def _near(value: float) -> float:
    """For drawing only: short, and finite."""
    return 0.0 if value != value or abs(value) > 1e30 else float(f"{value:.4g}")


def _bounds(points: Sequence[tuple[float, float, float]]) -> tuple[float, float, float, float]:
    found: list[float] = []
    for axis in (0, 1):
        low, high = min(p[axis] for p in points), max(p[axis] for p in points)
        room = (high - low) * 0.1 or 1.0
        found += [low - room, high + room]
    return found[0], found[1], found[2], found[3]
