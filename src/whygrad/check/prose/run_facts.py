"""What a run holds, in the form in which prose speaks of it: tensors by kind and step, hyperparameters, shapes, names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from whygrad.errors import WhygradError
from whygrad.trace.model import Name, Step
from whygrad.trace.store import Trace

__all__ = ["RunFacts", "Tensor"]

LARGEST = 65_536
"""Elements of a tensor above which prose hardly quotes one of them."""
MOST_STEPS = 400
"""Kept steps whose unnamed values are searched."""
_KINDS = {
    "before": "parameter", "parameter": "parameter", "gradient": "gradient", "loss": "loss", "prediction": "prediction",
    "root": "prediction", "target": "target", "input": "input", "module": "value", "variable": "value", "buffer": "value",
    "state": "state", "state_before": "state",
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """One named tensor after (or in) one step; `step` -1 is before the first. `of`: for a gradient, the tensor that it is the
    gradient of; for a state, its parameter."""

    name: str
    kind: str
    of: str
    step: int
    array: np.ndarray[Any, Any]
    dtype: str

    def address(self, index: tuple[int, ...]) -> str:
        """The address of one element."""
        where = "[" + ",".join(map(str, index)) + "]" if index else ""
        step = "@init" if self.step < 0 else f"@{self.step}"
        if self.kind == "state":
            return f"optimizer.{self.name}({self.of}){where}{step}"
        return f"{self.name}{where}{'.grad' if self.kind == 'gradient' else ''}{step}"


@dataclass
class RunFacts:
    """A run, asked for what a sentence needs."""

    trace: Trace
    name: str = ""
    _all: dict[int, list[Tensor]] = field(default_factory=dict[int, "list[Tensor]"])

    @property
    def steps(self) -> int:
        """How many steps the run has."""
        return len(self.trace.history.steps)

    @cached_property
    def kept(self) -> list[int]:
        """Numbers of the steps whose values were kept."""
        return [info.number for info in self.trace.index if info.kept]

    @cached_property
    def first(self) -> Step | None:
        """The first kept step."""
        return self.trace.step(self.kept[0]) if self.kept else None

    @cached_property
    def tensors(self) -> list[Tensor]:
        """All named tensors of all steps: from the kept ones' values, from the table for the others."""
        found = [tensor for number in self.kept[:MOST_STEPS] for tensor in self._of(number)]
        seen = {(t.kind, t.name, t.step) for t in found}
        return found + [
            each for each in self._table() if (each.kind, each.name.partition("[")[0], each.step) not in seen
        ]

    def _of(self, number: int) -> list[Tensor]:
        if number not in self._all:
            step = self.trace.step(number)
            self._all[number] = list(self._named(step))
        return self._all[number]

    def _named(self, step: Step) -> Iterator[Tensor]:
        for name in step.names:
            value = step.values[name.value]
            if name.kind not in _KINDS or value.numel > LARGEST:
                continue
            try:
                array = np.asarray(self.trace.content(step, value), dtype=np.float64)
            except (WhygradError, TypeError, ValueError):
                continue
            earlier = name.kind in ("before", "state_before")
            if earlier and step.number and step.number - 1 in self.kept:
                continue
            yield Tensor(name.text, _KINDS[name.kind], self._owner(name), step.number - earlier, array, value.dtype)

    @staticmethod
    def _owner(name: Name) -> str:
        return name.text if name.kind == "gradient" else name.of

    def _table(self) -> Iterator[Tensor]:
        history = self.trace.history
        for column in history.columns:
            if column.kind in ("hyperparameter", "statistic"):
                continue
            text = column.address.removesuffix(".grad")
            for number, cell in zip(history.steps, history.column(column.name), strict=True):
                if cell is not None and number not in self.kept:
                    yield Tensor(text, column.kind, text.partition("[")[0], number, np.asarray(cell), column.format)

    @cached_property
    def unnamed(self) -> list[tuple[int, int, np.ndarray[Any, Any]]]:
        """(step, run-wide op, numbers) of what ops made and nothing named."""
        found: list[tuple[int, int, np.ndarray[Any, Any]]] = []
        for number in self.kept[:40]:
            step = self.trace.step(number)
            named = {step.values[name.value].version for name in step.names}
            for op in step.ops:
                for out in op.outputs:
                    value = step.values.get(out) if out is not None else None
                    if value is None or value.version in named or value.numel > 4096:
                        continue
                    try:
                        array = np.asarray(self.trace.content(step, value), dtype=np.float64)
                    except (WhygradError, TypeError, ValueError):
                        continue
                    found.append((number, op.index - step.first, array))
        return found

    @cached_property
    def made_by(self) -> dict[str, list[Tensor]]:
        """Results by the ATen op that made them: `_softmax`, `tanh`, `relu`, `sigmoid`, …; `index` of the op in `name`."""
        found: dict[str, list[Tensor]] = {}
        for number in self.kept[:MOST_STEPS]:
            step = self.trace.step(number)
            for op in step.ops:
                kind = op.kind.removeprefix("aten.")
                if kind not in _MADE or not op.outputs or op.outputs[0] is None:
                    continue
                value = step.values[op.outputs[0]]
                if value.numel > LARGEST:
                    continue
                try:
                    array = np.asarray(self.trace.content(step, value), dtype=np.float64)
                except (WhygradError, TypeError, ValueError):
                    continue
                tensor = Tensor(f"op{op.index - step.first}", "value", "", number, array, value.dtype)
                found.setdefault(_MADE[kind], []).append(tensor)
        return found

    @cached_property
    def hyperparameters(self) -> dict[str, set[float]]:
        """Each number that an optimizer was given, over all steps: `lr`, `momentum`, `beta1`, …"""
        found: dict[str, set[float]] = {}
        for number in self.kept[:MOST_STEPS]:
            for op in self.trace.step(number).ops:
                for group in op.optimizer.groups if op.optimizer else ():
                    for key, value in group.hyper:
                        if key == "betas" and isinstance(value, tuple):
                            for place, each in enumerate(value, 1):
                                _put(found, f"beta{place}", each)
                        else:
                            _put(found, key, value)
        for column in self.trace.history.columns:
            if column.kind == "hyperparameter":
                for each in self.trace.history.column(column.name):
                    _put(found, re.sub(r"\W.*", "", column.name.rpartition(".")[2]), each)
        return found

    @cached_property
    def optimizers(self) -> set[str]:
        """Class names of the optimizers that stepped."""
        return {op.optimizer.class_name for n in self.kept[:3] for op in self.trace.step(n).ops if op.optimizer}

    @cached_property
    def grad_fns(self) -> set[str]:
        """Names of the autograd nodes that ran, `AccumulateGrad` among them."""
        return {op.node.rpartition("::")[2] for n in self.kept[:20] for op in self.trace.step(n).ops if op.node}

    @cached_property
    def forward_nodes(self) -> set[str]:
        """Names, without their number, of the nodes that forward ops made: a backward that runs no op of its own is known
        by these alone."""
        kinds = {
            op.kind.removeprefix("aten.") for n in self.kept[:3] for op in self.trace.step(n).ops if op.made_seq >= 0
        }
        return {"".join(part.capitalize() for part in kind.strip("_").split("_")) + "Backward" for kind in kinds}

    @cached_property
    def makers(self) -> dict[str, set[str]]:
        """Name of a tensor → names of the autograd nodes of the op that made it (its `grad_fn`)."""
        found: dict[str, set[str]] = {}
        for number in self.kept[:3]:
            step = self.trace.step(number)
            nodes = {op.of_seq: op.node.rpartition("::")[2] for op in step.ops if op.of_seq >= 0}
            for name in step.names:
                value = step.values[name.value]
                if name.kind in ("parameter", "before", "gradient", "state", "state_before", "input", "target"):
                    continue
                if step.first <= value.version < step.last:
                    node = nodes.get(step.op(value.version).made_seq)
                    if node:
                        found.setdefault(name.text, set()).add(node)
        return found

    @cached_property
    def shapes(self) -> dict[str, set[tuple[int, ...]]]:
        """Shapes by name of tensor, gradients under `name.grad`."""
        found: dict[str, set[tuple[int, ...]]] = {}
        for number in self.kept[:3]:
            step = self.trace.step(number)
            for name in step.names:
                text = f"{name.text}.grad" if name.kind == "gradient" else name.text
                found.setdefault(text, set()).add(step.values[name.value].shape)
        return found

    @cached_property
    def dtypes(self) -> dict[str, set[str]]:
        """Dtypes by name of tensor; under the empty name all of the parameters'."""
        found: dict[str, set[str]] = {}
        for number in self.kept[:3]:
            step = self.trace.step(number)
            for name in step.names:
                dtype = step.values[name.value].dtype
                found.setdefault(name.text, set()).add(dtype)
                if name.kind in ("parameter", "before"):
                    found.setdefault("", set()).add(dtype)
        return found

    @cached_property
    def parameters(self) -> dict[str, int]:
        """Parameter tensors, and how many numbers each has."""
        if self.first is None:
            return {}
        return {n.text: self.first.values[n.value].numel for n in self.first.names if n.kind == "parameter"}

    @cached_property
    def statistics(self) -> list[tuple[str, str, int, float]]:
        """(tensor, kind, step, number) of the statistics that were taken of all steps."""
        table = self.trace.statistics.history()
        return [
            (column.address, column.name[len(column.address) + 1 :], number, cell)
            for column in table.columns
            for number, cell in zip(table.steps, table.column(column.name), strict=True)
            if cell is not None
        ]

    def series(self, kind: str, name: str = "") -> dict[str, list[tuple[int, float]]]:
        """Scalars followed over the steps: address without step → [(step, value)], in order of steps."""
        found: dict[str, list[tuple[int, float]]] = {}
        for tensor in self.tensors:
            if tensor.kind != kind or (name and tensor.name.partition("[")[0] != name) or tensor.array.size > 64:
                continue
            for index, value in np.ndenumerate(tensor.array):
                found.setdefault(tensor.address(index).partition("@")[0], []).append((tensor.step, float(value)))
        return {key: sorted(dict(points).items()) for key, points in found.items()}


_MADE = {
    "_softmax": "softmax", "_log_softmax": "log_softmax", "tanh": "tanh", "relu": "relu", "sigmoid": "sigmoid",
    "gelu": "gelu", "addmm": "linear", "mm": "linear", "linear": "linear", "matmul": "linear", "bmm": "bmm",
    "mse_loss": "loss", "nll_loss_forward": "loss", "sub": "sub",
}  # fmt: skip


def _put(into: dict[str, set[float]], key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    into.setdefault(key, set()).add(float(value))
