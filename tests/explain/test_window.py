"""A large parameter's update, explained from a stretch around the asked element: the same answer as from all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import whygrad
from whygrad.explain import window
from whygrad.explain.window import Window


def train(name: str, dtype: torch.dtype, **options: Any) -> whygrad.Run:
    torch.manual_seed(1)
    w = torch.randn(70, 301).to(dtype).requires_grad_()
    optimizer = getattr(torch.optim, name)([w], **options)
    target = torch.randn(70, 301).to(dtype)
    with whygrad.record(steps="all") as run:
        for _ in range(3):
            optimizer.zero_grad()
            ((w - target) ** 2).sum().backward()
            optimizer.step()
    return run


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"lr": 0.1, "momentum": 0.9}),
        ("AdamW", {"lr": 0.01, "eps": 1e-4}),
        ("Adam", {"lr": 0.01, "foreach": True, "amsgrad": True}),
        ("RMSprop", {"lr": 0.01, "centered": True}),
    ],
)
def test_the_answer_is_that_of_the_whole(
    name: str, options: dict[str, Any], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(name, dtype, **options)
    places = [(0, 0), (13, 200), (57, 3), (69, 300), (69, 299)]
    found = [whygrad.Run(run.trace).why(f"w[{i},{j}]@2", depth=3).to_dict() for i, j in places]
    monkeypatch.setattr(window, "LARGE", 1 << 40)
    whole = [whygrad.Run(run.trace).why(f"w[{i},{j}]@2", depth=3).to_dict() for i, j in places]
    assert found == whole


def test_only_a_stretch_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = train("AdamW", torch.float32, lr=0.01)
    sizes: list[int] = []
    step = torch.optim.AdamW.step

    def seen(self: Any, *args: Any) -> Any:
        sizes.append(self.param_groups[0]["params"][0].numel())
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", seen)
    answer = run.why("w[69,300]@1")
    assert answer.verdict.kind in ("same bits", "replayed")
    assert set(sizes) == {70 * 301 % window.SIZE}


def test_a_number_inside_the_update_can_be_asked_again() -> None:
    run = train("AdamW", torch.float32, lr=0.01)
    answer = run.why("w[40,7]@1", depth=2)
    inside = [operand.address for operand in answer.operands if operand.address.startswith("optimizer.op")]
    assert inside
    for address in inside:
        assert "[40,7]" in address
        assert run.why(address).address == address


def test_an_update_that_is_not_elementwise_is_run_whole() -> None:
    run = train("Adafactor", torch.float32, lr=0.01)
    world = run.why("w[3,4]@1").evaluation.call.trace
    assert max(value.numel for value in world.step(1).values.values()) == 70 * 301


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.data())
def test_an_index_and_its_place_in_the_stretch(shape: list[int], data: st.DataObject) -> None:
    index = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    start = data.draw(st.integers(0, int(np.ravel_multi_index(index, shape))))
    stretch = Window(tuple(shape), start, start + 1)
    assert stretch.inside(index) == (int(np.ravel_multi_index(index, shape)) - start,)
    assert stretch.outside(stretch.inside(index)) == index
