"""A derivation, and a table, as text for a terminal: coloured on a tty, plain elsewhere, ASCII where the encoding is
poor."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from whygrad.view.derivation import DerivationView, EquationView, VerdictView
from whygrad.view.lesson import FormatRow
from whygrad.view.table import TableView

__all__ = [
    "Screen",
    "aligned",
    "derivation_text",
    "draw_derivation",
    "draw_format_rows",
    "draw_heading",
    "draw_paragraphs",
    "draw_table",
    "plain_text",
    "screen_for",
    "show",
    "table_text",
]

_MARKS = {
    "same": ("✓", "green"),
    "replayed": ("≈", "yellow"),
    "opaque": ("?", "yellow"),
    "differs": ("✗", "bold red"),
    "given": ("", ""),
    "unasked": ("", ""),
}
# What replaces a character that the stream's encoding cannot write.
_ASCII = str.maketrans(
    {
        "−": "-", "·": "*", "✓": "[ok]", "≈": "~", "✗": "[X]", "…": "...", "∂": "d", "Σ": "sum", "√": "sqrt", "⁻": "^-",
        "²": "^2",
        "³": "^3", "¹": "^1", "⁰": "^0", "σ": "sigmoid", "β": "beta", "ε": "eps", "ᵢ": "_i", "₁": "1", "₂": "2",
        "×": "x",
        "←": "<-",
        "→": "->", "├": "|", "└": "`", "─": "-", "│": "|", "⋮": ":", "–": "-", "≤": "<=", "½": "1/2",
        "▸": ">", "ᵀ": "^T", "ᵗ": "^t",
    }
)  # fmt: skip
_NARROWEST = 40
_READABLE = 92


@dataclass(frozen=True)
class Screen:
    """What the text is drawn for: columns, whether colour is shown, whether only ASCII can be written."""

    width: int = 88
    colour: bool = False
    ascii: bool = False

    @property
    def dot(self) -> str:
        """Stands between words; in ASCII the dot of a product is a star, which would not do here."""
        return ", " if self.ascii else " · "


def screen_for(stream: TextIO) -> Screen:
    """The screen behind a stream. NO_COLOR and TERM=dumb turn colour off, COLUMNS sets the width; not on a tty the
    width is 100, so that what is written to a file does not depend on a window."""
    tty = stream.isatty()
    colour = tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) > 0 else 100
    if tty and not columns:
        try:
            width = os.get_terminal_size(stream.fileno()).columns or 100
        except OSError:
            width = 100
    return Screen(max(width, _NARROWEST), colour, not _can_write(stream))


def _can_write(stream: TextIO) -> bool:
    try:
        "−·✓≈∂Σ├└ᵢ".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def show(text: Text, stream: TextIO | None = None, screen: Screen | None = None) -> None:
    """Write `text`, whose lines are already as wide as they should be."""
    out = stream or sys.stdout
    screen = screen or screen_for(out)
    if not screen.colour:
        out.write(plain_text(text, screen) + "\n")
        return
    console = Console(
        file=out,
        force_terminal=True,
        highlight=False,
        soft_wrap=True,
        width=screen.width,
        legacy_windows=False,
    )
    console.print(text, soft_wrap=True)


def plain_text(text: Text, screen: Screen) -> str:
    """`text` without colours, and in ASCII where the screen wants that."""
    plain = "\n".join(line.rstrip() for line in text.plain.replace("\u00a0", " ").split("\n"))
    return plain.translate(_ASCII).encode("ascii", "backslashreplace").decode() if screen.ascii else plain


def derivation_text(view: DerivationView, screen: Screen | None = None) -> str:
    """`draw_derivation` without colours."""
    screen = screen or Screen()
    return plain_text(draw_derivation(view, screen), screen)


def table_text(view: TableView, screen: Screen | None = None) -> str:
    """`draw_table` without colours."""
    screen = screen or Screen()
    return plain_text(draw_table(view, screen), screen)


# ---- a derivation


def draw_derivation(view: DerivationView, screen: Screen) -> Text:
    """The tree: under each number its equation, with names and with numbers, what was checked, and where it came
    from."""
    text = Text()
    _node(view, text, screen, "", "")
    if _any_more(view):
        text.append("\n")
        _wrapped("▸ can be asked further: by its address, or with a greater depth", text, screen, "", "dim")
    text.rstrip()
    return text


def _node(view: DerivationView, text: Text, screen: Screen, first: str, rest: str) -> None:
    shown = _heading(view, text, screen, first)
    body = rest + ("│ " if view.children else "  ")
    if view.role == "hyperparameter" and view.verdict.sign == "given" and view.verdict.words not in shown:
        _wrapped(view.verdict.words, text, screen, body, "dim")  # who set it, where the heading had no room
    if not view.seen:
        if view.equation is not None:
            _equation(view.equation, text, screen, body)
        _verdict(view, text, screen, body)
        for note in view.notes:
            _wrapped(note, text, screen, body, "dim")
    last = len(view.children) - 1
    for i, child in enumerate(view.children):
        text.append(rest + "│\n" if _is_tall(child) or (i and _is_tall(view.children[i - 1])) else "", "dim")
        _node(
            child,
            text,
            screen,
            rest + ("└─ " if i == last else "├─ "),
            rest + ("   " if i == last else "│  "),
        )


def _any_more(view: DerivationView) -> bool:
    return view.more or any(_any_more(child) for child in view.children)


def _is_tall(view: DerivationView) -> bool:
    return not view.seen and (view.equation is not None or bool(view.children))


def _heading(view: DerivationView, text: Text, screen: Screen, indent: str) -> str:
    """The line of a number; gives what stands after the number."""
    text.append(indent, "dim")
    text.append(view.address, "bold cyan")
    text.append(" = ")
    text.append(view.value, "bold")
    room = screen.width - cell_len(indent + view.heading) - 2
    about = _about(view, screen, room)
    text.append(f"  {about}\n", "dim")
    return about


def _about(view: DerivationView, screen: Screen, room: int) -> str:
    """What stands after a number: its role, as fully as there is room for."""
    if view.seen:
        return "← see above"
    given = f"{screen.dot}{view.verdict.words}" if view.verdict.sign == "given" else ""
    more = " ▸" if view.more else ""
    plain = view.role.partition(":")[0]
    choices = (view.role + given + more, plain + given + more, plain + more, more.strip())
    return next((words for words in choices if cell_len(words) <= room), choices[-1])


def _equation(equation: EquationView, text: Text, screen: Screen, indent: str) -> None:
    """`left = symbolic`, and under its equals sign `= numeric` and `= result`."""
    room = max(screen.width - cell_len(indent), _NARROWEST)
    left = equation.left if cell_len(equation.left) * 2 < room else ""
    pad = " " * cell_len(left)
    lines = equation.lines
    for number, line in enumerate(lines):
        last = number == len(lines) - 1
        for part, piece in enumerate(_break_sum(line, room - cell_len(left) - 3)):
            text.append(indent, "dim")
            text.append(left if number == part == 0 else pad, "cyan")
            text.append(" = " if part == 0 else "   ", "dim")
            text.append(piece + "\n", "bold" if last else "")
    if equation.note:
        _wrapped(equation.note, text, screen, indent + pad + "   ", "dim")


def _verdict(view: DerivationView, text: Text, screen: Screen, indent: str) -> None:
    verdict = view.verdict
    mark, style = _MARKS[verdict.sign]
    checked = [f"{verdict.words} {mark}"] if mark else []
    parts = [*checked, *(part for part in (verdict.rounding, *view.where) if part)]
    for number, line in enumerate(_join(parts, screen.width - cell_len(indent), screen.dot)):
        text.append(indent, "dim")
        shown = checked[0] if checked and number == 0 else ""
        text.append(shown, style)
        text.append(line[len(shown) :] + "\n", "dim")
    _reasons(verdict, text, screen, indent)


def _reasons(verdict: VerdictView, text: Text, screen: Screen, indent: str) -> None:
    if verdict.how:
        _wrapped(verdict.how, text, screen, indent, "dim")
    if verdict.reason:
        _wrapped(verdict.reason, text, screen, indent, "bold red" if verdict.sign == "differs" else "dim")


def _wrapped(words: str, text: Text, screen: Screen, indent: str, style: str) -> None:
    for line in _break(words, screen.width - cell_len(indent)):
        text.append(indent, "dim")
        text.append(line + "\n", style)


def _break(line: str, width: int) -> list[str]:
    """`line` in pieces of at most `width` cells, cut at spaces; a word that is too long stays whole."""
    width = max(width, 16)
    pieces: list[str] = []
    for word in line.split(" "):
        if pieces and cell_len(pieces[-1]) + 1 + cell_len(word) <= width:
            pieces[-1] += " " + word
        else:
            pieces.append(word)
    return pieces


def _break_sum(line: str, width: int) -> list[str]:
    """An equation in pieces, cut before its + and − signs where that is enough."""
    pieces: list[str] = []
    for term in re.split(r" (?=[+−] )", line):
        if pieces and cell_len(pieces[-1]) + 1 + cell_len(term) <= width:
            pieces[-1] += " " + term
        else:
            pieces += _break(term, width)
    return pieces


def _join(parts: list[str], width: int, dot: str) -> list[str]:
    """Parts with `dot` between them, on as few lines as they need."""
    lines: list[str] = []
    for part in parts:
        if lines and cell_len(lines[-1] + dot + part) <= width:
            lines[-1] += dot + part
        else:
            lines.append(part)
    return lines


# ---- sentences


def draw_paragraphs(paragraphs: Sequence[str], screen: Screen, tight: bool = False) -> Text:
    """Paragraphs, broken at the screen's width (at most 92 columns: longer lines are hard to read). `tight`: lines of
    their own, neither broken nor apart."""
    text = Text()
    narrow = Screen(min(screen.width, _READABLE), screen.colour, screen.ascii)
    for number, paragraph in enumerate(paragraphs):
        text.append("\n" if number and not tight else "")
        if tight:
            text.append(f"  {paragraph}\n")
        else:
            _wrapped(paragraph, text, narrow, "", "")
    text.rstrip()
    return text


def draw_heading(title: str, words: str) -> Text:
    """A heading, and in a few words what follows."""
    return Text.assemble((title, "bold"), (f" · {words}", "dim"))


def draw_format_rows(rows: Sequence[FormatRow], screen: Screen) -> Text:
    """How the same training went in several number formats."""
    cells = [("format", "steps until the loss is exactly 0", "updates lost on the way")]
    cells += [(row.format, row.steps, row.lost) for row in rows]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(3)]
    text = Text()
    for number, row in enumerate(cells):
        line = "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        text.append(line.rstrip() + "\n", "bold" if number == 0 else "")
    text.rstrip()
    return text


# ---- a table


def draw_table(view: TableView, screen: Screen) -> Text:
    """The table, its numbers aligned at the decimal point. Columns that do not fit are named below it."""
    columns = [[row[i] for row in view.rows] for i in range(len(view.columns))]
    cells = [aligned(column) for column in columns]
    heads = [column.short for column in view.columns]
    widths = [max([cell_len(head), *(cell_len(c) for c in column)]) for head, column in zip(heads, cells, strict=True)]
    fit = _fitting(widths, screen.width)
    text = Text()
    _row([heads[i] for i in range(fit)], widths, text, "bold", "")
    for number in range(len(view.rows)):
        if view.gap == number:
            text.append(f"{'⋮':>{widths[0]}}  {view.left_out} steps not shown (--all shows them)\n", "dim")
        _row([cells[i][number] for i in range(fit)], widths, text, "", "cyan")
    if fit < len(heads):
        hidden = ", ".join(heads[fit:])
        _wrapped(f"not shown for want of room: {hidden} (--columns chooses)", text, screen, "", "dim")
    text.rstrip()
    return text


def _row(cells: list[str], widths: list[int], text: Text, style: str, first: str) -> None:
    for i, cell in enumerate(cells):
        text.append(("  " if i else "") + " " * (widths[i] - cell_len(cell)))
        text.append(cell, style or (first if i == 0 else ""))
    text.append("\n")


def _fitting(widths: list[int], room: int) -> int:
    total, fit = -2, 0
    for width in widths:
        total += width + 2
        if total > room and fit > 1:
            break
        fit += 1
    return fit


def aligned(column: list[str | None]) -> list[str]:
    """Cells padded on the right, so that the decimal points stand below each other when set flush right."""
    cells = [cell or "" for cell in column]
    tails = [cell_len(_tail(cell)) for cell in cells]
    longest = max((tail for cell, tail in zip(cells, tails, strict=True) if cell), default=0)
    return [cell + " " * (longest - tail) if cell else "" for cell, tail in zip(cells, tails, strict=True)]


def _tail(cell: str) -> str:
    return cell[cell.index(".") :] if "." in cell else ""
