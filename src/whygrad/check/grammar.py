"""A formula as people write it → nodes. Nothing that is written is ever run.

`2*(prediction - target)/n * x`, `2·(ŷ − y)/n · x₀²`, `\\frac{2}{n}\\left(\\hat{y} - y\\right) \\cdot x^{2}` are the same to it. A
product's sign may be left out (`2(a − b)`), and stands as tightly as one that is written.

grammar:  sum = ["−"] product {("+" | "−") product};  product = factor {["·" | "/"] factor};
          factor = {"−"} power;  power = primary ["^" factor | superscript]
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from whygrad.check.nodes import (
    FUNCTIONS,
    SPELLINGS,
    Binary,
    Derivative,
    Function,
    Name,
    Negative,
    Node,
    Number,
    Operator,
    literal,
    parts,
    walk,
)  # fmt: skip
from whygrad.check.tokens import Token, tokens
from whygrad.errors import FormulaError

__all__ = [
    "Binary",
    "Derivative",
    "FormulaError",
    "Function",
    "Name",
    "Negative",
    "Node",
    "Number",
    "literal",
    "parse",
    "parts",
    "walk",
]  # fmt: skip

DEEPEST = 60
"""How deep brackets and signs may stand in each other."""
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def parse(formula: str) -> Node:
    """The nodes of a formula. Raises FormulaError, which points at its column."""
    return _Parser(formula).whole()


class _Parser:
    def __init__(self, formula: str) -> None:
        self.formula = formula
        self.tokens = tokens(formula)
        self.at, self.depth = 0, 0

    # ---- tokens

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def ends(self) -> bool:
        return self.next.kind == "end"

    def comma(self) -> bool:
        return self.next.kind == "comma"

    def take(self) -> Token:
        token = self.next
        self.at += 1
        return token

    def wrong(self, expected: str, token: Token | None = None) -> FormulaError:
        token = token or self.next
        found = "the formula ends" if token.kind == "end" else f"found {self.formula[token.start : token.end]!r}"
        return FormulaError(f"expected {expected}, {found}.", self.formula, token.start)

    def operator(self, *signs: str) -> bool:
        return self.next.kind == "operator" and self.next.text in signs

    # ---- the grammar

    def whole(self) -> Node:
        if self.next.kind == "end":
            raise FormulaError("expected a formula, found nothing.", self.formula, 0)
        node = self.sum()
        if not self.ends():
            raise self.wrong("an operator or the end")
        return node

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise FormulaError(f"brackets stand more than {DEEPEST} deep.", self.formula, self.next.start)
        start = self.next.start
        node = self.product()
        while self.operator("+", "-"):
            node = self.binary(self.take().text, node, self.product(), start)
        self.depth -= 1
        return node

    def product(self) -> Node:
        start = self.next.start
        node = self.factor()
        while True:
            if self.operator("*", "/"):
                node = self.binary(self.take().text, node, self.factor(), start)
            elif self.next.kind in ("name", "derivative", "frac") or (self.next.kind == "open"):
                node = self.binary("*", node, self.power(), start)
            elif self.next.kind == "number":
                raise self.wrong("an operator")
            else:
                return node

    @property
    def end(self) -> int:
        """Where the last token that was taken ends: behind the brackets around a name, too."""
        return self.tokens[self.at - 1].end

    def binary(self, sign: str, a: Node, b: Node, start: int) -> Node:
        op: Operator = {"+": "+", "-": "-", "*": "*", "/": "/"}[sign]  # pyright: ignore[reportAssignmentType]
        return Binary(op, a, b, start, self.end)

    def factor(self) -> Node:
        if self.operator("-", "+"):
            sign = self.take()
            self.depth += 1
            if self.depth > DEEPEST:
                raise FormulaError(f"signs stand more than {DEEPEST} deep.", self.formula, sign.start)
            inner = self.factor()
            self.depth -= 1
            return inner if sign.text == "+" else Negative(inner, sign.start, self.end)
        return self.power()

    def power(self) -> Node:
        start = self.next.start
        base = self.primary()
        if self.next.kind == "power" or self.operator("**"):
            exponent = self.exponent()
            return Binary("**", base, exponent, start, self.end)
        return base

    def exponent(self) -> Node:
        token = self.take()
        if token.kind != "power":
            return self.factor()
        if not re.fullmatch(r"[-+]?\d+", token.text):
            raise self.wrong("a number as exponent", token)
        digits = Number(token.text.lstrip("-+"), Fraction(token.text.lstrip("-+")), Fraction(1), token.start, token.end)
        return Negative(digits, token.start, token.end) if token.text.startswith("-") else digits

    def primary(self) -> Node:
        token = self.take()
        match token.kind:
            case "number":
                return self.number(token)
            case "name":
                return self.named(token)
            case "derivative":
                return self.derivative(token)
            case "frac":
                return self.fraction(token)
            case "open":
                inner = self.sum()
                return self.close(token, inner)
            case "bar":
                inner = self.sum()
                if self.next.kind != "bar":
                    raise self.wrong(f"'|', to match the one in column {token.start + 1}")
                return Function("abs", (inner,), token.start, self.take().end)
            case _:
                self.at -= 1
                raise self.wrong("a number, a name or '('")

    def close(self, opened: Token, inner: Node) -> Node:
        if self.next.kind != "close" or self.next.text != _CLOSING[opened.text]:
            raise self.wrong(f"{_CLOSING[opened.text]!r}, to match the {opened.text!r} in column {opened.start + 1}")
        end = self.take().end
        if isinstance(inner, Name | Number | Derivative):
            return inner
        return replace(inner, start=opened.start, end=end)

    def number(self, token: Token) -> Number:
        text = re.sub("[_\u2009\u202f]", "", token.text.rstrip("%")).replace("−", "-")
        if abs(int(re.split("[eE]", text)[1])) > 400 if re.search("[eE]", text) else False:
            raise FormulaError("a number's exponent may be at most 400.", self.formula, token.start)
        decimal = Decimal(text)
        exponent = int(decimal.as_tuple().exponent)
        scale = Fraction(1, 100) if token.text.endswith("%") else Fraction(1)
        unit = Fraction(10) ** exponent * scale
        return Number(token.text, Fraction(decimal) * scale, unit, token.start, token.end, token.text.endswith("%"))

    # ---- functions, derivatives, fractions

    def named(self, token: Token) -> Node:
        name = SPELLINGS.get(token.text, token.text)
        if name not in FUNCTIONS:
            return Name(token.text, token.start, token.end)
        if token.text in "Σ∑" or self.formula[token.start : token.end] == "\\sum":
            term = self.product()
            return Function("sum", (term,), token.start, self.end)
        follows = self.next
        called = follows.kind == "open"
        if not called and name in ("sigmoid", "sum", "mean", "min", "max", "sign") and follows.kind not in ("power",):
            if token.text == "σ":
                return Name(token.text, token.start, token.end)
            raise self.wrong(f"'(' after {token.text!r}")
        if follows.kind == "power" or self.operator("**"):
            exponent = self.exponent()
            inner = self.arguments(name, token)
            return Binary("**", inner, exponent, token.start, self.end)
        return self.arguments(name, token)

    def arguments(self, name: str, token: Token) -> Function:
        """`(a, b)`, or `x` for a function of one argument: `√v`, `\\tanh x`."""
        if self.next.kind != "open":
            if FUNCTIONS[name] != 1:
                raise self.wrong(f"'(' after {token.text!r}")
            inner = self.power()
            return Function(name, (inner,), token.start, self.end)
        opened = self.take()
        args = [self.sum()]
        while self.comma():
            self.take()
            args.append(self.sum())
        takes = FUNCTIONS[name]
        if takes and len(args) != takes:
            raise FormulaError(
                f"{token.text} takes {takes} argument, found {len(args)}.", self.formula, args[takes].start
            )
        self.close(opened, args[-1])
        return Function(name, tuple(args), token.start, self.end)

    def derivative(self, token: Token) -> Derivative:
        if token.pair != ("", ""):
            return Derivative(*token.pair, token.start, token.end)
        of = self.differential()
        if not self.operator("/"):
            raise self.wrong(f"'/∂', as in ∂{of.text}/∂w")
        self.take()
        if self.next.kind != "derivative":
            raise self.wrong("'∂'")
        self.take()
        by = self.differential()
        return Derivative(of.text, by.text, token.start, by.end)

    def differential(self) -> Token:
        if self.next.kind != "name":
            raise self.wrong("a name after '∂'")
        return self.take()

    def fraction(self, token: Token) -> Node:
        """`\\frac{a}{b}`, `\\frac{\\partial L}{\\partial w}`."""
        over = self.braced(token)
        if isinstance(over, Token):
            opened = self.open_brace(token)
            if self.next.kind != "derivative":
                raise self.wrong("'\\partial'")
            self.take()
            by = self.differential()
            self.close(opened, Name(by.text, by.start, by.end))
            return Derivative(over.text, by.text, token.start, self.tokens[self.at - 1].end)
        under = self.braced(token)
        if isinstance(under, Token):
            raise self.wrong("a formula below the line", under)
        return Binary("/", over, under, token.start, self.tokens[self.at - 1].end)

    def open_brace(self, token: Token) -> Token:
        if self.next.kind != "open" or self.next.text != "{":
            raise self.wrong(f"'{{' after '\\{token.text}'")
        return self.take()

    def braced(self, token: Token) -> Node | Token:
        """The formula in a pair of braces; the name of `{∂name}` as a token."""
        opened = self.open_brace(token)
        ahead = [each.kind for each in self.tokens[self.at : self.at + 3]]
        if ahead == ["derivative", "name", "close"]:
            self.take()
            name = self.take()
            self.close(opened, Name(name.text, name.start, name.end))
            return name
        return self.close(opened, self.sum())
