"""Ops that draw random numbers among other things: run again from the recorded state of the generator."""

from __future__ import annotations

import torch

from whygrad.explain.inside.registry import inside

Tensor = torch.Tensor


@inside("aten.rrelu_with_noise")
def rrelu_with_noise(
    x: Tensor, noise: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False
) -> tuple[Tensor, ...]:
    """`y = x·noise`, where noise is drawn for x ≤ 0 (from double precision, one after the other) and 1 elsewhere; without
    training the middle of the interval (aten/src/ATen/native/Activation.cpp). The noise is written into its argument."""
    wide = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
    if not training:
        return (torch.where(x > 0, x, x * ((lower + upper) / 2)),)
    low, high = (float(torch.tensor(bound, dtype=wide)) for bound in (lower, upper))
    mask = x <= 0
    drawn = torch.empty(int(mask.sum()), dtype=torch.float64).uniform_() * (high - low) + low
    slopes = torch.ones_like(x, dtype=wide).masked_scatter(mask, drawn.to(wide))
    return torch.where(mask, (x.to(wide) * slopes).to(x.dtype), x), slopes.to(x.dtype)
