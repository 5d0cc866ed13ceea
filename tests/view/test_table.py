"""The table as strings, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest

from whygrad.errors import AddressError
from whygrad.floats import number_format, parse_decimal
from whygrad.trace.history import Column, History
from whygrad.view.table import table_csv, table_dict, table_view

LOSS = Column("loss", "loss", "float16", "loss")
WEIGHT = Column("linear.weight", "parameter", "float16", "linear.weight[0,0]")
GRAD = Column("linear.weight_grad", "gradient", "float16", "linear.weight[0,0].grad")
LR = Column("lr", "hyperparameter", "float64", "optimizer.lr")


def history(rows: int, rates: tuple[float, ...] = (0.1,)) -> History:
    table = History()
    for i in range(rows):
        table.add(i, [(LOSS, 0.2215576171875), (WEIGHT, -0.0866 / 2**i), (LR, rates[i % len(rates)])][i == 0 :])
    return table


def test_numbers_are_the_shortest_of_their_format() -> None:
    view = table_view(history(2))
    assert [c.short for c in view.columns] == ["step", "loss", "weight"]
    assert view.rows[1] == ("1", "0.2216", "−0.0433")
    assert view.rows[0][1] is None


def test_a_learning_rate_that_changes_is_shown() -> None:
    assert [c.short for c in table_view(history(4, (0.1, 0.2))).columns] == ["step", "loss", "weight", "lr"]
    assert [c.short for c in table_view(history(4)).columns] == ["step", "loss", "weight"]


def test_a_long_table_is_cut() -> None:
    view = table_view(history(100))
    assert (len(view.rows), view.gap, view.left_out, view.steps) == (18, 12, 82, 100)
    assert [row[0] for row in view.rows][10:14] == ["10", "11", "94", "95"]
    whole = table_view(history(100), everything=True)
    assert (len(whole.rows), whole.gap, whole.left_out) == (100, None, 0)
    assert [row[0] for row in table_view(history(100), every=40).rows] == ["0", "40", "80", "99"]


@pytest.mark.parametrize("name", ["weight", "linear.weight", "linear.weight[0,0]"])
def test_a_column_has_three_names(name: str) -> None:
    assert [c.name for c in table_view(history(2), (name,)).columns] == ["step", "linear.weight"]


def test_an_unknown_column_says_which_are_near() -> None:
    with pytest.raises(AddressError, match=r"did you mean .*weight"):
        table_view(history(2), ("wieght",))
    with pytest.raises(AddressError, match=r"the columns are loss, weight"):
        table_view(history(2), ("zzzzzz",))


def test_csv_reads_back_to_the_same_numbers() -> None:
    table = History()
    fmt = number_format("float16")
    values = [0.0866, 1e-7, -0.0, math.inf, math.nan, 65504.0]
    rounded = [parse_decimal(repr(v), fmt) for v in values]
    for i, value in enumerate(rounded):
        table.add(i, [(LOSS, value), (LR, 0.1)])
    rows = list(csv.DictReader(io.StringIO(table_csv(table))))
    read = [parse_decimal(row["loss"], fmt) for row in rows]
    assert [math.copysign(1, x) for x in read] == [math.copysign(1, x) for x in rounded]
    assert all(a == b or (a != a and b != b) for a, b in zip(read, rounded, strict=True))
    assert rows[0].keys() == {"step", "loss", "lr"}


def test_json_is_strict_and_has_every_column() -> None:
    table = history(2)
    table.add(2, [(LOSS, math.nan)])
    found = json.loads(json.dumps(table_dict(table), allow_nan=False))
    assert [c["name"] for c in found["columns"]] == ["loss", "linear.weight", "lr"]
    assert found["rows"][2] == {"step": 2, "loss": "nan", "linear.weight": None, "lr": None}
    assert found["rows"][1]["lr"] == "0.1"
