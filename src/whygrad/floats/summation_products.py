"""Finding out where a sum is rounded on its way: products before they are added, partial sums kept in 16 bits.

Where FPRev (`whygrad.floats.summation_reveal`) has found the tree, two things are open: a term may be fused onto the sum so
far (FMA) or be a rounded product that is added; and of a term and a sum that meet, either may be what is added to the other.
Both show in a sum of two products: (1+ε)² and -(1+ε) come to ε + ε² if the first is not rounded, and to ε if it is. Likewise
1 + δ - 1 is δ, or 0 where 1 + δ lay in 16 bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from whygrad.floats.summation_patterns import TreeItems
from whygrad.floats.summation_reveal import runs

__all__ = ["DELTA", "EPSILON", "Stored", "Unrounded", "with_products", "with_storage"]

EPSILON = {"float32": 2.0**-13, "float64": 2.0**-27, "float16": 2.0**-6, "bfloat16": 2.0**-5}
"""ε² is lost to the rounding of (1+ε)², and ε + ε² is not rounded."""
DELTA = {"float16": 2.0**-12, "bfloat16": 2.0**-10}
"""δ is lost to the rounding of 1 + δ."""
Unrounded: TypeAlias = "Callable[[Sequence[tuple[int, int]]], Sequence[bool]]"
"""For pairs of terms: is the first one's product added to the second's, and not rounded before?"""
Stored: TypeAlias = "Callable[[Sequence[tuple[int, int, int]]], Sequence[bool]]"
"""For three terms: is the sum of the first two rounded to 16 bits before the third is added?"""
_Node: TypeAlias = "list[int | _Node]"


def with_products(items: TreeItems, n: int, unrounded: Unrounded) -> tuple[TreeItems, bool]:
    """The tree over n products (leaf n: an initial value) as its accumulators go, and whether any product is fused: then
    one that is rounded first stands apart, as a sum of one term."""
    root = _opened(items)
    pairs = list(dict.fromkeys(_pairs(root, n)))
    fused = {pair[0]: is_fused for pair, is_fused in zip(pairs, unrounded(pairs), strict=True)}
    if not any(fused.values()):
        return items, False
    return _closed(_settled(root, fused, n)), True


def with_storage(items: TreeItems, n: int, unrounded: Unrounded | None, stored: Stored) -> TreeItems:
    """The tree over n terms of 16 bits, whose products are exact in the accumulator: a sum that is rounded to 16 bits begins
    with an empty range. `unrounded` is None for numbers that are no products."""
    root = _opened(items)
    pairs = list(dict.fromkeys(_pairs(root, n))) if unrounded is not None else []
    exact = {pair[0]: yes for pair, yes in zip(pairs, unrounded(pairs) if unrounded is not None else (), strict=True)}
    gaps = list(dict.fromkeys(_gaps(root, None)))
    kept = {gap for gap, yes in zip(gaps, stored(gaps), strict=True) if yes}
    return _marked(root, {k for k, yes in exact.items() if not yes}, kept, None)


def _gaps(node: _Node, partner: int | None) -> Iterator[tuple[int, int, int]]:
    """For each sum that something is added to, or that is added to something: its first term, its last, and a term of
    that."""
    for place, each in enumerate(node):
        if isinstance(each, list):
            yield from _gaps(each, _first(node[0] if place else node[1]))
        if 0 < place < len(node) - 1:
            yield _first(node[0]), _first(each), _first(node[place + 1])
    if partner is not None:
        yield _first(node[0]), _first(node[-1]), partner


def _marked(node: _Node, rounded: set[int], kept: set[tuple[int, int, int]], partner: int | None) -> TreeItems:
    total: list[int | TreeItems] = []
    for place, each in enumerate(node):
        if isinstance(each, list):
            total.append(_marked(each, rounded, kept, _first(node[0] if place else node[1])))
        else:
            total.append((range(0), range(each, each + 1)) if each in rounded else each)
        last = place == len(node) - 1
        gap = (
            _first(node[0]),
            _first(each),
            partner if last and partner is not None else -1 if last else _first(node[place + 1]),
        )
        if gap in kept and place:
            marked = (range(0), *runs(total))
            if last:
                return marked
            total = [marked]
    return runs(total)


def _opened(items: TreeItems) -> _Node:
    node: _Node = []
    for item in items:
        if isinstance(item, range):
            node += item
        else:
            node.append(_opened(item))
    return node


def _closed(node: _Node) -> TreeItems:
    return runs([each if isinstance(each, int) else _closed(each) for each in node])


def _first(node: int | _Node) -> int:
    while not isinstance(node, int):
        node = node[0]
    return node


def _pairs(node: _Node, n: int) -> Iterator[tuple[int, int]]:
    """Each product, and one that is in the sum which it meets."""
    for place, each in enumerate(node):
        if not isinstance(each, int):
            yield from _pairs(each, n)
        elif each != n and len(node) > 1:
            yield each, _first(node[0] if place else node[1])


def _settled(node: _Node, fused: dict[int, bool], n: int) -> _Node:
    inner: _Node = [each if isinstance(each, int) else _settled(each, fused, n) for each in node]
    head, rest = inner[0], inner[1:]
    if isinstance(head, int) and rest and (head == n or fused[head]):
        second = rest[0]
        if isinstance(second, list):  # the term goes onto that sum
            inner = [*second, head, *rest[1:]]
        elif head != n:
            inner = [second, head, *rest[1:]]
    elif len(rest) and rest[0] == n:  # an initial value, onto which nothing but rounded products is added
        inner = [head, *rest]
    started = inner[0] if isinstance(inner[0], int) else None
    return [
        [each] if isinstance(each, int) and each not in (started, n) and not fused.get(each, False) else each
        for each in inner
    ]
