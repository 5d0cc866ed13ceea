"""A long sum, cut down to its largest terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.explain.check import Checked
from whygrad.explain.derivation import SumInfo, Term
from whygrad.explain.evaluate import mapped_terms
from whygrad.explain.exact import dyadic_sum
from whygrad.explain.places import Made, Operands, Place
from whygrad.rules.expr import Dot, walk

TERMS = 3


def shorten(
    checked: Checked, made: Made, where: Place, operands: int
) -> tuple[SumInfo | None, Operands]:
    """Places of the factors of the largest terms (they come after the equation's own `operands`), and what the rest of
    the sum comes to."""
    dots = [n for n in walk(checked.expr) if isinstance(n, Dot)]
    if not dots:
        return None, []
    dot = dots[0]
    a = checked.inputs.series(dot.a.operand, dot.a.indices)
    b = None if dot.b is None else checked.inputs.series(dot.b.operand, dot.b.indices)
    products = a if b is None else a * b
    if dot.term is not None:
        products = mapped_terms(dot.term, checked.inputs, a, b)
    order = np.argsort(-np.abs(products), kind="stable")
    shown = sorted(order[: TERMS if len(a) > TERMS + 1 else len(a)].tolist())
    terms: list[Term] = []
    more: Operands = []
    for i in shown:
        factors = [_element(checked, made, where, dot.a.operand, dot.a.indices[i])]
        if dot.b is not None:
            factors.append(_element(checked, made, where, dot.b.operand, dot.b.indices[i]))
        terms.append(Term(i, tuple(range(operands + len(more), operands + len(more) + len(factors))), float(products[i])))
        more += factors
    hidden = np.delete(np.arange(len(a)), shown)
    rest = 0.0
    if len(hidden) and np.isfinite(products).all():
        rest = float(dyadic_sum(a[hidden], None if b is None else b[hidden]) if dot.term is None else products[hidden].sum())
    return SumInfo(len(a), tuple(terms), rest, len(hidden), dot.init is not None), more


def _element(checked: Checked, made: Made, where: Place, operand: int, index: Any) -> Place:
    value = made.step.values[checked.call.tensors[operand]]
    return Place(where.world, made.step, value, tuple(int(i) for i in index))
