"""A formula whose names have become numbers of a run: values in double precision with a bound on rounding, the same formula
as an `Expr` that `explain` evaluates bit by bit, and its terms and factors laid flat."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

from whygrad.explain.derivation import Derivation
from whygrad.explain.evaluate import Inputs, Ways, value_of
from whygrad.floats import number_format
from whygrad.rules.expr import Bin, Call, Expr, Neg, Num, Python, Var

Source: TypeAlias = Literal["number", "tensor", "hyperparameter", "count"]


@dataclass(frozen=True, eq=False)
class Leaf:
    """A number of the formula. `text` as the user wrote it, `address` of what it is in the run; `unit` the worth of a written
    number's last digit; `node` is the recorded number where it is one."""

    text: str
    value: float
    source: Source
    start: int
    end: int
    address: str = ""
    node: Derivation | None = None
    exact: Fraction | None = None
    unit: Fraction | None = None


@dataclass(frozen=True, eq=False)
class Op:
    """`name` is `+`, `-`, `*`, `/`, `**`, `neg` or a function's name."""

    name: str
    args: tuple[Bound, ...]
    start: int
    end: int


Bound: TypeAlias = "Leaf | Op"
Changed: TypeAlias = Mapping[int, float]
"""Values to put in the place of nodes, by their `id`."""


def leaves(bound: Bound) -> Iterator[Leaf]:
    """The numbers of a formula, in the order in which they are written."""
    if isinstance(bound, Leaf):
        yield bound
    else:
        for arg in bound.args:
            yield from leaves(arg)


def nodes(bound: Bound) -> Iterator[Bound]:
    """The node and all in it, outermost first."""
    yield bound
    for arg in bound.args if isinstance(bound, Op) else ():
        yield from nodes(arg)


# ---- values


def value(bound: Bound, changed: Changed | None = None) -> float:
    """The formula's value in double precision; NaN where it has none."""
    if changed and id(bound) in changed:
        return changed[id(bound)]
    if isinstance(bound, Leaf):
        return bound.value
    return apply(bound.name, [value(arg, changed) for arg in bound.args])


def apply(name: str, args: list[float]) -> float:
    """One operation in double precision; NaN where it is undefined or too large."""
    try:
        return _apply(name, args)
    except (ArithmeticError, ValueError):
        return math.nan


def _apply(name: str, args: list[float]) -> float:
    x, y = args[0], args[-1]
    match name:
        case "+":
            return x + y
        case "-":
            return x - y
        case "*":
            return x * y
        case "/":
            return x / y
        case "**":
            found = x**y
            return found if isinstance(found, float | int) else math.nan
        case "neg":
            return -x
        case "sigmoid":
            return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
        case "relu":
            return max(x, 0.0)
        case "softplus":
            return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
        case "sign":
            return float(x > 0) - float(x < 0)
        case "abs":
            return abs(x)
        case "max" | "min":
            return (max if name == "max" else min)(args)
        case _:
            return float(getattr(math, name)(x))


def measured(bound: Bound, unit: float) -> tuple[float, float]:
    """The value, and how far rounding every operation to a format whose unit roundoff is `unit` may move it (a running error
    bound: N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, ch. 3)."""
    if isinstance(bound, Leaf):
        return bound.value, abs(bound.value) * 2.0**-52
    args = [measured(arg, unit) for arg in bound.args]
    result = apply(bound.name, [v for v, _ in args])
    spread = 0.0
    for k, (x, error) in enumerate(args):
        if error:
            moved = [v for v, _ in args]
            moved[k] = x + error
            change = abs(apply(bound.name, moved) - result)
            spread += change if math.isfinite(change) else 0.0
    if bound.name == "neg":
        return result, spread
    return result, spread + unit * abs(result)


# ---- as an equation


def equation(bound: Bound) -> tuple[Expr, Inputs]:
    """The formula as an equation and its operands. What holds no tensor's number is computed in Python's double precision, as
    optimizers do."""
    values: list[float] = []
    return _expr(bound, values), Inputs(values, [])


def _expr(bound: Bound, values: list[float]) -> Expr:
    if isinstance(bound, Leaf):
        if bound.source == "number":
            return Num(bound.value)
        values.append(bound.value)
        return Var(len(values) - 1)
    if all(leaf.source != "tensor" for leaf in leaves(bound)):
        own: list[float] = []
        inner = _operation(bound, own)
        return Python(inner, value_of(inner, Inputs(own, []), Ways(number_format("float64"))))
    return _operation(bound, values)


def _operation(bound: Op, values: list[float]) -> Expr:
    args = [_expr(arg, values) for arg in bound.args]
    match bound.name:
        case "+" | "-" | "*" | "/" | "**" as op:
            return Bin(op, args[0], args[1])
        case "neg":
            return Neg(args[0])
        case "relu":
            return Call("max", (args[0], Num(0.0)))
        case "softplus":
            return Call("log1p", (Call("exp", (args[0],)),))
        case name:
            return Call(name, tuple(args))


# ---- laid flat


@dataclass(frozen=True, eq=False)
class Part:
    """A factor (`power` 1) or divisor (−1) of a product, a summand (1) or what is taken away (−1) of a sum."""

    bound: Bound
    power: int

    @property
    def value(self) -> float:
        x = value(self.bound)
        return x if self.power == 1 else 1 / x if x else math.inf


def factors(bound: Bound) -> tuple[int, list[Part]]:
    """A product laid flat: its sign, and its factors and divisors, squares twice."""
    if isinstance(bound, Op):
        match bound.name:
            case "neg":
                sign, inner = factors(bound.args[0])
                return -sign, inner
            case "*" | "/":
                (s, a), (t, b) = factors(bound.args[0]), factors(bound.args[1])
                turned = b if bound.name == "*" else [Part(each.bound, -each.power) for each in b]
                return s * t, [*a, *turned]
            case _:
                pass
    return 1, [Part(bound, 1)]


def terms(bound: Bound) -> list[Part]:
    """A sum laid flat."""
    if isinstance(bound, Op):
        match bound.name:
            case "+" | "-":
                b = terms(bound.args[1])
                turned = b if bound.name == "+" else [Part(each.bound, -each.power) for each in b]
                return [*terms(bound.args[0]), *turned]
            case "neg":
                return [Part(each.bound, -each.power) for each in terms(bound.args[0])]
            case _:
                pass
    return [Part(bound, 1)]
