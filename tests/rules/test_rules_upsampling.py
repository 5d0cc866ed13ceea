"""Interpolation and its gradients: which neighbours, which weights, and where products are fused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.rules.test_rules_reductions import exact, ran
from whygrad.floats import number_format
from whygrad.rules.upsampling_weights import Dimension, antialiased, cubic, linear

MODES: dict[str, tuple[str, dict[str, Any], int]] = {
    "upsample_nearest1d": ("nearest", {}, 1),
    "upsample_nearest2d": ("nearest", {}, 2),
    "_upsample_nearest_exact2d": ("nearest-exact", {}, 2),
    "upsample_nearest3d": ("nearest", {}, 3),
    "upsample_linear1d": ("linear", {"align_corners": False}, 1),
    "upsample_bilinear2d": ("bilinear", {"align_corners": False}, 2),
    "upsample_bilinear2d corners": ("bilinear", {"align_corners": True}, 2),
    "upsample_trilinear3d": ("trilinear", {"align_corners": False}, 3),
    "upsample_bicubic2d": ("bicubic", {"align_corners": False}, 2),
    "_upsample_bilinear2d_aa": ("bilinear", {"antialias": True}, 2),
    "_upsample_bicubic2d_aa": ("bicubic", {"antialias": True}, 2),
}
SIZES = [(5, 3, 9), (8, 17, 13), (11, 3, 2)]


@pytest.mark.parametrize("channels", [1, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", MODES)
def test_interpolation(name: str, dtype: torch.dtype, channels: int) -> None:
    mode, options, rank = MODES[name]
    if "antialias" in options and dtype in (torch.float16, torch.bfloat16):
        pytest.skip("has no kernel")

    def program(_: torch.dtype) -> None:
        torch.manual_seed(0)
        for size in SIZES:
            x = torch.randn(1, channels, *(4, 6, 5)[:rank]).to(dtype)
            if channels > 1 and rank == 2:
                x = x.contiguous(memory_format=torch.channels_last)
            y = F.interpolate(x.requires_grad_(), size=size[:rank], mode=mode, **options)
            y.backward(torch.randn(y.shape).to(dtype))

    exact(program, dtype, name.partition(" ")[0], 4)


@pytest.mark.parametrize("scale", [0.5, 1.5, 2.0, 2.3])
def test_by_a_factor(scale: float) -> None:
    def program(_: torch.dtype) -> None:
        x = torch.randn(1, 3, 7, 6, generator=torch.Generator().manual_seed(0))
        ran(F.interpolate(x, scale_factor=scale, mode="bilinear"), F.interpolate(x, scale_factor=scale, mode="bicubic"))

    exact(program, torch.float32, "upsample", 8)


def test_large_pictures_go_dimension_by_dimension() -> None:
    def program(_: torch.dtype) -> None:
        x = torch.randn(1, 1, 9, 8, generator=torch.Generator().manual_seed(0))
        F.interpolate(x, size=(70, 75), mode="bilinear")

    exact(program, torch.float32, "upsample_bilinear2d", 40)


def test_a_single_column_antialiased() -> None:
    # The kernel gives every row of one column the weights of the first.
    def program(_: torch.dtype) -> None:
        x = torch.randn(1, 2, 9, 1, generator=torch.Generator().manual_seed(0))
        F.interpolate(x, size=(4, 1), mode="bilinear", antialias=True)

    exact(program, torch.float32, "_upsample_bilinear2d_aa", 8)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("rank", [2, 3])
def test_grids(rank: int, padding: str, mode: str) -> None:
    def program(_: torch.dtype) -> None:
        torch.manual_seed(0)
        x, grid = torch.randn(2, 3, *(5, 6, 4)[:rank]), torch.rand(2, *(4, 3, 5)[:rank], rank) * 3 - 1.5
        for corners in (False, True):
            F.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=corners)

    exact(program, torch.float32, f"grid_sampler_{rank}d", 20)


def test_weights() -> None:
    single = number_format("float32")
    d = Dimension(4, 8, False, None, single, single)
    assert linear(d, 0).weights == (1.0, 0.0)
    assert linear(d, 3) == linear(d, 3).__class__((1, 2), (0.75, 0.25))
    assert cubic(d, 0).at == (0, 0, 0, 1)
    assert antialiased(Dimension(8, 4, False, None, single, single), 1, 2).weights == (0.125, 0.375, 0.375, 0.125)
