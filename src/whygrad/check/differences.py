"""Where a formula parts from what was computed. Every part of the formula has a value that it would need to have for the whole
to come out, all else left as it is. The part whose needed value was recorded is the one to name: *this factor should be that
one*. Of several explanations the simplest stands first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal, TypeAlias

from whygrad.check.bound import Bound, Leaf, Op, Part, apply, factors, leaves, terms, value
from whygrad.check.inverse import inverse
from whygrad.check.pool import Meant, Pool
from whygrad.check.recorded import operands_of
from whygrad.check.rewritten import rewritten
from whygrad.rules.expr import Var

Kind: TypeAlias = Literal[
    "sign", "missing factor", "extra factor", "missing term", "extra term", "other element", "other step", "other number",
    "number", "factor", "part", "function", "power",
]  # fmt: skip
FORGOTTEN = ("√", "²", "tanh", "σ", "relu", "exp", "log")
"""Functions that are easily left out."""
_APPLIED = dict(zip(FORGOTTEN, ("sqrt", "square", "tanh", "sigmoid", "relu", "exp", "log"), strict=True))
_MOST_FACTORS = 9
_SURE = 1e-4
"""A missing 1 that is seen so sharply is hardly there by chance."""
_FAR, _VAGUE = 1.85, 1e-3
"""An explanation of at least that cost needs more digits than that: by value alone, many numbers are near one another."""


@dataclass(frozen=True, eq=False)
class Difference:
    """One change that makes the formula come out. `start`:`end` is what it is about (of what is missing: the product or the sum
    that lacks it), `wrote` the value of that; `cost`: the simplest explanation has the least."""

    kind: Kind
    start: int
    end: int
    wrote: float
    needed: float
    meant: Meant | None
    cost: float
    divided: bool = False
    """What is missing, or too much, is a divisor."""
    every: int = 1
    """In how many terms of a sum the same is wrong."""
    of: int = 0
    """How many terms that sum has where only its largest were compared."""


def differences(bound: Bound, target: float, slack: float, pool: Pool) -> list[Difference]:
    """All single changes that give the recorded number, the simplest first."""
    finder = Finder(bound, target, slack, pool)
    found = [*finder.visit(bound, target, slack, top=True), *finder.names()]
    best: dict[tuple[object, ...], Difference] = {}
    for each in sorted(found, key=lambda d: (d.cost, d.start - d.end)):
        best.setdefault((each.kind, each.start, each.end, _name(each.meant)), each)
    return list(best.values())


def _nameless(meant: Meant) -> float:
    """What costs an explanation by a lone number that the program has no name for: it explains little."""
    piece = meant.piece
    if piece is None or not isinstance(piece.expr, Var):
        return 0.0
    operands = piece.node.derivation.operands
    return 0.2 if piece.expr.k < len(operands) and operands[piece.expr.k].label.startswith("op") else 0.0


def _name(meant: Meant | None) -> object:
    if meant is None:
        return ""
    return meant.derivation.address if meant.derivation is not None else meant.text or meant.value


class Finder:
    """Walks down one formula with the value that each part would need; `slack` is what rounding may do to the whole."""

    def __init__(self, whole: Bound, target: float, slack: float, pool: Pool) -> None:
        self.whole, self.target, self.slack, self.pool = whole, target, slack, pool
        self.deep = 0
        """How many factors the part that is looked at stands inside of."""

    def visit(
        self, bound: Bound, needed: float, slack: float, top: bool = False, factor: bool = False
    ) -> Iterator[Difference]:
        """Changes inside of `bound` that make its value `needed`. `factor`: it stands in a product, which has been asked
        already whether it lacks one."""
        own = value(bound)
        if not math.isfinite(needed) or (abs(own - needed) <= slack and not top):
            return
        for other in rewritten(bound, self.pool.formula):
            if abs(other.value - needed) <= min(slack, abs(needed) * _VAGUE) and abs(other.value - own) > slack:
                meant = Meant(other.value, text=other.text)
                yield self.change(other.kind, bound, own, needed, meant, 0.85 if other.kind == "function" else 1.15)
        if top:
            yield from self.function(bound, own, needed, slack)
        else:
            yield from self.whole_part(bound, own, needed, slack)
        parts = terms(bound)
        if len(parts) > 1:
            yield from self.sum(bound, parts, own, needed, slack)
            if not factor:
                yield from self.missing_factor(bound, own, needed, slack)
            return
        sign, flat = factors(bound)
        if len(flat) > 1 or sign < 0:
            yield from self.product(bound, sign, flat, needed, slack)
            yield from self.missing_term(bound, own, needed, needed - own, slack)
            return
        if not factor:
            yield from self.missing_factor(bound, own, needed, slack)
        if isinstance(bound, Op):
            if not top or abs(needed - own) > slack:
                yield from self.missing_term(bound, own, needed, needed - own, slack)
            yield from self.inside(bound, needed, slack)
        else:
            yield from self.sum(bound, parts, own, needed, slack)

    # ---- one part for another

    def whole_part(self, bound: Bound, own: float, needed: float, slack: float) -> Iterator[Difference]:
        yield from self.function(bound, own, needed, slack)
        if isinstance(bound, Leaf):
            yield from self.leaf(bound, needed, slack)
            return
        for meant in self.pool.near(needed, slack):
            if meant.trivial:
                continue
            turned = abs(own + needed) <= slack
            whole = 0.7 if len(factors(bound)[1]) > 1 else 0.0
            cost = (
                1.0 if turned else 1.6 + whole + _nameless(meant) + self.unspecific(meant) - self.affinity(bound, meant)
            )
            yield self.change("sign" if turned else "factor", bound, own, needed, meant, cost)

    def function(self, bound: Bound, own: float, needed: float, slack: float) -> Iterator[Difference]:
        """A function that was left out around a part."""
        if isinstance(bound, Leaf) and bound.source != "tensor":
            return
        for text, name in _APPLIED.items():
            found = own * own if name == "square" else apply(name, [own])
            if abs(found - needed) <= min(slack, abs(needed) * _VAGUE) and abs(found - own) > slack:
                yield self.change("function", bound, own, needed, Meant(found, text=text), 1.25 + 0.01 * self.deep)

    def leaf(self, leaf: Leaf, needed: float, slack: float) -> Iterator[Difference]:
        if leaf.source == "number":
            for meant in [*self.pool.constants, *self.pool.settings]:
                if abs(meant.value - needed) <= slack:
                    plain = meant.piece is not None and isinstance(meant.piece.expr, Var)
                    yield self.change("number", leaf, leaf.value, needed, meant, 1.2 if plain else 1.9)
            if abs(needed - round(needed)) <= slack and abs(needed) < 1e6 and slack < 0.1:
                meant = Meant(float(round(needed)), text=str(round(needed)))
                two = meant.value == 2 and leaf.value not in (0, 1)  # a square's, the one number that losses bring in
                cost = 1.0 if two else 1.7 if meant.value > 0 else 2.5
                yield self.change("number", leaf, leaf.value, needed, meant, cost)
            penalty = 1.0
        elif leaf.source == "count":
            penalty = 1.5
        else:
            penalty = 0.0
            for which, meant in self.pool.siblings(leaf, needed, slack):
                yield self.change(
                    "other element" if which == "element" else "other step", leaf, leaf.value, needed, meant, 1.0
                )
        for meant in self.pool.near(needed, slack):
            if meant.trivial or (leaf.source == "number" and meant.derivation is not None):
                continue
            plain = meant.derivation is not None
            cost = (1.9 if plain else 2.0) + penalty - 0.5 * self.affinity(leaf, meant)
            cost -= 0.3 if plain and self.is_operand(meant) else 0.0
            cost += 0.0 if ".grad" in leaf.address else self.unspecific(meant)
            if leaf.source == "hyperparameter" and meant.derivation and meant.derivation.role == "hyperparameter":
                cost = 1.0
            if cost > _FAR and slack > abs(needed) * _VAGUE:
                continue
            yield self.change("other number" if plain else "part", leaf, leaf.value, needed, meant, cost)

    def is_operand(self, meant: Meant) -> bool:
        """Whether it stands in the asked number's own equation."""
        d = meant.derivation
        return d is not None and any(d.address == each.address for each in self.pool.recorded.root.derivation.operands)

    def unspecific(self, meant: Meant) -> float:
        """What costs an explanation of a gradient by a whole gradient, which says no more than that all up to there is
        wrong."""
        if self.pool.recorded.root.derivation.role != "gradient":
            return 0.0
        piece, d = meant.piece, meant.derivation
        if d is None and piece is not None and isinstance(piece.expr, Var):
            operands = piece.node.derivation.operands
            d = operands[piece.expr.k] if piece.expr.k < len(operands) else None
        return 1.0 if d is not None and d.role == "gradient" else 0.0

    def affinity(self, bound: Bound, meant: Meant) -> float:
        """How much two parts have in common: the same numbers, or what those were made of."""
        mine = {leaf.address for leaf in leaves(bound) if leaf.address}
        if meant.piece is None or not mine:
            return 0.0
        theirs = operands_of(meant.piece)
        if mine & theirs:
            return 0.5
        by_address = {node.derivation.address: node.derivation for node in self.pool.recorded.nodes}
        behind = {o.address for t in theirs if t in by_address for o in by_address[t].operands}
        return 0.4 if mine & behind else 0.0

    # ---- products

    def product(self, bound: Bound, sign: int, flat: list[Part], needed: float, slack: float) -> Iterator[Difference]:
        own = value(bound)
        yield from self.missing_factor(bound, own, needed, slack)
        values = [part.value for part in flat]
        for size in (1, 2, 3):
            if size > len(flat):
                break
            for chosen in combinations(range(min(len(flat), _MOST_FACTORS)), size):
                others = sign * math.prod(x for i, x in enumerate(values) if i not in chosen)
                if not others or not math.isfinite(others):
                    continue
                yield from self.some(bound, [flat[i] for i in chosen], needed / others, slack / abs(others))

    def some(self, bound: Bound, chosen: list[Part], needed: float, slack: float) -> Iterator[Difference]:
        """Some factors, which together need another value."""
        start, end = min(p.bound.start for p in chosen), max(p.bound.end for p in chosen)
        own = math.prod(p.value for p in chosen)
        if abs(needed - 1) <= slack and abs(own - 1) > slack:
            divisors = all(part.power < 0 for part in chosen)
            wrote, cost = 1 / own if divisors and own else own, 1.2 + 0.3 * (len(chosen) - 1)
            yield Difference("extra factor", start, end, wrote, 1.0, None, cost, divisors)
        if len(chosen) == 1:
            part = chosen[0]
            self.deep += 1
            if part.power == 1:
                yield from self.visit(part.bound, needed, slack, factor=True)
            elif needed:
                yield from self.visit(part.bound, 1 / needed, slack / needed**2, factor=True)
            self.deep -= 1
            return
        if chosen[0].power == 1 and abs(abs(needed - own) - 1) <= slack < _SURE:
            one = Meant(math.copysign(1.0, needed - own), text="1" if needed > own else "−1")
            yield Difference("missing term", start, end, own, needed, one, 1.6)
        for meant in self.pool.near(needed, slack):
            if not meant.trivial:
                turned = abs(own + needed) <= slack
                cost = 1.8 + 0.4 * len(chosen) - self.affinity(bound, meant)
                if slack > abs(needed) * _VAGUE and not self.affinity(bound, meant):
                    continue
                yield Difference("sign" if turned else "factor", start, end, own, needed, meant, cost)

    def missing_factor(self, bound: Bound, own: float, needed: float, slack: float) -> Iterator[Difference]:
        if not own or not math.isfinite(own):
            return
        if needed == 0:
            dead = self.pool.recorded.dead
            if dead is not None:
                yield self.change("missing factor", bound, own, needed, Meant(0.0, derivation=dead, text="0"), 0.9)
            return
        ratio, loose = needed / own, slack / abs(own)
        if abs(ratio + 1) <= loose:
            yield self.change("sign", bound, own, needed, None, 1.6)
            return
        for meant in self.pool.constants:
            if abs(ratio - meant.value) <= loose:
                yield self.change("missing factor", bound, own, needed, meant, 1.1 + 0.3 * self.deep)
        yield from self.recorded_factor(bound, own, needed, ratio, loose, divided=False)
        if ratio:
            yield from self.recorded_factor(bound, own, needed, 1 / ratio, loose / ratio**2, divided=True)
        for a, b in permutations(self.pool.settings, 2):
            if a.value and abs(ratio - b.value / a.value) <= min(loose, abs(ratio) * _VAGUE):
                meant = Meant(b.value, b.piece, second=a)
                yield self.change("missing factor", bound, own, needed, meant, 1.7)

    def recorded_factor(
        self, bound: Bound, own: float, needed: float, ratio: float, loose: float, divided: bool
    ) -> Iterator[Difference]:
        for meant in self.pool.near(ratio, loose):
            if meant.trivial or abs(ratio - 1) <= loose:
                continue
            cost = 1.05 + (0.3 if divided else 0.0) + (0.0 if self.in_products(meant) else 0.9) + 0.3 * self.deep
            cost += 2 * _nameless(meant) + (0.5 if meant.piece is not None and meant.piece.kind == "product" else 0.0)
            cost += self.unspecific(meant)
            if cost > _FAR and loose > _VAGUE:
                continue
            found = self.change("missing factor", bound, own, needed, meant, cost)
            yield Difference(
                found.kind,
                found.start,
                found.end,
                own,
                needed,
                meant,
                cost - 0.1 * self.affinity(bound, meant),
                divided,
            )

    @staticmethod
    def in_products(meant: Meant) -> bool:
        """Whether it is a factor in a recorded equation."""
        return meant.piece is not None and meant.piece.kind in ("factor", "product")

    # ---- sums

    def sum(self, bound: Bound, parts: list[Part], own: float, needed: float, slack: float) -> Iterator[Difference]:
        missing = needed - own
        if abs(missing) > slack:
            yield from self.missing_term(bound, own, needed, missing, slack)
        if len(parts) < 2:
            return
        for part in parts:
            x = value(part.bound)
            wanted = x + part.power * missing
            if abs(wanted + x) <= slack:
                yield self.change("sign", part.bound, x, -x, None, 1.0)
            elif abs(wanted) <= slack and abs(x) > slack:
                yield self.change("extra term", part.bound, x, 0.0, None, 2.0)
            else:
                yield from self.visit(part.bound, wanted, slack)

    def missing_term(
        self, bound: Bound, own: float, needed: float, missing: float, slack: float
    ) -> Iterator[Difference]:
        for x in (1.0, -1.0):
            if abs(missing - x) <= slack and slack < 0.01:
                cost = 1.5 if slack < _SURE and isinstance(bound, Op) else 2.2
                yield self.change("missing term", bound, own, needed, Meant(x, text=f"{x:g}".replace("-", "−")), cost)
        for sign in (1, -1):
            for meant in self.pool.near(sign * missing, slack):
                if not meant.trivial:
                    term = meant.piece is not None and meant.piece.kind == "term"
                    cost = (2.0 if term else 2.6) + (0.0 if sign > 0 else 0.3)
                    if not term and slack > abs(missing) * _VAGUE:
                        continue
                    yield self.change("missing term", bound, own, needed, meant, cost)
        worth = missing * self.slack / slack if slack else math.nan
        for piece in self.pool.recorded.pieces:
            amount = piece.value * piece.node.sensitivity
            loose = min(self.slack, abs(worth) * 0.02) + abs(worth) * 1e-8
            if piece.kind == "term" and piece.node.depth and abs(abs(amount) - abs(worth)) <= loose:
                meant = Meant(amount, piece=piece, text="path")
                yield self.change("missing term", bound, own, needed, meant, 2.1)

    # ---- functions

    def inside(self, bound: Op, needed: float, slack: float) -> Iterator[Difference]:
        """A function's argument, by its inverse."""
        for k, arg in enumerate(bound.args):
            for wanted in inverse(bound, k, needed):
                if not math.isfinite(wanted):
                    continue
                args = [value(each) for each in bound.args]
                h = max(abs(wanted), 1e-6) * 1e-6
                args[k] = wanted + h
                up = apply(bound.name, args)
                args[k] = wanted - h
                slope = abs(up - apply(bound.name, args)) / (2 * h)
                if slope and math.isfinite(slope):
                    yield from self.visit(arg, wanted, slack / slope)

    # ---- a name that occurs more than once

    def names(self) -> Iterator[Difference]:
        """One name for another, everywhere."""
        groups: dict[str, list[Leaf]] = {}
        for leaf in leaves(self.whole):
            if leaf.source == "tensor":
                groups.setdefault(leaf.address, []).append(leaf)
        for group in groups.values():
            if len(group) < 2:
                continue
            for which, meant in self.others(group[0]):
                if meant.value == group[0].value:
                    continue
                if abs(value(self.whole, {id(leaf): meant.value for leaf in group}) - self.target) <= self.slack:
                    kind: Kind = (
                        "other step" if which == "step" else "other element" if which == "element" else "other number"
                    )
                    cost = 1.1 if which else 1.7 - self.behind(group[0], meant)
                    yield self.change(kind, group[0], group[0].value, meant.value, meant, cost)

    @staticmethod
    def behind(leaf: Leaf, meant: Meant) -> float:
        d = meant.derivation
        return 0.3 if d is not None and any(o.address == leaf.address for o in d.operands) else 0.0

    def others(self, leaf: Leaf) -> Iterator[tuple[str, Meant]]:
        name = leaf.address.partition("[")[0]
        for node in self.pool.recorded.nodes[1:]:
            d = node.derivation
            same = d.address.partition("[")[0] == name
            yield "element" if same and "[" in leaf.address else "", Meant(node.value, derivation=d)
        yield from self.pool.siblings(leaf, 0.0, math.inf)

    @staticmethod
    def change(kind: Kind, bound: Bound, own: float, needed: float, meant: Meant | None, cost: float) -> Difference:
        return Difference(kind, bound.start, bound.end, own, needed, meant, cost)
