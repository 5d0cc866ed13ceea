"""PyTorch's own database of modules, training and evaluating."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch

from benchmarks.coverage_ask import Case, Outcome, Plan, Program, dtype_of, observe, said
from benchmarks.coverage_ops import backward, evenly, forget_gradients, seed_of


@cache
def database() -> dict[str, Any]:
    """The ModuleInfos by name."""
    from torch.testing._internal.common_modules import module_db

    return {info.name: info for info in module_db}


def cases(dtypes: Sequence[str]) -> list[Case]:
    """Every module in every dtype that its tests have."""
    found = database().items()
    return [Case("modules", n, d) for n, info in found for d in dtypes if dtype_of(d) in info.supported_dtypes("cpu")]


def run(case: Case, plan: Plan) -> Outcome:
    """Record and ask some inputs of a module; where it behaves otherwise in evaluation, of that too."""
    info, dtype = database()[case.name], dtype_of(case.dtype)
    outcome = Outcome(case, differentiable=True)
    rng = random.Random(seed_of(case))
    for training in (True, False) if info.train_and_eval_differ else (True,):
        torch.manual_seed(seed_of(case))
        try:
            inputs = info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training)
        except Exception as error:
            outcome.skipped[f"its inputs: {said(error)}"] += 1
            continue
        for each in evenly(inputs, plan.samples):
            try:
                module = _built(info, each, dtype, training)
            except Exception as error:
                outcome.skipped[f"its construction: {said(error)}"] += 1
                continue
            observe(outcome, program(module, each.forward_input, rng.randrange(1 << 31)), plan, rng)
    return outcome


def _built(info: Any, given: Any, dtype: torch.dtype, training: bool) -> torch.nn.Module:
    module = info.module_cls(*given.constructor_input.args, **given.constructor_input.kwargs)
    return module.to(device="cpu", dtype=dtype).train(training)


def program(module: torch.nn.Module, given: Any, seed: int) -> Program:
    """A module's forward pass, and the gradient of a weighted sum of its results."""

    def run_once() -> None:
        forget_gradients((given.args, given.kwargs, dict(module.named_parameters())))
        torch.manual_seed(seed)
        backward(module(*given.args, **given.kwargs), seed)

    return run_once
