"""The statistics as strings, drawn, and as data."""

from __future__ import annotations

import math

import pytest
from rich.text import Text

from whygrad.errors import AddressError
from whygrad.render.statistics import draw_statistics
from whygrad.render.terminal import Screen
from whygrad.trace.statistics import ABSENT, Statistics, from_history
from whygrad.view.statistics import statistics_csv, statistics_dict, statistics_view


def some() -> Statistics:
    found = Statistics()
    found.add(0, {"fc.weight": (3.0, 0.001234567, 0.25, 0.0, 0.0)})
    found.add(1, {"fc.weight": (4.0, ABSENT, ABSENT, 2.0, 0.0), "fc.bias": (3.0, 0.5, 1.0, 0.0, 1.0)})
    return found


def test_a_row_a_tensor() -> None:
    view = statistics_view(some())
    assert view.step == 1 and view.steps == 2
    assert view.rows[0] == ("fc.weight", "4", "", "", "2 grad", "3", "4", "≈ 0.00123", "25 %")
    assert view.rows[1] == ("fc.bias", "3", "0.5", "100 %", "1 weight", "3", "3", "0.5", "100 %")
    assert statistics_view(some(), 0).rows[1][1:5] == ("", "", "", "0")


def test_no_such_step() -> None:
    with pytest.raises(AddressError, match="no step 7 in the table: its steps are 0 to 1"):
        statistics_view(some(), 7)


def test_nothing_to_show() -> None:
    assert "no statistics" in statistics_view(Statistics()).note


def test_all_digits_for_programs() -> None:
    lines = statistics_csv(some()).splitlines()
    assert lines[0] == "step,tensor,grad_norm,update_ratio,lost,nonfinite_grad,nonfinite"
    assert lines[1:] == ["0,fc.weight,3.0,0.001234567,0.25,0,0", "1,fc.weight,4.0,,,2,0", "1,fc.bias,3.0,0.5,1.0,0,1"]
    rows = statistics_dict(some(), 1)["rows"]
    assert [each["lost"] for each in rows] == [None, "1.0"]


@pytest.mark.parametrize("width", [20, 50, 80, 200])
def test_what_does_not_fit_is_named(width: int) -> None:
    view = statistics_view(some())
    text: Text = draw_statistics(view, Screen(width))
    assert all(head in text.plain for head in view.heads)
    assert all(len(line) <= max(width, 24) for line in text.plain.splitlines()[1:4])


def test_totals_and_the_way_to_a_table_and_back() -> None:
    found = some()
    assert found.total("grad_norm") == [3.0, 5.0]
    assert found.total("lost") == [0.25, 1.0] and found.total("nonfinite") == [0.0, 1.0]
    assert from_history(found.history()) == found
    found.add(2, {"fc.bias": (math.inf, 0.0, 0.0, 1.0, 0.0)})
    assert found.total("grad_norm")[2] == math.inf
