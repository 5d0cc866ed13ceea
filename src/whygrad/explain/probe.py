"""Finding out in which order a kernel adds one sum, by running the op itself on masked numbers.

The op is run on tensors of the recorded shapes, strides and dtypes at the recorded number of threads: ones everywhere, and
small units and two large numbers of opposite sign where the terms of one sum are. What is left of the units tells how many
terms are added after the two large ones have met, and all such counts are the tree of additions (FPRev; see
`whygrad.floats.summation_reveal`). No recorded number goes in, so the answer cannot be fitted to one.

One call asks as many questions as there are elements with terms of their own along one dimension of the result (the output
channels of a convolution have a weight each, the rows of a product a left operand each), taken to be added alike.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from whygrad.explain.probe_cache import Cache, machine
from whygrad.explain.probe_kernel import Kernel, NotProbed
from whygrad.floats.summation import Order, Tree, TreeItems
from whygrad.floats.summation_products import DELTA, EPSILON, with_products, with_storage
from whygrad.floats.summation_reveal import masks, reveal
from whygrad.rules import convolution
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Dot, Expr
from whygrad.rules.registry import Rule

__all__ = ["BUDGET", "Fits", "Prober"]

Array = np.ndarray[Any, Any]
Fits: TypeAlias = "Callable[[Index, tuple[Order, ...] | None, int], bool]"
"""Whether the k-th of some orders (None: of its equation's own) gives the bits of an element."""
BUDGET = 3.0
"""Seconds of processor time, a thread, that one kernel may be asked for."""


@dataclass(frozen=True)
class Likeness:
    """Which elements of an op's result are made alike. `reference`: the element of which the tree is found out, and of which
    element i has some of the terms; `names`: what each term is called in both; `axis`: the dimension of the result along
    which the first operand of each element's sum has numbers of its own."""

    reference: Callable[[OpCall, Index], Index]
    names: Callable[[OpCall, Dot], Array]
    axis: Callable[[OpCall], int]


_CONVOLUTION = Likeness(convolution.interior, convolution.names, convolution.channel_axis)
_ALIKE = {"aten.convolution": _CONVOLUTION, "aten.convolution_backward": _CONVOLUTION}
_ITSELF = Likeness(lambda c, i: i, lambda c, dot: dot.a.indices, lambda c: 0)
_PRODUCTS = frozenset(f"aten.{name}" for name in ("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "conv_tbc"))
_NEAR, _FEW, _LONG = 6, 3, 256
_ALONE = 64
_SMALL = 1 << 14
_WORK = 1 << 25
"""So many numbers may go through the op before each element is not asked about by itself."""


class Prober:
    """Asks kernels, and remembers what they answered: in memory, and on disk where it took long."""

    def __init__(self, cache: Cache | None = None) -> None:
        self._given = cache
        self._as_expected: dict[tuple[Any, ...], bool] = {}
        self._seen: dict[str, _Seen | None] = {}

    @cached_property
    def _cache(self) -> Cache:
        """Opened when the first kernel is asked: it is named after torch, which other answers need not import."""
        return Cache() if self._given is None else self._given

    def knows(self, op: str) -> bool:
        """Whether the op is one to ask about."""
        return op in _ALIKE

    def alone(self, call: OpCall, rule: Rule, expr: Expr, index: Index) -> Expr | None:
        """The equation of a product none of whose expected orders gives the bits, with what the kernel was seen to do to this
        very element; None where it was not asked."""
        if call.op.kind not in _PRODUCTS or not isinstance(expr, Dot):
            return None
        asked = self.orders(call, rule, index, alone=True)
        return replace(expr, orders=asked) if asked else None

    def settled(self, call: OpCall, rule: Rule, expr: Expr, index: Index, fits: Fits) -> Expr:
        """The equation with the orders that it may be evaluated in. The order expected, if all neighbours have theirs;
        else what the kernel was seen to do: where that was found out for an element that stands for this one, neighbours say
        whether it does. The recorded number itself has no say."""
        if not isinstance(expr, Dot) or expr.term is not None:
            return expr
        near = _near(index, call.out(call.output).shape)[: _FEW if len(expr.a) > _LONG else None]
        if expr.orders and near:
            key = (call.step.number, call.op.index, call.output, index[:-1], index[-1] // 4)
            if key not in self._as_expected:
                self._as_expected[key] = all(fits(at, None, 0) for at in near)
            if self._as_expected[key]:
                return replace(expr, orders=expr.orders[:1])
        best: tuple[float, tuple[Order, ...]] = (-1.0, expr.orders)
        for alone in (False, True):
            asked, alone = self._asked(call, rule, index, alone)
            if asked and alone:
                return replace(expr, orders=asked)
            beside = [(at, self.orders(call, rule, at)) for at in near if asked]
            beside = [(at, orders) for at, orders in beside if len(orders) == len(asked)]
            scores = [sum(fits(at, orders, k) for at, orders in beside) for k in range(len(asked))]
            if asked and max(scores) > best[0]:
                best = max(scores), tuple(o for o, score in zip(asked, scores, strict=True) if score == max(scores))
            if near and best[0] == len(near):
                break
        return replace(expr, orders=best[1])

    def orders(self, call: OpCall, rule: Rule, index: Index, alone: bool = False) -> tuple[Order, ...]:
        """The orders in which element `index` may have been summed: one tree of additions, in 16 bits with a choice of what
        becomes of subnormal numbers. `alone`: asked about this very element, and not one that stands for it. Empty where
        the kernel could not be asked (no torch here, too many terms for the budget)."""
        return self._asked(call, rule, index, alone)[0]

    def _asked(self, call: OpCall, rule: Rule, index: Index, alone: bool) -> tuple[tuple[Order, ...], bool]:
        """`orders`, and whether the element itself was asked about."""
        own = _Sum.of(call, rule, index)
        if own is None or (alone and own.work > _WORK):
            return (), alone
        alone = alone or own.small
        reference = own if alone else self._reference(own)
        try:
            found = None if reference is None else self._tree(reference, alone)
        except NotProbed:
            return (), alone
        tree = None if found is None else restricted(found.items, found.names, own.names())
        return () if found is None or tree is None else tuple(_orders(tree, found.fused, own)), alone

    def _reference(self, own: _Sum) -> _Sum | None:
        at = _likeness(own.call).reference(own.call, own.index)
        return own if at == own.index else _Sum.of(own.call, own.rule, at)

    def _tree(self, asked: _Sum, alone: bool) -> _Seen | None:
        key = repr((asked.key(machine()), alone))
        if key not in self._seen:
            known, found = self._cache.get(key)
            if not known:
                start = time.process_time()
                found = _reveal(asked, start + BUDGET * asked.call.step.threads, alone)
                self._cache.put(key, found, time.process_time() - start)
            self._seen[key] = None if found is None else _Seen(*found, asked.names())
        return self._seen[key]


@dataclass(frozen=True, eq=False)
class _Seen:
    """How one element was added: the tree over the terms `names`, and whether products are fused."""

    items: TreeItems
    fused: bool
    names: Array


@dataclass(frozen=True, eq=False)
class _Sum:
    """One element whose equation is one sum of products, or of numbers."""

    call: OpCall
    rule: Rule
    index: Index
    dot: Dot

    @staticmethod
    def of(call: OpCall, rule: Rule, index: Index) -> _Sum | None:
        own = OpCall(call.trace, call.step, call.op, call.constants, call.output)
        expr = rule.function(own, index)
        if not isinstance(expr, Dot) or expr.term is not None or not len(expr.a):
            return None
        return _Sum(own, rule, index, expr)

    @property
    def terms(self) -> int:
        """How many numbers are added, a bias among them."""
        return len(self.dot.a) + (self.dot.init is not None)

    @property
    def work(self) -> int:
        """How many numbers go through the op if it is called for each term."""
        values = self.call.step.values
        return self.terms * sum(values[ref].numel for ref in self.call.op.refs())

    @property
    def small(self) -> bool:
        """Whether each element is best asked about by itself."""
        return self.terms <= _ALONE and self.work <= _ALONE * _SMALL

    def names(self) -> Array:
        """What each term is called, alike in all elements that a kernel makes alike."""
        return _likeness(self.call).names(self.call, self.dot)

    def key(self, place: str) -> str:
        """What decides on the tree: the call without its numbers, the element, the machine; and which term is which in the
        equation, for a tree's leaves are their numbers."""
        step, op = self.call.step, self.call.op
        values = [step.values[ref] for ref in op.refs()]
        tensors = [(v.dtype, v.shape, v.stride) for v in values]
        rest = [arg for arg in op.args if isinstance(arg, (int, float, bool, tuple))]
        factors = (each.indices for each in (self.dot.a, self.dot.b) if each is not None)
        terms = self.terms, *(zlib.crc32(indices.tobytes()) for indices in factors)
        parts = (op.name, tensors, rest, self.call.output, self.index, step.threads, place, terms)
        return repr(parts)


def _reveal(asked: _Sum, deadline: float, alone: bool) -> tuple[TreeItems, bool] | None:
    """The tree of additions, and whether products are fused; None when it takes too long."""
    axis = None if alone else _likeness(asked.call).axis(asked.call)
    try:
        kernel = Kernel(asked.call, asked.rule, asked.index, asked.dot, deadline, axis)
        items = reveal(_sizes(kernel), asked.terms)
        n, epsilon, products = len(asked.dot.a), EPSILON[kernel.dtype], asked.dot.b is not None

        def unrounded(pairs: Sequence[tuple[int, int]]) -> list[bool]:
            return kernel.fused(pairs, epsilon)

        if kernel.dtype in DELTA:
            delta = DELTA[kernel.dtype]
            return with_storage(
                items, n, unrounded if products else None, lambda gaps: kernel.stored(gaps, delta)
            ), products
        return with_products(items, n, unrounded) if products else (items, False)
    except TimeoutError:
        return None


def _sizes(kernel: Kernel) -> Callable[[int, Sequence[int]], list[int]]:
    """For term i and each of js, which are all that may lie below: how many of them do where the two meet (and more, the
    same number for each).

    The result of a 16-bit op counts only so far: the first round then finds each place but roughly, and in the second only
    the terms near it are units.
    """
    mask = masks(kernel.dtype)

    def left(i: int, members: Array, units: Callable[[slice], Array]) -> Array:
        """How many units are left for each member but i, the first: `units` says which members are one."""

        def rows(part: slice) -> Array:
            which = units(part)
            made = np.zeros((len(which), kernel.terms))
            made[:, members] = np.where(which, mask.unit, 0.0)
            made[:, i] = mask.big
            made[np.arange(len(which)), members[1:][part]] = -mask.big
            return made

        return kernel.sums(rows, len(members) - 1) / mask.unit

    def sizes(i: int, js: Sequence[int]) -> list[int]:
        members = np.array([i, *js])
        every = np.ones((1, len(members)), bool)
        counts = left(i, members, lambda part: np.repeat(every, len(js[part]), axis=0))
        if len(members) > mask.countable:
            margin = 2 * (counts / mask.countable + 1)

            def near(part: slice) -> Array:
                close = np.abs(counts[None, :] - counts[part, None]) <= margin[part, None]
                return np.hstack([np.zeros((len(close), 1), bool), close])

            ordered = np.sort(counts)
            counts = np.searchsorted(ordered, counts - margin) + left(i, members, near)
        return [len(members) - round(float(x)) for x in counts]

    return sizes


def restricted(items: TreeItems, reference: Array, own: Array) -> TreeItems | None:
    """A tree over the terms `reference` as one over `own`, some of them; None where `own` has others too."""
    if reference.shape == own.shape and (reference == own).all():
        return items
    places = {tuple(row): k for k, row in enumerate(own.tolist())}
    table = [places.pop(tuple(row), -1) for row in reference.tolist()]
    if places:
        return None
    table.append(len(own))  # the initial value's leaf
    return _relabelled(items, table)


def _relabelled(items: TreeItems, table: Sequence[int]) -> TreeItems | None:
    found: list[Any] = []
    for item in items:
        if isinstance(item, range):
            found += [range(table[k], table[k] + 1) for k in item if table[k] >= 0]
        else:
            inner = _relabelled(item, table)
            if inner is not None:
                found.append(inner)
    if not found:
        return None
    if items[0] == range(0):
        return (range(0), *found)
    return found[0] if len(found) == 1 and not isinstance(found[0], range) else tuple(found)


def _orders(tree: TreeItems, fused: bool, own: _Sum) -> Iterator[Order]:
    """A tree leaves open what a bfloat16 kernel does to subnormal numbers."""
    dtype = own.call.out(own.call.output).dtype
    plain = Order(Tree(tree, stored=dtype if _stores(tree) else ""), fused)
    if dtype == "bfloat16":
        yield replace(plain, flush=True)
    yield plain


def _stores(items: TreeItems) -> bool:
    return items[0] == range(0) or any(not isinstance(item, range) and _stores(item) for item in items)


def _likeness(call: OpCall) -> Likeness:
    return _ALIKE.get(call.op.kind, _ITSELF)


def _near(index: Index, shape: Index) -> list[Index]:
    """Up to six elements beside one: along the last dimension first."""
    found: list[Index] = []
    for d in reversed(range(len(shape))):
        around = (index[d] + step for step in (1, -1, 2, -2))
        found += [(*index[:d], k, *index[d + 1 :]) for k in around if 0 <= k < shape[d]]
    return found[:_NEAR]
