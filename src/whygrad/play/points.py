"""A learner's own points: rows of x1, x2 and label, pasted or from a file."""

from __future__ import annotations

import math
from typing import Any

MOST_POINTS = 2_000
MOST_CHARACTERS = 200_000
_FAR = 1e6

Points = tuple[tuple[float, ...], ...]


def parse_points(text: str) -> Points:
    """Points of CSV text: a row a point, three numbers separated by commas, semicolons, tabs or spaces; a first row of words
    is a heading, empty lines and lines that begin with # are passed over. Raises ValueError, naming the line."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"expected at most {MOST_CHARACTERS:,} characters, found {len(text):,}.")
    rows: list[list[float]] = []
    first = True
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip().lstrip("\ufeff")
        if not line or line.startswith("#"):
            continue
        cells = _cells(line)
        heading, first = first and not any(_is_number(each) for each in cells), False
        if heading:
            continue
        if len(cells) != 3 or not all(_is_number(each) for each in cells):
            raise ValueError(f"line {number}: expected three numbers x1, x2, label; found {line[:60]!a}.")
        rows.append([float(each) for each in cells])
    if not rows:
        raise ValueError(f"expected from 2 to {MOST_POINTS:,} points, found none.")
    return check_points(rows)


def check_points(rows: Any) -> Points:
    """Rows of three finite numbers, at least two and at most 2,000 of them. Raises ValueError."""
    if not isinstance(rows, list | tuple):
        raise ValueError(f"expected rows of x1, x2 and label, found {ascii(rows)[:60]}.")
    count = len(rows)  # pyright: ignore[reportUnknownArgumentType]
    if count > MOST_POINTS or count == 1:
        raise ValueError(f"expected from 2 to {MOST_POINTS:,} points, found {count:,}.")
    return tuple(_point(number, row) for number, row in enumerate(rows, 1))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _point(number: int, row: Any) -> tuple[float, ...]:
    cells: list[Any] = list(row) if isinstance(row, list | tuple) else []  # pyright: ignore[reportUnknownArgumentType]
    good = all(isinstance(each, int | float) and not isinstance(each, bool) and abs(each) <= _FAR for each in cells)
    if len(cells) != 3 or not good:
        raise ValueError(
            f"point {number}: expected three numbers x1, x2, label, none above {_FAR:g} in size; found {ascii(row)[:60]}."
        )
    return tuple(float(each) for each in cells)


def _cells(line: str) -> list[str]:
    for mark in (";", "\t", ","):
        if mark in line:
            # 1,5; 2,5: where something else parts the cells, a comma is a decimal point.
            return [each.strip().replace(",", "." if mark != "," else ",") for each in line.split(mark)]
    return line.split()


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
