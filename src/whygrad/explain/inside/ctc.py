"""Connectionist temporal classification (aten/src/ATen/native/LossCTC.cpp; Graves et al., ICML 2006): the recursions over the
extended target blank, t₁, blank, t₂, …, blank, all examples of the batch at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from whygrad.explain.inside.registry import inside

Tensor = torch.Tensor
Lengths = Any
"""A list, or a tensor, of one length an example."""


@dataclass(frozen=True)
class _Batch:
    """`labels[n,s]` the extended target, `skips[n,s]` whether s may be reached from s − 2, `ends[n]` the last time step,
    `last[n]` the last s (twice the target's length)."""

    labels: Tensor
    skips: Tensor
    ends: Tensor
    last: Tensor

    def scores(self, log_probs: Tensor) -> Tensor:
        """`log_probs` of each label: (time, batch, s)."""
        return log_probs.gather(2, self.labels.unsqueeze(0).expand(log_probs.shape[0], -1, -1))


def _batch(log_probs: Tensor, targets: Tensor, inputs: Lengths, lengths: Lengths, blank: int) -> _Batch:
    ends, counts = _lengths(inputs) - 1, _lengths(lengths)
    rows = list(targets.unbind(0)) if targets.dim() == 2 else list(targets.split(counts.tolist()))
    width = int(counts.max())
    labels = torch.full((len(rows), 2 * width + 1), blank, dtype=torch.int64)
    for row, (target, count) in enumerate(zip(rows, counts.tolist(), strict=True)):
        labels[row, 1 : 2 * count : 2] = target[:count].to(torch.int64)
    skips = torch.zeros_like(labels, dtype=torch.bool)
    skips[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return _Batch(labels, skips, ends, 2 * counts)


def _lengths(lengths: Lengths) -> Tensor:
    return lengths.to(torch.int64) if isinstance(lengths, Tensor) else torch.tensor(list(lengths), dtype=torch.int64)


def _shifted(x: Tensor, by: int) -> Tensor:
    """x[s − by], −∞ where there is none."""
    empty = torch.full((x.shape[0], min(abs(by), x.shape[1])), -torch.inf, dtype=x.dtype)
    return torch.cat([empty, x[:, :-by]], 1) if by > 0 else torch.cat([x[:, -by:], empty], 1)


def _log_sum(parts: list[Tensor]) -> Tensor:
    """`log Σ exp`, −∞ of nothing."""
    top = parts[0]
    for part in parts[1:]:
        top = torch.maximum(top, part)
    finite = torch.where(top == -torch.inf, torch.zeros_like(top), top)
    total = torch.exp(parts[0] - finite)
    for part in parts[1:]:
        total = total + torch.exp(part - finite)
    return torch.log(total) + finite


def _alphas(batch: _Batch, scores: Tensor) -> list[Tensor]:
    """`α[t,s] = log(exp α[t−1,s] + exp α[t−1,s−1] + exp α[t−1,s−2]) + score[t,s]`; the last only where it may skip."""
    nothing = torch.full_like(scores[0], -torch.inf)
    start = torch.arange(scores.shape[2]) < torch.minimum(batch.last + 1, torch.tensor(2)).unsqueeze(1)
    alphas = [torch.where(start, scores[0], nothing)]
    within = torch.arange(scores.shape[2]) <= batch.last.unsqueeze(1)
    for score in scores[1:]:
        one = alphas[-1]
        two = torch.where(batch.skips, _shifted(one, 2), nothing)
        alphas.append(torch.where(within, _log_sum([one, _shifted(one, 1), two]) + score, nothing))
    return alphas


def _betas(batch: _Batch, scores: Tensor) -> list[Tensor]:
    """The same from the end: `β[t,s]` from t + 1 and s, s + 1, s + 2."""
    nothing = torch.full_like(scores[0], -torch.inf)
    place = torch.arange(scores.shape[2])
    end = (place <= batch.last.unsqueeze(1)) & (place >= (batch.last - 1).unsqueeze(1))
    betas: list[Tensor] = []
    one = nothing
    for t in range(scores.shape[0] - 1, -1, -1):
        two = _shifted(torch.where(batch.skips, one, nothing), -2)
        inner = _log_sum([one, _shifted(one, -1), two]) + scores[t]
        first = torch.where(end, scores[t], nothing)
        when = (batch.ends - t).unsqueeze(1)
        one = torch.where(when == 0, first, torch.where(when > 0, inner, nothing))
        betas.insert(0, one)
    return betas


@inside("aten._ctc_loss")
def ctc_loss(
    log_probs: Tensor, targets: Tensor, inputs: Lengths, lengths: Lengths, blank: int = 0, zero_infinity: bool = False
) -> tuple[Tensor, Tensor]:
    """`−log(exp α[T−1,2L] + exp α[T−1,2L−1])` of each example, and α (batch, time, s). Infinite losses are left to the
    caller, whatever `zero_infinity` says."""
    batch = _batch(log_probs, targets, inputs, lengths, blank)
    alpha = torch.stack(_alphas(batch, batch.scores(log_probs)), 1)
    rows = torch.arange(alpha.shape[0])
    final = alpha[rows, batch.ends]
    last = final[rows, batch.last]
    before = torch.where(batch.last > 0, final[rows, (batch.last - 1).clamp(0)], torch.full_like(last, -torch.inf))
    return -_log_sum([last, before]), alpha


@inside("aten._ctc_loss_backward")
def ctc_loss_backward(
    grad: Tensor,
    log_probs: Tensor,
    targets: Tensor,
    inputs: Lengths,
    lengths: Lengths,
    neg_log_likelihood: Tensor,
    log_alpha: Tensor,
    blank: int,
    zero_infinity: bool = False,
) -> Tensor:
    """`∂[t,n,c] = grad[n]·(exp y − exp(log Σ exp(α + β) + nll − y))`, the sum over the places s whose label is c."""
    batch = _batch(log_probs, targets, inputs, lengths, blank)
    scores = batch.scores(log_probs)
    within = torch.arange(scores.shape[2]) <= batch.last.unsqueeze(1)
    timely = torch.arange(scores.shape[0]).unsqueeze(1) <= batch.ends
    known = within.unsqueeze(0) & timely.unsqueeze(2)  # the kernel leaves the rest of its memory unwritten
    alpha = torch.where(known, log_alpha.transpose(0, 1), torch.full_like(scores, -torch.inf))
    both = alpha + torch.stack(_betas(batch, scores))
    labels = batch.labels.unsqueeze(0).expand(log_probs.shape[0], -1, -1)
    top = torch.full_like(log_probs, -torch.inf).scatter_reduce(2, labels, both, "amax")
    finite = torch.where(top == -torch.inf, torch.zeros_like(top), top)
    parts = torch.exp(both - finite.gather(2, labels))
    sums = torch.log(torch.zeros_like(log_probs).scatter_add(2, labels, parts)) + finite
    slope = torch.exp(log_probs) - torch.exp(sums + neg_log_likelihood.unsqueeze(1) - log_probs)
    live = (torch.arange(log_probs.shape[0]).unsqueeze(1) <= batch.ends).unsqueeze(2)
    if zero_infinity:
        live = live & (neg_log_likelihood != torch.inf).unsqueeze(1)
    return torch.where(live, slope * grad.unsqueeze(1), torch.zeros_like(slope))
