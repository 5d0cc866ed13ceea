"""A number that the program read out of a tensor (`.item()`) and handed to an op, led back to where it was read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from whygrad.rules.expr import Expr, Neg, Python
from whygrad.trace.model import Ref

if TYPE_CHECKING:
    from whygrad.rules.call import OpCall

_READS = "aten._local_scalar_dense"
_LEAST_BITS = 10
"""A number of fewer significant bits (1, 0.5, 0.75) may be in the program on its own account."""


def read_back(call: OpCall, value: float) -> Expr | None:
    """The element that an earlier op of the step read this very number from, or its negative from; None when none did."""
    if not math.isfinite(value) or _bits(value) < _LEAST_BITS:
        return None
    for op in reversed(call.step.ops[: call.op.index - call.step.first]):
        if op.kind == _READS and op.result in (value, -value) and isinstance(op.args[0], Ref):
            source = call.step.values[op.args[0].id]
            found = call.var(source, tuple(0 for _ in source.shape))
            return Python(found if op.result == value else Neg(found), value)
    return None


def _bits(value: float) -> int:
    top, _ = abs(value).as_integer_ratio()
    return (top // (top & -top)).bit_length() if top else 0
