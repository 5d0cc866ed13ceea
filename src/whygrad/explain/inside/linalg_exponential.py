"""The exponential of a matrix as its kernel computes it: a Taylor polynomial with few products, of the matrix divided by a
power of two, squared as often (P. Bader, S. Blanes, F. Casas, *Computing the Matrix Exponential with an Optimized Taylor
Polynomial Approximation*, Mathematics 7, 2019; aten/src/ATen/native/LinearAlgebra.cpp)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from whygrad.explain.inside.registry import inside

Tensor = Any
Rows = Sequence[Sequence[float]]
TAYLOR = "a Taylor polynomial of the matrix divided by 2ˢ, squared s times"

_LIMITS_SINGLE = (1.192092800768788e-07, 5.978858893805233e-04, 5.116619363445086e-02, 5.800524627688768e-01,
                  1.461661507209034, 3.010066362817634)  # fmt: skip
_LIMITS_DOUBLE = (2.220446049250313e-16, 2.580956802971767e-08, 3.397168839976962e-04, 4.991228871115323e-02,
                  2.996158913811580e-01, 1.090863719290036)  # fmt: skip
_DEGREE_12: Rows = (
    (9.0198e-16, 0.46932117595418237389, -0.20099424927047284052, -0.04623946134063071740),
    (5.31597895759871264183, 1.19926790417132231573, 0.01179296240992997031, 0.01108844528519167989),
    (0.18188869982170434744, 0.05502798439925399070, 0.09351590770535414968, 0.00610700528898058230),
    (-2.0861320e-13, -0.13181061013830184015, -0.02027855540589259079, -0.00675951846863086359),
)
_DEGREE_18: Rows = (
    (0.0, -1.00365581030144618291e-01, -8.02924648241156932449e-03, -8.92138498045729985177e-04, 0.0),
    (0.0, 3.97849749499645077844e-01, 1.36783778460411720168, 4.98289622525382669416e-01, -6.37898194594723280150e-04),
    (-1.09676396052962061844e01, 1.68015813878906206114, 5.71779846478865511061e-02, -6.98210122488052056106e-03,
     3.34975017086070470649e-05),
    (-9.04316832390810593223e-02, -6.76404519071381882256e-02, 6.75961301770459654925e-02, 2.95552570429315521194e-02,
     -1.39180257516060693404e-05),
    (0.0, 0.0, -9.23364619367118555360e-02, -1.69364939002081722752e-02, -1.40086798182036094347e-05),
)  # fmt: skip


def table(rows: Rows, a: Tensor) -> list[list[float]]:
    """Coefficients as the kernel reads them: single or double precision. It hands its table of doubles to matrices of 16
    bits as if it held their own format, so that there the coefficients are pieces of the doubles' bits."""
    import torch

    wide = torch.tensor(rows, dtype=torch.float32 if a.dtype in (torch.float32, torch.complex64) else torch.float64)
    if a.dtype in (torch.float16, torch.bfloat16):
        count = wide.numel()
        return wide.reshape(-1).view(a.dtype)[:count].reshape(wide.shape).double().tolist()
    return wide.tolist()


def combined(matrices: Sequence[Tensor], row: Sequence[float]) -> Tensor:
    """`Σ cₖ·Mₖ`, added in turn."""
    total = matrices[0] * row[0]
    for matrix, factor in zip(matrices[1:], row[1:], strict=True):
        total = total + matrix * factor
    return total


def powers(a: Tensor, count: int) -> list[Tensor]:
    """I, A, A², A³, A⁶: the first `count`."""
    import torch

    found = [torch.eye(a.shape[-1], dtype=a.dtype).expand_as(a).clone(), a]
    if count > 2:
        found.append(a @ a)
    if count > 3:
        found.append(a @ found[2])
    if count > 4:
        found.append(found[3] @ found[3])
    return found[:count]


def degree_4(a: Tensor) -> Tensor:
    """`I + A + A²·(I/2 + A/6 + A²/24)`."""
    known = powers(a, 3)
    last = known[2] @ combined(known, table([[1 / 2, 1 / 6, 1 / 24]], a)[0])
    return combined([*known, last], table([[1.0, 1.0, 0.0, 1.0]], a)[0])


def degree_8(a: Tensor) -> Tensor:
    """With `A4 = A²·(x1·A + x2·A²)` and `A8 = (x3·A² + A4)·(x4·I + x5·A + x6·A² + x7·A4)`: `I + A + y2·A² + A8`."""
    root, x3 = math.sqrt(177), 2 / 3
    x1, x2 = x3 * (1 + root) / 88, x3 * (1 + root) / 352
    x4, x5 = (-271 + 29 * root) / (315 * x3), (-11 + 11 * root) / (1260 * x3)
    x6, x7 = (-99 + 11 * root) / (5040 * x3), (89 - root) / (5040 * x3)
    known = powers(a, 3)
    fourth = known[2] @ combined(known[1:], table([[x1, x2]], a)[0])
    left = combined([known[2], fourth], table([[x3, 1.0]], a)[0])
    eighth = left @ combined([*known, fourth], table([[x4, x5, x6, x7]], a)[0])
    return combined([*known, fourth, eighth], table([[1.0, 1.0, (857 - 58 * root) / 630, 0.0, 1.0]], a)[0])


def degree_12(a: Tensor) -> Tensor:
    """`B₀ + (B₁ + A6)·A6` with `A6 = B₂ + B₃²`."""
    known = powers(a, 4)
    b = [combined(known, row) for row in table(_DEGREE_12, a)]
    sixth = b[2] + b[3] @ b[3]
    return b[0] + (b[1] + sixth) @ sixth


def degree_18(a: Tensor) -> Tensor:
    """`B₁ + (B₂ + A9)·A9` with `A9 = B₃ + B₀·B₄`."""
    known = powers(a, 5)
    b = [combined(known, row) for row in table(_DEGREE_18, a)]
    ninth = b[3] + b[0] @ b[4]
    return b[1] + (b[2] + ninth) @ ninth


def scaled_and_squared(a: Tensor, norm: Tensor, limit: float) -> Tensor:
    """`(T₁₈(A/2ˢ))^(2ˢ)`, each matrix of the batch with its own s."""
    import torch

    s = torch.ceil(torch.log2(norm / limit)).clamp(min=0)
    found = list(degree_18(a * torch.pow(2, -s).view(-1, 1, 1)).unbind(0))
    times = [int(k) if k == k else 0 for k in s.tolist()]
    for j in range(max(times, default=0)):
        active = [k for k, most in enumerate(times) if most > j]
        group = torch.stack([found[k] for k in active])
        for k, squared in zip(active, (group @ group).unbind(0), strict=True):
            found[k] = squared
    return torch.stack(found)


@inside("aten.linalg_matrix_exp", words=TAYLOR)
def matrix_exp(a: Tensor) -> Tensor:
    """`e^A`: one matrix of small norm by a polynomial of low degree, a batch by the highest."""
    import torch

    if a.shape[-1] < 2:
        return a.exp() if a.shape[-1] else a.clone()
    batch = a.reshape(-1, *a.shape[-2:])
    norm = batch.abs().sum(-2).amax(-1)
    limits = _LIMITS_SINGLE if a.dtype in (torch.float32, torch.complex64) else _LIMITS_DOUBLE
    if batch.shape[0] == 1 and float(norm) <= limits[4]:
        degree = next(k for k, limit in enumerate(limits) if float(norm) <= limit)
        if degree < 2:
            known = powers(batch, degree + 2)
            found = known[0] + known[1] if degree == 0 else known[0] + known[1] + known[2] / 2
        else:
            found = (degree_4, degree_8, degree_12)[degree - 2](batch)
    else:
        found = scaled_and_squared(batch, norm, limits[5])
    return found.reshape(a.shape)
