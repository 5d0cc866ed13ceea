"""What cannot be recorded as it is: it is said once, and the numbers are the program's own all the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch._higher_order_ops import scan, while_loop
from torch._ops import HigherOrderOperator
from torch.nn.attention.flex_attention import flex_attention
from torch.utils.checkpoint import checkpoint

import whygrad

Tensors = list[torch.Tensor]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")


def gradients(module: nn.Module) -> Tensors:
    return [p.grad.clone() for p in module.parameters() if p.grad is not None]


def compiled(fullgraph: bool) -> Tensors:
    layer = nn.Linear(3, 2)
    torch.compile(layer, fullgraph=fullgraph, backend="eager")(torch.randn(4, 3)).sum().backward()
    return gradients(layer)


def branches() -> Tensors:
    layer, x = nn.Linear(3, 3), torch.randn(5, 3)
    y: Any = torch.cond(x.sum() > 0, lambda x: layer(layer(x).sin()), lambda x: layer(layer(x)).cos(), (x,))
    y.sum().backward()
    return [y.detach(), *gradients(layer)]


def looped() -> Tensors:
    i, x = while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 1.1), (torch.tensor(0), torch.ones(2)))
    return [i, x]


def scanned() -> Tensors:
    carry, out = scan(lambda c, x: (c + x, c * x), torch.zeros(3), torch.randn(5, 3))
    return [carry, out]


def flexible() -> Tensors:
    q, k, v = (torch.randn(1, 2, 16, 8) for _ in range(3))
    out: Any = flex_attention(q, k, v, score_mod=lambda s, b, h, i, j: s + (i - j))
    return [out]


def checkpointed() -> Tensors:
    layers = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    checkpoint(layers, torch.randn(2, 4), use_reentrant=False).sum().backward()
    return gradients(layers)


def in_a_thread() -> Tensors:
    w, found = torch.randn(3, requires_grad=True), Tensors()
    thread = threading.Thread(target=lambda: found.append((w * 2).sum()), name="worker")
    thread.start()
    thread.join()
    found[0].backward()
    assert w.grad is not None
    return [w.grad]


def ran(program: Callable[[], Tensors]) -> tuple[Tensors, Tensors, whygrad.Run]:
    """What a program returns without recording and with it, and the run."""
    torch.manual_seed(0)
    plain = program()
    torch.manual_seed(0)
    with whygrad.record(steps="all") as run:
        recorded = program()
    return plain, recorded, run


def names(run: whygrad.Run) -> set[str]:
    return {op.name for info in run.trace.index for op in run.trace.step(info.number).ops}


@pytest.mark.parametrize(
    ("program", "inner"),
    [
        (branches, "aten.addmm.default"),
        (looped, "aten.mul.Tensor"),
        (scanned, "aten.mul.Tensor"),
        (flexible, "aten.sub.Tensor"),
        (checkpointed, "aten.addmm.default"),
    ],
)
def test_higher_order_operators_are_recorded_op_by_op(program: Callable[[], Tensors], inner: str) -> None:
    plain, recorded, run = ran(program)
    assert all(torch.equal(a, b) for a, b in zip(plain, recorded, strict=True))
    assert inner in names(run)
    assert not any(name.startswith("higher_order") for name in names(run))


@pytest.mark.parametrize("fullgraph", [False, True])
def test_compiled_code_runs_eagerly_and_that_is_said_once(fullgraph: bool) -> None:
    def twice() -> Tensors:
        return compiled(fullgraph) + compiled(fullgraph)

    plain, recorded, run = ran(twice)
    assert all(torch.equal(a, b) for a, b in zip(plain, recorded, strict=True))
    assert len([note for note in run.notes if "torch.compile" in note]) == 1
    assert "aten.addmm.default" in names(run)


def test_a_loop_with_gradients_says_that_their_order_changed() -> None:
    def program() -> Tensors:
        w = torch.randn(3, requires_grad=True)
        carry, out = scan(lambda c, x: ((c * w + x).sin(), (c * w).cos()), torch.zeros(3), torch.randn(5, 3))
        (carry.sum() + out.sum()).backward()
        assert w.grad is not None
        return [w.grad]

    plain, recorded, run = ran(program)
    torch.testing.assert_close(plain, recorded)
    assert any("added up in another order" in note for note in run.notes)


def test_work_of_another_thread_is_said_once_with_the_remedy() -> None:
    plain, recorded, run = ran(in_a_thread)
    assert torch.equal(plain[0], recorded[0])
    (note,) = (note for note in run.notes if "thread" in note)
    assert "worker" in note
    assert "Train in the thread" in note


def test_a_thread_without_gradients_is_no_matter() -> None:
    def program() -> Tensors:
        found = Tensors()
        thread = threading.Thread(target=lambda: found.append(torch.ones(2) * 2))
        thread.start()
        thread.join()
        return found

    assert ran(program)[2].notes == ()


def test_nothing_is_left_behind() -> None:
    before = (HigherOrderOperator.__call__, threading.Thread.start, torch.compile)
    with whygrad.record():
        pass
    assert (HigherOrderOperator.__call__, threading.Thread.start, torch.compile) == before
    layer = nn.Linear(2, 2)
    fast = torch.compile(layer, backend="eager", fullgraph=True)
    assert torch.equal(fast(torch.ones(1, 2)), layer(torch.ones(1, 2)))
