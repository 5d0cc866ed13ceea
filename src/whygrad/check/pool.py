"""Numbers that a part of a formula could have been meant to be, found by value: parts of the recorded equations, products of
them, elements of the same tensor, the same number of another step."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np

from whygrad.check.bound import Leaf
from whygrad.check.recorded import Node, Piece, Recorded, bare, number_of
from whygrad.errors import WhygradError
from whygrad.explain.addresses import parse
from whygrad.explain.derivation import Derivation
from whygrad.explain.places import Place
from whygrad.rules.expr import Bin, Case, Expr, In, Kernel, Neg, Num, Python, Round, Var, walk

_SIBLINGS = 1 << 16
"""Elements of a tensor among which the right one is looked for."""


@dataclass(frozen=True, eq=False)
class Meant:
    """What a part should have been: a part of a recorded equation (`piece`), a recorded number (`derivation`), or a constant
    by its `text`. With `second` it is the product of two."""

    value: float
    piece: Piece | None = None
    derivation: Derivation | None = None
    text: str = ""
    second: Meant | None = None

    @property
    def trivial(self) -> bool:
        """Whether it is a mere number, which many things may equal by chance."""
        return self.piece is not None and isinstance(self.piece.expr, Num)


@dataclass
class Pool:
    """Looks numbers up."""

    recorded: Recorded
    count: int
    formula: str = ""
    _siblings: dict[str, list[Derivation]] = field(default_factory=dict[str, "list[Derivation]"])

    @cached_property
    def _sorted(self) -> list[tuple[float, int, Meant]]:
        found: list[tuple[float, int, Meant]] = []
        for piece in [*self.recorded.pieces, *self._products()]:
            if math.isfinite(piece.value) and not _is_one(piece.node, piece.expr):
                found.append((piece.value, len(found), Meant(piece.value, piece=piece)))
        for node in self.recorded.nodes[1:]:
            if math.isfinite(node.value) and not _begins(node.derivation):
                found.append((node.value, len(found), Meant(node.value, derivation=node.derivation)))
        return sorted(found, key=lambda each: each[:2])

    @cached_property
    def _values(self) -> list[float]:
        return [value for value, _, _ in self._sorted]

    def near(self, value: float, slack: float) -> list[Meant]:
        """What is recorded within `slack` of a value, each address or part once, in the order of the derivation."""
        if not math.isfinite(value) or not math.isfinite(slack):
            return []
        slack = min(slack, abs(value) * 0.02) + abs(value) * 1e-12
        first, last = bisect_left(self._values, value - slack), bisect_right(self._values, value + slack)
        return [meant for _, _, meant in sorted(self._sorted[first : min(last, first + 200)], key=lambda each: each[1])]

    def _products(self) -> Iterator[Piece]:
        """Products of some of an equation's factors: of `g·(1 − y)·y` also `(1 − y)·y`."""
        for node in self.recorded.nodes:
            equation = node.derivation.equation
            if equation is None:
                continue
            for every in _products_in(equation):
                factors = [each for each in every if not _is_one(node, each[0])]
                for size in range(2, len(factors)):
                    for chosen in combinations(factors, size):
                        yield _product(node, chosen)

    @cached_property
    def settings(self) -> list[Meant]:
        """Parts that hold hyperparameters alone: lr, 1 − beta1^step."""
        found: dict[float, Meant] = {}
        for piece in self.recorded.pieces:
            d = piece.node.derivation
            names = [node.k for node in walk(piece.expr) if isinstance(node, Var)]
            if names and all(k < len(d.operands) and d.operands[k].role == "hyperparameter" for k in names):
                found.setdefault(piece.value, Meant(piece.value, piece=piece))
        return list(found.values())

    @cached_property
    def constants(self) -> list[Meant]:
        """2, n and their like, of which a formula may have one too few."""
        texts = [(2.0, "2"), (0.5, "1/2")]
        if self.count > 1:
            n = float(self.count)
            texts += [(1 / n, "1/n"), (n, "n"), (2 / n, "2/n")]
        return [Meant(value, text=text) for value, text in texts]

    def siblings(self, leaf: Leaf, wanted: float, slack: float) -> Iterator[tuple[str, Meant]]:
        """Elements of the leaf's tensor that are `wanted`, and the same element before and after the update."""
        if leaf.node is None or leaf.source != "tensor":
            return
        explainer, slack = self.recorded.explainer, slack + abs(wanted) * 1e-12
        parsed = parse(leaf.address)
        try:
            place = explainer.place(leaf.address)
        except WhygradError:
            return
        if place is None:
            return
        for step in (parsed.step - 1, parsed.step + 1) if parsed.step is not None else ():
            other = self._at(f"{leaf.address.rpartition('@')[0]}@{step if step >= 0 else 'init'}")
            if other is not None and abs(float(other.value) - wanted) <= slack:
                yield "step", Meant(float(other.value), derivation=other)
        if place.value.numel > _SIBLINGS or place.value.is_complex:
            return
        content = place.world.trace.content(place.step, place.value)
        hits = np.argwhere(np.abs(np.asarray(content, dtype=np.float64) - wanted) <= slack)
        for hit in hits[:4]:
            index = tuple(int(i) for i in hit)
            if index != place.index:
                other = bare(explainer, Place(place.world, place.step, place.value, index))
                yield "element", Meant(float(other.value), derivation=other)

    def _at(self, address: str) -> Derivation | None:
        try:
            place = self.recorded.explainer.place(address)
            return None if place is None else bare(self.recorded.explainer, place)
        except WhygradError:
            return None


def _is_one(node: Node, expr: Expr) -> bool:
    """Whether a factor is the gradient of the loss with respect to itself, with which backpropagation begins."""
    operands = node.derivation.operands
    return isinstance(expr, Var) and expr.k < len(operands) and _begins(operands[expr.k])


def _begins(d: Derivation) -> bool:
    """Whether it is ∂loss/∂loss, the 1 with which backpropagation begins: no part of a formula is meant to be that."""
    return d.address.startswith("loss.grad") and d.value == 1


def _products_in(expr: Expr) -> Iterator[list[tuple[Expr, int]]]:
    """The flat factors (and divisors) of an equation's outermost products."""
    match expr:
        case Bin("*" | "/", _, _):
            yield _flat(expr, 1)
        case Bin(_, a, b):
            yield from _products_in(a)
            yield from _products_in(b)
        case Neg(a) | Case(_, a, _) | Round(a, _) | In(_, a) | Kernel(formula=a) | Python(a, _):
            yield from _products_in(a)
        case _:
            pass


def _flat(expr: Expr, power: int) -> list[tuple[Expr, int]]:
    match expr:
        case Bin("*", a, b):
            return [*_flat(a, power), *_flat(b, power)]
        case Bin("/", a, b):
            return [*_flat(a, power), *_flat(b, -power)]
        case Round(a, _) | Python(a, _) | In(_, a):
            return _flat(a, power)
        case Neg(a):
            return [(Num(-1.0), 1), *_flat(a, power)]
        case _:
            return [(expr, power)]


def _product(node: Node, chosen: tuple[tuple[Expr, int], ...]) -> Piece:
    over = [e for e, power in chosen if power == 1]
    under = [e for e, power in chosen if power == -1]
    expr: Expr = over[0] if over else Num(1.0)
    for each in over[1:]:
        expr = Bin("*", expr, each)
    for each in under:
        expr = Bin("/", expr, each)
    return Piece(number_of(node.derivation, expr), node, expr, "product")
