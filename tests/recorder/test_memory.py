"""A step larger than the budget: results are let go, and the program notices nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

import whygrad
from tests.recorder.programs_memory import PROGRAMS, transformer
from whygrad.capture.raw import bytes_of
from whygrad.recorder.budget import SMALLEST
from whygrad.recorder.policy import parse_keep
from whygrad.recorder.session import Session
from whygrad.recorder.sink import Sink
from whygrad.trace.file import RunWriter
from whygrad.trace.model import RunInfo, Step
from whygrad.trace.store import Trace, chunk_of, dropped_of


def kept_bytes(trace: Trace, step: Step) -> int:
    """Bytes of the step's contents."""
    found = [trace.chunk(step.number, chunk) for chunk in step.chunks]
    return sum(each.nbytes for each in found if each is not None)


@cache
def recorded(name: str, share: float = 0.25) -> tuple[whygrad.Run, whygrad.Run, int]:
    """A program recorded whole, and with a share of the bytes that this took; and that budget."""
    torch.set_num_threads(1)
    with whygrad.record() as whole:
        PROGRAMS[name]()
    budget = int(max(kept_bytes(whole.trace, whole.trace.step(i)) for i in whole.steps) * share)
    with whygrad.record(budget=budget) as part:
        PROGRAMS[name]()
    return whole, part, budget


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_computes_the_same(name: str) -> None:
    alone = PROGRAMS[name]()
    with whygrad.record(budget=recorded(name)[2]) as run:
        watched = PROGRAMS[name]()
    assert all(torch.equal(a, b) for a, b in zip(alone, watched, strict=True))
    assert run.steps, "the step is kept"


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_kept_fits_the_budget(name: str) -> None:
    _, part, budget = recorded(name)
    assert part.steps[0] == 0
    for number in part.steps:
        step = part.trace.step(number)
        assert step.dropped
        assert kept_bytes(part.trace, step) <= 1.05 * budget, "states of random generators come on top"


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_was_let_go_were_large_results(name: str) -> None:
    _, part, _ = recorded(name)
    for number in part.steps:
        step = part.trace.step(number)
        for each in step.dropped:
            assert each.stop - each.start > SMALLEST
        trained = {known.text for known in step.names if known.kind == "parameter"}
        for known in step.names:
            if known.kind in ("parameter", "before", "state", "loss") or (
                known.kind == "gradient" and known.text in trained
            ):
                value = step.values[known.value]
                assert dropped_of(step, value) is None and chunk_of(step, value) is not None, known


@pytest.mark.parametrize("name", PROGRAMS)
def test_ops_and_values_are_those_of_a_whole_recording(name: str) -> None:
    whole, part, _ = recorded(name)
    for number in part.steps:
        a, b = whole.trace.step(number), part.trace.step(number)
        assert [op.name for op in a.ops] == [op.name for op in b.ops]

        def looks(step: Step) -> list[Any]:
            return [
                (v.version - step.first, v.dtype, v.shape, v.stride, v.offset, v.device) for v in step.values.values()
            ]

        assert looks(a) == looks(b)
        assert [(n.text, n.kind) for n in a.names] == [(n.text, n.kind) for n in b.names]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_recording_never_holds_much_more_than_the_budget(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = recorded(name)[2]
    most = 0
    count = Session._count

    def counted(self: Session, out: torch.Tensor) -> None:
        nonlocal most
        count(self, out)
        if len(self.events) % 5 == 0:
            most = max(most, bytes_of(self.events, set()) + self.cloned)

    monkeypatch.setattr(Session, "_count", counted)
    with whygrad.record(budget=budget):
        PROGRAMS[name]()
    assert budget / 2 < most <= 1.3 * budget


def test_memory_is_freed_when_the_program_frees_it() -> None:
    held = 0
    with whygrad.record(budget="2MB") as run:
        w = torch.ones(1, requires_grad=True)
        weak: list[Any] = []
        y = torch.ones(128, 1024)
        for _ in range(20):
            y = y * 1.5
            weak.append(StorageWeakRef(y.untyped_storage()))
            held = max(held, sum(not each.expired() for each in weak))
        (y.sum() * w).backward()
        with torch.no_grad():
            w -= 0.1
    assert held <= 5, "each has half a megabyte"
    assert run.steps == [0]


def test_the_note_says_what_was_let_go() -> None:
    _, part, budget = recorded("transformer")
    notes = [note for note in part.notes if "let go" in note]
    assert len(notes) == 1
    assert f"the budget is {budget:,}" in notes[0] and "--budget" in notes[0] and notes[0].startswith("step 0 needed ")


def test_a_step_whose_parameters_alone_are_too_large_is_dropped() -> None:
    model = nn.Linear(300, 300)
    with whygrad.record(budget="200KB") as run:
        model(torch.ones(500, 300)).sum().backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.1
    assert run.steps == [] and len(run.table()) == 1
    assert any("alone holds more than the budget" in note for note in run.notes)


def test_within_the_budget_nothing_is_let_go() -> None:
    with whygrad.record() as run:
        transformer()
    assert run.trace.step(0).dropped == () and run.notes == ()


def test_the_last_step_is_kept_within_the_budget_too() -> None:
    budget = recorded("transformer")[2]
    with whygrad.record(budget=budget) as run:
        transformer(steps=4)
    assert run.steps == [0, 3]
    for number in run.steps:
        assert kept_bytes(run.trace, run.trace.step(number)) <= 1.05 * budget
        assert run.trace.step(number).dropped


def test_a_step_that_is_not_wanted_lets_nothing_go() -> None:
    with whygrad.record(steps="1", budget="1.5MB") as run:
        transformer(steps=3)
    assert run.steps == [1]
    assert run.trace.step(1).dropped


def test_a_result_carried_into_the_next_step_stays_known() -> None:
    with whygrad.record(budget="3MB") as run:
        w = torch.ones(1, requires_grad=True)
        state = torch.ones(512, 512)
        for _ in range(2):
            state = state * 2
            (state + 1).mul_(3)
            ((state * w).sum() / 1e6).backward()
            assert w.grad is not None
            with torch.no_grad():
                w -= 0.1 * w.grad
            w.grad = None
    step = run.trace.step(1)
    first = next(op for op in step.ops if op.name == "aten.mul.Tensor")
    given = step.values[first.refs()[0]]
    run.why("loss@1")
    assert run.trace.content(step, given)[3, 4] == 2.0


def test_parameters_made_while_recording_are_kept() -> None:
    budget = recorded("convolutional")[2]
    with whygrad.record(budget=budget) as run:
        PROGRAMS["convolutional"](steps=2)  # pyright: ignore[reportCallIssue]
    assert "optimizer.step" in {op.name for op in run.trace.step(0).ops}


def test_a_run_that_is_saved_while_it_runs(tmp_path: Path) -> None:
    budget = recorded("transformer")[2]
    sink = Sink.open(parse_keep("all", f"{budget}B"), RunWriter(tmp_path / "a.why", RunInfo(budget=budget)))
    with sink.session:
        transformer(steps=3)
    sink.finish("ok")
    assert not sink.failed
    run = whygrad.load(tmp_path / "a.why")
    assert run.steps == [0, 2] and any("let go" in note for note in run.notes)
    whole = recorded("transformer")[0]
    step, other = run.trace.step(0), whole.trace.step(0)
    run.why("loss@0")
    for value, same in zip(step.values.values(), other.values.values(), strict=True):
        if dropped_of(step, value) is not None and chunk_of(other, same) is not None:
            assert run.trace.content(step, value).tobytes() == whole.trace.content(other, same).tobytes()


def test_a_parameter_that_was_let_go_before_it_was_known_is_told_op_by_op() -> None:
    with whygrad.record(budget="1MB") as run:
        first = torch.ones(1, requires_grad=True)
        weights = [torch.randn(400, 400) for _ in range(3)]
        (first * 2).sum().backward()
        for weight in weights:
            weight.requires_grad_()
        optimizer = torch.optim.SGD(weights[:1], lr=0.1)
        (weights[0] * 2).sum().backward()
        optimizer.step()
    assert run.steps == [0]
    step = run.trace.step(0)
    after = next(name for name in step.names if name.kind == "parameter" and step.values[name.value].numel > 1)
    assert dropped_of(step, step.values[after.value]) is not None
    assert run.why(f"{after.text}[3,4]@0", depth=0).value == weights[0][3, 4].item()
    assert not any(op.optimizer is not None and op.written for op in step.ops)
    assert not any("without a recorded op" in note for note in run.notes)
