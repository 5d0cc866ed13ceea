"""Infinite or NaN numbers: the first step that has them, and the op that made the first of them.

From the loss, a gradient or a weight that is not finite the way leads back, from op to op, to one whose operands are all
finite. A mask of −inf that a softmax takes in, and that harms nobody, lies on no such way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from whygrad.findings.flag import Flag
from whygrad.findings.places import address_of, kept_steps, named, numbers_of
from whygrad.trace.model import Op, Step, Value
from whygrad.trace.store import Trace

__all__ = ["nonfinite"]

_REMEDY = {
    "loss": "Look at what went into that op: a logarithm or a division by zero, an overflow; clip gradients or lower the rate.",
    "gradient": "Clip the gradients or lower the learning rate; in float16 scale the loss (a GradScaler skips such steps).",
    "weight": "Go back to a checkpoint before that step, and clip the gradients or lower the learning rate.",
}


def nonfinite(trace: Trace) -> tuple[Flag, ...]:
    """At most one flag, of the first step with a loss, gradient or weight that is not finite. Its numbers: `gradients` and
    `weights`, how many elements of them are not finite in the first flagged step, and `value`, where the step was kept."""
    statistics = trace.statistics
    grads, weights = (
        dict(zip(statistics.steps, statistics.total(k), strict=True)) for k in ("nonfinite_grad", "nonfinite")
    )
    loss = next((c for c in trace.history.columns if c.kind == "loss"), None)
    losses = dict(zip(trace.history.steps, trace.history.column(loss.name), strict=True)) if loss is not None else {}
    hits = [
        step
        for step in sorted({*statistics.steps, *losses})
        if grads.get(step) or weights.get(step) or not math.isfinite(losses.get(step) or 0.0)
    ]
    if not hits:
        return ()
    first = hits[0]
    bad_loss = not math.isfinite(losses.get(first) or 0.0)
    what = "loss" if bad_loss else "gradient" if grads.get(first) else "weight"
    numbers = [("gradients", grads.get(first) or 0.0), ("weights", weights.get(first) or 0.0)]
    numbers.append(("finite weights", 0.0 if any(weights.values()) else 1.0))
    tensor = loss.address if bad_loss and loss is not None else _tensor(trace, first, what)
    step, address, fmt = -1, "", ""
    for number in kept_steps(trace, hits)[:1]:
        origin = _origin(trace, trace.step(number), statistics.tensors)
        if origin is not None:
            step, (address, fmt, value) = number, origin
            numbers.append(("value", value))
    return (Flag("non-finite", tensor, first, hits[-1], len(hits), step, address, fmt, tuple(numbers), _REMEDY[what]),)


def _tensor(trace: Trace, step: int, what: str) -> str:
    statistics = trace.statistics
    row = statistics.rows[statistics.steps.index(step)]
    place = 3 if what == "gradient" else 4
    return next((name for name, numbers in row.items() if numbers[place] > 0), "")


def _origin(trace: Trace, step: Step, tensors: list[str]) -> tuple[str, str, float] | None:
    """Address, format and value of the number that the way back ends at."""
    value = _start(trace, step, tensors)
    met: set[tuple[int, int]] = set()
    while value is not None and (value.storage, value.version) not in met:
        met.add((value.storage, value.version))
        before = _before(trace, step, value)
        if before is None:
            break
        value = before
    if value is None:
        return None
    numbers = numbers_of(trace, step, value)
    assert numbers is not None
    index = _first(numbers)
    assert index is not None
    address = address_of(step, value, index)
    return (address, value.dtype, float(numbers[index])) if address else None


def _start(trace: Trace, step: Step, tensors: list[str]) -> Value | None:
    """A loss, gradient or weight that is not finite; of gradients the first that the backward pass made."""
    loss = next((step.values[n.value] for n in step.names if n.kind == "loss"), None)
    grads = [value for name in tensors if (value := named(step, name, "gradient")) is not None]
    weights = [value for kind in ("before", "parameter") for name in tensors if (value := named(step, name, kind))]
    ordered = [*([] if loss is None else [loss]), *sorted(grads, key=lambda each: each.version), *weights]
    return next((value for value in ordered if _is_bad(trace, step, value)), None)


def _before(trace: Trace, step: Step, value: Value) -> Value | None:
    """An operand of the op that wrote a Value which is itself not finite, NaN before infinite; None where there is none."""
    if not step.first <= value.version < step.last:
        return None
    refs = [step.values[each] for each in _operands(step.op(value.version), step, value)]
    bad = [each for each in refs if _is_bad(trace, step, each)]
    return max(bad, key=lambda each: _has_nan(trace, step, each), default=None)


def _operands(op: Op, step: Step, value: Value) -> list[int]:
    """Of an optimizer's step only what belongs to this parameter."""
    if op.optimizer is None:
        return op.refs()
    for group in op.optimizer.groups:
        for param in group.params:
            if step.values[param.after].storage == value.storage:
                return [param.before, *([] if param.grad is None else [param.grad])]
    return []


def _is_bad(trace: Trace, step: Step, value: Value) -> bool:
    numbers = numbers_of(trace, step, value)
    return numbers is not None and _first(numbers) is not None


def _has_nan(trace: Trace, step: Step, value: Value) -> bool:
    numbers = numbers_of(trace, step, value)
    return numbers is not None and bool(np.isnan(numbers).any())


def _first(numbers: np.ndarray[Any, Any]) -> tuple[int, ...] | None:
    """The index of the first element that is not finite, a NaN before an infinite one."""
    if numbers.dtype.kind in "biu":
        return None
    bad = ~np.isfinite(numbers)
    if not bad.any():
        return None
    nan = np.isnan(numbers)
    place = int(np.argmax(nan if nan.any() else bad))
    return tuple(int(i) for i in np.unravel_index(place, numbers.shape))
