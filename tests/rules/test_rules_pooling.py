"""Pooling and its gradients, channels first and last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.rules.test_rules_reductions import exact, ran

Tensor = torch.Tensor
LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
POOLS: dict[str, tuple[int, Callable[[Tensor], Any]]] = {
    "avg_pool2d": (2, lambda x: F.avg_pool2d(x, (3, 2), 2, 1)),
    "avg_pool2d ceil": (2, lambda x: F.avg_pool2d(x, 2, 2, 1, ceil_mode=True, count_include_pad=False)),
    "avg_pool2d divisor": (2, lambda x: F.avg_pool2d(x, 3, divisor_override=7)),
    "avg_pool3d": (3, lambda x: F.avg_pool3d(x, 2, 1, 1)),
    "max_pool2d_with_indices": (2, lambda x: F.max_pool2d(x, 3, 2, 1)),
    "max_pool2d_with_indices dilated": (2, lambda x: F.max_pool2d(x, 2, 1, 1, 2)),
    "max_pool3d_with_indices": (3, lambda x: F.max_pool3d(x, 2, 1)),
    "_adaptive_avg_pool2d": (2, lambda x: F.adaptive_avg_pool2d(x, (3, 4))),
    "_adaptive_avg_pool3d": (3, lambda x: F.adaptive_avg_pool3d(x, (2, 3, 4))),
    "adaptive_max_pool2d": (2, lambda x: F.adaptive_max_pool2d(x, (3, 4))),
    "adaptive_max_pool3d": (3, lambda x: F.adaptive_max_pool3d(x, (2, 3, 4))),
    "fractional_max_pool2d": (2, lambda x: F.fractional_max_pool2d(x, 2, (3, 4))),
    "fractional_max_pool3d": (3, lambda x: F.fractional_max_pool3d(x, 2, (3, 3, 4))),
    "max_unpool2d": (
        2,
        lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), (2, 2), output_size=x.shape),
    ),
}
NO_16_BITS = ("avg_pool3d",)


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", POOLS)
def test_pooling(name: str, dtype: torch.dtype, last: bool) -> None:
    rank, pool = POOLS[name]
    if name in NO_16_BITS and dtype in (torch.float16, torch.bfloat16):
        pytest.skip("has no kernel")

    def program(_: torch.dtype) -> None:
        torch.manual_seed(0)
        x = torch.randn(2, 18, *(5, 7, 6)[:rank]).to(dtype)
        x = (x.contiguous(memory_format=LAST[rank]) if last else x).requires_grad_()
        y = pool(x)
        g = torch.randn(y.shape).to(dtype)
        y.backward(g.contiguous(memory_format=LAST[rank]) if last else g)

    exact(program, dtype, name.partition(" ")[0])


def test_nan_and_ties() -> None:
    def program(_: torch.dtype) -> None:
        x = torch.tensor(
            [[[1.0, 1.0, float("nan"), 2.0], [1.0, 0.0, float("nan"), 3.0], [float("-inf")] * 4, [float("-inf")] * 4]]
        )
        ran(F.max_pool2d(x, 2, return_indices=True), F.adaptive_max_pool2d(x, 2))

    for op in ("max_pool2d_with_indices", "adaptive_max_pool2d"):
        exact(program, torch.float32, op, 8)


def test_integers() -> None:
    def program(_: torch.dtype) -> None:
        x = torch.arange(-12, 18).view(1, 1, 5, 6)
        ran(F.avg_pool2d(x, 2), F.max_pool2d(x, 2))

    exact(program, torch.int64, "avg_pool2d", 8)
