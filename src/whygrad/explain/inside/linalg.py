"""Linear algebra as the steps that LAPACK takes: factors, then triangular systems; iterations that end in a decomposition
whose equations have rules of their own."""

from __future__ import annotations

from typing import Any

from whygrad.explain.inside.registry import inside
from whygrad.rules.registry import Unruled

Tensor = Any
LAPACK = "the steps that LAPACK takes"
DEFINITION = "by way of the full decomposition"


def by_columns(x: Tensor) -> Tensor:
    """The same matrix stored column by column, as LAPACK has it."""
    return x.mT.contiguous().mT


@inside("aten.linalg_lu_solve", words=LAPACK)
def lu_solve(lu: Tensor, pivots: Tensor, b: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """`P·L·U·X = B`: the rows of B in the order of the pivots, then two triangular systems (getrs)."""
    import torch

    if not left:
        return lu_solve(lu, pivots, b.mH, adjoint=not adjoint).mH
    solve = torch.linalg.solve_triangular
    order, low, up = torch.lu_unpack(lu, pivots)
    low, up, b = by_columns(low), by_columns(up), by_columns(b)
    if adjoint:
        return order @ solve(low.mH, solve(up.mH, b, upper=False), upper=True, unitriangular=True)
    return solve(up, solve(low, by_columns(order.mT @ b), upper=False, unitriangular=True), upper=True)


@inside("aten._linalg_solve_ex", words=LAPACK)
def solve_ex(a: Tensor, b: Tensor, *, left: bool = True, check_errors: bool = False) -> tuple[Tensor, ...]:
    """`A·X = B` (or `X·A = B`): LU decomposition, then `lu_solve` (gesv)."""
    import torch

    lu, pivots, info = torch.linalg.lu_factor_ex(a)
    vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])
    right = b.unsqueeze(-1) if vector else b
    x = lu_solve(lu, pivots, right, left=left or vector)
    return x.squeeze(-1) if vector else x, lu, pivots, info


@inside("aten.linalg_inv_ex", "aten.inverse", words=LAPACK)
def inverse(a: Tensor, *, check_errors: bool = False) -> tuple[Tensor, ...]:
    """`A·X = 1`."""
    import torch

    lu, pivots, info = torch.linalg.lu_factor_ex(a)
    return lu_solve(lu, pivots, torch.eye(a.shape[-1], dtype=a.dtype).expand_as(a)), info


@inside("aten.cholesky_solve", words=LAPACK)
def cholesky_solve(b: Tensor, factor: Tensor, upper: bool = False) -> Tensor:
    """`L·Lᵀ·X = B`: two triangular systems (potrs)."""
    import torch

    low = factor.mT if upper else factor
    solve = torch.linalg.solve_triangular
    return solve(low.mT, solve(low, b, upper=False), upper=True)


@inside("aten.cholesky_inverse", words=LAPACK)
def cholesky_inverse(factor: Tensor, upper: bool = False) -> Tensor:
    """`(L·Lᵀ)⁻¹ = L⁻ᵀ·L⁻¹` (potri)."""
    import torch

    low = factor.mT if upper else factor
    unit = torch.eye(low.shape[-1], dtype=low.dtype).expand_as(low)
    inverted = torch.linalg.solve_triangular(low, unit, upper=False)
    return inverted.mT @ inverted


@inside("aten._linalg_eigh", words=DEFINITION)
def eigh(a: Tensor, uplo: str = "L", compute_v: bool = True) -> tuple[Tensor, ...]:
    """Eigenvalues alone: those that the decomposition with vectors gives."""
    import torch

    if compute_v:
        raise Unruled("eigenvectors have a rule")
    values, vectors = torch.ops.aten._linalg_eigh(a, uplo, True)
    return values, vectors[..., :0, :0]


@inside("aten._linalg_svd", words=DEFINITION)
def svd(
    a: Tensor, full_matrices: bool = False, compute_uv: bool = True, *, driver: str | None = None
) -> tuple[Tensor, ...]:
    """Singular values alone: those that the decomposition with vectors gives."""
    import torch

    if compute_uv:
        raise Unruled("singular vectors have a rule")
    u, s, vh = torch.ops.aten._linalg_svd(a, False, True)
    return u[..., :0], s, vh[..., :0]


@inside("aten.linalg_eigvals", "aten._linalg_eigvals", words=DEFINITION)
def eigvals(a: Tensor) -> Tensor:
    """Eigenvalues alone: those that the decomposition with vectors gives."""
    import torch

    return torch.linalg.eig(a)[0]


@inside("aten.linalg_lstsq", words="by QR decomposition")
def lstsq(a: Tensor, b: Tensor, rcond: float | None = None, *, driver: str | None = None) -> tuple[Tensor, ...]:
    """`min |A·X − B|`: `R·X = Qᵀ·B` for at least as many equations as unknowns; else, of all solutions the shortest, from
    `Aᵀ = Q·R`: `X = Q·(R⁻ᵀ·B)` (gels)."""
    import torch

    vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])
    right = b.unsqueeze(-1) if vector else b
    rows, columns = a.shape[-2:]
    if rows >= columns:
        q, r = torch.linalg.qr(a)
        x = torch.linalg.solve_triangular(r, q.mT @ right, upper=True)
    else:
        q, r = torch.linalg.qr(a.mT)
        x = q @ torch.linalg.solve_triangular(r.mT, right, upper=False)
    left_over = ((a @ x - right) ** 2).sum(-2) if rows > columns else a.new_zeros(0)
    rank = torch.full(a.shape[:-2], min(rows, columns), dtype=torch.int64)
    values = torch.linalg.svdvals(a) if driver in ("gelss", "gelsd") else a.new_zeros(0)
    return x.squeeze(-1) if vector else x, left_over, rank, values


@inside("aten.linalg_pinv", words="by singular values")
def pinv(a: Tensor, *, atol: Tensor | None = None, rtol: Tensor | None = None, hermitian: bool = False) -> Tensor:
    """`A⁺ = V·S⁺·Uᵀ`, singular values below the tolerance left out (aten/src/ATen/native/LinearAlgebra.cpp)."""
    import torch

    if a.numel() == 0:
        raise Unruled("an empty matrix")
    none = torch.zeros((), dtype=a.dtype)
    least = none if atol is None else atol
    usual = none if bool((least > 0).any()) else none + torch.finfo(a.dtype).eps * max(a.shape[-2:])
    least, share = least.unsqueeze(-1), (usual if rtol is None else rtol).unsqueeze(-1)
    if hermitian:
        values, vectors = torch.linalg.eigh(a)
        size = values.abs()
        keep = size > torch.maximum(least, share * size.amax(-1, keepdim=True))
        inverted = torch.where(keep, values.reciprocal(), torch.zeros_like(values))
        return (vectors * inverted.unsqueeze(-2)) @ vectors.mH
    u, s, vh = torch.linalg.svd(a, full_matrices=False)
    keep = s > torch.maximum(least, share * s[..., :1])
    inverted = torch.where(keep, s.reciprocal(), torch.zeros_like(s))
    return (vh.mH * inverted.unsqueeze(-2)) @ u.mH


@inside("aten.addbmm", words="one batch after the other")
def addbmm(start: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """`beta·start + alpha·Σ_b A[b]·B[b]`."""
    import torch

    total = start
    for k in range(a.shape[0]):
        total = torch.addmm(total, a[k], b[k], beta=1 if k else beta, alpha=alpha)
    if not a.shape[0]:
        raise Unruled("no matrices")
    return total
