"""Sorting, searching, counting: choices, and the sentences that say why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.rules.test_rules_reductions import exact, ran

Tensor = torch.Tensor
CHOICES: dict[str, Callable[[Tensor], Any]] = {
    "sort": lambda x: [x.sort(0), x.sort(dim=1, descending=True, stable=True), x.argsort(), x.msort()],
    "topk": lambda x: [x.topk(2, 0), x.topk(3, 1, largest=False)],
    "unique": lambda x: [
        torch.unique(x, return_inverse=True, return_counts=True),
        torch.unique(x, dim=0, return_inverse=True, return_counts=True),
        torch.unique_consecutive(x, return_inverse=True, return_counts=True),
        torch.unique_consecutive(x, dim=1, return_inverse=True, return_counts=True),
    ],
    "searchsorted": lambda x: [torch.searchsorted(x.sort(1)[0], x), torch.searchsorted(x.sort(1)[0], x, right=True)],
    "bucketize": lambda x: [torch.bucketize(x, torch.tensor([-1.0, 0.0, 1.0]).to(x), right=True)],
    "bincount": lambda x: [
        torch.bincount(x.abs().long().view(-1)),
        torch.bincount(x.abs().long().view(-1), x.view(-1)),
    ],
    "nonzero": lambda x: x.relu().nonzero(),
    "isin": lambda x: torch.isin(x, x[0]),
    "all": lambda x: [x.all(0), (x > 9).any(1)],
    "repeat_interleave": lambda x: x.repeat_interleave(torch.tensor([2, 0, 1, 3]), 0),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("op", CHOICES)
def test_choices(op: str, dtype: torch.dtype) -> None:
    def program(_: torch.dtype) -> None:
        torch.manual_seed(0)
        CHOICES[op]((torch.randn(4, 7) * 2).round().to(dtype))

    exact(program, dtype, op, 12)


def test_scalars() -> None:
    def program(_: torch.dtype) -> None:
        x = torch.tensor(2.5)
        ran(x.sort(), x.topk(1), x.median(), x.mode(), x.kthvalue(1), x.aminmax(), x.cumsum(0), x.unique())

    for op in ("sort", "topk", "median", "mode", "kthvalue", "aminmax", "cumsum", "_unique2"):
        exact(program, torch.float32, op)


def test_histogram() -> None:
    def program(_: torch.dtype) -> None:
        x = torch.randn(200, generator=torch.Generator().manual_seed(0))
        ran(x.histc(7), x.histc(5, -1, 1), x.double().histc(4))

    exact(program, torch.float32, "histc", 8)
