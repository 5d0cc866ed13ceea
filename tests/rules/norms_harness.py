"""What became of the sampled scalars of the ops of normalisation."""

from __future__ import annotations

import numpy as np

from tests.rules.harness import Share, Shares
from whygrad.explain.check import Checker
from whygrad.trace.model import Op, Step, Value
from whygrad.trace.store import Trace

_PARTS = ("norm.", "norm_", "var.", "var_", "std.", "std_", "_norm", "weight_norm")


def norm_shares(trace: Trace, samples: int = 5) -> Shares:
    """Up to `samples` scalars of every result of every such op, checked; the ops that drew them are left out."""
    found: Shares = {}
    checker, rng = Checker(trace), np.random.default_rng(0)
    for info in trace.index:
        step = trace.step(info.number)
        for op in step.ops:
            if any(part in op.name for part in _PARTS):
                for written in dict.fromkeys((*op.written, *(o for o in op.outputs if o is not None))):
                    _check(checker, found, step, op, step.values[written], rng, samples)
    return found


def _check(
    checker: Checker, found: Shares, step: Step, op: Op, value: Value, rng: np.random.Generator, samples: int
) -> None:
    share = found.setdefault((op.name, value.dtype), Share(op.name, value.dtype))
    count = min(samples, value.numel)
    for place in rng.choice(value.numel, count, replace=False) if count else ():
        index = tuple(int(i) for i in np.unravel_index(int(place), value.shape))
        checked = checker.check(step, op, value, index)
        share.sampled += 1
        share.opaque += checked is None
        if checked is not None:
            share.same += checked.equal
            if not checked.equal:
                share.first = share.first or f"{index} of {value.shape}: {checked.target!r}"
