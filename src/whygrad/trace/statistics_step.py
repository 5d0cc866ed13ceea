"""The statistics of a step whose values were kept, from these values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from whygrad.trace.model import Chunk, Step, Value
from whygrad.trace.statistics import Numbers
from whygrad.trace.statistics_sums import GradientPart, Tensors, rows_of
from whygrad.trace.store import numpy_dtype

__all__ = ["step_statistics"]

Array = np.ndarray[Any, Any]


def step_statistics(
    step: Step, contents: Mapping[int, Array], stands: Callable[[str], bool], taken: Mapping[str, GradientPart]
) -> dict[str, Numbers]:
    """A row of `Statistics`: of each parameter, under its first name. `contents` are the bytes of chunks, by id; `stands`
    tells of a parameter whose update could move nothing (learning rate 0, skipped); `taken`: what was seen of gradients
    that are not there."""
    content = _Reader(step, contents)
    ends = {n.text: step.values[n.value] for n in reversed(step.names) if n.kind == "parameter"}
    grads = {n.text: step.values[n.value] for n in reversed(step.names) if n.kind == "gradient" and not n.of}
    tensors: list[Tensors] = []
    seen: set[int] = set()
    for name in step.names:
        if name.kind != "before" or name.value in seen:
            continue
        seen.add(name.value)
        before, after, grad = step.values[name.value], ends.get(name.text), grads.get(name.text)
        updated = after is not None and (before.storage, before.version) != (after.storage, after.version)
        if grad is not None or updated:
            known = taken.get(name.text)
            tensors.append(
                Tensors(
                    name.text, known if known is not None or grad is None else content(grad), content(before),
                    None if after is None else content(after), updated, stands(name.text), before.is_complex,
                )
            )  # fmt: skip
    return rows_of(tensors)


class _Reader:
    """The numbers of a step's Values, without torch's conjugate and negative bits, which change no statistic."""

    def __init__(self, step: Step, contents: Mapping[int, Array]) -> None:
        self._contents = contents
        self._chunks: dict[tuple[int, int, str], list[Chunk]] = {}
        for chunk in step.chunks:
            self._chunks.setdefault((chunk.storage, chunk.version, chunk.dtype), []).append(chunk)

    def __call__(self, value: Value) -> Array | None:
        start, stop = value.extent()
        for chunk in self._chunks.get((value.storage, value.version, value.dtype), ()):
            data = self._contents.get(chunk.id)
            if data is not None and chunk.start <= start and stop <= chunk.stop:
                dtype = numpy_dtype(value.dtype)
                strides = tuple(s * dtype.itemsize for s in value.stride)
                typed = data.view(dtype)[start - chunk.start :]
                return np.lib.stride_tricks.as_strided(typed, value.shape, strides, writeable=False)
        return None
