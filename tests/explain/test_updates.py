"""A weight's way through the run: what every update asked for, and what rounding kept of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import whygrad
from whygrad.cli import main
from whygrad.errors import AddressError, WhygradError


def train(
    optimizer: str, dtype: torch.dtype, steps: int = 8, keep: str = "all", **options: Any
) -> tuple[whygrad.Run, list[float]]:
    """A trained neuron's run, and its weight as it was before and after every update."""
    torch.manual_seed(0)
    model = nn.Linear(2, 1).to(dtype)
    x, y = torch.randn(4, 2).to(dtype), torch.randn(4, 1).to(dtype)
    kind = getattr(torch.optim, optimizer)(model.parameters(), **options)
    seen = [float(model.weight[0, 1].detach())]
    with whygrad.record(steps=keep) as run:
        for _ in range(steps):
            kind.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            kind.step()
            seen.append(float(model.weight[0, 1].detach()))
    return run, seen


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("SGD", {"lr": 0.1}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
        ("AdamW", {"lr": 0.01, "eps": 1e-4}),
        ("RMSprop", {"lr": 0.01}),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_update_is_gone_through(optimizer: str, options: dict[str, Any], dtype: torch.dtype) -> None:
    run, seen = train(optimizer, dtype, **options)
    found = run.updates("weight[0,1]@7")
    assert found.since == -1
    assert [found.first, *(move.after for move in found.moves)] == seen
    assert [move.before for move in found.moves] == seen[:-1]
    assert found.moved == Fraction(seen[-1]) - Fraction(seen[0])


def test_a_layer_that_is_made_while_recorded_begins_with_its_random_numbers() -> None:
    torch.manual_seed(0)
    with whygrad.record(steps="all") as run:
        layer = nn.Linear(1, 1)
        first = layer.weight.item()
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (layer(torch.ones(1, 1)) ** 2).sum().backward()
            optimizer.step()
    found = run.updates("weight[0,0]@2")
    assert (found.since, found.first, found.last) == (-1, first, layer.weight.item())
    assert [move.step for move in found.moves] == [0, 1, 2]


def test_what_plain_sgd_lost_is_the_rounding_of_its_sum() -> None:
    run, seen = train("SGD", torch.float16, lr=0.01)
    found = run.updates("weight[0,1]@5")
    lr = Fraction(0.01)
    for move in found.moves:
        gradient = Fraction(run.why(f"weight[0,1].grad@{move.step}", depth=0).value)
        assert move.wanted == Fraction(move.before) - lr * gradient
        assert move.lost == move.wanted - Fraction(move.after)
    assert found.lost == sum(move.lost for move in found.moves)
    assert found.last == seen[6]


def test_a_step_whose_update_was_rounded_away_stood_still() -> None:
    run, seen = train("SGD", torch.bfloat16, lr=1e-5)
    found = run.updates("weight[0,1]")
    assert set(seen) == {seen[0]}
    assert all(move.stood_still for move in found.moves)
    assert "stood still" in repr(found)
    assert "0–7" in repr(found)


def test_a_state_has_a_way_too() -> None:
    run, _ = train("SGD", torch.float32, lr=0.1, momentum=0.9)
    found = run.updates("optimizer.momentum_buffer(weight)[0,1]@6")
    assert found.moves[-1].step == 6
    assert "aten.mul_.Tensor" in found.moves[-1].ops


def test_steps_that_were_not_kept_are_a_gap() -> None:
    run, seen = train("SGD", torch.float32, keep="0,1,5:8", lr=0.1)
    found = run.updates("weight[0,1]@7")
    assert [move.step for move in found.moves] == [0, 1, 5, 6, 7]
    assert [(gap.first, gap.last, gap.before, gap.after) for gap in found.gaps] == [(2, 4, seen[2], seen[5])]
    assert "no numbers were kept" in repr(found)


def test_only_what_lives_across_steps_can_be_asked() -> None:
    run, _ = train("SGD", torch.float32, steps=2, lr=0.1)
    with pytest.raises(AddressError, match="made anew in every step"):
        run.updates("weight[0,1].grad@1")


def test_an_update_by_hand_is_gone_through_too() -> None:
    w = torch.tensor([0.5], requires_grad=True)
    seen = [0.5]
    with whygrad.record(steps="all") as run:
        for _ in range(3):
            (w * w).sum().backward()
            with torch.no_grad():
                w -= 0.1 * w.grad  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
            w.grad = None
            seen.append(float(w.detach()))
    found = run.updates("w[0]@2")
    assert [found.first, *(move.after for move in found.moves)] == seen


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = train("SGD", torch.float16, steps=20, lr=0.1)
    path = str(run.save(tmp_path / "neuron.why"))
    assert main(["why", path, "weight[0,1]@19", "--updates"]) == 0
    text = capsys.readouterr().out
    assert "lost to rounding" in text
    assert "8 smaller updates are not shown" in text
    assert main(["why", path, "weight[0,1]@19", "--updates", "--all", "--json"]) == 0
    assert '"stood_still"' in capsys.readouterr().out
    assert main(["why", path, "weight[0,1]@19", "--updates", "--latex"]) == 2


def test_a_range_is_written_with_a_colon() -> None:
    with pytest.raises(WhygradError, match="found '5-7'"):
        train("SGD", torch.float32, keep="0,5-7", lr=0.1)
