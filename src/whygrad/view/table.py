"""The table of a run as finished strings: a row a step, each number the shortest that reads back in its
column's format."""

from __future__ import annotations

import csv
import difflib
import io
from dataclasses import dataclass
from typing import Any

from whygrad.errors import AddressError
from whygrad.trace.history import Column, History
from whygrad.view.numbers import number, typographic

__all__ = ["TableColumn", "TableView", "table_csv", "table_dict", "table_view"]

FIRST, LAST = 12, 6
"""Rows shown of a long table, from its start and from its end."""


@dataclass(frozen=True)
class TableColumn:
    """A column: its short name, its full name, its kind, and the address to ask for a cell's reason (`@step`
    to be added)."""

    short: str
    name: str
    kind: str
    format: str
    address: str


@dataclass(frozen=True)
class TableView:
    """`rows` hold one string per column, None where the step has no such number. Between row `gap` and the
    one after it `left_out` steps are not shown."""

    columns: tuple[TableColumn, ...]
    rows: tuple[tuple[str | None, ...], ...]
    gap: int | None
    left_out: int
    steps: int
    formats: tuple[str, ...]


def table_view(
    history: History, names: tuple[str, ...] | None = None, everything: bool = False, every: int | None = None
) -> TableView:
    """The rows to show: all of a short table or when `everything`, else the first and the last. `names`
    chooses columns, by full or short name; otherwise hyperparameters stand in it only where they change.
    `every` n: one row in n, and the last. Raises AddressError for a name that is no column."""
    columns = history.shown() if names is None else choose_columns(history, names)
    short = history.short_names()
    count = len(history.rows)
    cut = not everything and every is None and count > FIRST + LAST + 4
    shown = [*range(FIRST), *range(count - LAST, count)] if cut else list(range(count))
    if every is not None:
        shown = [i for i in shown if i % every == 0 or i == count - 1]
    rows = tuple(
        (str(history.steps[i]), *(_cell(history.rows[i].get(c.name), c.format) for c in columns)) for i in shown
    )
    heads = (
        TableColumn("step", "step", "step", "", ""),
        *(TableColumn(short[c.name], c.name, c.kind, c.format, c.address) for c in columns),
    )
    formats = tuple(dict.fromkeys(c.format for c in columns if c.kind != "hyperparameter"))
    return TableView(heads, rows, FIRST if cut else None, count - len(shown), count, formats)


def choose_columns(history: History, names: tuple[str, ...] | None) -> list[Column]:
    """The columns called `names`, in that order; all of them for None. Raises AddressError, naming the
    nearest."""
    if names is None:
        return list(history.columns)
    short = history.short_names()
    known = {c.name: c for c in history.columns} | {short[c.name]: c for c in history.columns}
    known |= {c.address: c for c in history.columns if c.address not in known}
    chosen: list[Column] = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else f"the columns are {', '.join(short.values())}."
            raise AddressError(f"no column {name!r} in the table: {hint}")
        chosen.append(known[name])
    return chosen


def _cell(value: float | None, fmt: str) -> str | None:
    return None if value is None else typographic(number(value, fmt))


def table_csv(history: History, names: tuple[str, ...] | None = None) -> str:
    """All rows as comma-separated values, with full column names and plain ASCII numbers."""
    columns = choose_columns(history, names)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["step", *(c.name for c in columns)])
    for step, row in zip(history.steps, history.rows, strict=True):
        cells = [row.get(c.name) for c in columns]
        values = ["" if v is None else number(v, c.format) for v, c in zip(cells, columns, strict=True)]
        writer.writerow([step, *values])
    return out.getvalue()


def table_dict(history: History, names: tuple[str, ...] | None = None) -> dict[str, Any]:
    """All rows as JSON's types; numbers are strings, as JSON would round them or refuse them (NaN)."""
    columns = choose_columns(history, names)
    return {
        "columns": [{"name": c.name, "kind": c.kind, "format": c.format, "address": c.address} for c in columns],
        "rows": [
            {
                "step": step,
                **{c.name: None if (v := row.get(c.name)) is None else number(v, c.format) for c in columns},
            }
            for step, row in zip(history.steps, history.rows, strict=True)
        ],
    }
