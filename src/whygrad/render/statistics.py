"""The statistics of tensors, drawn in a terminal."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text

from whygrad.render.terminal import Screen, aligned
from whygrad.view.statistics import StatisticsView

__all__ = ["draw_statistics"]


def draw_statistics(view: StatisticsView, screen: Screen) -> Text:
    """A row a tensor, its name on the left; columns that do not fit are named below."""
    if view.note:
        return Text(view.note)
    columns = [[row[i] for row in view.rows] for i in range(len(view.heads))]
    cells = [list(columns[0]), *(aligned([cell or None for cell in column]) for column in columns[1:])]
    widths = [
        max([cell_len(head), *(cell_len(c) for c in column)]) for head, column in zip(view.heads, cells, strict=True)
    ]
    fit, total = 1, widths[0]
    while fit < len(widths) and (total + widths[fit] + 2 <= screen.width or fit == 1):
        total += widths[fit] + 2
        fit += 1
    text = Text(f"step {view.step}; first and max are over {view.steps} steps\n", "dim")
    _row(list(view.heads[:fit]), widths, text, "bold")
    for number in range(len(view.rows)):
        _row([cells[i][number] for i in range(fit)], widths, text, "")
    if fit < len(view.heads):
        text.append(f"not shown for want of room: {', '.join(view.heads[fit:])}", "dim")
    text.rstrip()
    return text


def _row(cells: list[str], widths: list[int], text: Text, style: str) -> None:
    line = cells[0] + " " * (widths[0] - cell_len(cells[0]))
    for cell, width in zip(cells[1:], widths[1:], strict=False):
        line += "  " + " " * (width - cell_len(cell)) + cell
    text.append(line.rstrip() + "\n", style)
