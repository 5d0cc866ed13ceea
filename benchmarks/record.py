"""What recording costs: a whole training step, recorded with all its values, divided by the plain step.

One process, one thread, contestants in turn (A B C D A B C D …), so that what the machine does besides falls on all of
them. Garbage is collected between timed stretches and not in them. Each round records some consecutive steps and drops
them. A ratio is that of the medians of all steps; the range is that of the ratios of single rounds.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

import whygrad
from benchmarks.contestants import BUDGET, Contestant, contestants, in_memory
from benchmarks.programs import PROGRAMS, Program
from benchmarks.report import Table, ratio

BARS: Mapping[str, float] = {"neuron": 4.4, "mlp": 3.0, "gpt": 2.0, "resnet": 1.7}
"""The most that whygrad, in memory, may cost."""
WHY_BAR = 0.050
"""Seconds that the first answer of an opened GPT run may take."""
WHY_ADDRESSES = ("blocks.0.attention.qkv.weight[3,5].grad@1", "blocks.3.down.weight[7,9]@1", "loss@1")


@dataclass(frozen=True)
class Plan:
    """`rounds` timed rounds of `steps` steps each; `slow_steps` for contestants that take many times as long."""

    rounds: int
    steps: int
    slow_steps: int


FULL: Mapping[str, Plan] = {
    "neuron": Plan(40, 60, 3), "mlp": Plan(30, 30, 3), "gpt": Plan(15, 5, 1), "resnet": Plan(9, 3, 1),
}  # fmt: skip
QUICK: Mapping[str, Plan] = {
    "neuron": Plan(4, 40, 1), "mlp": Plan(4, 20, 1), "gpt": Plan(2, 3, 1), "resnet": Plan(1, 2, 1),
}  # fmt: skip
SLOW = ("torchlens",)


@dataclass
class Times:
    """Of one contestant with one program: the seconds of each step, by round, and what entering and leaving took."""

    rounds: list[list[float]] = field(default_factory=list[list[float]])
    around: list[float] = field(default_factory=list[float])

    def median(self) -> float:
        """Seconds of a step."""
        return statistics.median(each for steps in self.rounds for each in steps)

    def whole(self) -> float:
        """Seconds of a step with its share of entering and leaving."""
        return statistics.median(
            (sum(steps) + around) / len(steps) for steps, around in zip(self.rounds, self.around, strict=True)
        )


def one_round(contestant: Contestant, program: Program, steps: int) -> tuple[list[float], float]:
    """Seconds of each of `steps` consecutive steps, and of entering and leaving together."""
    clock = time.perf_counter
    gc.collect()
    gc.disable()
    try:
        times: list[float] = []
        start = clock()
        with contestant(program) as step:
            entered = clock()
            for _ in range(steps):
                begin = clock()
                step()
                times.append(clock() - begin)
            leaving = clock()
        around = entered - start + clock() - leaving
    finally:
        gc.enable()
    return times, around


def check_kept(program: Program, steps: int) -> None:
    """Raises RuntimeError unless whygrad holds every value of `steps` steps recorded as the contestant does it."""
    with whygrad.record(steps="all", budget=BUDGET) as run:
        for _ in range(steps):
            program.step()
    if run.steps != list(range(steps)):
        raise RuntimeError(f"{program.name}: of {steps} steps whygrad kept {run.steps}: {run.notes}")


def compare(build: Callable[[], Program], plan: Plan, who: Mapping[str, Contestant]) -> dict[str, Times]:
    """Every contestant trains a program of its own, in turn; the first round warms up and is not counted."""
    check_kept(build(), plan.steps)
    programs = {name: build() for name in who}
    found = {name: Times() for name in who}
    for number in range(plan.rounds + 1):
        for name, contestant in who.items():
            steps, around = one_round(contestant, programs[name], plan.slow_steps if name in SLOW else plan.steps)
            if number:
                found[name].rounds.append(steps)
                found[name].around.append(around)
    return found


def cost_table(found: Mapping[str, Mapping[str, Times]]) -> Table:
    """Markdown rows: contestant by program."""
    rows: list[list[str]] = []
    for program, times in found.items():
        base = times["plain"]
        for name, each in times.items():
            if name == "plain":
                rows.append([program, name, milliseconds(base.median()), "1", "", "1", ""])
                continue
            ratios = [
                statistics.median(mine) / statistics.median(theirs)
                for mine, theirs in zip(each.rounds, base.rounds, strict=True)
            ]
            cost = each.median() / base.median()
            bar = ""
            if name == "whygrad":
                bar = f"≤ {BARS[program]:g}: " + ("met" if cost <= BARS[program] else "missed")
            whole = ratio(each.whole() / base.whole())
            spread = f"{ratio(min(ratios))} – {ratio(max(ratios))}"
            rows.append([program, name, milliseconds(each.median()), ratio(cost), spread, whole, bar])
    head = ["program", "recorded by", "ms a step", "÷ plain", "of single rounds", "with entering and leaving", "bar"]
    return Table(head, rows, numbers=(2, 3, 5))


def milliseconds(seconds: float) -> str:
    """Three significant digits; never in powers of ten."""
    ms = seconds * 1e3
    digits = 0 if ms >= 100 else 1 if ms >= 10 else 2 if ms >= 1 else 3
    return f"{ms:.{digits}f}"


def slope(steps: int) -> tuple[float, float]:
    """Median seconds of the first and of the last tenth of `steps` recorded neuron steps, all held, garbage collected
    as in any program."""
    program = PROGRAMS["neuron"]()
    with in_memory(program) as step:
        for _ in range(20):
            step()
    times: list[float] = []
    with in_memory(program) as step:
        for _ in range(steps):
            begin = time.perf_counter()
            step()
            times.append(time.perf_counter() - begin)
    tenth = steps // 10
    return statistics.median(times[:tenth]), statistics.median(times[-tenth:])


def first_answers(repeats: int) -> dict[tuple[str, str], float]:
    """Median seconds of the first `why` of a GPT run, each time of a run that nothing was asked before: by address and
    by where the run is: in a file (opening it included), open with its step read, or in memory (freezing its two
    steps included)."""
    program = PROGRAMS["gpt"]()
    times: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gpt.why"
        for number in range(repeats + 1):
            for address in WHY_ADDRESSES:
                with whygrad.record(budget=BUDGET) as live:
                    program.step()
                    program.step()
                _timed(times, (address, "in memory"), lambda live=live, address=address: live.why(address))
                if number == 0:
                    live.save(path)
                _timed(times, (address, "in a file"), lambda address=address: whygrad.load(path).why(address))
                opened = whygrad.load(path)
                opened.trace.step(1)
                _timed(times, (address, "open, its step read"), lambda run=opened, address=address: run.why(address))
    return {key: statistics.median(each[1:]) for key, each in times.items()}


def _timed(times: dict[tuple[str, str], list[float]], key: tuple[str, str], act: Callable[[], object]) -> None:
    gc.collect()
    begin = time.perf_counter()
    act()
    times.setdefault(key, []).append(time.perf_counter() - begin)


def report(quick: bool = False, programs: Iterable[str] = ()) -> str:
    """Everything about cost, in markdown."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            # torchlens says at each first batch norm that a forward pass in training mode is a real one.
            warnings.filterwarnings("ignore", message="tracing runs the model's REAL forward")
            return _report(quick, tuple(programs) or tuple(BARS))
    finally:
        torch.set_num_threads(before)


def _report(quick: bool, programs: tuple[str, ...]) -> str:
    plans = QUICK if quick else FULL
    who = contestants()
    found = {name: compare(PROGRAMS[name], plans[name], who) for name in programs}
    count = 500 if quick else 2000
    first, last = slope(count)
    answers = first_answers(2 if quick else 7)
    bar = f"≤ {milliseconds(WHY_BAR)}: "
    rows = [
        [f"`{address}`", where, milliseconds(seconds), bar + ("met" if seconds <= WHY_BAR else "missed")]
        for (address, where), seconds in answers.items()
    ]
    growth = (
        f"Cost does not grow with the run when this is 1: of {count} recorded neuron steps the last tenth took "
        f"{ratio(last / first)} times as long as the first tenth (medians of {milliseconds(last)} and "
        f"{milliseconds(first)} ms)."
    )
    parts = [
        "## What recording costs",
        "A whole training step, recorded with all its values, divided by the same step of plain PyTorch.",
        cost_table(found).markdown(),
        growth,
        "The first answer of a GPT run of two steps, opening or freezing it included (except where its step was read before):",
        Table(["asked", "the run is", "ms", "bar"], rows, numbers=(2,)).markdown(),
    ]
    return "\n\n".join(parts)
