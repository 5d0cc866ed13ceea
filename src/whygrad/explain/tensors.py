"""Recorded Values made into torch tensors again, in every respect that a kernel could notice."""

from __future__ import annotations

from typing import Any

import torch

from whygrad.errors import ValueDropped
from whygrad.trace.model import Arg, Ref, Step, Token, Value
from whygrad.trace.store import Trace, chunk_of

Tensor = torch.Tensor
_ALIGNMENT = 64
_GARBAGE = 0xA5


class Rebuilder:
    """Tensors for one replay: Values over the same memory share it again, with the recorded strides and the alignment
    that the allocator gives."""

    def __init__(self, trace: Trace, step: Step) -> None:
        self._trace, self._step = trace, step
        self._bases: dict[int, tuple[Tensor, int]] = {}

    def tensor(self, value_id: int) -> Tensor:
        """A fresh tensor with a Value's numbers. Raises ValueDropped when they were not kept."""
        value = self._step.values[value_id]
        dtype: torch.dtype = getattr(torch, value.dtype)
        base, start = self._base(value, dtype)
        if value.numel == 0:
            return torch.empty(value.shape, dtype=dtype)
        return base.as_strided(value.shape, value.stride, value.offset - start + int(base.storage_offset()))

    def blank(self, value_id: int) -> Tensor:
        """A Value's memory laid out as it was, but holding nothing of it: for what an op only overwrites."""
        value = self._step.values[value_id]
        start, stop = value.extent()
        dtype: torch.dtype = getattr(torch, value.dtype)
        room = torch.empty(stop - start, dtype=dtype)
        room.view(torch.uint8).fill_(_GARBAGE)
        return room.as_strided(value.shape, value.stride, value.offset - start)

    def _base(self, value: Value, dtype: torch.dtype) -> tuple[Tensor, int]:
        chunk = chunk_of(self._step, value)
        if chunk is None:
            raise ValueDropped(
                f"value {value.id} of step {self._step.number} was uninitialised memory, or lies on no device."
            )
        if chunk.id not in self._bases:
            data = self._trace.chunk(self._step.number, chunk)
            if data is None:
                raise ValueDropped(f"value {value.id} of step {self._step.number} was uninitialised memory.")
            size = torch.empty(0, dtype=dtype).element_size()
            lead = chunk.start % (_ALIGNMENT // size) if size <= _ALIGNMENT else 0
            room = torch.empty(lead + len(data) // size, dtype=dtype)
            if len(data):
                room[lead:].view(torch.uint8).copy_(torch.from_numpy(data.copy()))
            self._bases[chunk.id] = (room[lead:], chunk.start)
        return self._bases[chunk.id]

    def argument(self, arg: Arg) -> Any:
        """An op's argument as it was given."""
        if isinstance(arg, Ref):
            return self.tensor(arg.id)
        if isinstance(arg, tuple):
            return [self.argument(each) for each in arg]
        if isinstance(arg, Token):
            if arg.kind == "device":
                return torch.device("cpu")
            return getattr(torch, arg.text) if arg.kind in ("dtype", "layout", "memory_format") else None
        return arg


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
