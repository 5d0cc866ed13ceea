"""What is wrong in the same way in several terms of a sum over examples: each term is compared with the recorded one of its own
example."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace

from whygrad.check.bound import Bound, factors, leaves, terms, value
from whygrad.check.differences import Difference, Finder
from whygrad.check.pool import Meant, Pool
from whygrad.check.recorded import operands_of, pieces


def in_every_term(bound: Bound, slack: float, pool: Pool) -> Iterator[Difference]:
    """What is wrong in the same way in several terms of a sum over examples: each is compared with the recorded term of its
    own example."""
    found: list[dict[object, Difference]] = []
    for term, amount in _paired(bound, pool):
        if abs(value(term) - amount) <= slack:
            continue
        best: dict[object, Difference] = {}
        finder = Finder(term, amount, slack, pool)
        for each in sorted([*finder.visit(term, amount, slack, top=True), *finder.names()], key=lambda d: d.cost):
            best.setdefault((each.kind, _alike(each.meant)), each)
        found.append(best)
    if len(found) < 2:
        return
    for key, first in found[0].items():
        if all(key in other for other in found):
            yield replace(first, cost=max(other[key].cost for other in found) + 0.05, every=len(found))


def _paired(bound: Bound, pool: Pool) -> list[tuple[Bound, float]]:
    """The terms of the formula's outermost sum, and what was recorded of the same example; empty where they do not pair."""
    root = pool.recorded.root
    theirs = {_example(operands_of(p)): p.value for p in pieces(root) if p.kind == "term"}
    sign, flat = factors(bound)
    sums = [part for part in flat if part.power == 1 and len(terms(part.bound)) > 1]
    if len(sums) != 1 or len(theirs) < 2:
        return []
    scale = sign * math.prod(part.value for part in flat if part is not sums[0])
    mine = terms(sums[0].bound)
    if len(mine) != len(theirs) or not scale:
        return []
    addresses = [{leaf.address for leaf in leaves(part.bound) if leaf.source == "tensor"} for part in mine]
    named = [_example(each) for each in addresses]
    if sorted(named) != sorted(theirs) or "" in named:
        return []
    return [(p.bound, theirs[name] / scale * p.power) for p, name in zip(mine, named, strict=True)]


def _example(addresses: set[str]) -> str:
    """The first index that most of some addresses have: in a batch, which example they belong to."""
    first = [m[1] for each in addresses if "weight" not in each and (m := re.search(r"\[(\d+)", each)) is not None]
    return max(sorted(set(first)), key=first.count) if first else ""


def _alike(meant: Meant | None) -> object:
    """What the same explanation has in common in two terms."""
    if meant is None:
        return ""
    if meant.derivation is not None:
        return re.sub(r"\d+", "", meant.derivation.address)
    return meant.text or (meant.piece.expr if meant.piece is not None else "")
