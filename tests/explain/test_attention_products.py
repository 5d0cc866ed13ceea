"""Products that are scaled and added: where the kernels multiply by alpha, and what they round."""

from __future__ import annotations

import pytest
import torch

from tests.rules.harness import Shares, record, shares

SCALES = [(1, 1), (1, 0.3), (0.3, 1), (0.5, 0.7), (0, 0.3)]
# Rows, terms, columns: MKL's matrix kernels, its kernels for small matrices, and several panels of terms.
SIZES = [(16, 32, 24), (3, 8, 6), (5, 300, 13), (20, 30, 1)]


def _programs(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    for rows, terms, columns in SIZES:
        bias = torch.randn(2, rows, columns).to(dtype)
        left, right = torch.randn(2, rows, terms).to(dtype), torch.randn(2, terms, columns).to(dtype)
        turned = torch.randn(2, columns, terms).to(dtype).transpose(1, 2)
        for beta, alpha in SCALES:
            for b in (right, turned):
                torch.addmm(bias[0], left[0], b[0], beta=beta, alpha=alpha)
                torch.baddbmm(bias, left, b, beta=beta, alpha=alpha)
            for a in (left[0], torch.randn(terms, rows).to(dtype).t()):
                torch.addmv(bias[0, :, 0], a, right[0, :, 0], beta=beta, alpha=alpha)


@pytest.fixture(scope="module", params=["float32", "float64", "bfloat16", "float16"])
def found(request: pytest.FixtureRequest) -> Shares:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return shares(record(_programs, getattr(torch, request.param)), samples=2)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("op", ["addmm", "baddbmm", "addmv"])
def test_scaled_products_have_their_bits(found: Shares, op: str) -> None:
    dtype = next(dtype for name, dtype in found if name == "aten.addmm.default")
    share = found[f"aten.{op}.default", dtype]
    assert share.sampled >= 50
    # What is left are elements of MKL's kernels for small matrices whose rows begin at odd places in memory.
    assert share.same >= (1 if dtype in ("bfloat16", "float16") else 0.9) * share.sampled, share
