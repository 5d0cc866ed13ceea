"""Statistics of each parameter tensor and step: how large its gradient was, how far the update moved it, what of the
update rounding took, what is not finite.

They describe many numbers at once, and so they have no why; each single element that they count has one. How they are
computed: `trace/statistics_sums.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from whygrad.trace.history import Column, History

__all__ = ["ABSENT", "KINDS", "Numbers", "Statistics", "from_history"]

KINDS = ("grad_norm", "update_ratio", "lost", "nonfinite_grad", "nonfinite")
"""`grad_norm`: the L2 norm of the gradient that the update used (after clipping, unscaling). `update_ratio`: the norm of
(weight after − weight before) ÷ the norm of the weight before. `lost`: elements whose gradient is not zero and which kept
their very bits ÷ elements whose gradient is not zero. `nonfinite_grad`, `nonfinite`: how many elements of the gradient, and
of the weight after the step, are infinite or NaN. A complex number is one element."""
ABSENT = -1.0
"""In place of a statistic that is not defined; none of them is negative (they may be NaN)."""
Numbers = tuple[float, float, float, float, float]
"""The statistics of one tensor at one step, in the order of `KINDS`."""


@dataclass
class Statistics:
    """Rows in the order of steps; `rows` hold a tuple of `KINDS` a tensor, and no entry for a tensor that the step neither
    had a gradient of nor updated."""

    tensors: list[str] = field(default_factory=list[str])
    steps: list[int] = field(default_factory=list[int])
    rows: list[dict[str, Numbers]] = field(default_factory=list[dict[str, Numbers]])

    def add(self, step: int, row: dict[str, Numbers]) -> None:
        """Append a step's row."""
        known = set(self.tensors)
        self.tensors += [name for name in row if name not in known]
        self.steps.append(step)
        self.rows.append(row)

    def column(self, tensor: str, kind: str) -> list[float | None]:
        """One statistic (of `KINDS`) of one tensor, a value a row; None where it is not defined."""
        place = KINDS.index(kind)
        return [None if (row := each.get(tensor)) is None or row[place] == ABSENT else row[place] for each in self.rows]

    def total(self, kind: str) -> list[float | None]:
        """One statistic over all parameters of a step: the norm of all gradients together for `grad_norm`, the sum of
        counts, and of `update_ratio` and `lost` the largest."""
        place = KINDS.index(kind)
        found: list[float | None] = []
        for row in self.rows:
            known = [numbers[place] for numbers in row.values() if numbers[place] != ABSENT]
            if not known:
                found.append(None)
            elif kind == "grad_norm":
                found.append(
                    math.sqrt(math.fsum(x * x for x in known)) if all(map(math.isfinite, known)) else sum(known)
                )
            else:
                found.append(sum(known) if kind.startswith("nonfinite") else max(known))
        return found

    def history(self) -> History:
        """The same as a table: columns `linear.weight.grad_norm` of kind `statistic`, whose address is the tensor's name."""
        columns = [
            Column(f"{name}.{kind}", "statistic", "int64" if kind.startswith("nonfinite") else "float64", name)
            for name in self.tensors
            for kind in KINDS
        ]
        rows: list[dict[str, float | None]] = [
            {
                f"{name}.{kind}": x
                for name, each in row.items()
                for kind, x in zip(KINDS, each, strict=True)
                if x != ABSENT
            }
            for row in self.rows
        ]
        return History(columns, self.steps, rows)


def from_history(table: History) -> Statistics:
    """The inverse of `Statistics.history`."""
    found = Statistics(list(dict.fromkeys(column.address for column in table.columns)))
    places = {c.name: (c.address, KINDS.index(c.name[len(c.address) + 1 :])) for c in table.columns}
    for step, cells in zip(table.steps, table.rows, strict=True):
        row: dict[str, list[float]] = {}
        for name, cell in cells.items():
            tensor, place = places[name]
            row.setdefault(tensor, [ABSENT] * len(KINDS))[place] = ABSENT if cell is None else cell
        found.steps.append(step)
        found.rows.append({name: (x[0], x[1], x[2], x[3], x[4]) for name, x in row.items()})
    return found
