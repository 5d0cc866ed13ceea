"""Means over windows, and back (aten/src/ATen/native/cpu/AvgPoolKernel.cpp, AdaptiveAvgPoolKernel.cpp,
AdaptiveAveragePooling3d.cpp). A window is added up row by row from zero, 16 bits in float32, then divided."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import prod

from whygrad.floats.summation import Chain, Order
from whygrad.rules.activations import add, div
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Case, Dot, Expr, Kernel, Num, Round
from whygrad.rules.pooling_windows import Pool, adaptive, average, covering, grid, padded, sliding
from whygrad.rules.registry import Unruled, rule

_MOST = 64
_IN_TURN = (Order(Chain()),)


def _divide_factor(pool: Pool, sizes: Index, at: Index, held: int) -> int:
    if pool.divisor is not None:
        return pool.divisor
    if not pool.include_pad:
        return held
    return prod(padded(pool, d, k, size) for d, (k, size) in enumerate(zip(at, sizes, strict=True)))


def _avg_pool(rank: int) -> None:
    def forward(c: OpCall, i: Index) -> Expr:
        """`y = (Σ x) / n` over a window."""
        x, pool = c.t(0), average(c, rank, 1)
        sizes, at = x.shape[-rank:], i[-rank:]
        ranges = [sliding(pool, d, k, size) for d, (k, size) in enumerate(zip(at, sizes, strict=True))]
        held = prod(len(r) for r in ranges)
        if not held:
            return Case("the window holds padding alone", Num(0), "a mean")
        n = Num(float(_divide_factor(pool, sizes, at, held)), "n")
        mean = div(Dot(x.at(grid(i[:-rank], ranges)), orders=_IN_TURN), n)
        return Call("trunc", (mean,)) if x.is_integer else mean

    def backward(c: OpCall, i: Index) -> Expr:
        """`∂x = Σ g / n` over the windows that hold it."""
        g, pool = c.t(0), average(c, rank, 2)
        sizes, shape = c.out().shape[-rank:], g.shape[-rank:]
        rows = [[sliding(pool, d, k, sizes[d]) for k in range(shape[d])] for d in range(rank)]

        def n(at: Index) -> Expr:
            held = prod(len(rows[d][k]) for d, k in enumerate(at))
            return Num(float(_divide_factor(pool, sizes, at, held)), "n")

        windows = product(*(covering(rows[d], i[len(i) - rank + d]) for d in range(rank)))
        return _shares(g, i[:-rank], list(windows), lambda share, at: div(share, n(at)))

    rule(f"aten.avg_pool{rank}d")(forward)
    rule(f"aten.avg_pool{rank}d_backward", rounds="either")(backward)


def _shares(g: Operand, batch: Index, windows: list[Index], share: Callable[[Expr, Index], Expr]) -> Expr:
    """The sum of the windows' shares, one after the other."""
    if not windows:
        return Case("no window holds it", Num(0), "Σ g / n")
    if len(windows) > _MOST:
        raise Unruled(f"{len(windows)} windows hold it")
    total = share(g[(*batch, *windows[0])], windows[0])
    for at in windows[1:]:
        total = add(total, share(g[(*batch, *at)], at))
    return total


def _spans(sizes: Index, out: Index) -> list[list[range]]:
    return [[adaptive(k, n, size) for k in range(n)] for n, size in zip(out, sizes, strict=True)]


def _means(c: OpCall, total: Expr, lengths: list[int], x: Operand) -> Expr:
    """`total / kh / kw`; where channels lie together, whole vectors of them are divided by kh·kw."""
    in_turn = total
    for n in lengths:
        in_turn = div(in_turn, Num(float(n), "k"))
    at_once = div(total, Num(float(prod(lengths)), "n"))
    last = len(x.shape) == 4 and x.value.stride[1] == 1
    if len(lengths) < 3 and last:
        return Kernel((), (), at_once, (in_turn,))
    return in_turn


def _adaptive_avg_pool(rank: int) -> None:
    def forward(c: OpCall, i: Index) -> Expr:
        """`y = Σ x / kh / kw` over window ⌊o·I/O⌋ … ⌈(o+1)·I/O⌉ of each dimension."""
        x = c.t(0)
        spans = _spans(x.shape[-rank:], c.out().shape[-rank:])
        ranges = [spans[d][k] for d, k in enumerate(i[-rank:])]
        elements = grid(i[:-rank], ranges)
        total: Expr = Dot(x.at(elements), orders=_IN_TURN)
        if rank == 3 and x.dtype in ("float16", "bfloat16") and len(elements) <= _MOST:
            total = x[tuple(elements[0])]  # this kernel adds up in 16 bits
            for each in elements[1:]:
                total = Round(add(total, x[tuple(each)]), x.dtype)
        return _means(c, total, [len(r) for r in ranges], x)

    def backward(c: OpCall, i: Index) -> Expr:
        """`∂x = Σ g / kh / kw` over the windows that hold it."""
        g = c.t(0)
        spans = _spans(c.out().shape[-rank:], g.shape[-rank:])
        windows = product(*(covering(spans[d], i[len(i) - rank + d]) for d in range(rank)))

        def share(each: Expr, at: Index) -> Expr:
            return _means(c, each, [len(spans[d][k]) for d, k in enumerate(at)], g)

        return _shares(g, i[:-rank], list(windows), share)

    rounds = "either" if rank == 3 else "once"
    rule(f"aten._adaptive_avg_pool{rank}d", f"aten.adaptive_avg_pool{rank}d", rounds=rounds)(forward)
    rule(f"aten._adaptive_avg_pool{rank}d_backward", rounds="either")(backward)


for _rank in (2, 3):
    _avg_pool(_rank)
    _adaptive_avg_pool(_rank)
