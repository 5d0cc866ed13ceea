"""Sums of products of floats, exactly."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whygrad.explain.evaluate import Inputs
from whygrad.explain.exact import exact_value, monomials
from whygrad.explain.exact_sums import Undefined, product_sum
from whygrad.rules.expr import Bin, Call, Dot, In, Neg, Num, Series, Var

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.integers(1, 4).flatmap(lambda k: st.lists(st.tuples(*[FINITE] * k), min_size=1, max_size=5)))
def test_sums_of_products(rows: list[tuple[float, ...]]) -> None:
    series = [np.array(column) for column in zip(*rows, strict=True)]
    assert product_sum(series) == sum((prod(map(Fraction, row)) for row in rows), Fraction(0))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_sums_of_many_products(kind: type[np.floating[Any]]) -> None:
    """Of numbers of all sizes, most of which cancel."""
    rng = np.random.default_rng(0)
    a, b = (np.ldexp(rng.standard_normal(999), rng.integers(-14, 7, 999)).astype(kind).astype(float) for _ in range(2))
    a, b = np.concatenate([a, -a, b]), np.concatenate([b, b * (1 + 2.0**-10), a])
    exact = sum((Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True)), Fraction(0))
    assert product_sum([a, b]) == exact != 0


def test_empty_and_unfinished_sums() -> None:
    assert product_sum([np.zeros(0), np.zeros(0)]) == 0
    with pytest.raises(Undefined, match="not finite"):
        product_sum([np.array([1.0, np.inf]), np.array([0.0, 0.0])])


def test_a_polynomial_is_taken_apart() -> None:
    term = Bin("*", Bin("-", Var(0), Neg(Var(1))), Bin("*", Num(2), Var(-1)))
    assert monomials(term) == [(Fraction(2), (0, -1)), (Fraction(2), (1, -1))]
    assert monomials(In("float32", term)) == monomials(term)
    assert monomials(Call("exp", (Var(0),))) is None


def test_a_mapped_sum() -> None:
    """`Σ (a − b)·c·x` with a variable of the equation inside the sum."""
    places = np.array([[0], [1]])
    a, b, c = (Series(k, places) for k in range(3))
    term = Bin("*", Bin("*", Bin("-", Var(0), Var(1)), Var(-1)), Var(2))
    tensors = [np.array([0.1, 2.0]), np.array([0.3, 0.5]), np.array([1e-20, 7.0])]
    value = exact_value(Dot(a, b, term=term, more=(c,)), Inputs([0.7], tensors))
    assert value == sum(
        (Fraction(x) - Fraction(y)) * Fraction(z) * Fraction(0.7) for x, y, z in zip(*map(list, tensors), strict=True)
    )


@pytest.mark.parametrize("less", [0.0, 3.5, -700.0, 700.0, -2000.0])
def test_sums_of_exponentials(less: float) -> None:
    """Σ exp(aᵢ − c), also where the sum is so small or so large that it is not worked out in fixed point."""
    a = np.array([0.1, -3.0, 3.5, 1e-300, -745.25])
    places = np.arange(5)[:, None]
    term = In("float32", Call("exp", (Bin("-", Var(0), Var(2)),)))
    value = exact_value(Dot(Series(0, places), None, term=term), Inputs([less], [a]))
    with mpmath.workdps(90):
        exact = mpmath.fsum(mpmath.exp(mpmath.mpf(x) - less) for x in a.tolist())
        assert abs(value - exact) <= abs(exact) * mpmath.mpf(10) ** -55
