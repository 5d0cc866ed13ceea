"""Attention on a CPU, step by step as its kernel does it: aten/src/ATen/native/cpu/FlashAttentionKernel.cpp.

The kernel goes through blocks of queries and, for each, blocks of 512 keys: scores, their largest, exponentials, their sum,
the product with the values; the results of a block of keys are rescaled when a later block has a larger score. Every head
of every example is done alike, so each step here is done for all of them at once. In 16 bits the kernel computes in float32
and stores the exponentials in 16 bits before the second product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from whygrad.explain.inside.attention_products import Gradient, added, every, flat, product
from whygrad.explain.inside.kernel_ops import kernel_ops, vector_size
from whygrad.explain.inside.registry import inside
from whygrad.explain.tensors import threads

Tensor = torch.Tensor
KEYS = 512
STEPS = "the steps of its kernel"


@dataclass(frozen=True)
class _Call:
    """Sizes, and what is the same in all blocks. `wide`: the dtype of the computation."""

    shape: tuple[int, ...]
    keys: int
    dtype: torch.dtype
    wide: torch.dtype
    scale: float
    causal: bool
    mask: Tensor | None
    lanes: int

    @property
    def narrow(self) -> bool:
        return self.dtype != self.wide

    @property
    def join(self) -> str:
        """How the lanes of a vector become one sum: float has instructions for it."""
        return "in turn" if self.wide == torch.float64 else "halving"

    @property
    def block(self) -> int:
        """Queries in a block."""
        queries = self.shape[2]
        return min(queries, 256 if queries >= 768 else 64 if queries >= 192 else 32)

    def of_heads(self, first: int, step: int) -> _Call:
        """The call on every `step`-th head."""
        batch, heads, *rest = self.shape
        mask = self.mask
        if mask is not None and mask.dim() == 4 and mask.shape[1] > 1:
            mask = mask[:, first::step]
        return replace(self, shape=(batch, heads // step, *rest), mask=mask)

    def queries(self) -> list[tuple[int, int]]:
        """The blocks of queries."""
        total = self.shape[2]
        return [(start, min(start + self.block, total)) for start in range(0, total, self.block)]

    def keys_of(self, stop: int) -> list[tuple[int, int]]:
        """The blocks of keys that a block of queries ending before `stop` looks at."""
        total = min(stop, self.keys) if self.causal else self.keys
        return [(start, min(start + KEYS, self.keys)) for start in range(0, total, KEYS)]

    def hidden(self, queries: tuple[int, int], keys: tuple[int, int]) -> Tensor | None:
        """Which scores of a block are of keys after their query; None where none is."""
        if not self.causal or keys[1] - 1 <= queries[0]:
            return None
        return torch.arange(*keys) > torch.arange(*queries).unsqueeze(1)

    @property
    def result_at(self) -> int:
        """Where in its buffer the kernel keeps the product with the values: after the scores of a block, their largest and
        their sums."""
        return self.block * (min(self.keys, KEYS) + 2)

    def mask_of(self, queries: tuple[int, int], keys: tuple[int, int]) -> Tensor:
        """The mask of a block, in the dtype of the computation."""
        assert self.mask is not None
        batch, heads, rows, _ = self.shape
        full = self.mask.expand(batch, heads, rows, self.keys)[:, :, slice(*queries), slice(*keys)]
        return full.to(self.wide).reshape(batch * heads, queries[1] - queries[0], keys[1] - keys[0])


def _call(query: Tensor, key: Tensor, causal: bool, mask: Tensor | None, scale: float | None) -> _Call:
    wide = torch.float64 if query.dtype == torch.float64 else torch.float32
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    mask = None if mask is None or not mask.numel() else mask
    return _Call(
        tuple(query.shape), key.shape[2], query.dtype, wide, scale, bool(causal), mask, vector_size(wide)
    )  # fmt: skip


@inside("aten._scaled_dot_product_flash_attention_for_cpu", words=STEPS)
def attention(
    query: Tensor, key: Tensor, value: Tensor, dropout_p: float = 0.0, is_causal: bool = False, *,
    attn_mask: Tensor | None = None, scale: float | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`softmax(scale·Q·Kᵀ + mask)·V` and `log Σ e^(scale·Q·Kᵀ + mask)`. query (B, H, L, D), key and value (B, H, S, D) →
    (B, H, L, D), (B, H, L)."""
    call = _call(query, key, is_causal, attn_mask, scale)
    shared = call.shape[1] // key.shape[1]
    if shared > 1:  # several heads of queries look at one of keys
        key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    q, k, v = (x.to(call.wide) for x in (query, key, value))
    with threads(1):
        blocks = [_queries(call, q, k, v, block) for block in call.queries()]
    outs, sums = zip(*blocks, strict=True)
    shape = call.shape
    return torch.cat(outs, 1).reshape(shape), torch.cat(sums, 1).reshape(shape[:3])


def _queries(call: _Call, q: Tensor, k: Tensor, v: Tensor, block: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """One block of queries: the result, and the logarithm of the sum."""
    ops = kernel_ops()
    largest: Any = None
    total: Any = None
    mixed: Any = None
    for keys in call.keys_of(block[1]):
        s = _scores(call, q, k, block, keys)
        top = s.amax(-1) if largest is None else torch.maximum(s.amax(-1), largest)
        base = top if call.mask is None else torch.where(top == -math.inf, 0.0, top)
        p = _exponentials(call, s - base.unsqueeze(-1))
        part = ops.sum_vectors(p, call.lanes, 2 if call.narrow else 1, True, call.join)
        if call.narrow:
            p = p.to(call.dtype).to(call.wide)
        values = every(v, keys)
        if largest is None:
            total, mixed = part, product(p, values, call.narrow, call.result_at)
        else:
            factor = ops.exp_scalar(largest - base)
            total = torch.addcmul(part, factor, total)
            mixed = added(mixed * factor.unsqueeze(-1), p, values, at=call.result_at)
        largest = top
    if call.mask is not None:
        largest = torch.where(largest == -math.inf, 0.0, largest)
        total = torch.where(total == 0, 1.0, total)
    out = mixed * total.reciprocal().unsqueeze(-1)
    return out.to(call.dtype), largest + ops.log_scalar(total)


def _scores(call: _Call, q: Tensor, k: Tensor, queries: tuple[int, int], keys: tuple[int, int]) -> Tensor:
    """`scale·Q·Kᵀ + mask`, the addition fused; −∞ for keys after their query."""
    s = product(every(q, queries), every(k, keys).transpose(2, 3), call.narrow)
    hidden = call.hidden(queries, keys)
    if hidden is not None:
        s = s.masked_fill(hidden, -math.inf)
    if call.mask is None:
        return s * call.scale
    return torch.addcmul(call.mask_of(queries, keys), s, torch.full((), call.scale, dtype=call.wide))


def _exponentials(call: _Call, x: Tensor) -> Tensor:
    """Whole vectors by a fast exponential, the columns after them by the C library's, in double precision."""
    ops = kernel_ops()
    fast = ops.fexp_u20 if call.narrow else ops.exp_u20
    whole = x.shape[-1] // call.lanes * call.lanes
    if whole == x.shape[-1]:
        return fast(x)
    rest = ops.exp_scalar(x[..., whole:])
    return torch.cat([fast(x[..., :whole]), rest], -1) if whole else rest


@inside("aten._scaled_dot_product_flash_attention_for_cpu_backward", words=STEPS)
def attention_backward(
    grad_out: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, logsumexp: Tensor, dropout_p: float,
    is_causal: bool, *, attn_mask: Tensor | None = None, scale: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """With P = e^(scale·Q·Kᵀ + mask − logsumexp): `∂V = Pᵀ·∂O`, `∂S = P∘(∂O·Vᵀ − Σ ∂O∘O)`, `∂Q = scale·∂S·K`,
    `∂K = scale·∂Sᵀ·Q`, each added up block by block in the gradient's dtype."""
    call = _call(query, key, is_causal, attn_mask, scale)
    shared = call.shape[1] // key.shape[1]
    blocks = [(start, min(start + KEYS, call.keys)) for start in range(0, call.keys, KEYS)]
    grads = tuple({block: Gradient.zero(x, block) for block in blocks} for x in (key, value))
    grad_out = grad_out.transpose(1, 2).contiguous().transpose(1, 2)
    of_queries: list[Tensor] = []
    with threads(1):
        for first in range(shared):  # of the heads of queries that look at one head of keys
            q, g, o, lse = (x[:, first::shared] for x in (query, grad_out, out, logsumexp))
            one = _Backward(call.of_heads(first, shared), g, q, key, value, o, lse.flatten(0, 1), *grads)
            of_queries.append(torch.cat([one.queries(block) for block in call.queries()], 2))
    grad_q = of_queries[0] if shared == 1 else torch.stack(of_queries, 2).flatten(1, 2)
    grad_k, grad_v = (torch.cat([part.whole for part in parts.values()], 2) for parts in grads)
    return grad_q, grad_k, grad_v


_Parts = dict[tuple[int, int], Gradient]
"""A gradient by block of keys."""


class _Backward:
    """The gradients of heads that have keys and values of their own. Those of the keys and values grow."""

    def __init__(
        self, call: _Call, grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad_k: _Parts,
        grad_v: _Parts,
    ) -> None:  # fmt: skip
        self.call, self.grad, self.q, self.k, self.lse = call, grad, q, k, lse
        self.wide = {name: x.to(call.wide) for name, x in zip("gqkvo", (grad, q, k, v, out), strict=True)}
        self.grad_k, self.grad_v = grad_k, grad_v

    def queries(self, block: tuple[int, int]) -> Tensor:
        """One block of queries: its ∂Q; ∂K and ∂V grow."""
        call, wide = self.call, self.wide
        grad_q = Gradient.zero(self.q, block)
        g, o = every(wide["g"], block), every(wide["o"], block)
        along = self._row_sums(flat(g * o)).unsqueeze(-1)
        second = call.block * min(call.keys, KEYS)  # where in its buffer the kernel keeps the scores' gradients
        for keys in call.keys_of(block[1]):
            p = self._weights(block, keys)
            grad, q, k = every(self.grad, block), every(self.q, block), every(self.k, keys)
            self.grad_v[keys].add(p.to(call.dtype).transpose(1, 2), grad)
            grad_p = product(g, every(wide["v"], keys).transpose(2, 3), call.narrow, second)
            grad_s = (p * (grad_p - along)).to(call.dtype)
            grad_q.add(grad_s, k, call.scale, second)
            self.grad_k[keys].add(grad_s.transpose(1, 2), q, call.scale, second)
        return grad_q.whole

    def _weights(self, queries: tuple[int, int], keys: tuple[int, int]) -> Tensor:
        """P of a block, from the logarithm of its sum."""
        call, rows = self.call, slice(*queries)
        q, k = every(self.wide["q"], queries), every(self.wide["k"], keys).transpose(2, 3)
        s = product(q, k, call.narrow, alpha=call.scale)
        if call.mask is not None:
            s = s + call.mask_of(queries, keys)
        p = kernel_ops().exp_vector(s - self.lse[:, rows].unsqueeze(-1))
        hidden = call.hidden(queries, keys)
        return p if hidden is None else p.masked_fill(hidden, 0.0)

    def _row_sums(self, x: Tensor) -> Tensor:
        """`Σ ∂O∘O`, as `vec::map2_reduce_all` adds: in 16 bits two registers, if there are numbers for them."""
        call, size = self.call, x.shape[-1]
        registers = 2 if call.narrow and size >= 2 * call.lanes else 1
        join = "in turn" if call.narrow and registers == 1 else call.join
        return kernel_ops().sum_vectors(x, call.lanes, registers, False, join)
