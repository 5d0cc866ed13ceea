"""Flags on runs whose trouble is known: what is found, and that the number they lead to answers."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import whygrad
from whygrad.findings.flags import Flag, flags
from whygrad.findings.lost_tensors import stayed
from whygrad.findings.places import largest
from whygrad.run import Run
from whygrad.view.flags import flag_dict, flag_text


def recorded(body: Callable[[int], None], steps: int, keep: str = "all") -> Run:
    with whygrad.record(steps=keep) as run:
        for step in range(steps):
            body(step)
    return run


def training(lr: float, dtype: torch.dtype, loss: Callable[[torch.Tensor, int], torch.Tensor]) -> Callable[[int], None]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    x = torch.randn(4, 3).to(dtype)

    def body(step: int) -> None:
        optimizer.zero_grad()
        loss(model(x), step).backward()
        optimizer.step()

    return body


def square(h: torch.Tensor, step: int) -> torch.Tensor:
    return (h * h).mean()


def of_kind(found: tuple[Flag, ...], kind: str) -> list[Flag]:
    return [flag for flag in found if flag.kind == kind]


def test_tensors_whose_updates_are_rounded_away() -> None:
    run = recorded(training(1e-4, torch.bfloat16, square), 5)
    found = of_kind(flags(run.trace), "lost updates")
    assert {flag.tensor for flag in found} == {"weight", "bias"}
    for flag in found:
        assert (flag.first, flag.last, flag.steps, flag.step) == (0, 4, 5, 4)
        why = run.why(flag.address)
        assert why.value == flag.get("value") and why.verdict.kind == "same bits"
        assert run.why(flag.address.replace("@4", "@3")).value == why.value
        assert run.why(flag.address.replace("@4", ".grad@4")).value == flag.get("gradient") != 0
        assert flag.address in flag_text(flag) and "rounded away" in flag_text(flag)


def test_no_flag_where_all_is_well() -> None:
    assert flags(recorded(training(1e-2, torch.float32, square), 12).trace) == ()


def test_where_nothing_was_kept_the_flag_says_what_keeps_it() -> None:
    run = recorded(training(1e-4, torch.bfloat16, square), 5, "none")
    (flag, *_) = of_kind(flags(run.trace), "lost updates")
    assert (flag.address, flag.step) == ("", -1)
    assert "--steps 4" in flag_text(flag)


def test_nan_leads_to_the_op_that_made_it_and_not_to_a_mask() -> None:
    def loss(h: torch.Tensor, step: int) -> torch.Tensor:
        masked = h + torch.zeros(2).masked_fill(torch.tensor([True, False]), -math.inf)
        inner = torch.log(-h.abs() if step == 2 else h.exp())
        return torch.softmax(masked, 1).sum() + inner.mean()

    run = recorded(training(0.1, torch.float32, loss), 5)
    (flag,) = of_kind(flags(run.trace), "non-finite")
    assert (flag.first, flag.step, flag.tensor) == (2, 2, "loss")
    assert math.isnan(flag.get("value"))
    why = run.why(flag.address)
    assert math.isnan(why.value) and why.op is not None and "log" in why.op
    assert all(math.isfinite(each.value) for each in why.operands)
    assert "NaN" in flag_text(flag)


@pytest.mark.parametrize("keep", ["all", "-1"])
def test_an_infinite_gradient_of_a_finite_loss(keep: str) -> None:
    w = torch.tensor([4.0, 0.0], requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)

    def body(step: int) -> None:
        optimizer.zero_grad()
        w.sqrt().sum().backward()
        optimizer.step()

    run = recorded(body, 1, keep)
    (flag,) = of_kind(flags(run.trace), "non-finite")
    assert (flag.tensor, flag.get("gradients"), flag.get("weights")) == ("w", 1, 1)
    why = run.why(flag.address)
    assert why.value == math.inf and all(math.isfinite(each.value) for each in why.operands)
    assert "1 gradient and 1 weight" in flag_text(flag)


@pytest.mark.parametrize(("lr", "size"), [(3.0, "large"), (1e-9, "small")])
def test_updates_out_of_proportion(lr: float, size: str) -> None:
    run = recorded(training(lr, torch.float64, square), 12)
    found = of_kind(flags(run.trace), "update ratio")
    assert {flag.tensor for flag in found} == {"weight", "bias"}
    assert all(flag.step == 11 and size in flag_text(flag) for flag in found)
    assert all(run.why(flag.address).verdict.kind == "same bits" for flag in found)


def test_a_loss_of_zero() -> None:
    run = recorded(training(0.1, torch.float32, lambda h, step: (h * 0).sum()), 3)
    (flag,) = of_kind(flags(run.trace), "exact zero")
    assert flag.address == "loss@0" and run.why(flag.address).value == 0
    assert flag_dict(flag)["text"][1] == ["loss@0", "0.0"]


@pytest.mark.parametrize("shape", [(3, 5), (700_000,), (1000, 701)])
def test_the_largest_of_a_tensor_is_found_in_blocks(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).standard_normal(shape)
    index, size = largest(np.abs, values)
    assert index == np.unravel_index(np.argmax(np.abs(values)), shape)
    assert size == np.abs(values)[index]
    values[(-1,) * len(shape)] = np.nan
    assert largest(np.abs, values)[0] == tuple(n - 1 for n in shape)


def test_lost_updates_of_a_large_tensor_are_found_without_a_second_copy_of_it() -> None:
    before = np.ones(4_000_000, np.float32)
    slope = np.full(4_000_000, 1e-3, np.float32)
    slope[3_999_999] = -1
    tracemalloc.start()
    try:
        assert largest(stayed, before, before, slope) == ((3_999_999,), 1.0)
        assert tracemalloc.get_traced_memory()[1] < before.nbytes
    finally:
        tracemalloc.stop()
