"""A plain chain of linear layers, found in the ops of a step: x → linear → activation → linear → … → prediction.

Only what was recorded tells: the way from the prediction back to the input leads through products with one parameter each
and through functions of one element. Anything else on the way, or a parameter that is not on it, and there is no chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from whygrad.trace.model import UNWRITTEN, Name, Op, Ref, Step, Value

__all__ = ["ACTIVATIONS", "Chain", "Layer", "Parameter", "find_chain"]

ACTIVATIONS = frozenset({
    "relu", "tanh", "sigmoid", "gelu", "silu", "elu", "leaky_relu", "softplus", "hardtanh", "hardsigmoid", "hardswish",
    "log_sigmoid_forward", "mish", "sin", "cos", "exp", "abs", "sign", "clamp", "clamp_min", "square",
})  # fmt: skip
"""Functions of one element; the same with `_` behind it, in place."""
_STAYS = frozenset({
    "squeeze_", "unsqueeze_", "view", "_reshape_copy", "clone", "contiguous", "detach", "alias", "lift_fresh", "t",
})  # fmt: skip
"""Ops that leave the numbers as they are."""
_Memory = tuple[int, int]


@dataclass(frozen=True)
class Parameter:
    """A parameter in one step: its Values before and after the update, and its gradient, where there are any."""

    name: str
    before: Value
    after: Value | None
    grad: Value | None


@dataclass(frozen=True)
class Layer:
    """`output = activation(linear)`, `linear = input · weightᵀ + bias`. `weight` is (units, inputs) as nn.Linear has it, or
    one number. `op` made `linear`; `activation` is None where there is none."""

    weight: Parameter
    bias: Parameter | None
    op: Op
    activation: Op | None
    input: Value
    linear: Value
    output: Value

    @property
    def activation_name(self) -> str:
        """`tanh`; empty where there is none."""
        return "" if self.activation is None else function(self.activation).removesuffix("_").removesuffix("_forward")


@dataclass(frozen=True)
class Chain:
    """The layers, inputs first. `prediction` is the last output as the loss takes it; `loss_op` the op that takes it."""

    step: Step
    input: Value
    layers: tuple[Layer, ...]
    prediction: Value
    target: Value | None
    loss: Value

    @property
    def sizes(self) -> list[int]:
        """Inputs and units of each layer."""
        weights = [layer.weight.before for layer in self.layers]
        return [_columns(weights[0]), *(_rows(each) for each in weights)]

    @property
    def examples(self) -> int:
        """Rows of the batch."""
        return max(1, self.input.numel // max(1, self.sizes[0]))


def function(op: Op) -> str:
    """`aten.tanh.default` → `tanh`."""
    return op.kind.removeprefix("aten.")


def find_chain(step: Step) -> Chain | None:
    """The chain of a step; None where the step is not plainly one."""
    return _Finder(step).chain() if step.complete else None


def _rows(weight: Value) -> int:
    return weight.shape[0] if len(weight.shape) == 2 else 1


def _columns(weight: Value) -> int:
    return weight.shape[1] if len(weight.shape) == 2 else 1


class _Finder:
    def __init__(self, step: Step) -> None:
        self.step = step
        self.values = step.values
        self.kinds: dict[str, list[Name]] = {}
        for name in step.names:
            self.kinds.setdefault(name.kind, []).append(name)
        self.parameters: dict[int, Parameter] = {}
        for name in self.kinds.get("before", []):
            self.parameters.setdefault(self.values[name.value].storage, self._parameter(name))
        self.end: _Memory | None = None

    def _parameter(self, name: Name) -> Parameter:
        after, grad = (
            next((self.values[n.value] for n in self.kinds.get(kind, []) if n.text == name.text and not n.of), None)
            for kind in ("parameter", "gradient")
        )
        return Parameter(name.text, self.values[name.value], after, grad)

    def _one(self, kind: str) -> Value | None:
        found = self.kinds.get(kind, [])
        return self.values[found[0].value] if found else None

    def chain(self) -> Chain | None:
        prediction, loss = self._one("prediction"), self._one("loss")
        if prediction is None or loss is None or loss.numel != 1 or not self.parameters:
            return None
        layers: list[Layer] = []
        value = prediction
        while self._depends((value.storage, value.version)):
            layer = self._layer(value)
            if layer is None or len(layers) > len(self.parameters):
                return None
            layers.insert(0, layer)
            value = layer.input
        used = {p.before.storage for layer in layers for p in (layer.weight, layer.bias) if p is not None}
        if not layers or used != set(self.parameters) or len(self.kinds.get("before", [])) != len(used):
            return None
        chain = Chain(self.step, self._named_input(value), tuple(layers), prediction, self._one("target"), loss)
        return chain if self._fits(chain) else None

    def _fits(self, chain: Chain) -> bool:
        """Whether each layer takes what the one before gives, and nothing of it is broadcast."""
        sizes = chain.sizes
        inputs_fit = all(
            _columns(layer.weight.before) == size and layer.linear.numel == chain.examples * units
            for layer, size, units in zip(chain.layers, sizes, sizes[1:], strict=False)
        )
        whole = (
            chain.input.numel == chain.examples * sizes[0] and chain.prediction.numel == chain.layers[-1].linear.numel
        )
        plain = not any(
            v.form for v in (chain.input, chain.prediction, *(layer.weight.before for layer in chain.layers))
        )
        return inputs_fit and whole and plain

    def _named_input(self, value: Value) -> Value:
        """The input as the program names it, with its own shape."""
        for kind in ("input", "variable", "target"):
            for name in self.kinds.get(kind, []):
                seen = self.values[name.value]
                same = (seen.storage, seen.version, seen.numel) == (value.storage, value.version, value.numel)
                if same and seen.offset == value.offset:
                    return seen
        return value

    def _writer(self, memory: _Memory) -> Op | None:
        if memory[1] == UNWRITTEN or not self.step.first <= memory[1] < self.step.last:
            return None
        return self.step.op(memory[1])

    def _depends(self, memory: _Memory) -> bool:
        """Whether a memory's numbers were made from a parameter in this step's forward pass."""
        todo, seen = [memory], set[_Memory]()
        while todo:
            here = todo.pop()
            if here in seen:
                continue
            seen.add(here)
            if here[0] in self.parameters:
                return True
            op = self._writer(here)
            if op is not None and op.optimizer is None and not op.node:
                todo += [self._memory(ref) for ref in op.refs()]
        return False

    def _memory(self, value: int) -> _Memory:
        return self.values[value].storage, self.values[value].version

    def _through(self, value: Value) -> tuple[Op | None, Value]:
        """The op that computed a Value, and the Value it wrote, past ops that only hand numbers on."""
        op = self._writer((value.storage, value.version))
        while op is not None and function(op) in _STAYS and isinstance(op.args[0], Ref):
            value = self.values[op.args[0].id]
            op = self._writer((value.storage, value.version))
        return op, value

    def _layer(self, output: Value) -> Layer | None:
        op, linear = self._through(output)
        activation: Op | None = None
        if op is not None and function(op).removesuffix("_") in ACTIVATIONS and isinstance(op.args[0], Ref):
            if any(isinstance(arg, Ref) for arg in op.args[1:]):
                return None
            activation = op
            op, linear = self._through(self.values[op.args[0].id])
        if op is None or op.node:
            return None
        found = self._linear(op)
        if found is None:
            return None
        weight, bias, given = found
        return Layer(weight, bias, op, activation, given, linear, output)

    def _linear(self, op: Op) -> tuple[Parameter, Parameter | None, Value] | None:
        """Weight, bias and what goes in, of a product with a parameter."""
        refs = [self.values[arg.id] if isinstance(arg, Ref) else None for arg in op.args]
        if any(key in ("alpha", "beta") for key, _ in op.kwargs):
            return None
        match function(op), refs:
            case "addmm", [bias, given, weight]:
                return self._product(given, weight, bias, "right")
            case "mm" | "linear", [given, weight]:
                return self._product(given, weight, None, "right" if function(op) == "mm" else "left")
            case "linear", [given, weight, bias]:
                return self._product(given, weight, bias, "left")
            case "mv", [weight, given]:
                return self._product(given, weight, None, "left")
            case "addmv", [bias, weight, given]:
                return self._product(given, weight, bias, "left")
            case "mul", [one, other]:
                return self._single(one, other, None)
            case "add", [one, other]:
                return self._sum_of_one(one, other)
            case _:
                return None

    def _product(
        self, given: Value | None, weight: Value | None, bias: Value | None, side: Literal["left", "right"]
    ) -> tuple[Parameter, Parameter | None, Value] | None:
        known = self._known(weight)
        if known is None or weight is None or given is None or len(known.before.shape) != 2:
            return None
        own = known.before
        shape, stride = (own.shape, own.stride) if side == "left" else (own.shape[::-1], own.stride[::-1])
        if (weight.shape, weight.stride, weight.offset) != (shape, stride, own.offset):
            return None
        added = self._known(bias)
        if bias is not None and (added is None or added.before.shape != (own.shape[0],)):
            return None
        return known, added, given

    def _single(
        self, one: Value | None, other: Value | None, bias: Parameter | None
    ) -> tuple[Parameter, Parameter | None, Value] | None:
        """w · x of raw tensors: one number each."""
        for weight, given in ((one, other), (other, one)):
            known = self._known(weight)
            if known is not None and given is not None and known.before.numel == 1 and self._known(given) is None:
                return known, bias, given
        return None

    def _sum_of_one(self, one: Value | None, other: Value | None) -> tuple[Parameter, Parameter | None, Value] | None:
        """w · x + b of raw tensors."""
        for bias, product in ((one, other), (other, one)):
            known = self._known(bias)
            if known is None or product is None or known.before.numel != 1:
                continue
            op, _ = self._through(product)
            if op is not None and function(op) == "mul" and not op.node:
                refs = [self.values[arg.id] if isinstance(arg, Ref) else None for arg in op.args]
                return self._single(refs[0], refs[1], known) if len(refs) == 2 else None
        return None

    def _known(self, value: Value | None) -> Parameter | None:
        """The parameter that a Value is, as it stood before the update."""
        if value is None or value.storage not in self.parameters:
            return None
        found = self.parameters[value.storage]
        return found if found.before.version == value.version and found.before.numel == value.numel else None
