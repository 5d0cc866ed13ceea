"""Distances between rows (aten/src/ATen/native/cpu/DistanceOpsKernel.cpp, native/Distance.cpp)."""

from __future__ import annotations

import math

import torch

from whygrad.explain.inside.registry import inside

Tensor = torch.Tensor


def _norm(d: Tensor, p: float) -> Tensor:
    """`‖d‖ₚ` over the last dimension."""
    if p == 0:
        return (d != 0).to(d.dtype).sum(-1)
    if p == 1:
        return d.abs().sum(-1)
    if p == 2:
        return (d * d).sum(-1).sqrt()
    if math.isinf(p):
        return d.abs().amax(-1)
    return d.abs().pow(p).sum(-1).pow(1 / p)


def _slope(d: Tensor, grad: Tensor, distance: Tensor, p: float) -> Tensor:
    """`grad · ∂‖d‖ₚ/∂d`, 0 where the distance is."""
    grad, distance = grad.unsqueeze(-1), distance.unsqueeze(-1)
    zero = torch.zeros_like(d)
    if p == 0:
        return zero
    if p == 1:
        return grad * d.sign()
    if math.isinf(p):
        return grad * d.sign() * (d.abs() == distance).to(d.dtype)
    if p == 2:
        return torch.where(distance == 0, zero, grad * d / distance)
    if p < 2:
        slope = d.sign() * d.abs().pow(p - 1) * grad / distance.pow(p - 1)
        return torch.where((distance == 0) | ((d == 0) & (p < 1)), zero, slope)
    return torch.where(distance == 0, zero, d * d.abs().pow(p - 2) * grad / distance.pow(p - 1))


@inside("aten._cdist_forward")
def cdist_forward(x1: Tensor, x2: Tensor, p: float, compute_mode: int | None = None) -> Tensor:
    """`y[…,i,j] = ‖x1[…,i,:] − x2[…,j,:]‖ₚ`."""
    return _norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p)


@inside("aten._cdist_backward")
def cdist_backward(grad: Tensor, x1: Tensor, x2: Tensor, p: float, cdist: Tensor) -> Tensor:
    """`∂x1[…,i,:] = Σⱼ grad[…,i,j] · ∂‖x1[…,i,:] − x2[…,j,:]‖ₚ/∂x1`."""
    return _slope(x1.unsqueeze(-2) - x2.unsqueeze(-3), grad, cdist, p).sum(-2)


@inside("aten._pdist_forward")
def pdist_forward(x: Tensor, p: float = 2.0) -> Tensor:
    """`y[k] = ‖x[i,:] − x[j,:]‖ₚ` for the k-th pair i < j."""
    i, j = torch.triu_indices(x.shape[0], x.shape[0], 1).unbind(0)
    return _norm(x[i] - x[j], p)


@inside("aten._pdist_backward")
def pdist_backward(grad: Tensor, x: Tensor, p: float, pdist: Tensor) -> Tensor:
    """Each pair's slope, added to its first row and taken from its second."""
    i, j = torch.triu_indices(x.shape[0], x.shape[0], 1).unbind(0)
    slope = _slope(x[i] - x[j], grad, pdist, p)
    return torch.zeros_like(x).index_add(0, i, slope).index_add(0, j, -slope)
