"""One layer of an LSTM in one direction, step by step: what oneDNN computes in one kernel
(aten/src/ATen/native/mkldnn/RNN.cpp; S. Hochreiter, J. Schmidhuber, *Long Short-Term Memory*, Neural Computation 9, 1997).

The kernel multiplies the inputs of all steps in time by their weights at once, then goes through time. In 16 bits it
computes in float32, and its gradients stay so; what it keeps between steps has 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from whygrad.explain.inside.registry import inside
from whygrad.rules.registry import Unruled

Tensor = torch.Tensor
LSTM_MODE = 2
"""`mode` of an LSTM, as `torch.backends.cudnn.rnn.get_cudnn_mode` counts."""
STEPS = "the steps in time of an LSTM's layer"


@dataclass(frozen=True)
class _Cell:
    """A step in time: what went in, the four gates after their functions (in, forget, new, out), the cell after it."""

    hidden: Tensor
    cell: Tensor
    gates: tuple[Tensor, Tensor, Tensor, Tensor]
    after: Tensor

    @property
    def squashed(self) -> Tensor:
        """tanh of the cell after the step."""
        return self.after.tanh()


@inside("aten.mkldnn_rnn_layer", words=STEPS)
def layer(
    x: Tensor, w_input: Tensor, w_hidden: Tensor, b_input: Tensor, b_hidden: Tensor, hx: Tensor, cx: Tensor, reverse: bool,
    batch_sizes: list[int], mode: int, hidden_size: int, num_layers: int, has_biases: bool, bidirectional: bool,
    batch_first: bool, train: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """`i, f, g, o = σ, σ, tanh, σ (W·x + U·h + b)`, `c′ = f·c + i·g`, `h′ = o·tanh(c′)`.

    x (T, N, I), w_input (4H, I), w_hidden (4H, H), biases (4H), hx and cx (…, N, H) → h of every step (T, N, H), the last
    h and c in the shapes of hx and cx.
    """
    if mode != LSTM_MODE:
        raise Unruled("a layer of another kind than LSTM")
    shape = (x.shape[1], hidden_size)
    bias = b_input + b_hidden if has_biases else None
    given = _by_input(x, w_input, bias, reverse)
    hidden, cell, found = hx.reshape(shape), cx.reshape(shape), list[Tensor]()
    for from_input in given:
        made = _cell(from_input, w_hidden, hidden, cell)
        hidden, cell = (made.gates[3] * made.squashed).to(x.dtype), made.after
        found.append(hidden)
    output = torch.stack(found[::-1] if reverse else found)
    return output, hidden.reshape(hx.shape), cell.reshape(cx.shape)


@inside("aten.mkldnn_rnn_layer_backward", words=f"{STEPS}, backward")
def layer_backward(
    x: Tensor, w_input: Tensor, w_hidden: Tensor, b_input: Tensor, b_hidden: Tensor, hx: Tensor, cx: Tensor, output: Tensor,
    hy: Tensor, cy: Tensor, grad_output: Tensor | None, grad_hy: Tensor | None, grad_cy: Tensor | None, reverse: bool,
    mode: int, hidden_size: int, num_layers: int, has_biases: bool, train: bool, bidirectional: bool, batch_sizes: list[int],
    batch_first: bool, workspace: Tensor,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Back through time, the gates computed again: `δo = ∂h·tanh(c′)·o·(1−o)`, `∂c′ += ∂h·o·(1−tanh²(c′))`,
    `δi = ∂c′·g·i·(1−i)`, `δf = ∂c′·c·f·(1−f)`, `δg = ∂c′·i·(1−g²)`; `∂x = δ·W`, `∂h = δ·U`, `∂c = ∂c′·f`,
    `∂W = Σ δᵀ·x`, `∂U = Σ δᵀ·h`, `∂b = Σ δ`.

    Returns ∂x (T, N, I), ∂w_input, ∂w_hidden, ∂b twice, ∂hx, ∂cx, all float32.
    """
    if mode != LSTM_MODE:
        raise Unruled("a layer of another kind than LSTM")
    shape = (x.shape[1], hidden_size)
    bias = b_input + b_hidden if has_biases else None
    cells = _forward(x, w_input, w_hidden, bias, hx.reshape(shape), cx.reshape(shape), output, reverse)
    weight = w_hidden.float()
    grad_h = torch.zeros(shape) if grad_hy is None else grad_hy.reshape(shape).float()
    grad_c = torch.zeros(shape) if grad_cy is None else grad_cy.reshape(shape).float()
    deltas: list[Tensor] = []
    for at in reversed(range(len(cells))):
        step = cells[at]
        if grad_output is not None:
            grad_h = grad_h + grad_output[len(cells) - 1 - at if reverse else at].float()
        delta, grad_c = _cell_backward(step, grad_h, grad_c)
        grad_h = torch.mm(delta, weight)
        deltas.insert(0, delta)
    return (
        *_of_weights(x, w_input, deltas, cells, reverse), grad_h.reshape(hx.shape), grad_c.reshape(cx.shape)
    )  # fmt: skip


def _by_input(x: Tensor, weight: Tensor, bias: Tensor | None, reverse: bool) -> Iterator[Tensor]:
    """What the inputs give to the gates (N, 4H), step after step in the layer's direction."""
    rows = x.reshape(-1, x.shape[2]).float()
    turned = weight.float().t()
    made = torch.mm(rows, turned) if bias is None else torch.addmm(bias.float(), rows, turned)
    steps = made.reshape(x.shape[0], x.shape[1], -1).unbind(0)
    return iter(steps[::-1] if reverse else steps)


def _cell(from_input: Tensor, w_hidden: Tensor, hidden: Tensor, cell: Tensor) -> _Cell:
    """One step in time."""
    made = torch.addmm(from_input, hidden.float(), w_hidden.float().t())
    into, forget, new, out = made.chunk(4, 1)
    gates = into.sigmoid(), forget.sigmoid(), new.tanh(), out.sigmoid()
    after = gates[1] * cell.float() + gates[0] * gates[2]
    return _Cell(hidden, cell, gates, after.to(cell.dtype))


def _forward(
    x: Tensor, w_input: Tensor, w_hidden: Tensor, bias: Tensor | None, hidden: Tensor, cell: Tensor, output: Tensor,
    reverse: bool,
) -> list[_Cell]:  # fmt: skip
    """All steps in time, from the recorded h of each."""
    found: list[_Cell] = []
    outputs = output.unbind(0)
    for from_input, made in zip(
        _by_input(x, w_input, bias, reverse), outputs[::-1] if reverse else outputs, strict=True
    ):
        found.append(_cell(from_input, w_hidden, hidden, cell))
        hidden, cell = made, found[-1].after
    return found


def _cell_backward(step: _Cell, grad_h: Tensor, grad_c: Tensor) -> tuple[Tensor, Tensor]:
    """δ of the four gates (N, 4H), and the gradient of the cell before the step."""
    into, forget, new, out = step.gates
    squashed = step.squashed.float()
    grad_c = grad_c + grad_h * out * (1 - squashed * squashed)
    delta = [
        grad_c * new * (into * (1 - into)),
        grad_c * step.cell.float() * (forget * (1 - forget)),
        grad_c * into * (1 - new * new),
        grad_h * squashed * (out * (1 - out)),
    ]
    return torch.cat(delta, 1), grad_c * forget


def _of_weights(
    x: Tensor, w_input: Tensor, deltas: list[Tensor], cells: list[_Cell], reverse: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """∂x, ∂w_input, ∂w_hidden, ∂b and ∂b again, from δ of all steps in the layer's direction."""
    at = torch.cat(deltas[::-1] if reverse else deltas)
    rows = x.reshape(-1, x.shape[2]).float()
    before = torch.cat([each.hidden.float() for each in (cells[::-1] if reverse else cells)])
    grad_bias = at.sum(0)
    return (
        torch.mm(at, w_input.float()).reshape(x.shape), torch.mm(at.t(), rows), torch.mm(at.t(), before),
        grad_bias, grad_bias.clone(),
    )  # fmt: skip
