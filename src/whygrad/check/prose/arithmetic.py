"""Arithmetic in prose: equations between numbers, found in a sentence and computed again.

`1.5 · 0.3015 + 0.25 = 0.7023`, `(1-0.7023)^2 ≈ 0.0886`, `\\frac{1}{4} \\cdot 0.5 = 0.125`, `0.1 times 0.5 is 0.05`. What stands
right of the first sign must be what the left gives, to the digits shown: with the numbers as written, or with what they may
be the rounding of.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from whygrad.check.grammar import Binary, Function, Name, Negative, Node, Number, literal, parse, walk
from whygrad.errors import FormulaError

__all__ = ["Equation", "definitions_in", "equations", "evaluate"]

_SIGN = re.compile(r"(?<![<>!=:])=(?!=)|≈|≃|\\approx\b|\\simeq\b")
_SIGNS = (("multiplied by|times", "*"), ("divided by", "/"), ("plus", "+"), ("minus", "-"))
_WORDS = (
    *((re.compile(rf"(?:(?<=[\d)] )|(?<=[\d)]  ))(?:{words})\b(?=\s+[\w(−-])"), sign) for words, sign in _SIGNS),
    (re.compile(r"(?<=[\d)]) squared\b"), "^2"),
)
_IS = re.compile(
    r"\b(?:is|gives|makes|equals|yields|comes to|comes out as|which is|that is)\b(?: about| just| exactly| roughly)?"
)
_STOP = re.compile(r"[;:?!]|,\s|\.\s|\.$|\band\b|\bso\b|\bor\b|\bwhere\b|\bwith\b")
_OPENS = re.compile(r"(?:[+*/·×⋅^(\[{∂]|(?<![–—])[−-])\s*$|[\w.]$")
_CLOSES = re.compile(r"^\s*(?:[+*/·×⋅^]|[−-]\s*[\w(\\]|[(\\\w](?<=[\w(])(?=\())|^[\w.]*\w")
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "tanh": math.tanh, "exp": math.exp, "log": math.log, "log2": math.log2, "log10": math.log10, "sqrt": math.sqrt,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)), "relu": lambda x: max(x, 0.0), "abs": abs, "sin": math.sin, "cos": math.cos,
    "erf": math.erf, "softplus": lambda x: math.log1p(math.exp(x)), "sign": lambda x: math.copysign(1.0, x) if x else 0.0,
    "max": max, "min": min,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an equation: its nodes and its span in the text; `exact` what it comes to, `slack` how far that may move
    with the digits that its numbers were rounded to, `unit` the worth of its last digit where it is one number."""

    node: Node
    start: int
    end: int
    exact: Fraction
    slack: Fraction
    unit: Fraction | None


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides that are said to be equal. `comes_out`: whether they are, to the digits shown."""

    left: Side
    right: Side
    comes_out: bool
    operations: int


def equations(text: str, known: Mapping[str, Fraction]) -> list[Equation]:
    """The equations of a text whose both sides can be computed; `known`: names that have a value."""
    plain = _plain(text)
    signs = [(m.start(), m.end(), True) for m in _SIGN.finditer(plain)]
    signs += [(m.start(), m.end(), False) for m in _IS.finditer(plain)]
    signs.sort()
    found: list[Equation] = []
    last: Side | None = None
    for place, (start, end, written) in enumerate(signs):
        floor = signs[place - 1][1] if place else 0
        ceiling = signs[place + 1][0] if place + 1 < len(signs) else len(plain)
        left = _suffix(plain, floor, start, known)
        if left is None and last is not None and not plain[last.end : start].strip():
            left = last
        right = _prefix(plain, end, ceiling, known, place + 1 < len(signs) and signs[place + 1][2])
        last = right
        if left is None or right is None or (literal(left.node) is not None and literal(right.node) is not None):
            if left is not None and right is not None and place and found and found[-1].right.end == left.end:
                found.append(_compared(found[-1].left, right))
            continue
        if written or literal(left.node) is None:
            found.append(_compared(left, right))
    return found


def _compared(left: Side, right: Side) -> Equation:
    gap = abs(left.exact - right.exact)
    room = (right.unit / 2 if right.unit is not None else Fraction(0)) + (left.unit / 2 if left.unit is not None else 0)
    room += left.slack + (right.slack if right.unit is None else 0)
    if right.unit is None and left.unit is None:
        room += max(abs(left.exact), abs(right.exact)) / 10**12
    # A result that was computed from more digits than are shown may end half a unit further off.
    return Equation(left, right, gap <= room * Fraction(1_000_001, 1_000_000), len(walk(left.node)))


def definitions_in(text: str) -> list[tuple[str, Fraction, int]]:
    """`let n = 4`, `x = 0.5`: names that a text gives a number, and where the number begins."""
    plain = _plain(text)
    found: list[tuple[str, Fraction, int]] = []
    for match in re.finditer(r"(?<![\w.\]\\})/·*^])\s*(\\?[A-Za-zα-ω]\w{0,20}(?:_\{?\w+\}?)?)\s*(?:=|:=|←)\s*", plain):
        side = _prefix(plain, match.end(), len(plain), {}, False)
        if side is not None and literal(side.node) is not None and "." not in match[1]:
            found.append((match[1].lstrip("\\").replace("{", "").replace("}", ""), side.exact, side.start))
    return found


def _plain(text: str) -> str:
    """The text with what LaTeX and words say written in signs, every character in its place."""
    for pattern, sign in _WORDS:
        text = pattern.sub(lambda m, s=sign: s.ljust(len(m[0])), text)
    text = re.sub(r"\\(?:begin|end)\{\w+\*?\}", lambda m: " " * len(m[0]), text)
    return text.replace("\\\\", " ;").replace("&", " ").replace("`", " ").replace("\\,", "  ").replace("\\;", "  ")


def _suffix(text: str, floor: int, end: int, known: Mapping[str, Fraction]) -> Side | None:
    """The longest formula that ends where a sign stands and can be computed."""
    start = floor
    for match in _STOP.finditer(text, floor, end):
        start = match.end()
    starts = [m.start() for m in re.finditer(r"(?<![\w.])[\w(√\\|−.-]", text[start:end])]
    for offset in starts[-40:]:
        at = start + offset
        if _OPENS.search(text[start:at]) and not _word_ends(text[start:at]):
            continue
        side = _side(text, at, end, known)
        if side is not None:
            return side
    return None


def _word_ends(before: str) -> bool:
    """Whether a plain word, no name of a factor, stands before a place: `the loss is (1 − …`."""
    word = re.search(r"([A-Za-z]{2,})\s+$", before)
    return word is not None and word[1] not in _FUNCTIONS


def _prefix(text: str, start: int, ceiling: int, known: Mapping[str, Fraction], chained: bool) -> Side | None:
    """The longest formula that begins where a sign ends and can be computed."""
    stop = _STOP.search(text, start, ceiling)
    end = stop.start() if stop else ceiling
    ends = sorted(
        {end, *(m.end() for m in re.finditer(r"[\w)%}⁰¹²³⁴-⁹](?!\w)", text[start:end]) for m in [m])}, reverse=True
    )
    ends = [
        end,
        *sorted((start + m.end() for m in re.finditer(r"[\w)%}⁰¹²³⁴-⁹](?!\w)", text[start:end])), reverse=True),
    ]
    for at in ends[:40]:
        rest = text[at : min(len(text), at + 12)]
        if _continues(rest) and not (chained and at == end):
            continue
        side = _side(text, start, at, known)
        if side is not None:
            return side
    return None


def _continues(rest: str) -> bool:
    """Whether what follows belongs to the same formula."""
    return bool(re.match(r"\s*(?:[+*/·×⋅^]|−|-\s*[\w(\\])|\.\d|\w|\s*\\(?:cdot|times|frac)|\s*\(\d", rest))


def _side(text: str, start: int, end: int, known: Mapping[str, Fraction]) -> Side | None:
    raw = text[start:end]
    stripped = raw.strip()
    if not stripped or not re.search(r"\d", stripped) or len(stripped) > 400:
        return None
    start += len(raw) - len(raw.lstrip())
    try:
        node = parse(stripped)
        exact = evaluate(node, known)
        alone = literal(node)
        slack = Fraction(0) if alone is not None else _slack(node, known, exact)
    except (FormulaError, ZeroDivisionError, OverflowError, ValueError, KeyError):
        return None
    return Side(node, start, start + len(stripped), exact, slack, alone[1] if alone is not None else None)


def evaluate(
    node: Node, known: Mapping[str, Fraction], moved: Number | None = None, by: Fraction = Fraction(0)
) -> Fraction:
    """What a formula of numbers comes to: exactly, elementary functions aside. Raises KeyError for a name that has no value,
    ValueError or ZeroDivisionError where it has none."""
    match node:
        case Number(value=value):
            return value + (by if node is moved else 0)
        case Name(text=text):
            return known[text]
        case Negative(a):
            return -evaluate(a, known, moved, by)
        case Binary(op, a, b):
            return _operated(op, evaluate(a, known, moved, by), evaluate(b, known, moved, by))
        case Function(name, args):
            return Fraction(_FUNCTIONS[name](*(float(evaluate(each, known, moved, by)) for each in args)))
        case _:
            raise KeyError(node)


def _operated(op: str, a: Fraction, b: Fraction) -> Fraction:
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "/":
            return a / b
        case _:
            if b.denominator == 1 and abs(b) <= 1100:
                return a ** int(b)
            if a < 0:
                raise ValueError("a power of a negative number")
            return Fraction(float(a) ** float(b))


def _slack(node: Node, known: Mapping[str, Fraction], exact: Fraction) -> Fraction:
    """How far the result moves when each number of three digits or more is moved by half of its last digit."""
    total = Fraction(0)
    for each in walk(node):
        if isinstance(each, Number) and _rounded(each):
            total += abs(evaluate(node, known, each, each.unit / 2) - exact)
    return total


def _rounded(number: Number) -> bool:
    digits = re.sub(r"[eE].*|\D", "", number.text).lstrip("0")
    return len(digits) >= 3 and "." in number.text
