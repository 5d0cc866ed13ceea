"""What `make coverage` counts, on a few entries of PyTorch's databases, and on rules that are wrong on purpose."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
import torch

pytest.importorskip("expecttest")

from benchmarks import coverage, coverage_bars, coverage_ops, coverage_pool
from benchmarks.coverage_ask import Case, Outcome, Plan, ask, record
from benchmarks.coverage_bars import Known, bars_table, counted, exceptions
from benchmarks.coverage_report import cell, names_table, page, percent, summary_table, work_table
from whygrad.explain import check
from whygrad.rules.call import OpCall
from whygrad.rules.expr import Bin, Expr, Num, Var
from whygrad.rules.registry import Rule

PLAN = Plan(samples=2, values=12, scalars=2)


@pytest.fixture
def wrong_mul(monkeypatch: pytest.MonkeyPatch) -> dict[str, Expr]:
    """The rule of `aten.mul` replaced by whatever expression the test puts under "expr"."""
    chosen: dict[str, Expr] = {}
    find = check.find_rule

    def function(c: OpCall, i: tuple[int, ...]) -> Expr:
        for position in (0, 1):
            c.t(position).broadcast(i)
        return chosen["expr"]

    def found(op: str, *rest: Any) -> Rule | None:
        return Rule(("aten.mul",), function, "once", 0) if op == "aten.mul.Tensor" else find(op, *rest)

    monkeypatch.setattr(check, "find_rule", found)
    return chosen


def asked(expr: Expr, chosen: dict[str, Expr]) -> Outcome:
    chosen["expr"] = expr
    outcome = Outcome(Case("ops", "mul", "float32"), differentiable=True)
    x, y = torch.tensor([1.1, 2.3, 3.7]), torch.tensor([0.3, 0.7, 0.9])
    ask(outcome, record(lambda: x * y), PLAN, random.Random(0))
    return outcome


def test_a_right_rule_gives_the_same_bits(wrong_mul: dict[str, Expr]) -> None:
    outcome = asked(Bin("*", Var(0), Var(1)), wrong_mul)
    assert outcome.kinds == {"same bits": 2} and cell(outcome) == "100"


def test_a_rule_that_is_a_little_off_is_replayed(wrong_mul: dict[str, Expr]) -> None:
    outcome = asked(Bin("*", Bin("*", Var(0), Var(1)), Num(1 + 2**-20)), wrong_mul)
    assert outcome.kinds == {"replayed": 2} and cell(outcome) == "0/100/0/0"
    assert 4 < outcome.worst["aten.mul.Tensor"] < 32


def test_a_wrong_rule_is_opaque_and_far(wrong_mul: dict[str, Expr]) -> None:
    outcome = asked(Bin("+", Var(0), Var(1)), wrong_mul)
    assert outcome.kinds == {"opaque": 2} and outcome.far == {"aten.mul.Tensor": 2}
    assert "`aten.mul.Tensor`" in page([outcome]).split("do not come near their number")[-1]


def test_an_error_in_whygrad_is_opaque_and_said_loudly(wrong_mul: dict[str, Expr], monkeypatch: Any) -> None:
    monkeypatch.setattr(check, "search", lambda *args: 1 // 0)
    outcome = asked(Bin("*", Var(0), Var(1)), wrong_mul)
    assert outcome.kinds == {"opaque": 2}
    assert page([outcome]).startswith("## Errors in whygrad\n\n- aten.mul.Tensor: ZeroDivisionError")


@pytest.mark.parametrize("case", [Case("ops", "mul", "float32"), Case("ops", "nn.functional.relu", "bfloat16")])
def test_an_operator_is_recorded_forward_and_backward(case: Case) -> None:
    outcome = coverage_pool.run(case, PLAN)
    assert outcome.samples == 2 and not outcome.errors and not outcome.skipped and outcome.differentiable
    assert outcome.kinds["same bits"] == outcome.kinds.total() >= 3
    assert len({op for op, _, _ in outcome.ops}) >= 2 or case.name == "mul", "a backward op is among those asked"


def test_a_module_and_an_optimizer() -> None:
    module = coverage_pool.run(Case("modules", "nn.Linear", "float32"), PLAN)
    assert module.kinds["same bits"] == module.kinds.total() > 4
    update = coverage_pool.run(Case("optimizers", "SGD loop", "float32"), Plan(values=4, scalars=1))
    assert update.kinds["same bits"] == update.kinds.total() > 20 and not update.random
    assert {op for op, _, _ in update.ops} >= {"aten.add_.Tensor"}, "the inside of an update is asked too"


def test_random_ops_are_left_out_and_listed() -> None:
    outcome = coverage_pool.run(Case("ops", "nn.functional.dropout", "float32"), PLAN)
    assert outcome.random and not counted([outcome])
    assert "draws random numbers: `nn.functional.dropout`" in page([outcome])


def test_what_the_program_raises_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("not on this machine")

    monkeypatch.setattr(coverage_ops.database()["mul"], "op", broken)
    outcome = coverage_pool.run(Case("ops", "mul", "float32"), PLAN)
    assert outcome.skipped == {"RuntimeError: not on this machine": 2} and not outcome.kinds and not outcome.errors
    assert cell(outcome) == "raises"


def test_a_crash_costs_its_own_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    cases = [Case("ops", "no such operator", "float32"), Case("ops", "neg", "float32")]
    broken, fine = coverage_pool.run_all(cases, PLAN, workers=1)
    assert list(broken.errors) == ["the whole case: KeyError: 'no such operator'"] and broken.kinds == {"opaque": 1}
    assert fine.kinds["same bits"] == fine.kinds.total() > 0


def test_a_process_that_hangs_is_ended() -> None:
    (outcome,) = coverage_pool.run_all([Case("ops", "neg", "float32")], PLAN, workers=1, limit=0.0)
    assert outcome.kinds == {"opaque": 1} and "no answer within 0 s" in next(iter(outcome.errors))


def test_operators_count_equally_and_scalars_pooled() -> None:
    one, many = (Outcome(Case("ops", name, "float32"), differentiable=True) for name in ("one", "many"))
    one.add("aten.a", "float32", "same bits")
    for _ in range(3):
        many.add("aten.b", "float32", "opaque", "no rule")
    unasked = Outcome(Case("ops", "view", "float32"), differentiable=True)
    rows = summary_table([one, many, unasked]).rows
    assert list(rows[0][2:]) == ["2", "50.0 %", "0 %", "50.0 %", "0 %"]
    assert list(rows[1][2:]) == ["4", "25.0 %", "0 %", "75.0 %", "0 %"]
    assert list(work_table([one, many]).rows[0][:4]) == ["`aten.b`", "opaque", "3", "float32 3"]
    assert [row[-1] for row in names_table([one, many, unasked], "operator").rows] == ["0/0/100/0", "100", "–"]


def test_bars_that_are_not_reached_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = (Outcome(Case("ops", name, "float32"), differentiable=True) for name in ("good", "bad"))
    good.add("aten.a.default", "float32", "same bits")
    bad.add("aten.b.default", "float32", "opaque", "no rule")
    assert [row[3:] for row in bars_table([good]).rows] == [
        ["100 %", "yes"], ["100 %", "yes"], ["100 %", "yes"], ["0 %", "yes"],
    ]  # fmt: skip
    assert [row[4] for row in bars_table([good, bad]).rows] == ["**no**", "**no**", "**no**", "yes"]
    assert "`aten.b.default`, 1 in `bad` (float32): **no reason is listed**" in exceptions([good, bad])
    monkeypatch.setattr(coverage_bars, "EXCEPTIONS", {"aten.b": Known("it is a test", ("float32",))})
    assert [row[3] for row in bars_table([good, bad]).rows] == ["100 %", "50.0 %", "50.0 %", "0 %"]
    assert exceptions([good, bad]) == "- `aten.b.default`, 1 in `bad` (float32): it is a test"


def test_an_exception_that_is_none_any_more_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = Outcome(Case("ops", "fine", "float32"), differentiable=True)
    fine.add("aten.b.default", "float32", "same bits")
    monkeypatch.setattr(coverage_bars, "EXCEPTIONS", {"aten.b": Known("it was"), "aten.c": Known("not asked")})
    assert exceptions([fine]) == "- `aten.b` is listed as an exception, and is none any more."


def test_a_share_is_whole_only_when_it_is() -> None:
    assert [percent(x) for x in (0.0, 1e-6, 0.5, 1 - 1e-6, 1.0)] == ["0 %", "0.1 %", "50.0 %", "99.9 %", "100 %"]


def test_cases_are_chosen_by_expression_and_dtype() -> None:
    chosen = coverage.cases("ops/addmm$|optimizers/Adam |modules/nn.GELU$", ["float32"])
    assert {(c.suite, c.name) for c in chosen} == {
        ("ops", "addmm"), ("modules", "nn.GELU"), ("optimizers", "Adam loop"), ("optimizers", "Adam foreach"),
        ("optimizers", "Adam fused"),
    }  # fmt: skip
    assert coverage_ops.evenly(range(10), 4) == [0, 3, 6, 9]
