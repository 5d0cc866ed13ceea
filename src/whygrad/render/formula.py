"""A formula compared with a recorded number, drawn for a terminal and for a notebook."""

from __future__ import annotations

from html import escape

from rich.cells import cell_len
from rich.text import Text

from whygrad.render.html import fragment
from whygrad.render.terminal import Screen, plain_text
from whygrad.view.formula import FormulaView

__all__ = ["draw_formula", "formula_html", "formula_text"]

_MARKS = {"same": "✓", "digits": "✓", "near": "≈", "differs": "✗"}
_STYLES = {"same": "green", "digits": "green", "near": "yellow", "differs": "bold red"}


def formula_text(view: FormulaView, screen: Screen | None = None) -> str:
    """`draw_formula` without colours."""
    screen = screen or Screen()
    return plain_text(draw_formula(view, screen), screen)


def draw_formula(view: FormulaView, screen: Screen) -> Text:
    """The outcome; then, where it differs, what should stand there instead."""
    text = Text()
    _wrapped(view.heading, text, screen, "", "bold")
    _wrapped(f"{_MARKS[view.sign]} {view.words}", text, screen, "  ", _STYLES[view.sign])
    for sentence, where in zip(view.explained, view.where, strict=True):
        _wrapped(sentence, text, screen, "  ", "")
        if where:
            _wrapped(where, text, screen, "    ", "dim")
    if view.names:
        _wrapped(f"read: {'; '.join(view.names)}", text, screen, "  ", "dim")
    text.rstrip()
    return text


def _wrapped(words: str, text: Text, screen: Screen, indent: str, style: str) -> None:
    """Words in lines of the screen's width, cut at blanks; the lines of a paragraph begin at its indent."""
    line = indent
    for word in words.split(" "):
        if line.strip() and cell_len(line) + 1 + cell_len(word) > screen.width:
            text.append(line + "\n", style)
            line = indent
        line += word if line == indent else " " + word
    text.append(line + "\n", style)


def formula_html(view: FormulaView) -> str:
    """The same as an HTML fragment."""
    style = {"same": "same", "digits": "same", "near": "replayed", "differs": "differs"}[view.sign]
    lines = [
        f"<div><b>{escape(view.heading)}</b></div>",
        f'<div class="whygrad-{style}">{_MARKS[view.sign]} {escape(view.words)}</div>',
    ]
    for sentence, where in zip(view.explained, view.where, strict=True):
        lines.append(f'<div class="whygrad-body">{escape(sentence)}')
        lines.append(f'<div class="whygrad-dim">{escape(where)}</div></div>' if where else "</div>")
    if view.names:
        lines.append(f'<div class="whygrad-dim">read: {escape("; ".join(view.names))}</div>')
    return fragment("".join(lines))
