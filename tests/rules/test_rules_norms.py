"""Normalisation: every number of its ops, forward and backward, is given to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.rules.harness import Shares, record
from tests.rules.norms_harness import norm_shares

Tensor = torch.Tensor
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
NARROW = (torch.bfloat16, torch.float16)


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request: pytest.FixtureRequest) -> Any:
    """Run with that many threads: they share rows, and sums over rows are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture
def two_threads() -> Any:
    """One thread runs another copy of the float64 kernel, whose sum over few channels is not fused throughout."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def numbers(*shape: int, dtype: torch.dtype) -> Tensor:
    """Random numbers that take part in the backward pass."""
    return (torch.randn(*shape, dtype=torch.float64) * 2 + 1).to(dtype).requires_grad_()


def all_same(found: Shares, *ops: str) -> None:
    """Each of `ops` was sampled, and every sample had the bits of its equation."""
    assert {op for op, _ in found} == set(ops)
    assert [s for s in found.values() if s.same != s.sampled] == []
    assert all(any(s.sampled for s in found.values() if s.op == op) for op in ops)


def backward(y: Tensor, like: Tensor) -> None:
    """A random gradient, laid out in memory as `like`."""
    torch.manual_seed(9)
    y.backward(torch.empty_like(like).copy_(torch.randn(y.shape)))


def layer_norm(
    rows: int, n: int, weight: bool, bias: bool, kept: torch.dtype | None = None
) -> Callable[[torch.dtype], None]:
    """`kept`: the dtype of weight and bias."""

    def program(dtype: torch.dtype) -> None:
        torch.manual_seed(rows * n)
        x = numbers(rows, n, dtype=dtype)
        w, b = (numbers(n, dtype=kept or dtype) if given else None for given in (weight, bias))
        backward(F.layer_norm(x, (n,), w, b), x)

    return program


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("rows", "n"), [(7, 5), (9, 16), (6, 37), (5, 300)])
@pytest.mark.usefixtures("threads")
def test_layer_norm(rows: int, n: int, dtype: torch.dtype) -> None:
    """Rows shorter than a vector, of whole vectors, with a rest, and of more than one chunk."""
    found = norm_shares(record(layer_norm(rows, n, True, True), dtype))
    all_same(found, "aten.native_layer_norm.default", "aten.native_layer_norm_backward.default")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("weight", "bias"), [(True, False), (False, True), (False, False)])
def test_layer_norm_without(weight: bool, bias: bool, dtype: torch.dtype) -> None:
    """Without weight or bias other parts are fused."""
    found = norm_shares(record(layer_norm(5, 21, weight, bias), dtype))
    all_same(found, "aten.native_layer_norm.default", "aten.native_layer_norm_backward.default")


@pytest.mark.parametrize("dtype", NARROW, ids=str)
@pytest.mark.parametrize("n", [11, 16, 37])
def test_layer_norm_mixed(n: int, dtype: torch.dtype) -> None:
    """16-bit numbers with float32 weights: the mean and 1/σ are float32 results."""
    found = norm_shares(record(layer_norm(6, n, True, True, torch.float32), dtype))
    all_same(found, "aten.native_layer_norm.default", "aten.native_layer_norm_backward.default")


def batch_norm(
    shape: tuple[int, ...], train: bool = True, affine: bool = True, last: bool = False, kept: torch.dtype | None = None
) -> Callable[[torch.dtype], None]:
    """`last`: the channels are the fastest dimension in memory."""

    def program(dtype: torch.dtype) -> None:
        torch.manual_seed(len(shape))
        x, channels, kind = numbers(*shape, dtype=dtype).detach(), shape[1], kept or dtype
        x = x.contiguous(memory_format=torch.channels_last) if last else x
        x.requires_grad_()
        mean, var = torch.randn(channels).to(kind), (torch.rand(channels) + 0.5).to(kind)
        w, b = (numbers(channels, dtype=kind) if affine else None for _ in "wb")
        backward(F.batch_norm(x, mean, var, w, b, train), x)

    return program


BATCH_NORM = ("aten.native_batch_norm.default", "aten.native_batch_norm_backward.default")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(3, 5, 37), (4, 6, 4, 4), (20, 19), (300, 3), (2, 4)], ids=str)
@pytest.mark.usefixtures("threads")
def test_batch_norm(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Images and plain rows, running statistics included; 300 has no bfloat16."""
    all_same(norm_shares(record(batch_norm(shape), dtype)), *BATCH_NORM)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_channels_last(train: bool, affine: bool, dtype: torch.dtype) -> None:
    """19 channels: two vectors and a rest, which the kernel does not fuse."""
    all_same(norm_shares(record(batch_norm((3, 19, 4, 5), train, affine, last=True), dtype)), *BATCH_NORM)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_evaluation(affine: bool, dtype: torch.dtype) -> None:
    """With the running statistics."""
    all_same(norm_shares(record(batch_norm((3, 5, 37), False, affine), dtype)), *BATCH_NORM)


@pytest.mark.parametrize("dtype", NARROW, ids=str)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.usefixtures("threads")
def test_batch_norm_mixed(last: bool, dtype: torch.dtype) -> None:
    """16-bit numbers with float32 statistics."""
    all_same(norm_shares(record(batch_norm((4, 19, 5, 5), last=last, kept=torch.float32), dtype)), *BATCH_NORM)


@pytest.mark.parametrize("op", ["_native_batch_norm_legit", "_batch_norm_with_update"])
def test_batch_norm_by_other_names(op: str) -> None:
    """The functional forms write the running statistics too."""

    def program(dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        x, w, b, mean, var = (torch.randn(*shape) for shape in ((4, 3, 5), (3,), (3,), (3,), (3,)))
        flags = (True,) if op == "_native_batch_norm_legit" else ()
        getattr(torch.ops.aten, op)(x, w, b, mean, var.abs_(), *flags, 0.2, 1e-5)

    trace = record(program)
    all_same(norm_shares(trace), *{each.name for each in trace.step(trace.index[0].number).ops if op in each.name})
    (call,) = (each for each in trace.step(trace.index[0].number).ops if op in each.name)
    assert len([each for each in call.written if each not in call.outputs]) == 2


def test_instance_norm() -> None:
    """Each example's channels are channels of their own."""

    def program(dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        x = numbers(3, 4, 21, dtype=dtype)
        backward(F.instance_norm(x), x)

    all_same(norm_shares(record(program)), *BATCH_NORM)


GROUP_NORM = ("aten.native_group_norm.default", "aten.native_group_norm_backward.default")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "groups"), [((2, 34, 3), 1), ((3, 4, 37), 2), ((2, 48, 4, 4), 3)], ids=str)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.usefixtures("two_threads")
def test_group_norm(shape: tuple[int, ...], groups: int, affine: bool, dtype: torch.dtype) -> None:
    """Groups of many channels, and of long ones."""

    def program(dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        x = numbers(*shape, dtype=dtype)
        w, b = (numbers(shape[1], dtype=dtype) if affine else None for _ in "wb")
        backward(F.group_norm(x, groups, w, b), x)

    all_same(norm_shares(record(program, dtype)), *GROUP_NORM)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.usefixtures("threads")
def test_weight_norm(dim: int, dtype: torch.dtype) -> None:
    """Rows and columns."""

    def program(dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        v = numbers(13, 37, dtype=dtype)
        g = numbers(*((13, 1) if dim == 0 else (1, 37)), dtype=dtype)
        backward(torch.ops.aten._weight_norm_interface(v, g, dim)[0], v)

    found = norm_shares(record(program, dtype))
    all_same(found, "aten._weight_norm_interface.default", "aten._weight_norm_interface_backward.default")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "dim"), [((6, 37), 1), ((37, 6), 0), ((4, 5, 7), (1, 2)), ((33, 41), None)], ids=str)
def test_variance_and_norms(shape: tuple[int, ...], dim: Any, dtype: torch.dtype) -> None:
    """Along the fastest dimension, along another, and over everything."""

    def program(dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        x = numbers(*shape, dtype=dtype).detach()
        x.var(dim)
        x.std(dim, correction=0)
        torch.var_mean(x, dim, keepdim=True)
        torch.std_mean(x, dim, correction=2)
        for p in (2, 1, 0, 3.0, 0.5, torch.inf, -torch.inf):
            torch.linalg.vector_norm(x, p, dim=dim)

    names = (
        "var.correction",
        "std.correction",
        "var_mean.correction",
        "std_mean.correction",
        "linalg_vector_norm.default",
    )
    all_same(norm_shares(record(program, dtype)), *(f"aten.{name}" for name in names))
