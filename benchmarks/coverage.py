"""How much of PyTorch is explained: its own databases of operators, modules and optimizers, recorded and asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmarks import coverage_modules, coverage_ops, coverage_optim
from benchmarks.coverage_ask import Case, Outcome, Plan
from benchmarks.coverage_pool import run_all
from benchmarks.coverage_report import page

PLAN = Plan()
QUICK = Plan(samples=1, values=16, scalars=1)


def cases(only: str = "", dtypes: Sequence[str] = coverage_ops.DTYPES) -> list[Case]:
    """The cases of all databases whose `suite/name` the expression is found in."""
    every = [*coverage_ops.cases(dtypes), *coverage_modules.cases(dtypes)]
    if "float32" in dtypes:
        every += coverage_optim.cases()
    return [case for case in every if re.search(only, f"{case.suite}/{case.name}")]


def measure(only: str = "", dtypes: Sequence[str] = coverage_ops.DTYPES, quick: bool = False) -> list[Outcome]:
    """Record and ask the cases, over two processes."""
    return run_all(cases(only, dtypes), QUICK if quick else PLAN)


def report(outcomes: Sequence[Outcome], quick: bool = False) -> str:
    """Everything about coverage, in markdown."""
    plan = QUICK if quick else PLAN
    asked = (
        f"PyTorch's own databases for its tests (`op_db`, `module_db`, `optim_db` of `torch.testing._internal`), on a CPU, one "
        f"thread, with their own inputs: up to {plan.samples} samples of each operator and dtype, drawn evenly; forward, and "
        f"backward from a randomly weighted sum of the results. Of every value that every ATen op wrote (at most {plan.values} "
        f"values a sample), {plan.scalars} random scalars are asked. *Same bits*: the written equation gives the recorded "
        "number to the last bit. *Replayed*: the op, run again, does, and the equation comes near. *Opaque*: no equation, or one "
        "that does not come near. *Differs*: not even the replay agrees. Cells: same bits/replayed/opaque/differs in percent; "
        "`100`: all are the same bits; `–`: nothing was computed (a view)."
    )
    return "\n\n".join([asked, page(outcomes)])
