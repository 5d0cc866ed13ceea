"""The products of matrices in attention's kernels: gemm once for each head (aten/src/ATen/native/CPUBlas.cpp).

Matrices of some size are multiplied alike wherever they lie, so all heads are multiplied by one op. gemm of small ones goes
by where each row begins relative to 16 bytes: they are multiplied one by one, each operand and each result laid out as
it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

Tensor = torch.Tensor
# at::baddbmm multiplies matrices with fewer products than this in loops of its own.
_LEAST_PRODUCTS = 400
_LEAST_ROWS, _LEAST_COLUMNS = 4, 12
_ALIGNED = 64


def every(x: Tensor, rows: tuple[int, int]) -> Tensor:
    """A block of rows of every head: (B, H, N, D) → (B, H, n, D)."""
    return x[:, :, slice(*rows)]


def flat(x: Tensor) -> Tensor:
    """The heads in one dimension, a transposed matrix left so: (B, H, n, D) → (B·H, n, D)."""
    if x.dim() == 3:
        return x
    if x.stride(2) < x.stride(3):
        return flat(x.transpose(2, 3)).transpose(1, 2)
    return x.reshape(-1, x.shape[2], x.shape[3])


def product(a: Tensor, b: Tensor, narrow: bool = False, at: int = 0, alpha: float = 1.0) -> Tensor:
    """`alpha·a·b` for every head, (B·H, rows, columns). a: (B, H, rows, terms), or (B·H, rows, terms) in the kernel's
    buffer; b: (B, H, terms, columns). `at`: where in its buffer the result lies; `narrow`: gemm of 16 bits."""
    rows, columns = a.shape[-2], b.shape[-1]
    if _together(a, b):
        if alpha == 1:
            return torch.bmm(flat(a), flat(b))
        start = torch.zeros(flat(a).shape[0], rows, columns, dtype=a.dtype)
        return torch.baddbmm(start, flat(a), flat(b), alpha=alpha, beta=0.0)
    if narrow and 1 in (rows, columns):
        # gemm of 16 bits has no kernel for vectors: a second row keeps float32's from taking its own.
        a, b = flat(a), flat(b)
        a, b = a.expand(-1, max(rows, 2), -1), b.expand(-1, -1, max(columns, 2))
    found: list[Tensor] = []
    for x, y in zip(_heads(a), _heads(b), strict=True):
        room = _room((x.shape[0], y.shape[1]), at, a.dtype)
        if alpha == 1:
            found.append(torch.mm(x, y, **room))
        else:
            start = torch.zeros(x.shape[0], y.shape[1], dtype=a.dtype)
            found.append(torch.addmm(start, x, y, alpha=alpha, beta=0.0, **room))
    return torch.stack(found)[:, :rows, :columns]


def added(start: Tensor, a: Tensor, b: Tensor, at: int = 0) -> Tensor:
    """`start + a·b` for every head; as in `product`."""
    if _together(a, b):
        return torch.baddbmm(start, flat(a), flat(b))
    parts = zip(start.unbind(), _heads(a), _heads(b), strict=True)
    return torch.stack([torch.addmm(c, x, y, **_room(tuple(c.shape), at, c.dtype)) for c, x, y in parts])


@dataclass
class Gradient:
    """A gradient to which products are added; (B, H, n, D), in memory (B, n, H, D) as the kernel allocates it."""

    whole: Tensor

    @classmethod
    def zero(cls, like: Tensor, rows: tuple[int, int]) -> Gradient:
        """The gradient of some rows of a tensor of the same shape, still zero."""
        batch, heads, _, size = like.shape
        return cls(torch.zeros(batch, rows[1] - rows[0], heads, size, dtype=like.dtype).transpose(1, 2))

    def add(self, a: Tensor, b: Tensor, alpha: float = 1.0, at: int = 0) -> None:
        """Add `alpha·a·b`; a lies in the kernel's buffer, from place `at` on."""
        shape = self.whole.shape
        if _together(a, b):
            self.whole = torch.baddbmm(flat(self.whole), flat(a), flat(b), alpha=alpha).reshape(shape)
            return
        parts = zip(_heads(self.whole), _heads(a, at), _heads(b), strict=True)
        for c, x, y in parts:
            c.addmm_(x, y, alpha=alpha)


def _together(a: Tensor, b: Tensor) -> bool:
    """Whether the matrices are multiplied alike wherever they lie."""
    rows, terms, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    return rows >= _LEAST_ROWS and columns >= _LEAST_COLUMNS and rows * terms * columns >= _LEAST_PRODUCTS


def _heads(x: Tensor, at: int = 0) -> list[Tensor]:
    """Each head's matrix: of a tensor of the op's as it lies; of a buffer, where the kernel's lies."""
    if x.dim() == 4:
        return [head for example in x.unbind() for head in example.unbind()]
    return [_copied(head, at) for head in x.unbind()]


def _copied(x: Tensor, at: int) -> Tensor:
    if x.stride(0) < x.stride(1):
        return _copied(x.t(), at).t()
    room = _room(tuple(x.shape), at, x.dtype)
    return room["out"].copy_(x) if room else x.clone(memory_format=torch.contiguous_format)


def _room(shape: tuple[int, ...], at: int, dtype: torch.dtype) -> dict[str, Any]:
    """`out=`: memory that begins so many numbers after an aligned address; nothing where that is aligned too."""
    lead = at % (_ALIGNED // dtype.itemsize)
    if not lead:
        return {}
    size = shape[0] * shape[1]
    return {"out": torch.empty(lead + size, dtype=dtype)[lead:].view(shape)}
