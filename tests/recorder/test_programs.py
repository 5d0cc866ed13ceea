"""Recording changes nothing, finds every step, and every op that it recorded gives the same bits when it is run again."""

from __future__ import annotations

import pytest
import torch

import whygrad
from tests.recorder.programs import PROGRAMS, Outcome
from whygrad.explain.replay import replay

STEPS = {
    "notebook": 20, "adamw_mlp": 4, "raw_tensors": 4, "no_grad_updates": 3, "assigned_data": 3, "functional_update": 3,
    "grad_function": 3, "gan": 6, "two_optimizers_one_backward": 3, "accumulation": 4, "dropout_and_norm": 3, "lbfgs": 2,
    "own_optimizer": 3, "transformer": 2, "recurrent_and_conv": 2, "autocast_and_checkpoint": 2, "double_backward": 2,
}  # fmt: skip


def bits(value: object) -> object:
    if not isinstance(value, torch.Tensor):
        return value
    return value.dtype, tuple(value.shape), value.detach().contiguous().reshape(-1).view(torch.uint8).tolist()


def same(a: Outcome, b: Outcome) -> list[str]:
    assert a.keys() == b.keys()
    return [key for key in a if bits(a[key]) != bits(b[key])]


@pytest.mark.parametrize("keep", ["all", "none", "0,-1"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_recording_changes_nothing(name: str, keep: str) -> None:
    plain = PROGRAMS[name]()
    with whygrad.record(steps=keep) as run:
        recorded = PROGRAMS[name]()
    assert same(plain, recorded) == []
    assert run.table().shape[0] == STEPS[name]
    last = STEPS[name] - 1
    kept = {"all": list(range(last + 1)), "none": [], "0,-1": sorted({0, last})}[keep]
    assert [n for n in run.steps if n <= last] == kept


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_op_replays(name: str, threads: int) -> None:
    torch.set_num_threads(threads)
    with whygrad.record() as run:
        PROGRAMS[name]()
    failed: list[str] = []
    for number in run.steps:
        step = run.trace.step(number)
        for op in step.ops:
            if op.optimizer is None:
                again = replay(run.trace, step, op)
                if not again.same and "uninitialised" not in again.reason:
                    failed.append(f"step {number}: {op.name}: {again.different} {again.reason}")
    assert failed == []
