"""Sparse tensors, histograms, changed shapes and grids: each scalar by its own equation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.rules.harness import record
from whygrad.explain.why import Explainer
from whygrad.trace.model import Op, Step, Value

Tensor = torch.Tensor
F = torch.nn.functional


def answers(program: Callable[[torch.dtype], Any], ops: str, dtype: torch.dtype = torch.float32) -> list[str]:
    """The verdict of every scalar that ops of that name wrote."""
    trace = record(program, dtype)
    explainer, found = Explainer(trace), list[str]()
    for info in trace.index:
        step = trace.step(info.number)
        for op in step.ops:
            for value in written(step, op) if ops in op.name else ():
                for flat in range(min(value.numel, 40)):
                    index: list[int] = []
                    for size in reversed(value.shape):
                        flat, k = divmod(flat, size)
                        index.insert(0, k)
                    found.append(explainer.explain(explainer.at(step.number, value, tuple(index)), 0).verdict.kind)
    assert found, f"no op {ops} was recorded"
    return found


def written(step: Step, op: Op) -> list[Value]:
    return [step.values[each] for each in dict.fromkeys(op.written)]


def matrix(dtype: torch.dtype) -> Tensor:
    x = torch.randn(5, 6)
    return torch.where(x.abs() > 0.8, x, torch.zeros(())).to(dtype)


@pytest.mark.parametrize("dims", [(), (1,)])
def test_places_and_values_of_a_sparse_tensor(dims: tuple[int, ...]) -> None:
    def program(dtype: torch.dtype) -> None:
        x = matrix(dtype).requires_grad_()
        (x.to_sparse(*dims).to_dense() * 3).sum().backward()

    for op in ("_to_sparse", "sparse_mask"):
        assert set(answers(program, op)) == {"same bits"}


def test_a_coalesced_gradient_and_its_negative() -> None:
    def program(dtype: torch.dtype) -> None:
        weight = torch.randn(6, 3, dtype=dtype, requires_grad=True)
        (F.embedding(torch.tensor([4, 1, 4, 2]), weight, sparse=True) * torch.randn(4, 3)).sum().backward()
        assert weight.grad is not None
        weight.grad.coalesce().neg()

    assert set(answers(program, "_coalesce")) == set(answers(program, "aten.neg")) == {"same bits"}


@pytest.mark.parametrize("reduce", ["sum", "mean", "amax", "amin"])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_a_product_with_compressed_rows(reduce: str) -> None:
    a, x = matrix(torch.float32).to_sparse_csr().requires_grad_(), torch.randn(6, 4, requires_grad=True)

    def program(dtype: torch.dtype) -> None:
        a.grad = x.grad = None
        (torch.sparse.mm(a, x, reduce) * torch.arange(20.0).view(5, 4)).sum().backward()

    found = answers(program, "_sparse_mm_reduce_impl")
    assert set(found) <= {"same bits", "replayed"} and found.count("same bits") >= 0.9 * len(found)
    assert a.grad is not None, "a sparse leaf gets its gradient while it is recorded"


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_a_product_sampled_at_places() -> None:
    a, b, c = matrix(torch.float32).to_sparse_csr(), torch.randn(5, 4), torch.randn(4, 6)
    found = answers(lambda dtype: torch.sparse.sampled_addmm(a, b, c, beta=0.5, alpha=2.0), "sampled_addmm")
    assert set(found) <= {"same bits", "replayed"} and found.count("same bits") >= 0.6 * len(found)
    assert set(answers(lambda dtype: torch.randn(3, 5) @ a, "aten.mm")) == {"same bits"}


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
@pytest.mark.filterwarnings(
    "ignore:Sparse CSR tensor support is in beta", "ignore:Sparse CSC tensor support is in beta"
)
def test_products_of_a_network_on_a_graph(layout: torch.layout) -> None:
    a, weight = matrix(torch.float32).to_sparse(layout=layout).requires_grad_(), torch.randn(6, 3, requires_grad=True)

    def program(dtype: torch.dtype) -> None:
        a.grad = weight.grad = None
        torch.sparse.mm(a, weight).square().sum().backward()

    found = answers(program, "aten.mm")
    assert set(found) <= {"same bits", "replayed"} and found.count("same bits") >= 0.8 * len(found)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("density", [False, True])
def test_histograms(weighted: bool, density: bool) -> None:
    def program(dtype: torch.dtype) -> None:
        x = torch.randn(50, dtype=dtype)
        weight = torch.rand(50, dtype=dtype) if weighted else None
        torch.histogram(x, 4, range=(-1.0, 1.5), weight=weight, density=density)
        torch.histogram(x, torch.tensor([-1.0, -0.25, 0.5, 2.0], dtype=dtype), weight=weight, density=density)
        points = torch.randn(20, 2, dtype=dtype)
        torch.histogramdd(points, [2, 3], weight=None if weight is None else weight[:20], density=density)

    found = answers(program, "histogram")
    assert set(found) <= ({"same bits", "replayed"} if weighted and density else {"same bits"})


def test_another_shape_for_the_same_memory() -> None:
    def program(dtype: torch.dtype) -> None:
        x = torch.arange(6.0, dtype=dtype).view(1, 6) * 2
        x.squeeze_(0)
        x.resize_(2, 2)
        y = torch.arange(9.0, dtype=dtype).view(3, 3) + 1
        y.resize_as_(x)
        y.t_()

    trace = record(program)
    step = trace.step(trace.index[0].number)
    shapes = {op.kind: (step.values[op.refs()[0]].shape, step.values[op.written[0]].shape)
              for op in step.ops if op.kind.endswith("_")}  # fmt: skip
    assert shapes["aten.squeeze_"] == ((1, 6), (6,)) and shapes["aten.resize_"] == ((6,), (2, 2))
    assert shapes["aten.resize_as_"] == ((3, 3), (2, 2))
    assert set(answers(program, "resize")) == set(answers(program, "squeeze_")) == {"same bits"}


def test_memory_that_nothing_wrote_is_not_explained() -> None:
    def program(dtype: torch.dtype) -> None:
        (torch.ones(2) * 3).resize_(4)

    assert answers(program, "resize_")[:2] == ["same bits", "same bits"]


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [False, True])
def test_gradients_of_sampling_pictures(mode: str, padding: str, corners: bool) -> None:
    def program(dtype: torch.dtype) -> None:
        x = torch.randn(1, 2, 3, 4, dtype=dtype, requires_grad=True)
        grid = (torch.randn(1, 5, 4, 2, dtype=dtype) * 0.8).requires_grad_()
        y = F.grid_sample(x, grid, mode, padding, align_corners=corners)
        (y * torch.randn_like(y)).sum().backward()

    found = answers(program, "grid_sampler_2d")
    assert set(found) <= {"same bits", "replayed"}
    if mode != "bicubic":
        assert found.count("same bits") >= 0.9 * len(found)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_gradients_of_sampling_volumes(padding: str, dtype: torch.dtype) -> None:
    def program(dtype: torch.dtype) -> None:
        x = torch.randn(1, 2, 3, 2, 3, dtype=dtype, requires_grad=True)
        grid = (torch.randn(1, 2, 3, 2, 3, dtype=dtype) * 0.8).requires_grad_()
        y = F.grid_sample(x, grid, "bilinear", padding, align_corners=False)
        (y * torch.randn_like(y)).sum().backward()

    found = answers(program, "grid_sampler_3d", dtype)
    assert set(found) <= {"same bits", "replayed"}
    if dtype == torch.float64:
        assert found.count("same bits") >= 0.9 * len(found)


def test_a_loss_that_overflows_on_its_way() -> None:
    def program(dtype: torch.dtype) -> None:
        x = torch.tensor([-13.0, 1.5, 2.0], dtype=dtype)
        F.soft_margin_loss(x, torch.tensor([1.0, -1.0, 1.0], dtype=dtype), reduction="none")

    assert set(answers(program, "soft_margin_loss", torch.float16)) == {"same bits"}


def test_infinity_as_a_truth_value() -> None:
    assert set(answers(lambda dtype: torch.full((2,), float("-inf"), dtype=torch.bool), "aten.full")) == {"same bits"}
