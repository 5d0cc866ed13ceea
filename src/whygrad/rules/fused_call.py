"""One parameter's part in a fused optimizer step: which list an output stands in, and the numbers that go with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Bin, Case, Expr, Neg, Python, Round, Var
from whygrad.trace.model import Ref, Value

NARROW = ("float16", "bfloat16")
_LISTS_WITH_STEPS = {"aten._fused_adam_": 5, "aten._fused_adamw_": 5, "aten._fused_adagrad_": 3}


@dataclass
class FusedCall:
    """`lists` names the op's leading list arguments. What is asked for is element `index` of tensor `k` of list
    `wanted`."""

    call: OpCall
    index: Index
    lists: tuple[str, ...]
    wanted: str = field(init=False)
    k: int = field(init=False)

    def __post_init__(self) -> None:
        left = self.call.output
        for position, name in enumerate(self.lists):
            count = len(self.call.each(position))
            if left < count:
                self.wanted, self.k = name, left
                return
            left -= count
        raise IndexError(f"{self.call.op.name} has no result {self.call.output}")

    # ---- tensors

    def _tensor(self, name: str) -> Operand:
        return self.call.each(self.lists.index(name))[self.k]

    @property
    def dtype(self) -> str:
        return self._tensor("param").dtype

    @property
    def narrow(self) -> bool:
        """Whether the kernel computes in a wider format than it stores."""
        return self.dtype in NARROW

    @property
    def place(self) -> int:
        """The element's place in the parameter, counted in memory."""
        value = self._tensor("param").value
        return value.location(self.index) - value.offset

    @property
    def in_vector(self) -> bool:
        """Whether the kernel's vector body does the element: whole vectors come first, also where threads share the
        parameter by cache lines of 64 bytes."""
        n = self._tensor("param").value.numel
        return self.place < n - n % self.per_vector

    @property
    def per_vector(self) -> int:
        """How many elements a vector has on the processor that made the run."""
        bits = 512 if self.call.trace.info.cpu in ("", "AVX512") else 256
        return bits // {"float64": 64, "float32": 32}.get(self.dtype, 16)

    def old(self, name: str) -> Var:
        """The element as the kernel found it."""
        return self._tensor(name)[self.index]

    def old_at(self, name: str, place: int) -> tuple[Var, float] | None:
        """Another element of the list's tensor, by its place in memory, and its number; None beyond its end."""
        tensor = self._tensor(name)
        index = tensor.value.index_at(tensor.value.offset + place)
        return None if index is None else (tensor[index], float(tensor.item(index)))

    def new(self, name: str, formula: Expr) -> Expr:
        """What the kernel goes on with after it wrote an element: in 16 bits what it computed, before that was rounded;
        otherwise the very number that was written, which can be asked itself."""
        if self.narrow:
            return formula
        before = sum(len(self.call.each(p)) for p in range(self.lists.index(name)))
        value: Value = self.call.step.values[self.call.op.written[before + self.k]]
        return self.call.var(value, self.index)

    def grad(self) -> Expr:
        """The gradient that the update uses: unscaled by a GradScaler's factor, turned round to maximize."""
        g: Expr = self.scaled_grad()
        return Neg(g) if self.flag("maximize") else g

    def scaled_grad(self) -> Expr:
        g = self.old("grad")
        scale = self.call.arg(-1, "grad_scale")
        if not isinstance(scale, Ref):
            return g
        return Bin("/", g, self.call.t(-1, "grad_scale")[_zeros(self.call, "grad_scale")])

    def unless_skipped(self, update: Callable[[], Expr]) -> Expr:
        """The update, or what was there before where a GradScaler found an infinite gradient."""
        if isinstance(self.call.arg(-1, "found_inf"), Ref):
            found = self.call.t(-1, "found_inf")
            if found.item(_zeros(self.call, "found_inf")) == 1:
                return Case("a gradient was infinite or NaN: GradScaler skipped the step", self.old(self.wanted))
        return update()

    # ---- hyperparameters

    def flag(self, name: str) -> bool:
        return bool(self.call.arg(-1, name, False))

    def real(self, name: str) -> float:
        """A hyperparameter's double; a learning rate may be a tensor."""
        arg = self.call.arg(-1, name)
        if isinstance(arg, Ref):
            return float(self.call.t(-1, name).item(_zeros(self.call, name)))
        return self.call.real(-1, name)

    def hyper(self, name: str) -> Var:
        """A hyperparameter as operand."""
        if isinstance(self.call.arg(-1, name), Ref):
            return self.call.t(-1, name)[_zeros(self.call, name)]
        return self.call.hyper(name, self.real(name))

    def minus(self, name: str) -> Expr:
        """A hyperparameter with its sign changed."""
        return Neg(self.hyper(name))

    def named(self, name: str) -> Python:
        """A hyperparameter as the kernel takes it."""
        return Python(self.hyper(name), self.real(name))

    def stored(self, number: Python) -> Expr:
        """A number that the vector body of a 16-bit kernel keeps in the parameter's own dtype."""
        return Round(number, self.dtype) if self.narrow and self.in_vector else number

    def _steps(self) -> Operand:
        return self.call.each(_LISTS_WITH_STEPS[self.call.op.kind])[self.k]

    def step(self) -> float:
        """How many steps the optimizer has done on the parameter, this one counted."""
        steps = self._steps()
        return float(steps.item(tuple(0 for _ in steps.shape)))

    def step_operand(self) -> Var:
        steps = self._steps()
        return steps[tuple(0 for _ in steps.shape)]


def _zeros(call: OpCall, name: str) -> Index:
    return tuple(0 for _ in call.t(-1, name).shape)
