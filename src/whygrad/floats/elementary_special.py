"""Functions beyond the fifteen that training loops are made of: inverse and hyperbolic ones, gamma, zeta, Bessel and error
functions, and their exact values. `elementary_exact` and `elementary` take them in by name.

Definitions: NIST Digital Library of Mathematical Functions (dlmf.nist.gov), chapters 4, 5, 7, 8, 10, 18, 25. PyTorch's CPU
kernels compute most of the gamma and Bessel family by the approximations of S. L. Moshier's Cephes library, which are a few
units off in the last place: `elementary_cephes` has some of them; else the equations are near, not the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Exact = Callable[..., Any]
Nearby = Callable[..., Any]


@dataclass(frozen=True)
class Special:
    """`exact`: the function in mpmath's working precision; `nearby`: in doubles, good to a few units in the 53rd bit,
    where numpy has it; `library`: its name in the C library."""

    arity: int
    exact: Exact
    nearby: Nearby | None = None
    library: str = ""


def _mp() -> Any:
    import mpmath

    return mpmath


def _loggamma(x: Any) -> Any:
    mp = _mp()
    return mp.log(abs(mp.gamma(x))) if x < 0 else mp.loggamma(x)


def _erfcx(x: Any) -> Any:
    mp = _mp()
    return mp.exp(x * x) * mp.erfc(x)


def _log_ndtr(x: Any) -> Any:
    mp = _mp()
    return mp.log(mp.erfc(-x / mp.sqrt(2)) / 2)


def _ndtri(p: Any) -> Any:
    mp = _mp()
    return mp.sqrt(2) * mp.erfinv(2 * p - 1)


def _igamma(a: Any, x: Any) -> Any:
    """P(a, x) by its power series (DLMF 8.11.4), whose terms all have one sign; 1 − Q(a, x) far to the right of a."""
    mp = _mp()
    if a < 0 or x < 0 or (a == 0 and x == 0):
        return mp.nan
    if a == 0 or x == 0 or mp.isinf(a) or mp.isinf(x):
        return mp.mpf(1 if a == 0 or mp.isinf(x) else 0) if not (mp.isinf(a) and mp.isinf(x)) else mp.nan
    if x > 2 * a + 50:
        return 1 - _fraction(a, x)
    term = total = mp.mpf(1)
    for n in range(1, _MOST):
        term *= x / (a + n)
        total += term
        if term < total * mp.eps:
            return total * mp.exp(a * mp.log(x) - x - mp.loggamma(a + 1))
    raise ValueError("the series of the incomplete gamma function takes too long")


def _igammac(a: Any, x: Any) -> Any:
    """Q(a, x) = 1 − P(a, x)"""
    mp = _mp()
    if a > 0 and x > 2 * a + 50 and not mp.isinf(x):
        return _fraction(a, x)
    with mp.extradps(40):
        return 1 - _igamma(a, x)


def _fraction(a: Any, x: Any) -> Any:
    """Q(a, x) by its continued fraction (DLMF 8.9.2), from W. Lentz's algorithm."""
    mp = _mp()
    b = x + 1 - a
    c, d = 1 / mp.eps**2, 1 / b
    value = d
    for i in range(1, _MOST):
        top = -i * (i - a)
        b += 2
        d, c = 1 / (top * d + b), b + top / c
        value *= d * c
        if abs(d * c - 1) < mp.eps:
            return value * mp.exp(a * mp.log(x) - x - mp.loggamma(a))
    raise ValueError("the continued fraction of the incomplete gamma function takes too long")


_MOST = 20_000


def _zeta(x: Any, q: Any) -> Any:
    """Where the series converges: x > 1."""
    mp = _mp()
    if x == 1 or (q <= 0 and q == mp.floor(q) and x > 1):
        return mp.inf
    return mp.nan if x < 1 or (q <= 0 and x != mp.floor(x)) else mp.zeta(x, q)


def _polygamma(n: Any, x: Any) -> Any:
    return _mp().psi(int(n), x)


def _scaled_i(order: int) -> Exact:
    return lambda x: _mp().exp(-abs(x)) * _mp().besseli(order, x)


def _chebyshev(kind: int, shift: bool) -> Exact:
    """T, U, V, W of degree n (DLMF 18.3, 18.5): shifted ones at 2x − 1."""

    def function(x: Any, n: Any) -> Any:
        mp = _mp()
        if n < 0:
            return mp.mpf(0)
        first = [lambda y: y, lambda y: 2 * y, lambda y: 2 * y - 1, lambda y: 2 * y + 1][kind]
        y = 2 * x - 1 if shift else x
        return _recurrence(int(n), mp.mpf(1), first(y), lambda k, p, q: 2 * y * q - p)

    return function


def _recurrence(n: int, zeroth: Any, first: Any, following: Callable[[int, Any, Any], Any]) -> Any:
    """p₀, p₁, then pₖ₊₁ from pₖ and pₖ₋₁."""
    p, q = zeroth, first
    for k in range(1, n):
        p, q = q, following(k, p, q)
    return p if n <= 0 else q


def _orthogonal(name: str) -> Exact:
    def function(x: Any, n: Any) -> Any:
        one, n = _mp().mpf(1), int(n)
        if n < 0:
            return 0 * one
        match name:
            case "hermite_h":
                return _recurrence(n, one, 2 * x, lambda k, p, q: 2 * x * q - 2 * k * p)
            case "hermite_he":
                return _recurrence(n, one, x, lambda k, p, q: x * q - k * p)
            case "laguerre_l":
                return _recurrence(n, one, 1 - x, lambda k, p, q: ((2 * k + 1 - x) * q - k * p) / (k + 1))
            case _:
                return _recurrence(n, one, x, lambda k, p, q: ((2 * k + 1) * x * q - k * p) / (k + 1))

    return function


def _of(name: str, *before: int) -> Exact:
    """mpmath's function of that name, orders given before its argument."""
    return lambda *args: getattr(_mp(), name)(*before, *args)


SPECIAL: Final[dict[str, Special]] = {
    "tan": Special(1, _of("tan"), np.tan, "tan"),
    "asin": Special(1, _of("asin"), np.arcsin, "asin"),
    "acos": Special(1, _of("acos"), np.arccos, "acos"),
    "atan": Special(1, _of("atan"), np.arctan, "atan"),
    "sinh": Special(1, _of("sinh"), np.sinh, "sinh"),
    "cosh": Special(1, _of("cosh"), np.cosh, "cosh"),
    "asinh": Special(1, _of("asinh"), np.arcsinh, "asinh"),
    "acosh": Special(1, _of("acosh"), np.arccosh, "acosh"),
    "atanh": Special(1, _of("atanh"), np.arctanh, "atanh"),
    "exp2": Special(1, lambda x: _mp().power(2, x), np.exp2, "exp2"),
    "atan2": Special(2, _of("atan2"), np.arctan2, "atan2"),
    "hypot": Special(2, _of("hypot"), np.hypot, "hypot"),
    "lgamma": Special(1, _loggamma, None, "lgamma"),
    "erfinv": Special(1, _of("erfinv")),
    "digamma": Special(1, _of("psi", 0)),
    "polygamma": Special(2, _polygamma),
    "zeta": Special(2, _zeta),
    "igamma": Special(2, _igamma),
    "igammac": Special(2, _igammac),
    "i0": Special(1, _of("besseli", 0)),
    "i1": Special(1, _of("besseli", 1)),
    "i0e": Special(1, _scaled_i(0)),
    "i1e": Special(1, _scaled_i(1)),
    "bessel_j0": Special(1, _of("besselj", 0)),
    "bessel_j1": Special(1, _of("besselj", 1)),
    "bessel_y0": Special(1, _of("bessely", 0)),
    "bessel_y1": Special(1, _of("bessely", 1)),
    "bessel_k0": Special(1, _of("besselk", 0)),
    "bessel_k1": Special(1, _of("besselk", 1)),
    "bessel_k0e": Special(1, lambda x: _mp().exp(x) * _mp().besselk(0, x)),
    "bessel_k1e": Special(1, lambda x: _mp().exp(x) * _mp().besselk(1, x)),
    "spherical_bessel_j0": Special(1, lambda x: _mp().sin(x) / x if x else _mp().mpf(1)),
    "airy_ai": Special(1, _of("airyai")),
    "erfcx": Special(1, _erfcx),
    "ndtri": Special(1, _ndtri),
    "log_ndtr": Special(1, _log_ndtr),
    **{
        f"{shifted}chebyshev_polynomial_{letter}": Special(2, _chebyshev(kind, bool(shifted)))
        for kind, letter in enumerate("tuvw")
        for shifted in ("", "shifted_")
    },
    **{
        name.replace("_", "_polynomial_"): Special(2, _orthogonal(name))
        for name in ("hermite_h", "hermite_he", "laguerre_l", "legendre_p")
    },
}
"""The functions by name."""


def special_exact(name: str, args: list[Any]) -> Any:
    """The function's value in mpmath's working precision.

    Raises:
        ValueError: it has none at these arguments, or mpmath cannot compute it.
    """
    mp = _mp()
    if name in _POLES and args[0] <= 0:
        return mp.nan if args[0] < 0 else _POLES[name] * mp.inf
    try:
        value = SPECIAL[name].exact(*args)
    except (ValueError, ZeroDivisionError, OverflowError, NotImplementedError, mp.NoConvergence) as error:
        raise ValueError(f"no value of {name} at {args}: {error}") from error
    if isinstance(value, mp.mpc):
        value = value.real if value.imag == 0 else mp.nan
    return mp.mpf(value)


_POLES = {"bessel_y0": -1, "bessel_y1": -1, "bessel_k0": 1, "bessel_k1": 1, "bessel_k0e": 1, "bessel_k1e": 1}
"""Real for positive arguments; infinite at 0."""
