"""A long sum, cut down to its largest terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.explain.check import Checked
from whygrad.explain.derivation import SumInfo, Term
from whygrad.explain.evaluate import mapped_terms
from whygrad.explain.exact_sums import product_sum
from whygrad.explain.places import HyperPlace, Made, Operands, Place, key_of
from whygrad.rules.expr import Dot, sums

TERMS = 3


def shorten(checked: Checked, made: Made, where: Place, operands: Operands) -> tuple[SumInfo, ...]:
    """What each long sum of an equation comes down to, in the order of `sums`; the factors of their largest terms join
    `operands`."""
    return tuple(_one(dot, checked, made, where, operands) for dot in sums(checked.expr))


def _one(dot: Dot, checked: Checked, made: Made, where: Place, operands: Operands) -> SumInfo:
    a = checked.inputs.series(dot.a.operand, dot.a.indices)
    b = None if dot.b is None else checked.inputs.series(dot.b.operand, dot.b.indices)
    products = (a if b is None else a * b) if dot.term is None else mapped_terms(dot, checked.inputs)
    order = np.argsort(-np.abs(products), kind="stable")
    shown = sorted(order[: TERMS if len(a) > TERMS + 1 else len(a)].tolist())
    places: dict[Any, int] = {key_of(each): k for k, each in enumerate(operands) if isinstance(each, Place)}
    terms: list[Term] = []
    for i in shown:
        factors: list[int] = []
        for series in (dot.a, dot.b, *dot.more):
            if series is not None:
                place = _element(checked, made, where, series.operand, series.indices[i])
                key = key_of(place) if isinstance(place, Place) else place.hyper
                known = places.setdefault(key, len(operands))
                if known == len(operands):
                    operands.append(place)
                factors.append(known)
        terms.append(Term(i, tuple(factors), float(products[i])))
    hidden = np.delete(np.arange(len(a)), shown)
    rest = 0.0
    if len(hidden) and np.isfinite(products).all():
        series = [a[hidden]] if b is None else [a[hidden], b[hidden]]
        rest = float(product_sum(series) if dot.term is None else products[hidden].sum())
    return SumInfo(len(a), tuple(terms), rest, len(hidden), dot.init is not None)


def _element(checked: Checked, made: Made, where: Place, operand: int, index: Any) -> Place | HyperPlace:
    constant = checked.call.constant(operand, tuple(index))
    if constant is not None:
        return HyperPlace(constant, made.step.number)
    value = made.step.values[checked.call.tensors[operand]]
    return Place(where.world, made.step, value, tuple(int(i) for i in index))
