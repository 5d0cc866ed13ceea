"""What the answers are worth: how many recorded numbers their equation gives to the last bit, and whether every op, run
again on its recorded operands, gives the recorded bits.

Asked are random elements of random op results (each result counts once, however large), optimizer updates included, of
the second of two training steps.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import whygrad
from benchmarks.programs import ACTIVATIONS, LOSSES, OPTIMIZERS, MLPConfig, Program, gpt, mlp, resnet
from benchmarks.report import Table, share
from whygrad.errors import ValueDropped
from whygrad.explain.expand import expand
from whygrad.explain.replay import replay
from whygrad.explain.tensors import threads
from whygrad.explain.why import Explainer
from whygrad.trace.model import Op, Step, Value
from whygrad.trace.store import Trace

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
FLOATS = ("float16", "bfloat16", "float32", "float64")
CONTROLS = 0.2
"""The share of right answers that are asked again, one ULP off."""
KINDS = ("same bits", "replayed", "opaque", "differs")
SEED = 0
STEPS = 2
BUDGET = "64GB"
Build = Callable[[torch.dtype], Program]


@dataclass
class Tally:
    """Verdicts by kind, and those without the same bits by op. Control: of `wrong` elements that were changed by one ULP
    before they were asked, those `accepted` as the same bits, by op."""

    kinds: Counter[str] = field(default_factory=Counter[str])
    ops: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    wrong: int = 0
    accepted: Counter[str] = field(default_factory=Counter[str])

    def add(self, kind: str, op: str) -> None:
        """Count one answer. `given` (an input; nothing to check) is not counted."""
        if kind in KINDS:
            self.kinds[kind] += 1
            if kind != "same bits":
                self.ops.setdefault(kind, Counter())[op] += 1

    @property
    def asked(self) -> int:
        """Answers counted."""
        return self.kinds.total()


@dataclass
class Replays:
    """Ops (an optimizer's step counts once for each of its parameters) by how their replay ended, and which differ."""

    same: int = 0
    different: Counter[str] = field(default_factory=Counter[str])
    impossible: Counter[str] = field(default_factory=Counter[str])


def mlps() -> Iterator[MLPConfig]:
    """The default MLP, and it with each other activation, loss and optimizer."""
    yield MLPConfig()
    default = MLPConfig()
    yield from (MLPConfig(activation=name) for name in ACTIVATIONS if name != default.activation)
    yield from (MLPConfig(loss=name) for name in LOSSES if name != default.loss)
    yield from (MLPConfig(optimizer=name) for name in OPTIMIZERS if name != default.optimizer)


def recorded(program: Program) -> Trace:
    """Two steps of a program, every value kept."""
    with whygrad.record(steps="all", budget=BUDGET) as run:
        for _ in range(STEPS):
            program.step()
    return run.trace


def ask(trace: Trace, count: int, rng: random.Random, tally: Tally) -> None:
    """Ask for `count` elements: results of ops in random order, from the start again when there are fewer."""
    step = trace.step(STEPS - 1)
    results = [(op, step.values[written]) for op in step.ops for written in op.written if step.values[written].numel]
    explainer = Explainer(trace)
    asked = 0
    while asked < count:
        before = asked
        for op, value in rng.sample(results, len(results)):
            if asked < count and _ask_one(explainer, step, op, value, rng, tally):
                asked += 1
        if asked == before:
            raise RuntimeError("no result of this step can be asked")


def _ask_one(explainer: Explainer, step: Step, op: Op, value: Value, rng: random.Random, tally: Tally) -> bool:
    """Whether there was anything to check."""
    index = tuple(rng.randrange(n) for n in value.shape)
    try:
        answer = explainer.explain(explainer.at(step.number, value, index), 0)
    except ValueDropped:  # memory that was only allocated
        return False
    # An op that only moved the number: who made it is asked for itself. NaN and infinity: nearly any equation gives them.
    if answer.via or not math.isfinite(answer.value):
        return False
    tally.add(answer.verdict.kind, answer.op or op.name)
    if answer.verdict.kind == "same bits" and value.dtype in FLOATS and rng.random() < CONTROLS:
        with one_ulp_off(explainer.trace, value, index):
            wrong = Explainer(explainer.trace)
            verdict = wrong.explain(wrong.at(step.number, value, index), 0).verdict
        tally.wrong += 1
        tally.accepted[answer.op or op.name] += verdict.kind == "same bits"
    return answer.verdict.kind in KINDS


@contextmanager
def one_ulp_off(trace: Trace, changed: Value, index: tuple[int, ...]) -> Generator[None]:
    """The trace with one element of a Value replaced by its neighbour (the next bit pattern)."""
    true = trace.content

    def content(step: Step, value: Value) -> np.ndarray[Any, Any]:
        found = true(step, value)
        if value is changed:
            found = found.copy()
            found.view(f"uint{8 * found.dtype.itemsize}")[index] += 1
        return found

    trace.content = content
    try:
        yield
    finally:
        trace.content = true


def ask_mlps(dtype: torch.dtype, count: int) -> Tally:
    """`count` elements over all MLPs, evenly."""
    rng, tally = random.Random(SEED), Tally()
    configs = list(mlps())
    for number, config in enumerate(configs):
        share_of_this = count * (number + 1) // len(configs) - count * number // len(configs)
        if share_of_this:
            ask(recorded(mlp(dtype, config)), share_of_this, rng, tally)
    return tally


def ask_program(build: Build, dtype: torch.dtype, count: int) -> Tally:
    """`count` elements of one program."""
    tally = Tally()
    ask(recorded(build(dtype)), count, random.Random(SEED), tally)
    return tally


def replay_all(trace: Trace) -> Replays:
    """Run every op of the trace again, and every parameter's update."""
    found = Replays()
    for info in trace.index:
        step = trace.step(info.number)
        for op in step.ops:
            if op.optimizer is not None:
                _replay_update(trace, step, op, found)
                continue
            again = replay(trace, step, op)
            if again.same:
                found.same += 1
            else:
                (found.different if again.possible else found.impossible)[op.name] += 1
    return found


def _replay_update(trace: Trace, step: Step, op: Op, found: Replays) -> None:
    assert op.optimizer is not None
    for group in op.optimizer.groups:
        for param in group.params:
            if param.grad is None:
                continue
            if expand(trace, step, op, group, param, "parameter").same:
                found.same += 1
            else:
                found.different[f"{op.optimizer.class_name}.step"] += 1


def verdict_table(found: Mapping[tuple[str, torch.dtype], Tally]) -> Table:
    """Rows: program and dtype; columns: shares of the four verdicts."""
    rows = [
        [
            name,
            str(dtype)[6:],
            str(tally.asked),
            *(share(tally.kinds[kind], tally.asked) for kind in KINDS),
            share(tally.asked - tally.kinds["opaque"], tally.asked),
            f"{tally.accepted.total()} of {tally.wrong}",
        ]
        for (name, dtype), tally in found.items()
    ]
    return Table(["program", "dtype", "asked", *KINDS, "not opaque", "control"], rows, numbers=tuple(range(2, 9)))


def ops_table(tallies: Mapping[tuple[str, torch.dtype], Tally], most: int = 12) -> Table:
    """The ops whose equation did not give the bits, the most frequent first."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS[1:]}
    for tally in tallies.values():
        for kind, ops in tally.ops.items():
            counts[kind].update(ops)
    counts["control"] = sum((tally.accepted for tally in tallies.values()), Counter())
    rows = [
        [kind, ", ".join(f"`{op}` {n}" for op, n in ops.most_common(most) if n) or "none"]
        for kind, ops in counts.items()
    ]
    return Table(["verdict", "ops, and how often"], rows)


def replay_table(found: Mapping[tuple[str, int], Replays]) -> Table:
    """Rows: program and number of threads."""
    rows: list[list[str]] = []
    for (name, count), each in found.items():
        total = each.same + each.different.total() + each.impossible.total()
        which = ", ".join(f"`{op}` {n}" for op, n in (each.different + each.impossible).most_common())
        rows.append([
            name, str(count), str(total), share(each.same, total), str(each.different.total()),
            str(each.impossible.total()), which or "–",
        ])  # fmt: skip
    head = ["program", "threads", "ops", "same bits", "differ", "cannot be run again", "which"]
    return Table(head, rows, numbers=(1, 2, 3, 4, 5))


def report(quick: bool = False) -> str:
    """Everything about verdicts, in markdown."""
    count, of_programs = (100, 100) if quick else (500, 2000)
    tallies: dict[tuple[str, torch.dtype], Tally] = {}
    with threads(1):
        for dtype in DTYPES:
            tallies["MLPs", dtype] = ask_mlps(dtype, count)
        for name, program in (("GPT", gpt), ("ResNet-18", resnet)):
            for dtype in (torch.float32, torch.bfloat16):
                tallies[name, dtype] = ask_program(program, dtype, of_programs)
    builds: dict[str, Callable[[], Program]] = {"MLP": mlp, "GPT": gpt}
    if not quick:
        builds["ResNet-18"] = resnet
    replays: dict[tuple[str, int], Replays] = {}
    for name, build in builds.items():
        for number in (1, 2):
            with threads(number):
                replays[name, number] = replay_all(recorded(build()))
    asked = (
        f"Random finite elements of random op results, {count} a row and {of_programs:,} of each program below, of the second "
        "training step at one thread. MLPs: "
        f"{len(list(mlps()))} networks, over activations, losses and optimizers. *Same bits*: the written equation "
        "gives the recorded number to the last bit. *Replayed*: the op, run again, does, the equation comes near. "
        "*Opaque*: no equation. *Differs*: not even the replay agrees. Control: of numbers changed by one ULP before they were "
        "asked, how many are called the same bits all the same, because some order of summation happens to give them."
    )
    rerun = (
        "Every op of two training steps in float32, run again on its recorded operands (an optimizer's step once for "
        "each parameter):"
    )
    parts = [
        "## What the answers are worth",
        asked,
        verdict_table(tallies).markdown(),
        "Where the equation did not give the bits:",
        ops_table(tallies).markdown(),
        rerun,
        replay_table(replays).markdown(),
    ]
    return "\n\n".join(parts)
