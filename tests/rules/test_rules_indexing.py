"""Data movement, scatter and gather, bags and segments; and the gradients, which add up what meets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.rules.test_rules_reductions import exact, ran

Tensor = torch.Tensor
AT = torch.tensor([4, 0, 4, 2, 4])
PLACES = torch.tensor([[0, 2, 0, 1, 0], [2, 2, 2, 2, 2]])
REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")
MOVED: dict[str, Callable[[Tensor], Any]] = {
    "rot90": lambda x: x.rot90(),
    "take": lambda x: x.take(PLACES * 3),
    "masked_select": lambda x: x.masked_select(x > 0),
    "masked_scatter": lambda x: x.masked_scatter(x > 0, -x),
    "diag_embed": lambda x: torch.diag_embed(x, 1),
    "block_diag": lambda x: torch.block_diag(x, x[:2], x[0, 0]),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x.view(1, 6, 5, 1), 1),
    "channel_shuffle": lambda x: F.channel_shuffle(x.view(1, 6, 5), 3),
    "reflection_pad1d": lambda x: F.pad(x, (3, 2), mode="reflect"),
    "replication_pad2d": lambda x: F.pad(x.view(1, 1, 6, 5), (3, 2, 1, 4), mode="replicate"),
    "im2col": lambda x: F.unfold(x.view(1, 1, 6, 5), 3, padding=1),
    "col2im": lambda x: F.fold(x[:, :4].reshape(1, 6, 4) * 1, (3, 2), (2, 3), padding=(0, 1)),
    "unfold": lambda x: x.unfold(1, 3, 1) * 1,
    "index_copy": lambda x: x.index_copy(0, torch.tensor([3, 1]), x[:2] * 2),
    "index_fill": lambda x: x.index_fill(1, AT, 0.3),
    "index_add": lambda x: x.index_add(1, AT, x * 2, alpha=0.7),
    "index_select": lambda x: x.index_select(1, AT),
    "index_reduce": lambda x: x.detach().index_reduce(1, AT, x.detach() * 2, "prod"),
    "put": lambda x: x.put(PLACES, torch.ones_like(x[:2]), accumulate=True),
    "scatter_add": lambda x: x.scatter_add(1, PLACES, x[:2] * 3),
    "scatter_reduce": lambda x: [x.detach().scatter_reduce(1, PLACES, x.detach() * 3, r) for r in REDUCTIONS],
    "select_scatter": lambda x: x.select_scatter(x[0] * 2, 0, 1),
    "slice_scatter": lambda x: x.slice_scatter(x[:2] * 2, 0, 1, 5, 2),
    "diagonal_scatter": lambda x: x.diagonal_scatter(x[0] * 2),
    "as_strided_scatter": lambda x: x.as_strided_scatter(x[0, :4].reshape(2, 2) * 2, (2, 2), (5, 2), 3),
    "embedding_dense_backward": lambda x: F.embedding(PLACES, x, padding_idx=1, scale_grad_by_freq=False),
    "_embedding_bag": lambda x: [F.embedding_bag(PLACES, x, mode=m) for m in ("sum", "mean", "max")],
    "segment_reduce": lambda x: torch.segment_reduce(x, "mean", lengths=torch.tensor([2, 4])),
    "unfold_copy": lambda x: torch.unfold_copy(x, 1, 2, 2),
    "split_with_sizes_copy": lambda x: torch.split_with_sizes_copy(x.detach(), [2, 3], 1),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*in beta")
@pytest.mark.filterwarnings("ignore:.*prototype")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("op", MOVED)
def test_movement(op: str, dtype: torch.dtype) -> None:
    def program(_: torch.dtype) -> None:
        torch.manual_seed(0)
        x = torch.randn(6, 5).to(dtype).requires_grad_()
        found = MOVED[op](x)
        for y in found if isinstance(found, (list, tuple)) else [found]:
            if y.requires_grad:
                y.backward(torch.randn(y.shape).to(dtype))

    exact(program, dtype, op)


def test_integers_and_bools() -> None:
    def program(_: torch.dtype) -> None:
        x = torch.arange(30).view(6, 5)
        ran(x.rot90(), x.take(AT), (x > 3).rot90(), x.index_add(1, AT, x), x.scatter_reduce(1, PLACES, x, "mean"))

    for op in ("rot90", "take", "index_add", "scatter_reduce"):
        exact(program, torch.int64, op)


def test_more_places_than_a_short_dtype_can_count() -> None:
    # 600 numbers do not fit bfloat16's eight bits: they are found digit by digit.
    def program(dtype: torch.dtype) -> None:
        x = torch.randn(600, generator=torch.Generator().manual_seed(0)).to(dtype)
        ran(F.interpolate(x.view(1, 1, 600), size=901, mode="nearest"), x.view(20, 30).rot90())

    for op in ("upsample_nearest1d", "rot90"):
        exact(program, torch.bfloat16, op, 40)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64], ids=str)
def test_ranges(dtype: torch.dtype) -> None:
    def program(_: torch.dtype) -> None:
        ran(torch.linspace(-2, 4.5, 23, dtype=dtype), torch.arange(-3, 9, 2, dtype=dtype), torch.eye(3, 4, dtype=dtype))
        ran(torch.tril_indices(3, 4), torch.linspace(torch.tensor(1.0), torch.tensor(3.0), 7, dtype=dtype))

    for op in ("linspace", "arange", "eye", "tril_indices"):
        exact(program, dtype, op, 23)
