"""Programs recorded op by op, and how many of their scalars an equation gives to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch

from whygrad.errors import ValueDropped
from whygrad.explain.check import Checker
from whygrad.recorder.live import LiveRun
from whygrad.recorder.policy import parse_keep
from whygrad.recorder.session import Session
from whygrad.recorder.settle import settle
from whygrad.rules.hyperparameters import Constants
from whygrad.trace.model import Op, RunInfo, Value
from whygrad.trace.store import Trace

NOT_ASKED = frozenset({"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided"})
"""Memory that no op has written yet has no numbers to explain."""


@dataclass
class Share:
    """What became of the sampled scalars of one op in one dtype. `worst` is in ULP; integers and booleans that differ
    count as 1 << 30."""

    op: str
    dtype: str
    sampled: int = 0
    same: int = 0
    worst: int = 0
    opaque: int = 0
    dropped: int = 0
    first: str = ""


Shares: TypeAlias = "dict[tuple[str, str], Share]"
"""By op and dtype."""


def record(program: Callable[[torch.dtype], Any], dtype: torch.dtype = torch.float32) -> Trace:
    """Run `program(dtype)` with every op and every number recorded."""
    session = Session(parse_keep("all", "4GB"))
    with session:
        program(dtype)
    settle(session)
    return LiveRun(session).trace(RunInfo())


def shares(trace: Trace, samples: int = 4, constants: Constants | None = None, seed: int = 0) -> Shares:
    """Sample `samples` scalars of everything that every op wrote, and check each."""
    found: Shares = {}
    checker, rng = Checker(trace), np.random.default_rng(seed)
    for info in trace.index:
        step = trace.step(info.number)
        for op in step.ops:
            for written in dict.fromkeys((*op.written, *(o for o in op.outputs if o is not None))):
                value = step.values[written]
                if not op.optimizer and value.numel and op.name.split(".")[1] not in NOT_ASKED:
                    share = found.setdefault((op.name, value.dtype), Share(op.name, value.dtype))
                    _sample(checker, share, step, op, value, samples, constants, rng)
    return found


def _sample(
    checker: Checker, share: Share, step: Any, op: Op, value: Value, samples: int, constants: Any, rng: Any
) -> None:
    places = range(value.numel) if value.numel <= samples else rng.choice(value.numel, samples, replace=False)
    for place in places:
        index = tuple(int(i) for i in np.unravel_index(int(place), value.shape))
        share.sampled += 1
        try:
            checked = checker.check(step, op, value, index, constants)
        except ValueDropped:
            share.sampled -= 1
            share.dropped += 1
            continue
        if checked is None:
            share.opaque += 1
            continue
        share.same += checked.equal
        if not checked.equal:
            ulp = 1 << 30 if checked.found is None else checked.found.ulp
            share.worst = max(share.worst, ulp)
            result = None if checked.found is None else checked.found.result
            share.first = share.first or f"{index} of {value.shape}: {checked.target!r}, not {result!r}"


def merge(many: Iterable[Shares]) -> Shares:
    """Shares of several programs, added up."""
    total: Shares = {}
    for each in many:
        for key, share in each.items():
            known = total.setdefault(key, Share(*key))
            known.sampled += share.sampled
            known.same += share.same
            known.opaque += share.opaque
            known.dropped += share.dropped
            known.worst = max(known.worst, share.worst)
            known.first = known.first or share.first
    return total


def table(all_shares: Shares) -> str:
    """One line an op and dtype: sampled, same bits, worst ULP, opaque."""
    return "\n".join(
        f"{s.op:48} {s.dtype:9} {s.same:6} of {s.sampled:6} worst {s.worst} opaque {s.opaque} {s.first}"
        for s in sorted(all_shares.values(), key=lambda s: (s.op, s.dtype))
    )
