"""Texts of a printed program: names, numbers, comments, and Python's own arithmetic."""

from __future__ import annotations

import math
from keyword import iskeyword

from whygrad.explain.derivation import Derivation
from whygrad.floats import FORMATS
from whygrad.rules.expr import Bin, Call, Expr, Neg, Num, Python, Var
from whygrad.view.equation import symbolic
from whygrad.view.numbers import exact_text, hex_text, number

__all__ = [
    "GREEK",
    "TAKEN",
    "TAKEN_BY_SUMS",
    "bare",
    "comment_line",
    "distinct",
    "double_text",
    "first_line",
    "last_lines",
    "literal",
]

GREEK = str.maketrans({"∂": "d", "β": "beta", "ε": "eps", "λ": "lambda", "₁": "1", "₂": "2", "−": "minus_"})
TAKEN = frozenset({
    "np", "math", "torch", "result", "rounded", "Fraction", "f16", "f32", "f64", "lambda", "float", "abs", "max", "min",
})  # fmt: skip
TAKEN_BY_SUMS = TAKEN | {
    *"abcefklxyzuv",
    *FORMATS,
    "fma",
    "flushed",
    "halves",
    "neighbours",
    "add_up",
    "total",
    "terms",
    "order",
    "lanes",
    "vector",
    "running",
    "levels",
    "level",
    "range",
    "tuple",
    "zip",
    "isinstance",
    "items",
    "item",
    "part",
    "parts",
    "pairs",
    "len",
    "list",
    "round",
    "zero",
    "row",
}


def first_line(derivation: Derivation) -> str:
    """What the program computes, as a comment."""
    return f"# {derivation.address} = {comment_line(symbolic(derivation))}"


def last_lines(derivation: Derivation, expression: str) -> list[str]:
    """The statement that leaves the result, and the recorded number as a comment."""
    result = f"result = {expression}  # {number(derivation.value, derivation.format)}"
    bits = hex_text(derivation.value, derivation.format)
    return [result, *([f"# exactly {exact_text(derivation.value)}, bits {bits}"] if bits else [])]


def literal(value: float) -> str:
    """A float's text in a program; it reads back to the very number."""
    return repr(value) if math.isfinite(value) else f'float("{value!r}")'


def comment_line(text: str) -> str:
    """Text fit for a comment."""
    return " ".join(text.split())


def bare(text: str) -> str:
    """`text` without a pair of brackets around all of it."""
    if not text.startswith("(") or text.startswith("(-"):
        return text
    depth = 0
    for place, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return text[1:-1] if place == len(text) - 1 else text
    return text


def distinct(text: str, taken: set[str]) -> str:
    """`text`, numbered if it is taken, or Python's; it is taken from now on."""
    plain, count = text, 2
    while text in taken or iskeyword(text):
        text, count = f"{plain}_{count}", count + 1
    taken.add(text)
    return text


def double_text(expr: Expr, names: list[str]) -> str:
    """`expr` in Python's own numbers; empty for what has no such form."""
    match expr:
        case Var(k):
            return names[k]
        case Num(value, _):
            return str(int(value)) if float(value).is_integer() else repr(float(value))
        case Neg(a):
            return f"-{double_text(a, names)}"
        case Bin(op, a, b):
            return f"({double_text(a, names)} {op} {double_text(b, names)})"
        case Call("sqrt", (a,), _):
            return f"math.sqrt({double_text(a, names)})"
        case Python(a, _):
            return double_text(a, names)
        case _:
            return ""
