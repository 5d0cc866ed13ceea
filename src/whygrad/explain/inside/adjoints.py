"""Backward ops as what autograd makes of their forward op's decomposition: its steps, and those of its derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from whygrad.explain.inside.registry import inside
from whygrad.rules.registry import Unruled

Tensor = torch.Tensor
ADJOINT = "autograd through torch's decomposition of the forward op"


def gradients(
    forward: Callable[..., Any], inputs: Sequence[Tensor], grad_outputs: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """`∂⟨forward(*inputs), grad_outputs⟩/∂inputs`, of the first results of `forward`, with every step seen."""
    with torch.enable_grad():
        leaves = [each.detach().requires_grad_() for each in inputs]
        made = forward(*leaves)
        outputs = [made] if isinstance(made, Tensor) else list(made)[: len(grad_outputs)]
    found: Any = torch.autograd.grad(outputs, leaves, list(grad_outputs), allow_unused=True)
    return tuple(torch.zeros_like(x) if grad is None else grad for x, grad in zip(inputs, found, strict=True))


def decomposed(overload: Any) -> Callable[..., Any]:
    """torch's decomposition of an op. Raises Unruled when it has none."""
    from torch._decomp import decomposition_table

    found = decomposition_table.get(overload)
    if found is None:
        raise Unruled(f"torch has no decomposition of {overload}")
    return found


@inside("aten.multi_margin_loss_backward", words=ADJOINT)
def multi_margin_loss_backward(grad_output: Tensor, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Of `Σⱼ max(0, margin − x[t] + x[j])ᵖ / n` (aten/src/ATen/native/LossMultiMargin.cpp)."""
    forward = decomposed(torch.ops.aten.multi_margin_loss.default)
    return gradients(lambda y: forward(y, *args, **kwargs), [x], [grad_output])[0]


@inside("aten.multilabel_margin_loss_forward")
def multilabel_margin_loss_forward(x: Tensor, target: Tensor, reduction: int) -> tuple[Tensor, Tensor]:
    """`Σₖ Σⱼ max(0, 1 − x[targetₖ] + x[j]) / n` over the targets before the first −1 and every j that is none of them
    (aten/src/ATen/native/LossMultiLabelMargin.cpp), and which j are targets. torch's decomposition takes in those after
    the −1 too."""
    rows, labels = torch.atleast_2d(x), torch.atleast_2d(target)
    named = (labels >= 0).to(labels.dtype).cumprod(1) > 0
    at = labels.clamp(0)
    hits = torch.zeros_like(rows, dtype=torch.int64).scatter_add(1, at, named.to(torch.int64))
    is_target = (hits > 0).to(x.dtype)
    pairs = 1 - rows.gather(1, at).unsqueeze(2) + rows.unsqueeze(1)
    counted = named.unsqueeze(2) & (hits == 0).unsqueeze(1)
    losses = torch.where(counted, pairs.clamp(min=0), torch.zeros_like(pairs)).sum((1, 2)) / rows.shape[1]
    total = losses.view(x.shape[:-1]) if reduction == 0 else losses.mean() if reduction == 1 else losses.sum()
    return total, is_target.view(x.shape)


@inside("aten.multilabel_margin_loss_backward", words="autograd through its mathematics")
def multilabel_margin_loss_backward(
    grad_output: Tensor, x: Tensor, target: Tensor, reduction: int, is_target: Tensor
) -> Tensor:
    """Of `multilabel_margin_loss_forward`."""
    return gradients(lambda y: multilabel_margin_loss_forward(y, target, reduction), [x], [grad_output])[0]


def _enter_upsampling() -> None:
    """`upsample_*_backward(grad_output, output_size, input_size, …)`: interpolation is linear, so any input will do."""

    def enter(name: str) -> None:
        @inside(f"aten.{name}_backward", words=ADJOINT)
        def backward(  # pyright: ignore[reportUnusedFunction]
            grad_output: Tensor, output_size: list[int], input_size: list[int], *args: Any, **kwargs: Any
        ) -> Tensor:
            forward = decomposed(getattr(torch.ops.aten, name).default)
            x = torch.zeros(input_size, dtype=grad_output.dtype)
            return gradients(lambda y: forward(y, output_size, *args, **kwargs), [x], [grad_output])[0]

    for name in (
        "upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d", "upsample_nearest1d",
        "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d",
        "_upsample_nearest_exact3d",
    ):  # fmt: skip
        enter(name)


_enter_upsampling()
