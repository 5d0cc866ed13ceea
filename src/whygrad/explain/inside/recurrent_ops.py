"""Steps of oneDNN's recurrent layers that are no ATen op, as ops of their own, so that a tape sees them. Their rules are in
`rules/recurrent.py`. Source: oneDNN src/cpu/rnn/ and src/cpu/x64/rnn/ (gemm for the matrices, the rest in one kernel)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from whygrad.floats.elementary import ONEDNN, evaluate_array
from whygrad.rules.recurrent import PANELS

Tensor = torch.Tensor
_KEPT: list[torch.library.Library] = []
"""A library's ops live as long as the library."""


@cache
def recurrent_ops() -> Any:
    """The ops, defined at the first call: tanh_onednn and sigmoid_onednn; `gemm(start, a, b, pairs)`, which adds a·b onto a
    start, (N, K) by (K, O), `pairs` as the instruction for bfloat16 does (VDPBF16PS); gemm_from_zero(a, b, pairs); sum_rows,
    one row after the other. All in float32."""
    library = torch.library.Library("whygrad", "FRAGMENT")
    for name in ("tanh", "sigmoid"):
        library.define(f"{name}_onednn(Tensor x) -> Tensor")
    library.impl("tanh_onednn", _tanh, "CPU")
    library.impl("sigmoid_onednn", _sigmoid, "CPU")
    library.define("gemm(Tensor start, Tensor a, Tensor b, bool pairs) -> Tensor")
    library.impl("gemm", _gemm, "CPU")
    library.define("gemm_from_zero(Tensor a, Tensor b, bool pairs) -> Tensor")
    library.impl("gemm_from_zero", _gemm_from_zero, "CPU")
    library.define("sum_rows(Tensor x) -> Tensor")
    library.impl("sum_rows", _sum_rows, "CPU")
    _KEPT.append(library)
    return torch.ops.whygrad


def _tanh(x: Tensor) -> Tensor:
    return _by("tanh", x)


def _sigmoid(x: Tensor) -> Tensor:
    return _by("sigmoid", x)


def _by(function: str, x: Tensor) -> Tensor:
    found = evaluate_array(function, (x.contiguous().numpy(),), "float32", ONEDNN)
    return torch.from_numpy(np.ascontiguousarray(found))


def _gemm(start: Tensor, a: Tensor, b: Tensor, pairs: bool) -> Tensor:
    if pairs:
        return start + _chain(torch.zeros_like(start), a, b, pairs)
    if a.shape[0] == 1:
        return _chain(start, a, b)
    total, first = start, 0
    for last in PANELS.ends(a.shape[1]):
        total = total + _chain(torch.zeros_like(start), a[:, first:last], b[first:last])
        first = last
    return total


def _gemm_from_zero(a: Tensor, b: Tensor, pairs: bool) -> Tensor:
    return _gemm(torch.zeros(a.shape[0], b.shape[1]), a, b, pairs)


def _sum_rows(x: Tensor) -> Tensor:
    total = torch.zeros_like(x[0])
    for row in x.unbind(0):
        total = total + row
    return total


def _chain(total: Tensor, a: Tensor, b: Tensor, pairs: bool = False) -> Tensor:
    """One fused multiply-add after the other, which torch's addcmul is; of each pair the second first."""
    shape, terms = total.shape, a.shape[1]
    for k in range(terms):
        k = min(k ^ 1, terms - 1) if pairs else k
        total = torch.addcmul(
            total, a[:, k : k + 1].expand(shape).contiguous(), b[k : k + 1].expand(shape).contiguous()
        )
    return total
