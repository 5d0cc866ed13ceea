"""Statistics of tensors: those of plain torch, whatever was kept of the values."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import whygrad
from whygrad.trace.statistics import ABSENT, KINDS, Numbers, Statistics

Tensor = torch.Tensor
KEPT = ["all", "none", "-1", "2:"]


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)).to(dtype)


def expected(grad: Tensor | None, old: Tensor, new: Tensor) -> Numbers:
    """The definitions, by torch in float64."""
    moved = torch.linalg.vector_norm(new.double() - old.double()).item() / torch.linalg.vector_norm(old.double()).item()
    if grad is None:
        return ABSENT, moved, ABSENT, ABSENT, 0.0
    moves = grad != 0
    lost = (moves & (old == new)).sum().item() / moves.sum().item()
    return torch.linalg.vector_norm(grad.double()).item(), moved, lost, 0.0, 0.0


def train(
    model: nn.Module, optimizer: Any, steps: int, watch: Callable[[], None] | None = None, to_none: bool = True
) -> list[dict[str, Numbers]]:
    """Trains, and works the statistics out beside."""
    torch.manual_seed(1)
    dtype = next(model.parameters()).dtype
    x, y = torch.randn(8, 4, dtype=dtype), torch.randint(0, 3, (8,))
    rows: list[dict[str, Numbers]] = []
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=to_none)
        nn.functional.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            olds = {name: p.detach().clone() for name, p in model.named_parameters()}
            grads = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
        optimizer.step()
        with torch.no_grad():
            rows.append({name: expected(grads[name], olds[name], p.detach()) for name, p in model.named_parameters()})
        if watch is not None:
            watch()
    return rows


def same(found: list[dict[str, Numbers]], rows: list[dict[str, Numbers]]) -> bool:
    assert [list(each) for each in found] == [list(each) for each in rows]
    return all(
        x == y or math.isclose(x, y, rel_tol=1e-12)
        for one, other in zip(found, rows, strict=True)
        for name in one
        for x, y in zip(one[name], other[name], strict=True)
    )


@pytest.mark.parametrize("keep", KEPT)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("to_none", [True, False])
def test_all_steps_have_those_of_torch(keep: str, dtype: torch.dtype, to_none: bool) -> None:
    model = network(dtype)
    with whygrad.record(steps=keep) as run:
        rows = train(model, torch.optim.SGD(model.parameters(), lr=0.01), 4, to_none=to_none)
    assert same(run.trace.statistics.rows, rows)
    if dtype is torch.bfloat16:
        assert max(row[2] for each in rows for row in each.values()) > 0.5


@pytest.mark.parametrize("kind", ["AdamW", "Adagrad", "Muon"])
def test_what_is_kept_makes_no_difference(kind: str, tmp_path: Path) -> None:
    found: list[list[dict[str, Numbers]]] = []
    for keep, budget in (("all", "1GB"), ("none", "1GB"), ("-2:", "1GB"), ("all", "20KB"), ("all", "6KB")):
        model = network()
        weights = [p for p in model.parameters() if p.dim() == 2 or kind != "Muon"]
        with whygrad.record(steps=keep, budget=budget) as run:
            train(model, getattr(torch.optim, kind)(weights, lr=0.01), 5)
        found.append(run.trace.statistics.rows)
    assert all(each == found[0] for each in found[:-1])
    assert same(found[-1], found[0])  # every step alone is over the budget
    assert len(found[0]) == 5


def test_large_tensors_are_not_laid_end_to_end() -> None:
    found: list[list[dict[str, Numbers]]] = []
    for keep in KEPT:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 200), nn.Linear(200, 200), nn.Linear(200, 3))
        with whygrad.record(steps=keep) as run:
            rows = train(model, torch.optim.SGD(model.parameters(), lr=1e-7), 3)
        assert same(run.trace.statistics.rows, rows)
        found.append(run.trace.statistics.rows)
    assert all(each == found[0] for each in found)
    assert 0 < found[0][0]["1.weight"][2] < 1


def one(keep: str, steps: int, body: Callable[[int], None]) -> Statistics:
    with whygrad.record(steps=keep) as run:
        for step in range(steps):
            body(step)
    return run.trace.statistics


@pytest.mark.parametrize("keep", KEPT)
def test_an_update_by_hand(keep: str) -> None:
    w = torch.tensor([1.0, 2.0, 0.0], requires_grad=True)

    def body(step: int) -> None:
        w.grad = None
        (w * torch.tensor([3.0, 4e-9, 0.0])).sum().backward()
        assert w.grad is not None
        w.data.add_(w.grad, alpha=-0.5)

    (row,) = one(keep, 1, body).rows
    assert row["w"] == (3.0, 1.5 / math.sqrt(5), 0.5, 0.0, 0.0)


@pytest.mark.parametrize("keep", KEPT)
def test_an_update_by_assignment(keep: str) -> None:
    w = torch.tensor([3.0, 4.0], requires_grad=True)

    def body(step: int) -> None:
        w.grad = None
        (w * torch.tensor([0.0, 1.0])).sum().backward()
        assert w.grad is not None
        w.data = w.data - 5 * w.grad

    (row,) = one(keep, 1, body).rows
    assert row["w"] == (1.0, 1.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("keep", KEPT)
def test_groups_a_rate_of_zero_and_no_gradient(keep: str) -> None:
    a, b, c = (torch.ones(2, requires_grad=True) for _ in range(3))
    optimizer = torch.optim.SGD([{"params": [a, c]}, {"params": [b], "lr": 0.0}], lr=0.5)

    def body(step: int) -> None:
        optimizer.zero_grad()
        (a.sum() + b.sum() + c.detach().sum()).backward()
        optimizer.step()

    (row,) = one(keep, 1, body).rows
    assert row["a"] == (math.sqrt(2), 0.5, 0.0, 0.0, 0.0)
    assert row["b"] == (math.sqrt(2), ABSENT, ABSENT, 0.0, 0.0)
    assert "c" not in row


@pytest.mark.parametrize("keep", KEPT)
@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_the_scaler_skips(keep: str, fused: bool) -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.5, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)

    def body(step: int) -> None:
        optimizer.zero_grad()
        scaler.scale((w * torch.tensor([1.0, math.inf if step == 1 else 1.0])).sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    found = one(keep, 3, body)
    assert found.column("w", "nonfinite_grad") == [0.0, 1.0, 0.0]
    assert found.column("w", "nonfinite") == [0.0, 0.0, 0.0]
    ratios, lost = found.column("w", "update_ratio"), found.column("w", "lost")
    assert ratios[0] and ratios[1] is None and ratios[2]
    assert lost == [0.0, None, 0.0]


@pytest.mark.parametrize("keep", KEPT)
def test_a_sparse_gradient_is_the_dense_one_it_stands_for(keep: str) -> None:
    torch.manual_seed(0)
    table = nn.Embedding(5, 2, sparse=True)
    optimizer = torch.optim.SGD(table.parameters(), lr=0.5)
    before = table.weight.detach().clone()

    def body(step: int) -> None:
        optimizer.zero_grad()
        table(torch.tensor([1, 3, 3])).sum().backward()
        optimizer.step()

    (row,) = one(keep, 1, body).rows
    assert row["weight"] == pytest.approx(
        (math.sqrt(10), 0.5 * math.sqrt(10) / torch.linalg.vector_norm(before.double()).item(), 0.0, 0.0, 0.0), rel=1e-6
    )


@pytest.mark.parametrize("keep", KEPT)
def test_a_complex_number_is_one_element(keep: str) -> None:
    z = torch.tensor([3 + 4j, 1e9 + 0j, 2 + 0j], requires_grad=True)

    def body(step: int) -> None:
        z.grad = None
        (z * torch.tensor([0.5 + 0j, 1.0 + 0j, 0j])).real.sum().backward()
        assert z.grad is not None
        with torch.no_grad():
            z.sub_(z.grad)

    (row,) = one(keep, 1, body).rows
    norm, ratio, lost, bad_grad, bad = row["z"]
    assert norm == math.sqrt(1.25) and lost == 0.5 and bad_grad == bad == 0
    assert ratio == pytest.approx(0.5e-9)


@pytest.mark.parametrize("keep", KEPT)
def test_what_is_not_finite_is_counted(keep: str) -> None:
    w = torch.ones(4, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=1.0)

    def body(step: int) -> None:
        optimizer.zero_grad()
        (w * torch.tensor([1.0, math.inf, math.nan, -math.inf])).sum().backward()
        optimizer.step()

    (row,) = one(keep, 1, body).rows
    assert math.isnan(row["w"][0]) and row["w"][3:] == (3.0, 3.0)


def test_a_saved_run_has_them_too(tmp_path: Path) -> None:
    model = network(torch.bfloat16)
    with whygrad.record(steps="1") as run:
        rows = train(model, torch.optim.SGD(model.parameters(), lr=0.01), 3)
    run.save(tmp_path / "a.why")
    found = whygrad.load(tmp_path / "a.why").trace.statistics
    assert same(found.rows, rows) and found.rows == run.trace.statistics.rows
    frame = whygrad.load(tmp_path / "a.why").table(tensors=True)
    assert list(frame.columns) == ["step", "tensor", *KINDS]
    assert len(frame) == 12 and max(frame["lost"].tolist()) > 0.5


@pytest.mark.parametrize("keep", ["none", "-1"])
def test_a_script_saves_them(keep: str, tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "train.py").write_text(
        "import torch\nw = torch.nn.Linear(2, 2)\no = torch.optim.SGD(w.parameters(), lr=0.1)\n"
        "for _ in range(4):\n    o.zero_grad(); w(torch.ones(3, 2)).sum().backward(); o.step()\n"
    )
    program = "import sys; from whygrad.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "run", f"--steps={keep}", "-o", "a.why", "train.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    found = whygrad.load(tmp_path / "a.why").trace.statistics
    assert found.steps == [0, 1, 2, 3] and found.tensors == ["weight", "bias"]
    assert found.column("bias", "grad_norm") == [math.sqrt(18)] * 4
