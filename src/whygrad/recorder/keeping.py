"""Which closed steps are still held: those asked for as long as the budget lasts, and the last ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch

from whygrad.capture.raw import RawStep, bytes_of
from whygrad.capture.tape import Writes
from whygrad.recorder.policy import Keep
from whygrad.recorder.statistics import raw_statistics

Tensor = torch.Tensor


class Keeper:
    """`closed` holds every finished step, in order, those that are not kept as empty shells. `full`: the budget is used
    up, and only the last step is held besides what is counted in `kept_bytes`."""

    def __init__(self, keep: Keep, writes: Writes, note: Callable[[str], None]) -> None:
        self.keep = keep
        self.closed: deque[RawStep] = deque()
        self.kept_bytes = 0
        self.full = False
        self.known: set[int] = set()
        self._writes = writes
        self._note = note
        # Those of `closed` that are kept, and those of them that are kept only for being among the last: what a step costs
        # must not grow with the steps before it.
        self._kept: deque[RawStep] = deque()
        self._tail: deque[RawStep] = deque()

    def wants(self, number: int) -> bool:
        """Whether the values of step `number` are to be held, for now at least."""
        return self.keep.wants(number) or self.keep.tail > 0 or self.full

    def kept_until(self) -> int | None:
        """Where the last kept step ends that waits to be made inert, None when none does."""
        return next((step.last for step in reversed(self._present(self._kept)) if step.events), None)

    def admit(self, step: RawStep, parameters: list[Tensor]) -> None:
        """Take a closed step in, and let go of those that are no longer to be kept. `parameters`: those it trained."""
        self.closed.append(step)
        step.survivors = parameters
        if not step.keep:
            self._drop(step)
        else:
            self._kept.append(step)
            if self.keep.wants(step.number) and not self.full:
                self._spend(step)
            if not step.counted:
                self._tail.append(step)
        self._trim_tail(step.number if step.complete else step.number - 1)

    def _spend(self, step: RawStep) -> None:
        if self.kept_bytes + step.held > self.keep.budget:
            self._count_exactly()
            step.held = bytes_of(step.events, self.known) + step.cloned
        if self.kept_bytes + step.held > self.keep.budget:
            self.full = True
            self._note(
                f"the budget of {self.keep.budget:,} bytes was reached at step {step.number}: later steps are in the table "
                "only, except the last one. A larger --budget keeps more, --steps chooses which."
            )
        else:
            step.counted = True
            self.kept_bytes += step.held

    def _count_exactly(self) -> None:
        for step in self.closed:
            if step.counted and not step.exact:
                exact = bytes_of(step.events, self.known) + step.cloned
                self.kept_bytes += exact - step.held
                step.held, step.exact = exact, True

    def _trim_tail(self, latest: int) -> None:
        """Of the steps that are kept only for being the last ones, keep as many as asked."""
        most = max(self.keep.tail, 1 if self.full else 0)
        for step in list(self._present(self._tail)):
            if step.complete and step.number <= latest - most:
                step.why_not = "budget" if self.keep.wants(step.number) else "steps"
                self._drop(step)

    def _drop(self, step: RawStep) -> None:
        if step.complete and step.statistics is None and step.later is None and step.seen:
            step.statistics = raw_statistics(step, self._writes)
        step.keep, step.grads = False, {}
        step.events, step.seen = [], []
        _remove(self._kept, step)
        _remove(self._tail, step)
        kept = reversed(self._present(self._kept))
        until = next((each.last for each in kept if each.last <= step.first), None)
        self._writes.forget(step.first, step.last, {key for _, key in step.writes}, until)

    def _present(self, steps: deque[RawStep]) -> deque[RawStep]:
        """`steps` without those that were taken out of `closed`, always from its front."""
        first = self.closed[0].first if self.closed else 1 << 62
        while steps and steps[0].first < first:
            steps.popleft()
        return steps


def _remove(steps: deque[RawStep], step: RawStep) -> None:
    """Take a step out; it is one of the last if it is there."""
    for place in range(len(steps) - 1, -1, -1):
        if steps[place].number < step.number:
            return
        if steps[place] is step:
            del steps[place]
            return
