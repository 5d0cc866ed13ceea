"""What a rule is given: one op of a step, its tensors and constants, and the equation's operands as they are used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any, TypeGuard

import numpy as np

from whygrad.rules.expr import Expr, Num, Series, Var
from whygrad.rules.read_back import read_back
from whygrad.trace.model import Arg, Op, Ref, Step, Token, Value
from whygrad.trace.store import Trace

Index = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hyper:
    """An operand that is no tensor's element: an optimizer's hyperparameter, or its count of steps; with `constant`, a
    number of the mathematics that goes by a name (`cos[2π·3/8]`)."""

    name: str
    value: float
    constant: bool = False


@dataclass(frozen=True, eq=False)
class Weights:
    """Constants of a sum's terms (a Fourier transform's cosines); `name(k)` says which number the k-th is."""

    values: np.ndarray[Any, Any]
    name: Callable[[int], str]


@dataclass
class OpCall:
    """One op, as a rule sees it. `operands` fills up with what the equation uses: (Value id, index), or a Hyper."""

    trace: Trace
    step: Step
    op: Op
    constants: Any = None
    output: int = 0
    operands: list[tuple[int, Index] | Hyper] = field(default_factory=list["tuple[int, Index] | Hyper"])
    tensors: list[int] = field(default_factory=list[int])
    weights: list[Weights] = field(default_factory=list[Weights])

    def arg(self, position: int, name: str = "", default: Arg = None) -> Arg:
        """Argument `position`, or keyword `name`, or `default` where the program left it out."""
        if 0 <= position < len(self.op.args):
            return self.op.args[position]
        return next((value for key, value in self.op.kwargs if key == name), default)

    def has(self, position: int) -> bool:
        """Whether argument `position` is a tensor."""
        return isinstance(self.arg(position), Ref) or _is_sparse(self.arg(position))

    def t(self, position: int, name: str = "") -> Operand:
        """Tensor argument `position`."""
        arg = self.arg(position, name)
        if _is_sparse(arg):
            arg = arg[2]  # its values
        if not isinstance(arg, Ref):
            raise TypeError(f"{self.op.name}: argument {position} is no tensor but {arg!r}")
        return Operand(self, self.step.values[arg.id])

    def each(self, position: int) -> list[Operand]:
        """The tensors of a list argument."""
        arg = self.arg(position)
        refs = arg if isinstance(arg, tuple) else (arg,)
        return [Operand(self, self.step.values[ref.id]) for ref in refs if isinstance(ref, Ref)]

    def out(self, position: int = 0) -> Operand:
        """What the op returned."""
        value = self.op.outputs[position]
        assert value is not None
        return Operand(self, self.step.values[value])

    def var(self, value: Value, index: Index) -> Var:
        """The operand at `index` of a tensor; the same one each time it is used."""
        key = (value.id, index)
        if key not in self.operands:
            self.operands.append(key)
        return Var(self.operands.index(key))

    def series(self, value: Value, indices: np.ndarray[Any, Any]) -> Series:
        """The elements of a tensor at an (n, ndim) array of indices."""
        if value.id not in self.tensors:
            self.tensors.append(value.id)
        return Series(self.tensors.index(value.id), indices)

    def constants_of(self, values: np.ndarray[Any, Any], name: Callable[[int], str]) -> Series:
        """A series of constants, one for each term of a sum."""
        self.weights.append(Weights(values, name))
        self.tensors.append(-len(self.weights))
        return Series(len(self.tensors) - 1, np.arange(len(values)).reshape(-1, 1))

    def array(self, operand: int) -> np.ndarray[Any, Any]:
        """The numbers that a series' operand indexes: a tensor's, or constants."""
        found = self.tensors[operand]
        if found < 0:
            return self.weights[-found - 1].values
        return self.trace.content(self.step, self.step.values[found])

    def constant(self, operand: int, index: Index) -> Hyper | None:
        """The constant at an index of a series' operand; None where the operand is a tensor."""
        found = self.tensors[operand]
        if found >= 0:
            return None
        weights = self.weights[-found - 1]
        return Hyper(weights.name(index[0]), float(weights.values[index[0]]), constant=True)

    @property
    def is_complex(self) -> bool:
        """Whether the op reads or writes a complex tensor."""
        results = (v for v in (*self.op.outputs, *self.op.written) if v is not None)
        return any(self.step.values[v].is_complex for v in (*self.op.refs(), *results))

    def hyper(self, name: str, value: float) -> Var:
        """A hyperparameter as operand."""
        key = Hyper(name, value)
        if key not in self.operands:
            self.operands.append(key)
        return Var(self.operands.index(key))

    def number(self, position: int, name: str = "", default: float = 0.0) -> Expr:
        """A scalar argument: what the program computed it from where that is known (an optimizer's `lr`), else itself. A
        0-dimensional tensor is an operand like any other."""
        arg = self.arg(position, name, default)
        if isinstance(arg, Ref):
            return self.t(position, name)[()]
        if not isinstance(arg, (int, float)):
            raise TypeError(f"{self.op.name}: argument {position} is no number but {arg!r}")
        known = self.constants.name(self, float(arg)) if self.constants is not None else None
        known = read_back(self, float(arg)) if known is None and isinstance(arg, float) else known
        return Num(float(arg)) if known is None else known

    def real(self, position: int, name: str = "", default: float | None = None) -> float:
        """A scalar argument's value. Raises TypeError when it is none."""
        arg = self.arg(position, name, default)
        if not isinstance(arg, (int, float)):
            raise TypeError(f"{self.op.name}: argument {position} is no number but {arg!r}")
        return float(arg)

    def integer(self, position: int, name: str = "", default: int | None = None) -> int:
        """An integer argument's value. Raises TypeError when it is none."""
        arg = self.arg(position, name, default)
        if not isinstance(arg, int):
            raise TypeError(f"{self.op.name}: argument {position} is no integer but {arg!r}")
        return int(arg)

    def dtype_of(self, position: int, name: str = "") -> str | None:
        """A dtype argument's name, None where it was left out."""
        arg = self.arg(position, name)
        return arg.text if isinstance(arg, Token) else None


def _is_sparse(arg: Arg) -> TypeGuard[tuple[Arg, ...]]:
    return (
        isinstance(arg, tuple) and bool(arg) and isinstance(arg[0], Token) and arg[0].kind in ("sparse", "compressed")
    )


@dataclass(frozen=True)
class Operand:
    """A tensor of the op. Indexing with integers gives a `Var`, with a slice in one or more places a `Series` over it."""

    call: OpCall
    value: Value

    @property
    def shape(self) -> Index:
        return self.value.shape

    @property
    def dtype(self) -> str:
        return self.value.dtype

    @property
    def is_integer(self) -> bool:
        return self.dtype.startswith(("int", "uint", "bool"))

    def item(self, index: Index) -> Any:
        """The recorded number at `index`, as a Python number."""
        return self.call.trace.content(self.call.step, self.value)[index].item()

    def __getitem__(self, index: Index) -> Var:
        return self.call.var(self.value, tuple(int(i) for i in index))

    def broadcast(self, index: Index) -> Var:
        """The element that a result's `index` uses, by the rules of broadcasting."""
        shape = self.shape
        tail = index[len(index) - len(shape) :] if shape else ()
        return self[tuple(0 if n == 1 else i for i, n in zip(tail, shape, strict=True))]

    def series(self, *index: int | None) -> Series:
        """All elements whose index agrees with `index`, None standing for all; in row-major order."""
        ranges = [range(n) if i is None else (i,) for i, n in zip(index, self.shape, strict=True)]
        rows = list(product(*ranges))
        return self.at(np.array(rows, dtype=np.int64).reshape(len(rows), len(self.shape)))

    def at(self, indices: np.ndarray[Any, Any]) -> Series:
        """The elements at an (n, ndim) array of indices."""
        return self.call.series(self.value, indices)

    def all(self) -> Series:
        """Every element, in row-major order."""
        return self.series(*(None for _ in self.shape))
