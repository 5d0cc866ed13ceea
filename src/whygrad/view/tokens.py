"""An equation's text cut into tokens: each number or name that is an operand by itself, so that it can be asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from whygrad.explain.derivation import Derivation
from whygrad.view.equation import Mark, numeric, symbolic

__all__ = ["Token", "joined", "numeric_tokens", "symbolic_tokens"]

Token: TypeAlias = "str | tuple[int, str]"
"""Text, or an operand's number and its text."""

_OPEN, _THEN, _CLOSE = "\ue000\ue001\ue002"
"""Private-use characters: no name, number or sign of the grammar holds one; a text that does stays whole."""
_MARKED = re.compile(f"{_OPEN}(\\d+){_THEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")


def symbolic_tokens(derivation: Derivation, plain: str | None = None) -> list[Token]:
    """`symbolic(derivation)` in tokens; the names of a long sum's running terms are no operands, so plain text.
    `plain`: that text, where it is known."""
    return _tokens(derivation, symbolic, plain)


def numeric_tokens(derivation: Derivation, plain: str | None = None) -> list[Token]:
    """`numeric(derivation)` in tokens; the factors of a long sum's terms are operands like all others. `plain`: that text,
    where it is known."""
    return _tokens(derivation, numeric, plain)


def joined(tokens: list[Token]) -> str:
    """The text that the tokens were cut from."""
    return "".join(token if isinstance(token, str) else token[1] for token in tokens)


def _tokens(derivation: Derivation, text: Callable[[Derivation, Mark], str], plain: str | None) -> list[Token]:
    plain = text(derivation, lambda _, name: name) if plain is None else plain
    if any(mark in plain for mark in (_OPEN, _THEN, _CLOSE)):
        return [plain]
    marked = text(derivation, lambda k, name: f"{_OPEN}{k}{_THEN}{name}{_CLOSE}" if name else name)
    found: list[Token] = []
    end = 0
    for match in _MARKED.finditer(marked):
        found += [marked[end : match.start()]] if match.start() > end else []
        found.append((int(match[1]), match[2]))
        end = match.end()
    return [*found, marked[end:]] if end < len(marked) else found
