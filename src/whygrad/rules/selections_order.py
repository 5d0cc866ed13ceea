"""Results that follow from how elements compare: medians, modes, k-th values, unique elements, places in a sorted row,
counts in bins (aten/src/ATen/native/Sorting.cpp, Unique.cpp, Bucketization.cpp, SummaryOps.cpp)."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Case, Expr, Num
from whygrad.rules.movement_maps import content, once, torch_op
from whygrad.rules.reductions import reduced
from whygrad.rules.registry import Unruled, rule

Array = np.ndarray[Any, Any]


def row_of(x: Operand, dim: int | None, keepdim: bool, i: Index) -> tuple[Array, Array]:
    """Indices and numbers of a row that is reduced (of all elements without a dimension)."""
    rank = len(x.shape)
    dims = tuple(range(rank)) if dim is None else ((dim % rank,) if rank else ())
    indices = reduced(x, dims, keepdim, i).indices
    return indices, content(x)[tuple(indices.T)].astype(np.float64).reshape(-1)


def _named(c: OpCall, position: int, keep: int) -> tuple[int | None, bool]:
    dim = c.arg(position, "dim")
    return (dim if isinstance(dim, int) else None), bool(c.arg(keep, "keepdim", False))


def _chosen(c: OpCall, i: Index, indices: Array, numbers: Array, value: float) -> int:
    """Which of the elements with that value was taken: the one the recorded index names, else the first."""
    equal = np.flatnonzero(np.isnan(numbers) if value != value else numbers == value)
    if len(c.op.outputs) > 1:
        at = int(content(c.out(1))[i])
        if at in equal:
            return at
    if not len(equal):
        raise Unruled("no element has that value")
    return int(equal[0])


def _rank(c: OpCall, i: Index) -> tuple[Array, int, str]:
    """The row's indices, which of them was taken, and in words why."""
    x, kind = c.t(0), c.op.kind
    if kind == "aten.kthvalue":
        dim, keepdim = int(str(c.arg(2, "dim", -1))), bool(c.arg(3, "keepdim", False))
        indices, numbers = row_of(x, dim, keepdim, i)
        k = c.integer(1)
        return indices, _chosen(c, i, indices, numbers, float(np.sort(numbers)[k - 1])), f"it is number {k} in order"
    dim, keepdim = _named(c, 1, 2)
    if kind == "aten.mode":
        dim = -1 if dim is None else dim
    indices, numbers = row_of(x, dim, keepdim, i)
    if kind == "aten.mode":
        values, counts = np.unique(numbers, return_counts=True)
        value = float(values[int(np.argmax(counts))])
        return indices, _chosen(c, i, indices, numbers, value), f"it occurs {counts.max()} times, most often"
    kept = numbers[~np.isnan(numbers)] if kind == "aten.nanmedian" else numbers
    if not len(kept) or np.isnan(kept).any():
        return indices, _chosen(c, i, indices, numbers, float("nan")), "it is NaN"
    value = float(np.sort(kept)[(len(kept) - 1) // 2])
    return (
        indices,
        _chosen(c, i, indices, numbers, value),
        f"it is number {(len(kept) - 1) // 2 + 1} of {len(kept)} in order",
    )


@rule("aten.median", "aten.nanmedian", "aten.kthvalue", "aten.mode")
def ranked(c: OpCall, i: Index) -> Expr:
    """`y`: the element of that rank (of two middle ones the smaller), or the one that occurs most often."""
    indices, at, why = _rank(c, i)
    return Case(why, c.t(0)[tuple(int(k) for k in indices[at])], "another element")


@rule("aten.median", "aten.nanmedian", "aten.kthvalue", "aten.mode", output=1)
def ranked_index(c: OpCall, i: Index) -> Expr:
    """Where that element stands; of equals, any."""
    indices, at, why = _rank(c, i)
    c.t(0)[tuple(int(k) for k in indices[at])]
    return Case(why, Num(float(at)), "another index")


def _extreme(c: OpCall, i: Index, smallest: bool) -> Expr:
    x = c.t(0)
    dim, keepdim = _named(c, -1, -1)
    indices, numbers = row_of(x, dim, keepdim, i)
    at = int(np.argmin(numbers) if smallest else np.argmax(numbers))
    return Case(
        f"it is the {'smallest' if smallest else 'largest'}", x[tuple(int(k) for k in indices[at])], "another element"
    )


@rule("aten.aminmax", "aten._aminmax")
def aminmax_smallest(c: OpCall, i: Index) -> Expr:
    """`y = min x`."""
    return _extreme(c, i, smallest=True)


@rule("aten.aminmax", "aten._aminmax", output=1)
def aminmax_largest(c: OpCall, i: Index) -> Expr:
    """`y = max x`."""
    return _extreme(c, i, smallest=False)


@rule("aten.nonzero", "aten.nonzero_static")
def nonzero(c: OpCall, i: Index) -> Expr:
    """`y[k, d]`: coordinate d of the k-th element that is not 0."""
    x = c.t(0)
    places = once(c, "nonzero", lambda: np.argwhere(content(x) != 0))
    if i[0] >= len(places):
        return Case("there are no more", c.number(-1, "fill_value", -1), "a coordinate")
    x[tuple(int(k) for k in places[i[0]])]
    return Case(f"it is element {i[0]} that is not 0", Num(float(places[i]) if x.shape else 0.0), "another coordinate")


def _unique(c: OpCall) -> tuple[Array, Array, Array]:
    """For every unique element the place in x of one like it; for every element of x its number among them; how often."""
    x = c.t(0)
    numbers = content(x)
    wide = numbers.astype(np.float64) if numbers.dtype.kind in "fV" else numbers
    consecutive = c.op.kind in ("aten.unique_consecutive", "aten.unique_dim_consecutive")
    named = c.arg(3, "dim") if c.op.kind == "aten.unique_consecutive" else c.arg(1, "dim")
    if c.op.kind in ("aten.unique_dim", "aten.unique_dim_consecutive") or (consecutive and isinstance(named, int)):
        dim = int(str(named)) % max(wide.ndim, 1)
        rows = np.moveaxis(wide, dim, 0).reshape(wide.shape[dim], -1)
    else:
        rows = wide.reshape(-1, 1)
    if consecutive:
        new = np.concatenate([[True], (rows[1:] != rows[:-1]).any(axis=1)]) if len(rows) else np.zeros(0, bool)
        group = np.cumsum(new) - 1
        return np.flatnonzero(new), group, np.bincount(group, minlength=int(new.sum())) if len(rows) else group
    _, first, inverse, counts = np.unique(rows, axis=0, return_index=True, return_inverse=True, return_counts=True)
    return first, np.asarray(inverse).reshape(-1), counts


def _positions(c: OpCall) -> tuple[Array, Array, Array]:
    return once(c, "unique", lambda: _unique(c))


def _unique_dim(c: OpCall) -> int | None:
    """The dimension of rows that are compared, None where elements are."""
    named = c.arg(3, "dim") if c.op.kind == "aten.unique_consecutive" else c.arg(1, "dim")
    if c.op.kind in ("aten._unique", "aten._unique2") or not isinstance(named, int) or isinstance(named, bool):
        return None
    return named % max(len(c.t(0).shape), 1)


_UNIQUE = ("aten._unique", "aten._unique2", "aten.unique_dim", "aten.unique_consecutive", "aten.unique_dim_consecutive")


@rule(*_UNIQUE)
def unique(c: OpCall, i: Index) -> Expr:
    """The k-th of the elements (or rows) that differ: in order, or in turn where only neighbours are compared."""
    x, dim = c.t(0), _unique_dim(c)
    if dim is not None:
        return x[(*i[:dim], int(_positions(c)[0][i[dim]]), *i[dim + 1 :])]
    if c.op.kind in ("aten._unique", "aten._unique2") and not c.arg(1, "sorted", True):
        numbers, inverse = content(x), content(c.out(1))
        if inverse.size == numbers.size and numbers.size:
            return x[tuple(int(k) for k in np.argwhere(inverse == i[0])[0])]
    place = int(_positions(c)[0][i[0]])
    return x[tuple(int(k) for k in np.unravel_index(place, x.shape))] if x.shape else x[()]


@rule(*_UNIQUE, output=1)
def unique_inverse(c: OpCall, i: Index) -> Expr:
    """The number that an element has among the unique ones."""
    x, dim = c.t(0), _unique_dim(c)
    place = i[0] if dim is not None else int(np.ravel_multi_index(i, x.shape)) if x.shape else 0
    if dim is None:
        x[i]
    return Case("it is equal to the unique element of that number", Num(float(_positions(c)[1][place])))


@rule(*_UNIQUE, output=2)
def unique_counts(c: OpCall, i: Index) -> Expr:
    """How many elements are equal to a unique one."""
    return Case("so many are equal", Num(float(_positions(c)[2][i[0]])))


def _place(c: OpCall, sorted_row: Operand, row: Array, at: Expr, number: float, right: bool) -> Expr:
    place = int(np.searchsorted(row, number, "right" if right else "left")) if number == number else len(row)
    return Case(
        f"{place} of {len(row)} {'are not greater' if right else 'are smaller'}", Num(float(place)), "another place"
    )


@rule("aten.searchsorted", "aten.bucketize")
def searchsorted(c: OpCall, i: Index) -> Expr:
    """How many elements of a sorted row are smaller than a number (or, from the right, not greater)."""
    bucketize = c.op.kind == "aten.bucketize"
    edges, numbers = (c.t(1), 0) if bucketize else (c.t(0), 1)
    right = bool(c.arg(3, "right", False)) or c.arg(-1, "side") == "right"
    number = c.t(numbers)[i] if c.has(numbers) else c.number(numbers)
    value = c.t(numbers).item(i) if c.has(numbers) else c.real(numbers)
    row = content(edges)[i[:-1]] if len(edges.shape) > 1 else content(edges)
    sorter = next((content(c.t(-1, key)) for key, arg in c.op.kwargs if key == "sorter" and arg is not None), None)
    if sorter is not None:
        row = row[sorter[i[:-1]] if sorter.ndim > 1 else sorter]
    return _place(c, edges, row.astype(np.float64), number, float(value), right)


def _weighted(c: OpCall, hits: Array, weight: Operand | None) -> Expr:
    from whygrad.rules.movement_sums import running_sum

    if weight is None:
        return Case("so many elements fall there", Num(float(len(hits))), "another count")
    return running_sum(weight, hits, none="no element falls there")


@rule("aten.bincount")
def bincount(c: OpCall, i: Index) -> Expr:
    """How many elements are i, or the sum of their weights."""
    x, weights = c.t(0), next((c.t(1, "weights") for a in (c.arg(1, "weights"),) if a is not None), None)
    return _weighted(c, np.flatnonzero(content(x) == i[0]), weights)


@rule("aten.isin")
def isin(c: OpCall, i: Index) -> Expr:
    """`yᵢ` is 1 if xᵢ is among the test elements."""
    number = c.t(0)[i] if c.has(0) else c.number(0)
    value = c.t(0).item(i) if c.has(0) else c.real(0)
    among = bool(np.isin(value, content(c.t(1)).astype(np.float64))) if c.has(1) else value == c.real(1)
    answer = among != bool(c.arg(3, "invert", False))
    del number
    return Case("it is among them" if among else "it is not among them", Num(float(answer)), "the other answer")


@rule("aten.tril_indices", "aten.triu_indices", "aten.repeat_interleave.Tensor")
def indices(c: OpCall, i: Index) -> Expr:
    """Indices by definition: of a triangle's elements, or each k as often as it is to be repeated."""

    def run() -> Array:
        import torch

        from whygrad.trace.model import Ref, Token

        args = [
            torch.from_numpy(np.array(content(c.t(k)))) if isinstance(a, Ref) else a for k, a in enumerate(c.op.args)
        ]
        kwargs = {key: a for key, a in c.op.kwargs if isinstance(a, int) and not isinstance(a, Token)}
        return torch_op(c.op.name)(*args, **kwargs).numpy()

    return Case("by definition", Num(float(once(c, "indices", run)[i])))
