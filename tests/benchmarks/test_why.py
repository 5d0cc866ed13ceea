"""What is asked of how long an answer takes, and how it is counted. Nothing here is timed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

import whygrad
from benchmarks import why
from benchmarks.programs import MLPConfig, Program, mlp
from benchmarks.why import Asked


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> whygrad.Run:
    path = tmp_path_factory.mktemp("why") / "mlp.why"
    why.saved(small(), path)
    return whygrad.load(path)


def small(dtype: torch.dtype = torch.float32) -> Program:
    return mlp(dtype, MLPConfig(widths=(4, 3, 2), batch=3))


def test_all_that_is_asked_is_of_the_last_step_and_can_be_asked(run: whygrad.Run) -> None:
    questions = why.addresses(run.trace, 60, random.Random(0))
    assert all(each.endswith("@1") for each in questions)
    assert any(each.startswith("optimizer.") for each in questions)
    assert any(".grad" in each for each in questions)
    answers = why.ask(run, questions)
    assert [each.address for each in answers] == questions
    assert all(each.seconds > 0 for each in answers)
    assert questions == why.addresses(run.trace, 60, random.Random(0))


def test_percentiles_are_times_that_occurred() -> None:
    seconds = [float(k) for k in range(1, 201)]
    assert [why.percentile(seconds, share) for share in (0.005, 0.5, 0.9, 0.99, 1.0)] == [1, 100, 180, 198, 200]
    assert why.percentile([7.0], 0.99) == 7
    with pytest.raises(ValueError, match="no answers"):
        why.percentile([], 0.5)


def test_a_bar_is_missed_by_the_median_or_by_the_slowest() -> None:
    def bar(slow: int, seconds: float) -> str:
        answers = [Asked("a", "aten.add", 0.001)] * (200 - slow) + [Asked("b", "aten.mm", seconds)] * slow
        row = why.answers_table({("GPT", "float32"): answers}).markdown().splitlines()[2]
        assert "`aten.mm`" in row
        return row.rpartition(": ")[2].removesuffix(" |")

    assert bar(1, 9.0) == "met"
    assert bar(3, 0.3) == "missed"
    assert bar(150, 0.04) == "missed"


def test_large_tensors_are_explained() -> None:
    found = why.large_answers(6_400)
    assert len(found) == 4
    assert {kind for _, kind in found.values()} == {"same bits"}


def test_commands_are_run_from_cold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(why, "COLD_ADDRESS", "loss@1")
    path = tmp_path / "mlp.why"
    why.saved(small(), path)
    assert set(why.cold(path, 1)) == set(why.COLD)
