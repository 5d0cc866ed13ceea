"""What is frozen while the program runs on is what the program held then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from whygrad.recorder import sink as sink_room
from whygrad.recorder.policy import parse_keep
from whygrad.recorder.sink import Sink
from whygrad.trace.file import RunWriter, open_run
from whygrad.trace.model import RunInfo
from whygrad.trace.store import Trace


def record(
    path: Path, steps: str, budget: str = "1GB", count: int = 12, every: int = 0
) -> tuple[Trace, list[torch.Tensor]]:
    """A small training, saved; and its weight after each step. `every`: flush by hand after so many steps."""
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    after: list[torch.Tensor] = []
    sink = Sink.open(parse_keep(steps, budget), RunWriter(path, RunInfo()))
    with sink.session:
        for i in range(count):
            optimizer.zero_grad()
            model(torch.randn(4, 3)).pow(2).mean().backward()
            optimizer.step()
            after.append(torch.from_numpy(model.weight.detach().numpy().copy()))
            if every and i % every == 0:
                sink.flush()
    sink.finish("ok")
    assert not sink.failed
    return open_run(path), after


def weights(trace: Trace) -> dict[int, torch.Tensor]:
    """The weight after each kept step, as recorded."""
    found: dict[int, torch.Tensor] = {}
    for info in trace.index:
        if info.kept and info.complete:
            step = trace.step(info.number)
            name = next(n for n in step.names if (n.text, n.kind) == ("weight", "parameter"))
            found[info.number] = torch.from_numpy(trace.content(step, step.values[name.value]).copy())
    return found


@pytest.mark.parametrize("every", [0, 1, 3])
@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ("all", list(range(12))),
        ("0", [0]),
        ("2:4", [2, 3]),
        ("0,5,-1", [0, 5, 11]),
        ("-3:", [9, 10, 11]),
        ("0:4,3:6,-2", [0, 1, 2, 3, 4, 5, 10, 11]),
        ("none", []),
    ],
)
def test_kept_steps_hold_what_the_program_held(tmp_path: Path, steps: str, kept: list[int], every: int) -> None:
    trace, after = record(tmp_path / "a.why", steps, every=every)
    found = weights(trace)
    assert sorted(found) == kept
    for number, weight in found.items():
        assert torch.equal(weight, after[number])
    assert [info.number for info in trace.index if info.complete] == list(range(12))
    assert trace.history.steps == list(range(12))


def test_the_budget_is_kept(tmp_path: Path) -> None:
    trace, after = record(tmp_path / "a.why", "all", "2KB", count=30)
    found = weights(trace)
    assert 0 < len(found) < 20
    assert 29 in found, "the last step is always there"
    assert all(torch.equal(weight, after[number]) for number, weight in found.items())
    assert any("budget" in note for note in trace.info.notes)
    assert {info.why_not for info in trace.index if not info.kept} == {"budget"}


def test_when_too_much_waits_the_program_writes_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_room, "MOST_WAITING", 1)
    trace, after = record(tmp_path / "a.why", "all")
    found = weights(trace)
    assert len(found) == 12
    assert all(torch.equal(weight, after[number]) for number, weight in found.items())


def test_a_full_disk_does_not_stop_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    model = nn.Linear(3, 2)
    sink = Sink.open(parse_keep("all", "1GB"), RunWriter(tmp_path / "a.why", RunInfo()))
    with sink.session:
        for i in range(6):
            model(torch.randn(4, 3)).sum().backward()
            with torch.no_grad():
                for p in model.parameters():
                    p.sub_(0.1 * p.grad if p.grad is not None else 0)
            if i == 3:
                sink.flush()
                monkeypatch.setattr(sink.writer, "write_step", full)
    sink.finish("ok")
    assert "No space left on device" in sink.failed
    assert capsys.readouterr().err.count("nothing is saved") == 1
    trace = open_run(tmp_path / "a.why")
    assert trace.info.status == "killed"
    assert [info.number for info in trace.index if info.kept] == [0, 1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_is_left_alone(tmp_path: Path) -> None:
    """It trains without being watched, and writes nothing into its parent's file."""
    model = nn.Linear(2, 1)
    sink = Sink.open(parse_keep("all", "1GB"), RunWriter(tmp_path / "a.why", RunInfo()))
    with sink.session:
        for i in range(4):
            model(torch.ones(1, 2)).sum().backward()
            with torch.no_grad():
                model.weight -= 0.1
            if i == 1:
                child = os.fork()
                if child == 0:
                    code = 1
                    try:
                        model(torch.ones(1, 2)).sum().backward()
                        quiet = torch._C._len_torch_dispatch_stack() == 0
                        sink.flush()
                        sink.finish("ok")
                        code = 0 if quiet else 2
                    finally:
                        os._exit(code)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    sink.finish("ok")
    trace = open_run(tmp_path / "a.why")
    assert sorted(weights(trace)) == [0, 1, 2, 3]
    assert trace.info.status == "ok"
