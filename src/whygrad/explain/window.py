"""A stretch of a large parameter: an elementwise update is run again on what is around the asked element, not on all of it.

The kernels of elementwise ops go through memory in whole vectors, then one by one what is left over; a stretch that begins
and ends at multiples of `SIZE` (or at the tensor's end) is gone through exactly as it is within the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from whygrad.trace.model import OptimizerParam, Ref, Step, Value

Index = tuple[int, ...]
SIZE = 4096
"""Elements. A multiple of every vector's length, and of the unrolled loops over them."""
LARGE = 4 * SIZE
ELEMENTWISE = frozenset(
    ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "Adagrad", "Adadelta", "ASGD"]
)
"""torch's optimizers that update each element from its own gradient and state alone."""


@dataclass(frozen=True)
class Window:
    """Elements `start` to `stop` of a contiguous tensor of `shape`, in row-major order."""

    shape: Index
    start: int
    stop: int

    def inside(self, index: Index) -> Index:
        """An element of the tensor, as one of the stretch."""
        place = 0
        for i, n in zip(index, self.shape, strict=True):
            place = place * n + i
        return (place - self.start,)

    def outside(self, index: Index) -> Index:
        """An element of the stretch, as one of the tensor."""
        place, found = index[0] + self.start, list[int]()
        for n in reversed(self.shape):
            found.insert(0, place % n)
            place //= n
        return tuple(found)


def window_of(class_name: str, step: Step, param: OptimizerParam, index: Index) -> Window | None:
    """The stretch around an element of a large parameter; None where the whole update must be run."""
    before = step.values[param.before]
    if class_name not in ELEMENTWISE or before.numel < LARGE or param.grad is None:
        return None
    state = [step.values[a.id] for _, a in (*param.state_before, *param.state_after) if isinstance(a, Ref)]
    like = [step.values[param.grad], step.values[param.after], *(v for v in state if v.numel != 1)]
    if not all(_plain(value) and value.shape == before.shape for value in (before, *like)):
        return None
    if any(v.dtype != before.dtype for v in like):
        return None
    place = before.location(index) - before.offset
    start = place // SIZE * SIZE
    return Window(before.shape, start, min(start + SIZE, before.numel))


def _plain(value: Value) -> bool:
    """Whether a tensor is contiguous, and of real numbers as they lie in memory."""
    expected = tuple(prod(value.shape[d + 1 :]) for d in range(len(value.shape)))
    same = all(n == 1 or s == e for n, s, e in zip(value.shape, value.stride, expected, strict=True))
    return same and not value.form
