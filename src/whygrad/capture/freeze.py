"""Events with live tensors → inert `Op`s, `Value`s and `Chunk`s.

Steps must be frozen in the order in which they ran: which storage is which, and which op wrote it last, is carried from
step to step. Contents are read through `Writes`, so that a Value shows what the tensor held when the op ran.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from whygrad.capture.evict import LetGo, memory_of
from whygrad.capture.lines import readable
from whygrad.capture.raw import RawOptimizerCall, RawOptimizerParam, RawStep, Seen
from whygrad.capture.sparse import COMPRESSED, SPARSE, parts
from whygrad.capture.tape import Event, Writes
from whygrad.trace.model import (
    UNWRITTEN,
    Arg,
    Chunk,
    Dropped,
    Form,
    Name,
    Op,
    OptimizerCall,
    OptimizerGroup,
    OptimizerParam,
    Ref,
    Source,
    Token,
    Value,
)

Tensor = torch.Tensor
Array = np.ndarray[Any, Any]
_LARGE = 65536
OPTIMIZER = "optimizer.step"
PART = {"complex32": "float16", "complex64": "float32", "complex128": "float64"}
"""The dtype of the real and of the imaginary part of a complex dtype."""


@dataclass(slots=True)
class _Storage:
    id: int
    weak: StorageWeakRef
    version: int


@dataclass(slots=True)
class FrozenStep:
    """Ops and Values of a step; `contents` maps a chunk id to its elements (a 1-D array of unsigned integers of the
    element's width, to be seen as the chunk's dtype). `dropped`: the memory that was let go."""

    ops: tuple[Op, ...]
    values: dict[int, Value]
    names: tuple[Name, ...]
    chunks: tuple[Chunk, ...]
    contents: dict[int, Array]
    dropped: tuple[Dropped, ...] = ()


class Freezer:
    """Carries the identity of storages over the steps of one run. Tensors of more than `largest` bytes keep no numbers."""

    def __init__(self, writes: Writes, module_path: Any = None, largest: int | None = None) -> None:
        self._writes = writes
        self._module_path = module_path or (lambda module: "")  # pyright: ignore[reportUnknownLambdaType]
        self._storages: dict[int, _Storage] = {}
        self._next_storage = 0
        self._next_value = 0
        self._next_chunk = 0
        self._ids: dict[tuple[Any, ...], int] = {}
        self._values: dict[int, Value] = {}
        self._wanted: dict[tuple[int, int, str], _Want] = {}
        self._looked_at: set[int] = set()
        self._shared: dict[tuple[Any, ...], Array] = {}
        self._dropped: dict[tuple[int, int], LetGo] = {}
        self._largest = largest

    def skip(self, step: RawStep) -> None:
        """Pass over a step whose values are not kept: only its writes matter to later ones."""
        for tensor in step.survivors:
            self._storage(tensor, False, step.first)
        step.survivors = []
        for index, key in step.writes:
            known = self._storages.get(key)
            if known is not None:
                known.version = index

    def freeze(self, step: RawStep, contents: bool = True) -> FrozenStep:
        """The step as inert data. `contents` False: structure only."""
        self._values, self._ids, self._wanted, self._looked_at, self._dropped = {}, {}, {}, set(), {}
        ops: list[Op] = []
        names: list[Name] = []
        seen = sorted(step.seen, key=lambda each: each.index)
        cursor = 0
        for index, event in enumerate(step.events, step.first):
            while cursor < len(seen) and seen[cursor].index <= index:
                self._name(seen[cursor], names)
                cursor += 1
            ops.append(self._op(index, event))
        for each in seen[cursor:]:
            self._name(each, names)
        chunks, arrays = self._chunks(contents)
        dropped = [_dropped(each, *memory) for memory, each in self._dropped.items()]
        return FrozenStep(tuple(ops), self._values, tuple(names), chunks, arrays, tuple(dropped))

    def storage_id(self, tensor: Tensor) -> int | None:
        """The number under which a live tensor's storage is known, None when no recorded op met it."""
        if tensor.layout is not torch.strided:
            return None
        tensor = self._writes.gone.shown(tensor)
        known = self._storages.get(tensor.untyped_storage()._cdata)
        return None if known is None or known.weak.expired() else known.id

    # ---- events

    def _op(self, index: int, event: Event) -> Op:
        if isinstance(event.out, RawOptimizerCall):
            return self._optimizer(index, event)
        info = event.info
        args = tuple(self._arg(arg, index, looked_at=info.view) for arg in event.args)
        kwargs = tuple((key, self._arg(arg, index)) for key, arg in (event.kwargs or {}).items())
        rng = self._value(event.rng, index) if event.rng is not None else None
        targets = [each for each in info.targets(event.args, event.kwargs) if each.layout is torch.strided]
        if info.resizes and targets and isinstance(event.out, Tensor):
            targets = [event.out]  # in its new shape
        written = [self._write(tensor, index) for tensor in targets]
        inputs = {t.untyped_storage()._cdata for t in _tensors((event.args, event.kwargs))}
        outputs: list[int | None] = []
        result: Arg = None
        for out in _outputs(event.out):
            if isinstance(out, Tensor) and out.layout is not torch.strided:
                self._sparse_output(out, index, inputs, outputs, written)
            elif isinstance(out, Tensor):
                fresh = out.untyped_storage()._cdata not in inputs
                outputs.append(self._value(out, index, fresh=fresh))
                if fresh:
                    written.append(outputs[-1])  # pyright: ignore[reportArgumentType]
            else:
                outputs.append(None)
                result = self._arg(out, index)
        return Op(
            index, info.name, args, kwargs, tuple(outputs), tuple(written),
            phase="backward" if event.node else "optimizer" if event.region >= 0 else "other",
            module=self._module_path(event.module),
            source=_source(event), node="" if event.node == "root" else event.node, of_seq=event.of_seq,
            made_seq=event.seq - 1 if event.made else -1, grad=event.grad, result=result, rng=rng,
            optimizer_index=event.region, note=event.note,
        )  # fmt: skip

    def _sparse_output(
        self, out: Tensor, index: int, inputs: set[int], outputs: list[int | None], written: list[int]
    ) -> None:
        """What returns a sparse tensor returns its values; it may have written them, and the indices."""
        values: int | None = None
        for part in reversed(parts(out)):
            fresh = part.untyped_storage()._cdata not in inputs
            found = self._value(part, index, fresh=fresh)
            values = found if values is None else values
            if fresh:
                written.append(found)
        outputs.append(values)

    def _optimizer(self, index: int, event: Event) -> Op:
        call: RawOptimizerCall = event.out
        befores = [[self._optimizer_before(p, index) for p in params] for _, params in call.groups]
        groups: list[OptimizerGroup] = []
        written: list[int] = []
        for (hyper, params), before in zip(call.groups, befores, strict=True):
            after = [self._optimizer_after(raw, *ids, index) for raw, ids in zip(params, before, strict=True)]
            groups.append(OptimizerGroup(tuple((k, self._arg(v, index)) for k, v in hyper.items()), tuple(after)))
            for param in after:
                written.append(param.after)
                written += [arg.id for _, arg in param.state_after if isinstance(arg, Ref)]
        return Op(
            index, OPTIMIZER, outputs=tuple(written), written=tuple(written), phase="optimizer", source=_source(event),
            optimizer=OptimizerCall(call.class_name, tuple(groups)), optimizer_index=call.number,
        )  # fmt: skip

    def _optimizer_before(self, raw: RawOptimizerParam, index: int) -> tuple[int, int | None, tuple[Any, ...]]:
        grad = None if raw.grad is None else self._value(raw.grad, index)
        state = tuple((k, self._arg(v, index)) for k, v in raw.before.items())
        return self._value(raw.alias, index), grad, state

    def _optimizer_after(
        self, raw: RawOptimizerParam, before: int, grad: int | None, state: tuple[Any, ...], index: int
    ) -> OptimizerParam:
        after = self._write(raw.alias, index) if raw.grad is not None else before
        state_after: list[tuple[str, Arg]] = []
        for key, value in raw.after.items():
            if isinstance(value, Tensor):
                state_after.append((key, Ref(self._write(value, index))))
            else:
                state_after.append((key, self._arg(value, index)))
        return OptimizerParam(before, after, grad, state, tuple(state_after))

    def _arg(self, arg: Any, index: int, looked_at: bool = False) -> Arg:
        if isinstance(arg, Tensor) and arg.layout is not torch.strided:
            return self._sparse(arg, index)
        if isinstance(arg, Tensor):
            return Ref(self._value(arg, index, looked_at=looked_at and arg.nbytes > _LARGE))
        if arg is None or isinstance(arg, (bool, int, float, str, complex)):
            return arg
        if isinstance(arg, (list, tuple)):
            return tuple(self._arg(each, index) for each in arg)  # pyright: ignore[reportUnknownVariableType]
        for kind in ("dtype", "device", "layout", "memory_format"):
            if isinstance(arg, getattr(torch, kind)):
                return Token(kind, str(arg).removeprefix("torch."))
        return Token("object", type(arg).__name__)

    def _sparse(self, arg: Tensor, index: int) -> Arg:
        refs = tuple(Ref(self._value(part, index)) for part in parts(arg))
        if not refs:
            return Token("object", str(arg.layout).removeprefix("torch."))
        if arg.layout is torch.sparse_coo:
            return (Token(SPARSE, "coalesced" if arg.is_coalesced() else "coo"), *refs, tuple(arg.shape))
        compressed, plain, values = refs
        layout = str(arg.layout).removeprefix("torch.")
        return (Token(COMPRESSED, layout), plain, values, tuple(arg.shape), compressed)

    # ---- storages and Values

    def _storage(self, tensor: Tensor, fresh: bool, index: int) -> _Storage:
        storage = tensor.untyped_storage()
        key = storage._cdata
        known = self._storages.get(key)
        if known is None or fresh or known.weak.expired():
            known = _Storage(self._next_storage, StorageWeakRef(storage), index if fresh else UNWRITTEN)
            self._next_storage += 1
            self._storages[key] = known
        return known

    def _write(self, tensor: Tensor, index: int) -> int:
        storage = self._storage(tensor, False, index)
        storage.version = index
        return self._value(tensor, index + 1)

    def _value(self, tensor: Tensor, index: int, fresh: bool = False, looked_at: bool = False) -> int:
        """The Value of `tensor` as it stood just before op `index` (for what the op made: `fresh`, or after `_write`).
        `looked_at`: large, and only taken a view of; its numbers are kept only where another op reads them."""
        storage = self._storage(tensor, fresh, index)
        key = (storage.id, storage.version, *geometry(tensor))
        found = self._ids.get(key)
        if found is None:
            gone = self._writes.gone.behind(tensor)
            if gone is not None:
                self._dropped[storage.id, storage.version] = gone
            device = str(tensor.device) if gone is None else gone.device
            value = Value(self._next_value, storage.id, storage.version, *key[2:6], device, key[6])
            found = self._ids[key] = value.id
            self._next_value += 1
            self._values[found] = value
            self._looked_at.add(found)
        if found in self._looked_at and not looked_at:
            self._looked_at.discard(found)
            value = self._values[found]
            memory = (storage.id, storage.version, value.dtype)
            self._wanted.setdefault(memory, _Want(tensor, index, [])).spans.append(value.extent())
        return found

    def _name(self, seen: Seen, names: list[Name]) -> None:
        """Bind a name to the Value that its tensor showed at that moment; what no op met stays unnamed."""
        if seen.tensor.layout is not torch.strided:
            return  # its parts are Values; itself it is none
        known = self._storages.get(seen.tensor.untyped_storage()._cdata)
        if seen.create:
            value: int | None = self._value(seen.tensor, seen.index)
        elif known is None or known.weak.expired():
            value = None
        else:
            value = self._ids.get((known.id, known.version, *geometry(seen.tensor)))
        if value is not None:
            names.append(Name(seen.text, value, seen.kind, seen.of))

    # ---- contents

    def _chunks(self, contents: bool) -> tuple[tuple[Chunk, ...], dict[int, Array]]:
        chunks: list[Chunk] = []
        arrays: dict[int, Array] = {}
        shared: dict[tuple[Any, ...], Array] = {}
        for (storage, version, dtype), want in self._wanted.items():
            if want.tensor.device.type == "meta":
                continue
            size = want.tensor.element_size() // (2 if want.tensor.is_complex() else 1)
            whole: Tensor | None = None
            for start, stop in _merge(want.spans):
                if self._largest is not None and (stop - start) * size > self._largest:
                    continue
                chunk = Chunk(self._next_chunk, storage, version, dtype, start, stop)
                self._next_chunk += 1
                if contents:
                    if whole is None:
                        whole = content_at(want.tensor, want.index, self._writes)
                        if whole is None:
                            break
                    key = (storage, version, dtype, start, stop)
                    arrays[chunk.id] = shared[key] = self._elements(key, whole, size)
                chunks.append(chunk)
        self._shared = shared
        return tuple(chunks), arrays

    def _elements(self, key: tuple[Any, ...], whole: Tensor, size: int) -> Array:
        """Bytes of a stretch; those of the step before where nothing changed, so that a data set is held once."""
        seen: Array = whole[key[3] * size : key[4] * size].numpy()
        before = self._shared.get(key)
        return before if before is not None and np.array_equal(before, seen) else seen.copy()


@dataclass(slots=True)
class _Want:
    tensor: Tensor
    index: int
    spans: list[tuple[int, int]]


def content_at(tensor: Tensor, index: int, writes: Writes) -> Tensor | None:
    """Bytes (1-D uint8) of the tensor's storage as they were when op `index` was about to run, from the live storage and
    what later in-place ops overwrote; None when they were uninitialised memory."""
    storage = tensor.untyped_storage()
    if tensor._is_zerotensor():  # autograd's zeros, which have no memory
        return torch.zeros(storage.nbytes(), dtype=torch.uint8)
    undo: list[Tensor] = []
    regions: list[Tensor] = []
    base: Tensor | None = None
    for before in writes.log.get(storage._cdata, ()):
        if before.index < index:
            continue
        if before.region is None:
            if before.old is None:
                return None
            base = memory_of(before.old)
            break
        assert before.old is not None
        undo.append(before.old)
        regions.append(before.region)
    if base is None:
        base = memory_of(tensor)
    if not undo:
        return base
    base = base.clone()
    for region, old in zip(reversed(regions), reversed(undo), strict=True):
        window = torch.empty(0, dtype=region.dtype)
        window.set_(base.untyped_storage(), region.storage_offset(), region.shape, region.stride())  # pyright: ignore[reportCallIssue, reportArgumentType]
        if region.is_conj():
            window = window.conj()
        elif region.is_neg():
            window = torch.ops.aten._neg_view(window)
        window.copy_(old)
    return base


def _dropped(gone: LetGo, storage: int, version: int) -> Dropped:
    return Dropped(storage, version, gone.start, gone.stop, gone.prints.get(version))


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[list[int]] = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([start, stop])
    return [(start, stop) for start, stop in merged]


def geometry(tensor: Tensor) -> tuple[str, tuple[int, ...], tuple[int, ...], int, Form]:
    """As in a Value; a complex tensor's is that of its parts in memory."""
    name, shape, stride, offset = (
        str(tensor.dtype)[6:],
        tuple(tensor.shape),
        tensor.stride(),
        int(tensor.storage_offset()),
    )
    part = PART.get(name)
    if part is None:
        return name, shape, stride, offset, "neg" if tensor.is_neg() else ""
    strides = (*(2 * s for s in stride), 1)
    return part, (*shape, 2), strides, 2 * offset, "conj" if tensor.is_conj() else "complex"


def _source(event: Event) -> Source | None:
    code = event.where
    return None if code is None else Source(readable(code.co_filename), event.line, code.co_name)


def _outputs(out: Any) -> list[Any]:
    if isinstance(out, (list, tuple)):
        return list(out)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return [] if out is None else [out]


def _tensors(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return parts(tree)
    if isinstance(tree, dict):
        return [t for each in tree.values() for t in _tensors(each)]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(tree, (list, tuple)):
        return [t for each in tree for t in _tensors(each)]  # pyright: ignore[reportUnknownVariableType]
    return []
