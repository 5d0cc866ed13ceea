"""Attention taken apart: the steps give the very bits of its kernel, and each step is explained."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import whygrad
from tests.rules.harness import record, shares
from whygrad.explain.inside.attention import attention, attention_backward
from whygrad.explain.inside.kernel_ops import kernel_ops
from whygrad.explain.why import Explainer
from whygrad.floats import elementary

Tensor = torch.Tensor
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
# Batch, heads, heads of keys, queries, keys, size of a head: one block; several blocks of queries; several of keys, with a
# rest that fills no vector; matrices so small that their place in memory counts; shared heads of keys.
SHAPES = [
    (2, 2, 2, 20, 33, 16),
    (1, 2, 2, 40, 70, 24),
    (1, 1, 1, 200, 530, 16),
    (2, 2, 2, 3, 6, 5),
    (1, 4, 2, 12, 9, 8),
]
kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
kernel_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def _inputs(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    batch, heads, shared, queries, keys, size = shape
    made = (torch.randn(batch, h, n, size) for h, n in ((heads, queries), (shared, keys), (shared, keys)))
    q, k, v = (x.to(dtype) for x in made)
    return q, k.transpose(1, 2).contiguous().transpose(1, 2), v


def _same(a: Tensor, b: Tensor) -> bool:
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["plain", "causal", "mask"])
def test_the_steps_give_the_bits_of_the_kernel(shape: tuple[int, ...], dtype: torch.dtype, kind: str) -> None:
    q, k, v = _inputs(shape, dtype)
    options: dict[str, Any] = {"scale": 0.3}
    if kind == "mask":
        mask = torch.randn(shape[3], shape[4]).to(dtype)
        mask[0] = -math.inf
        options["attn_mask"] = mask.masked_fill(torch.rand(mask.shape) < 0.3, -math.inf)
    causal = kind == "causal"
    out, lse = kernel(q, k, v, 0.0, causal, **options)
    mine, my_lse = attention(q, k, v, 0.0, causal, **options)
    assert _same(out, mine)
    assert torch.allclose(lse, my_lse, rtol=1e-6)  # float16's gemm of very small matrices has an order of its own
    grad = torch.randn(out.shape).to(dtype)
    grads = kernel_backward(grad, q, k, v, out, lse, 0.0, causal, **options)
    for theirs, ours in zip(grads, attention_backward(grad, q, k, v, out, lse, 0.0, causal, **options), strict=True):
        assert _same(theirs, ours)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_single_query(dtype: torch.dtype) -> None:
    q, k, v = _inputs((2, 2, 2, 1, 40, 16), dtype)
    assert _same(kernel(q, k, v)[0], attention(q, k, v)[0])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_step_has_its_bits(dtype: torch.dtype) -> None:
    def steps(dtype: torch.dtype) -> None:
        q, k, v = _inputs((1, 2, 2, 40, 530, 24), dtype)
        mask = torch.randn(40, 530).to(dtype)
        out, lse = attention(q, k, v, attn_mask=mask)
        attention_backward(torch.ones_like(out), q, k, v, out, lse, 0.0, False, attn_mask=mask)

    found = shares(record(steps, dtype), samples=2)
    drawn = {key: share for key, share in found.items() if "randn" not in key[0]}
    names = {op.split(".")[1] for op, _ in drawn if op.startswith("whygrad")}
    fast = "exp_u20" if dtype in (torch.float32, torch.float64) else "fexp_u20"
    assert names == {fast, "exp_vector", "exp_scalar", "log_scalar", "sum_vectors"}
    for share in drawn.values():
        assert share.same == share.sampled, share


def _answers(run: Any, op_name: str, count: int, depth: int = 0) -> list[Any]:
    explainer, rng = Explainer(run.trace), random.Random(0)
    step = run.trace.step(0)
    found: list[Any] = []
    for op in (op for op in step.ops if op_name in op.name):
        for value in (step.values[v] for v in op.outputs if v is not None and step.values[v].numel):
            for _ in range(count):
                index = tuple(rng.randrange(n) for n in value.shape)
                found.append(explainer.explain(explainer.at(0, value, index), depth))
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_why_through_attention(dtype: torch.dtype) -> None:
    q, k, v = (torch.randn(1, 2, 10, 16).to(dtype).requires_grad_() for _ in range(3))
    with whygrad.record(steps="all") as run:
        F.scaled_dot_product_attention(q, k, v, is_causal=True).backward(torch.ones(1, 2, 10, 16, dtype=dtype))
    answers = _answers(run, "flash_attention", 3)
    assert len(answers) == 15
    for answer in answers:
        assert answer.verdict.kind == "same bits"
        assert "of the steps of its kernel" in answer.verdict.how


def test_the_steps_lead_out_to_the_operands() -> None:
    query, key, value = (torch.randn(1, 1, 4, 4, requires_grad=True) for _ in range(3))
    with whygrad.record(steps="all") as run:
        F.scaled_dot_product_attention(query, key, value).sum().backward()
    answer = _answers(run, "flash_attention_for_cpu.default", 1, depth=20)[0]
    seen: set[str] = set()
    todo = [answer]
    while todo:
        node = todo.pop()
        seen.add(node.address.partition("[")[0])
        todo += [operand for operand in node.operands if hasattr(operand, "operands")]
        assert node.verdict.kind in ("same bits", "given", "not asked"), node
    assert {"query", "key", "value"} <= seen


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_attention_by_its_mathematics(dropout: float) -> None:
    """With dropout, or a mask that needs a gradient, attention is matrix products and a softmax."""
    q, k, v = (torch.randn(1, 2, 6, 8, requires_grad=True) for _ in range(3))
    mask = torch.randn(6, 6, requires_grad=True)
    with whygrad.record(steps="all") as run:
        F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout).sum().backward()
    assert "aten._safe_softmax.default" in {op.name for op in run.trace.step(0).ops}
    for answer in _answers(run, "softmax", 4) + _answers(run, "bmm", 2):
        assert answer.verdict.kind == "same bits", answer


def test_a_safe_softmax_of_nothing_is_zero() -> None:
    scores = torch.randn(3, 5)
    scores[1] = -math.inf
    with whygrad.record(steps="all") as run:
        torch.ops.aten._safe_softmax(scores, -1)
    for answer in _answers(run, "_safe_softmax", 15):
        assert answer.verdict.kind == "same bits", answer


@pytest.mark.parametrize("op", ["_native_multi_head_attention", "_transformer_encoder_layer_fwd"])
def test_the_fast_paths_of_evaluation(op: str) -> None:
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    x = torch.randn(2, 5, 16)
    with whygrad.record(steps="all") as run, torch.no_grad():
        layer(x)
        layer.self_attn(x, x, x, need_weights=False)
    answers = _answers(run, op, 8)
    assert answers
    for answer in answers:
        assert answer.verdict.kind == "same bits", answer


def test_the_exponentials_of_the_kernels() -> None:
    """The quick forms that the steps run are the ones that their equations evaluate; also where a power of two is put
    together from bits that are those of zero, near −87."""
    ops = kernel_ops()
    ends = [0.0, -0.0, 88.72, 88.73, -86.99, -87.1, -87.34, -1e30, math.inf, -math.inf, math.nan]
    x = torch.cat([-100 * torch.rand(5000), 10 * torch.randn(5003), torch.tensor(ends)])
    for name, variant in (("exp_u20", elementary.EXP_U20), ("fexp_u20", elementary.FEXP_U20)):
        mine = elementary.evaluate_array("exp", (x.numpy(),), "float32", variant)
        assert _same(getattr(ops, name)(x), torch.from_numpy(mine)), name
    assert ops.exp_u20(torch.tensor(-87.1)) == 0
    for wide in (x, x.double()):
        mine = elementary.evaluate_array("exp", (wide.numpy(),), str(wide.dtype)[6:], elementary.SLEEF)
        assert _same(ops.exp_vector(wide), torch.from_numpy(mine))
