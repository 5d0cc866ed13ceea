"""What was recorded about a number, opened far enough to be compared with a formula: its derivation, node by node, and every
number that stands in one of its equations."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from whygrad.errors import WhygradError
from whygrad.explain.addresses import Parsed, parse
from whygrad.explain.derivation import Derivation, Verdict
from whygrad.explain.evaluate import Inputs, Ways, value_of
from whygrad.explain.labels import named
from whygrad.explain.nearness import magnitude
from whygrad.explain.places import Place, key_of
from whygrad.explain.why import Explainer
from whygrad.floats import FORMATS, NumberFormat, number_format
from whygrad.rules.expr import Bin, Case, Dot, Expr, In, Kernel, Neg, Round, Var, children, walk

MOST = 400
"""Numbers that are opened."""
DOUBLE = Ways(number_format("float64"))


@dataclass(frozen=True, eq=False)
class Node:
    """A number of the derivation. `sensitivity`: how the asked number changes with it, on the first path that led here;
    `above`: the node whose operand it is there."""

    derivation: Derivation
    depth: int
    sensitivity: float
    parsed: Parsed
    above: Node | None = None

    @property
    def value(self) -> float:
        return float(self.derivation.value)


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of an equation, by value: `expr` of `node`'s equation; with `product` the equation's sum has it as a term."""

    value: float
    node: Node
    expr: Expr
    kind: str
    """factor, product (of some factors), term, part"""


class Recorded:
    """The derivation of one number, opened as far as a formula may go: to inputs, and to what an earlier step left."""

    def __init__(self, explainer: Explainer, place: Place | None, root: Derivation) -> None:
        self.explainer = explainer
        self.nodes: list[Node] = []
        first = Node(root, 0, 1.0, _parsed(root.address))
        if place is None:
            self.nodes.append(first)
            return
        self._walk(place, first)

    @property
    def root(self) -> Node:
        return self.nodes[0]

    @property
    def format(self) -> NumberFormat:
        return FORMATS.get(self.root.derivation.format, number_format("float64"))

    @property
    def step(self) -> int:
        """The step that the asked number belongs to: of a weight before the first update, the first."""
        found = self.root.parsed.step
        return 0 if found is None else max(found, 0)

    def _walk(self, place: Place, first: Node) -> None:
        todo: deque[tuple[Place | None, Node]] = deque([(place, first)])
        seen: set[Any] = set()
        while todo and len(self.nodes) < MOST:
            here, node = todo.popleft()
            if here is None:
                self.nodes.append(node)
                continue
            key = key_of(here)
            if key in seen:
                continue
            seen.add(key)
            if node.above is not None and self._ends(node):
                self.nodes.append(node)
                continue
            opened, places = self.explainer.opened(here)
            node = Node(opened, node.depth, node.sensitivity, node.parsed, node.above)
            self.nodes.append(node)
            for k, (operand, where) in enumerate(zip(opened.operands, places, strict=True)):
                slope = derivative(opened, k) * node.sensitivity
                inner = Node(operand, node.depth + 1, slope, _parsed(operand.address), node)
                todo.append((where if isinstance(where, Place) else None, inner))

    def _ends(self, node: Node) -> bool:
        d, step = node.derivation, node.parsed.step
        asked = self.root.parsed.step
        earlier = step is not None and asked is not None and step < asked
        return d.role in ("input", "target") or (earlier and d.role in ("parameter", "state"))

    @cached_property
    def pieces(self) -> list[Piece]:
        """All parts of all equations, those nearest to the asked number first."""
        return [piece for node in self.nodes for piece in pieces(node)]

    @cached_property
    def by_address(self) -> dict[str, Node]:
        """The nodes by their addresses."""
        return {node.derivation.address: node for node in reversed(self.nodes)}

    @cached_property
    def dead(self) -> Derivation | None:
        """The nearest gradient that a branch made zero: an activation that is flat there."""
        for node in self.nodes:
            d = node.derivation
            if isinstance(d.equation, Case) and d.role == "gradient" and node.value == 0:
                return d
        return None

    def slack(self, named: frozenset[str]) -> float:
        """How far the asked number may be from what a formula that names the numbers at `named` gives without any rounding:
        half an ulp of every number between those and it, times what that is worth in the asked one."""
        unit, total = 2.0**-self.format.precision, 0.0
        todo, seen = [self.root], {self.root.derivation.address}
        while todo:
            node = todo.pop()
            share = size_of(node.derivation) * abs(node.sensitivity)
            if node.derivation.equation is not None and math.isfinite(share):
                total += share * unit * 3
            for operand in node.derivation.operands:
                inner = self.by_address.get(operand.address)
                if inner is not None and operand.address not in named and operand.address not in seen:
                    seen.add(operand.address)
                    todo.append(inner)
        return total


def bare(explainer: Explainer, place: Place) -> Derivation:
    """A recorded number with its name and nothing about how it came to be, which may take long to find out."""
    number = place.world.trace.content(place.step, place.value)[place.index].item()
    address, role, label, of = named(explainer.tracks, place)
    fmt = place.value.dtype
    found = float(number) if fmt in FORMATS else number
    return Derivation(address, label, found, fmt, "", role, "other", Verdict("not asked"), gradient_of=of, more=True)


def _parsed(address: str) -> Parsed:
    try:
        return parse(address)
    except WhygradError:
        return Parsed(address, address, None, False, None)


def inputs_of(d: Derivation) -> Inputs | None:
    """The numbers of an equation's operands."""
    return None if d.evaluation is None else d.evaluation.inputs


def number_of(d: Derivation, expr: Expr) -> float:
    """The value of a part of an equation in double precision; NaN where it has none."""
    inputs = inputs_of(d)
    if inputs is None:
        return math.nan
    try:
        return float(value_of(expr, inputs, DOUBLE))
    except (ValueError, ArithmeticError, IndexError, KeyError):
        return math.nan


def derivative(d: Derivation, k: int) -> float:
    """How an equation's value changes with its operand k: a difference, in double precision."""
    inputs = inputs_of(d)
    if inputs is None or d.equation is None:
        return 0.0
    dot = _dot_of(d.equation)
    if dot is not None and dot.term is None and d.equation is dot:
        return _dot_slope(d, dot, k)
    x = inputs.values[k] if k < len(inputs.values) else None
    if x is None:
        return 0.0
    h = max(abs(x), 1e-3) * 2.0**-18
    found: list[float] = []
    for moved in (x + h, x - h):
        values = [*inputs.values]
        values[k] = moved
        try:
            found.append(value_of(d.equation, Inputs(values, inputs.tensors), DOUBLE))
        except (ValueError, ArithmeticError):
            return 0.0
    slope = (found[0] - found[1]) / (2 * h)
    return slope if math.isfinite(slope) else 0.0


def size_of(d: Derivation) -> float:
    """The size of the numbers that an equation adds up: at least that of its result."""
    inputs = inputs_of(d)
    if d.equation is None or inputs is None:
        return abs(float(d.value))
    try:
        return max(abs(float(d.value)), magnitude(d.equation, inputs).size)
    except (ValueError, ArithmeticError, IndexError):
        return abs(float(d.value))


def _dot_of(expr: Expr) -> Dot | None:
    return expr if isinstance(expr, Dot) else None


def _dot_slope(d: Derivation, dot: Dot, k: int) -> float:
    """In `Σ aᵢ·bᵢ`, an operand changes the sum by its partner."""
    total = 0.0
    for factors in _factors(d, dot):
        if k in factors:
            others = [float(d.operands[j].value) for j in factors if j != k]
            total += math.prod(others)
    return total or (1.0 if dot.init is not None and not any(k in f for f in _factors(d, dot)) else 0.0)


def _factors(d: Derivation, dot: Dot) -> list[tuple[int, ...]]:
    info = d.sum_of(dot)
    return [] if info is None else [term.factors for term in info.terms]


def pieces(node: Node) -> Iterator[Piece]:
    """The parts of one equation with their values."""
    d = node.derivation
    if d.equation is None or d.evaluation is None:
        return
    yield from _parts(node, d.equation, "part")


def _parts(node: Node, expr: Expr, kind: str) -> Iterator[Piece]:
    d = node.derivation
    if isinstance(expr, Dot):
        if expr is d.equation and expr.init is None:
            pass
        else:
            yield Piece(number_of(d, expr), node, expr, kind)
        if expr.term is None:
            for factors in _factors(d, expr):
                product: Expr = Var(factors[0])
                for k in factors[1:]:
                    product = Bin("*", product, Var(k))
                yield Piece(math.prod(float(d.operands[k].value) for k in factors), node, product, "term")
                for k in factors:
                    yield Piece(float(d.operands[k].value), node, Var(k), "factor")
        if expr.init is not None:
            yield from _parts(node, expr.init, "term")
        return
    if expr is not d.equation:
        yield Piece(number_of(d, expr), node, expr, kind)
    inner = "part"
    match expr:
        case Bin("*" | "/", _, _) | Neg(_):
            inner = "factor"
        case Bin("+" | "-", _, _):
            inner = "term"
        case Case() | Round() | In() | Kernel():
            inner = kind
        case _:
            pass
    for child in children(expr):
        yield from _parts(node, child, inner)


def operands_of(piece: Piece) -> set[str]:
    """The addresses of the numbers in a part of an equation."""
    d = piece.node.derivation
    return {d.operands[n.k].address for n in walk(piece.expr) if isinstance(n, Var) and n.k < len(d.operands)}
