"""A number among its neighbours, and its update against half the spacing."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.view.runs import adamw_run, asked, neuron_run, recorded
from whygrad.demos import neuron
from whygrad.explain.derivation import Derivation, Rounding, Verdict
from whygrad.explain.rounding import rounding_of
from whygrad.floats import FORMATS, neighbours, number_format, round_to, to_bits
from whygrad.rules.expr import Bin, Var
from whygrad.view.number_line import number_line, update_of


def weight(value: float, fmt: str, label: str = "w") -> Derivation:
    return Derivation(f"{label}@init", label, value, fmt, "", "parameter", "forward", Verdict("given"))


def updated(old: float, step: float, fmt: str) -> Derivation:
    """`w − step`, rounded once."""
    known = number_format(fmt)
    exact = Fraction(old) - Fraction(step)
    new = round_to(exact, known)
    return replace(
        weight(new, fmt), address="w@0", equation=Bin("-", Var(0), Var(1)), rounding=rounding_of(new, exact, known),
        operands=(weight(old, fmt), weight(step, "float64", "step")),
    )  # fmt: skip


def line_of(d: Derivation) -> dict[str, Any]:
    line = number_line(d)
    assert line is not None
    return line


def numbers(fmt: str) -> st.SearchStrategy[float]:
    known = number_format(fmt)
    return st.floats(-known.max, known.max).map(lambda x: round_to(x, known))


@pytest.mark.parametrize(("value", "fmt"), [(math.inf, "float32"), (math.nan, "float16"), (3, "int64"), (True, "bool")])
def test_what_has_no_place_on_a_line(value: float | int | bool, fmt: str) -> None:
    assert number_line(replace(weight(0.0, fmt), value=value)) is None


def test_neighbours_of_one_are_half_as_far_below() -> None:
    line = line_of(weight(1.0, "float16"))
    assert (line["below"], line["above"], line["spacing"]) == ("0.9995", "1.001", "≈\u00a00.000977")
    assert (line["belowAt"], line["exact"], line["exactAt"], line["update"]) == (-0.5, "", 0, None)


def test_at_the_end_of_the_line() -> None:
    assert line_of(weight(65504.0, "float16"))["above"] == "inf"
    assert line_of(weight(-65504.0, "float16"))["below"] == "−inf"
    assert line_of(weight(448.0, "float8_e4m3fn"))["above"] == "nan"
    assert line_of(weight(0.0, "float16"))["belowAt"] == -1
    assert line_of(weight(5e-324, "float64"))["spacing"] == "4.94e-324"
    assert line_of(updated(5e-324, 1e-323, "float64"))["update"]["half"] == "≈\u00a02.47e-324"


@given(st.sampled_from(sorted(FORMATS)).flatmap(lambda fmt: st.tuples(st.just(fmt), numbers(fmt), st.floats(-2, 2))))
def test_places_are_where_the_numbers_are(case: tuple[str, float, float]) -> None:
    """The exact result lies between the neighbours, and its place says so."""
    name, old, factor = case
    fmt = number_format(name)
    d = updated(old, float(Fraction(old) * Fraction(factor)) if abs(old) < 1e300 else 0.0, name)
    if not math.isfinite(float(d.value)):
        return
    line = line_of(d)
    below, above = neighbours(float(d.value), fmt)
    unit = Fraction(above) - Fraction(d.value) if math.isfinite(above) else None
    if unit and math.isfinite(below):
        assert line["belowAt"] == pytest.approx(float((Fraction(below) - Fraction(d.value)) / unit), abs=1e-3)
        assert line["belowAt"] <= line["exactAt"] <= 1
    assert (line["exact"] == "") == (d.rounding is None or d.rounding.ulp == 0)


# A rounding is told as a float of ulp, which a step below 1e-300 would not fit in.
@given(numbers("float16"), st.just(0.0) | st.floats(1e-290, 70000) | st.floats(-70000, -1e-290))
def test_an_update_is_lost_where_the_bits_stay(old: float, step: float) -> None:
    fmt = number_format("float16")
    d = updated(old, step, "float16")
    new = float(d.value)
    if not math.isfinite(new):
        return
    update = line_of(d)["update"]
    stays = to_bits(abs(old), fmt) == to_bits(abs(new), fmt) and (old == new)
    assert update["lost"] == (stays and step != 0)
    if update["lost"]:
        assert update["share"] <= 1
        assert "rounded away" in update["sentence"]
    elif step == 0:
        assert update["sentence"] == "The update is 0: the weight stays."
    else:
        assert update["share"] >= 0.999
        assert "the weight moves by" in update["sentence"]


def test_the_sentences() -> None:
    lost = line_of(updated(0.771484375, 0.0000976562, "float16"))["update"]
    assert lost["sentence"] == (
        "The update ≈\u00a0−9.77e-05 is smaller than half the spacing (≈\u00a00.000244) of float16 numbers at 0.7715: "
        "it is rounded away."
    )
    tie = line_of(updated(2.0, -(2.0**-10), "float16"))["update"]
    assert (tie["lost"], tie["share"]) == (True, 1)
    assert "halfway" in tie["sentence"]
    moved = line_of(updated(1.0, 0.5, "float16"))["update"]
    assert moved["size"] == "−0.5"
    assert moved["sentence"] == (
        "The update −0.5 is 2,048 times half the spacing (≈\u00a00.000244) of float16 numbers at 1.0: "
        "the weight moves by 1,024 numbers."
    )
    assert line_of(updated(1.0, -(2.0**-10), "float16"))["update"]["sentence"].endswith("moves by 1 number.")


def test_no_update_without_an_exact_result_or_of_another_number() -> None:
    d = updated(1.0, 0.5, "float16")
    assert update_of(replace(d, rounding=None)) is None
    assert update_of(replace(d, rounding=Rounding("0.5", math.inf))) is None
    assert update_of(replace(d, label="v")) is None
    assert update_of(replace(d, role="state")) is None
    assert update_of(replace(d, operands=(weight(math.inf, "float16"),))) is None


def test_updates_of_real_optimizers() -> None:
    """The exact result less the old value is what a program of doubles gets, nearly."""
    sgd = asked(neuron_run, "linear.weight[0,0]@3", 1)
    size = line_of(sgd)["update"]["size"]
    assert size == "≈\u00a00.0203"
    for fused in (False, True):
        d = adamw_run(fused=fused).why("weight[0,1]@1", depth=3).inert
        update = line_of(d)["update"]
        assert not update["lost"]
        assert 1e4 < update["share"] < 1e7
        assert "moves by" in update["sentence"]
    half = adamw_run(dtype=torch.bfloat16).why("weight[0,1]@1", depth=3).inert
    assert line_of(half)["update"] is not None


def test_updates_that_are_lost_are_those_the_walk_back_finds() -> None:
    run = recorded(lambda: neuron.train(torch.bfloat16, steps=30, lr=0.0025))
    moves = run.updates("linear.bias[0]@29").inert.moves
    lines = [line_of(run.why(f"linear.bias[0]@{move.step}", depth=1).inert) for move in moves]
    lost = [line["update"]["lost"] for line in lines]
    assert lost == [move.stood_still for move in moves]
    assert any(lost)
    assert not all(lost)
