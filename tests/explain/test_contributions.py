"""What examples and paths contributed to a gradient, against gradients that autograd gives for each by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import whygrad
from whygrad.cli import main
from whygrad.explain.contributions import Contributions


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 5), nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.third(torch.tanh(self.second(torch.tanh(self.first(x)))))


def step(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> whygrad.Run:
    with whygrad.record(steps="all") as run:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    return run


def by(found: tuple[Contributions, ...], kind: str) -> Contributions:
    return next(each for each in found if each.by == kind)


@pytest.fixture
def data() -> tuple[Net, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    return Net(), torch.randn(7, 4), torch.randn(7, 3)


@pytest.mark.parametrize(
    ("name", "index"),
    [("first.weight", (2, 1)), ("second.weight", (5, 0)), ("first.bias", (3,)), ("third.weight", (0, 2))],
)
def test_each_example_contributes_its_own_gradient(
    name: str, index: tuple[int, ...], data: tuple[Net, torch.Tensor, torch.Tensor]
) -> None:
    model, x, y = data
    alone: list[float] = []
    for i in range(len(x)):
        model.zero_grad()
        (((model(x[i]) - y[i]) ** 2).sum() / y.numel()).backward()
        gradient = model.get_parameter(name).grad
        assert gradient is not None
        alone.append(float(gradient[index]))
    model.zero_grad()
    run = step(model, x, y)
    address = f"{name}[{','.join(map(str, index))}].grad@0"
    found = by(run.why(address).contributions, "example")
    amounts = {part.label: part.amount for part in found.parts}
    assert [amounts[f"input[{i}]"] for i in range(len(x))] == pytest.approx(alone, rel=1e-4, abs=1e-9)
    total = sum(alone)
    assert found.cancellation == pytest.approx(sum(map(abs, alone)) / abs(total), rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_parts_that_cancel_to_rounding_keep_their_size(dtype: torch.dtype) -> None:
    """At the best line no example is content and the gradient is what rounding left, which may be 0."""
    model = nn.Linear(1, 1).to(dtype)
    x = torch.tensor([[0.0], [0.7], [1.4], [2.1]], dtype=dtype)
    y = torch.tensor([[0.0], [3.0], [2.0], [5.0]], dtype=dtype)
    for left in (0.0, 1.0, 2.0):  # of the bias, in units of its last place
        with torch.no_grad():
            model.weight.fill_(2.0)
            model.bias.fill_(0.4 * (1 + left * torch.finfo(dtype).eps))
        model.zero_grad()
        run = step(model, x, y)
        for name, parts in (("weight[0,0]", [0.0, -0.42, 0.84, -0.42]), ("bias[0]", [0.2, -0.6, 0.6, -0.2])):
            found = by(run.why(f"{name}.grad@0", depth=0).contributions, "example")
            amounts = {part.label: part.amount for part in found.parts}
            near = pytest.approx(parts, abs=8 * torch.finfo(dtype).eps)
            assert [amounts[f"input[{i}]"] for i in range(4)] == near


def test_each_unit_contributes_what_comes_back_through_it(data: tuple[Net, torch.Tensor, torch.Tensor]) -> None:
    model, x, y = data
    alone: list[float] = []
    for unit in range(6):
        model.zero_grad()
        only = torch.zeros(6)
        only[unit] = 1.0
        handle = model.second.register_forward_hook(
            lambda _m, _i, out, only=only: out * only + out.detach() * (1 - only)  # pyright: ignore[reportUnknownLambdaType, reportAttributeAccessIssue, reportOperatorIssue]
        )
        nn.functional.mse_loss(model(x), y).backward()
        handle.remove()
        assert model.first.weight.grad is not None
        alone.append(float(model.first.weight.grad[1, 2]))
    model.zero_grad()
    found = by(step(model, x, y).why("first.weight[1,2].grad@0").contributions, "path")
    amounts = {part.label: part.amount for part in found.parts}
    assert [amounts[f"second.output[·,{unit}]"] for unit in range(6)] == pytest.approx(alone, rel=1e-4, abs=1e-9)


def test_a_tied_weight_has_a_path_for_each_use() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(3, 3)
    x = torch.randn(5, 3)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(torch.tanh(self.layer(x)))

    run = step(Twice(), x, torch.zeros(5, 3))
    why = run.why("layer.weight[0,1].grad@0")
    found = by(why.contributions, "path")
    assert {part.label.rpartition(", ")[2] for part in found.parts} == {"use 1", "use 2"}
    assert found.total == pytest.approx(why.value, rel=1e-6)
    assert by(why.contributions, "example").total == pytest.approx(why.value, rel=1e-5)


def test_a_clipped_gradient_divides_as_it_did_before_it_was_clipped(
    data: tuple[Net, torch.Tensor, torch.Tensor],
) -> None:
    model, x, y = data
    with whygrad.record(steps="all") as run:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        nn.functional.mse_loss(model(x), y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()
    why = run.why("second.weight[2,3].grad@0")
    found = by(why.contributions, "example")
    assert found.total == pytest.approx(why.value, rel=1e-5)
    before = by(run.why("second.weight.unclipped[2,3].grad@0").contributions, "example")
    assert found.cancellation == pytest.approx(before.cancellation, rel=1e-5)


def test_rows_of_one_sequence_are_one_example() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    run = step(model, torch.randn(4, 6, 3), torch.randn(4, 6, 2))
    found = by(run.why("weight[1,0].grad@0").contributions, "example")
    assert {part.label for part in found.parts} == {f"input[{i}]" for i in range(4)}
    assert all(part.count == 6 for part in found.parts)


def test_other_numbers_have_no_contributions(data: tuple[Net, torch.Tensor, torch.Tensor]) -> None:
    run = step(*data)
    assert run.why("first.weight[0,0]@0").contributions == ()
    assert run.why("loss@0").contributions == ()


def test_the_command_names_them(
    data: tuple[Net, torch.Tensor, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(step(*data).save(tmp_path / "net.why"))
    assert main(["why", path, "first.weight[0,0].grad@0"]) == 0
    text = capsys.readouterr().out
    assert "By example, of 7: input[" in text
    assert "By path, of 6: second.output[·," in text.replace("\n│", "")
    assert "times the size of the sum" in text.replace("\n│", "")
    assert main(["why", path, "first.weight[0,0].grad@0", "--json"]) == 0
    assert {each["by"] for each in json.loads(capsys.readouterr().out)["contributions"]} == {"example", "path"}
