"""A call of a kernel that sums, as data: what decides in which order it does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from whygrad.floats.summation import Accumulator

__all__ = ["KernelCall"]


@dataclass(frozen=True)
class KernelCall:
    """What decides in which order a kernel sums one element of its result.

    op: "aten.addmm", with or without an overload's name. dtype: of the operands, "float32" ….
    shapes, strides: of the tensor operands, in ATen's order (an addmm's bias first); strides in elements.
    dims: the reduced dimensions, empty for all (sum, mean) or for the last (softmax). position: the
    element's index in the result. threads: torch.get_num_threads().
    """

    op: str
    dtype: str
    shapes: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]
    dims: tuple[int, ...] = ()
    position: tuple[int, ...] = ()
    threads: int = 1

    @property
    def name(self) -> str:
        """The op without namespace and overload: "addmm"."""
        return self.op.removeprefix("aten.").split(".")[0]

    @property
    def accumulator(self) -> Accumulator:
        """The type in which the kernel accumulates."""
        return np.float64 if self.dtype == "float64" else np.float32

    @property
    def is_product(self) -> bool:
        """Does it sum products of two operands?"""
        return self.name in {"mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot"}

    @property
    def terms(self) -> int:
        """How many terms are summed for one element (the initial value not counted)."""
        if self.is_product:
            return self.shapes[-2][-1]
        shape = self.shapes[0]
        if self.name.startswith("nll_loss"):
            return shape[0] if len(shape) > 1 else 1
        if "softmax" in self.name:
            return shape[self.dims[0] if self.dims else -1]
        return math.prod(shape[d] for d in self.dims) if self.dims else math.prod(shape)

    @property
    def rows(self) -> int:
        """Of a product's result; a vector has one."""
        left = self.shapes[-2]
        return left[-2] if len(left) > 1 else 1

    @property
    def columns(self) -> int:
        """Of a product's result; of a sum's, the length of its last dimension."""
        if self.is_product:
            right = self.shapes[-1]
            return right[-1] if len(right) > 1 else 1
        kept = [d for d in range(len(self.shapes[0])) if d not in self._reduced]
        return self.shapes[0][kept[-1]] if kept else 1

    @property
    def place(self) -> tuple[int, int]:
        """The element's row and column; (0, 0) if no position is known."""
        position = self.position
        if len(position) >= 2:
            return position[-2], position[-1]
        at = position[-1] if position else 0
        return (at, 0) if self.name in {"mv", "addmv"} else (0, at)

    @property
    def both_along_k(self) -> bool:
        """Are both operands of the product contiguous along the summed dimension?"""
        left, right = self.strides[-2], self.strides[-1]
        return left[-1] == 1 and right[-2 if len(right) > 1 else -1] == 1

    @property
    def both_along_k_strictly(self) -> bool:
        """So, and is the right operand not a single column that could be read either way?"""
        right = self.strides[-1]
        return self.both_along_k and (len(right) < 2 or right[-1] != 1)

    @property
    def is_vector(self) -> bool:
        """Is a side of the product's result 1?"""
        return min(self.rows, self.columns) == 1

    @property
    def is_thin(self) -> bool:
        """Is a side of the product's result so short that MKL uses no matrix kernel?"""
        return min(self.rows, self.columns) < 4

    @property
    def reduces_all(self) -> bool:
        """Is the result of the reduction a single number?"""
        return len(self._reduced) == len(self.shapes[0])

    @property
    def reduces_contiguous(self) -> bool:
        """Is the last of the reduced dimensions contiguous in memory?"""
        return self.strides[0][max(self._reduced)] == 1

    @property
    def _reduced(self) -> set[int]:
        rank = len(self.shapes[0])
        return {d % rank for d in self.dims} if self.dims else set(range(rank))
