"""One training at work: plain PyTorch, a snapshot after each step, back and forth at will."""

from __future__ import annotations

import re
import threading
import time
from array import array
from collections.abc import Sequence
from typing import Any

import torch

from whygrad.errors import AddressError, WhygradError
from whygrad.play.config import Config, ConfigError
from whygrad.play.program import Change, Program, program_of, program_text
from whygrad.play.snapshots import Snapshots

Tensor = torch.Tensor
TORCH = threading.RLock()
"""Held by whoever runs torch: recording hooks into every module of the process, and must see one training alone."""
LR_LIMITS = (0.0, 10.0)
_NOT_KEPT = ("x", "target", "optimizer.lr")
"""What can be set that no snapshot holds."""
_SET = re.compile(r"(?P<name>[A-Za-z_][\w.]*?)(?:\[(?P<index>[\d,\s]*)\])?(?:@(?:init|-?\d+))?")


class Instance:
    """A network with its optimizer, as the program builds them."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.rebuild()

    def rebuild(self) -> None:
        """As it is before the first step; the seed is the same, so are the numbers."""
        net, optimizer = self.program.build()
        self.net: Any = net
        self.optimizer: Any = optimizer
        self.params: dict[str, Tensor] = dict(net.named_parameters())
        self.fresh = True
        self._views: list[list[Tensor]] | None = None

    def train(self, step: int) -> tuple[Tensor, Tensor]:
        """One step; prediction and loss."""
        self.fresh = False
        return self.program.run(self.net, self.optimizer, *self.program.batch(step))

    def views(self) -> list[list[Tensor]]:
        """Parameters and optimizer state, flat, a list a dtype: the very memory."""
        if self._views is None:
            by_dtype: dict[torch.dtype, list[Tensor]] = {}
            for each in self.parts():
                by_dtype.setdefault(each.dtype, []).append(each.detach().view(-1))
            self._views = list(by_dtype.values())
        return self._views

    def parts(self) -> list[Tensor]:
        """What a snapshot holds, in its order: parameters, then their state."""
        params = list(self.params.values())
        states = [self.optimizer.state.get(each, {}) for each in params]
        return [*params, *(v for state in states for v in state.values() if isinstance(v, Tensor))]

    def restore(self, row: Sequence[Tensor]) -> None:
        """Write a snapshot's row back, bit for bit."""
        if self.fresh:
            self.train(0)  # so that the optimizer has its state; every number of it is overwritten
        with torch.no_grad():
            for views, kept in zip(self.views(), row, strict=True):
                place = 0
                for each in views:
                    each.copy_(kept[place : place + each.numel()])
                    place += each.numel()


class Lab:
    """A training that can be gone forth and back in. `step` is where it stands (so many steps done), `done` how far it ever
    came; steps 0 to `done` − 1 can be asked. `changes`: what was set by hand, by the step after which it was."""

    def __init__(self, config: Config, most_bytes: int | None = None) -> None:
        with TORCH:
            self.config = config
            self.program = program_of(config)
            self.live = Instance(self.program)
            self.dtype: torch.dtype = getattr(torch, config.format)
            self.start = {name: each.detach().clone() for name, each in self.live.params.items()}
            self._data = {
                name: self.program.space[name].clone() for name in ("x", "target") if name in self.program.space
            }
        self.snapshots = Snapshots() if most_bytes is None else Snapshots(most_bytes)
        self.step = self.done = 0
        self.losses = array("d")
        self.prediction: Tensor | None = None
        self.changes: dict[int, tuple[Change, ...]] = {}
        self._touched = False
        self.epoch = 0
        """Counts how often the past was made another; what was worked out of it before is not true any more."""

    # ---- training

    def advance(self, steps: int, seconds: float) -> int:
        """Train until `steps` are done or `seconds` are over; at least one step. How many were done."""
        with TORCH:
            return self._advance(steps, time.perf_counter() + seconds)

    def _advance(self, steps: int, until: float) -> int:
        live, clock, put, losses = self.live, time.perf_counter, self.snapshots.put, self.losses
        first, loss = self.step, None
        run, batch, net, optimizer = self.program.run, self.program.batch, live.net, live.optimizer
        live.fresh = False
        watched = self.config.level == "neuron"
        for step in range(first, first + steps):
            self.prediction, loss = run(net, optimizer, *batch(step))
            if step in self.changes:
                self.apply(self.live, self.changes[step])
            groups = live.views()
            put(step + 1, self._with_watched(groups) if watched else groups)
            if step == len(losses):
                losses.append(loss.item())
            self.step = step + 1
            if clock() > until:
                break
        # Gone back and forth: the same steps give the same bits again, so what came later still holds.
        self.snapshots.count = self.done = max(self.done, self.step)
        return self.step - first

    def _with_watched(self, groups: list[list[Tensor]]) -> list[list[Tensor]]:
        """Beside parameters and state: prediction and gradients, which the table of a neuron shows."""
        assert self.prediction is not None
        grads = [torch.zeros_like(each) if each.grad is None else each.grad for each in self.live.params.values()]
        extra = [each.detach().view(-1) for each in (self.prediction, *grads)]
        return [[*groups[0], *extra], *groups[1:]]

    def seek(self, step: int) -> None:
        """Go to where `step` steps are done: back, or forth again up to `done`. Raises WhygradError."""
        if not 0 <= step <= self.done:
            raise WhygradError(f"no step {step} to go to: {self.done} steps were trained.")
        with TORCH:
            if step == 0:
                self.bring(self.live, 0)
                self.step, self.prediction = 0, None
                return
            # One step further back: its own forward and backward pass are to be seen as well.
            self.bring(self.live, step - 1)
            self.step = step - 1
            self._advance(1, 0.0)

    def bring(self, instance: Instance, step: int) -> None:
        """Set an instance to where `step` steps were done: from the nearest snapshot, running the rest again."""
        near = self.snapshots.nearest(step)
        row = self.snapshots.row(near)
        if row is None:
            instance.rebuild()
            self.apply(instance, self.changes.get(-1, ()))
        else:
            instance.restore(row)
        for each in range(near, step):
            self.set_as_before(instance, each)
            instance.train(each)
            self.apply(instance, self.changes.get(each, ()))
        self.set_as_before(instance, step)

    # ---- what is set by hand

    def set_as_before(self, instance: Instance, step: int) -> None:
        """Data and learning rate as they stood when step `step` began; parameters are a snapshot's."""
        if not self.changes and not self._touched:
            return
        for name, tensor in self._data.items():
            self.program.space[name].copy_(tensor)
        instance.optimizer.param_groups[0]["lr"] = self.config.lr
        for after in sorted(self.changes):
            if after < step:
                self.apply(instance, tuple(c for c in self.changes[after] if c[0].partition("[")[0] in _NOT_KEPT))

    def set(self, address: str, text: str) -> None:
        """Set a parameter's element, the learning rate, or a neuron's input or target, as the program goes on from here.

        What came after this step is forgotten. Raises AddressError and ConfigError.
        """
        change = self.change_of(address, text)
        after = self.step - 1
        with TORCH:
            self._touched = True
            kept = {at: each for at, each in self.changes.items() if at <= after}
            if after < 0:
                self._set_start(change)
            kept[after] = (*(c for c in kept.get(after, ()) if c[0] != change[0]), change)
            self.changes = kept
            self.apply(self.live, (change,))
            self.done = self.step
            self.snapshots.cut(self.step)
            del self.losses[self.step :]
            if self.step:
                self.rewrite()
            self.epoch += 1

    def _set_start(self, change: Change) -> None:
        name, _, index = change[0].rstrip("]").partition("[")
        if name in self.start:
            self.start[name][tuple(int(each) for each in index.split(","))] = change[1]

    def rewrite(self) -> None:
        """Put the row of the state where the training stands anew."""
        groups = self.live.views()
        self.snapshots.put(self.step, self._with_watched(groups) if self.config.level == "neuron" else groups)

    def change_of(self, address: str, text: str) -> Change:
        """An address and a number as text, checked. Raises AddressError and ConfigError."""
        match = _SET.fullmatch(address.strip())
        name = "" if match is None else {"input": "x"}.get(match["name"], match["name"])
        low, high = LR_LIMITS if name == "optimizer.lr" else (-1000.0, 1000.0)
        if match is None or not (name == "optimizer.lr" or name in self._data or name in self.live.params):
            known = ["optimizer.lr", *self._data, *self.live.params]
            raise AddressError(f"{address[:80]!a} cannot be set; what can be is {', '.join(known)}.")
        value = _float(text)
        if not low <= value <= high:
            raise ConfigError(f"{name}: expected a number from {low:g} to {high:g}, found {text[:40]!a}.")
        if name == "optimizer.lr":
            return name, value
        tensor = self._data.get(name, self.live.params.get(name))
        assert tensor is not None
        index = [int(each) for each in (match["index"] or "").split(",") if each.strip()] or [0] * tensor.dim()
        if len(index) != tensor.dim() or any(i >= n for i, n in zip(index, tensor.shape, strict=True)):
            raise AddressError(f"no value {address[:80]!a}: the shape of {name} is {tuple(tensor.shape)}.")
        return f"{name}[{','.join(map(str, index))}]", value

    def apply(self, instance: Instance, changes: Sequence[Change]) -> None:
        """Set what was set by hand."""
        for address, value in changes:
            if address == "optimizer.lr":
                instance.optimizer.param_groups[0]["lr"] = value
                continue
            name, _, index = address.rstrip("]").partition("[")
            tensor = self.program.space[name] if name in self._data else instance.params[name]
            tensor.data[tuple(int(each) for each in index.split(","))] = value

    def lr_at(self, step: int) -> float:
        """The learning rate of step `step`."""
        found = [
            v for after in sorted(self.changes) if after < step for a, v in self.changes[after] if a == "optimizer.lr"
        ]
        return found[-1] if found else self.config.lr

    def data_at(self, step: int) -> dict[str, float]:
        """A neuron's input and target in step `step`, as the format has them."""
        found: dict[str, float] = {name: tensor.item() for name, tensor in self._data.items()}
        for after in sorted(self.changes):
            for address, value in self.changes[after] if after < step else ():
                name = address.partition("[")[0]
                if name in found:
                    found[name] = torch.tensor(value, dtype=self.dtype).item()
        return found

    def text(self) -> str:
        """This very training as a program of its own."""
        return program_text(self.config, self.step or 20, sorted(self.changes.items()))


def _float(text: str) -> float:
    """A number as someone typed it. Raises ConfigError."""
    try:
        return float(text.strip().replace("−", "-").replace(",", "."))
    except ValueError:
        raise ConfigError(f"expected a number such as 0.1 or -2.5e-3, found {text[:40]!a}.") from None
