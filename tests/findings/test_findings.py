"""Detectors on tables whose answer is known, and on torch's own training as an oracle."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whygrad.findings.exact_zero import exact_zero
from whygrad.findings.lost_updates import lost_updates
from whygrad.floats import number_format, ulp
from whygrad.trace.history import Column, History
from whygrad.view.lesson import format_row, what_happened
from whygrad.view.stories import exact_zero_sentence, lost_updates_sentence, spans

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


def history(rows: Sequence[tuple[float, float, float]], fmt: str = "float16", lr: float | None = 0.1) -> History:
    """Rows of (loss, weight, gradient)."""
    table = History()
    columns = [
        Column("prediction", "prediction", fmt, "prediction[0]"),
        Column("loss", "loss", fmt, "loss"),
        Column("fc.weight", "parameter", fmt, "fc.weight[0,0]"),
        Column("fc.weight_grad", "gradient", fmt, "fc.weight[0,0].grad"),
    ]
    for i, (loss, weight, gradient) in enumerate(rows):
        cells = list(zip(columns, (1.0, loss, weight, gradient), strict=True))
        table.add(i, cells + ([] if lr is None else [(Column("lr", "hyperparameter", "float64", "optimizer.lr"), lr)]))
    return table


def test_a_lost_update_with_its_evidence() -> None:
    (found,) = lost_updates(history([(1, 0.5, 1), (1, 0.75, 0.001953125), (1, 0.75, 0.001953125), (1, 0.75, 0)]))
    (update,) = found.updates
    assert (found.parameter, found.address, found.format) == ("fc.weight", "fc.weight[0,0]", "float16")
    assert (update.step, update.value, update.gradient) == (2, 0.75, 0.001953125)
    assert update.update == -0.1 * 0.001953125
    assert update.half_ulp == float(ulp(0.75, number_format("float16")) / 2)
    assert update.rounds_away


@pytest.mark.parametrize(
    "rows",
    [
        [(1, 0.5, 1), (1, 0.6, 1)],  # it moved
        [(1, 0.5, 1), (1, 0.5, 0)],  # nothing to move it
        [(1, 0.5, 1)],  # what was before step 0 is not in the table
        [],
        [(1, float("nan"), 1), (1, float("nan"), 1)],
        [(1, float("inf"), 1), (1, float("inf"), float("inf"))],
    ],
)
def test_no_update_lost(rows: list[tuple[float, float, float]]) -> None:
    assert lost_updates(history(rows)) == ()


def test_without_a_learning_rate_nothing_is_claimed() -> None:
    assert lost_updates(history([(1, 0.5, 1), (1, 0.5, 1)], lr=None)) == ()


def test_an_update_large_enough_does_not_round_away() -> None:
    """It stood still all the same (another optimizer, say): counted, but not explained by rounding."""
    (found,) = lost_updates(history([(1, 0.5, 1), (1, 0.5, 1)]))
    assert not found.updates[0].rounds_away
    assert "half the spacing" not in lost_updates_sentence(found, "weight")


@pytest.mark.parametrize("fmt", list(DTYPES))
@given(st.floats(0.25, 4, width=16), st.floats(-2, 2, width=16), st.integers(0, 12))
def test_torch_loses_what_is_found(fmt: str, weight: float, gradient: float, power: int) -> None:
    p = torch.tensor([weight], dtype=DTYPES[fmt], requires_grad=True)
    small = (torch.tensor([gradient], dtype=DTYPES[fmt]) / 2**power).to(DTYPES[fmt])
    p.grad = small
    before, grad = p.item(), small.item()
    torch.optim.SGD([p], lr=0.1).step()
    found = lost_updates(history([(1, before, 0), (1, p.item(), grad)], fmt))
    assert bool(found) == (p.item() == before and grad != 0)
    distance = Fraction(0.1) * abs(Fraction(grad))
    if found and distance < ulp(before, number_format(fmt)) / 8:
        assert found[0].updates[0].rounds_away


def test_the_run_of_zeros_at_the_end() -> None:
    found = exact_zero(history([(0, 1, 0), (1, 1, 1), (0, 1, 0), (0, 1, 0)]))
    assert found is not None
    assert (found.first, found.last, found.predictions, found.gradients_zero) == (2, 3, {"prediction": 1.0}, True)


def test_a_loss_that_is_not_zero_at_the_end() -> None:
    assert exact_zero(history([(0, 1, 0), (1e-7, 1, 1)])) is None
    assert exact_zero(History()) is None


def test_gradients_that_are_left() -> None:
    found = exact_zero(history([(0, 1, 1), (0, 1, 0)]))
    assert found is not None
    assert not found.gradients_zero
    assert "every gradient" not in exact_zero_sentence(found, "float16", None)


def test_sentences() -> None:
    found = lost_updates(history([(1, 0.75, 1)] + [(1, 0.75, 0.001953125)] * 3))[0]
    text = lost_updates_sentence(found, "weight").replace("\u00a0", " ")
    assert text.startswith(
        "In steps 1–3 weight stands still at 0.75 although its gradient is not zero: 3 updates were lost."
    )
    assert "lr · gradient = 0.1 · 0.001953 ≈ 0.000195" in text
    zero = exact_zero(history([(1, 1, 1), (0, 1, 0)]))
    assert zero is not None
    assert exact_zero_sentence(zero, "float16", 1.0) == (
        "From step 1 on the loss is exactly 0: in float16 the prediction is 1.0, the very number of the target, "
        "so every gradient is 0 and nothing moves any more."
    )
    assert "target" not in exact_zero_sentence(zero, "float16", 2.0)


def test_spans() -> None:
    assert spans([1, 2, 3, 5, 7, 8]) == "1–3, 5, 7–8"


def test_how_a_format_ended() -> None:
    assert format_row("float16", history([(1, 1, 1), (0, 1, 0)])).steps == "1"
    moving = [(1.0, 1.0 + i, 1.0) for i in range(3)]
    assert format_row("float16", history(moving)).steps == "not in 3 steps"
    still = format_row("float16", history([(1, 0.75, 1), (1, 0.5, 0.001), (1, 0.5, 0.001), (1, 0.5, 0.001)]))
    assert (still.steps, still.lost) == ("never: stands still from step 1 on", "2 of weight")


def test_nothing_happened_nothing_is_said() -> None:
    assert what_happened("float32", history([(1.0, 1.0 + i, 1.0) for i in range(3)]), None) == []
