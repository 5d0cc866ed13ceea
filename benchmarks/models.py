"""Real models: how well the numbers of one training step are explained, over all phases, and how long a why takes.

Asked are random elements of random op results (each result counts once, however large) of one AdamW step, the update
included. What an op only moved is asked of who made it.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

import whygrad
from benchmarks.report import Table, share
from benchmarks.verdicts import BUDGET, KINDS
from whygrad.errors import ValueDropped
from whygrad.explain.places import Place
from whygrad.explain.tensors import threads
from whygrad.explain.why import Explainer
from whygrad.trace.model import Op, Step, Value
from whygrad.trace.store import Trace

DTYPES = (torch.float32, torch.bfloat16)
SEED = 0


@dataclass
class Asked:
    """Verdicts by kind and phase; by op those without the same bits, each with the first reason; seconds of each why."""

    kinds: Counter[str] = field(default_factory=Counter[str])
    phases: Counter[str] = field(default_factory=Counter[str])
    ops: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    reasons: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    seconds: list[float] = field(default_factory=list[float])

    @property
    def total(self) -> int:
        """Answers counted."""
        return self.kinds.total()

    @property
    def median(self) -> float:
        """Milliseconds that half of the whys take at most."""
        return 1000 * statistics.median(self.seconds) if self.seconds else math.nan


def ask(trace: Trace, count: int, rng: random.Random, depth: int | None = 0) -> Asked:
    """Ask for `count` finite elements of what the ops of a trace wrote; results in random order, again from the start where
    there are fewer. `depth`: how many operands deep each is explained, None as by default; the verdicts are the same."""
    found, explainer = Asked(), Explainer(trace)
    results = [each for info in trace.index for each in _results(trace.step(info.number))]
    while found.total < count:
        before = found.total
        for step, op, value in rng.sample(results, len(results)):
            if found.total < count:
                index = tuple(rng.randrange(n) for n in value.shape)
                _ask_one(found, explainer, op, explainer.at(step.number, value, index), depth)
        if found.total == before:
            raise RuntimeError("no result of this trace can be asked")
    return found


def _results(step: Step) -> list[tuple[Step, Op, Value]]:
    """What the ops of a step wrote."""
    return [(step, op, step.values[written]) for op in step.ops for written in op.written if step.values[written].numel]


def _ask_one(found: Asked, explainer: Explainer, op: Op, place: Place, depth: int | None) -> None:
    start = time.perf_counter()
    try:
        answer = explainer.explain(place, depth)
    except ValueDropped:  # memory that was only allocated
        return
    seconds = time.perf_counter() - start
    kind, name = answer.verdict.kind, answer.op or op.name
    # NaN and infinity: nearly any equation gives them.
    if answer.via or kind not in KINDS or not math.isfinite(answer.value):
        return
    found.kinds[kind] += 1
    found.phases[op.phase] += 1
    found.seconds.append(seconds)
    if kind != "same bits":
        found.ops.setdefault(kind, Counter())[name] += 1
        found.reasons.setdefault((kind, name), answer.verdict.reason)


def table(found: Mapping[tuple[str, torch.dtype], Asked]) -> Table:
    """Rows: model and dtype."""
    rows = [
        [name, str(dtype)[6:], str(asked.total), *(share(asked.kinds[kind], asked.total) for kind in KINDS),
         f"{asked.median:.1f}"]
        for (name, dtype), asked in found.items()
    ]  # fmt: skip
    return Table(["model", "dtype", "asked", *KINDS, "median ms of a why"], rows, numbers=(2, 3, 4, 5, 6, 7))


def ops_table(found: Mapping[tuple[str, torch.dtype], Asked], most: int = 12) -> Table:
    """The ops whose equation did not give the bits, the most frequent first."""
    rows: list[list[str]] = []
    for kind in KINDS[1:]:
        counts = sum((asked.ops.get(kind, Counter()) for asked in found.values()), Counter[str]())
        rows.append([kind, ", ".join(f"`{op}` {n}" for op, n in counts.most_common(most)) or "none"])
    return Table(["verdict", "ops, and how often"], rows)


def report(quick: bool = False) -> str:
    """Everything about models, in markdown; a line that says why not where `transformers` is not installed."""
    from importlib.util import find_spec

    if find_spec("transformers") is None:
        return "## Real models\n\nNot measured: `transformers` is not installed."
    from benchmarks import huggingface

    count = 50 if quick else 300
    found: dict[tuple[str, torch.dtype], Asked] = {}
    with threads(1), huggingface.quiet():
        for name, build in huggingface.MODELS.items():
            for dtype in DTYPES:
                subject = build(dtype, huggingface.TINY if quick else huggingface.SMALL)
                with whygrad.record(steps="all", budget=BUDGET) as run:
                    subject.step()
                found[name, dtype] = ask(run.trace, count, random.Random(SEED), None)
    text = (
        f"Models of Hugging Face's `transformers` from small configurations with random weights, one AdamW step each; {count} "
        "random elements of what its ops wrote, over all phases, at one thread. The verdicts are those of the table "
        "of programs. A why, timed in the running program, goes as deep as it does by default."
    )
    parts = ["## Real models", text, table(found).markdown(), "Where the equation did not give the bits:"]
    return "\n\n".join([*parts, ops_table(found).markdown()])
