"""Backward ops of indexing and of dropout, whose results are sums of few terms or zeros, against PyTorch's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from tests.rules import harness

Tensor = torch.Tensor
ROWS = torch.tensor([3, 1, 1, 0, 3, 1])
PROGRAMS: dict[str, tuple[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "embedding": ("aten.embedding_dense_backward", lambda w, x: F.embedding(ROWS, w, padding_idx=0) * x),
    "select": ("aten.select_backward", lambda w, x: w[2] * x[0]),
    "slice": ("aten.slice_backward", lambda w, x: w[1:3] * x[:2]),
    "dropout": ("aten.native_dropout_backward", lambda w, x: torch.native_dropout(w, 0.5, True)[0] * x[:4]),
    "gather": ("aten.scatter_add", lambda w, x: w.gather(0, ROWS.reshape(6, 1).expand(6, 3)) * x),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_that_are_gathered(name: str, dtype: torch.dtype) -> None:
    op, function = PROGRAMS[name]

    def program(dtype: torch.dtype) -> None:
        torch.manual_seed(1)
        w, x = torch.randn(4, 3).to(dtype).requires_grad_(), torch.randn(6, 3).to(dtype)
        function(w, x).sum().backward()

    found = {key[0]: share for key, share in harness.shares(harness.record(program, dtype), samples=40).items()}
    mine = [share for key, share in found.items() if key.startswith(op)]
    assert mine, sorted(found)
    assert all(share.opaque == 0 and share.same == share.sampled > 0 for share in mine), mine
