"""The sums behind the statistics of tensors.

Elements are widened to float64, which changes none of them, and are subtracted, squared and added up there. The result is
a float64 statistic: its own rounding is far below what is ever shown of it, and no more is claimed.
Small tensors are laid end to end and added up stretch by stretch in one call each, as numpy's calls cost more than they do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.trace.statistics import ABSENT, Numbers

__all__ = ["MOST_SMALL", "GradientPart", "Group", "Tensors", "gradient_part", "group_rows", "rows_of", "tensor_row"]

Array = np.ndarray[Any, Any]
MOST_SMALL = 1 << 14
"""Tensors of at most this many elements are laid end to end."""
_BLOCK = 1 << 16
"""Elements that are widened at a time."""


@dataclass(frozen=True, slots=True)
class GradientPart:
    """What of a gradient its statistics need: `moves` is a bit an element, set where it is not zero."""

    norm: float
    nonfinite: int
    nonzero: int
    moves: Array


@dataclass(slots=True)
class Tensors:
    """One parameter: its gradient, and itself before and after (None: not known). `updated`: whether the step wrote it;
    `stands`: the update could move nothing (learning rate 0, skipped). `parts`: complex, the last dimension of size 2 holds
    real and imaginary part."""

    name: str
    grad: Array | GradientPart | None
    old: Array | None
    new: Array | None
    updated: bool
    stands: bool = False
    parts: bool = False


@dataclass(slots=True)
class Group:
    """Small tensors end to end: `sizes` elements each, none of them 0; `grads` None where none of them has a gradient."""

    names: list[str]
    sizes: list[int]
    grads: Array | None
    olds: Array
    news: Array
    updated: list[bool]
    stands: list[bool]


def rows_of(tensors: Iterable[Tensors]) -> dict[str, Numbers]:
    """The statistics of many tensors, by name and in their order; those with neither a gradient nor an update are left
    out."""
    found: dict[str, Numbers | None] = {}
    groups: dict[tuple[str, str], list[Tensors]] = {}
    for each in tensors:
        found[each.name] = None
        if each.old is not None and each.new is not None and _kind(each.old) != _kind(each.new):
            each.old = None  # another kind of tensor took its place: there is nothing to compare
        if not _is_small(each):
            found[each.name] = tensor_row(each)
        else:
            kinds = ["" if x is None or isinstance(x, GradientPart) else x.dtype.name for x in (each.new, each.grad)]
            groups.setdefault((kinds[0], kinds[1]), []).append(each)
    for group in groups.values():
        found.update(group_rows(_laid(group)))
    return {name: row for name, row in found.items() if row is not None}


def _kind(array: Array) -> tuple[str, int]:
    return array.dtype.name, array.size


def _is_small(each: Tensors) -> bool:
    if each.old is None or each.new is None or each.parts or isinstance(each.grad, GradientPart):
        return False
    return 0 < each.new.size <= MOST_SMALL and (each.grad is None or each.grad.size == each.new.size)


def _laid(group: list[Tensors]) -> Group:
    def flat(arrays: list[Array | None]) -> Array:
        return np.concatenate([each.reshape(-1) for each in arrays if each is not None])

    return Group(
        [each.name for each in group],
        [each.new.size for each in group if each.new is not None],
        None if group[0].grad is None else flat([g.grad for g in group if not isinstance(g.grad, GradientPart)]),
        flat([each.old for each in group]),
        flat([each.new for each in group]),
        [each.updated for each in group],
        [each.stands for each in group],
    )


def group_rows(group: Group) -> dict[str, Numbers]:
    """The statistics of small tensors."""
    ends = np.cumsum(group.sizes)
    starts = ends - group.sizes
    count = len(starts)
    zeros = np.zeros(count)
    with np.errstate(all="ignore"):
        old = group.olds.astype(np.float64)
        move = group.news.astype(np.float64)
        move -= old
        moved, size = _norms(move, starts), _norms(old, starts)
        bad = _each(~np.isfinite(group.news), starts) if not math.isfinite(moved.sum()) else zeros
        norm = bad_grad = zeros
        nonzero = lost = zeros
        if group.grads is not None:
            norm = _norms(group.grads.astype(np.float64), starts)
            bad_grad = _each(~np.isfinite(group.grads), starts) if not math.isfinite(norm.sum()) else zeros
            moves = group.grads != 0
            nonzero = _each(moves, starts)
            moves &= _same_bits(group.olds, group.news)
            lost = _each(moves, starts)
    columns = (each.tolist() for each in (norm, bad_grad, nonzero, moved, size, lost, bad))
    found: dict[str, Numbers] = {}
    has = group.grads is not None
    for name, updated, stands, row in zip(
        group.names, group.updated, group.stands, zip(*columns, strict=True), strict=True
    ):
        if has or updated:
            found[name] = _numbers(has, updated, stands, row)
    return found


def _numbers(has: bool, updated: bool, stands: bool, sums: tuple[Any, ...]) -> Numbers:
    norm, bad_grad, nonzero, moved, size, lost, bad = sums
    counts = updated and not (stands and moved == 0)
    return (
        norm if has else ABSENT,
        ABSENT if not counts or size == 0 else moved / size if math.isfinite(size) else math.nan,
        lost / nonzero if has and counts and not stands and nonzero else ABSENT,
        float(bad_grad) if has else ABSENT,
        float(bad),
    )


def _norms(wide: Array, starts: Array) -> Array:
    return np.sqrt(np.add.reduceat(wide * wide, starts))


def _each(marks: Array, starts: Array) -> Array:
    return np.add.reduceat(marks, starts, dtype=np.int64)


def _same_bits(old: Array, new: Array) -> Array:
    """Same bits, not same number: −0 that became 0 moved."""
    kind = f"u{old.dtype.itemsize}"
    return np.ascontiguousarray(old).view(kind) == np.ascontiguousarray(new).view(kind)


def gradient_part(grad: Array, parts: bool = False) -> GradientPart:
    """What of a gradient is needed later, when itself it may be gone."""
    flat = grad.reshape(-1, 2) if parts else grad.reshape(-1)
    moves = (flat != 0).any(axis=1) if parts else flat != 0
    norm = _norm(flat)
    bad = 0 if math.isfinite(norm) else _nonfinite(flat, parts)
    return GradientPart(norm, bad, int(np.count_nonzero(moves)), np.packbits(moves))


def tensor_row(each: Tensors) -> Numbers | None:
    """The statistics of one tensor, block by block; None where it has neither a gradient nor an update."""
    grad = each.grad
    if grad is None and not each.updated:
        return None
    part = grad if grad is None or isinstance(grad, GradientPart) else gradient_part(grad, each.parts)
    norm, bad_grad = (ABSENT, ABSENT) if part is None else (part.norm, float(part.nonfinite))
    if each.new is None:
        return norm, ABSENT, ABSENT, bad_grad, ABSENT
    new = each.new.reshape(-1, 2) if each.parts else each.new.reshape(-1)
    if each.old is None or not each.updated:
        return norm, ABSENT, ABSENT, bad_grad, float(_nonfinite(new, each.parts))
    old = each.old.reshape(new.shape)
    moved = _norm(new, old)
    bad = 0 if math.isfinite(moved) else _nonfinite(new, each.parts)
    lost = 0 if part is None else _lost(part, old, new, each.parts)
    nonzero = 0 if part is None else part.nonzero
    return _numbers(part is not None, True, each.stands, (norm, bad_grad, nonzero, moved, _norm(old), lost, bad))


def _norm(flat: Array, less: Array | None = None) -> float:
    """The L2 norm of `flat`, or of `flat` − `less`."""
    total = 0.0
    with np.errstate(all="ignore"):
        for start in range(0, len(flat), _BLOCK):
            wide = flat[start : start + _BLOCK].astype(np.float64)
            if less is not None:
                wide -= less[start : start + _BLOCK].astype(np.float64)
            wide = wide.reshape(-1)
            total += float(np.dot(wide, wide))
    return math.sqrt(total) if total == total else math.nan


def _nonfinite(flat: Array, parts: bool) -> int:
    count = 0
    for start in range(0, len(flat), _BLOCK):
        good: Array = np.isfinite(flat[start : start + _BLOCK])
        count += len(good) - int(np.count_nonzero(good.all(axis=1) if parts else good))
    return count


def _lost(grad: GradientPart, before: Array, after: Array, parts: bool) -> int:
    if not grad.nonzero:
        return 0
    same: Array = _same_bits(before, after)
    if parts:
        same = np.asarray(same.all(axis=1))
    return int(np.count_nonzero(same & np.unpackbits(grad.moves, count=len(same)).view(bool)))
