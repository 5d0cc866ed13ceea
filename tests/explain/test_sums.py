"""An equation of several sums shows each one's own terms."""

from __future__ import annotations

import re

import torch

import whygrad
from whygrad.rules.expr import sums
from whygrad.view.equation import numeric, symbolic


def test_two_sums_of_one_equation_are_not_mixed_up() -> None:
    torch.manual_seed(0)
    norm, x = torch.nn.LayerNorm(6), torch.randn(3, 6, requires_grad=True)
    with whygrad.record(steps="all") as run:
        (norm(x) ** 3).sum().backward()
    answer = run.why("x[1,2].grad", depth=1).inert
    assert answer.verdict.kind == "same bits"
    assert answer.equation is not None
    dots = sums(answer.equation)
    assert len(dots) > 1
    assert len(answer.more_sums) == len(dots) - 1
    assert len(set(re.findall(r"\(Σᵢ [^()]*\)", symbolic(answer)))) == len(dots)
    for dot in dots:
        info = answer.sum_of(dot)
        assert info is not None
        assert info.count == len(dot.a)
        for term in info.terms:
            first = answer.operands[term.factors[0]]
            assert answer.evaluation is not None
            assert answer.evaluation.inputs.series(dot.a.operand, dot.a.indices)[term.place] == first.value
    assert len(answer.operands) > 6
    assert "more term" in numeric(answer)
    assert "mean[1,0]" in symbolic(answer)
    assert "rstd[1,0]" in symbolic(answer)


def test_a_sum_of_millions_is_not_written_out() -> None:
    x = torch.ones(1 << 21)
    with whygrad.record(steps="all") as run:
        y = (x * 2).sum()
    answer = run.why(y)
    assert answer.value == 1 << 22
    assert answer.verdict.kind == "opaque"
    assert "2,097,152 terms" in answer.verdict.reason
    assert "replayed" in answer.verdict.reason
