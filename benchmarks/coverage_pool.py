"""Cases over processes: one that crashes or hangs costs its own case and no other."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from benchmarks.coverage_ask import Case, Outcome, Plan, said

LIMIT = 240.0
"""Seconds that one case may take."""


def run(case: Case, plan: Plan) -> Outcome:
    """One case, here. Never raises: what goes wrong outside of the samples is an error of the case."""
    from benchmarks import coverage_modules, coverage_ops, coverage_optim

    suites: dict[str, Any] = {"ops": coverage_ops, "modules": coverage_modules, "optimizers": coverage_optim}
    start = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome: Outcome = suites[case.suite].run(case, plan)
            outcome.seconds = time.monotonic() - start
            return outcome
    except Exception as error:
        return failed(case, f"{said(error)}")


def failed(case: Case, reason: str) -> Outcome:
    """A case of which nothing is known but why."""
    outcome = Outcome(case, differentiable=True)
    outcome.errors[f"the whole case: {reason}"] += 1
    outcome.add("(the whole case)", case.dtype, "opaque", f"error: {reason}")
    return outcome


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    case: Case | None = None
    since: float = 0.0


def _serve(pipe: Connection, plan: Plan) -> None:
    """A worker's life: a case in, its outcome out."""
    import torch

    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    while (case := pipe.recv()) is not None:
        pipe.send(run(case, plan))


def run_all(cases: Sequence[Case], plan: Plan, workers: int = 2, limit: float = LIMIT) -> list[Outcome]:
    """Every case, over `workers` processes, in the order of `cases`."""
    context = multiprocessing.get_context("spawn")
    todo, done = list(reversed(cases)), dict[Case, Outcome]()
    team = [_start(context, plan) for _ in range(min(workers, len(todo)))]
    while len(done) < len(cases):
        for number, worker in enumerate(team):
            if worker.case is None and todo:
                worker.case, worker.since = todo.pop(), time.monotonic()
                worker.pipe.send(worker.case)
            elif worker.case is not None and time.monotonic() - worker.since > limit:
                done[worker.case] = failed(worker.case, f"no answer within {limit:g} s")
                team[number] = _again(context, worker, plan)
        busy = [worker for worker in team if worker.case is not None]
        for pipe in wait([worker.pipe for worker in busy], timeout=1.0):
            worker = next(w for w in busy if w.pipe is pipe)
            case, worker.case = worker.case, None
            assert case is not None
            try:
                done[case] = worker.pipe.recv()
            except (EOFError, OSError):
                worker.process.join()
                done[case] = failed(case, f"the process ended with {worker.process.exitcode}")
                team[team.index(worker)] = _again(context, worker, plan)
            _progress(len(done), len(cases), case)
    for worker in team:
        worker.pipe.send(None)
        worker.process.join(10)
    return [done[case] for case in cases]


def _start(context: Any, plan: Plan) -> _Worker:
    mine, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, plan), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, mine)


def _again(context: Any, worker: _Worker, plan: Plan) -> _Worker:
    worker.process.kill()
    worker.process.join()
    return _start(context, plan)


def _progress(done: int, total: int, latest: Case) -> None:
    terminal = sys.stderr.isatty()
    if terminal or done % 100 == 0 or done == total:
        end = "" if terminal and done < total else "\n"
        print(f"\r{done:5} of {total}  {latest.name[:50]:50}", end=end, file=sys.stderr, flush=True)
