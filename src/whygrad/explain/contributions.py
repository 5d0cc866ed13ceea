"""A gradient is a sum: over the examples of the batch, and over the paths on which a number reaches the loss. Which of them
made it what it is, and how much of them cancelled.

Backpropagation is linear in the gradient that comes from above, so every part has its own amount: a term of the sum that
made the gradient, or of one further up, times what stands between. Amounts are in double precision; they say how large a
part is, not its bits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from whygrad.errors import ValueDropped
from whygrad.explain.evaluate import Inputs, mapped_terms
from whygrad.explain.labels import named
from whygrad.explain.places import Made, Place, Tracks, World
from whygrad.rules.call import Hyper, OpCall
from whygrad.rules.expr import Dot, Series, walk
from whygrad.rules.registry import Unruled
from whygrad.trace.model import Op, Step, Value

__all__ = ["Contributions", "Part", "contributions"]

Array = np.ndarray[Any, Any]
By = Literal["example", "path"]
MOST_TERMS = 1 << 16
"""A gradient of more terms than this is not taken apart further up."""
_FANS = ("aten.add", "aten.add_")


@dataclass(frozen=True)
class Part:
    """What one example, or one path, contributed. `count` terms made it up."""

    label: str
    amount: float
    count: int


@dataclass(frozen=True)
class Contributions:
    """All parts of one gradient, the largest first. `cancellation`: sum of their magnitudes ÷ magnitude of their sum
    (1: nothing cancelled; inf: all of it). `of`: what the parts are: the batch's name, or the layer the paths go through."""

    by: By
    of: str
    parts: tuple[Part, ...]
    total: float
    cancellation: float


def contributions(tracks: Tracks, place: Place) -> tuple[Contributions, ...]:
    """How a gradient divides by example and by path; empty where it does not (or where numbers were not kept)."""
    try:
        return tuple(_Splitter(tracks).split(place))
    except (ValueDropped, Unruled):
        return ()


@dataclass(frozen=True, eq=False)
class _Term:
    """A part of the asked gradient: `amount`, of which `place` (a gradient further up) is a factor. `rate`: the other factor,
    where the two cannot tell it (a gradient that cancelled to 0)."""

    amount: float
    place: Place
    rate: float = 0.0


@dataclass(frozen=True, eq=False)
class _Sum:
    """The terms of a sum: (n,) amounts, and the (n, ndim) indices of the gradients above in `value`, which is not
    transposed."""

    step: Step
    value: Value
    indices: Array
    amounts: Array

    def terms(self, world: World) -> list[_Term]:
        rows = [tuple(int(i) for i in index) for index in self.indices]
        places = [Place(world, self.step, self.value, row) for row in rows]
        return [_Term(float(amount), place) for amount, place in zip(self.amounts, places, strict=True)]

    def own(self) -> list[int]:
        """The dimensions that the sum runs over."""
        return [d for d in range(self.indices.shape[1]) if len(np.unique(self.indices[:, d])) > 1]


class _Splitter:
    def __init__(self, tracks: Tracks) -> None:
        self.tracks = tracks
        self.labels: dict[tuple[int, int, int], str] = {}

    def split(self, place: Place) -> Iterator[Contributions]:
        ways = self.fan_in(_Term(_number(place), place, 1.0))
        if len(ways) > 1:
            labels = _numbered([self.way(term) for term in ways])
            yield _divided("path", "", [(label, term.amount) for label, term in zip(labels, ways, strict=True)])
        sums = [found for way in ways if (found := self.opened(way)) is not None]
        batch, size = self.batch(place.step)
        examples = [self.examples(each, size) for each in sums]
        if sums and len(sums) == len(ways) and all(each is not None for each in examples):
            named_parts = [
                (f"{batch}[{k}]", float(amount))
                for each, of in zip(sums, examples, strict=True) if of is not None
                for k, amount in zip(of, each.amounts, strict=True)
            ]  # fmt: skip
            yield _divided("example", batch, named_parts)
        if len(ways) == 1 and sums:
            yield from self.units(sums[0], examples[0] is not None)

    def units(self, found: _Sum, over_examples: bool) -> Iterator[Contributions]:
        """Which units of a layer further up the gradient came through. Where the first sum was over examples, that is the
        next sum; where it was over units, it is that one."""
        parts = self.by_unit(found)
        if over_examples:
            parts = []
            for term in found.terms(self.tracks.world):
                inner = self.opened(term)
                if inner is None or len(inner.amounts) * len(found.amounts) > MOST_TERMS:
                    return
                parts += self.by_unit(inner)
        if len({label for label, _ in parts}) > 1:
            yield _divided("path", "", parts)

    def by_unit(self, found: _Sum) -> list[tuple[str, float]]:
        own = found.own()
        if not own:
            return []
        d = own[0]  # of a convolution's sum the channel, the first of its dimensions; of others the only one
        places, first, which = np.unique(found.indices[:, d], return_index=True, return_inverse=True)
        amounts = np.bincount(which.reshape(-1), weights=found.amounts)
        parts: list[tuple[str, float]] = []
        for place, k, amount in zip(places, first, amounts, strict=True):
            key = (found.value.id, d, int(place))
            if key not in self.labels:
                at = tuple(int(i) for i in found.indices[k])
                self.labels[key] = self.unit(Place(self.tracks.world, found.step, found.value, at), d)
            parts.append((self.labels[key], float(amount)))
        return parts

    def fan_in(self, term: _Term) -> list[_Term]:
        """The gradients whose sum a gradient is: one for each use of the number, and what stood there before."""
        made, _, where = self.tracks.follow(term.place)
        if not isinstance(made, Made) or made.op.kind not in _FANS or made.op.phase != "backward":
            return [term]
        refs = made.op.refs()
        operands = [made.step.values[ref] for ref in refs]
        if len(operands) != 2 or any(v.shape != made.value.shape for v in operands):
            return [term]
        total = _number(Place(where.world, made.step, made.value, made.index))
        scale = term.amount / total if total else 0.0
        found: list[_Term] = []
        for value in operands:
            summand = Place(where.world, made.step, value, made.index)
            found += self.fan_in(_Term(scale * _number(summand), summand))
        return found

    def opened(self, term: _Term) -> _Sum | None:
        """The next sum above, through ops that only scale a gradient; None where there is no such sum."""
        made, _, where = self.tracks.follow(term.place)
        for _ in range(32):
            if not isinstance(made, Made):
                return None
            found = where.world.checker.equation(made.step, made.op, made.value, made.index)
            if found is None:
                return None
            call, _, expr, inputs = found
            dots = [node for node in walk(expr) if isinstance(node, Dot)]
            above = [p for p in self.operands(call, made, where) if self.is_gradient(p)]
            if dots:
                if above or len(dots) > 1:
                    return None
                # A sum that cancels is mostly rounding: what it was recorded as says the scale, not what it should have been.
                whole = _number(Place(where.world, made.step, made.value, made.index)) if expr is dots[0] else None
                return self.terms(term, call, inputs, made, dots[0], whole)
            if len(above) != 1:
                return None
            term = replace(term, place=above[0], rate=0.0)
            made, _, where = self.tracks.follow(above[0])
        return None

    @staticmethod
    def operands(call: OpCall, made: Made, where: Place) -> list[Place]:
        keys = [key for key in call.operands if not isinstance(key, Hyper)]
        return [Place(where.world, made.step, made.step.values[key[0]], key[1]) for key in keys]

    def terms(
        self, term: _Term, call: OpCall, inputs: Inputs, made: Made, dot: Dot, whole: float | None
    ) -> _Sum | None:
        """`whole`: what the sum was recorded as; None where it is only a part of what was recorded."""
        if len(dot.a) > MOST_TERMS:
            return None
        a = inputs.series(dot.a.operand, dot.a.indices)
        b = None if dot.b is None else inputs.series(dot.b.operand, dot.b.indices)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite has no shares
            products = mapped_terms(dot, inputs) if dot.term is not None else a if b is None else a * b
            total = float(products.sum()) if whole is None else whole
        above = self.gradient_series(call, made, dot)
        if above is None or not len(products) or not np.isfinite(products).all():
            return None
        value, indices = self.as_written(made.step, made.step.values[call.tensors[above.operand]], above.indices)
        return _Sum(made.step, value, indices, products * (term.amount / total if total else term.rate))

    def as_written(self, step: Step, value: Value, indices: Array) -> tuple[Value, Array]:
        """The same elements in the tensor that the op wrote, before any transposing."""
        made = self.tracks.maker(Place(self.tracks.world, step, value, tuple(int(i) for i in indices[0])))
        if not isinstance(made, Made) or made.value.id == value.id or made.step is not step:
            return value, indices
        found = _indices_at(made.value, value.offset + indices @ np.array(value.stride, dtype=np.int64))
        return (value, indices) if found is None else (made.value, found)

    def gradient_series(self, call: OpCall, made: Made, dot: Dot) -> Series | None:
        """Of a sum's factors, the one that is a gradient from further up."""
        for series in (dot.a, dot.b, *dot.more):
            if series is not None and call.tensors[series.operand] >= 0:
                value = made.step.values[call.tensors[series.operand]]
                if self.is_gradient(Place(self.tracks.world, made.step, value, tuple(0 for _ in value.shape))):
                    return series
        return None

    def is_gradient(self, place: Place) -> bool:
        """Whether the backward pass made a number (and not an activation that it computes again)."""
        if named(self.tracks, place)[1] == "gradient":
            return True
        op = _writer(place.step, place.value)
        return op is not None and op.phase == "backward" and bool(op.node)

    # ---- what the parts are called

    def batch(self, step: Step) -> tuple[str, int]:
        """The name of what holds the batch, and its size."""
        for kind in ("input", "target"):
            for name in step.names:
                shape = step.values[name.value].shape
                if name.kind == kind and shape:
                    return name.text, shape[0]
        return "", 0

    @staticmethod
    def examples(found: _Sum, size: int) -> Array | None:
        """The example that each term belongs to: along dimension 0 a batch of B has B rows, or a multiple, an example's
        rows side by side."""
        shape = found.value.shape
        if size < 2 or not shape or shape[0] % size or 0 not in found.own():
            return None
        return found.indices[:, 0] // (shape[0] // size)

    def unit(self, place: Place, dimension: int) -> str:
        """What stands at an index of one dimension: `fc2.output[·,3]`."""
        naming = place.world.resolver.naming(place.step)
        found = naming.name_at(place.value, place.index)
        index, rank = place.index[dimension], len(place.index)
        if found is not None and len(found[1]) == rank and not re.fullmatch(r"op\d+", found[0].text):
            name = found[0].text
        else:
            op = _writer(place.step, place.value)
            name = "" if op is None else op.node or op.kind
        return f"{name}[{','.join(str(index) if d == dimension else '·' for d in range(rank))}]"

    def way(self, term: _Term) -> tuple[str, int]:
        """The use of a number that a gradient came back from, and when that was."""
        made, _, _ = self.tracks.follow(term.place)
        if not isinstance(made, Made):
            return named(self.tracks, term.place)[0].partition("@")[0] + " as it was before", -1
        forward = next((op for op in made.step.ops if op.made_seq >= 0 and op.made_seq == made.op.of_seq), None)
        if forward is None:
            return f"{made.op.node or made.op.name} ({_address(self.tracks, term.place)})", made.op.index
        line = "" if forward.source is None else f", line {forward.source.line}"
        where = f" in {forward.module}" if forward.module else ""
        return f"{forward.name.removesuffix('.default')}{where}{line}", forward.index


def _address(tracks: Tracks, place: Place) -> str:
    return named(tracks, place)[0]


def _numbered(uses: list[tuple[str, int]]) -> list[str]:
    """Labels of uses, numbered in the order of the program where two are called the same."""
    found: list[str] = []
    for label, at in uses:
        same = sorted(other for text, other in uses if text == label)
        found.append(label if len(same) == 1 else f"{label}, use {same.index(at) + 1}")
    return found


def _divided(by: By, of: str, terms: list[tuple[str, float]]) -> Contributions:
    amounts: dict[str, list[float]] = {}
    for label, amount in terms:
        amounts.setdefault(label, []).append(amount)
    parts = [Part(label, float(np.sum(each)), len(each)) for label, each in amounts.items()]
    parts.sort(key=lambda part: -abs(part.amount))
    total = float(np.sum([part.amount for part in parts]))
    sizes = float(np.sum([abs(part.amount) for part in parts]))
    ratio = 1.0 if not sizes else sizes / abs(total) if total else float("inf")
    return Contributions(by, of, tuple(parts), total, ratio)


def _number(place: Place) -> float:
    return float(place.world.trace.content(place.step, place.value)[place.index])


def _writer(step: Step, value: Value) -> Op | None:
    return step.op(value.version) if step.first <= value.version < step.last else None


def _indices_at(value: Value, places: Array) -> Array | None:
    """`Value.index_at` for many places of the storage at once: (n, ndim), or None when one is not the tensor's."""
    rest = places - value.offset
    indices = np.zeros((len(places), len(value.shape)), dtype=np.int64)
    for d in sorted(range(len(value.shape)), key=lambda d: -value.stride[d]):
        if value.stride[d] and value.shape[d] > 1:
            indices[:, d] = np.minimum(rest // value.stride[d], value.shape[d] - 1)
            rest = rest - indices[:, d] * value.stride[d]
    return None if rest.any() or (indices < 0).any() else indices
