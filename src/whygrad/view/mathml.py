"""An equation in presentation MathML, made from its text: what stands inside a `<math>` element."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from whygrad.view.latex import DIGITS, TOKEN

__all__ = ["mathml"]

_ENDS = frozenset(")]")
_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot hold, not even escaped."""
_MOST = 150
"""Brackets and roots of an equation that is set; one of more is a line of text."""
_APPLY = "<mo>&#x2061;</mo>"  # function application, which a screen reader reads as "of"


def mathml(text: str) -> str:
    """`w − lr · ∂loss/∂w` → `<mi>w</mi><mo>−</mo>…`: well-formed for any text, names escaped, no attributes."""
    if sum(text.count(sign) for sign in "([√") > _MOST:
        return f"<mtext>{_safe(text)}</mtext>"
    tokens = [(match.lastgroup or "other", match.group()) for match in TOKEN.finditer(text)]
    return "".join(_Reader(tokens).row(frozenset()))


class _Reader:
    """Reads tokens into elements, a group of brackets at a time."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens, self.at = tokens, 0

    def row(self, ends: frozenset[str]) -> list[str]:
        """The elements up to a token of `ends`, which is left to be read."""
        row: list[str] = []
        while self.at < len(self.tokens) and self.tokens[self.at][1] not in ends:
            kind, token = self.tokens[self.at]
            if kind == "power" and row:
                self.at += 1
                row.append(f"<msup>{row.pop()}<mn>{token.translate(DIGITS).replace('-', '−')}</mn></msup>")
            elif token == "^" and row:
                self.at += 1
                row.append(f"<msup>{row.pop()}{self.item()}</msup>")
            else:
                row += [item for item in [self.item()] if item]
        return row

    def item(self) -> str:
        """One element: an operand, a sign, or a whole group; empty for a space, `<mrow></mrow>` at the end."""
        if self.at >= len(self.tokens):
            return "<mrow></mrow>"
        kind, token = self.tokens[self.at]
        self.at += 1
        match kind, token:
            case "partial", _:
                above, below = token.split("/∂")
                return f"<mfrac>{_row(_partial(above[1:]))}{_row(_partial(below))}</mfrac>"
            case "power", _:
                return f"<mn>{token}</mn>"
            case "number", _:
                return _number(token)
            case "sum", _:
                return "<munder><mo>∑</mo><mi>i</mi></munder>"
            case "name", _:
                return self.name(token)
            case _, "√":
                return f"<msqrt>{self.root()}</msqrt>"
            case _, "(" | "[":
                return self.group(token)
            case _:
                return self.space() if token.isspace() else f"<mo>{_safe(token)}</mo>"

    def space(self) -> str:
        """Between two words, a space; beside a sign, none: MathML sets signs apart by itself."""
        around = self.tokens[max(self.at - 2, 0) : self.at + 1 : 2]
        words = len(around) == 2 and all(kind in ("name", "number") for kind, _ in around)
        return "<mtext>\u00a0</mtext>" if words else ""

    def name(self, token: str) -> str:
        called = self.at < len(self.tokens) and self.tokens[self.at][1] == "("
        if not called:
            return _row(_partial(token[1:])) if token.startswith("∂") else _name(token)
        self.at += 1
        return f"<mrow><mi>{_safe(token)}</mi>{_APPLY}{self.group('(')}</mrow>"

    def group(self, opening: str) -> str:
        """What follows an opening bracket, and its closing one where there is one."""
        inside = "".join(self.row(_ENDS))
        closing = self.tokens[self.at][1] if self.at < len(self.tokens) else ""
        self.at += bool(closing)
        return f"<mrow><mo>{opening}</mo>{inside}{f'<mo>{closing}</mo>' if closing else ''}</mrow>"

    def root(self) -> str:
        """What stands under a root, whose bar takes the place of brackets."""
        if self.at == len(self.tokens) or self.tokens[self.at][1] != "(":
            return self.item()
        self.at += 1
        inside = "".join(self.row(_ENDS))
        if self.at == len(self.tokens):
            return "<mo>(</mo>" + inside
        self.at += 1
        return inside


def _partial(name: str) -> str:
    return f"<mo>∂</mo>{_name(name)}"


def _row(inside: str) -> str:
    return f"<mrow>{inside}</mrow>"


def _name(text: str) -> str:
    """A name, its index as a subscript."""
    head, bracket, index = text.partition("[")
    name = f"<mi>{_safe(head)}</mi>"
    if not bracket:
        return name
    index, _, tail = index.rpartition("]")
    after = f"<mtext>{_safe(tail)}</mtext>" if tail else ""
    return f"<msub>{name}<mtext>{_safe(index)}</mtext></msub>{after}"


def _number(text: str) -> str:
    """`1e-05` as 1·10⁻⁵."""
    mantissa, e, power = text.partition("e")
    if not e:
        return f"<mn>{text}</mn>"
    sign = "−" if power.startswith("-") else ""
    exponent = f"{sign}{power.lstrip('+-').lstrip('0') or '0'}"
    return f"<mrow><mn>{mantissa}</mn><mo>·</mo><msup><mn>10</mn><mn>{exponent}</mn></msup></mrow>"


def _safe(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", escape(text))
