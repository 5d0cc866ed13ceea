"""Decompositions written here, against the ops that they decompose."""

from __future__ import annotations

import inspect
import math
from typing import Any

import pytest
import torch

from whygrad.explain.inside import ctc, distances, registry, sampling
from whygrad.explain.inside.adjoints import (
    multi_margin_loss_backward,
    multilabel_margin_loss_backward,
    multilabel_margin_loss_forward,
)
from whygrad.explain.inside.draws import rrelu_with_noise
from whygrad.explain.inside.registry import candidates
from whygrad.trace.model import Op

Tensor = torch.Tensor
aten: Any = torch.ops.aten


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def agree(mine: Any, theirs: Any) -> None:
    mine = (mine,) if isinstance(mine, Tensor) else mine
    theirs = (theirs,) if isinstance(theirs, Tensor) else theirs
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, math.inf])
def test_distances(p: float) -> None:
    a, b = normal(2, 4, 3), normal(2, 5, 3)
    a[0, 0] = b[0, 1]
    y, grad = aten._cdist_forward(a, b, p, None), normal(2, 4, 5)
    agree(distances.cdist_forward(a, b, p), y)
    agree(distances.cdist_backward(grad, a, b, p, y), aten._cdist_backward(grad, a, b, p, y))
    x = normal(5, 3)
    y = aten._pdist_forward(x, p)
    agree(distances.pdist_forward(x, p), y)
    grad = normal(10)
    agree(distances.pdist_backward(grad, x, p, y), aten._pdist_backward(grad, x, p, y))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("mode", [sampling.BILINEAR, sampling.NEAREST])
@pytest.mark.parametrize("padding", [sampling.ZEROS, sampling.BORDER, sampling.REFLECTION])
@pytest.mark.parametrize("align_corners", [False, True])
def test_grid_sampling(dims: int, mode: int, padding: int, align_corners: bool) -> None:
    x, grid = normal(2, 3, *(4, 5, 6)[:dims]), 1.3 * normal(2, *(3, 2, 4)[:dims], dims)
    forward = aten.grid_sampler_2d if dims == 2 else aten.grid_sampler_3d
    backward = aten.grid_sampler_2d_backward if dims == 2 else aten.grid_sampler_3d_backward
    y = forward(x, grid, mode, padding, align_corners)
    agree(sampling.sample(x, grid, mode, padding, align_corners), y)
    call = (normal(*y.shape), x, grid, mode, padding, align_corners, [True, True])
    agree(sampling.grid_sampler_backward(*call), backward(*call))


def test_bicubic_sampling() -> None:
    x, grid = normal(1, 2, 5, 5), normal(1, 3, 3, 2)
    call = (normal(1, 2, 3, 3), x, grid, sampling.BICUBIC, sampling.ZEROS, False, [True, True])
    agree(sampling.grid_sampler_2d_backward(*call), aten.grid_sampler_2d_backward(*call))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("zero_infinity", [False, True])
def test_ctc(packed: bool, zero_infinity: bool) -> None:
    y = normal(7, 3, 5).log_softmax(2)
    inputs, lengths = [7, 5, 2], [3, 2, 2 if zero_infinity else 1]
    targets = torch.tensor([[1, 1, 2], [3, 4, 4], [2, 2, 0]])
    if packed:
        targets = torch.cat([row[:n] for row, n in zip(targets, lengths, strict=True)])
    loss, alpha = aten._ctc_loss(y, targets, inputs, lengths, 0, zero_infinity)
    mine, alphas = ctc.ctc_loss(y, targets, inputs, lengths, 0, zero_infinity)
    agree(mine, loss)
    for n in range(3):
        agree(alphas[n, : inputs[n], : 2 * lengths[n] + 1], alpha[n, : inputs[n], : 2 * lengths[n] + 1])
    call = (normal(3), y, targets, inputs, lengths, loss, alpha, 0, zero_infinity)
    agree(ctc.ctc_loss_backward(*call), aten._ctc_loss_backward(*call))


@pytest.mark.parametrize("reduction", [0, 1, 2])
def test_margin_losses(reduction: int) -> None:
    x, target = normal(4, 3), torch.tensor([0, 2, 1, 1])
    grad = normal(4) if reduction == 0 else normal(1)[0]
    for p in (1, 2):
        call = (grad, x, target, p, 0.9, None, reduction)
        agree(multi_margin_loss_backward(*call), aten.multi_margin_loss_backward(*call))
    labels = torch.tensor([[1, -1, 0], [2, 0, -1], [-1, 0, 1], [0, 1, 2]])
    loss, is_target = aten.multilabel_margin_loss_forward(x, labels, reduction)
    agree(multilabel_margin_loss_forward(x, labels, reduction), (loss, is_target))
    call = (grad, x, labels, reduction, is_target)
    agree(multilabel_margin_loss_backward(*call), aten.multilabel_margin_loss_backward(*call))


@pytest.mark.parametrize(
    ("name", "output", "arguments"),
    [
        ("upsample_linear1d", [7], (False, None)),
        ("upsample_bilinear2d", [7, 3], (True, None, None)),
        ("upsample_bicubic2d", [7, 3], (False, None, None)),
        ("upsample_trilinear3d", [3, 4, 5], (False, None, None, None)),
        ("upsample_nearest2d", [7, 3], (None, None)),
        ("_upsample_nearest_exact2d", [7, 3], (None, None)),
    ],
)
def test_upsampling(name: str, output: list[int], arguments: tuple[Any, ...]) -> None:
    size = [2, 3, *(4, 5, 6)[: len(output)]]
    grad = normal(2, 3, *output)
    call = (grad, output, size, *arguments)
    found = candidates(Op(0, f"aten.{name}_backward.default"))
    assert found[0].words.startswith("autograd")
    agree(found[0].call(*call), getattr(aten, f"{name}_backward")(*call))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_rrelu(training: bool, dtype: torch.dtype) -> None:
    x, noise = normal(40, 5).to(dtype), torch.empty(40, 5, dtype=dtype)
    torch.manual_seed(1)
    y = aten.rrelu_with_noise(x, noise, 0.1, 0.3, training)
    torch.manual_seed(1)
    mine = rrelu_with_noise(x, noise, 0.1, 0.3, training)
    assert torch.equal(mine[0], y)
    assert not training or torch.equal(mine[1], noise)


def test_every_function_takes_what_its_op_is_given() -> None:
    """Each decomposition has a parameter for each argument of an overload's schema, but for `out=` and generators."""
    candidates(Op(0, "aten.mish.default"))
    for op, functions in registry._OWN.items():  # pyright: ignore[reportPrivateUsage]
        for function, _ in functions:
            signature = inspect.signature(function)
            assert any(_takes(signature, overload) for overload in _overloads(op)), (op, function.__name__)


def _overloads(op: str) -> list[Any]:
    namespace, name, *rest = op.split(".")
    packet = getattr(getattr(torch.ops, namespace), name)
    return [getattr(packet, each) for each in rest or packet.overloads()]


def _takes(signature: inspect.Signature, overload: Any) -> bool:
    arguments = [a for a in overload._schema.arguments if not a.is_out and a.name != "generator"]
    plain = [object() for a in arguments if not a.kwarg_only]
    keywords = {a.name: object() for a in arguments if a.kwarg_only}
    try:
        signature.bind(*plain, **keywords)
    except TypeError:
        return False
    return True
