"""An equation in the field's notation, with names and with numbers; the two have the same shape, so that
they align.

The text is built from pieces that carry how tightly they bind, so parentheses stand only where the reader
needs them. What counts as subtraction is decided from the equation and the names, never from the numbers: `a
− lr · g` reads the same whichever sign `g` has, and a negative number stands in parentheses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from whygrad.explain.derivation import Derivation, SumInfo, Term
from whygrad.rules.expr import (
    Bin,
    Call,
    Case,
    Dot,
    Drawn,
    Expr,
    Fma,
    In,
    Kernel,
    Neg,
    Num,
    Python,
    Round,
    Var,
    walk,
)
from whygrad.view.numbers import MINUS, about, number, typographic

__all__ = ["SUM", "Atoms", "Mark", "Piece", "because", "numeric", "symbolic", "unmarked", "write"]

Level = Literal[1, 2, 3, 4, 5]
SUM, PRODUCT, NEGATIVE, POWER, ATOM = 1, 2, 3, 4, 5

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_FUNCTIONS = {"rsqrt": "1/√", "sqrt": "√", "sigmoid": "σ"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Text, and how tightly its outermost operator binds (SUM … ATOM). `inside`: the text where it does not
    stand first, when that differs: `(−0.5) · x` for `−0.5 · x`."""

    text: str
    level: int = ATOM
    inside: str = ""


@dataclass(frozen=True, slots=True)
class Atoms:
    """What stands for the variables: `var(k)` for an operand, `num` for a constant, `drawn` for a random
    number, `dot` for a long sum without what it starts from; `negated(k)` tells that operand k is called
    `−something`, so that adding it is written as subtracting it without that sign: `bare(k)`."""

    var: Callable[[int], Piece]
    num: Callable[[Num], Piece]
    drawn: Callable[[Drawn], Piece]
    dot: Callable[[Dot], Piece]
    negated: Callable[[int], bool]
    bare: Callable[[int], Piece]


Mark: TypeAlias = Callable[[int, str], str]
"""Gives operand k's text with something around it that the grammar does not look at (`view.tokens`)."""


def unmarked(operand: int, text: str) -> str:
    """No mark: the text alone."""
    return text


def symbolic(derivation: Derivation, mark: Mark = unmarked) -> str:
    """The equation with names: `linear.weight − lr · ∂loss/∂linear.weight`; empty where there is none."""
    return "" if derivation.equation is None else write(derivation.equation, _names(derivation, mark)).text


def numeric(derivation: Derivation, mark: Mark = unmarked) -> str:
    """The equation with numbers, each the shortest decimal that reads back to its bits: `0.1807 − 0.1 ·
    (−0.9414)`."""
    return "" if derivation.equation is None else write(derivation.equation, _numbers(derivation, mark)).text


def because(derivation: Derivation) -> str:
    """Which branch was taken: `because x > 0; otherwise 0`; empty where the equation has none."""
    if derivation.equation is None:
        return ""
    found = [e for e in walk(derivation.equation) if isinstance(e, Case)]
    # A remark on the equation has nothing that would hold otherwise.
    return "; ".join(f"because {c.condition}; otherwise {c.otherwise}" if c.otherwise else c.condition for c in found)


# ---- the grammar


def write(expr: Expr, atoms: Atoms) -> Piece:
    """`expr` with `atoms` for its variables."""
    match expr:
        case Var(k):
            return atoms.var(k)
        case Num():
            return atoms.num(expr)
        case Dot():
            total = atoms.dot(expr)
            return total if expr.init is None else _plus(total, expr.init, atoms)
        case Case(_, inner, _) | Python(inner, _) | Kernel(_, _, inner) | In(_, inner):
            return write(inner, atoms)
        case Round(a, fmt):
            return Piece(f"{fmt}({write(a, atoms).text})")
        case Neg(a):
            return _negative(write(a, atoms))
        case Fma(a, b, c):
            return _fma(a, b, c, atoms)
        case Call(name, args, _):
            return _call(name, [write(arg, atoms) for arg in args])
        case Drawn():
            return atoms.drawn(expr)
        case Bin():
            return _binary(expr, atoms)


def _binary(expr: Bin, atoms: Atoms) -> Piece:
    match expr.op:
        case "+":
            return _plus(write(expr.a, atoms), expr.b, atoms)
        case "-":
            return _minus(write(expr.a, atoms), expr.b, atoms)
        case "*":
            return _times(expr.a, expr.b, atoms)
        case "/":
            over, under = write(expr.a, atoms), write(expr.b, atoms)
            if _is_one(expr.b):
                return over
            return _joined(over, "/", under)
        case "**":
            return _power(write(expr.a, atoms), expr.b, atoms)


def _plus(left: Piece, right: Expr, atoms: Atoms) -> Piece:
    flipped = _without_sign(right, atoms)
    if flipped is not None:
        return _minus(left, flipped, _unsigned(atoms))
    return Piece(f"{_wrap(left, SUM, first=True)} + {_wrap(write(right, atoms), PRODUCT)}", SUM)


def _minus(left: Piece, right: Expr, atoms: Atoms) -> Piece:
    return Piece(f"{_wrap(left, SUM, first=True)} {MINUS} {_wrap(write(right, atoms), PRODUCT)}", SUM)


def _times(a: Expr, b: Expr, atoms: Atoms) -> Piece:
    if _is_one(a):
        return write(b, atoms)
    if _is_one(b):
        return write(a, atoms)
    return _joined(write(a, atoms), "·", write(b, atoms))


def _joined(left: Piece, sign: str, right: Piece) -> Piece:
    """A product or quotient. The right side keeps its parentheses: a · (b · c) is rounded otherwise than (a
    · b) · c."""
    tail = f" {sign} {_wrap(right, POWER)}"
    return Piece(_wrap(left, PRODUCT, first=True) + tail, PRODUCT, _wrap(left, PRODUCT) + tail)


def _fma(a: Expr, b: Expr, c: Expr, atoms: Atoms) -> Piece:
    """A fused product whose factor has a sign is what is taken away from `c`, and stands after it."""
    product = Bin("*", a, b)
    if _without_sign(product, atoms) is not None:
        return _plus(write(c, atoms), product, atoms)
    return _plus(write(product, atoms), c, atoms)


def _power(base: Piece, exponent: Expr, atoms: Atoms) -> Piece:
    below = base.text if base.level > POWER and "/" not in base.text else f"({base.text})"
    if isinstance(exponent, Num) and not exponent.text and float(exponent.value).is_integer():
        return Piece(below + str(int(exponent.value)).translate(_SUPERSCRIPT), POWER)
    return Piece(f"{below}^{_wrap(write(exponent, atoms), ATOM)}", POWER)


def _call(name: str, args: list[Piece]) -> Piece:
    inside = ", ".join(arg.text for arg in args)
    if name == "abs":
        return Piece(f"|{inside}|")
    if name in ("sqrt", "rsqrt"):
        root = args[0].text if args[0].level == ATOM and "/" not in args[0].text else f"({inside})"
        return Piece(_FUNCTIONS[name] + root, POWER if name == "sqrt" else PRODUCT)
    return Piece(f"{_FUNCTIONS.get(name, name)}({inside})")


def _negative(piece: Piece) -> Piece:
    return Piece(MINUS + _wrap(piece, POWER), NEGATIVE)


def _wrap(piece: Piece, least: int, first: bool = False) -> str:
    """`piece`, in parentheses when it binds less tightly than `least`; a negative one needs none where it
    stands first."""
    if piece.level < least or (piece.level == NEGATIVE and not first):
        return f"({piece.text})"
    return piece.text if first else piece.inside or piece.text


# ---- signs that belong to the equation


def _is_one(expr: Expr) -> bool:
    return isinstance(expr, Num) and expr.value == 1 and not expr.text


def _without_sign(expr: Expr, atoms: Atoms) -> Expr | None:
    """`expr` without its leading minus, or None when it has none."""
    match expr:
        case Neg(a):
            return a
        case Python(a, _):
            return _without_sign(a, atoms)
        case Round(a, fmt):  # rounding is the same on both sides of zero
            inner = _without_sign(a, atoms)
            return None if inner is None else Round(inner, fmt)
        case In(fmt, a):
            inner = _without_sign(a, atoms)
            return None if inner is None else In(fmt, inner)
        case Num(value, "") if value < 0:
            return Num(-value)
        case Num(value, text) if text.startswith((MINUS, "-")):
            return Num(-value, text[1:])
        case Var(k) if atoms.negated(k):
            return expr
        case Bin("*" | "/" as op, a, b):
            inner = _without_sign(a, atoms)
            return None if inner is None else Bin(op, inner, b)
        case _:
            return None


def _unsigned(atoms: Atoms) -> Atoms:
    """Atoms for what was `−x`: an operand called `−lr`, of value −0.1, is written `lr` and 0.1."""

    def var(k: int) -> Piece:
        return atoms.bare(k) if atoms.negated(k) else atoms.var(k)

    return replace(atoms, var=var, negated=lambda _: False)


# ---- names and numbers


def _negated(derivation: Derivation) -> Callable[[int], bool]:
    return lambda k: k < len(derivation.operands) and derivation.operands[k].label.startswith((MINUS, "-"))


def _names(derivation: Derivation, mark: Mark = unmarked) -> Atoms:
    def num(constant: Num) -> Piece:
        return _name(constant.text) if constant.text else _constant(constant.value)

    def dot(expr: Dot) -> Piece:
        return _symbolic_sum(expr, derivation, mark)

    return _atoms(derivation, lambda k: _name(_label(derivation, k)), num, lambda drawn: _name(drawn.text), dot, mark)


def _numbers(derivation: Derivation, mark: Mark = unmarked) -> Atoms:
    def dot(expr: Dot) -> Piece:
        return _numeric_sum(expr, derivation, mark)

    def drawn(expr: Drawn) -> Piece:
        return _formatted(expr.value, derivation.format)

    def var(k: int) -> Piece:
        return _operand_number(derivation.operands[k])

    return _atoms(derivation, var, lambda constant: _constant(constant.value), drawn, dot, mark)


def _atoms(
    derivation: Derivation,
    var: Callable[[int], Piece],
    num: Callable[[Num], Piece],
    drawn: Callable[[Drawn], Piece],
    dot: Callable[[Dot], Piece],
    mark: Mark,
) -> Atoms:
    def bare(k: int) -> Piece:
        return Piece(mark(k, var(k).text.lstrip(MINUS + "-")))

    return Atoms(lambda k: _marked(var(k), k, mark), num, drawn, dot, _negated(derivation), bare)


def _marked(piece: Piece, k: int, mark: Mark) -> Piece:
    return replace(piece, text=mark(k, piece.text))


def _label(derivation: Derivation, k: int) -> str:
    return derivation.operands[k].label or derivation.operands[k].address


def _operand_number(operand: Derivation) -> Piece:
    return _formatted(operand.value, operand.format)


def _formatted(value: float | int | bool, fmt: str) -> Piece:
    text = typographic(number(value, fmt))
    return Piece(text, NEGATIVE if text.startswith(MINUS) else ATOM)


def _constant(value: float) -> Piece:
    whole = float(value).is_integer() and abs(value) < 2**53
    text = typographic(str(int(value)) if whole else repr(float(value)))
    return Piece(text, NEGATIVE if text.startswith(MINUS) else ATOM)


def _name(text: str) -> Piece:
    """A name is an atom unless it is itself a small formula, as `1 − β₁` and `1/n` are."""
    outside = _outside_brackets(text)
    if any(sign in outside for sign in (" + ", f" {MINUS} ", " - ")):
        return Piece(text, SUM)
    if text.startswith((MINUS, "-")):
        return Piece(MINUS + text[1:], NEGATIVE)
    if " · " in outside or ("/" in outside and "∂" not in outside) or "√" in outside:
        return Piece(text, PRODUCT)
    if "^" in outside:
        return Piece(text, POWER)
    return Piece(text)


def _outside_brackets(text: str) -> str:
    depth, kept = 0, ""
    for char in text:
        depth += (char in "([") - (char in ")]")
        kept += char if depth == 0 else ""
    return kept


# ---- long sums


def _symbolic_sum(dot: Dot, derivation: Derivation, mark: Mark) -> Piece:
    info = derivation.sum_of(dot)
    alone = False
    if info is None or not info.terms:
        labels = ["aᵢ"] if dot.b is None else ["aᵢ", "bᵢ"]
        labels += [f"{letter}ᵢ" for letter in "cdef"[: len(dot.more)]]
        pieces = [_name(label) for label in labels]
    elif info.count == 1:
        alone = True
        pieces = [_marked(_name(_label(derivation, k)), k, mark) for k in info.terms[0].factors]
    else:
        factors = [[_label(derivation, k) for k in t.factors] for t in info.terms]
        pieces = [_name(_running([f[i] for f in factors])) for i in range(len(factors[0]))]
    if dot.term is not None:
        body = write(dot.term, _inside(pieces, _names(derivation, mark), len(dot.more)))
    elif len(pieces) == 2 and pieces[0] == pieces[1] and not alone:
        body = _power(pieces[0], Num(2), _names(derivation, mark))
    else:
        body = _product(pieces)
    return body if alone else Piece(f"Σᵢ {_wrap(body, PRODUCT, first=True)}", SUM)


def _inside(series: list[Piece], atoms: Atoms, more: int = 0) -> Atoms:
    """Atoms for the inside of a sum, where Var(0) and Var(1) are the elements and the equation's own
    variables follow; Var(-1), Var(-2), … are the elements of `more` further series, last of `series`."""

    def var(k: int) -> Piece:
        if k < 0:
            return series[len(series) - more - k - 1]
        return series[min(k, len(series) - 1)] if k < 2 else atoms.var(k - 2)

    return replace(atoms, var=var, negated=lambda k: k >= 2 and atoms.negated(k - 2), bare=lambda k: atoms.bare(k - 2))


def _running(labels: list[str]) -> str:
    """`x[0,3]`, `x[0,7]` → `x[0,i]`: the index that differs between the terms is the one that runs. One term
    alone cannot tell; then the last index is taken."""
    suffix = labels[0].rpartition("]")[2]
    if suffix in (".real", ".imag") and all(label.endswith("]" + suffix) for label in labels):
        return _running([label.removesuffix(suffix) for label in labels]) + suffix
    heads = {label.rpartition("[")[0] for label in labels}
    if len(heads) != 1 or not all(label.endswith("]") for label in labels):
        return labels[0] if len(set(labels)) == 1 else "…"
    rows = [label.rpartition("[")[2][:-1].split(",") for label in labels]
    if len({len(row) for row in rows}) != 1:
        return labels[0]
    places = [p for p in range(len(rows[0])) if len({row[p] for row in rows}) > 1]
    if not places and len(labels) == 1:
        places = [len(rows[0]) - 1]
    letters = dict(zip(places, "ijkl", strict=False))
    return f"{heads.pop()}[{','.join(letters.get(p, text) for p, text in enumerate(rows[0]))}]"


def _numeric_sum(dot: Dot, derivation: Derivation, mark: Mark) -> Piece:
    info = derivation.sum_of(dot)
    if info is None or not info.terms:
        return Piece(f"(sum of {len(dot.a)} terms)")
    parts = [_numeric_term(dot, t, derivation, mark) for t in info.terms]
    if len(parts) == 1 and not info.rest_count:
        return parts[0]
    least = SUM if dot.term is None else PRODUCT
    text = " + ".join(_wrap(part, least, first=i == 0) for i, part in enumerate(parts))
    return Piece(text + (f" + ({_rest(info)})" if info.rest_count else ""), SUM)


def _numeric_term(dot: Dot, term: Term, derivation: Derivation, mark: Mark) -> Piece:
    factors = [_marked(_operand_number(derivation.operands[k]), k, mark) for k in term.factors]
    if dot.term is None:
        return _product(factors)
    return write(dot.term, _inside(factors, _numbers(derivation, mark), len(dot.more)))


def _rest(info: SumInfo) -> str:
    terms = "term" if info.rest_count == 1 else "terms"
    return f"{info.rest_count} more {terms}: {about(info.rest)}"


def _product(factors: list[Piece]) -> Piece:
    if len(factors) == 1:
        return factors[0]
    product = factors[0]
    for factor in factors[1:]:
        product = _joined(product, "·", factor)
    return product
