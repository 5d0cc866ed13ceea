"""Arithmetic as people write it, as data: frozen nodes, each with the columns of the text that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

Operator: TypeAlias = Literal["+", "-", "*", "/", "**"]


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: `value` exactly, `unit` the worth of its last digit (`0.30` has 1/100), `text` what stood there.
    With `percent` the sign stood behind it, and `value` and `unit` are hundredths."""

    text: str
    value: Fraction
    unit: Fraction
    start: int
    end: int
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Name:
    """A name, with its index and step where it has them: `x`, `linear.weight[0,0].grad@3`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Derivative:
    """`∂of/∂by`; both are texts of names."""

    of: str
    by: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Negative:
    """`−a`."""

    a: Node
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Binary:
    """`a op b`; `**` is the power."""

    op: Operator
    a: Node
    b: Node
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function of `FUNCTIONS`, or `sum` or `mean`, which run over the examples of a batch."""

    name: str
    args: tuple[Node, ...]
    start: int
    end: int


Node: TypeAlias = "Number | Name | Derivative | Negative | Binary | Function"

FUNCTIONS = {
    "tanh": 1, "exp": 1, "log": 1, "log2": 1, "log10": 1, "sqrt": 1, "sigmoid": 1, "relu": 1, "abs": 1, "sin": 1, "cos": 1,
    "erf": 1, "softplus": 1, "sign": 1, "max": 0, "min": 0, "sum": 1, "mean": 1,
}  # fmt: skip
"""How many arguments each takes; 0: one or more. `log` is the natural logarithm."""
SPELLINGS = {"ln": "log", "√": "sqrt", "σ": "sigmoid", "ReLU": "relu", "Σ": "sum", "∑": "sum", "Tanh": "tanh"}
"""Other ways to write a function's name."""


def parts(node: Node) -> tuple[Node, ...]:
    """The nodes directly inside one."""
    match node:
        case Negative(a):
            return (a,)
        case Binary(_, a, b):
            return (a, b)
        case Function(_, args):
            return args
        case _:
            return ()


def walk(node: Node) -> list[Node]:
    """The node and everything in it, outermost first."""
    return [node, *(each for part in parts(node) for each in walk(part))]


def literal(node: Node) -> tuple[Fraction, Fraction] | None:
    """A number's value and the worth of its last digit, however it is written (`−0.5`, `1.25·10⁻³`, `4 %`); None where the
    node is more than a number."""
    match node:
        case Number(value=value, unit=unit):
            return value, unit
        case Negative(a):
            inner = literal(a)
            return None if inner is None else (-inner[0], inner[1])
        case Binary("*", Number(value=value, unit=unit), Binary("**", Number(value=base), exponent)) if base == 10:
            power = literal(exponent)
            if power is None or power[0].denominator != 1 or abs(power[0]) > 400:
                return None
            scale = Fraction(10) ** int(power[0])
            return value * scale, unit * scale
        case _:
            return None
