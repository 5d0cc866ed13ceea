"""The benchmarks' figures are well-formed, and what they count is right. Nothing here is timed."""

from __future__ import annotations

import argparse
import random
import re

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import record, verdicts
from benchmarks.contestants import debug_mode, in_memory, plain, to_file
from benchmarks.programs import MLPConfig, Program, mlp, neuron
from benchmarks.record import Plan, Times
from benchmarks.report import Table, measured_on, ratio, share
from whygrad.trace.model import Op

CELL = re.compile(r"\d+(\.\d+)?( – \d+(\.\d+)?)?")


def small(dtype: torch.dtype = torch.float32) -> Program:
    return mlp(dtype, MLPConfig(widths=(4, 3, 2), batch=3))


def cells(markdown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines()]


def test_a_table_is_markdown() -> None:
    table = Table(["what", "n"], [["a", "1"], ["b", "2"]], numbers=(1,))
    assert table.markdown() == "| what | n |\n| --- | ---: |\n| a | 1 |\n| b | 2 |"


def test_a_short_row_is_refused() -> None:
    with pytest.raises(ValueError, match="another length"):
        Table(["what", "n"], [["a"]]).markdown()


@pytest.mark.parametrize(("number", "text"), [(1.0, "1.00"), (3.456, "3.46"), (15.04, "15.0"), (332.4, "332")])
def test_ratios(number: float, text: str) -> None:
    assert ratio(number) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 9, "0 %"), (9, 9, "100 %"), (9999, 10000, "99.9 %"), (1, 10000, "0.1 %"), (1, 4, "25.0 %"), (0, 0, "–")],
)
def test_only_all_is_a_hundred_percent(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.0123, "12.3"), (1.44, "1440"), (0.000187, "0.187"), (0.05, "50.0")])
def test_milliseconds(seconds: float, text: str) -> None:
    assert record.milliseconds(seconds) == text


def test_costs_are_ratios_of_medians() -> None:
    found = {
        "neuron": {
            "plain": Times([[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]], [0.0, 0.0]),
            "whygrad": Times([[6.0, 8.0, 7.0], [10.0, 9.0, 8.0]], [3.0, 3.0]),
        }
    }
    rows = cells(record.cost_table(found).markdown())
    assert rows[3] == ["neuron", "whygrad", "8000", "4.00", "3.50 – 4.50", "4.50", "≤ 4.4: met"]


@pytest.mark.parametrize("contestant", [plain, in_memory, to_file, debug_mode])
def test_a_contestant_trains_as_plain_pytorch_does(contestant: record.Contestant) -> None:
    mine, alone = small(), small()
    times, around = record.one_round(contestant, mine, 3)
    for _ in range(3):
        alone.step()
    assert len(times) == 3
    assert min(*times, around) >= 0
    assert all(torch.equal(p, alone.parameters[name]) for name, p in mine.parameters.items())


def test_whygrad_holds_what_it_is_timed_for() -> None:
    record.check_kept(small(), 4)


def test_a_run_over_its_budget_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "BUDGET", "1KB")
    with pytest.raises(RuntimeError, match="of 4 steps whygrad kept"):
        record.check_kept(small(), 4)


def test_contestants_take_turns() -> None:
    found = record.compare(neuron, Plan(2, 3, 1), {"plain": plain, "whygrad": in_memory})
    assert [[len(steps) for steps in each.rounds] for each in found.values()] == [[3, 3], [3, 3]]
    rows = cells(record.cost_table({"neuron": found}).markdown())[2:]
    assert all(CELL.fullmatch(cell) for row in rows for cell in row[2:6] if cell)


def test_every_op_of_a_small_mlp_is_replayed() -> None:
    found = verdicts.replay_all(verdicts.recorded(small()))
    assert (found.different.total(), found.impossible.total()) == (0, 0)
    assert found.same > 40


def test_a_number_that_is_not_the_ops_result_is_seen() -> None:
    trace = verdicts.recorded(small())
    step = trace.step(0)
    op: Op = next(op for op in step.ops if op.name == "aten.addmm.default")
    value = step.values[op.written[0]]
    with verdicts.one_ulp_off(trace, value, (0, 0)):
        assert verdicts.replay_all(trace).different["aten.addmm.default"] == 1
    assert not verdicts.replay_all(trace).different


def test_answers_are_counted_by_verdict() -> None:
    tally = verdicts.ask_program(small, torch.float32, 25)
    assert tally.asked == 25
    assert set(tally.kinds) <= set(verdicts.KINDS)
    row = cells(verdicts.verdict_table({("MLP", torch.float32): tally}).markdown())[2]
    assert row[:3] == ["MLP", "float32", "25"]
    assert sum(float(cell.removesuffix(" %")) for cell in row[3:7]) == pytest.approx(100, abs=0.3)


def test_the_same_elements_are_asked_each_time() -> None:
    trace = verdicts.recorded(small())
    tallies = [verdicts.Tally(), verdicts.Tally()]
    for tally in tallies:
        verdicts.ask(trace, 10, random.Random(3), tally)
    assert tallies[0] == tallies[1]


def test_an_input_is_no_verdict() -> None:
    tally = verdicts.Tally()
    tally.add("given", "")
    tally.add("replayed", "aten.mm.default")
    assert tally.asked == 1


def test_the_page_says_how_it_was_made() -> None:
    page = command.page("## Figures", quick=False)
    assert page.startswith("# Benchmarks\n")
    assert "`python -m benchmarks all --write`" in page
    assert f"torch {torch.__version__}" in measured_on()


def test_one_part_takes_the_place_of_its_sections_alone() -> None:
    options = argparse.Namespace(what="page", quick=False)
    old = "# Benchmarks\n\nintro\n\n## A\n\n1\n\n## The page\n\nold\n\n## Z\n\n3\n"
    new = command.renewed(old, "## The page\n\nnew\n\n## More\n\n4\n", options)
    assert new.startswith("# Benchmarks\n\nintro\n\n## A\n\n1\n\n## The page\n\nWritten by itself")
    assert "old" not in new
    assert new.index("new") < new.index("## More") and "## Z\n\n3\n" in new
    assert command.renewed(new, "## More\n\n5\n", options).count("## ") == new.count("## ")
