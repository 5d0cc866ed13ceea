"""Sequences of different lengths laid one step in time after the other (aten/src/ATen/native/PackedSequence.cpp)."""

from __future__ import annotations

import torch

from whygrad.explain.inside.registry import inside

Tensor = torch.Tensor


@inside("aten._pack_padded_sequence")
def pack_padded_sequence(x: Tensor, lengths: Tensor, batch_first: bool) -> tuple[Tensor, Tensor]:
    """Of each step in time the examples that are as long, `n[t] = Σₖ [lengthₖ > t]` of them: x (T, N, …), or (N, T, …) if
    `batch_first`; lengths (N,), none longer than the one before → (Σ lengths, …) and n (largest length,)."""
    steps = x.transpose(0, 1) if batch_first else x
    at = torch.arange(int(lengths.max()))
    counts = (lengths.unsqueeze(0) > at.unsqueeze(1)).sum(1)
    return torch.cat([steps[t, :n] for t, n in enumerate(counts.tolist())]), counts
