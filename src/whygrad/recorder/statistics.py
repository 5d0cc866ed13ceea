"""Statistics of steps whose values are not kept.

Of a kept step nothing is done while the program runs: `trace/statistics_step.py` reads its values later. Of a step that
nobody keeps, gradients and weights are copied just before the update, the small ones by one call for all; what they say is
worked out when it is asked for, or at once where many bytes would wait.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from whygrad.capture.freeze import content_at, geometry
from whygrad.capture.raw import RawStep, Seen
from whygrad.capture.tape import Writes, storage_key
from whygrad.trace.statistics import Numbers
from whygrad.trace.statistics_sums import MOST_SMALL, GradientPart, Group, Tensors, gradient_part, group_rows, rows_of
from whygrad.trace.store import numpy_dtype

Tensor = torch.Tensor
Array = np.ndarray[Any, Any]
MOST_LATER = 1 << 24
"""Bytes of all steps that may wait to be worked out."""
_NONE = Writes()
_SMALL = {torch.float16, torch.float32, torch.float64, torch.bfloat16}


@dataclass(slots=True)
class _Small:
    """Small tensors of one dtype: copies of gradients and weights, end to end."""

    names: list[str]
    aliases: list[Tensor]
    grads: Tensor | None
    olds: Tensor


@dataclass(slots=True)
class Taken:
    """What was copied before an update: small tensors, and each large one with what its gradient says."""

    names: list[str]
    small: list[_Small]
    large: list[tuple[str, Tensor, GradientPart | None, Tensor]]

    def finish(self, step: RawStep, room: int) -> None:
        """The update is over: copy what it left. The step's statistics are there now, or, where what they need takes at
        most `room` bytes, to be had by `later`."""
        ends = {each.text: each.tensor for each in step.seen if each.kind == "parameter"}
        written = {key for _, key in step.writes}
        groups = [group for each in self.small if (group := _finished(each, step, ends, written)) is not None]
        rows: dict[str, Numbers] = rows_of(self._large(step, ends, written))
        size = sum(group.olds.nbytes for group in groups) * 3
        if size <= room:
            step.later, step.later_bytes = lambda: _rows(self.names, groups, rows), size
        else:
            step.statistics = _rows(self.names, groups, rows)

    def _large(self, step: RawStep, ends: dict[str, Tensor], written: set[int]) -> Iterable[Tensors]:
        for name, alias, part, old in self.large:
            new = ends.get(name)
            before, after = _numbers(old, 0, _NONE), None if new is None else _numbers(new, 0, _NONE)
            yield Tensors(
                name, part, None if before is None else before[0], None if after is None else after[0],
                new is not None and _moved(alias, new, written), step.stands(name), alias.is_complex(),
            )  # fmt: skip


def take(parameters: list[tuple[str, Tensor, Tensor | None]]) -> Taken:
    """Copy what an update is about to overwrite: name, parameter and gradient of each."""
    found = Taken([name for name, _, _ in parameters], [], [])
    groups: dict[tuple[Any, Any], tuple[list[str], list[Tensor], list[Tensor]]] = {}
    for name, alias, grad in parameters:
        grad = None if grad is None or grad.layout is not torch.strided else grad.detach()
        small = 0 < alias.numel() <= MOST_SMALL and alias.dtype in _SMALL and alias.device.type != "meta"
        if small and (grad is None or (grad.dtype in _SMALL and grad.shape == alias.shape)):
            group = groups.setdefault((alias.dtype, None if grad is None else grad.dtype), ([], [], []))
            group[0].append(name)
            group[1].append(alias)
            if grad is not None:
                group[2].append(grad)
        else:
            found.large.append((name, alias, None if grad is None else take_gradient(grad), alias.clone()))
    with torch.no_grad():
        for names, aliases, grads in groups.values():
            found.small.append(_Small(names, aliases, _joined(grads) if grads else None, _joined(aliases)))
    return found


def take_back(
    parameters: list[tuple[str, Tensor]], seen: list[Seen], parts: dict[str, GradientPart], index: int, writes: Writes
) -> Taken:
    """As `take`, but later: of a step that was to be kept, before what it overwrote since op `index` is forgotten."""
    grads = {each.text: each for each in seen if each.kind == "gradient"}
    found = Taken([name for name, _ in parameters], [], [])
    for name, alias in parameters:
        raw = content_at(alias, index, writes) if alias.device.type != "meta" else None
        if raw is not None:
            old = torch.empty(0, dtype=alias.dtype)
            old.set_(raw.untyped_storage(), alias.storage_offset(), alias.shape, alias.stride())  # pyright: ignore[reportCallIssue, reportArgumentType]
            grad = parts.get(name)
            numbers = _numbers(grads[name].tensor, index, writes) if grad is None and name in grads else None
            grad = gradient_part(*numbers) if numbers is not None else grad
            found.large.append((name, alias, grad, old.clone()))
    return found


def take_gradient(grad: Tensor) -> GradientPart | None:
    """What the statistics need of a gradient that is there now; None where it has no numbers (meta)."""
    found = _numbers(grad, 0, _NONE)
    return None if found is None else gradient_part(*found)


def _joined(tensors: list[Tensor]) -> Tensor:
    return torch.cat([each.reshape(-1) for each in tensors])


def _finished(small: _Small, step: RawStep, ends: dict[str, Tensor], written: set[int]) -> Group | None:
    news = [ends.get(name) for name in small.names]
    pairs = [(old, new) for old, new in zip(small.aliases, news, strict=True) if new is not None]
    if len(pairs) < len(news) or any(old.shape != new.shape or old.dtype != new.dtype for old, new in pairs):
        return None  # another kind of tensor took its place: there is nothing to compare
    return Group(
        small.names,
        [old.numel() for old, _ in pairs],
        None if small.grads is None else _flat(small.grads),
        _flat(small.olds),
        _flat(_joined([new for _, new in pairs])),
        [_moved(old, new, written) for old, new in pairs],
        [step.stands(name) for name in small.names],
    )


def _rows(names: list[str], groups: list[Group], rows: dict[str, Numbers]) -> dict[str, Numbers]:
    found = {name: row for part in (*map(group_rows, groups), rows) for name, row in part.items()}
    return {name: found[name] for name in names if name in found}


def _moved(before: Tensor, after: Tensor, written: set[int]) -> bool:
    key = storage_key(after)
    return key in written or key != storage_key(before)


def _flat(copy: Tensor) -> Array:
    copy = copy.cpu()
    return (
        copy.view(torch.int16).numpy().view(numpy_dtype("bfloat16")) if copy.dtype is torch.bfloat16 else copy.numpy()
    )


def raw_statistics(step: RawStep, writes: Writes) -> dict[str, Numbers]:
    """Of a step that was to be kept and is about to be let go."""
    ends = {each.text: each for each in reversed(step.seen) if each.kind == "parameter"}
    grads = {each.text: each for each in reversed(step.seen) if each.kind == "gradient"}
    written = {key for _, key in step.writes}
    tensors: list[Tensors] = []
    met: set[int] = set()
    for before in step.seen:
        if before.kind != "before" or id(before.tensor) in met:
            continue
        met.add(id(before.tensor))
        name, after = before.text, ends.get(before.text)
        updated = after is not None and _moved(before.tensor, after.tensor, written)
        grad = step.grads.get(name) or _content(grads.get(name), writes)
        if grad is not None or updated:
            old, new = _content(before, writes), _content(after, writes)
            tensors.append(Tensors(name, grad, old, new, updated, step.stands(name), before.tensor.is_complex()))
    return rows_of(tensors)


def _content(seen: Seen | None, writes: Writes) -> Array | None:
    found = None if seen is None else _numbers(seen.tensor, seen.index, writes)
    return None if found is None else found[0]


def _numbers(tensor: Tensor, index: int, writes: Writes) -> tuple[Array, bool] | None:
    """A tensor's numbers when op `index` was about to run, and whether they are parts of complex ones; None where they are
    not there, or of no dtype that can be read. A conjugate or negative bit is not applied: it changes no statistic."""
    raw = None
    if tensor.layout is torch.strided and tensor.device.type != "meta":
        raw = content_at(tensor, index, writes)
    name, shape, stride, offset, form = geometry(tensor)
    dtype = _dtype(name)
    if raw is None or dtype is None:
        return None
    typed: Array = raw[: raw.numel() // dtype.itemsize * dtype.itemsize].numpy().view(dtype)
    strides = tuple(s * dtype.itemsize for s in stride)
    seen = np.lib.stride_tricks.as_strided(typed[offset:], shape, strides, writeable=False)
    return seen, form in ("complex", "conj")


def _dtype(name: str) -> np.dtype[Any] | None:
    try:
        return numpy_dtype(name)
    except TypeError:
        return None
