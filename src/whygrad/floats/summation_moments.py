"""Mean and variance by running updates, bit for bit: what normalisation kernels compute instead of two sums.

Welford's update takes one number at a time (B. P. Welford, Technometrics 4(3), 1962): the mean moves by
`(x − mean)/k`, the sum of squared deviations grows by `(x − mean_before)·(x − mean_after)`. Two finished
parts are joined by the formulas of T. F. Chan, G. H. Golub and R. J. LeVeque (COMPSTAT 1982).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from whygrad.floats.fused import fma32
from whygrad.floats.summation import Chain, Order, evaluate, evaluate_many
from whygrad.floats.summation_fma import Floats, fma_chain

__all__ = ["GroupSums", "GroupWeight", "RowMoments", "TwoPasses", "fma_array"]

_CHUNK = 16  # kChunkSize of aten/src/ATen/native/cpu/moments_utils.h
_Part: TypeAlias = "tuple[Any, Floats, Floats]"
"""How many numbers, their mean, their sum of squared deviations; arrays of parts side by side."""


def fma_array(a: Any, b: Any, c: Any, kind: type[np.floating[Any]]) -> Floats:
    """Elementwise a·b + c, rounded once to `kind` (float32 or float64); shapes broadcast."""
    if kind is np.float32:
        return fma32(np.asarray(a, kind), np.asarray(b, kind), np.asarray(c, kind))
    left, right, start = np.broadcast_arrays(*(np.asarray(x, np.float64) for x in (a, b, c)))
    flat = fma_chain(left.reshape(1, -1), right.reshape(1, -1), start.reshape(-1))
    return flat.reshape(start.shape)


@dataclass(frozen=True)
class RowMoments:
    """Mean and variance (with divisor n) of a row as `RowwiseMoments` computes them.

    Source: aten/src/ATen/native/cpu/moments_utils.h. Each of `width` lanes runs Welford's update over chunks
    of 16 vectors; chunks are joined two by two, as in a cascade; the numbers that fill no vector run on their
    own, and the lanes are joined to them one after the other. halves: float16 and bfloat16 are loaded two
    vectors at a time, which are two parts. fused_rest: the last numbers' products are fused into their sum.
    """

    width: int
    halves: bool = False
    fused_rest: bool = False

    @property
    def text(self) -> str:
        """For users."""
        return f"mean and variance by Welford's update in {self.width} lanes, chunks of {_CHUNK} joined in a cascade"

    def results(self, arrays: tuple[Floats, ...], kind: type[np.floating[Any]]) -> tuple[float, float]:
        """Of `arrays[0]`, shape (n,): mean and variance, rounded to `kind` at every step."""
        row = np.asarray(arrays[0]).astype(kind)
        with np.errstate(all="ignore"):
            mean, squares = self._moments(row, kind)
            return float(mean), float(squares / kind(len(row)))

    def _moments(self, row: Floats, kind: type[np.floating[Any]]) -> tuple[Any, Any]:
        parts = 2 if self.halves else 1
        whole = len(row) // (self.width * parts)
        vectors = row[: whole * self.width * parts].reshape(whole, parts, self.width)
        lanes = self._lanes(vectors, kind)
        count, mean, squares = 0, kind(0), kind(0)
        for x in row[whole * self.width * parts :]:
            delta = x - mean
            count += 1
            mean = mean + delta / kind(count)
            rest = x - mean
            squares = fma_array(delta, rest, squares, kind) if self.fused_rest else squares + delta * rest
        added = whole * parts
        for lane_mean, lane_squares in zip(*lanes, strict=True):
            total = count + added
            share = kind(added) / kind(total) if total else kind(0)
            delta = lane_mean - mean
            mean = fma_array(share, delta, mean, kind)
            squares = squares + fma_array(delta * delta * share, kind(count), lane_squares, kind)
            count = total
        return mean, squares

    def _lanes(self, vectors: Floats, kind: type[np.floating[Any]]) -> tuple[Floats, Floats]:
        """Each lane's mean and sum of squares; vectors: (vectors, parts, width)."""
        full = len(vectors) // _CHUNK
        chunks = [_welford(vectors[: full * _CHUNK].reshape(full, _CHUNK, *vectors.shape[1:]), kind)] if full else []
        if len(vectors) % _CHUNK:
            chunks.append(_welford(vectors[None, full * _CHUNK :], kind))
        if not chunks:
            zero = np.zeros(self.width, kind)
            return zero, zero
        count = np.concatenate([np.full(len(mean), n) for n, mean, _ in chunks])
        means, squares = (np.concatenate([chunk[k] for chunk in chunks]) for k in (1, 2))
        _, mean, square = _cascade((count, means, squares), kind)
        return mean, square


def _welford(chunks: Floats, kind: type[np.floating[Any]]) -> _Part:
    """Welford's update down the second axis of (chunks, vectors, parts, width), all else side by side."""
    mean = np.zeros((len(chunks), *chunks.shape[2:]), kind)
    squares = mean
    for k in range(chunks.shape[1]):
        x = chunks[:, k]
        delta = x - mean
        mean = fma_array(kind(1) / kind(k + 1), delta, mean, kind)
        squares = fma_array(delta, x - mean, squares, kind)
    return chunks.shape[1], mean, squares


def _cascade(chunks: _Part, kind: type[np.floating[Any]]) -> _Part:
    """All chunks joined: neighbours two by two, level by level; what was left over on each level at the end.

    chunks: counts (chunks,), means and squares (chunks, parts, width).
    """
    count, mean, squares = chunks
    depth = max(len(count) - 1, 0).bit_length()
    parts = mean.shape[1]
    level = (np.repeat(count, parts), mean.reshape(-1, mean.shape[2]), squares.reshape(-1, mean.shape[2]))
    left: list[_Part] = []
    for number in range(max(depth, 1)):
        step = 2 * parts if number == 0 else 2
        pairs = 0 if number >= depth - 1 else len(level[0]) // step
        rest = tuple(x[pairs * step :] for x in level)
        left.append(_in_turn((rest[0][:, None], rest[1][:, None], rest[2][:, None]), kind))
        if not pairs:
            level = (level[0][:0], level[1][:0], level[2][:0])
            continue
        grouped = [x[: pairs * step].reshape(pairs, step, *x.shape[1:]).swapaxes(0, 1) for x in level]
        level = _in_turn((grouped[0], grouped[1], grouped[2]), kind)
    total = left[0]
    for each in left[1:]:
        total = _join(total, each, kind)
    return total[0][0], total[1][0], total[2][0]


def _in_turn(parts: _Part, kind: type[np.floating[Any]]) -> _Part:
    """Parts along the first axis joined one after the other onto nothing: (k, columns, …) to (columns, …)."""
    count, mean, squares = parts
    total: _Part = np.zeros(count.shape[1], np.int64), np.zeros(mean.shape[1:], kind), np.zeros(mean.shape[1:], kind)
    for each in zip(count, mean, squares, strict=True):
        total = _join(total, each, kind)
    return total


def _join(into: _Part, added: _Part, kind: type[np.floating[Any]]) -> _Part:
    """Two parts as `AddMomentsVec` joins them: the products of the mean are rounded, that of the squares is fused."""
    (count, mean, squares), (more, more_mean, more_squares) = into, added
    total = count + more
    share = np.where(total == 0, 0, more.astype(kind) / np.maximum(total, 1).astype(kind)).astype(kind)[:, None]
    delta = more_mean - mean
    moved = share * delta
    return (
        total,
        mean + moved,
        fma_array(delta * count.astype(kind)[:, None], moved, squares + more_squares, kind),
    )


@dataclass(frozen=True)
class TwoPasses:
    """Mean, and sum of squared deviations from it, by two sums in the order `order`; the mean is not rounded in between.

    Source: `batch_norm_cpu_collect_stats_*` of aten/src/ATen/native/cpu/batch_norm_kernel.cpp, in 16 bits.
    """

    order: Order

    @property
    def text(self) -> str:
        """For users."""
        return f"the mean kept in float32, then the squares summed as {self.order.name}"

    def results(self, arrays: tuple[Floats, ...], kind: type[np.floating[Any]]) -> tuple[float, float]:
        """Of `arrays[0]`, shape (n,): its mean and its sum of squared deviations, in `kind`."""
        row = np.asarray(arrays[0]).astype(kind)
        accumulator = np.float64 if kind is np.float64 else np.float32
        with np.errstate(all="ignore"):
            mean = kind(evaluate(replace(self.order, fused=False), row, None, None, accumulator)) / kind(len(row))
            deviations = row - mean
            squares = evaluate(self.order, deviations, deviations, None, accumulator)
        return float(mean), squares


@dataclass(frozen=True)
class GroupSums:
    """Sums of sums, of a group of channels: what each channel's `size` numbers add up to, times the channel's weight.

    Source: `ComputeInternalGradients` and `GroupNormInputBackward` of aten/src/ATen/native/cpu/group_norm_kernel.cpp.
    Of three arrays, g and x of shape (channels·size,) and the weights of shape (channels,), the results are
    Σ w·Σ g·x and Σ w·Σ g; without weights, Σ Σ g·x and Σ Σ g.
    """

    size: int
    inner: Order
    outer: Order

    @property
    def text(self) -> str:
        """For users."""
        return f"each channel summed as {self.inner.name}; then the channels as {self.outer.name}"

    def results(self, arrays: tuple[Floats, ...], kind: type[np.floating[Any]]) -> tuple[float, float]:
        """See above."""
        accumulator = np.float64 if kind is np.float64 else np.float32
        g, x = (np.asarray(a).astype(kind).reshape(-1, self.size).T for a in arrays[:2])
        weight = np.asarray(arrays[2]).astype(kind) if len(arrays) > 2 else np.ones(g.shape[1], kind)
        with np.errstate(all="ignore"):
            each = (
                evaluate_many(self.inner, g, x, None, accumulator),
                evaluate_many(self.inner, g, None, None, accumulator),
            )
            with_x, alone = (evaluate(self.outer, sums, weight, None, accumulator) for sums in each)
        return with_x, alone


@dataclass(frozen=True)
class GroupWeight:
    """The gradient of a channel's weight under group normalisation, Σ (Σ g·x − mean·Σ g)·rstd over the examples.

    Source: `GammaBackward` of group_norm_kernel.cpp. Arrays: g and x of shape (examples·size,), mean and rstd of shape
    (examples,).
    """

    size: int
    inner: Order

    @property
    def text(self) -> str:
        """For users."""
        return f"each example summed as {self.inner.name}; then the examples one after the other"

    def results(self, arrays: tuple[Floats, ...], kind: type[np.floating[Any]]) -> tuple[float]:
        """See above."""
        accumulator = np.float64 if kind is np.float64 else np.float32
        g, x = (np.asarray(a).astype(kind).reshape(-1, self.size).T for a in arrays[:2])
        mean, rstd = (np.asarray(a).astype(kind) for a in arrays[2:4])
        with np.errstate(all="ignore"):
            with_x = evaluate_many(self.inner, g, x, None, accumulator)
            alone = evaluate_many(self.inner, g, None, None, accumulator)
            centred = fma_array(-alone, mean, with_x, kind)
            return (evaluate(Order(Chain(), fused=True), centred, rstd, None, accumulator),)
