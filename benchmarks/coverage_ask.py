"""What becomes of the scalars of a recorded program: some of every value that every op wrote, asked and counted."""

from __future__ import annotations

import math
import random
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from whygrad.errors import ValueDropped
from whygrad.explain.derivation import Derivation
from whygrad.explain.places import Place, key_of
from whygrad.explain.why import Explainer
from whygrad.recorder.live import LiveRun
from whygrad.recorder.policy import parse_keep
from whygrad.recorder.session import Session
from whygrad.recorder.settle import settle
from whygrad.trace.model import Op, RunInfo, Step, Value
from whygrad.trace.store import Trace

KINDS = ("same bits", "replayed", "opaque", "differs")
FAR = "does not come near"
"""Part of the reason of an opaque answer whose op has an equation, and a wrong one."""
UNWRITTEN = frozenset({
    "aten.empty", "aten.empty_like", "aten.new_empty", "aten.empty_strided", "aten.new_empty_strided", "aten.empty_permuted",
    "aten.empty_quantized",
})  # fmt: skip
"""Ops that give memory which nothing has written: no numbers to explain."""
Program = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """One entry of one of PyTorch's databases in one dtype. `suite`: ops, modules or optimizers."""

    suite: str
    name: str
    dtype: str


@dataclass(frozen=True)
class Plan:
    """How much is asked: samples of a case, values of a sample, scalars of a value."""

    samples: int = 4
    values: int = 48
    scalars: int = 2


@dataclass
class Outcome:
    """What became of a case. `ops` counts by (ATen op, dtype of the value, verdict) and `reasons` holds the first reason
    of each; `errors` are whygrad's own, `skipped` what the program itself raised. `random`: an op drew numbers. `written` and
    `unwritten`: values that ops wrote, and that ops only gave the memory for."""

    case: Case
    differentiable: bool = False
    random: bool = False
    samples: int = 0
    written: int = 0
    unwritten: int = 0
    kinds: Counter[str] = field(default_factory=Counter[str])
    far: Counter[str] = field(default_factory=Counter[str])
    ops: Counter[tuple[str, str, str]] = field(default_factory=Counter["tuple[str, str, str]"])
    reasons: dict[tuple[str, str, str], str] = field(default_factory=dict["tuple[str, str, str]", str])
    errors: Counter[str] = field(default_factory=Counter[str])
    skipped: Counter[str] = field(default_factory=Counter[str])
    worst: dict[str, int] = field(default_factory=dict[str, int])
    seconds: float = 0.0

    def add(self, op: str, dtype: str, kind: str, reason: str = "") -> None:
        """Count one answer about a number that `op` made."""
        self.kinds[kind] += 1
        self.ops[op, dtype, kind] += 1
        self.reasons.setdefault((op, dtype, kind), reason)
        if FAR in reason:
            self.far[op] += 1

    def share(self, kind: str) -> float:
        """Of the answers counted, those of a kind; 0 where nothing was counted."""
        return self.kinds[kind] / max(self.kinds.total(), 1)


def record(program: Program) -> Trace:
    """Run a program with every op and every number recorded."""
    session = Session(parse_keep("all", "4GB"))
    with session:
        program()
    settle(session)
    return LiveRun(session).trace(RunInfo())


def observe(outcome: Outcome, program: Program, plan: Plan, rng: random.Random, updates: bool = False) -> None:
    """Record one sample of a case, and ask. What the program raises by itself is no fault of whygrad and only noted."""
    try:
        trace = record(program)
    except Exception as error:
        try:
            program()
        except Exception as own:
            outcome.skipped[said(own)] += 1
            return
        outcome.errors[f"recording: {where(error)}"] += 1
        outcome.add("(recording)", outcome.case.dtype, "opaque", f"error: {said(error)}")
        return
    outcome.samples += 1
    ask(outcome, trace, plan, rng, updates)


def ask(outcome: Outcome, trace: Trace, plan: Plan, rng: random.Random, updates: bool = False) -> None:
    """Ask for scalars of every value that the ops of a trace wrote; with `updates`, that optimizers wrote, and for every
    number inside of those updates that the answer leads to."""
    explainer = Explainer(trace)
    written = [each for each in results(trace) if not updates or each[1].phase == "optimizer"]
    outcome.random |= any(op.rng is not None for _, op, _ in written)
    outcome.unwritten += sum(op.kind in UNWRITTEN for _, op, _ in written)
    known = [each for each in written if each[1].kind not in UNWRITTEN]
    outcome.written += len(known)
    for step, op, value in rng.sample(known, plan.values) if len(known) > plan.values else known:
        for index in places(value, plan.scalars, rng):
            if updates:
                _ask_inside(outcome, explainer, op, explainer.at(step.number, value, index))
            else:
                _ask_one(outcome, explainer, op, explainer.at(step.number, value, index))


def results(trace: Trace) -> Iterator[tuple[Step, Op, Value]]:
    """Every value that an op wrote and that has elements."""
    for info in trace.index:
        step = trace.step(info.number)
        for op in step.ops:
            for written in dict.fromkeys(op.written):
                if step.values[written].numel:
                    yield step, op, step.values[written]


def places(value: Value, count: int, rng: random.Random) -> list[tuple[int, ...]]:
    """Up to `count` different random places in a tensor."""
    found: list[tuple[int, ...]] = []
    for flat in rng.sample(range(value.numel), min(count, value.numel)):
        index: list[int] = []
        for size in reversed(value.shape):
            flat, at = divmod(flat, size)
            index.insert(0, at)
        found.append(tuple(index))
    return found


def _ask_one(outcome: Outcome, explainer: Explainer, op: Op, place: Place) -> None:
    with _answering(outcome, op, place):
        _count(outcome, explainer.explain(place, 0), op.name)


def _ask_inside(outcome: Outcome, explainer: Explainer, op: Op, place: Place) -> None:
    """The answer, and those inside of the update that it leads to, each once."""
    todo, met = [place], set[tuple[Any, ...]]()
    while todo:
        here = todo.pop()
        if key_of(here) in met:
            continue
        met.add(key_of(here))
        with _answering(outcome, op, here):
            answer, operands = explainer.node(here)
            _count(outcome, answer, op.name)
            todo += [each for each in operands if isinstance(each, Place) and each.world.expansion is not None]


@contextmanager
def _answering(outcome: Outcome, op: Op, place: Place) -> Generator[None]:
    """What whygrad raises is an opaque answer, and an error besides."""
    try:
        yield
    except ValueDropped:  # memory that was only allocated
        return
    except Exception as error:
        outcome.errors[f"{op.name}: {where(error)}"] += 1
        outcome.add(op.name, place.value.dtype, "opaque", f"error: {said(error)}")


def _count(outcome: Outcome, answer: Derivation, op: str) -> None:
    """A number that is NaN or infinite and comes out so is not counted: nearly any equation gives it."""
    kind, name = answer.verdict.kind, answer.op or op
    if kind not in KINDS or (kind == "same bits" and not _finite(answer.value)):
        return
    outcome.add(name, answer.format, kind, answer.verdict.reason)
    if kind == "replayed" and answer.verdict.ulp is not None:
        outcome.worst[name] = max(outcome.worst.get(name, 0), answer.verdict.ulp)


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, OverflowError):
        return True


def said(error: Exception) -> str:
    """An exception in one line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:160] if text else ''}"


def where(error: Exception) -> str:
    """An exception with the place in whygrad that raised it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "whygrad" in f.filename]
    place = f" ({Path(frames[-1].filename).name}, {frames[-1].name})" if frames else ""
    return said(error) + place


def dtype_of(name: str) -> torch.dtype:
    """torch's dtype of a name."""
    return getattr(torch, name)
