"""An equation that is wrong must not pass for one that is only rounded otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import whygrad
from whygrad.explain.nearness import within
from whygrad.rules import pointwise
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Bin, Expr, Num
from whygrad.rules.registry import _RULES, Rule, find_rule  # pyright: ignore[reportPrivateUsage]


@pytest.fixture
def wrong_mul() -> Iterator[None]:
    """A rule for mul that is one percent off."""
    true = find_rule("aten.mul.Tensor")
    assert true is not None

    def wrong(c: OpCall, i: Index) -> Expr:
        return Bin("*", pointwise.mul(c, i), Num(1.01))

    _RULES["aten.mul.Tensor", 0] = Rule(true.ops, wrong, true.rounds, 0)
    yield
    _RULES["aten.mul.Tensor", 0] = true


def _product() -> whygrad.Run:
    w = torch.tensor([1.5], requires_grad=True)
    with whygrad.record() as run:
        y = w * torch.tensor([0.7])
        y.sum().backward()
    return run


def test_a_right_equation_is_accepted() -> None:
    assert _product().why("y[0]").verdict.kind == "same bits"


def test_a_wrong_equation_is_called_opaque(wrong_mul: None) -> None:
    verdict = _product().why("y[0]").verdict
    assert verdict.kind == "opaque"
    assert "does not come near" in verdict.reason


@pytest.mark.parametrize(
    ("result", "size", "accepted"), [(1e-7, 1.0, True), (1e-3, 1.0, False), (1e-3, 100.0, True), (1e-3, 1e-3, False)]
)
def test_near_is_measured_by_what_was_added_up(result: float, size: float, accepted: bool) -> None:
    assert within(result, 0.0, "float32", size) is accepted
