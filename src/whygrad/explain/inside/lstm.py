"""One layer of an LSTM in one direction, step by step: what oneDNN computes in one kernel
(aten/src/ATen/native/mkldnn/RNN.cpp; S. Hochreiter, J. Schmidhuber, *Long Short-Term Memory*, Neural Computation 9, 1997).

The kernel multiplies the inputs of all steps in time by their weights at once, then goes through time; backward, it adds up
the gradients of the weights over all steps at once too. In 16 bits it computes in
float32, and its gradients stay so; what it keeps between steps and for the backward pass has 16 bits, and what goes into
products of matrices, whose parts are then added up step after step, from the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from whygrad.explain.inside.recurrent_ops import recurrent_ops
from whygrad.explain.inside.registry import inside
from whygrad.rules.registry import Unruled

Tensor = torch.Tensor
LSTM_MODE = 2
"""`mode` of an LSTM, as `torch.backends.cudnn.rnn.get_cudnn_mode` counts."""
STEPS = "the steps in time of an LSTM's layer"


@dataclass(frozen=True)
class _Cell:
    """A step in time: what went in, the four gates after their functions (in, forget, new, out), the cell after it; gates and
    cell in float32."""

    hidden: Tensor
    cell: Tensor
    gates: tuple[Tensor, ...]
    after: Tensor

    @property
    def squashed(self) -> Tensor:
        """tanh of the cell after the step."""
        return recurrent_ops().tanh_onednn(self.after)

    def kept(self) -> _Cell:
        """As the backward pass reads it."""
        gates = tuple(gate.to(self.hidden.dtype).float() for gate in self.gates)
        return _Cell(self.hidden, self.cell, gates, self.after.to(self.hidden.dtype).float())


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
    hidden, cell, found = hx.reshape(shape), cx.reshape(shape), list[Tensor]()
    for from_input in _by_input(x, w_input, reverse):
        made = _cell(from_input, w_hidden, bias, hidden, cell)
        hidden, cell = (made.gates[3] * made.squashed).to(x.dtype), made.after.to(x.dtype)
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
    cells = _forward(x, w_input, w_hidden, bias, (hx.reshape(shape), cx.reshape(shape)), output, reverse)
    grad_h = torch.zeros(shape) if grad_hy is None else grad_hy.reshape(shape).float()
    grad_c = torch.zeros(shape) if grad_cy is None else grad_cy.reshape(shape).float()
    deltas: list[Tensor] = []
    for at in reversed(range(len(cells))):
        step = cells[at]
        if grad_output is not None:
            grad_h = grad_h + grad_output[len(cells) - 1 - at if reverse else at].float()
        delta, grad_c = _cell_backward(step, grad_h, grad_c)
        delta = delta.to(x.dtype)
        grad_h = _product(delta, w_hidden)
        deltas.insert(0, delta)
    return (
        *_of_weights(x, w_input, deltas, cells, reverse), grad_h.reshape(hx.shape), grad_c.reshape(cx.shape)
    )  # fmt: skip


def _product(a: Tensor, b: Tensor, start: Tensor | None = None) -> Tensor:
    """`a·b` onto a start, (N, K) by (K, O); float32."""
    pairs = a.dtype != torch.float32
    if start is None:
        return recurrent_ops().gemm_from_zero(a.float(), b.float(), pairs)
    return recurrent_ops().gemm(start, a.float(), b.float(), pairs)


def _by_input(x: Tensor, weight: Tensor, reverse: bool) -> Iterator[Tensor]:
    """What the inputs give to the gates (N, 4H), step after step in the layer's direction."""
    made = _product(x.reshape(-1, x.shape[2]), weight.t())
    steps = made.reshape(x.shape[0], x.shape[1], -1).unbind(0)
    return iter(steps[::-1] if reverse else steps)


def _cell(from_input: Tensor, w_hidden: Tensor, bias: Tensor | None, hidden: Tensor, cell: Tensor) -> _Cell:
    """One step in time."""
    ops = recurrent_ops()
    made = _product(hidden, w_hidden.t(), from_input)
    into, forget, new, out = (made if bias is None else made + bias.float()).chunk(4, 1)
    gates = ops.sigmoid_onednn(into), ops.sigmoid_onednn(forget), ops.tanh_onednn(new), ops.sigmoid_onednn(out)
    return _Cell(hidden, cell, gates, torch.addcmul(gates[1] * cell.float(), gates[0], gates[2]))


def _forward(
    x: Tensor, w_input: Tensor, w_hidden: Tensor, bias: Tensor | None, start: tuple[Tensor, Tensor], output: Tensor,
    reverse: bool,
) -> list[_Cell]:  # fmt: skip
    """All steps in time, from the recorded h of each; `start`: h and c before the first."""
    found: list[_Cell] = []
    hidden, cell = start
    outputs = output.unbind(0)
    for from_input, made in zip(
        _by_input(x, w_input, reverse), outputs[::-1] if reverse else outputs, strict=True
    ):  # fmt: skip
        step = _cell(from_input, w_hidden, bias, hidden, cell)
        found.append(step.kept())
        hidden, cell = made, step.after.to(x.dtype)
    return found


def _cell_backward(step: _Cell, grad_h: Tensor, grad_c: Tensor) -> tuple[Tensor, Tensor]:
    """δ of the four gates (N, 4H), and the gradient of the cell before the step."""
    into, forget, new, out = step.gates
    squashed = step.squashed
    grad_c = grad_c + _one_less_square(squashed) * grad_h * out
    delta = [
        _less_square(into) * grad_c * new,
        _less_square(forget) * grad_c * step.cell.float(),
        grad_c * into * _one_less_square(new),
        _less_square(out) * grad_h * squashed,
    ]
    return torch.cat(delta, 1), grad_c * forget


def _less_square(x: Tensor) -> Tensor:
    """`x − x²`, rounded once: the slope of the logistic function."""
    return torch.addcmul(x, x, x, value=-1)


def _one_less_square(x: Tensor) -> Tensor:
    """`1 − x²`, rounded once: the slope of tanh."""
    return torch.addcmul(torch.ones_like(x), x, x, value=-1)


def _of_weights(
    x: Tensor, w_input: Tensor, deltas: list[Tensor], cells: list[_Cell], reverse: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """∂x, ∂w_input, ∂w_hidden, ∂b and ∂b again, from δ of all steps in the layer's direction."""
    grad_x = _product(torch.cat(deltas), w_input).reshape(x.shape)
    inputs = (x.flip(0) if reverse else x).unbind(0)
    hidden = [each.hidden for each in cells]
    grad_bias = recurrent_ops().sum_rows(torch.cat(deltas[::-1]).float())
    return (
        grad_x.flip(0) if reverse else grad_x, _of_weight(deltas, inputs, True), _of_weight(deltas, hidden, reverse),
        grad_bias, grad_bias.clone(),
    )  # fmt: skip


def _of_weight(deltas: list[Tensor], given: Sequence[Tensor], at_once: bool) -> Tensor:
    """`Σ δᵀ·x` over the steps in time. In float32 one product: of all steps, or, where the first h does not lie beside the
    others (`at_once` is False), of the rest, onto which the first step's is added."""
    if deltas[0].dtype != torch.float32:
        total = _product(deltas[-1].t(), given[-1])
        for delta, x in zip(deltas[-2::-1], given[-2::-1], strict=True):
            total = _product(delta.t(), x, total)
        return total
    if at_once or len(deltas) == 1:
        return _product(torch.cat(deltas).t(), torch.cat(list(given)))
    rest = _product(torch.cat(deltas[1:]).t(), torch.cat(list(given[1:])))
    return _product(deltas[0].t(), given[0], rest)
