"""Steps of attention's kernels that are no ATen op, as ops of their own, so that a tape sees them: `torch.ops.whygrad.…`.
Their rules are in `rules/attention.py`. Source: aten/src/ATen/native/cpu/FlashAttentionKernel.cpp and
aten/src/ATen/cpu/vec/."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

from whygrad.floats.elementary import C_LIBRARY, CORRECTLY_ROUNDED, Variant, evaluate_array
from whygrad.floats.elementary_attention import FRACTION
from whygrad.floats.elementary_onednn import EXP_20, HIGHEST, LN2, LOWEST
from whygrad.floats.elementary_sleef import LOG2_E

Tensor = torch.Tensor


@cache
def kernel_ops() -> Any:
    """The ops, defined at the first call.

    exp_vector: `Vectorized::exp`. exp_u20, fexp_u20: the fast ones (in float64 exp_vector). exp_scalar, log_scalar: the C
    library's, as a kernel's scalar loop calls them. sum_vectors: of the last dimension; see `rules.attention.sum_vectors`.
    """
    library = torch.library.Library("whygrad", "FRAGMENT")
    for name, function in _FUNCTIONS.items():
        library.define(f"{name}(Tensor x) -> Tensor")
        library.impl(name, function, "CPU")
    library.define("sum_vectors(Tensor x, int lanes, int registers, bool after, str join) -> Tensor")
    library.impl("sum_vectors", _sum_vectors, "CPU")
    _KEPT.append(library)
    return torch.ops.whygrad


_KEPT: list[torch.library.Library] = []
"""A library's ops live as long as the library."""


def vector_size(dtype: torch.dtype) -> int:
    """Numbers in a vector of this machine's kernels."""
    size = 64 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 32
    return size // dtype.itemsize


def _exp_vector(x: Tensor) -> Tensor:
    """By the kernel of log-softmax's backward pass: g − e^y·Σg is −e^y where g is 0, a 1 elsewhere in the row."""
    rows = x.reshape(-1, x.shape[-1])
    grad = torch.zeros(len(rows), rows.shape[1] + 1, dtype=x.dtype)
    grad[:, 0] = 1
    y = torch.cat([torch.zeros(len(rows), 1, dtype=x.dtype), rows], 1)
    return (0 - torch.ops.aten._log_softmax_backward_data(grad, y, 1, x.dtype))[:, 1:].reshape(x.shape)


def _exp_u20(x: Tensor) -> Tensor:
    """`floats.elementary_onednn.exp_u20` in torch's arithmetic, which is quick: its addcmul is a fused multiply-add."""
    if x.dtype == torch.float64:
        return _exp_vector(x)
    inside = x.clamp(LOWEST, HIGHEST)
    n = torch.addcmul(torch.full_like(x, 0.5), inside, _number(LOG2_E)).floor_()
    r = torch.addcmul(inside, n, _number(-LN2))
    y = torch.full_like(x, EXP_20[0])
    for coefficient in EXP_20[1:]:
        y = torch.addcmul(_number(coefficient), y, r)
    power = ((n.nan_to_num_().to(torch.int32) + 126) << 23).view(torch.float32)  # 2ⁿ⁻¹
    return (y * power * 2).masked_fill_(x < LOWEST, 0.0)


def _fexp_u20(x: Tensor) -> Tensor:
    """`floats.elementary_attention.fexp_u20` in torch's arithmetic."""
    scaled = x.clamp(LOWEST, HIGHEST) * LOG2_E
    fraction = scaled - scaled.floor()
    y = torch.full_like(x, FRACTION[0])
    for coefficient in FRACTION[1:]:
        y = torch.addcmul(_number(coefficient), y, fraction)
    bits = torch.addcmul(torch.full_like(x, 127 * 2.0**23), scaled - y, _number(2.0**23)).nan_to_num_()
    found = bits.to(torch.int32).view(torch.float32)
    found = found.masked_fill_(x < LOWEST, 0.0).masked_fill_(x > HIGHEST, torch.inf)
    return torch.where(x.isnan(), x, found)


def _number(x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float32)


def _by(function: str, *algorithms: tuple[torch.dtype, Variant]) -> Callable[[Tensor], Tensor]:
    """An elementary function by `floats.elementary`, the algorithm by dtype."""

    def call(x: Tensor) -> Tensor:
        for dtype, variant in algorithms:
            if x.dtype == dtype:
                found = evaluate_array(function, (x.contiguous().numpy(),), str(dtype)[6:], variant)
                return torch.from_numpy(np.ascontiguousarray(found))
        raise TypeError(f"{function} in {x.dtype}")

    return call


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "exp_vector": _exp_vector,
    "exp_u20": _exp_u20,
    "fexp_u20": _fexp_u20,
    "exp_scalar": _by("exp", (torch.float32, CORRECTLY_ROUNDED), (torch.float64, C_LIBRARY)),
    "log_scalar": _by("log", (torch.float32, C_LIBRARY), (torch.float64, C_LIBRARY)),
}


def _sum_vectors(x: Tensor, lanes: int, registers: int, after: bool, join: str) -> Tensor:
    columns = x.shape[-1]
    if columns < lanes:
        return _in_turn(x[..., :0].sum(-1), x)
    whole = columns // lanes * lanes if after else columns
    row = lanes * registers
    acc = torch.zeros((*x.shape[:-1], row), dtype=x.dtype)
    for start in range(0, whole, row):
        stop = min(start + row, whole)
        acc[..., : stop - start] += x[..., start:stop]
    parts = acc.unflatten(-1, (registers, lanes)).unbind(-2)
    vector = parts[0]
    for part in parts[1:]:
        vector = vector + part
    if join == "halving":
        while vector.shape[-1] > 1:
            half = vector.shape[-1] // 2
            vector = vector[..., :half] + vector[..., half:]
        total = vector[..., 0]
    else:
        total = _in_turn(vector[..., 0], vector[..., 1:])
    return _in_turn(total, x[..., whole:])


def _in_turn(total: Tensor, terms: Tensor) -> Tensor:
    for term in terms.unbind(-1):
        total = total + term
    return total
