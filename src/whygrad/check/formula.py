"""A formula against a recorded number: the same bits, the digits given, equal before rounding, or where it differs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from whygrad.check.bound import Bound, Leaf, equation, leaves, measured, value
from whygrad.check.differences import Difference, differences
from whygrad.check.every_term import in_every_term
from whygrad.check.grammar import Node, literal, parse
from whygrad.check.names import Binder
from whygrad.check.pool import Pool
from whygrad.check.recorded import Recorded
from whygrad.explain.derivation import Derivation
from whygrad.explain.evaluate import Inputs, Ways, same, value_of, ways_to_try
from whygrad.explain.exact import exact_value
from whygrad.explain.exact_sums import Undefined
from whygrad.explain.why import Explainer
from whygrad.floats import FORMATS, NumberFormat, number_format, round_to, ulp_distance
from whygrad.rules.expr import Expr

__all__ = ["FormulaCheck", "Outcome", "check_formula"]

Outcome: TypeAlias = Literal["same bits", "equal to the digits given", "equal before rounding", "differs"]
_MOST_TOLD = 3
_ABOUT_AS_SIMPLE = 0.35


@dataclass(frozen=True)
class FormulaCheck:
    """What a formula is to a recorded number.

    `outcome`: *same bits*: evaluated as `how` says, it gives the recorded bits · *equal to the digits given*: the recorded
    number, rounded to the digits written, is the one written · *equal before rounding*: it is `ulp` off, and rounding on the
    way explains up to `allowed` of them · *differs*: `differences` say where, the simplest explanation first; empty
    where no single change makes it come out. `value` is the formula's in double precision, `names` what its names were
    taken for, `digits` how many decimals a lone number has.
    """

    formula: str
    outcome: Outcome
    derivation: Derivation
    value: float
    ulp: int | None = None
    allowed: float = 0.0
    how: str = ""
    names: tuple[Leaf, ...] = ()
    differences: tuple[Difference, ...] = ()
    digits: int | None = None
    same_number: Derivation | None = None
    legend: tuple[Derivation, ...] = ()
    """Numbers that no name of the program has, as they occur in the equations that the differences point to."""

    @property
    def right(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.outcome != "differs"


def check_formula(explainer: Explainer, formula: str, address: str) -> FormulaCheck:
    """Compare a formula, or a number, with the recorded scalar at `address`.

    Raises FormulaError (it cannot be read, or names what the run does not have), AddressError, StepNotKept, ValueDropped.
    """
    node = parse(formula)
    place = explainer.place(address)
    root = explainer.why(address, 0) if place is None else explainer.opened(place)[0]
    recorded = Recorded(explainer, place, root)
    root = recorded.root.derivation
    number = literal(node)
    if number is not None:
        return _number(formula, number, root, recorded)
    binder = Binder(explainer, recorded, formula)
    return _formula(formula, node, binder, recorded)


# ---- a number alone


def _number(formula: str, number: tuple[Fraction, Fraction], root: Derivation, recorded: Recorded) -> FormulaCheck:
    written, unit = number
    target, known = float(root.value), FORMATS.get(root.format)
    if math.isfinite(target):
        digits = _decimals(unit)
        reads = float(written) == target if known is None else same(abs(round_to(written, known)), abs(target))
        if reads and (written > 0) == (target > 0):
            return FormulaCheck(
                formula, "same bits", root, target, 0, how="it reads back to the very bits", digits=digits
            )
        if _rounds(target, written, unit):
            return FormulaCheck(formula, "equal to the digits given", root, float(written), digits=digits)
    others = [n.derivation for n in recorded.nodes[1:] if _rounds(n.value, written, unit) and unit < abs(written) / 200]
    return FormulaCheck(
        formula, "differs", root, float(written), digits=_decimals(unit), same_number=next(iter(others), None)
    )


def _rounds(recorded: float, written: Fraction, unit: Fraction) -> bool:
    return math.isfinite(recorded) and abs(Fraction(recorded) - written) <= unit / 2


def _decimals(unit: Fraction) -> int:
    """How many decimals a number is written with."""
    return max(0, round(-math.log10(unit)))


# ---- a formula


def _formula(formula: str, node: Node, binder: Binder, recorded: Recorded) -> FormulaCheck:
    bound = binder.bind(node)
    root = recorded.root.derivation
    found = _compared(formula, bound, root, recorded)
    if found.right or not math.isfinite(found.value) or not math.isfinite(float(root.value)):
        return found
    read = _as_recorded(bound, recorded)
    if read is not None:
        again = _compared(formula, read, root, recorded)
        if again.right:
            return FormulaCheck(
                formula, "equal to the digits given", root, again.value, again.ulp, again.allowed,
                how="its numbers taken as the recorded ones that round to them", names=again.names,
            )  # fmt: skip
    target = float(root.value)
    slack = _slack(bound, recorded)
    if _numbers_only(bound) and abs(found.value - target) <= slack:
        return found
    pool = Pool(recorded, binder.count, formula)
    every = [*differences(bound, target, slack, pool), *in_every_term(bound, slack, pool)]
    every.sort(key=lambda d: (d.cost, d.start - d.end))
    told = [d for d in every if d.cost <= every[0].cost + _ABOUT_AS_SIMPLE][:_MOST_TOLD]
    return FormulaCheck(
        formula, "differs", root, found.value, found.ulp, found.allowed, names=found.names, differences=tuple(told),
        legend=_legend(told, recorded),
    )  # fmt: skip


def _legend(told: list[Difference], recorded: Recorded) -> tuple[Derivation, ...]:
    found: dict[str, Derivation] = {}
    for each in told:
        operands = each.meant.piece.node.derivation.operands if each.meant is not None and each.meant.piece else ()
        for operand in operands:
            node = recorded.by_address.get(operand.address)
            if re.match(r"op\d", operand.label) and node is not None and node.derivation.equation is not None:
                found.setdefault(operand.address, node.derivation)
    return tuple(found.values())


def _compared(formula: str, bound: Bound, root: Derivation, recorded: Recorded) -> FormulaCheck:
    target, fmt = float(root.value), recorded.format
    names = tuple({(leaf.text, leaf.address): leaf for leaf in leaves(bound) if leaf.source != "number"}.values())
    expr, inputs = equation(bound)
    mine = value(bound)
    how = _bits(expr, inputs, target, fmt) or _mathematics(expr, inputs, root)
    if how:
        return FormulaCheck(formula, "same bits", root, mine, 0, how=how, names=names)
    if not (math.isfinite(mine) and math.isfinite(target)):
        return FormulaCheck(formula, "differs", root, mine, names=names)
    away = ulp_distance(round_to(mine, fmt), target, fmt)
    slack = _slack(bound, recorded)
    outcome: Outcome = "equal before rounding" if abs(mine - target) <= slack else "differs"
    if _numbers_only(bound):
        if _within_digits(bound, target):
            how = "as far as the digits of its numbers go"
            return FormulaCheck(formula, "equal to the digits given", root, mine, away, how=how, names=names)
        outcome = "differs"
    spacing = _spacing(target, fmt)
    return FormulaCheck(formula, outcome, root, mine, away, slack / spacing, names=names)


def _numbers_only(bound: Bound) -> bool:
    """Whether it names nothing that was recorded, so that nothing was rounded between its numbers and the recorded one."""
    return all(leaf.source in ("number", "count") for leaf in leaves(bound))


def _within_digits(bound: Bound, target: float) -> bool:
    """Whether the formula may be the recorded number, each of its numbers of three digits or more being off by half its last
    digit (a shorter one, and a whole one, is meant exactly)."""
    mine, spread = value(bound), 0.0
    for leaf in leaves(bound):
        if _has_digits(leaf):
            assert leaf.unit is not None
            moved = value(bound, {id(leaf): leaf.value + float(leaf.unit) / 2})
            spread += abs(moved - mine)
    return math.isfinite(spread) and abs(target - mine) <= spread


def _has_digits(leaf: Leaf) -> bool:
    """Whether it is a written number that may have been rounded: of three digits or more, and not a whole one."""
    exact, unit = leaf.exact, leaf.unit
    return exact is not None and unit is not None and unit < 1 and exact / unit >= 100


def _slack(bound: Bound, recorded: Recorded) -> float:
    fmt = recorded.format
    own = measured(bound, 2.0**-fmt.precision)[1]
    named = frozenset(leaf.address for leaf in leaves(bound) if leaf.address)
    return own + recorded.slack(named) + _spacing(float(recorded.root.derivation.value), fmt) / 2


def _spacing(x: float, fmt: NumberFormat) -> float:
    exponent = max(math.frexp(x)[1] - 1, fmt.emin) if x else fmt.emin
    return math.ldexp(1.0, exponent - fmt.precision + 1)


def _bits(expr: Expr, inputs: Inputs, target: float, fmt: NumberFormat) -> str:
    """How the formula gives the recorded bits: exactly and rounded once, or rounded after each operation; empty where it
    does not."""
    truth = _exact(expr, inputs)
    if truth is not None and same(round_to(truth, fmt), target):
        exact = float(truth) == target and Fraction(target) == truth if isinstance(truth, Fraction) else False
        return "exact, nothing to round" if exact else f"computed exactly, then rounded once to {fmt.name}"
    widths = [fmt] if fmt.precision >= 24 else [fmt, number_format("float32")]
    for width in widths:
        for ways in ways_to_try(expr, width, ()):
            try:
                got = round_to(value_of(expr, inputs, ways), fmt)
            except (ValueError, ArithmeticError):
                continue
            if same(got, target):
                return _told(ways, expr, width, fmt)
    return ""


def _told(ways: Ways, expr: Expr, width: NumberFormat, fmt: NumberFormat) -> str:
    text = f"each operation rounded to {width.name}"
    if width is not fmt:
        text += f", the result to {fmt.name}"
    more = ways.describe(expr)
    return f"{text}; {more}" if more else text


def _exact(expr: Expr, inputs: Inputs) -> Any:
    try:
        return exact_value(expr, inputs)
    except (Undefined, KeyError):
        return None


def _mathematics(expr: Expr, inputs: Inputs, root: Derivation) -> str:
    """Where the formula is, without any rounding, the very number that the recorded equation is: what the verdict says of the
    one goes for the other."""
    if root.equation is None or root.evaluation is None or root.verdict.kind != "same bits":
        return ""
    mine, theirs = _exact(expr, inputs), _exact(root.equation, root.evaluation.inputs)
    if mine is None or theirs is None:
        return ""
    if not _equal(mine, theirs):
        return ""
    return f"the same mathematics as PyTorch's equation; evaluated as there: {root.verdict.how or 'in its order'}"


def _equal(a: Any, b: Any) -> bool:
    """Whether two exact values are one: fractions, or irrational numbers to fifty digits."""
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return a == b
    import mpmath

    with mpmath.workdps(60):
        x, y = (mpmath.mpf(v.numerator) / v.denominator if isinstance(v, Fraction) else v for v in (a, b))
        return bool(abs(x - y) <= abs(y) * mpmath.mpf(10) ** -50)


def _as_recorded(bound: Bound, recorded: Recorded) -> Bound | None:
    """The formula with each written number of three digits or more taken as the recorded number that rounds to it."""
    changed = False

    def read(each: Bound) -> Bound:
        nonlocal changed
        if not isinstance(each, Leaf):
            return replace(each, args=tuple(read(arg) for arg in each.args))
        if not _has_digits(each):
            return each
        assert each.exact is not None
        assert each.unit is not None
        for node in recorded.nodes[1:]:
            if _rounds(abs(node.value), each.exact, each.unit):
                changed = True
                return Leaf(
                    each.text, abs(node.value), "tensor", each.start, each.end, node.derivation.address, node.derivation
                )
        return each

    found = read(bound)
    return found if changed else None
