"""What ops do beyond their schema, and what holding references must not make autograd do."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import whygrad
from whygrad.explain.replay import replay
from whygrad.trace.model import Op, Ref


class _Names(TorchDispatchMode):
    """Names of ops, nothing held."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@contextmanager
def names() -> Generator[list[str]]:
    with _Names() as mode:
        yield mode.names


def norm_ops(training: bool) -> tuple[Any, list[Op]]:
    torch.manual_seed(0)
    model = torch.nn.BatchNorm1d(2).train(training)
    x = torch.randn(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with whygrad.record() as run:
        for _ in range(2):
            optimizer.zero_grad()
            model(x).pow(2).sum().backward()
            optimizer.step()
    found = [next(op for op in run.trace.step(n).ops if op.name == "aten.native_batch_norm.default") for n in (0, 1)]
    return run, found


def test_batch_norm_reads_the_statistics_as_they_were() -> None:
    run, ops = norm_ops(training=True)
    means: list[Any] = []
    for number, op in enumerate(ops):
        step = run.trace.step(number)
        ref = op.args[3]
        assert isinstance(ref, Ref)
        means.append(run.trace.content(step, step.values[ref.id]).tolist())
        after = run.trace.content(step, step.values[op.written[0]]).tolist()
        means.append(after)
        assert replay(run.trace, step, op).same
    assert means[0] == [0.0, 0.0]
    assert means[1] == means[2] != means[0]
    assert means[3] != means[1]


def test_batch_norm_in_evaluation_writes_no_statistics() -> None:
    _, ops = norm_ops(training=False)
    assert all(set(op.written) == {out for out in op.outputs if out is not None} for op in ops)


def test_gradients_are_taken_over_as_without_recording() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten(), torch.nn.LayerNorm(8), torch.nn.Linear(8, 2)
    )  # fmt: skip
    x = torch.randn(3, 1, 4, 4)
    with names() as alone:
        model(x).pow(2).sum().backward()
    model.zero_grad()
    with whygrad.record() as run:
        model(x).pow(2).sum().backward()
    recorded = [op.name for op in run.trace.step(0).ops]
    assert recorded == alone
    assert "aten.copy_.default" not in recorded
