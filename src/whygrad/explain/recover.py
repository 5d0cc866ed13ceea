"""Numbers that were let go when a step was recorded, had again by running the ops that made them.

The ops between what was kept and what is asked are run in their order, on the recorded strides, threads and random
states. The CRC-32 taken of the memory before it was let go tells whether the very bits came back; if not, they are not
shown.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from whygrad.errors import ValueDropped, WhygradError
from whygrad.trace.model import UNWRITTEN, Dropped, Op, Step, Value
from whygrad.trace.store import Trace, dropped_of

if TYPE_CHECKING:
    import torch

Array = np.ndarray[Any, Any]
Memory = tuple[int, int]
"""A storage at a version."""
MOST = 1 << 30
"""Bytes of recovered memory that are remembered, the latest ones."""
_AT_LEAST = 8


@dataclass
class _Plan:
    """Ops to be run again, by index; `uses` counts how many of them still read a memory."""

    ops: dict[int, tuple[Step, Op]] = field(default_factory=dict[int, "tuple[Step, Op]"])
    needs: dict[int, list[Memory]] = field(default_factory=dict[int, list[Memory]])
    uses: dict[Memory, int] = field(default_factory=dict[Memory, int])


class Recovery:
    """`Trace.recover` of one run. `count` tells how many ops each memory took that was recovered."""

    def __init__(self, trace: Trace, most: int = MOST) -> None:
        self._trace, self._most = trace, most
        self._kept: OrderedDict[Memory, Array] = OrderedDict()
        self._bytes = 0
        self._running: dict[Memory, Array] = {}
        self._failed: dict[Memory, str] = {}
        self._different: Op | None = None
        self.count: dict[Memory, int] = {}

    def __call__(self, step: Step, dropped: Dropped) -> Array:
        """The bytes of a memory. Raises ValueDropped when they cannot be had again."""
        memory = (dropped.storage, dropped.version)
        known = self._running.get(memory)
        if known is None:
            known = self._kept.get(memory)
            if known is not None:
                self._kept.move_to_end(memory)
        if known is not None:
            return known
        if memory in self._failed:
            raise ValueDropped(self._failed[memory])
        try:
            return self._recover(step, dropped)
        except ValueDropped as error:
            self._failed[memory] = str(error)
            raise

    def note(self, step: Step, value: Value) -> str:
        """How a Value's numbers were had, empty for those that were kept."""
        dropped = dropped_of(step, value)
        count = 0 if dropped is None else self.count.get((dropped.storage, dropped.version), 0)
        if not count:
            return ""
        return f"recovered by running {count} op{'s' * (count > 1)} again; the CRC-32 is that of the recorded bits"

    def _recover(self, step: Step, dropped: Dropped) -> Array:
        memory = (dropped.storage, dropped.version)
        if dropped.crc is None and dropped.version != UNWRITTEN:
            self._writer(memory)
            raise ValueDropped(
                f"the memory of storage {dropped.storage} held nothing that an op had written: it was uninitialised."
            )
        whole = self._plan(memory, frozenset())
        plan = self._plan(memory, frozenset(self._kept))
        self._different = None
        self._running = {each: self._kept[each] for each in plan.uses if each in self._kept}
        try:
            for index in sorted(plan.ops):
                self._run(plan, index, memory)
            found = self._running.get(memory)
            if found is None or zlib.crc32(found.data) != dropped.crc:
                raise ValueDropped(self._not_the_same(step))
        finally:
            self._running = {}
        self._keep(memory, found)
        self.count[memory] = len(whole.ops)
        return found

    def _not_the_same(self, step: Step) -> str:
        op = self._different
        which = "" if op is None else f", at first of {op.name} (op {op.index})"
        return (
            f"{self._trace.why_let_go(step)} Running the ops again gives other bits{which}: their CRC-32 is not the one "
            "recorded, so they are not shown."
        )

    # ---- which ops

    def _plan(self, wanted: Memory, known: frozenset[Memory]) -> _Plan:
        """The ops from what was kept (or is `known`) to the memory that is wanted. Raises ValueDropped."""
        plan = _Plan()
        todo = [wanted]
        while todo:
            step, op = self._writer(todo.pop())
            if op.index in plan.ops:
                continue
            needs = [each for each in self._needs(step, op) if each != wanted]
            plan.ops[op.index], plan.needs[op.index] = (step, op), needs
            for each in needs:
                plan.uses[each] = plan.uses.get(each, 0) + 1
                if each not in known:
                    todo.append(each)
        return plan

    def _writer(self, memory: Memory) -> tuple[Step, Op]:
        info = self._trace.step_of_op(memory[1]) if memory[1] != UNWRITTEN else None
        if info is None or not info.kept:
            why = "" if info is None else f" {self._trace.why_not_kept(info.number)}"
            raise ValueDropped(
                f"these numbers were let go to stay within the budget of {self._trace.info.budget:,} bytes, and the op that "
                f"made them ran in a step that was not kept.{why}"
            )
        step = self._trace.step(info.number)
        return step, step.op(memory[1])

    def _needs(self, step: Step, op: Op) -> list[Memory]:
        """The memories that an op reads, or writes in part, and that were let go."""
        found: dict[Memory, None] = {}
        for ref in op.refs():
            dropped = dropped_of(step, step.values[ref])
            if dropped is not None and dropped.crc is not None:
                found[dropped.storage, dropped.version] = None
        return list(found)

    # ---- running them

    def _run(self, plan: _Plan, index: int, wanted: Memory) -> None:
        step, op = plan.ops[index]
        try:
            results = self._results(step, op)
        except ValueDropped:
            raise
        except Exception as error:
            raise ValueDropped(
                f"{self._trace.why_let_go(step)} Op {op.index} ({op.name}), from which they follow, cannot be run again: "
                f"{type(error).__name__}: {str(error)[:200]}"
            ) from error
        self._running.update((each, found) for each, found in results.items() if each in plan.uses or each == wanted)
        for memory in plan.needs[index]:
            plan.uses[memory] -= 1
            if not plan.uses[memory]:
                del self._running[memory]

    def _results(self, step: Step, op: Op) -> dict[Memory, Array]:
        """What an op run again leaves in the memories that were let go; those that have their CRC-32 are remembered."""
        from whygrad.capture.opinfo import describe
        from whygrad.explain.replay import call_again, overload

        if op.name.startswith(("higher_order.", "optimizer.")):
            raise WhygradError("it is several ops in one")
        windows = {each.storage: each for each in step.dropped if each.version == op.index}
        rebuilder = _rebuilder(self._trace, step, windows)
        args = [rebuilder.argument(arg) for arg in op.args]
        kwargs = {key: rebuilder.argument(arg) for key, arg in op.kwargs if key != "generator"}
        out = call_again(step, op, args, kwargs, None if op.rng is None else rebuilder.tensor(op.rng))
        targets = describe(overload(op.name)).targets(tuple(args), kwargs)
        outs: list[Any] = list(out) if isinstance(out, (list, tuple)) else [out]  # pyright: ignore[reportUnknownArgumentType]
        results: dict[Memory, Array] = {}
        made = [*zip(op.written, targets, strict=False), *zip(op.outputs, outs, strict=False)]
        for value_id, tensor in made:
            if value_id is None or tensor is None:
                continue
            value = step.values[value_id]
            window = windows.get(value.storage)
            memory = (value.storage, op.index)
            if window is None or value.version != op.index or memory in results:
                continue
            content = results[memory] = _bytes(tensor, value, window)
            if zlib.crc32(content.data) == window.crc:
                self._keep(memory, content)
            elif window.crc is not None and self._different is None:
                self._different = op
        return results

    def _keep(self, memory: Memory, content: Array) -> None:
        """Remember what was recovered and checked, and forget the oldest where that is too much."""
        if memory not in self._kept:
            self._kept[memory] = content
            self._bytes += content.nbytes
        while self._bytes > self._most and len(self._kept) > _AT_LEAST:
            _, old = self._kept.popitem(last=False)
            self._bytes -= old.nbytes


def _bytes(tensor: torch.Tensor, value: Value, window: Dropped) -> Array:
    """What the window of a storage holds of which a tensor shows a part. Raises WhygradError when it has no such bytes."""
    import torch

    size = tensor.element_size() // (2 if value.is_complex else 1)
    shift = int(tensor.storage_offset()) * tensor.element_size() - value.offset * size
    storage: Any = tensor.untyped_storage()
    flat: Any = torch.empty(0, dtype=torch.uint8)
    raw: Array = flat.set_(storage, 0, (storage.nbytes(),), (1,)).numpy()
    found = raw[window.start + shift : window.stop + shift] if window.start + shift >= 0 else raw[:0]
    if len(found) != window.stop - window.start:
        raise WhygradError(f"it gives {len(raw):,} bytes where there were {window.stop:,}")
    found.setflags(write=False)
    return found


def _rebuilder(trace: Trace, step: Step, windows: dict[int, Dropped]) -> Any:
    """Operands for an op that writes `windows`: where it writes into memory that held nothing, that memory is there as a
    whole, so that what it leaves can be taken."""
    from whygrad.explain.tensors import GARBAGE, Rebuilder

    class Whole(Rebuilder):
        def _base(self, value: Value, dtype: torch.dtype) -> tuple[torch.Tensor, int]:
            window = windows.get(value.storage)
            dropped = dropped_of(step, value)
            if window is None or (dropped is not None and dropped.crc is not None):
                return super()._base(value, dtype)
            raw = np.full(window.stop - window.start, GARBAGE, np.uint8)
            return self._room((value.storage, value.version, value.dtype), raw, window.start, dtype)

    return Whole(trace, step)
