"""The state after every step, one row of memory each, so that any step can be gone back to and run again."""

from __future__ import annotations

from collections.abc import Sequence

import torch

Tensor = torch.Tensor
MOST_BYTES = 64_000_000
_FIRST_ROWS = 1024


class Snapshots:
    """Rows by number of steps done. A row holds the elements of some tensors, those of one dtype side by side. Where all rows
    would take more than `most` bytes, every second one is let go, and from then on only every second (fourth, …) kept.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.most = most
        self.every = 1
        self.count = 0
        """Rows 1 to `count` were put; those that are multiples of `every` are there."""
        self._stores: list[Tensor] = []
        self._widths: list[int] = []

    def put(self, number: int, groups: Sequence[Sequence[Tensor]]) -> None:
        """Keep the state after `number` steps; `groups` are flat tensors, a list a dtype. What was kept of later steps goes."""
        self.count = number
        if number % self.every:
            return
        place = number // self.every
        if not self._stores:
            self._begin(groups)
        while place >= len(self._stores[0]):
            self._grow()
            if number % self.every:
                return
            place = number // self.every
        for store, group in zip(self._stores, groups, strict=True):
            torch.cat(tuple(group), out=store[place])

    def row(self, number: int) -> list[Tensor] | None:
        """The state after `number` steps, a flat tensor a dtype (not to be written); None where it was not kept."""
        if not 0 < number <= self.count or number % self.every:
            return None
        return [store[number // self.every] for store in self._stores]

    def nearest(self, number: int) -> int:
        """The last kept row up to `number`; 0 where there is none."""
        return min(number, self.count) // self.every * self.every

    def cut(self, number: int) -> None:
        """Forget what came after `number` steps."""
        self.count = min(self.count, number)

    def _begin(self, groups: Sequence[Sequence[Tensor]]) -> None:
        self._widths = [sum(each.numel() for each in group) for group in groups]
        self._stores = [
            torch.empty((_FIRST_ROWS, width), dtype=group[0].dtype)
            for group, width in zip(groups, self._widths, strict=True)
        ]

    def _grow(self) -> None:
        rows = len(self._stores[0])
        size = sum(store.nbytes for store in self._stores)
        if 2 * size > self.most and rows >= 4:
            for store in self._stores:
                store[: rows // 2] = store[::2].clone()
            self.every *= 2
            return
        for place, store in enumerate(self._stores):
            larger = store.new_empty((2 * rows, store.shape[1]))
            larger[:rows] = store
            self._stores[place] = larger
