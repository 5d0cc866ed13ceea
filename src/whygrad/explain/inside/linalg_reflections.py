"""QR decomposition by Householder reflections, one column after the other, and products with them (LAPACK geqr2, org2r,
orm2r)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from whygrad.explain.inside.registry import inside
from whygrad.rules.registry import Unruled

Tensor = Any
REFLECTIONS = "Householder reflections, one column after the other"
MOST_COLUMNS = 64


def _few(count: int) -> None:
    if count > MOST_COLUMNS:
        raise Unruled(f"more than {MOST_COLUMNS} reflections")


def reflector(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The reflection `1 − τ·v·vᵀ` that takes a column to `(β, 0, …)`: β, τ and v without its first element, which is 1
    (larfg)."""
    import torch

    first, others = x[..., 0], x[..., 1:]
    if others.shape[-1] == 0:
        return first, torch.zeros_like(first), others
    beta = -torch.copysign(torch.linalg.vector_norm(x, dim=-1), first)
    tau = (beta - first) / beta
    v = others / (first - beta).unsqueeze(-1)
    nothing = (others == 0).all(-1)
    if bool(nothing.any()):
        beta, tau = torch.where(nothing, first, beta), torch.where(nothing, torch.zeros_like(tau), tau)
        v = torch.where(nothing.unsqueeze(-1), torch.zeros_like(v), v)
    return beta, tau, v


def reflect(block: Tensor, v: Tensor, tau: Tensor) -> Tensor:
    """`C − τ·v·(vᵀ·C)`."""
    product = v.unsqueeze(-2) @ block
    return block - (tau[..., None, None] * v.unsqueeze(-1)) * product


def with_one(v: Tensor) -> Tensor:
    """A reflection's whole v."""
    import torch

    return torch.cat([torch.ones_like(v[..., :0]).new_ones((*v.shape[:-1], 1)), v], -1)


@inside("aten.geqrf", words=REFLECTIONS)
def geqrf(a: Tensor) -> tuple[Tensor, Tensor]:
    """R on and above the diagonal, below it the v of each reflection; and the τ."""
    import torch

    rows, columns = a.shape[-2:]
    count = min(rows, columns)
    _few(count)
    out, taus = a.clone(), list[Tensor]()
    for k in range(count):
        beta, tau, v = reflector(out[..., k:, k])
        out[..., k, k] = beta
        out[..., k + 1 :, k] = v
        out[..., k:, k + 1 :] = reflect(out[..., k:, k + 1 :], with_one(v), tau)
        taus.append(tau)
    return out, torch.stack(taus, -1) if taus else a.new_zeros((*a.shape[:-2], 0))


def applied(a: Tensor, tau: Tensor, block: Tensor, order: Iterable[int]) -> Tensor:
    """The reflections of `geqrf`, in some order, on a block of columns."""
    out = block.clone()
    for k in order:
        out[..., k:, :] = reflect(out[..., k:, :], with_one(a[..., k + 1 :, k]), tau[..., k])
    return out


@inside("aten.linalg_householder_product", words=REFLECTIONS)
def householder_product(a: Tensor, tau: Tensor) -> Tensor:
    """`Q = H₁·H₂·…·Hₖ`, its first columns: the last reflection is applied first."""
    import torch

    count = tau.shape[-1]
    _few(count)
    if a.is_complex():
        raise Unruled("complex matrices")
    unit = torch.eye(*a.shape[-2:], dtype=a.dtype).expand_as(a)
    return applied(a, tau, unit, reversed(range(count)))


@inside("aten.ormqr", words=REFLECTIONS)
def ormqr(a: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    """`Q·C`, `Qᵀ·C`, `C·Q` or `C·Qᵀ`."""
    count = tau.shape[-1]
    _few(count)
    if a.is_complex():
        raise Unruled("complex matrices")
    if not left:
        return ormqr(a, tau, other.mT, True, not transpose).mT
    return applied(a, tau, other, range(count) if transpose else reversed(range(count)))


@inside("aten.linalg_qr", words=REFLECTIONS)
def qr(a: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """`A = Q·R` by geqrf and orgqr; with `mode` "r" R alone."""
    import torch

    if a.is_complex():
        raise Unruled("complex matrices")
    packed, tau = torch.geqrf(a)
    rows, columns = a.shape[-2:]
    count = rows if mode == "complete" else min(rows, columns)
    r = packed[..., :count, :].triu()
    if mode == "r":
        return a.new_zeros(0), r
    wide = packed[..., :count]
    if count > columns:
        wide = torch.cat([packed, packed.new_zeros((*a.shape[:-1], count - columns))], -1)
    return torch.linalg.householder_product(wide, tau), r
