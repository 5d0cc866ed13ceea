"""What a look over a run should stop at: each flag names a tensor, steps, and one number that can be asked why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from whygrad.findings.exact_zero import exact_zero
from whygrad.findings.flag import Flag
from whygrad.findings.lost_tensors import lost_tensors
from whygrad.findings.nonfinite import nonfinite
from whygrad.findings.update_ratio import update_ratios

if TYPE_CHECKING:
    from whygrad.trace.store import Trace

__all__ = ["Asked", "Flag", "flags"]


class Asked(Protocol):
    """Who answers for a run (an Explainer): by its trace, numbers that were let go are had again."""

    @property
    def trace(self) -> Trace: ...


def flags(run: Trace | Asked) -> tuple[Flag, ...]:
    """Everything that the detectors find, the gravest first: numbers that are not finite, updates lost to rounding, updates
    far too large or small, a loss of exactly zero. Reads the values of a few kept steps."""
    from whygrad.trace.store import Trace

    trace = run if isinstance(run, Trace) else run.trace
    lost = lost_tensors(trace)
    skip = frozenset(flag.tensor for flag in lost)
    return (*nonfinite(trace), *lost, *update_ratios(trace, skip), *_zero(trace))


def _zero(trace: Trace) -> tuple[Flag, ...]:
    found = exact_zero(trace.history)
    if found is None:
        return ()
    kept = next((i.number for i in trace.index if i.kept and i.complete and found.first <= i.number <= found.last), -1)
    loss = next(column for column in trace.history.columns if column.kind == "loss")
    steps = sum(found.first <= step <= found.last for step in trace.history.steps)
    address = f"{loss.address}@{kept}" if kept >= 0 else ""
    remedy = "If it should still learn, a wider number format can tell the prediction from the target."
    return (Flag("exact zero", loss.address, found.first, found.last, steps, kept, address, loss.format, (), remedy),)
