"""`A = L·D·Lᵀ` of a symmetric matrix with the pivots of Bunch and Kaufman, and the solution of systems with it (LAPACK
sytf2, sytrs; J. R. Bunch, L. Kaufman, *Some stable methods for calculating inertia and solving symmetric linear systems*,
1977)."""

from __future__ import annotations

from typing import Any

from whygrad.explain.inside.registry import inside
from whygrad.rules.registry import Unruled

Tensor = Any
COLUMNS = "Bunch–Kaufman elimination, one column after the other"
_ALPHA = (1 + 17**0.5) / 8
MOST_COLUMNS = 64


@inside("aten.linalg_ldl_factor_ex", words=COLUMNS)
def ldl_factor(a: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> tuple[Tensor, ...]:
    """L below the diagonal, D on it (and next to it where a pivot is a block of two)."""
    import torch

    if a.is_complex() or a.shape[-1] > MOST_COLUMNS:
        raise Unruled("complex matrices" if a.is_complex() else f"more than {MOST_COLUMNS} columns")
    batch = a.reshape(-1, *a.shape[-2:])
    found = [_eliminated(batch[k]) for k in range(batch.shape[0])]
    if not found:
        raise Unruled("no matrices")
    packed = torch.stack([each for each, _ in found]).reshape(a.shape)
    pivots = torch.tensor([p for _, p in found], dtype=torch.int32).reshape(a.shape[:-1])
    return packed, pivots, torch.zeros(a.shape[:-2], dtype=torch.int32)


def _eliminated(a: Tensor) -> tuple[Tensor, list[int]]:
    out, k, n = a.tril().clone(), 0, a.shape[-1]
    pivots = [0] * n
    while k < n:
        row, size = _pivot(out, k)
        last = k + size - 1
        if row != last:
            _exchange(out, last, row, k)
        if size == 1:
            pivots[k] = row + 1
            _one(out, k)
        else:
            pivots[k] = pivots[k + 1] = -(row + 1)
            _two(out, k)
        k += size
    return out, pivots


def _pivot(out: Tensor, k: int) -> tuple[int, int]:
    """Which row comes to the place of the pivot, and how many columns it eliminates."""
    numbers = out.detach().numpy()
    n = len(numbers)
    below = abs(numbers[k + 1 :, k])
    here, most = abs(numbers[k, k]), below.max() if len(below) else 0.0
    if here >= _ALPHA * most:
        return k, 1
    row = k + 1 + int(below.argmax())
    beside = max(abs(numbers[row, k:row]).max(), abs(numbers[row + 1 :, row]).max() if row + 1 < n else 0.0)
    if here >= _ALPHA * most * (most / beside):
        return k, 1
    return (row, 1) if abs(numbers[row, row]) >= _ALPHA * beside else (row, 2)


def _exchange(out: Tensor, one: int, other: int, first: int) -> None:
    """Rows and columns `one` < `other` of what is left change places, the lower triangle alone being held."""
    below = out[other + 1 :, one].clone()
    out[other + 1 :, one] = out[other + 1 :, other].clone()
    out[other + 1 :, other] = below
    between = out[one + 1 : other, one].clone()
    out[one + 1 : other, one] = out[other, one + 1 : other].clone()
    out[other, one + 1 : other] = between
    diagonal = out[one, one].clone()
    out[one, one] = out[other, other].clone()
    out[other, other] = diagonal
    before = out[one, first:one].clone()
    out[one, first:one] = out[other, first:one].clone()
    out[other, first:one] = before


def _one(out: Tensor, k: int) -> None:
    """`A ← A − x·xᵀ/d`, `L = x/d`."""
    column = out[k + 1 :, k].clone()
    if column.numel():
        inverse = 1 / out[k, k]
        out[k + 1 :, k + 1 :] -= ((inverse * column).unsqueeze(0) * column.unsqueeze(1)).tril()
        out[k + 1 :, k] = inverse * column


def _two(out: Tensor, k: int) -> None:
    """`A ← A − X·D⁻¹·Xᵀ`, `L = X·D⁻¹` for a block D of two rows."""
    first, second = out[k + 2 :, k].clone(), out[k + 2 :, k + 1].clone()
    if first.numel():
        side = out[k + 1, k]
        d11, d22 = out[k + 1, k + 1] / side, out[k, k] / side
        scale = (1 / (d11 * d22 - 1)) / side
        one, two = scale * (d11 * first - second), scale * (d22 * second - first)
        taken = first.unsqueeze(1) * one.unsqueeze(0) + second.unsqueeze(1) * two.unsqueeze(0)
        out[k + 2 :, k + 2 :] -= taken.tril()
        out[k + 2 :, k], out[k + 2 :, k + 1] = one, two


@inside("aten.linalg_ldl_solve", words="forward, by the blocks of D, and backward")
def ldl_solve(packed: Tensor, pivots: Tensor, b: Tensor, *, hermitian: bool = False) -> Tensor:
    """`L·D·Lᵀ·X = B`, rows exchanged as they were."""
    import torch

    if packed.is_complex() or packed.shape[-1] > MOST_COLUMNS:
        raise Unruled("complex matrices" if packed.is_complex() else f"more than {MOST_COLUMNS} columns")
    shape = torch.broadcast_shapes(packed.shape[:-2], b.shape[:-2])
    n = packed.shape[-1]
    factors = packed.expand(*shape, n, n).reshape(-1, n, n)
    order = pivots.expand(*shape, n).reshape(-1, n).numpy()
    right = b.expand(*shape, *b.shape[-2:]).reshape(-1, *b.shape[-2:])
    found = [_solved(factors[k], order[k].tolist(), right[k]) for k in range(len(order))]
    if not found:
        raise Unruled("no matrices")
    return torch.stack(found).reshape(*shape, *b.shape[-2:])


def _solved(low: Tensor, pivots: list[int], b: Tensor) -> Tensor:
    x, k, n = b.clone(), 0, len(pivots)
    blocks: list[tuple[int, int]] = []
    while k < n:
        size = 1 if pivots[k] > 0 else 2
        blocks.append((k, size))
        _exchange_rows(x, k + size - 1, abs(pivots[k]) - 1)
        for column in range(k, k + size):
            x[k + size :] -= low[k + size :, column].unsqueeze(1) * x[column].unsqueeze(0)
        if size == 1:
            x[k] = x[k] / low[k, k]
        else:
            _solve_block(low, x, k)
        k += size
    for k, size in reversed(blocks):
        for column in range(k, k + size):
            if k + size < n:
                x[column] -= (low[k + size :, column].unsqueeze(0) @ x[k + size :]).squeeze(0)
        _exchange_rows(x, k + size - 1, abs(pivots[k]) - 1)
    return x


def _exchange_rows(x: Tensor, one: int, other: int) -> None:
    if one != other:
        row = x[one].clone()
        x[one] = x[other].clone()
        x[other] = row


def _solve_block(low: Tensor, x: Tensor, k: int) -> None:
    side = low[k + 1, k]
    one, two = low[k, k] / side, low[k + 1, k + 1] / side
    bottom = one * two - 1
    first, second = x[k] / side, x[k + 1] / side
    x[k], x[k + 1] = (two * first - second) / bottom, (one * second - first) / bottom
