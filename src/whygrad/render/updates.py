"""A number's way through the run, as text for a terminal."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text

from whygrad.render.terminal import Screen, aligned, draw_paragraphs, plain_text
from whygrad.view.updates import UpdatesView

__all__ = ["draw_updates", "updates_text"]

_HEADS = ("step", "after it", "moved by", "asked for", "lost to rounding", "")


def updates_text(view: UpdatesView, screen: Screen | None = None) -> str:
    """`draw_updates` without colours."""
    screen = screen or Screen()
    return plain_text(draw_updates(view, screen), screen)


def draw_updates(view: UpdatesView, screen: Screen) -> Text:
    """The sentences, then a line for each update."""
    text = draw_paragraphs(view.sentences, screen)
    if not view.rows:
        return text
    rows = [(row.step, row.after, row.moved, row.wanted, row.lost, row.note) for row in view.rows]
    columns = [aligned([row[i] for row in rows]) if 0 < i < 5 else [row[i] for row in rows] for i in range(6)]
    widths = [max(cell_len(cell) for cell in (head, *column)) for head, column in zip(_HEADS, columns, strict=True)]
    text.append("\n\n")
    _line(_HEADS, widths, text, "bold")
    for cells in zip(*columns, strict=True):
        _line(cells, widths, text, "")
    if view.left_out:
        text.append(f"{view.left_out} smaller updates are not shown (--all shows them)\n", "dim")
    text.rstrip()
    return text


def _line(cells: tuple[str, ...], widths: list[int], text: Text, style: str) -> None:
    *numbers, note = cells
    padded = [" " * (width - cell_len(cell)) + cell for cell, width in zip(numbers, widths, strict=False)]
    text.append("  ".join(padded), style)
    text.append(f"  {note}\n" if note else "\n", "yellow")
