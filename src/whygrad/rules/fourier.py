"""Fourier transforms: `y[k] = scale·Σₙ x[n]·e^(∓2πi·Σ_d k_d·n_d/N_d)`, by its definition.

The kernels (MKL or pocketfft, aten/src/ATen/native/mkl/SpectralOps.cpp) factor the sum, so that its bits are not those of
any order of summation; the equation comes within a few rounding errors of the largest term."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Bin, Dot, Expr, Num, Series, Var
from whygrad.rules.movement import ints
from whygrad.rules.registry import COMPLEX, Unruled, rule
from whygrad.trace.model import Arg

Array = np.ndarray[Any, Any]
MOST_TERMS = 1 << 16
_PI = np.longdouble("3.14159265358979323846264338327950288")


@dataclass(frozen=True)
class Transform:
    """`dims`: those transformed; `lengths`: how many points each has; `shape`: the signal's; `sign`: of the exponent;
    `norm`: 0 none, 1 by √N, 2 by N (aten/src/ATen/native/SpectralOpsUtils.h)."""

    dims: tuple[int, ...]
    lengths: tuple[int, ...]
    shape: Index
    sign: int
    norm: int

    def places(self, i: Index) -> Array:
        """Indices of the elements that one element of the result sums over, an (n, ndim) array."""
        if math.prod(self.shape[d] for d in self.dims) > MOST_TERMS:
            raise Unruled(f"a Fourier transform of more than {MOST_TERMS} points")
        ranges = [range(n) if d in self.dims else (i[d],) for d, n in enumerate(self.shape)]
        return np.array(list(product(*ranges)), dtype=np.int64).reshape(-1, len(self.shape))

    def turns(self, i: Index, places: Array) -> tuple[Array, int]:
        """For each place how far its factor goes round the circle: (m, N) for 2π·m/N."""
        whole = math.lcm(*self.lengths)
        total = np.zeros(len(places), dtype=np.int64)
        for d, n in zip(self.dims, self.lengths, strict=True):
            total += i[d] * places[:, d] % n * (whole // n)
        return total % whole, whole

    @property
    def scale(self) -> tuple[float, str]:
        n = math.prod(self.lengths)
        return {0: (1.0, ""), 1: (1 / math.sqrt(n), f"1/√{n}"), 2: (1.0 / n, f"1/{n}")}[self.norm]


def circle(name: str, turns: Array, whole: int) -> tuple[Array, Callable[[int], str]]:
    """cos or sin of 2π·m/N for each m, to the last bit where the machine has long doubles."""
    angles = 2 * _PI * turns / whole
    values = (np.cos(angles) if name == "cos" else np.sin(angles)).astype(np.float64)
    values = np.where(np.abs(values) < 1e-15, 0.0, values)
    return values, lambda k: f"{name}[2π·{int(turns[k])}/{whole}]"


def dims_of(arg: Arg, rank: int) -> tuple[int, ...]:
    """Transformed dimensions."""
    return tuple(d % rank for d in ints(arg))


def with_part(indices: Array, part: int) -> Array:
    """Indices of the real or imaginary parts of complex elements."""
    return np.column_stack([indices, np.full(len(indices), part)])


def scaled(how: Transform, total: Expr) -> Expr:
    """A sum by the factor of its normalisation."""
    value, text = how.scale
    return total if how.norm == 0 else Bin("*", Num(value, text), total)


def from_real(c: OpCall, x: Operand, how: Transform, i: Index, part: int) -> Expr:
    """`re = Σ x·cos`, `im = ±Σ x·sin`."""
    places = how.places(i)
    turns, whole = how.turns(i, places)
    values, name = circle("sin" if part else "cos", turns if part == 0 or how.sign > 0 else -turns % whole, whole)
    return scaled(how, Dot(x.at(places), c.constants_of(values, name)))


def from_complex(c: OpCall, x: Operand, how: Transform, i: Index, part: int, fold: Array | None = None) -> Expr:
    """`re = Σ x.re·cos θ − x.im·sin θ`, `im = Σ x.re·sin θ + x.im·cos θ`, θ with the sign of the exponent."""
    places = how.places(i)
    turns, whole = how.turns(i, places)
    turns = turns if how.sign > 0 else -turns % whole
    cos, sin = (c.constants_of(*circle(name, turns, whole)) for name in ("cos", "sin"))
    first, second = (cos, sin) if part == 0 else (sin, cos)
    return scaled(
        how, _four(x.at(with_part(places, 0)), first, x.at(with_part(places, 1)), second, "-" if part == 0 else "+")
    )


def _four(a: Series, b: Series, c: Series, d: Series, sign: Any) -> Dot:
    """`Σ a·b ± c·d`."""
    return Dot(a, b, term=Bin(sign, Bin("*", Var(0), Var(1)), Bin("*", Var(-1), Var(-2))), more=(c, d))


@rule(f"{COMPLEX}aten._fft_r2c")
def fft_r2c(c: OpCall, i: Index) -> Expr:
    """`y[k] = scale·Σₙ x[n]·e^(−2πi·kn/N)`, x real."""
    x = c.t(0)
    dims = dims_of(c.arg(1), len(x.shape))
    how = Transform(dims, tuple(x.shape[d] for d in dims), x.shape, -1, c.integer(2))
    return from_real(c, x, how, i[:-1], i[-1])


@rule(f"{COMPLEX}aten._fft_c2c")
def fft_c2c(c: OpCall, i: Index) -> Expr:
    """`y[k] = scale·Σₙ x[n]·e^(∓2πi·kn/N)`; minus where it goes forward."""
    x = c.t(0)
    shape = x.shape[:-1]
    dims = dims_of(c.arg(1), len(shape))
    how = Transform(dims, tuple(shape[d] for d in dims), shape, -1 if c.arg(3) else 1, c.integer(2))
    return from_complex(c, x, how, i[:-1], i[-1])


@rule(f"{COMPLEX}aten._fft_c2r")
def fft_c2r(c: OpCall, i: Index) -> Expr:
    """`y[n] = scale·Σₖ X[k]·e^(2πi·kn/N)`, X being one half of a spectrum whose other half is its conjugate: in the last
    dimension every frequency but 0 and N/2 counts twice, and the imaginary parts of those two count nothing."""
    x, last = c.t(0), c.integer(3)
    shape = x.shape[:-1]
    dims = dims_of(c.arg(1), len(shape))
    kept = last // 2 + 1
    seen = tuple(min(n, kept) if d == dims[-1] else n for d, n in enumerate(shape))
    lengths = tuple(last if d == dims[-1] else shape[d] for d in dims)
    how = Transform(dims, lengths, seen, 1, c.integer(2))
    places = how.places(i)
    turns, whole = how.turns(i, places)
    at = places[:, dims[-1]]
    alone = (at == 0) | (2 * at == last)
    times = np.where(alone, 1.0, 2.0)
    cos, sin = _folded("cos", turns, whole, times), _folded("sin", turns, whole, times)
    first, second = (c.constants_of(*each) for each in (cos, sin))
    return scaled(how, _four(x.at(with_part(places, 0)), first, x.at(with_part(places, 1)), second, "-"))


def _folded(name: str, turns: Array, whole: int, times: Array) -> tuple[Array, Callable[[int], str]]:
    values, text = circle(name, turns, whole)
    return values * times, lambda k: ("2·" if times[k] == 2 else "") + text(k)
