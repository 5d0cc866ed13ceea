"""A step larger than the budget: which results are let go so that the rest of it can be kept.

Kept in any case: what the step did not make itself (parameters, inputs, what an earlier step left), and the smallest
results. Of the others those above 64 KiB are let go first, the largest before all; then those below, and memory that was
allocated to be written bit by bit (what of it nothing had written yet, no op brings back); then gradients of parameters;
and last what was made before the forward pass: data, and maybe parameters that no op used yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from whygrad.capture.evict import LetGo
from whygrad.capture.freeze import content_at
from whygrad.capture.raw import RawOptimizerCall, Seen, tensors_in, tensors_of
from whygrad.capture.sparse import parts
from whygrad.capture.tape import Event, Leaf, Tape, storage_key

Tensor = torch.Tensor
SMALL = 1 << 16
"""Results of at most so many bytes are let go only when nothing else helps."""
SMALLEST = 1 << 12
"""Results of at most so many bytes are always kept."""
ROOM = 0.8
"""Down to this share of the budget results are let go, so that the next ones have room."""
_STILL_A_GRADIENT = 32
"""A result of the last so many backward ops, as large as a parameter, may be about to become its gradient."""


_LARGE, _YOUNG, _SMALL, _GRADIENT, _BEFORE = range(5)
"""In this order results are let go."""


@dataclass(slots=True)
class _Held:
    """A storage that events hold: its bytes, the places of those events; `made` is the place of the one whose op made it
    (-1: another step, or no op), `start` to `stop` the bytes that this op returned."""

    bytes: int
    places: list[int] = field(default_factory=list[int])
    made: int = -1
    start: int = 0
    stop: int = 0


class Fitter:
    """Counts what the events of the running step hold, and lets go of results where that is too much. `count` and `bytes`
    are of what was let go in this step."""

    def __init__(self, tape: Tape, budget: int) -> None:
        self._tape, self._budget = tape, budget
        self.reset()

    def reset(self) -> None:
        """A new step begins."""
        self._held: dict[int, _Held] = {}
        self._sparse: set[int] = set()
        self._scanned = 0
        self._total = 0
        self.count = self.bytes = 0

    @property
    def holds(self) -> int:
        """Bytes that the step holds, as of the last `fit`."""
        return self._total + self._tape.cloned

    def fit(
        self, leaves: Iterable[Leaf], seen: list[Seen], share: float | None, parameters: set[int], forward: int
    ) -> bool:
        """When the step holds more than the budget, let go until it holds at most `share` of it (None: nothing is let go), or
        until nothing is left; `seen` are names bound so far, `parameters` storages that are never let go, `forward` the place
        of the first op of the forward pass. Whether it is within the budget then."""
        events = self._tape.events
        self._scan(events)
        if self.holds <= self._budget:
            return True
        if share is None:
            return False
        leaves = list(leaves)
        kept = (
            parameters
            | self._sparse
            | {storage_key(each.tensor) for each in seen if each.kind in ("parameter", "before", "state")}
        )
        grads = {storage_key(each.tensor) for each in seen if each.kind == "gradient"}
        for leaf in leaves:
            grad = leaf.tensor.grad
            if grad is not None and grad.layout is torch.strided:
                grads.add(storage_key(grad))
        sizes = {leaf.alias.nbytes for leaf in leaves}
        young = len(events) - _STILL_A_GRADIENT

        def rank(key: int, held: _Held) -> int:
            event = events[held.made]
            if held.made < forward:
                return _BEFORE
            if key in grads:
                return _GRADIENT
            if held.bytes <= SMALL or (event.info.uninitialised and not self._filled(key)):
                return _SMALL
            grows = held.made >= young and bool(event.node) and held.stop - held.start in sizes
            return _YOUNG if grows else _LARGE

        choices = [
            (rank(key, held), -held.bytes, held.made, key)
            for key, held in self._held.items()
            if held.made >= 0 and held.bytes > SMALLEST and key not in kept
        ]
        for least, wanted in ((_LARGE, share), (_YOUNG, 1.0), (_SMALL, share), (_GRADIENT, 1.0), (_BEFORE, 1.0)):
            chosen: list[int] = []
            freed = 0
            for _, size, _, key in sorted(each for each in choices if each[0] == least):
                if self.holds - freed <= wanted * self._budget:
                    break
                chosen.append(key)
                freed -= size
            if chosen:
                self._let_go(chosen)
            if self.holds <= self._budget:
                return True
        return False

    def _filled(self, key: int) -> bool:
        """Whether memory that was allocated was then written as a whole."""
        log = self._tape.writes.log.get(key)
        return bool(log) and log[0].region is None and log[0].old is None

    def _scan(self, events: list[Event]) -> None:
        """Take note of what the events hold that came since the last time."""
        for place in range(self._scanned, len(events)):
            event = events[place]
            if isinstance(event.out, RawOptimizerCall):
                for tensor in tensors_of(event):
                    self._meet(tensor, place)
                continue
            for each in (*event.args, event.out):
                if isinstance(each, Tensor) and each.layout is torch.sparse_coo:
                    self._sparse.update(storage_key(part) for part in parts(each))
            for tensor in tensors_in((event.args, tuple((event.kwargs or {}).values()))):
                self._meet(tensor, place)
            for tensor in tensors_in(event.out):
                self._meet(tensor, place, made=True)
        self._scanned = len(events)

    def _meet(self, tensor: Tensor, place: int, made: bool = False) -> None:
        if tensor.device.type == "meta" or tensor._is_zerotensor():
            return
        storage = tensor.untyped_storage()
        held = self._held.get(storage._cdata)
        if held is None:
            held = self._held[storage._cdata] = _Held(storage.nbytes())
            self._total += held.bytes
            if made and type(tensor) is Tensor:
                held.made, (held.start, held.stop) = place, _window(tensor)
        elif made and held.made == place:  # an op that returned two views of what it made
            start, stop = _window(tensor)
            held.start, held.stop = min(held.start, start), max(held.stop, stop)
        if not held.places or held.places[-1] != place:
            held.places.append(place)

    def _let_go(self, keys: list[int]) -> None:
        """Replace storages by stand-ins in all events of the step, and keep the CRC of what they held at each version."""
        tape = self._tape
        places: set[int] = set()
        for key in keys:
            held = self._held.pop(key)
            self._total -= held.bytes
            self.count += 1
            self.bytes += held.bytes
            places.update(held.places)
            event = tape.events[held.made]
            tensor = next(each for each in tensors_in(event.out) if storage_key(each) == key)
            gone = tape.writes.gone.let_go(tensor, tape.base + held.made, (held.start, held.stop))
            self._print(gone, tensor)
            old = sum(each.old.nbytes for each in tape.writes.log.pop(key, ()) if each.old is not None)
            tape.cloned -= old
            self.bytes += old
        letting = {key: tape.writes.gone.by_key[key].meta_key for key in keys}
        order = tape.writes.order
        for i, (index, key) in enumerate(order):
            if key in letting:
                order[i] = (index, letting[key])
        for place in places:
            tape.events[place] = _shown(tape.events[place], tape)

    def _print(self, gone: LetGo, tensor: Tensor) -> None:
        tape = self._tape
        versions = [gone.made, *(index for index, key in tape.writes.order if key == gone.key and index > gone.made)]
        for version, until in zip(versions, [*versions[1:], tape.index + 1], strict=True):
            content = None
            if until <= tape.index or not tape.is_uninitialised(gone.key):
                content = content_at(tensor, until, tape.writes)
            if content is not None:
                gone.prints[version] = gone.crc(content)


def show_call(call: RawOptimizerCall, shown: Callable[[Any], Any]) -> None:
    """Put stand-ins in the place of what was let go in what an optimizer's step was recorded by."""
    for _, params in call.groups:
        for param in params:
            param.grad = shown(param.grad)
            param.before = {key: shown(each) for key, each in param.before.items()}
            param.after = {key: shown(each) for key, each in param.after.items()}


def _shown(event: Event, tape: Tape) -> Event:
    gone = tape.writes.gone
    if isinstance(event.out, RawOptimizerCall):
        show_call(event.out, gone.shown)
        return event
    return event._replace(args=gone.shown(event.args), kwargs=gone.shown_all(event.kwargs), out=gone.shown(event.out))


def _window(tensor: Tensor) -> tuple[int, int]:
    """The bytes of its storage that a tensor reaches, first and one past the last."""
    size, start = tensor.element_size(), int(tensor.storage_offset())
    last = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return start * size, (start + 1 + last if tensor.numel() else start) * size
