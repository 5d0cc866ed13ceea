"""How long an answer takes: `run.why` of random scalars of a training step, the first answer of a process, and the answers
for very large tensors.

The runs are recorded with every value kept, saved and opened again; a step is read once, before the first question. Every
address is asked once, in one explainer, at the default depth, so what an earlier answer worked out a later one may use, as
when a user asks around. Garbage is collected between answers and not in them.
"""

from __future__ import annotations

import gc
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import whygrad
from benchmarks.programs import Program, gpt, resnet
from benchmarks.record import milliseconds
from benchmarks.report import Table
from whygrad.errors import ValueDropped
from whygrad.explain.addresses import Naming
from whygrad.explain.tensors import threads
from whygrad.run import Run
from whygrad.trace.model import Step, Value
from whygrad.trace.store import Trace, chunk_of

SEED = 0
STEPS = 2
BUDGET = "64GB"
MEDIAN_BAR, P99_BAR = 0.030, 0.200
"""Seconds that the answers about the GPT step may take: the median, and 99 of 100."""
LARGE_BAR = 0.200
"""Seconds that an answer about a long sum or a very large tensor may take."""
COLD = {
    "`import whygrad`": "import whygrad",
    "`whygrad table`": "from whygrad.cli import main; main(['table', {path!r}])",
    "`whygrad why`": "from whygrad.cli import main; main(['why', {path!r}, {address!r}])",
}
COLD_ADDRESS = "blocks.0.attention.qkv.weight[3,5].grad@1"


@dataclass(frozen=True)
class Asked:
    """An answer: its address, the op that made the number, and the seconds that it took."""

    address: str
    op: str
    seconds: float


def saved(program: Program, path: Path) -> None:
    """Two steps of a program, every value kept, in a file."""
    with whygrad.record(steps="all", budget=BUDGET) as run:
        for _ in range(STEPS):
            program.step()
    run.save(path)


def addresses(trace: Trace, count: int, rng: random.Random) -> list[str]:
    """Random scalars of the last step: of every Value that an op wrote or that has a name, each as likely as the other,
    however large. Left out is what an earlier step made (a name of it shows that step's update), and what was not kept."""
    step = trace.step(STEPS - 1)
    named = [name.value for name in step.names if name.kind not in ("before", "state_before")]
    ids = dict.fromkeys([*(each for op in step.ops for each in op.written), *named])
    values = [value for value in map(step.values.__getitem__, ids) if value.numel and _kept(trace, step, value)]
    naming = Naming(step)
    chosen = [rng.choice(values) for _ in range(count)]
    return [naming.address(value, tuple(rng.randrange(n) for n in value.shape)) for value in chosen]


def _kept(trace: Trace, step: Step, value: Value) -> bool:
    if chunk_of(step, value) is None:
        return False
    try:
        trace.content(step, value)
    except ValueDropped:
        return False
    return True


def ask(run: Run, questions: Sequence[str]) -> list[Asked]:
    """Every question once, in turn."""
    found: list[Asked] = []
    for address in questions:
        seconds, op = timed(lambda address=address: run.why(address).op)
        found.append(Asked(address, op, seconds))
    return found


def timed(act: Callable[[], str]) -> tuple[float, str]:
    """Seconds that `act` takes, and what it gives; no garbage is collected meanwhile."""
    was = gc.isenabled()
    gc.disable()
    try:
        begin = time.perf_counter()
        result = act()
        return time.perf_counter() - begin, result
    finally:
        if was:
            gc.enable()


def percentile(seconds: Sequence[float], share: float) -> float:
    """The smallest of the numbers that at least `share` of them do not exceed. Raises ValueError when there are none."""
    if not seconds:
        raise ValueError("no answers, so no percentile")
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def ask_program(build: Callable[[torch.dtype], Program], dtype: torch.dtype, count: int) -> list[Asked]:
    """`count` random scalars of a program's second step."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.why"
        saved(build(dtype), path)
        run = whygrad.load(path)
        return ask(run, addresses(run.trace, count, random.Random(SEED)))


def large_answers(elements: int) -> dict[str, tuple[float, str]]:
    """Seconds and verdict of the first why of an element of a long sum, and of tensors of `elements` elements, the run
    in memory."""
    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(64, 4096, generator=generator, requires_grad=True)
    w = torch.randn(64, 4096, generator=generator)
    big = torch.randn(elements, generator=generator)
    found: dict[str, tuple[float, str]] = {}

    def one(what: str, act: Callable[[], torch.Tensor], index: tuple[int, ...]) -> None:
        with whygrad.record(steps="all", budget=BUDGET) as run:
            result = act()
        run.why(result, index)  # freezes the run, and reads what torch needs
        again = Run(run.trace)
        again._explain()
        address = run.why(result, index).address
        found[what] = timed(lambda: again.why(address).verdict.kind)

    one("a sum of 4,096 terms", lambda: x.sum(-1), (3,))
    one("a product of matrices, 4,096 terms", lambda: x @ w.T, (3, 5))
    one(f"an element of {elements:,}, doubled", lambda: big * 2, (elements // 2,))
    one(f"the sum of {elements // 64:,} rows of 64", lambda: big[: elements // 64 * 64].view(-1, 64).sum(-1), (77,))
    return found


def cold(path: Path, repeats: int) -> dict[str, float]:
    """Median seconds of whole processes, the interpreter's own start taken off. Modules are compiled before, as those of an
    installed package are."""
    environment = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(path.parent / "compiled")

    def median(code: str) -> float:
        times: list[float] = []
        for _ in range(repeats + 1):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)
            times.append(time.perf_counter() - begin)
        return statistics.median(times[1:])

    bare = median("pass")
    codes = {name: code.format(path=str(path), address=COLD_ADDRESS) for name, code in COLD.items()}
    return {name: max(0.0, median(code) - bare) for name, code in codes.items()}


def answers_table(found: Mapping[tuple[str, str], Sequence[Asked]]) -> Table:
    """Rows: program and dtype; columns: how many, and milliseconds."""
    rows: list[list[str]] = []
    for (name, dtype), answers in found.items():
        seconds = [each.seconds for each in answers]
        median, p99 = statistics.median(seconds), percentile(seconds, 0.99)
        worst = max(answers, key=lambda each: each.seconds)
        bar = ""
        if name == "GPT":
            met = "met" if median <= MEDIAN_BAR and p99 <= P99_BAR else "missed"
            bar = f"≤ {MEDIAN_BAR * 1e3:.0f}, ≤ {P99_BAR * 1e3:.0f}: {met}"
        rows.append([
            name, dtype, str(len(seconds)), milliseconds(median), milliseconds(percentile(seconds, 0.9)),
            milliseconds(p99), milliseconds(worst.seconds), f"`{worst.op}`" if worst.op else "–", bar,
        ])  # fmt: skip
    head = ["program", "dtype", "asked", "median ms", "90 %", "99 %", "longest", "of", "bar: median, 99 %"]
    return Table(head, rows, numbers=(2, 3, 4, 5, 6))


def report(quick: bool = False) -> str:
    """Everything about the time of an answer, in markdown."""
    count, elements = (40, 2_000_000) if quick else (200, 100_000_000)
    builds: dict[tuple[str, torch.dtype], Callable[[torch.dtype], Program]] = {
        ("GPT", torch.float32): gpt, ("GPT", torch.bfloat16): gpt, ("ResNet-18", torch.float32): resnet,
    }  # fmt: skip
    with threads(1), tempfile.TemporaryDirectory() as folder:
        answers = {(name, str(dtype)[6:]): ask_program(build, dtype, count) for (name, dtype), build in builds.items()}
        large = large_answers(elements)
        path = Path(folder) / "gpt.why"
        saved(gpt(), path)
        starts = cold(path, 3 if quick else 9)
    bar = f"≤ {LARGE_BAR * 1e3:.0f}: "
    rows = [
        [what, verdict, milliseconds(seconds), bar + ("met" if seconds <= LARGE_BAR else "missed")]
        for what, (seconds, verdict) in large.items()
    ]
    asked = (
        f"Random scalars of the second training step, {count} a row, of all named tensors and all results of ops; the run "
        "in a file, its step read before. Each is asked once at the default depth. Where a kernel has to be asked how it adds "
        "up, the answer is remembered on disk, and may have been before."
    )
    return "\n\n".join(
        [
            "## How long an answer takes",
            asked,
            answers_table(answers).markdown(),
            "Long sums and large tensors, the first time that they are asked (the run in memory):",
            Table(["asked", "verdict", "ms", "bar"], rows, numbers=(2,)).markdown(),
            "From the shell, the GPT run in a file; the interpreter's own start is taken off:",
            Table(
                ["command", "ms"], [[name, milliseconds(seconds)] for name, seconds in starts.items()], numbers=(1,)
            ).markdown(),
        ]
    )


__all__ = ["Asked", "addresses", "answers_table", "ask", "ask_program", "cold", "large_answers", "percentile", "report"]
