"""A recorded step before it is made into inert data: events with live references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from whygrad.capture.sparse import parts
from whygrad.capture.tape import Event
from whygrad.trace.statistics import Numbers
from whygrad.trace.statistics_sums import GradientPart

Tensor = torch.Tensor


@dataclass(slots=True)
class RawOptimizerParam:
    """A parameter (as alias), its gradient, and the tensors and numbers of its optimizer state before and after."""

    alias: Tensor
    grad: Tensor | None
    before: dict[str, Any]
    after: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class RawOptimizerCall:
    """What went into one `Optimizer.step` and what came out."""

    class_name: str
    number: int
    groups: list[tuple[dict[str, Any], list[RawOptimizerParam]]]


@dataclass(slots=True)
class Seen:
    """`tensor`, as it stood when the tape was at `index`, goes by the name `text`. Kinds as in `trace.model.Name`, and
    "before" for a parameter as the step found it. `create`: give it a Value even where no op met it."""

    index: int
    text: str
    tensor: Tensor
    kind: str
    of: str = ""
    create: bool = False


@dataclass(slots=True)
class RawStep:
    """Events `first` … of one step, and what was seen of names along the way, in order of `index`. `survivors`: the
    parameters of a step that is not kept, whose writes later steps must know of. `statistics`: of a step that may not be
    kept, or `later`, which works them out. `grads`: what was seen of gradients that are let go; `still`: parameters whose
    learning rate is 0; `skipped`: a GradScaler found the gradients infinite."""

    number: int
    first: int
    events: list[Event]
    complete: bool = True
    keep: bool = True
    threads: int = 1
    held: int = 0
    cloned: int = 0
    counted: bool = False
    exact: bool = False
    why_not: str = ""
    last: int = 0
    writes: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    survivors: list[Tensor] = field(default_factory=list[Tensor])
    seen: list[Seen] = field(default_factory=list[Seen])
    notes: list[str] = field(default_factory=list[str])
    statistics: dict[str, Numbers] | None = None
    later: Callable[[], dict[str, Numbers]] | None = None
    later_bytes: int = 0
    grads: dict[str, GradientPart] = field(default_factory=dict[str, GradientPart])
    still: frozenset[str] = frozenset()
    skipped: bool = False

    def take_statistics(self) -> dict[str, Numbers] | None:
        """`statistics`, worked out if they were not; None for a step whose values tell them."""
        if self.later is not None:
            self.statistics, self.later = self.later(), None
        return self.statistics

    def stands(self, name: str) -> bool:
        """Whether this step's update could not have moved a parameter, whatever its gradient."""
        return self.skipped or name in self.still


def tensors_of(event: Any) -> list[Tensor]:
    """Every tensor that an event holds."""
    return tensors_in((event.args, tuple((event.kwargs or {}).values()), event.out))


def tensors_in(tree: Any) -> list[Tensor]:
    """Every tensor in nested arguments or results, and in what an optimizer's step was recorded by."""
    found: list[Tensor] = []
    _gather(tree, found)
    return found


def _gather(tree: Any, found: list[Tensor]) -> None:
    # Not an inner function that calls itself: that is a reference cycle, which would keep the tensors alive for a while.
    if isinstance(tree, Tensor):
        found.extend(parts(tree))
    elif isinstance(tree, (list, tuple)):
        for each in tree:  # pyright: ignore[reportUnknownVariableType]
            _gather(each, found)
    elif isinstance(tree, RawOptimizerCall):
        for _, params in tree.groups:
            for p in params:
                _gather([p.alias, p.grad, *p.before.values(), *p.after.values()], found)


def bytes_of(events: list[Event], known: set[int]) -> int:
    """Bytes that the events hold, each storage once and those `known` not at all; they are known afterwards."""
    total = 0
    for event in events:
        for tensor in tensors_of(event):
            if tensor.device.type == "meta":
                continue
            storage = tensor.untyped_storage()
            if storage._cdata not in known:
                known.add(storage._cdata)
                total += storage.nbytes()
    return total
