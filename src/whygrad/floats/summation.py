"""Summing in a given order, bit for bit: Σ a[k]·b[k] or Σ a[k] as a kernel would.

A sum of floating-point numbers depends on the order of its additions and on where the accumulator is rounded.
`Order` (of `whygrad.floats.summation_patterns`) is one way of doing it; `evaluate` does it. Nothing here
knows which kernel uses which order: that is `whygrad.rules.orders`.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from whygrad.floats.summation_cascade import cascade_sum, nll_sum
from whygrad.floats.summation_fma import Floats
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
    Pattern,
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
    "Pattern",
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
            return _tree(order.pattern.items, terms, bias)
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
        case Tree():
            return _tree(pattern.items, terms, start)


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
    acc[0] = terms[:peel].chain()
    main = terms[peel:body]
    if pattern.rest == "fused lanes" and main.b is not None:
        main = Terms(main.a * main.b, None, main.flush)
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
    return rest.chain(across(pattern.lanes_join, vector))


def _half_dot(pattern: HalfDot, terms: Terms) -> Floats:
    whole = len(terms) // pattern.lanes * pattern.lanes
    row = 2 * pattern.vector
    more = whole + (len(terms) - whole) // row * row
    total = halving(terms[:whole].lanes(pattern.lanes))
    if more > whole:
        total = total + halving(terms[whole:more].lanes(pattern.vector))
    return terms[more:].chain(total)


def _tree(items: TreeItems, terms: Terms, bias: Floats | None) -> Floats:
    total: Floats | None = None
    for item in items:
        if not isinstance(item, range):
            part = _tree(item, terms, bias)
            total = part if total is None else total + part
        elif item[-1] < len(terms) and item[0] < len(terms):
            total = terms[np.asarray(item)].chain(total)
        else:
            for index in item:
                total = _leaf(index, terms, bias, total)
    assert total is not None, "a tree has leaves"
    return total


def _leaf(index: int, terms: Terms, bias: Floats | None, total: Floats | None) -> Floats:
    if index < len(terms):
        return terms[index : index + 1].chain(total)
    if bias is None:
        found = f"{len(terms)} terms and no initial value"
        raise ValueError(f"expected what the tree's leaf {index} stands for, found {found}")
    return bias if total is None else total + bias
