"""A part written otherwise: another function of the same, or a power moved: the square of a mean for the mean of squares,
`a² − b²` for `(a − b)²`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from whygrad.check.bound import Bound, Leaf, Op, apply, value

_FUNCTIONS = ("tanh", "sigmoid", "relu", "exp", "log", "sqrt", "abs")
"""Functions of one argument that are taken for each other."""


@dataclass(frozen=True)
class Rewritten:
    """What was changed, the value that this gives, and how it is written."""

    kind: Literal["function", "power"]
    value: float
    text: str


def rewritten(bound: Bound, formula: str) -> Iterator[Rewritten]:
    """A part of the formula with another function, or with its power moved in or out."""
    if not isinstance(bound, Op):
        return
    if bound.name == "**":
        yield from _power_inside(bound, formula)
        return
    if bound.name in _FUNCTIONS:
        inner = bound.args[0]
        text = formula[inner.start : inner.end]
        for other in _FUNCTIONS:
            if other != bound.name:
                found = apply(other, [value(inner)])
                yield Rewritten("function", found, f"{other}{text if enclosed(text) else f'({text})'}")
    yield from _power_outside(bound, formula)


def _power_inside(bound: Op, formula: str) -> Iterator[Rewritten]:
    """`f(a, b)ᵏ` as `f(aᵏ, bᵏ)`; f is a sum or mean over examples, a sum, or a function."""
    base, exponent = bound.args
    if not isinstance(base, Op) or (base.name in ("*", "/", "neg", "**") and not _is_mean(base)):
        return
    inner, power = arguments(base), value(exponent)
    found = value(base, {id(each): apply("**", [value(each), power]) for each in inner})
    raised = _raised(exponent, formula)
    yield Rewritten("power", found, _spliced(base, inner, formula, lambda each: f"{_atom(each, formula)}{raised}"))


def _power_outside(bound: Op, formula: str) -> Iterator[Rewritten]:
    """`f(aᵏ, bᵏ)` as `f(a, b)ᵏ`."""
    inner = [] if bound.name in ("*", "neg") else arguments(bound)
    powers = [each for each in inner if isinstance(each, Op) and each.name == "**"]
    if not powers or len(powers) < len(inner) or len({value(each.args[1]) for each in powers}) != 1:
        return
    exponent = powers[0].args[1]
    base = value(bound, {id(each): value(each.args[0]) for each in powers})
    text = _spliced(bound, powers, formula, lambda each: _base(each, formula))
    raised = _raised(exponent, formula)
    yield Rewritten("power", apply("**", [base, value(exponent)]), f"{_closed(bound, text)}{raised}")


def enclosed(text: str) -> bool:
    """Whether one pair of brackets stands around the whole."""
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depth = 0
    for k, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if not depth:
            return k == len(text) - 1
    return False


def _is_mean(bound: Bound) -> bool:
    """Whether it is what `mean(…)` stands for: a sum over the examples, divided by how many there are."""
    if not isinstance(bound, Op) or bound.name != "/":
        return False
    count = bound.args[1]
    same = (count.start, count.end) == (bound.start, bound.end)
    return same and isinstance(count, Leaf) and count.source == "count"


def arguments(bound: Op) -> list[Bound]:
    """What a sum (or mean) over the examples adds up, what a function is of, the two sides of another sum."""
    if _is_mean(bound):
        inner = bound.args[0]
        mine = (bound.start, bound.end) == (inner.start, inner.end)
        return arguments(inner) if isinstance(inner, Op) and inner.name == "+" and mine else [inner]
    if bound.name == "/":
        return []
    first = bound.args[0]
    if bound.name == "+" and isinstance(first, Op) and (first.start, first.end) == (bound.start, bound.end):
        return [*arguments(first), bound.args[1]]
    return list(bound.args)


def _spliced(bound: Bound, inner: Sequence[Bound], formula: str, written: Callable[[Bound], str]) -> str:
    """The text of a part with its arguments written otherwise; those of all examples are one text."""
    found, at = "", bound.start
    for each in sorted({(i.start, i.end): i for i in inner}.values(), key=lambda i: i.start):
        found += formula[at : each.start] + written(each)
        at = each.end
    return found + formula[at : bound.end]


def _atom(bound: Bound, formula: str) -> str:
    text = formula[bound.start : bound.end]
    return text if isinstance(bound, Leaf) or enclosed(text) else f"({text})"


def _raised(exponent: Bound, formula: str) -> str:
    """`²` as it is, `^2`."""
    text = formula[exponent.start : exponent.end]
    return text if text[:1] in "⁰¹²³⁴⁵⁶⁷⁸⁹⁻" else f"^{text}"


def _base(bound: Bound, formula: str) -> str:
    """The base of a power, without brackets where it stands alone."""
    assert isinstance(bound, Op)
    base = bound.args[0]
    return formula[base.start : base.end]


def _closed(bound: Op, text: str) -> str:
    """A sum in brackets; what is called as a function needs none."""
    called = bound.name not in ("+", "-") or (
        text[:1].isalpha() and text.endswith(")") and enclosed(text[text.find("(") :])
    )
    return text if called or enclosed(text) else f"({text})"
