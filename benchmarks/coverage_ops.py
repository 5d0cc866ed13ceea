"""PyTorch's own OpInfo database: every operator, with the sample inputs that PyTorch tests it on."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

import torch

from benchmarks.coverage_ask import Case, Outcome, Plan, Program, dtype_of, observe, said

T = TypeVar("T")
DTYPES = ("float32", "float64", "float16", "bfloat16")


@cache
def database() -> dict[str, Any]:
    """The OpInfos by name; variants of an operator have their own."""
    from torch.testing._internal.common_methods_invocations import op_db

    return {f"{info.name}.{info.variant_test_name}" if info.variant_test_name else info.name: info for info in op_db}


def cases(dtypes: Sequence[str] = DTYPES) -> list[Case]:
    """Every operator in every dtype that it supports on a CPU."""
    return [
        Case("ops", name, dtype)
        for name, info in database().items()
        for dtype in dtypes
        if dtype_of(dtype) in info.supported_dtypes("cpu")
    ]


def seed_of(case: Case) -> int:
    """A seed that only the case decides."""
    return zlib.crc32(f"{case.suite}/{case.name}/{case.dtype}".encode())


def run(case: Case, plan: Plan) -> Outcome:
    """Record and ask some samples of an operator, forward and, where it has one, backward."""
    info, dtype = database()[case.name], dtype_of(case.dtype)
    differentiable = bool(info.supports_autograd) and dtype in info.supported_backward_dtypes("cpu")
    outcome = Outcome(case, differentiable)
    torch.manual_seed(seed_of(case))
    try:
        samples = list(info.sample_inputs("cpu", dtype, requires_grad=differentiable))
    except Exception as error:
        outcome.skipped[f"its samples: {said(error)}"] += 1
        return outcome
    rng = random.Random(seed_of(case))
    for sample in evenly(samples, plan.samples):
        observe(outcome, program(info, sample, differentiable, rng.randrange(1 << 31)), plan, rng)
    return outcome


def evenly(items: Sequence[T], count: int) -> list[T]:
    """`count` of the items, drawn evenly from first to last."""
    if len(items) <= count:
        return list(items)
    return [items[round(k * (len(items) - 1) / (count - 1))] for k in range(count)] if count > 1 else [items[0]]


def program(info: Any, sample: Any, differentiable: bool, seed: int) -> Program:
    """One sample as a program: the operator, then the gradient of a weighted sum of its results."""

    def run_once() -> None:
        forget_gradients((sample.input, sample.args, sample.kwargs))
        torch.manual_seed(seed)
        out = sample.output_process_fn_grad(info(sample.input, *sample.args, **sample.kwargs))
        if differentiable:
            backward(out, seed)

    return run_once


def forget_gradients(inputs: Any) -> None:
    """As before the first run."""
    for x in tensors(inputs):
        if x.is_leaf:
            x.grad = None


def backward(out: Any, seed: int) -> None:
    """The backward pass of Σ w·y over all results y that have one, with random weights w."""
    results = [y for y in tensors(out) if y.requires_grad and y.grad_fn is not None and y.numel()]
    if not results:
        return
    generator = torch.Generator().manual_seed(seed)
    torch.autograd.backward(results, [weights(y, generator) for y in results])


def weights(y: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Random weights of a result's shape and dtype, made outside of what is recorded."""
    from torch.utils._python_dispatch import _disable_current_modes

    with _disable_current_modes():
        dense = torch.randn(y.shape, generator=generator, dtype=torch.complex64 if y.is_complex() else torch.float32)
        return dense.to(y.dtype)


def tensors(out: Any) -> Iterator[torch.Tensor]:
    """The tensors in a result, however nested."""
    if isinstance(out, torch.Tensor):
        yield out
    elif isinstance(out, dict):
        for each in out.values():
            yield from tensors(each)
    elif isinstance(out, (list, tuple)):
        for each in out:
            yield from tensors(each)
