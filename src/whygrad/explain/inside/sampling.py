"""Sampling at points of a grid (aten/src/ATen/native/GridSampler.cpp and cpu/GridSamplerKernel.cpp)."""

from __future__ import annotations

from itertools import product

import torch

from whygrad.explain.inside.adjoints import ADJOINT, decomposed, gradients
from whygrad.explain.inside.registry import inside
from whygrad.rules.registry import Unruled

Tensor = torch.Tensor
BILINEAR, NEAREST, BICUBIC = 0, 1, 2
ZEROS, BORDER, REFLECTION = 0, 1, 2


def _position(x: Tensor, size: int, padding: int, align_corners: bool) -> Tensor:
    """Where −1 … 1 lies among `size` cells: at their centres' ends with `align_corners`, else at their edges."""
    x = (x + 1) / 2 * (size - 1) if align_corners else ((x + 1) * size - 1) / 2
    if padding == REFLECTION:
        x = _reflected(x, 0, 2 * (size - 1)) if align_corners else _reflected(x, -1, 2 * size - 1)
    return x if padding == ZEROS else x.clamp(0, size - 1)


def _reflected(x: Tensor, twice_low: int, twice_high: int) -> Tensor:
    """x, mirrored into low … high."""
    if twice_low == twice_high:
        return torch.zeros_like(x)
    low, span = twice_low / 2, (twice_high - twice_low) / 2
    x = (x - low).abs()
    extra, flips = torch.fmod(x, span), (x / span).floor()
    return torch.where(torch.fmod(flips, 2) == 0, extra + low, span - extra + low)


def sample(x: Tensor, grid: Tensor, mode: int, padding: int, align_corners: bool) -> Tensor:
    """`y[n,c,o] = Σ over the 2ᵈ cells around grid[n,o] of weight · x[n,c,cell]`, or the nearest cell's; cells outside count as
    0. x: (N, C, *sizes); grid: (N, *outputs, d), its last entry first."""
    if mode not in (BILINEAR, NEAREST):
        raise Unruled("bicubic sampling")
    sizes, dims = x.shape[2:], grid.shape[-1]
    at = [_position(grid[..., dims - 1 - k], sizes[k], padding, align_corners) for k in range(dims)]
    if mode == NEAREST:
        return _cell(x, [each.round() for each in at])
    low = [each.floor() for each in at]
    total: Tensor | None = None
    for corner in product((0, 1), repeat=dims):
        weight = torch.ones_like(at[0])
        for each, floor, one in zip(at, low, corner, strict=True):
            weight = weight * (each - floor if one else 1 - (each - floor))
        part = _cell(x, [floor + one for floor, one in zip(low, corner, strict=True)]) * weight.unsqueeze(1)
        total = part if total is None else total + part
    assert total is not None
    return total


def _cell(x: Tensor, at: list[Tensor]) -> Tensor:
    """x at whole positions, 0 outside."""
    inside_x, flat = torch.ones_like(at[0], dtype=torch.bool), torch.zeros_like(at[0], dtype=torch.int64)
    for each, size in zip(at, x.shape[2:], strict=True):
        inside_x = inside_x & (each >= 0) & (each <= size - 1)
        flat = flat * size + each.detach().clamp(0, size - 1).to(torch.int64)
    rows = flat.flatten(1).unsqueeze(1).expand(-1, x.shape[1], -1)
    cells = x.flatten(2).gather(2, rows).unflatten(2, at[0].shape[1:])
    return cells * inside_x.unsqueeze(1).to(x.dtype)


@inside("aten.grid_sampler_3d")
def grid_sampler_3d(x: Tensor, grid: Tensor, mode: int, padding: int, align_corners: bool) -> Tensor:
    """See `sample`."""
    return sample(x, grid, mode, padding, align_corners)


@inside("aten.grid_sampler_2d_backward", "aten.grid_sampler_3d_backward", words="autograd through its mathematics")
def grid_sampler_backward(
    grad_output: Tensor,
    x: Tensor,
    grid: Tensor,
    mode: int,
    padding: int,
    align_corners: bool,
    output_mask: list[bool],
) -> tuple[Tensor, ...]:
    """Derivatives of `sample` by x and by the grid."""
    return gradients(lambda a, b: sample(a, b, mode, padding, align_corners), [x, grid], [grad_output])


@inside("aten.grid_sampler_2d_backward", words=ADJOINT)
def grid_sampler_2d_backward(
    grad_output: Tensor,
    x: Tensor,
    grid: Tensor,
    mode: int,
    padding: int,
    align_corners: bool,
    output_mask: list[bool],
) -> tuple[Tensor, ...]:
    """The same through torch's decomposition, which knows bicubic sampling; in 16 bits with float32 in between."""
    forward = decomposed(torch.ops.aten.grid_sampler_2d.default)
    wide = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
    found = gradients(
        lambda a, b: forward(a, b, mode, padding, align_corners), [x.to(wide), grid.to(wide)], [grad_output.to(wide)]
    )
    return tuple(each.to(x.dtype) for each in found)
