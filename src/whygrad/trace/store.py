"""A run that can be asked: its steps (loaded when needed), contents of Values, and which op wrote which memory."""

from __future__ import annotations

import gc
from bisect import bisect_right
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np

from whygrad.errors import StepNotKept, ValueDropped
from whygrad.trace.history import History
from whygrad.trace.model import UNWRITTEN, Chunk, Dropped, Op, RunInfo, Step, StepInfo, Value
from whygrad.trace.statistics import Statistics

Array = np.ndarray[Any, Any]


@contextmanager
def uncollected() -> Generator[None]:
    """Without the cyclic garbage collector: many small records are about to be made, none of them garbage, and each
    thousand would have it walk everything that the program holds."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class StepSource(Protocol):
    """Where steps and contents come from: a saved file, or the memory of the program that ran."""

    def load_step(self, number: int) -> Step:
        """A kept step; `number` is that of a StepInfo whose `kept` is True."""
        ...

    def load_chunk(self, step: int, chunk: Chunk) -> Array | None:
        """Bytes of a chunk as a 1-D uint8 array, or None when its content was not kept (uninitialised or dropped)."""
        ...


@dataclass
class Trace:
    """`index` lists all steps in order, kept or not. `recover`, where it is set, gives the bytes of memory that was let go
    when a step was recorded, or raises ValueDropped. `load_statistics`: how `statistics` are had."""

    info: RunInfo
    index: list[StepInfo]
    history: History
    source: StepSource
    _steps: dict[int, Step] = field(default_factory=dict[int, Step])
    _chunks: dict[tuple[int, int], Array | None] = field(default_factory=dict[tuple[int, int], "Array | None"])
    recover: Callable[[Step, Dropped], Array] | None = None
    load_statistics: Callable[[], Statistics] = Statistics

    @cached_property
    def statistics(self) -> Statistics:
        """Of each parameter tensor and step, kept or not; empty where the file is older than they are. Loaded when first
        asked for."""
        return self.load_statistics()

    def step(self, number: int) -> Step:
        """Step `number`. Raises StepNotKept, naming the option that would keep it."""
        found = self._steps.get(number)
        if found is None:
            info = next((each for each in self.index if each.number == number), None)
            if info is None or not info.kept:
                raise StepNotKept(self.why_not_kept(number))
            with uncollected():
                found = self._steps[number] = self.source.load_step(number)
        return found

    def why_not_kept(self, number: int) -> str:
        """One sentence: why a step cannot be asked, and what would keep it."""
        info = next((each for each in self.index if each.number == number), None)
        kept = _spans([each.number for each in self.index if each.kept])
        if info is None:
            last = self.index[-1].number if self.index else -1
            return f"no step {number}: the run has {'steps 0 to ' + str(last) if last >= 0 else 'no steps'}."
        if info.why_not == "budget":
            return (
                f"step {number} was not kept: the budget of {self.info.budget:,} bytes was used up (kept: {kept}). "
                f"Record with a larger --budget, or with --steps {number} to keep just this one."
            )
        return f"step {number} was not kept (kept: {kept}). Record with --steps {number} to keep it."

    def step_of_op(self, op: int) -> StepInfo | None:
        """The step in which run-wide op `op` ran."""
        place = bisect_right(self.index, op, key=lambda each: each.first) - 1
        if place < 0 or op >= self.index[place].last:
            return None
        return self.index[place]

    def writer(self, value: Value) -> tuple[StepInfo, Op | None] | None:
        """The step and op that wrote a Value's memory; the op is None when that step was not kept, the whole None when no
        recorded op wrote it."""
        if value.version == UNWRITTEN:
            return None
        info = self.step_of_op(value.version)
        if info is None:
            return None
        return info, self.step(info.number).op(value.version) if info.kept else None

    def content(self, step: Step, value: Value) -> Array:
        """The Value's numbers, as an array with its shape and strides over the recorded memory (not to be written).

        Raises ValueDropped when the memory was uninitialised or not kept.
        """
        dtype = numpy_dtype(value.dtype)
        strides = tuple(s * dtype.itemsize for s in value.stride)
        let_go = self.recovered(step, value)
        if let_go is not None:
            start, stop = value.extent()
            window = let_go[0][start * dtype.itemsize - let_go[1] : stop * dtype.itemsize - let_go[1]]
            seen = np.lib.stride_tricks.as_strided(window.view(dtype), value.shape, strides, writeable=False)
            return _negated(seen, value) if value.form in ("conj", "neg") else seen
        chunk = chunk_of(step, value)
        data = self.chunk(step.number, chunk) if chunk is not None else None
        if chunk is None or data is None:
            raise ValueDropped(
                f"value {value.id} of step {step.number} has no recorded numbers: its memory was uninitialised when it was "
                "seen, or lies on a device that keeps none (meta)."
            )
        typed = data.view(dtype)
        start = value.offset - chunk.start
        seen = np.lib.stride_tricks.as_strided(typed[start:], value.shape, strides, writeable=False)
        return _negated(seen, value) if value.form in ("conj", "neg") else seen

    def recovered(self, step: Step, value: Value) -> tuple[Array, int] | None:
        """The bytes of a Value's memory where that was let go, and the place of the first in its storage; None where it was
        not. Raises ValueDropped."""
        dropped = dropped_of(step, value)
        if dropped is None:
            return None
        size = numpy_dtype(value.dtype).itemsize
        start, stop = value.extent()
        if self.recover is None or not dropped.start <= start * size <= stop * size <= dropped.stop:
            raise ValueDropped(self.why_let_go(step))
        return self.recover(step, dropped), dropped.start

    def why_let_go(self, step: Step) -> str:
        """One sentence: why numbers of a kept step are not there, and what would keep them."""
        return (
            f"step {step.number} needed more than the budget of {self.info.budget:,} bytes, and these numbers were let go. "
            "Record with a larger --budget to keep them."
        )

    def chunk(self, step: int, chunk: Chunk) -> Array | None:
        """Bytes of a chunk, read once."""
        key = (step, chunk.id)
        if key not in self._chunks:
            self._chunks[key] = self.source.load_chunk(step, chunk)
        return self._chunks[key]


_by_memory: dict[int, tuple[Step, dict[tuple[int, int, str], list[Chunk]]]] = {}


_let_go: dict[int, tuple[Step, dict[tuple[int, int], Dropped]]] = {}


def dropped_of(step: Step, value: Value) -> Dropped | None:
    """What was let go of a Value's memory, None for one whose numbers were kept."""
    if not step.dropped:
        return None
    known = _let_go.get(id(step))
    if known is None or known[0] is not step:
        if len(_let_go) > 64:
            _let_go.clear()
        known = _let_go[id(step)] = (step, {(each.storage, each.version): each for each in step.dropped})
    return known[1].get((value.storage, value.version))


def chunk_of(step: Step, value: Value) -> Chunk | None:
    """The chunk of the step that holds a Value's memory."""
    known = _by_memory.get(id(step))
    if known is None or known[0] is not step:
        table: dict[tuple[int, int, str], list[Chunk]] = {}
        for chunk in step.chunks:
            table.setdefault((chunk.storage, chunk.version, chunk.dtype), []).append(chunk)
        if len(_by_memory) > 64:
            _by_memory.clear()
        known = _by_memory[id(step)] = (step, table)
    start, stop = value.extent()
    for chunk in known[1].get((value.storage, value.version, value.dtype), ()):
        if chunk.start <= start and stop <= chunk.stop:
            return chunk
    return None


def _negated(memory: Array, value: Value) -> Array:
    """What a tensor with torch's conjugate or negative bit shows of its memory."""
    shown = memory.copy()
    parts = shown[..., 1] if value.form == "conj" else shown
    np.negative(parts, out=parts)
    return shown


@lru_cache(maxsize=64)
def numpy_dtype(name: str) -> np.dtype[Any]:
    """numpy's dtype for torch's dtype `name`; bfloat16 and float8 come from ml_dtypes."""
    if name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(name)


def _spans(numbers: list[int]) -> str:
    if not numbers:
        return "none"
    parts: list[list[int]] = []
    for n in sorted(numbers):
        if parts and n == parts[-1][1] + 1:
            parts[-1][1] = n
        else:
            parts.append([n, n])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in parts)
