"""An equation evaluated at the recorded precision: which order of summation, which body of a function gives the bits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from whygrad.floats import NumberFormat, fma, number_format, round_to, ulp_distance
from whygrad.floats import elementary_composites as composites
from whygrad.floats.elementary import FUNCTIONS, ONEDNN, Variant, evaluate, evaluate_array, variants
from whygrad.floats.elementary_arithmetic import SCALAR
from whygrad.floats.elementary_composites import Functions
from whygrad.floats.elementary_library import LIBRARY
from whygrad.floats.elementary_plain import PLAIN
from whygrad.floats.summation import NllCascade, Order
from whygrad.floats.summation import evaluate as evaluate_sum
from whygrad.floats.summation_moments import fma_array
from whygrad.rules.expr import (
    Algorithm,
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
    children,
    walk,
)  # fmt: skip

Array = np.ndarray[Any, Any]
ELEMENTARY = frozenset(FUNCTIONS) - {"sqrt"}


@dataclass(frozen=True)
class Ways:
    """How to evaluate: where to round (`width`), whether a·b + c is fused, which algorithm of each elementary function,
    which order of summation (`order` of all sums, or the `choice`-th of each sum's own), which body of a kernel."""

    width: NumberFormat
    fused: bool = False
    variant: int = 0
    order: Order | None = None
    body: int = 0
    choice: int = 0

    def order_of(self, dot: Dot) -> Order | None:
        """The order of one sum; None: exactly, rounded once."""
        return dot.orders[min(self.choice, len(dot.orders) - 1)] if dot.orders else self.order

    def describe(self, expr: Expr) -> str:
        """For users: what was chosen, only where there was a choice."""
        nodes, parts = self._evaluated(expr), list[str]()
        orders = [self.order_of(n) for n in nodes if isinstance(n, Dot) and len(n.a) > 1]
        named = dict.fromkeys(order.name for order in orders if order is not None)
        if named:
            parts.append(f"summed as {'; then as '.join(named)}")
        if None in orders:
            parts.append("summed exactly, then rounded once")
        if self.fused or any(isinstance(node, Fma) for node in nodes):
            parts.append("products fused into sums (FMA)")
        for node in nodes:
            if isinstance(node, Call) and node.name in ELEMENTARY:
                chosen = pick(node, self)
                if chosen.name != "correctly rounded" and chosen.name not in " ".join(parts):
                    parts.append(f"{node.name} by {chosen.name}")
            if isinstance(node, Kernel) and node.computed and not self.body:
                parts.append(node.computed[0].routine.text)
            elif isinstance(node, Kernel) and (node.names or self.body):
                parts.append("in the kernel's own order of operations")
        return "; ".join(dict.fromkeys(parts))

    def _evaluated(self, expr: Expr) -> list[Expr]:
        """The nodes of an expression that were evaluated: not the mathematics of what an algorithm computed."""
        if isinstance(expr, Kernel) and expr.computed and not self.body:
            return [expr]
        return [expr, *(node for child in children(expr) for node in self._evaluated(child))]


@dataclass
class Inputs:
    """Numbers for an equation: of `Var(k)`, and of the tensors that series index (`tensors[i][index]`)."""

    values: list[float]
    tensors: list[Array]
    cache: dict[tuple[int, int], Array] = field(default_factory=dict[tuple[int, int], "Array"])

    def series(self, operand: int, indices: Array) -> Array:
        """The elements of a series, as float64 carriers."""
        key = operand, id(indices)
        if key not in self.cache:
            tensor = self.tensors[operand]
            self.cache[key] = np.asarray(tensor[tuple(indices.T)], dtype=np.float64).reshape(-1)
        return self.cache[key]


def pick(call: Call, ways: Ways) -> Variant:
    """The algorithm that `ways` means for an elementary function."""
    known = variants("pow" if call.name == "pow" else call.name, _width_name(ways.width))
    if call.variant:
        return next(v for v in (*known, ONEDNN) if v.name == call.variant)
    return known[min(ways.variant, len(known) - 1)]


def _width_name(width: NumberFormat) -> str:
    return "float64" if width.name == "float64" else "float32"


def value_of(expr: Expr, inputs: Inputs, ways: Ways) -> float:
    """The equation's value, every operation rounded to `ways.width`; not yet rounded to the result's format."""
    return _Evaluator(inputs, ways).run(expr)


class _Evaluator:
    def __init__(self, inputs: Inputs, ways: Ways) -> None:
        self.inputs, self.ways, self.width = inputs, ways, ways.width
        self.locals: tuple[float, ...] | None = None

    def rnd(self, x: float) -> float:
        name = self.width.name
        if name == "float64" or x != x:
            return x
        if name == "float32":
            with np.errstate(over="ignore"):
                return float(np.float32(x))
        return round_to(x, self.width)

    def run(self, expr: Expr) -> float:
        match expr:
            case Var(k):
                return self.inputs.values[k]
            case Num(value, _):
                return self.rnd(value)
            case Python(_, value):
                return self.rnd(value)
            case Drawn(value, _):
                return value
            case Neg(a):
                return -self.run(a)
            case Round(Num(value, _), name):
                return round_to(value, number_format(name))
            case Round(a, name):
                return round_to(self.run(a), number_format(name))
            case Case(_, value, _):
                return self.run(value)
            case In(name, a):
                return _Evaluator(self.inputs, replace(self.ways, width=number_format(name))).run(a)
            case Bin():
                return self.binary(expr)
            case Fma(a, b, c):
                return fma(self.run(a), self.run(b), self.run(c), self.width)
            case Call(name, args, _):
                return self.call(expr, name, [self.run(a) for a in args])
            case Kernel():
                return self.kernel(expr)
            case Dot():
                return self.dot(expr)

    def binary(self, expr: Bin) -> float:
        if self.ways.fused and expr.op in "+-":
            found = self.contracted(expr)
            if found is not None:
                return found
        if self.width.name in _NARROW and (isinstance(expr.a, Dot) or _is_float32(expr.b)):
            # A sum is accumulated in float32, and what meets a float32 in the same kernel stays there.
            wide = _Evaluator(self.inputs, replace(self.ways, width=number_format("float32")))
            b = self.run(expr.b) if isinstance(expr.b, Dot) else wide.run(expr.b)
            return wide.rnd(arithmetic(expr.op, self.run(expr.a), b))
        a, b = self.run(expr.a), self.run(expr.b)
        return self.rnd(arithmetic(expr.op, a, b))

    def contracted(self, expr: Bin) -> float | None:
        """`a·b ± c` and `c ± a·b` as the compiler fuses them."""
        sign = 1.0 if expr.op == "+" else -1.0
        if isinstance(expr.b, Bin) and expr.b.op == "*":
            return fma(sign * self.run(expr.b.a), self.run(expr.b.b), self.run(expr.a), self.width)
        if isinstance(expr.a, Bin) and expr.a.op == "*":
            return fma(self.run(expr.a.a), self.run(expr.a.b), sign * self.run(expr.b), self.width)
        return None

    def call(self, expr: Call, name: str, args: list[float]) -> float:
        if name in ELEMENTARY:
            return self.rnd(evaluate(name, tuple(args), _width_name(self.width), pick(expr, self.ways)))
        return self.rnd(plain_function(name, args))

    def kernel(self, expr: Kernel) -> float:
        """In 16 bits a kernel inside an equation widens its operands and rounds its result."""
        bodies = _bodies(expr, self.width)
        body = bodies[min(self.ways.body, len(bodies) - 1)]
        if isinstance(body, Algorithm):
            return self.algorithm(body)
        if not isinstance(body, tuple):
            return self.run(body)
        name, functions = body
        return self.rnd(float(getattr(composites, name)(SCALAR, functions, *(self.run(a) for a in expr.args))))

    def algorithm(self, body: Algorithm) -> float:
        arrays = tuple(self.inputs.series(s.operand, s.indices) for s in body.series)
        found = body.routine.results(arrays, np.float64 if self.width.name == "float64" else np.float32)
        values = self.inputs.values
        self.inputs.values = [*values, *reversed(found)]
        try:
            return self.run(body.value)
        finally:
            self.inputs.values = values

    def dot(self, expr: Dot) -> float:
        a = self.inputs.series(expr.a.operand, expr.a.indices)
        b = None if expr.b is None else self.inputs.series(expr.b.operand, expr.b.indices)
        order = self.ways.order_of(expr)
        if expr.term is not None:
            more = [self.inputs.series(s.operand, s.indices) for s in expr.more]
            if order is not None and order.fused and isinstance(expr.term, Bin) and expr.term.op == "*":
                a, b = (self.terms(factor, a, b, more) for factor in (expr.term.a, expr.term.b))
            else:
                a, b = self.terms(expr.term, a, b, more), None
        init = None if expr.init is None else self.run(expr.init)
        kind = np.float64 if self.width.name == "float64" else np.float32
        if order is None:
            products = a if b is None else a * b
            total = math.fsum(products) if np.isfinite(products).all() else float(products.sum())
            return self.rnd(total + (init or 0.0))
        if init is None and order.init != "none":
            order = replace(order, init="none")
        if isinstance(order.pattern, NllCascade) and self.width.name in _NARROW:
            return evaluate_sum(order, a, b, init, _narrow_type(self.width.name))  # pyright: ignore[reportArgumentType]
        return evaluate_sum(order, a, b, init, kind)

    def terms(self, term: Expr, a: Array, b: Array | None, more: Sequence[Array] = ()) -> Array:
        # In a term, Var(0) and Var(1) are the series' elements, the equation's own variables come after them, and those of
        # further series count from the end: Var(-1), Var(-2).
        if self.width.name in _NUMPY and not self.ways.fused:
            series = [a, a if b is None else b, *self.inputs.values, *reversed(more)]
            with np.errstate(all="ignore"):
                at_once = self.vector(term, series, _NUMPY[self.width.name])
            if at_once is not None:
                return np.broadcast_to(at_once.astype(np.float64), a.shape)
        values = self.inputs.values
        found: list[float] = []
        for i in range(len(a)):
            self.inputs.values = [
                float(a[i]), 0.0 if b is None else float(b[i]), *values, *(float(s[i]) for s in reversed(more))
            ]  # fmt: skip
            found.append(self.run(term))
        self.inputs.values = values
        return np.array(found)

    def vector(self, expr: Expr, series: Sequence[Array | float], kind: Any) -> Array | None:
        """`run` for all terms at once, in numpy's own arithmetic of `kind`, which rounds every operation once; None for
        what is not written so."""
        match expr:
            case In(name, a) if name in _NUMPY:
                return self.vector(a, series, _NUMPY[name])
            case Round(a, name) if name in _NUMPY:
                inner = self.vector(a, series, kind)
                return None if inner is None else inner.astype(_NUMPY[name])
            case Fma(a, b, c):
                left, right, start = (self.vector(each, series, kind) for each in (a, b, c))
                if left is None or right is None or start is None:
                    return None
                return fma_array(left, right, start, kind)
            case Var(k):
                return np.asarray(series[k], dtype=kind)
            case Num(value, _):
                return np.asarray(value, dtype=kind)
            case Neg(a):
                inner = self.vector(a, series, kind)
                return None if inner is None else -inner
            case Bin(op, a, b) if op in _UFUNCS:
                left, right = self.vector(a, series, kind), self.vector(b, series, kind)
                if left is None or right is None:
                    return None
                return _UFUNCS[op](left, right, dtype=np.result_type(left, right, kind)).astype(kind)
            case Call(name, (a,), _) if name in ELEMENTARY:
                inner = self.vector(a, series, kind)
                if inner is None:
                    return None
                found = evaluate_array(name, (np.atleast_1d(inner),), self.width.name, pick(expr, self.ways))
                return np.asarray(found, dtype=kind)
            case _:
                return None


_NUMPY: dict[str, Any] = {"float32": np.float32, "float64": np.float64}
_UFUNCS: dict[str, Any] = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
_NARROW = ("float16", "bfloat16")


def _is_float32(expr: Expr) -> bool:
    return isinstance(expr, Round) and expr.format == "float32"


def _narrow_type(name: str) -> Any:
    """numpy's type of a 16-bit format: its sums round after every addition."""
    if name == "float16":
        return np.float16
    import ml_dtypes

    return ml_dtypes.bfloat16


def _bodies(kernel: Kernel, width: NumberFormat) -> list[tuple[str, Functions] | Expr | Algorithm]:
    """The ways in which a kernel may have computed its formula. The composites are float32's."""
    known = () if width.name == "float64" else kernel.names
    named: list[tuple[str, Functions] | Expr | Algorithm] = [
        (name, body) for name in known for body in (composites.VECTOR, LIBRARY)
    ]
    return [*(named or kernel.computed or [kernel.formula]), *kernel.others]


def mapped_terms(dot: Dot, inputs: Inputs) -> Array:
    """The mapped terms of a `Dot`, in double precision (functions by the C library: this is for size, not for bits)."""
    assert dot.term is not None
    a = inputs.series(dot.a.operand, dot.a.indices)
    b = None if dot.b is None else inputs.series(dot.b.operand, dot.b.indices)
    more = [inputs.series(s.operand, s.indices) for s in dot.more]
    return _Evaluator(inputs, Ways(number_format("float64"), variant=1)).terms(dot.term, a, b, more)


def arithmetic(op: str, a: float, b: float) -> float:
    """One operation in double precision, with IEEE's answers where Python raises."""
    with np.errstate(all="ignore"):
        x, y = np.float64(a), np.float64(b)
        match op:
            case "+":
                return float(x + y)
            case "-":
                return float(x - y)
            case "*":
                return float(x * y)
            case "/":
                return float(x / y)
            case _:
                return float(x**y)


def plain_function(name: str, args: list[float]) -> float:
    """Functions that are exact or rounded once from double precision."""
    with np.errstate(all="ignore"):
        match name:
            case "sqrt":
                return float(np.sqrt(args[0]))
            case "abs":
                return abs(args[0])
            case "sign":
                return float(args[0] > 0) - float(args[0] < 0)
            case "max":
                return math.nan if any(a != a for a in args) else max(args)
            case "min":
                return math.nan if any(a != a for a in args) else min(args)
            case "floor" | "ceil" | "trunc" | "rint":
                return float(getattr(np, name)(args[0]))
            case "step":
                return 1.0 if args[0] > 0 else 0.0
            case "less":
                return 1.0 if args[0] < args[1] else 0.0
            case "equal":
                return 1.0 if args[0] == args[1] else 0.0
            case "where":
                return args[1] if args[0] else args[2]
            case _ if name in PLAIN:
                return PLAIN[name](*args)
            case _:
                raise ValueError(f"no function {name!r}")


Orders: TypeAlias = "tuple[Order | int, ...]"
"""What may be tried for the sums of an equation: an order for all of them, or the number of each sum's own."""


def ways_to_try(expr: Expr, width: NumberFormat, orders: Orders) -> Iterator[Ways]:
    """Ways of evaluating, most likely first. The set is small on purpose: of many ways one is right by luck."""
    nodes = walk(expr)
    calls = [n for n in nodes if isinstance(n, Call) and n.name in ELEMENTARY and not n.variant]
    term_calls = [c for n in nodes if isinstance(n, Dot) and n.term for c in walk(n.term) if isinstance(c, Call)]
    choices = max([len(variants(c.name, _width_name(width))) for c in calls if c.name in ELEMENTARY], default=1)
    if term_calls:
        choices = max(choices, 3)
    bodies = max([len(_bodies(n, width)) for n in nodes if isinstance(n, Kernel)], default=1)
    can_fuse = any(
        isinstance(n, Bin) and n.op in "+-" and any(isinstance(c, Bin) and c.op == "*" for c in (n.a, n.b))
        for n in nodes
    )
    sums = [(None, each) if isinstance(each, int) else (each, 0) for each in orders] or [(None, 0)]
    for body in range(bodies):
        for variant in range(choices):
            for order, choice in sums:
                yield Ways(width, False, variant, order, body, choice)
    if can_fuse:
        for variant in range(choices):
            for order, choice in sums:
                yield Ways(width, True, variant, order, choice=choice)


@dataclass(frozen=True)
class Found:
    """The way that gives the recorded bits (`ulp` 0), or the nearest one."""

    ways: Ways
    ulp: int
    result: float


def search(
    expr: Expr, inputs: Inputs, target: float, out: NumberFormat, width: NumberFormat, orders: Orders
) -> Found | None:
    """Evaluate in every way until one gives the target's bits."""
    best: Found | None = None
    for ways in ways_to_try(expr, width, orders):
        try:
            result = round_to(value_of(expr, inputs, ways), out)
        except (ValueError, OverflowError, ZeroDivisionError):
            continue
        distance = 0 if same(result, target) else _distance(result, target, out)
        if best is None or distance < best.ulp:
            best = Found(ways, distance, result)
        if distance == 0:
            break
    return best


def same(a: float, b: float) -> bool:
    """The same bits, any NaN counting as any other."""
    return (a != a and b != b) or (a == b and math.copysign(1.0, a) == math.copysign(1.0, b))


def _distance(a: float, b: float, fmt: NumberFormat) -> int:
    if a != a or b != b:
        return 1 << 30
    return max(1, ulp_distance(a, b, fmt))
