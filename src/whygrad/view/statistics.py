"""The statistics of a run's parameter tensors as finished strings: a row a tensor for people, a row a step and tensor for
programs."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import Any

from whygrad.errors import AddressError
from whygrad.trace.statistics import ABSENT, KINDS, Statistics
from whygrad.view.numbers import about

__all__ = ["StatisticsView", "statistics_csv", "statistics_dict", "statistics_view"]

_HEADS = (
    "tensor",
    "grad norm",
    "update/weight",
    "lost",
    "non-finite",
    "grad norm first",
    "max",
    "update/weight max",
    "lost max",
)


@dataclass(frozen=True)
class StatisticsView:
    """The tensors at one step: `rows` hold one string per head, "" where a statistic is not defined. The last heads are of
    the whole run, which has `steps` rows. `note`: what is to be said instead of a table, "" where there is one."""

    step: int
    steps: int
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str


def statistics_view(found: Statistics, step: int | None = None) -> StatisticsView:
    """The tensors at `step` (None: the last), and over the run. Numbers to three digits, with ≈ where something was cut
    off. Raises AddressError where there is no such step."""
    if not found.steps:
        note = (
            "this run has no statistics of its tensors: no step was finished, or it was recorded by an older version."
        )
        return StatisticsView(-1, 0, _HEADS, (), note)
    row = found.rows[_place(found, step)]
    rows: list[tuple[str, ...]] = []
    for tensor in found.tensors:
        norm, ratio, lost, bad_grad, bad = row.get(tensor, (ABSENT,) * 5)
        norms = _known(found, tensor, "grad_norm")
        rows.append(
            (
                tensor, _short(norm), _short(ratio), _percent(lost), _bad(bad_grad, bad),
                _short(norms[0]) if norms else "", _most(norms), _most(_known(found, tensor, "update_ratio")),
                _percent(max(_known(found, tensor, "lost"), default=ABSENT)),
            )
        )  # fmt: skip
    return StatisticsView(found.steps[_place(found, step)], len(found.steps), _HEADS, tuple(rows), "")


def statistics_csv(found: Statistics, step: int | None = None) -> str:
    """A row a step and tensor (of `step` only, where it is given), as comma-separated values."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["step", "tensor", *KINDS])
    for number, tensor, cells in _long(found, step):
        writer.writerow([number, tensor, *("" if cell is None else cell for cell in cells)])
    return out.getvalue()


def statistics_dict(found: Statistics, step: int | None = None) -> dict[str, Any]:
    """The same as JSON's types; numbers are strings, as JSON would round them or refuse them (NaN)."""
    rows = _long(found, step)
    return {
        "columns": ["step", "tensor", *KINDS],
        "rows": [{"step": n, "tensor": t, **dict(zip(KINDS, cells, strict=True))} for n, t, cells in rows],
    }


def _long(found: Statistics, step: int | None) -> list[tuple[int, str, list[str | None]]]:
    places = range(len(found.steps)) if step is None else [_place(found, step)]
    return [
        (found.steps[i], tensor, [_plain(kind, x) for kind, x in zip(KINDS, found.rows[i][tensor], strict=True)])
        for i in places
        for tensor in found.tensors
        if tensor in found.rows[i]
    ]


def _place(found: Statistics, step: int | None) -> int:
    if step is None:
        return len(found.steps) - 1
    if step not in found.steps:
        span = f"{found.steps[0]} to {found.steps[-1]}" if found.steps else "none"
        raise AddressError(f"no step {step} in the table: its steps are {span}.")
    return found.steps.index(step)


def _known(found: Statistics, tensor: str, kind: str) -> list[float]:
    return [x for x in found.column(tensor, kind) if x is not None]


def _plain(kind: str, value: float) -> str | None:
    if value == ABSENT:
        return None
    return str(int(value)) if kind.startswith("nonfinite") else repr(value)


def _short(value: float) -> str:
    return "" if value == ABSENT else about(value)


def _most(values: list[float]) -> str:
    """The largest; NaN where one is NaN."""
    if not values:
        return ""
    return about(math.nan) if any(map(math.isnan, values)) else about(max(values))


def _percent(share: float) -> str:
    return "" if share == ABSENT else f"{about(100 * share) if share else 0} %"


def _bad(grad: float, weight: float) -> str:
    parts = [f"{int(n)} {what}" for n, what in ((grad, "grad"), (weight, "weight")) if n > 0]
    return ", ".join(parts) or "0"
