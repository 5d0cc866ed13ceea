"""Sparse tensors: what they are made of. A coordinate tensor is kept as its indices and its values, two plain tensors; one of
compressed rows or columns as three."""

from __future__ import annotations

from typing import Any

import torch

Tensor = torch.Tensor
SPARSE = "sparse"
"""Kind of the Token that begins a sparse argument: `(Token, indices, values, size)`."""
COMPRESSED = "compressed"
"""Kind of the Token that begins one of compressed rows or columns: `(Token, plain indices, values, size, compressed
indices)`; its text is the layout."""
_ROWS = (torch.sparse_csr, torch.sparse_bsr)
_COLUMNS = (torch.sparse_csc, torch.sparse_bsc)


def parts(tensor: Tensor) -> list[Tensor]:
    """The plain tensors that a tensor is: itself; indices and values of a sparse one, the values last; none for other
    layouts (mkldnn), whose numbers are not kept."""
    layout = tensor.layout
    if layout is torch.strided:
        return [tensor]
    tensor = tensor.detach()
    if layout is torch.sparse_coo:
        return [tensor._indices(), tensor._values()]
    if layout in _ROWS:
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()] if layout in _COLUMNS else []


def dense_gradient(grad: Tensor) -> Tensor:
    """The gradient that a sparse one stands for, `g[i] = Σ values[k]` over the k with `indices[k] = i`, by plain ops, which
    are recorded like the program's own when a tape runs."""
    indices, values = grad._indices().detach(), grad._values().detach()
    dense = torch.zeros(grad.shape, dtype=grad.dtype)
    if indices.shape[0] == 1:
        return dense.index_add_(0, indices[0], values)
    return dense.index_put_(tuple(indices), values, accumulate=True)


def rebuilt(token: str, indices: Any, values: Any, size: Any, compressed: Any = None) -> Tensor:
    """A sparse tensor from its parts; `token` is the text of its argument's Token."""
    if compressed is None:
        coalesced = token == "coalesced"
        return torch.sparse_coo_tensor(indices, values, size, is_coalesced=coalesced, check_invariants=True)
    layout: torch.layout = getattr(torch, token)
    return torch.sparse_compressed_tensor(compressed, indices, values, size, layout=layout, check_invariants=True)
