"""Recorded Values made into torch tensors again, in every respect that a kernel could notice."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from whygrad.capture.sparse import COMPRESSED, SPARSE, rebuilt
from whygrad.errors import ValueDropped
from whygrad.explain.window import Window
from whygrad.trace.model import Arg, Ref, Step, Token, Value
from whygrad.trace.store import Array, Trace, chunk_of

Tensor = torch.Tensor
_ALIGNMENT = 64
GARBAGE = 0xA5


class Rebuilder:
    """Tensors for one replay: Values over the same memory share it again, with the recorded strides and the alignment
    that the allocator gives."""

    def __init__(self, trace: Trace, step: Step) -> None:
        self._trace, self._step = trace, step
        self._bases: dict[tuple[int, int, str], tuple[Tensor, int]] = {}
        self._arguments: dict[int, Tensor] = {}

    def tensor(self, value_id: int) -> Tensor:
        """A fresh tensor with a Value's numbers. Raises ValueDropped when they were not kept."""
        value = self._step.values[value_id]
        dtype: torch.dtype = getattr(torch, value.dtype)
        base, start = self._base(value, dtype)
        if value.numel == 0:
            return _formed(torch.empty(value.shape, dtype=dtype), value)
        seen = base.as_strided(value.shape, value.stride, value.offset - start + int(base.storage_offset()))
        return _formed(seen, value)

    def blank(self, value_id: int) -> Tensor:
        """A Value's memory laid out as it was, but holding nothing of it: for what an op only overwrites."""
        value = self._step.values[value_id]
        start, stop = value.extent()
        dtype: torch.dtype = getattr(torch, value.dtype)
        room = torch.empty(stop - start, dtype=dtype)
        room.view(torch.uint8).fill_(GARBAGE)
        return _formed(room.as_strided(value.shape, value.stride, value.offset - start), value)

    def _base(self, value: Value, dtype: torch.dtype) -> tuple[Tensor, int]:
        """The memory that a Value looks at, and which element of its storage is the first in it."""
        let_go = self._trace.recovered(self._step, value)
        if let_go is not None:
            return self._room((value.storage, value.version, value.dtype), *let_go, dtype)
        chunk = chunk_of(self._step, value)
        if chunk is None:
            raise ValueDropped(
                f"value {value.id} of step {self._step.number} was uninitialised memory, or lies on no device."
            )
        data = self._trace.chunk(self._step.number, chunk)
        if data is None:
            raise ValueDropped(f"value {value.id} of step {self._step.number} was uninitialised memory.")
        size = torch.empty(0, dtype=dtype).element_size()
        return self._room((chunk.id, -1, ""), data, chunk.start * size, dtype)

    def _room(self, key: tuple[int, int, str], data: Array, first: int, dtype: torch.dtype) -> tuple[Tensor, int]:
        """Memory with these bytes, `first` the place of the first of them in its storage; made once for each `key`."""
        if key not in self._bases:
            size = torch.empty(0, dtype=dtype).element_size()
            start = first // size
            lead = start % (_ALIGNMENT // size) if size <= _ALIGNMENT else 0
            room = torch.empty(lead + len(data) // size, dtype=dtype)
            if len(data):
                room[lead:].view(torch.uint8).copy_(torch.from_numpy(data.copy()))
            self._bases[key] = (room[lead:], start)
        return self._bases[key]

    def argument(self, arg: Arg) -> Any:
        """An op's argument as it was given. One tensor given twice is one object again: kernels ask (multi-head attention
        of q = k = v)."""
        if isinstance(arg, Ref):
            if arg.id not in self._arguments:
                self._arguments[arg.id] = self.tensor(arg.id)
            return self._arguments[arg.id]
        if isinstance(arg, tuple) and arg and isinstance(arg[0], Token) and arg[0].kind in (SPARSE, COMPRESSED):
            return rebuilt(arg[0].text, *(self.argument(each) for each in arg[1:]))
        if isinstance(arg, tuple):
            return [self.argument(each) for each in arg]
        if isinstance(arg, Token):
            if arg.kind == "device":
                return torch.device("cpu")
            return getattr(torch, arg.text) if arg.kind in ("dtype", "layout", "memory_format") else None
        return arg


def _formed(memory: Tensor, value: Value) -> Tensor:
    """The tensor over parts in memory: complex, or with torch's conjugate or negative bit."""
    match value.form:
        case "complex":
            return torch.view_as_complex(memory)
        case "conj":
            return torch.view_as_complex(memory).conj()
        case "neg":
            return torch.ops.aten._neg_view(memory)
        case _:
            return memory


class StretchRebuilder(Rebuilder):
    """Vectors of the numbers in one stretch of each large tensor; what has one element stays as it is."""

    def __init__(self, trace: Trace, step: Step, window: Window) -> None:
        super().__init__(trace, step)
        self._window = window

    def tensor(self, value_id: int) -> Tensor:
        """The stretch of a Value, as a tensor of its own."""
        value = self._step.values[value_id]
        if value.numel == 1:
            return super().tensor(value_id)
        content = self._trace.content(self._step, value).reshape(-1)[self._window.start : self._window.stop]
        raw = torch.from_numpy(content.copy().view(np.uint8))
        room = torch.empty(len(content), dtype=getattr(torch, value.dtype))
        room.view(torch.uint8).copy_(raw)
        return room


class threads:
    """torch at the recorded number of threads, for as long as it lasts."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> None:
        self._before = torch.get_num_threads()
        if self._before != self._count:
            torch.set_num_threads(self._count)

    def __exit__(self, *_: Any) -> None:
        if self._before != self._count:
            torch.set_num_threads(self._before)
