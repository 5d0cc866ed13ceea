"""Reductions and scans, element by element, in every layout: the order of the additions is the kernel's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rules import harness
from whygrad.rules.reductions_loops import Loop, walk

Tensor = torch.Tensor
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
ONE_DIM: dict[str, Callable[[Tensor, int], Any]] = {
    "prod": lambda x, d: x.prod(d),
    "cumsum": lambda x, d: x.cumsum(d),
    "cumprod": lambda x, d: x.cumprod(d),
    "cummax": lambda x, d: x.cummax(d),
    "cummin": lambda x, d: x.cummin(d),
    "logcumsumexp": lambda x, d: x.logcumsumexp(d),
    "median": lambda x, d: x.median(d, keepdim=True),
    "nanmedian": lambda x, d: x.nanmedian(d),
    "kthvalue": lambda x, d: x.kthvalue(1, d),
    "mode": lambda x, d: x.mode(d),
    "aminmax": lambda x, d: torch.aminmax(x, dim=d),
    "amax": lambda x, d: x.amax(d),
    "argmin": lambda x, d: x.argmin(d),
    "count_nonzero": lambda x, d: x.relu().count_nonzero(d),
    "nansum": lambda x, d: x.where(x > 0, torch.nan).nansum(d),
}


def exact(program: Callable[[torch.dtype], Any], dtype: torch.dtype, op: str, samples: int = 6) -> None:
    """Every sampled element of `op`'s results has the bits of its equation."""
    shares = [s for (name, _), s in harness.shares(harness.record(program, dtype), samples).items() if f".{op}" in name]
    assert shares
    assert all(s.same == s.sampled for s in shares), harness.table({(s.op, s.dtype): s for s in shares})


def ran(*_results: object) -> None:
    """The ops whose results are given here have run, which is all that recording wants of them."""


def laid_out(shape: list[int], order: list[int], dtype: torch.dtype, repeated: bool) -> Tensor:
    """A tensor whose dimensions lie in memory in another order than they are written, or are one element seen often."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype).permute(order)
    return x[..., :1].expand(*x.shape[:-1], 6) if repeated else x


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], bool]:
    rank = draw(st.integers(1, 4))
    shape = [draw(st.sampled_from([1, 2, 3, 5, 8, 9, 17, 33])) for _ in range(rank)]
    order = draw(st.permutations(range(rank)))
    dims = draw(st.lists(st.sampled_from(range(rank)), min_size=1, max_size=rank, unique=True))
    return shape, order, dims, draw(st.booleans())


@settings(max_examples=25, deadline=None)
@given(layouts(), st.sampled_from(FLOATS), st.sampled_from(["sum", "mean"]), st.booleans())
def test_sums_in_every_layout(
    layout: tuple[list[int], list[int], list[int], bool], dtype: torch.dtype, op: str, keepdim: bool
) -> None:
    shape, order, dims, repeated = layout

    def program(_: torch.dtype) -> None:
        getattr(laid_out(shape, order, dtype, repeated), op)(dims, keepdim=keepdim)

    exact(program, dtype, op, 4)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("op", ONE_DIM)
def test_along_one_dimension(op: str, dtype: torch.dtype) -> None:
    def program(_: torch.dtype) -> None:
        x = laid_out([3, 40, 5], [2, 1, 0], dtype, repeated=False)
        for dim in range(3):
            ONE_DIM[op](x, dim)

    exact(program, dtype, op, 4)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_logsumexp(dtype: torch.dtype) -> None:
    def program(_: torch.dtype) -> None:
        x = laid_out([3, 40, 5], [2, 1, 0], dtype, repeated=False)
        ran(x.logsumexp(0), x.logsumexp(1), x.logsumexp((0, 2)), x.logsumexp((0, 1, 2)))

    found = [s for (name, _), s in harness.shares(harness.record(program, dtype), 6).items() if ".logsumexp" in name]
    # float32's logarithm is one ULP off now and then.
    assert all(s.worst <= 1 and s.same >= (0.8 if dtype == torch.float32 else 1) * s.sampled for s in found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_long_rows(dtype: torch.dtype) -> None:
    def program(_: torch.dtype) -> None:
        x = (1 + torch.randn(3, 700, generator=torch.Generator().manual_seed(0)) / 50).to(dtype)
        ran(x.prod(1), x.cumprod(1), x.t().contiguous().prod(0), x.logcumsumexp(1))

    for op in ("prod", "cumprod", "logcumsumexp"):
        exact(program, dtype, op)


def test_other_dtypes() -> None:
    def program(_: torch.dtype) -> None:
        x = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
        ran(x.sum(1, dtype=torch.float64), x.half().sum(0, dtype=torch.float32), x.double().sum(0, dtype=torch.float16))
        whole = torch.arange(24).view(4, 6)
        ran(
            whole.sum(0),
            whole.sum(),
            (whole > 5).sum(),
            whole.prod(1),
            whole.cumsum(0),
            whole.sum(1, dtype=torch.float32),
        )
        ran(x.trace(), whole[:, :4].trace(), torch.tensor(2.5).sum(), torch.tensor(2.5).cumsum(0))

    for op in ("sum", "prod", "cumsum", "trace"):
        exact(program, torch.float32, op)


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, float("inf")])
def test_distances_and_renormalised_rows(p: float) -> None:
    def program(_: torch.dtype) -> None:
        x = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
        ran(torch.dist(x, x.flip(0), p), torch.dist(x, x[0], p), torch.dist(x, x[0, 0, 0], p))
        if p:
            ran(x.renorm(p, 0, 1.5), x.renorm(p, 1, 1.5))

    exact(program, torch.float32, "dist")
    if p:
        exact(program, torch.float32, "renorm", 12)


def test_infinities() -> None:
    def program(_: torch.dtype) -> None:
        x = torch.tensor(
            [[float("-inf"), 1.0], [float("-inf"), float("-inf")], [float("inf"), 2.0], [float("nan"), 1.0]]
        )
        ran(x.logsumexp(1), x.logcumsumexp(1), x.sum(1), x.amax(1), x.cummax(1))

    for op in ("logsumexp", "logcumsumexp", "amax", "cummax"):
        exact(program, torch.float32, op, 8)


def test_the_loops_of_a_reduction() -> None:
    # Rows of 4 that lie end to end are one loop; a dimension in between that is kept parts them.
    assert walk((3, 4), (4, 1), (0, 0)).loops == (Loop((1, 0), 12, 1, 0),)
    found = walk((2, 3, 4), (12, 4, 1), (0, 1, 0))
    assert [loop.size for loop in found.loops] == [4, 2, 3]
    assert found.reduced == (2, 0)
    assert found.row == 4
    # Reduced dimensions come first, also where another lies closer together.
    assert [loop.dims for loop in walk((5, 7), (7, 1), (0, 1)).loops] == [(0,), (1,)]
