"""Summing in a given order, bit for bit: Σ a[k]·b[k] or Σ a[k] as a kernel would.

A sum of floating-point numbers depends on the order of its additions and on where the accumulator is rounded.
`Order` (of `whygrad.floats.summation_patterns`) is one way of doing it; `evaluate` does it. Nothing here
knows which kernel uses which order: that is `whygrad.rules.orders`.
"""

from __future__ import annotations

from itertools import chain
from typing import TypeAlias

import numpy as np

from whygrad.floats.formats import number_format
from whygrad.floats.rounding import round_to
from whygrad.floats.summation_cascade import cascade_sum, nll_sum
from whygrad.floats.summation_fma import Floats
from whygrad.floats.summation_parts import parts_sum, planes_sum, stored_chain
from whygrad.floats.summation_patterns import (
    Blocks,
    Cascade,
    Chain,
    HalfDot,
    Lanes,
    NllCascade,
    Order,
    Pairs,
    Panels,
    Parts,
    Pattern,
    Planes,
    Tree,
    TreeItems,
    simplify,
    tree_text,
)
from whygrad.floats.summation_terms import Terms, across, adjacent, halving, in_turn

__all__ = [
    "Accumulator",
    "Blocks",
    "Cascade",
    "Chain",
    "HalfDot",
    "Lanes",
    "NllCascade",
    "Order",
    "Pairs",
    "Panels",
    "Parts",
    "Pattern",
    "Planes",
    "Tree",
    "TreeItems",
    "evaluate",
    "evaluate_many",
    "simplify",
    "tree_text",
]

Accumulator: TypeAlias = type[np.float32] | type[np.float64]


def evaluate(
    order: Order,
    a: Floats,
    b: Floats | None = None,
    init: float | None = None,
    dtype: Accumulator = np.float32,
) -> float:
    """Σ a[k]·b[k] (+ init), or Σ a[k] where `b` is None, in `order`, accumulated in `dtype`; not rounded
    further.

    a, b: shape (n,). Their numbers must be exact in `dtype` (float16 and bfloat16 are in float32).
    """
    columns = None if b is None else np.asarray(b).reshape(-1, 1)
    start = None if init is None else np.array([init])
    return float(evaluate_many(order, np.asarray(a).reshape(-1, 1), columns, start, dtype)[0])


def evaluate_many(
    order: Order,
    a: Floats,
    b: Floats | None = None,
    init: Floats | None = None,
    dtype: Accumulator = np.float32,
) -> Floats:
    """`evaluate` for many sums: a, b of shape (n, sums), init of shape (sums,); the totals, shape (sums,)."""
    if init is not None and order.init == "none" and not isinstance(order.pattern, Tree):
        raise ValueError(f"expected an order that says where the initial value goes, found {order.name!r}")
    with np.errstate(all="ignore"):
        first = np.asarray(a).astype(dtype)
        second = None if b is None else np.asarray(b).astype(dtype)
        if second is None or order.fused:
            terms = Terms(first, second, order.flush)
        else:
            terms = Terms(first * second, None, order.flush)
        bias = None if init is None else np.asarray(init).astype(dtype)
        if isinstance(order.pattern, Tree):
            return _tree(order.pattern.items, terms, bias, order.pattern.stored)
        if bias is not None and order.init == "first":
            return _sum(order.pattern, terms, bias)
        total = _sum(order.pattern, terms, None)
        return total if bias is None else total + bias


def _sum(pattern: Pattern, terms: Terms, start: Floats | None) -> Floats:
    """Shape (sums,). `start` is where the outermost accumulator begins; None: zero."""
    match pattern:
        case Chain(from_zero):
            return terms.chain(start) if from_zero or start is not None else terms[1:].chain(terms.first())
        case Pairs():
            return _swap_pairs(terms).chain(start)
        case Panels():
            return _panels(pattern, terms, start)
        case Blocks():
            return _blocks(pattern, terms, start)
        case Lanes():
            return _onto(start, _lanes(pattern, terms))
        case HalfDot():
            return _onto(start, _half_dot(pattern, terms))
        case Cascade():
            return _onto(start, cascade_sum(pattern, terms))
        case NllCascade():
            return _onto(start, nll_sum(pattern, terms))
        case Parts(size, inner, wide, stored):
            part = (lambda each: stored_chain(each, stored)) if stored else (lambda each: _sum(inner, each, None))
            return _onto(start, parts_sum(size, wide, terms, part))
        case Planes(size, width, multiple, fused_rest):
            return _onto(start, planes_sum(size, width, multiple, fused_rest, terms))
        case Tree():
            return _tree(pattern.items, terms, start, pattern.stored)


def _onto(start: Floats | None, total: Floats) -> Floats:
    return total if start is None else start + total


def _swap_pairs(terms: Terms) -> Terms:
    order = np.arange(len(terms))
    whole = len(terms) // 2 * 2
    order[:whole] = order[:whole].reshape(-1, 2)[:, ::-1].reshape(-1)
    return terms[order]


def _panels(pattern: Panels, terms: Terms, start: Floats | None) -> Floats:
    total, at = start, 0
    for end in pattern.ends(len(terms)):
        part = _sum(pattern.inner, terms[at:end], None)
        total, at = (part if total is None else total + part), end
    return terms.zeros() if total is None else total


def _blocks(pattern: Blocks, terms: Terms, start: Floats | None) -> Floats:
    total = terms.zeros() if start is None else start
    for number, at in enumerate(range(0, len(terms), pattern.size)):
        block = terms[at : at + pattern.size]
        total = total + block.chain() if number % 2 else block.chain(total)
    return total


def _lanes(pattern: Lanes, terms: Terms) -> Floats:
    width, registers = pattern.width, pattern.registers
    row = width * registers
    peel, body = pattern.body(len(terms))
    acc = np.zeros((row, terms.sums), terms.dtype)
    head, main = terms[:peel], terms[peel:body]
    if pattern.rest in ("fused lanes", "fused after") and head.b is not None and main.b is not None:
        head, main = Terms(head.a * head.b, None, head.flush), Terms(main.a * main.b, None, main.flush)
    acc[0] = head.chain()
    acc = main.lanes(row, acc)
    rest = terms[body:]
    if pattern.rest in ("lanes", "fused lanes"):
        acc[: len(rest)] = rest.lanes(len(rest), acc[: len(rest)]) if len(rest) else acc[:0]
        rest = rest[len(rest) :]
    elif pattern.rest == "lane 0":
        for step in dict.fromkeys((width * pattern.rest_registers, width)):
            whole = len(rest) // step * step
            acc[:step] = rest[:whole].lanes(step, acc[:step])
            rest = rest[whole:]
        acc[0] = rest.chain(acc[0])
        rest = rest[len(rest) :]
    vectors = acc.reshape(registers, width, terms.sums)
    vector = adjacent(vectors) if pattern.registers_join == "adjacent" else in_turn(vectors)
    total = across(pattern.lanes_join, vector)
    if pattern.rest == "fused after" and rest.b is not None:  # as the compiler vectorises that loop
        fours = rest[: len(rest) // 4 * 4]
        total, rest = Terms(fours.a * rest.b[: len(fours)], None, rest.flush).chain(total), rest[len(fours) :]
    return rest.chain(total)


def _half_dot(pattern: HalfDot, terms: Terms) -> Floats:
    whole = len(terms) // pattern.lanes * pattern.lanes
    row = 2 * pattern.vector
    more = whole + (len(terms) - whole) // row * row
    total = halving(terms[:whole].lanes(pattern.lanes))
    if more > whole:
        total = total + halving(terms[whole:more].lanes(pattern.vector))
    return terms[more:].chain(total)


def _tree(items: TreeItems, terms: Terms, bias: Floats | None, stored: str) -> Floats:
    """`stored`: the format to which sums that begin with an empty range are rounded."""
    total: Floats | None = None
    ranges: list[range] = []
    for item in items:
        if isinstance(item, range):
            ranges.append(item)
            continue
        if any(ranges):
            total = _straight(ranges, terms, bias, total)
        ranges = []
        part = _tree(item, terms, bias, stored)
        total = part if total is None else total + part
    if any(ranges):
        total = _straight(ranges, terms, bias, total)
    assert total is not None, "a tree has leaves"
    return _rounded(total, stored) if stored and items[0] == range(0) else total


def _straight(ranges: list[range], terms: Terms, bias: Floats | None, total: Floats | None) -> Floats:
    """One accumulator over all of `ranges`: at once, but for where the initial value comes in."""
    places, at = np.fromiter(chain.from_iterable(ranges), np.int64), 0
    for cut in (*np.flatnonzero(places >= len(terms)).tolist(), len(places)):
        if cut > at:
            total = terms[places[at:cut]].chain(total)
        if cut < len(places):
            total = _initial(int(places[cut]), len(terms), bias, total)
        at = cut + 1
    assert total is not None, "a range has indices"
    return total


def _initial(index: int, n: int, bias: Floats | None, total: Floats | None) -> Floats:
    if bias is None:
        raise ValueError(f"expected what the tree's leaf {index} stands for, found {n} terms and no initial value")
    return bias if total is None else total + bias


def _rounded(total: Floats, name: str) -> Floats:
    """A partial sum as it lies in memory of 16 bits."""
    fmt = number_format(name)
    return np.array([round_to(x, fmt) for x in total.tolist()], total.dtype)
