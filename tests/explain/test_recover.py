"""Numbers that were let go are had again by running ops, checked, and never believed unchecked."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import whygrad
from tests.recorder.programs_memory import PROGRAMS, transformer
from whygrad.errors import ValueDropped
from whygrad.explain import recover as room
from whygrad.explain.why import Explainer
from whygrad.trace.model import Step, Value
from whygrad.trace.store import Trace, dropped_of


def recorded(name: str, share: int = 4) -> tuple[whygrad.Run, whygrad.Run]:
    """A program recorded whole, and with a share of what that took as the budget."""
    torch.set_num_threads(1)
    with whygrad.record() as whole:
        PROGRAMS[name]()
    step = whole.trace.step(0)
    contents = [whole.trace.chunk(0, chunk) for chunk in step.chunks]
    budget = sum(each.nbytes for each in contents if each is not None) // share
    with whygrad.record(budget=budget) as part:
        PROGRAMS[name]()
    return whole, part


def contents(trace: Trace, step: Step) -> list[Any]:
    """The numbers of all Values, None where there are none."""
    found: list[Any] = []
    for value in step.values.values():
        try:
            found.append(trace.content(step, value).copy())
        except ValueDropped:
            found.append(None)
    return found


def dropped_values(step: Step) -> list[Value]:
    return [value for value in step.values.values() if dropped_of(step, value) is not None]


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_number_comes_back(name: str) -> None:
    whole, part = recorded(name)
    Explainer(part.trace)
    for number in part.steps:
        a, b = contents(whole.trace, whole.trace.step(number)), contents(part.trace, part.trace.step(number))
        assert len(dropped_values(part.trace.step(number))) > 3
        for one, other in zip(a, b, strict=True):
            if one is not None:
                assert other is not None and one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", PROGRAMS)
def test_answers_are_those_of_a_whole_recording_also_of_a_saved_run(name: str, tmp_path: Path) -> None:
    whole, part = recorded(name)
    loaded = whygrad.load(part.save(tmp_path / "a.why"))
    explainers = [Explainer(run.trace) for run in (whole, part, loaded)]
    number = part.steps[-1]
    steps = [each.trace.step(number) for each in explainers]
    assert steps[1].dropped == steps[2].dropped
    ids = [list(step.values) for step in steps]
    chosen = random.Random(0).sample(range(len(ids[0])), 25)
    chosen += [i for i, value in enumerate(steps[1].values.values()) if dropped_of(steps[1], value)][::12]
    for place in chosen:
        shape = steps[0].values[ids[0][place]].shape
        if 0 in shape:
            continue
        index = tuple(random.Random(place).randrange(n) for n in shape)
        told: list[Any] = []
        for explainer, step, known in zip(explainers, steps, ids, strict=True):
            try:
                found = explainer.explain(explainer.at(number, step.values[known[place]], index), 1)
                told.append((found.bits, found.verdict, found.op, [each.bits for each in found.operands]))
            except ValueDropped:
                told.append(None)
        if told[0] is not None:
            assert told[0] == told[1] == told[2]


def test_the_answer_says_how_the_number_was_had() -> None:
    _, part = recorded("transformer")
    step = part.trace.step(0)
    explainer = Explainer(part.trace)
    value = dropped_values(step)[-1]
    found = explainer.explain(explainer.at(0, value, tuple(0 for _ in value.shape)), 0)
    assert "recovered by running" in found.note and "CRC-32" in found.note


def test_dropout_draws_the_same_again() -> None:
    _, part = recorded("transformer")
    step = part.trace.step(0)
    Explainer(part.trace)
    random_ops = [op for op in step.ops if op.rng is not None]
    masks = [step.values[op.outputs[-1] or 0] for op in random_ops]
    masks = [value for value in masks if dropped_of(step, value) is not None]
    before = torch.get_rng_state()
    assert masks and all(part.trace.content(step, value).any() for value in masks)
    assert torch.equal(before, torch.get_rng_state())


def test_a_number_that_comes_out_otherwise_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    from whygrad.explain import replay

    _, part = recorded("convolutional")
    step = part.trace.step(0)
    real = replay.call_again

    def wrong(step: Step, op: Any, args: Any, kwargs: Any, state: Any) -> Any:
        out = real(step, op, args, kwargs, state)
        first = out[0] if isinstance(out, (tuple, list)) else out
        first.view(-1)[0] += 1
        return out

    monkeypatch.setattr(replay, "call_again", wrong)
    Explainer(part.trace)
    for value in dropped_values(step):
        dropped = dropped_of(step, value)
        if dropped is None or dropped.crc is None:
            continue  # memory that nothing had written yet
        with pytest.raises(ValueDropped, match=r"other bits.*--budget|--budget.*other bits|cannot be run"):
            part.trace.content(step, value)


def test_a_wrong_crc_is_reported_with_the_option() -> None:
    from dataclasses import replace

    _, part = recorded("transformer")
    step = part.trace.step(0)
    value = dropped_values(step)[0]
    false = tuple(replace(each, crc=each.crc ^ 1) if each.crc is not None else each for each in step.dropped)
    part.trace._steps[0] = replace(step, dropped=false)
    Explainer(part.trace)
    with pytest.raises(ValueDropped, match="so they are not shown"):
        part.trace.content(part.trace.step(0), value)


def test_without_an_explainer_the_option_is_named() -> None:
    _, part = recorded("convolutional")
    part.trace.recover = None
    step = part.trace.step(0)
    with pytest.raises(ValueDropped, match="larger --budget"):
        part.trace.content(step, dropped_values(step)[0])


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, part = recorded("transformer")
    monkeypatch.setattr(room, "_AT_LEAST", 2)
    recovery = part.trace.recover = room.Recovery(part.trace, most=300_000)
    a, b = contents(whole.trace, whole.trace.step(0)), contents(part.trace, part.trace.step(0))
    assert all(one is None or np.array_equal(one, other, equal_nan=True) for one, other in zip(a, b, strict=True))
    largest = max(each.stop - each.start for each in part.trace.step(0).dropped)
    assert recovery._bytes <= 300_000 + 2 * largest
    assert sum(each.nbytes for each in recovery._kept.values()) == recovery._bytes


def test_a_long_chain_needs_no_deep_stack() -> None:
    with whygrad.record(budget="300KB") as run:
        w = torch.ones(1, requires_grad=True)
        x = torch.ones(64, 64)
        for _ in range(1500):
            x = x + 1
        (x.sum() * w).backward()
        with torch.no_grad():
            w -= 0.1
    step = run.trace.step(0)
    Explainer(run.trace)
    last = dropped_values(step)[-1]
    assert run.trace.content(step, last)[0, 0] > 1000


def test_a_result_of_a_step_that_was_not_kept_is_missed_honestly() -> None:
    with whygrad.record(steps="-1", budget="1MB") as run:
        w = torch.ones(1, requires_grad=True)
        state = torch.ones(256, 256)
        for _ in range(2):
            used = state[:256] * w
            for _ in range(4):
                used = used + 1
            state = torch.cat([used.detach(), used.detach()])
            (used.sum() / 1e6).backward()
            assert w.grad is not None
            with torch.no_grad():
                w -= 0.1 * w.grad
            w.grad = None
    assert run.steps == [1]
    step = run.trace.step(1)
    Explainer(run.trace)
    given = next(value for value in dropped_values(step) if value.version < step.first)
    with pytest.raises(ValueDropped, match="in a step that was not kept"):
        run.trace.content(step, given)


def test_memory_that_nothing_had_written_is_not_made_up() -> None:
    with whygrad.record(budget="300KB") as run:
        w = torch.ones(1, requires_grad=True)
        room_ = torch.empty(256, 256)
        room_[:128] = w.detach() * 2
        room_[128:] = 3
        (room_.sum() * w).backward()
        with torch.no_grad():
            w -= 0.1
    step = run.trace.step(0)
    Explainer(run.trace)
    written = {value.version: value for value in dropped_values(step) if value.numel == 256 * 256}
    assert run.trace.content(step, written[max(written)])[[0, 200], 7].tolist() == [2, 3]
    with pytest.raises(ValueDropped, match=r"uninitialised|other bits"):
        run.trace.content(step, written[min(written)])


def test_saved_runs_with_and_without(tmp_path: Path) -> None:
    with whygrad.record() as run:
        transformer()
    path = run.save(tmp_path / "b.why")
    assert whygrad.load(path).trace.step(0).dropped == ()
