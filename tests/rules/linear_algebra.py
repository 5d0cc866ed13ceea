"""Programs of linear algebra, and what becomes of every number that their ops wrote."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tests.rules.harness import record
from whygrad.explain.why import Explainer

SIZES = (1, 2, 5)


@dataclass
class Verdicts:
    """By op and result: how many scalars got which verdict; `reasons` of those that are opaque or differ."""

    found: dict[tuple[str, int], Counter[str]] = field(default_factory=dict[tuple[str, int], "Counter[str]"])
    reasons: list[str] = field(default_factory=list[str])

    def of(self, op: str, output: int = 0) -> Counter[str]:
        return self.found[f"aten.{op}", output]


def ask(program: Callable[[torch.dtype], Any], dtype: torch.dtype, only: tuple[str, ...], samples: int = 3) -> Verdicts:
    """The verdicts on scalars of ops whose name holds one of `only`."""
    trace, found, rng = record(program, dtype), Verdicts(), np.random.default_rng(0)
    explainer = Explainer(trace)
    for info in trace.index:
        step = trace.step(info.number)
        for op in step.ops:
            if not any(text in op.name for text in only):
                continue
            for output, id in enumerate(op.outputs):
                value = None if id is None else step.values[id]
                if value is None or not value.numel:
                    continue
                for place in rng.choice(value.numel, min(samples, value.numel), replace=False):
                    index = tuple(int(k) for k in np.unravel_index(int(place), value.shape))
                    node, _ = explainer.node(explainer.at(info.number, value, index))
                    found.found.setdefault((op.kind, output), Counter())[node.verdict.kind] += 1
                    if node.verdict.kind not in ("same bits", "replayed"):
                        found.reasons.append(f"{op.name} {output} {index} of {value.shape}: {node.verdict}")
    return found


def matrices(size: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A general matrix, a positive definite one, and right sides."""
    general = torch.randn(2, size, size, dtype=dtype)
    return general, general @ general.mT + torch.eye(size, dtype=dtype), torch.randn(2, size, 3, dtype=dtype)


def factored(dtype: torch.dtype) -> None:
    """LU, Cholesky and triangular systems."""
    torch.manual_seed(0)
    for size in SIZES:
        general, positive, right = matrices(size, dtype)
        lu = torch.linalg.lu_factor(general)
        torch.linalg.lu_factor(right)
        torch.linalg.lu(right.mT)
        torch.linalg.lu(general)
        torch.lu_unpack(*lu)
        torch.linalg.det(general)
        torch.linalg.slogdet(general)
        low = torch.linalg.cholesky(positive)
        up = torch.linalg.cholesky(positive, upper=True)
        torch.linalg.solve_triangular(low, right, upper=False)
        torch.linalg.solve_triangular(up, right.mT, upper=True, left=False)
        torch.linalg.solve_triangular(up, right, upper=True, unitriangular=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.triangular_solve(right, up, transpose=True)


def solved(dtype: torch.dtype) -> None:
    """Systems and inverses, by way of factors."""
    torch.manual_seed(0)
    for size in SIZES:
        general, positive, right = matrices(size, dtype)
        lu, pivots = torch.linalg.lu_factor(general)
        torch.linalg.solve(general, right)
        torch.linalg.solve(general, right.mT, left=False)
        torch.linalg.solve(general[0], right[0, :, 0])
        torch.linalg.inv(general)
        torch.linalg.lu_solve(lu, pivots, right)
        torch.linalg.lu_solve(lu, pivots, right, adjoint=True)
        low = torch.linalg.cholesky(positive)
        torch.cholesky_solve(right, low)
        torch.cholesky_inverse(low)
        packed, exchanges = torch.linalg.ldl_factor(general + general.mT)
        torch.linalg.ldl_solve(packed, exchanges, right)
        torch.addbmm(right[0], general, right, beta=0.5)


def with_complex_matrices(dtype: torch.dtype) -> None:
    """Factors and systems of complex matrices."""
    torch.manual_seed(0)
    for size in SIZES:
        general, _, right = matrices(size, dtype.to_complex())
        factors = torch.linalg.lu_factor(general)
        torch.lu_unpack(*factors)
        torch.linalg.solve(general, right)
        torch.linalg.solve(general, right.mT, left=False)
        torch.linalg.lu_solve(*factors, right, adjoint=True)
        torch.linalg.solve_triangular(general, right, upper=True)
        torch.linalg.solve_triangular(general, right.mT, upper=False, left=False, unitriangular=True)


def decomposed(dtype: torch.dtype) -> None:
    """Eigenvalues, singular values, QR, least squares."""
    torch.manual_seed(0)
    for size in SIZES:
        general, positive, right = matrices(size, dtype)
        torch.linalg.eigh(general)
        torch.linalg.eigh(positive, UPLO="U")
        torch.linalg.eigvalsh(positive)
        torch.linalg.eig(general)
        torch.linalg.eigvals(general)
        for matrix in (general, right, right.mT):
            torch.linalg.svd(matrix)
            torch.linalg.svdvals(matrix)
            torch.linalg.qr(matrix, mode="complete")
            packed, tau = torch.geqrf(matrix)
            torch.ormqr(packed, tau, right if matrix.shape[-2] == size else right.mT)
            torch.linalg.pinv(matrix)
        torch.linalg.lstsq(right, general)
        torch.linalg.matrix_exp(general)
        torch.linalg.matrix_exp(general[:1] / 9)


def distances(dtype: torch.dtype) -> None:
    """Products and distances."""
    torch.manual_seed(0)
    for p in (0.0, 0.5, 1.0, 2.0, 3.0, float("inf")):
        x = torch.randn(2, 4, 5, dtype=dtype, requires_grad=True)
        y = torch.randn(2, 3, 5, dtype=dtype, requires_grad=True)
        y.data[:, 0] = x.data[:, 0]
        torch.cdist(x, y, p=p, compute_mode="donot_use_mm_for_euclid_dist").sum().backward()
        torch.pdist(x[0], p=p).sum().backward()
    torch.linalg.cross(x[..., :3], y[:, :1, :3], dim=-1)
    torch.addr(x[0], x[0, :, 0], x[0, 0], beta=0.5, alpha=2)
