"""What must hold of every Step, as a check that runs: of what the recorder made before it is saved, and of
what a file held before it is believed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from whygrad.errors import RunFileError
from whygrad.trace.file_values import ITEM_SIZE
from whygrad.trace.model import UNWRITTEN, Chunk, Dropped, Op, Step, Value

MOST_ELEMENTS = 1 << 40
"""No tensor of a recorded program has more elements, a broadcast one (stride 0) included."""
MOST_DIMENSIONS = 64
_PARTS = ("float16", "float32", "float64")


def check_step(step: Step, where: str = "") -> None:
    """Raise RunFileError, its message beginning with `where`, at the first thing that cannot be."""
    for what in problems(step):
        raise RunFileError(f"{where or f'step {step.number}'}: {what}.")


def problems(step: Step) -> Iterator[str]:
    """All that is wrong with a step, each as part of a sentence."""
    if step.number < 0 or step.threads < 0 or not 0 <= step.first <= step.last:
        yield f"step {step.number} cannot span ops {step.first} to {step.last} on {step.threads} threads"
    if len(step.ops) != step.last - step.first:
        yield f"it has {len(step.ops)} ops where {step.first} to {step.last} makes {step.last - step.first}"
    for id, value in step.values.items():
        if id != value.id:
            yield f"Value {value.id} is listed as {id}"
        yield from _of_value(value, step)
    for place, op in enumerate(step.ops, step.first):
        if op.index != place:
            yield f"op {op.index} stands in the place of op {place}"
        yield from _of_op(op, step)
    for name in step.names:
        if name.value not in step.values:
            yield f"the name {name.text!r} stands for no Value"
    yield from _of_chunks(step)
    for each in step.dropped:
        yield from _of_dropped(each, step)


def _of_value(value: Value, step: Step) -> Iterator[str]:
    if value.dtype not in ITEM_SIZE:
        yield f"unknown dtype {value.dtype[:40]!r}"
    elif len(value.shape) != len(value.stride) or len(value.shape) > MOST_DIMENSIONS:
        yield f"Value {value.id} has {len(value.shape)} dimensions and {len(value.stride)} strides"
    elif value.is_complex and (value.dtype not in _PARTS or value.shape[-1:] != (2,) or value.stride[-1:] != (1,)):
        yield f"Value {value.id} is complex but has no parts: {value.dtype} of shape {value.shape}"
    elif min((*value.shape, *value.stride, value.offset, value.storage)) < 0:
        yield f"Value {value.id} has a negative size, stride, offset or storage"
    elif max((*value.shape, *value.stride, value.offset, value.storage)) > MOST_ELEMENTS or value.numel > MOST_ELEMENTS:
        yield f"Value {value.id} of shape {value.shape} is larger than any tensor"
    elif value.extent()[1] > MOST_ELEMENTS:
        yield f"Value {value.id} reaches beyond any memory"
    elif value.version != UNWRITTEN and not 0 <= value.version < step.last:
        yield f"Value {value.id} was written by op {value.version}, which did not run before the step's end"


def _of_op(op: Op, step: Step) -> Iterator[str]:
    ids = [*op.refs(), *op.written, *(each for each in op.outputs if each is not None)]
    if op.rng is not None:
        ids.append(op.rng)
    if op.optimizer is not None:
        ids += [param.after for group in op.optimizer.groups for param in group.params]
    for id in ids:
        if id not in step.values:
            yield f"op {op.index} ({op.name[:60]}) names Value {id}, which the step does not have"
    for id in op.written:
        value = step.values.get(id)
        if value is not None and value.version != op.index:
            yield f"op {op.index} ({op.name[:60]}) wrote Value {id}, whose version says {value.version}"


def _of_dropped(each: Dropped, step: Step) -> Iterator[str]:
    if not 0 <= each.start <= each.stop <= 16 * MOST_ELEMENTS:
        yield f"the content dropped of storage {each.storage} runs from {each.start} to {each.stop}"
    if each.crc is not None and not 0 <= each.crc < 1 << 32:
        yield f"the content dropped of storage {each.storage} has the CRC {each.crc}"
    if each.version != UNWRITTEN and not 0 <= each.version < step.last:
        yield f"the content dropped of storage {each.storage} was written by op {each.version}"


def _of_chunks(step: Step) -> Iterator[str]:
    memories: dict[tuple[int, int, str], list[Chunk]] = {}
    ids: set[int] = set()
    for chunk in step.chunks:
        if chunk.id in ids or chunk.id < 0:
            yield f"chunk {chunk.id} is there twice or negative"
        ids.add(chunk.id)
        if chunk.dtype not in ITEM_SIZE:
            yield f"unknown dtype {chunk.dtype[:40]!r}"
        if not 0 <= chunk.start <= chunk.stop <= MOST_ELEMENTS:
            yield f"chunk {chunk.id} runs from {chunk.start} to {chunk.stop}"
        memories.setdefault((chunk.storage, chunk.version, chunk.dtype), []).append(chunk)
    for chunks in memories.values():
        chunks.sort(key=lambda each: each.start)
        for before, after in pairwise(chunks):
            if after.start < before.stop:
                yield f"chunks {before.id} and {after.id} overlap"
    for value in step.values.values():
        start, stop = value.extent() if len(value.shape) == len(value.stride) else (0, 0)
        for chunk in memories.get((value.storage, value.version, value.dtype), ()):
            if start < chunk.stop and chunk.start < stop and not (chunk.start <= start and stop <= chunk.stop):
                yield f"Value {value.id} lies only in part in chunk {chunk.id}"
