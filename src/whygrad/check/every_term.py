"""What is wrong in the same way in several terms of a sum over examples: each term is compared with the recorded one of its own
example."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace

from whygrad.check.bound import Bound, Op, Part, factors, leaves, terms, value
from whygrad.check.differences import Difference, Finder
from whygrad.check.pool import Meant, Pool
from whygrad.check.recorded import Piece, operands_of, pieces
from whygrad.check.rewritten import arguments
from whygrad.rules.expr import Var, walk


def in_every_term(bound: Bound, slack: float, pool: Pool) -> Iterator[Difference]:
    """What is wrong in the same way in several terms of a sum over examples: each is compared with the recorded term of its
    own example. Of a long sum these are the terms that its derivation shows, the largest."""
    found: list[dict[object, Difference]] = []
    pairs, of = _paired(bound, pool)
    for term, amount, piece in pairs:
        if abs(value(term) - amount) <= slack:
            continue
        best: dict[object, Difference] = {}
        finder = Finder(term, amount, slack, pool)
        changes = [*finder.visit(term, amount, slack, top=True), *finder.names()]
        if amount == 0:
            changes += _zero_factors(term, piece)
        for each in sorted(changes, key=lambda d: d.cost):
            if each.kind == "missing factor" and each.meant is not None and each.meant.text:
                continue  # a constant that each term lacks is one that the whole sum lacks
            best.setdefault((each.kind, _alike(each.meant), _position(each, term)), each)
        found.append(best)
    if len(found) < 2:
        return
    for key, first in found[0].items():
        if all(key in other for other in found):
            cost = max(other[key].cost for other in found) + 0.05
            yield replace(first, cost=cost, every=len(found), of=0 if len(pairs) == of else of)


def _position(found: Difference, term: Bound) -> int:
    """Where in its term a change is; −1: it is about the whole."""
    whole = (found.start, found.end) == (term.start, term.end)
    return -1 if whole else found.start - term.start


def _zero_factors(term: Bound, piece: Piece) -> Iterator[Difference]:
    """Of a recorded term that is 0: the factors that made it so, which the formula may lack."""
    d = piece.node.derivation
    for node in walk(piece.expr):
        if isinstance(node, Var) and node.k < len(d.operands) and d.operands[node.k].value == 0:
            meant = Meant(0.0, derivation=d.operands[node.k])
            yield Difference("missing factor", term.start, term.end, value(term), 0.0, meant, 0.7)


def _paired(bound: Bound, pool: Pool) -> tuple[list[tuple[Bound, float, Piece]], int]:
    """Terms of the formula's outermost sum, each with what was recorded of the same example and where that stands, and how
    many terms the sum has; none where they do not pair."""
    root = pool.recorded.root
    terms_of = [p for p in pieces(root) if p.kind == "term"]
    theirs = {_example(operands_of(p)): p for p in terms_of}
    sign, flat = factors(bound)
    sums = [part for part in flat if part.power == 1 and len(terms(part.bound)) > 1]
    if len(sums) != 1 or len(theirs) < 2 or len(theirs) != len(terms_of):
        return [], 0
    scale = sign * math.prod(part.value for part in flat if part is not sums[0])
    mine = _summands(sums[0].bound)
    hidden = sum(info.rest_count for info in (root.derivation.sum,) if info is not None)
    if len(mine) != len(theirs) + hidden or not scale:
        return [], 0
    addresses = [{leaf.address for leaf in leaves(part.bound) if leaf.source == "tensor"} for part in mine]
    named = [_example(each) for each in addresses]
    if len(set(named)) != len(named) or not set(theirs) <= set(named) or "" in named:
        return [], 0
    both = [(part, theirs[name]) for part, name in zip(mine, named, strict=True) if name in theirs]
    return [(part.bound, piece.value / scale * part.power, piece) for part, piece in both], len(mine)


def _summands(bound: Bound) -> list[Part]:
    """What `sum(…)` adds up, each example's as a whole; the terms of a sum that is written out."""
    inner = arguments(bound) if isinstance(bound, Op) else []
    same = len(inner) > 1 and len({(each.start, each.end) for each in inner}) == 1
    return [Part(each, 1) for each in inner] if same else terms(bound)


def _example(addresses: set[str]) -> str:
    """The first index that most of some addresses have: in a batch, which example they belong to."""
    first = [m[1] for each in addresses if "weight" not in each and (m := re.search(r"\[(\d+)", each)) is not None]
    return max(sorted(set(first)), key=first.count) if first else ""


def _alike(meant: Meant | None) -> object:
    """What the same explanation has in common in two terms."""
    if meant is None:
        return ""
    d, piece = meant.derivation, meant.piece
    if d is None and piece is not None and isinstance(piece.expr, Var):
        operands = piece.node.derivation.operands
        d = operands[piece.expr.k] if piece.expr.k < len(operands) else None
    if d is not None:
        return re.sub(r"\d+", "", d.address)
    return meant.text or (meant.piece.expr if meant.piece is not None else "")
