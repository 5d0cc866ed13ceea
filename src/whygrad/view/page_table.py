"""The table of a run for the page: all rows of a short one, a stated choice of a long one's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whygrad.trace.history import Column, History
from whygrad.view.numbers import number, typographic

__all__ = ["page_table"]


def page_table(history: History, most: int, prefer: Sequence[int] = (), columns: int | None = None) -> dict[str, Any]:
    """The `Table` of the page. Of more than `most` steps: the first and the last ones, `prefer`, and others evenly between.
    `columns`: at most so many."""
    shown = history.shown() if columns is None else history.shown()[:columns]
    short = history.short_names()
    count = len(history.steps)
    rows = range(count) if count <= most else _chosen(history.steps, most, prefer)
    return {
        "columns": [
            {"short": short[c.name], "name": c.name, "kind": c.kind, "format": c.format, "address": c.address}
            for c in shown
        ],
        "steps": [history.steps[i] for i in rows],
        "rows": [[_cell(history.rows[i].get(c.name), c) for c in shown] for i in rows],
        "total": count,
    }


def _chosen(steps: list[int], most: int, prefer: Sequence[int]) -> list[int]:
    count, ends = len(steps), most // 10
    wanted = set(prefer)
    found = {*range(ends), *range(count - ends, count)}
    found |= set([i for i, step in enumerate(steps) if step in wanted][: most // 2])
    free = most - len(found)
    found |= {round(k * (count - 1) / max(1, free - 1)) for k in range(free)}
    return sorted(found)


def _cell(value: float | None, column: Column) -> str | None:
    return None if value is None else typographic(number(value, column.format))
