"""Does an equation come near the recorded number? One that does not is wrong, whatever it says: it explains nothing.

Near is measured by the sizes of the numbers that were added up, not by the result's own: of a sum that cancels, no order
of summation need give more than an absolute error (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, ch. 4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whygrad.explain.check import Checked
from whygrad.explain.evaluate import ELEMENTARY, Inputs, Ways, arithmetic, mapped_terms, plain_function, value_of
from whygrad.floats import number_format
from whygrad.floats.elementary import evaluate as elementary
from whygrad.floats.elementary import variants
from whygrad.rules.expr import (
    Bin,
    Call,
    Case,
    Dot,
    Drawn,
    Expr,
    Fma,
    In,
    Kernel,
    Neg,
    Num,
    Python,
    Round,
    Var,
)

TOLERANCE = {"float64": 1e-10, "float32": 1e-4, "float16": 1e-2, "bfloat16": 6e-2}
"""Of the size of what was added up: some hundreds of rounding errors in float32 and float64, a few in 16 bits."""
_STEP = 2.0**-12


@dataclass(frozen=True)
class Sized:
    """A value in double precision, and the size of the numbers that it came from."""

    value: float
    size: float


def near(checked: Checked) -> bool:
    """Whether the nearest way of evaluating an element's equation comes near its recorded value."""
    if checked.found is None or checked.format is None:
        return checked.equal
    if checked.found.ulp <= 4:
        return True
    result, target = checked.found.result, checked.target
    if not (np.isfinite(result) and np.isfinite(target)):
        return False
    try:
        size = magnitude(checked.expr, checked.inputs).size
    except (ValueError, OverflowError, ZeroDivisionError):
        return False
    return within(result, target, checked.format.name, size)


def within(result: float, target: float, fmt: str, size: float) -> bool:
    """Whether two numbers of a format are as near as rounding leaves numbers that came from others of `size`."""
    known = number_format(fmt)
    floor = 8 * 2.0 ** (known.emin - known.precision + 1)
    return abs(result - target) <= TOLERANCE.get(fmt, 0.25) * max(size, abs(target)) + floor


def magnitude(expr: Expr, inputs: Inputs) -> Sized:
    """The size of an equation: every sum replaced by the sum of its terms' magnitudes; a function passes on the size of
    its argument times its slope."""
    match expr:
        case Var() | Num() | Python() | Drawn():
            value = value_of(expr, inputs, Ways(number_format("float64")))
            return Sized(value, abs(value))
        case Neg(a):
            inner = magnitude(a, inputs)
            return Sized(-inner.value, inner.size)
        case Round(a, _) | In(_, a) | Case(_, a, _) | Kernel(formula=a):
            return magnitude(a, inputs)
        case Fma(a, b, c):
            return magnitude(Bin("+", Bin("*", a, b), c), inputs)
        case Bin(op, a, b):
            return _binary(op, magnitude(a, inputs), magnitude(b, inputs))
        case Call(name, args, _):
            return _call(name, [magnitude(arg, inputs) for arg in args])
        case Dot():
            return _dot(expr, inputs)


def _binary(op: str, a: Sized, b: Sized) -> Sized:
    value = arithmetic(op, a.value, b.value)
    if op in "+-":
        return Sized(value, a.size + b.size)
    if op == "*":
        return Sized(value, a.size * b.size)
    if op == "/":
        spread = b.size / abs(b.value) if b.value else 1.0
        return Sized(value, abs(arithmetic("/", a.size, b.value)) * max(1.0, spread))
    return Sized(value, abs(value) * max(1.0, abs(b.value)))


def _call(name: str, args: list[Sized]) -> Sized:
    values = [arg.value for arg in args]
    value = _function(name, values)
    size = abs(value)
    if name in ("max", "min", "where"):
        return Sized(value, max(arg.size for arg in args))
    for k, arg in enumerate(args):
        step = _STEP * arg.size
        moved = [v + step if j == k else v for j, v in enumerate(values)]
        slope = abs(_function(name, moved) - value) / _STEP
        size += slope if np.isfinite(slope) else 0.0
    return Sized(value, size)


def _function(name: str, values: list[float]) -> float:
    if name in ELEMENTARY:
        return float(elementary(name, tuple(values), "float64", variants(name, "float64")[-1]))
    return plain_function(name, values)


def _dot(dot: Dot, inputs: Inputs) -> Sized:
    if dot.term is not None:
        terms = mapped_terms(dot, inputs)
    else:
        a = inputs.series(dot.a.operand, dot.a.indices)
        terms = a if dot.b is None else a * inputs.series(dot.b.operand, dot.b.indices)
    total = Sized(float(terms.sum()), float(np.abs(terms).sum()))
    return total if dot.init is None else _binary("+", total, magnitude(dot.init, inputs))


__all__ = ["TOLERANCE", "Sized", "magnitude", "near", "within"]
