"""Every op alone: what PyTorch returned, element by element, against the equation of its rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.rules import harness
from whygrad.rules.expr import Num
from whygrad.rules.registry import find_rule, rule

Tensor = torch.Tensor
Op = Callable[[Tensor, Tensor], Any]
LABELS = torch.tensor([1, 0, 4, 2, 2, -100])
ROWS = torch.tensor([[2, 0], [4, 2]])

MOVEMENT: dict[str, Op] = {
    "clone": lambda x, y: x.clone(),
    "contiguous": lambda x, y: x.t().contiguous(),
    "copy_": lambda x, y: x.clone().copy_(y[:1]),
    "to half": lambda x, y: x.to(torch.float16),
    "to bfloat16": lambda x, y: x.to(torch.bfloat16),
    "to float32": lambda x, y: x.to(torch.float32),
    "to float64": lambda x, y: x.to(torch.float64),
    "to int": lambda x, y: (x * 10).to(torch.int64),
    "to bool": lambda x, y: x.to(torch.bool),
    "from int": lambda x, y: LABELS.to(x.dtype),
    "view": lambda x, y: x.view(3, 10),
    "reshape of a transpose": lambda x, y: x.t().reshape(3, 10),
    "expand": lambda x, y: x[0].expand(4, 5),
    "permute": lambda x, y: x.view(3, 2, 5).permute(2, 0, 1),
    "slice": lambda x, y: x[1:5:2, 2:],
    "select": lambda x, y: x[:, 3],
    "squeeze": lambda x, y: x[:, 3:4].squeeze(1).unsqueeze(0),
    "split": lambda x, y: x.split(2)[1],
    "unbind": lambda x, y: x.unbind(1)[2],
    "diagonal": lambda x, y: x.diagonal(),
    "cat": lambda x, y: torch.cat([x, y[:2], torch.empty(0).to(x)]),
    "cat columns": lambda x, y: torch.cat([x, y], 1),
    "stack": lambda x, y: torch.stack([x, y], 1),
    "pad": lambda x, y: F.pad(x, (1, -1, 2, 0), value=0.5),
    "flip": lambda x, y: x.flip(0, 1),
    "roll": lambda x, y: x.roll((1, -2), (0, 1)),
    "roll flat": lambda x, y: x.roll(4),
    "repeat": lambda x, y: x.repeat(2, 1, 3),
    "tril": lambda x, y: x.tril(-1),
    "triu": lambda x, y: x.triu(1),
    "gather": lambda x, y: x.gather(1, ROWS),
    "index_select": lambda x, y: x.index_select(0, ROWS[1]),
    "index rows": lambda x, y: x[ROWS],
    "index pairs": lambda x, y: x[ROWS[0], ROWS[1]],
    "index column": lambda x, y: x[:, ROWS[1]],
    "index mask": lambda x, y: x[x > 0],
    "index_put": lambda x, y: x.index_put((ROWS[0], ROWS[1]), y[0, :2]),
    "index_put twice": lambda x, y: x.index_put((ROWS[0] * 0, ROWS[1] * 0), y[0, :2], accumulate=True),
    "scatter": lambda x, y: x.scatter(0, ROWS, y),
    "scatter value": lambda x, y: x.scatter(1, ROWS, 0.25),
    "scatter_add": lambda x, y: x.scatter_add(0, ROWS, y),
    "embedding": lambda x, y: F.embedding(ROWS, x),
    "where": lambda x, y: torch.where(x > y, x, y),
    "masked_fill": lambda x, y: x.masked_fill(x > 0, -1.5),
    "max": lambda x, y: x.max(),
    "max of rows": lambda x, y: x.max(1),
    "min of columns": lambda x, y: x.min(0, keepdim=True),
    "amax": lambda x, y: x.amax((0, 1)),
    "argmax": lambda x, y: x.argmax(1),
    "argmin": lambda x, y: x.argmin(),
    "sort": lambda x, y: x.sort(1)[0],
    "topk": lambda x, y: x.topk(2, 1)[0],
    "questions": lambda x, y: [(x > 0) & (y > 0), ~(x > 0), (x > 0) | (y > 0), (x > 0) ^ (y > 0), (x < 9).all(), (x > 9).any()],
    "comparisons": lambda x, y: [x < y, x <= y, x > 0, x >= 0, x == x, x != y],
    "logical": lambda x, y: [x.logical_not(), x.logical_and(y), x.isnan(), x.isinf()],
}  # fmt: skip
FACTORIES: dict[str, Op] = {
    "zeros": lambda x, y: [torch.zeros(3).to(x), torch.zeros_like(x), x.new_zeros(3), x.clone().zero_()],
    "ones": lambda x, y: [torch.ones(3, dtype=x.dtype), torch.ones_like(x), x.new_ones(2)],
    "full": lambda x, y: [torch.full((3,), 0.1, dtype=x.dtype), torch.full_like(x, 0.1), x.clone().fill_(0.1)],
    "scalar": lambda x, y: torch.scalar_tensor(0.1, dtype=x.dtype),
    "arange": lambda x, y: [torch.arange(5), torch.arange(2, 9, 3), torch.arange(0, 1, 0.25, dtype=x.dtype)],
    "linspace": lambda x, y: torch.linspace(0.5, 2, 5),
    "eye": lambda x, y: torch.eye(3, dtype=x.dtype),
}
RANDOM: dict[str, Op] = {
    "rand": lambda x, y: [torch.rand(3, dtype=x.dtype), torch.rand_like(x), x.clone().uniform_(-1, 2)],
    "randn": lambda x, y: [torch.randn(3, dtype=x.dtype), torch.randn_like(x), x.clone().normal_(0, 2)],
    "randint": lambda x, y: [torch.randint(5, (3,)), torch.randint(2, 5, (3,)), torch.randperm(4)],
    "bernoulli": lambda x, y: [x.clone().bernoulli_(0.3), x.sigmoid().bernoulli(), F.dropout(x, 0.3)],
    "native_dropout": lambda x, y: torch.native_dropout(x, 0.3, True)[0],
}
ARITHMETIC: dict[str, Op] = {
    "add": lambda x, y: [x + y, x + 0.3, x.add(y, alpha=-0.1), x.clone().add_(y, alpha=0.7)],
    "sub": lambda x, y: [x - y, x - 0.3, 0.3 - x, x.sub(y, alpha=0.3)],
    "mul": lambda x, y: [x * y, x * 0.3, x.clone().mul_(y)],
    "div": lambda x, y: [x / y, x / 0.3, x.clone().div_(0.7), 1 / x],
    "addcmul": lambda x, y: [x.addcmul(x, y, value=0.3), x.clone().addcdiv_(x, y, value=-0.1)],
    "lerp": lambda x, y: [x.lerp(y, 0.1), x.lerp(y, 0.9)],
    "neg": lambda x, y: [-x, x.abs(), x.sign(), x.sgn(), x.floor()],
    "extremes": lambda x, y: [x.clamp(-0.5, 0.5), x.maximum(y), x.minimum(y), x.clamp_min(0)],
    "pow": lambda x, y: [x**2, x**3],
    "sums": lambda x, y: [x.sum(), x.sum(0), x.sum(1, keepdim=True), x.mean(), x.mean(1), x[0, 0].sum()],
}
GELUS: dict[str, Op] = {
    "gelu": lambda x, y: [F.gelu(x), F.gelu(x, approximate="tanh")],
    "xlogy": lambda x, y: torch.xlogy(x.abs(), y.abs()),
    "selu": lambda x, y: [F.selu(x), F.celu(x, 1.3), F.elu(x)],
    "addmv": lambda x, y: [x @ y[0], torch.addmv(x[:, 0], x, y[0])],
    "dot": lambda x, y: [x[0] @ y[0], torch.bmm(x.view(2, 3, 5), y.view(2, 5, 3))],
}
OPS = {**MOVEMENT, **FACTORIES, **RANDOM, **ARITHMETIC, **GELUS}
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


def program(op: Op) -> Callable[[torch.dtype], Any]:
    def run(dtype: torch.dtype) -> Any:
        x, y = torch.randn(6, 5).to(dtype), torch.randn(6, 5).to(dtype)
        return op(x, y)

    return run


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", OPS)
def test_an_op_gives_the_recorded_bits(name: str, dtype: torch.dtype) -> None:
    table = harness.shares(harness.record(program(OPS[name]), dtype), samples=40)
    assert sum(share.sampled for share in table.values()) > 0
    bad = {k: s for k, s in table.items() if s.opaque or s.same < s.sampled}
    assert not bad, "\n" + harness.table(bad)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_scaled_bias_is_within_one_ulp(dtype: torch.dtype) -> None:
    """Where MKL adds a scaled bias differs from column to column; the neighbours may speak for another order than an
    element's own, which is then said to be replayed."""
    table = harness.shares(
        harness.record(program(lambda x, y: torch.addmm(x, x @ x.t(), y, beta=0.5)), dtype), samples=40
    )
    share = next(share for key, share in table.items() if key[0].startswith("aten.addmm"))
    assert share.opaque == 0 and share.worst <= 1 and share.same >= 0.9 * share.sampled > 0


def test_an_in_place_op_has_the_rule_of_the_op() -> None:
    for op in ("aten.div_.Scalar", "aten.add_.Tensor", "aten.relu_.default", "aten.copy_.default"):
        plain = op.replace("_.", ".")
        assert find_rule(op) is find_rule(plain) is not None, op
    assert find_rule("aten.no_such_op.default") is None
    assert find_rule("aten.split.Tensor", 3) is find_rule("aten.split.Tensor", 0)


def test_a_second_rule_for_an_op_is_refused() -> None:
    find_rule("aten.relu.default")
    with pytest.raises(ValueError, match=r"relu.*two rules"):
        rule("aten.relu")(lambda c, i: Num(0))
