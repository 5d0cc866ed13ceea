"""The table's row of a step, taken while the tensors live."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from whygrad.trace.history import Column

Tensor = torch.Tensor
SMALL = 16
"""Tensors of at most this many elements have a column for each element."""
MOST_SCALARS = 64


@dataclass(slots=True)
class Row:
    """Small tensors of one step, still as tensors; `cells` turns them into numbers."""

    step: int
    parts: list[tuple[str, str, Tensor]] = field(default_factory=list[tuple[str, str, Tensor]])
    numbers: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])

    def cells(self) -> list[tuple[Column, float]]:
        """Columns and values, each value exact in a double."""
        found: list[tuple[Column, float]] = []
        for kind, name, tensor in self.parts:
            dtype = str(tensor.dtype)[6:]
            if tensor.is_complex():
                dtype = str(tensor.real.dtype)[6:]
            for index, part, value in _elements(tensor):
                where = "" if tensor.numel() == 1 else f"[{', '.join(map(str, index))}]".replace(" ", "")
                full = f"[{','.join(map(str, index))}]" if index else ""
                if kind == "gradient":
                    found.append((Column(f"{name}{where}{part}_grad", kind, dtype, f"{name}{full}.grad{part}"), value))
                else:
                    found.append((Column(f"{name}{where}{part}", kind, dtype, f"{name}{full}{part}"), value))
        for name, value in self.numbers:
            found.append((Column(name, "hyperparameter", "float64", f"optimizer.{name}"), value))
        return found


def _elements(tensor: Tensor) -> list[tuple[tuple[int, ...], str, float]]:
    """Index, part and value of each; a complex number is two."""
    flat: list[Any] = tensor.reshape(-1).tolist()
    indices: list[tuple[int, ...]] = [()]
    for size in tensor.shape:
        indices = [(*head, i) for head in indices for i in range(size)]
    if not tensor.is_complex():
        return [(index, "", float(value)) for index, value in zip(indices, flat, strict=True)]
    pairs = zip(indices, flat, strict=True)
    return [(index, part, x) for index, z in pairs for part, x in ((".real", z.real), (".imag", z.imag))]


def make_row(
    number: int,
    loss: Tensor | None,
    prediction: Tensor | None,
    parameters: list[tuple[str, Tensor]],
    gradients: list[tuple[str, Tensor]],
    lr: list[tuple[str, float]],
) -> Row:
    """The row of step `number`: scalars of the loss, of a small prediction, and of small parameters and gradients."""
    row = Row(number)
    if prediction is not None and prediction.numel() <= 8 and prediction.is_floating_point():
        row.parts.append(("prediction", "prediction", prediction))
    if loss is not None and loss.numel() == 1:
        row.parts.append(("loss", "loss", loss))
    left = MOST_SCALARS
    for name, tensor in parameters:
        left -= tensor.numel()
        if left >= 0:
            row.parts.append(("parameter", name, tensor))
    if left >= 0:
        row.parts += [("gradient", name, tensor) for name, tensor in gradients if tensor.numel() <= SMALL]
    row.numbers = lr
    return row
