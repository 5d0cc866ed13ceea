"""Losses that a kernel computes by calling other ops (aten/src/ATen/native/Loss.cpp)."""

from __future__ import annotations

import torch

from whygrad.explain.inside.registry import inside

Tensor = torch.Tensor
NONE, MEAN = 0, 1


@inside("aten.soft_margin_loss", words="the ops that its kernel calls")
def soft_margin_loss(x: Tensor, target: Tensor, reduction: int = MEAN) -> Tensor:
    """`log(1 + exp(−x·t))`, stored in the dtype after each op: in float16 exp may overflow. Then the mean or the sum."""
    losses = torch.log1p(torch.exp(torch.neg(x) * target))
    if reduction == NONE:
        return losses
    return losses.mean() if reduction == MEAN else losses.sum()
