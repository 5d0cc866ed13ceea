"""Summing in a given order: against other ways of computing the same, and the trees against the
evaluation.
"""

from __future__ import annotations

from fractions import Fraction
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whygrad.floats.formats import number_format
from whygrad.floats.fused import fma
from whygrad.floats.summation import (
    Blocks,
    Cascade,
    Chain,
    HalfDot,
    Lanes,
    NllCascade,
    Order,
    Pairs,
    Panels,
    Tree,
    evaluate,
    evaluate_many,
    simplify,
    tree_text,
)
from whygrad.floats.summation_fma import fma_chain
from whygrad.floats.summation_reveal import Masks, masks, meeting_sizes, reveal

RNG = np.random.default_rng(7)
PATTERNS = (
    Chain(),
    Chain(from_zero=False),
    Pairs(),
    Panels(16),
    Panels(16, "half"),
    Panels(16, "last two"),
    Panels(16, inner=Pairs()),
    Panels(16, inner=Lanes(2)),
    Blocks(4),
    Lanes(4),
    Lanes(4, 2, 3),
    Lanes(2, 4, 2, multiple=8),
    Lanes(2, 2, 0, multiple=8),
    Lanes(16, rest="lanes"),
    Lanes(8, lanes_join="in turn", rest="lanes"),
    Lanes(4, 4, registers_join="in turn", rest="lane 0", rest_registers=2),
    Lanes(4, lanes_join="in turn", rest="lane 0"),
    HalfDot(),
    Cascade(8),
    Cascade(8, halves=True),
    Cascade(1, 4),
    Cascade(1, 1),
    Cascade(4, threads=2),
    NllCascade(),
)
ORDERS = tuple(
    Order(pattern, fused)
    for pattern in PATTERNS
    for fused in (False, True)
    if not (fused and isinstance(pattern, Cascade | NllCascade))
)
FACTORS = st.lists(
    st.tuples(st.floats(-(2.0**40), 2.0**40, width=32), st.floats(-(2.0**40), 2.0**40, width=32)),
    min_size=1,
    max_size=40,
)


def step(a: float, b: float, c: float, dtype: type) -> float:
    return fma(a, b, c, number_format(np.dtype(dtype).name))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [1, 20])
@given(factors=FACTORS, start=st.floats(-(2.0**60), 2.0**60, width=32))
def test_a_chain_of_fused_steps_rounds_each_once(
    dtype: type, columns: int, factors: list[tuple[float, float]], start: float
) -> None:
    a, b = (np.array(side, dtype)[:, None].repeat(columns, 1) for side in zip(*factors, strict=True))
    expected = reduce(lambda acc, ab: step(*ab, acc, dtype), factors, start)
    got = fma_chain(a, b, np.full(columns, start, dtype))
    assert got.dtype == dtype
    assert (got == expected).all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_hidden_rest_breaks_a_tie_of_float32(sign: float) -> None:
    # The product is 2^-24·(1 - 2^-46), a little less than half an ulp; the float64 sum is a tie, which goes
    # up.
    a, b = 1.0 + 2.0**-23, sign * (2.0**-24 * (1.0 - 2.0**-23))
    start = np.array([sign * (1.0 + 2.0**-23)], np.float32)
    exact = Fraction(a) * Fraction(b) + Fraction(float(start[0]))
    assert abs(exact) < 1 + Fraction(3, 2**24)  # so it must go down; a tie would go to even, up
    twice = np.float32(a * b + float(start[0]))
    for columns in (1, 20):
        got = fma_chain(
            np.full((1, columns), a, np.float32), np.full((1, columns), b, np.float32), start.repeat(columns)
        )
        assert (got == start[0]).all()
    assert twice == sign * (1.0 + 2.0**-22)


@pytest.mark.parametrize("value", [1e200, 1e-200, 5e-324, 1.7e308])
def test_a_float64_chain_at_the_ends_of_the_range(value: float) -> None:
    numbers = [value, -value, 3.0, 1e-200]
    for a in numbers:
        for b in numbers:
            for c in numbers:
                got = fma_chain(np.array([[a]]), np.array([[b]]), np.array([c]))[0]
                assert got == step(a, b, c, np.float64)


@pytest.mark.parametrize("order", ORDERS, ids=lambda o: o.name)
@pytest.mark.parametrize("n", [1, 2, 3, 7, 16, 33, 64, 100, 129])
def test_every_order_adds_every_term_once(order: Order, n: int) -> None:
    weights = RNG.permutation(n).astype(np.float64) + 1
    assert evaluate(order, weights, 2 * np.ones(n)) == n * (n + 1)
    assert evaluate(order, weights) == n * (n + 1) / 2


@pytest.mark.parametrize("order", ORDERS, ids=lambda o: o.name)
@pytest.mark.parametrize("n", [1, 5, 31, 70, 600])
def test_one_sum_and_many_at_once_agree(order: Order, n: int) -> None:
    a, b = RNG.standard_normal((2, n, 9)).astype(np.float32)
    many = evaluate_many(order, a, b)
    assert many.tolist() == [evaluate(order, a[:, j], b[:, j]) for j in range(9)]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda p: p.text)
@pytest.mark.parametrize("n", [1, 6, 40, 131])
def test_a_revealed_tree_sums_as_the_order_it_was_revealed_from(pattern: Chain, n: int) -> None:
    order = Order(pattern)
    tree = reveal(meeting_sizes(lambda terms: evaluate(order, np.array(terms)), n, masks("float32")), n)
    for _ in range(5):
        a = RNG.standard_normal(n).astype(np.float32)
        assert evaluate(Order(Tree(tree)), a) == evaluate(order, a)


def test_revealing_with_few_countable_units_asks_in_several_calls() -> None:
    few = Masks(2.0**60, 2.0**-20, 8)
    order = Order(Lanes(4, 2, 3))

    def kernel(terms: list[float]) -> float:
        total = evaluate(order, np.array(terms))
        assert abs(total) <= 8 * few.unit  # what a narrow result can still count
        return total

    whole = reveal(meeting_sizes(lambda terms: evaluate(order, np.array(terms)), 43, masks("float32")), 43)
    assert reveal(meeting_sizes(kernel, 43, few), 43) == whole


def test_a_tree_holds_its_initial_value() -> None:
    a = np.array([1.0, 2.0**-30, 2.0**-30], np.float32)
    items = (range(1), (range(1, 3), range(3, 4)))
    assert evaluate(Order(Tree(items)), a, init=2.0**-24) == np.float32(1 + (2.0**-29 + 2.0**-24))
    assert evaluate(Order(Chain(), init="last"), a, init=2.0**-24) == 1.0
    with pytest.raises(ValueError, match="leaf 3 stands for, found 3 terms"):
        evaluate(Order(Tree(items)), a)


def test_a_tree_in_one_line() -> None:
    assert tree_text((range(4), (range(4, 8),), range(8, 9))) == "0‥3 (4‥7) 8"
    assert tree_text((range(0, 12, 4), (range(1, 13, 4),))) == "0‥8/4 (1‥9/4)"


def test_where_the_initial_value_goes() -> None:
    a = np.array([1.0, -1.0], np.float32)
    assert evaluate(Order(Chain(), init="first"), a, init=2.0**-30) == 0.0
    assert evaluate(Order(Chain(), init="last"), a, init=2.0**-30) == 2.0**-30
    with pytest.raises(ValueError, match="where the initial value goes"):
        evaluate(Order(Chain()), a, init=1.0)


def test_where_panels_end() -> None:
    assert Panels(192).ends(400) == [192, 384, 400]
    assert Panels(192, "half").ends(300) == [150, 300]
    assert Panels(192, "half").ends(400) == [192, 384, 400]
    assert Panels(384, "last two").ends(1000) == [384, 692, 1000]
    assert Panels(384, "last two").ends(512) == [256, 512]
    assert Panels(256, "half").ends(270) == [136, 270]


@pytest.mark.parametrize("order", ORDERS, ids=lambda o: o.name)
@pytest.mark.parametrize("init", ["first", "last", "none"])
@pytest.mark.parametrize("n", [1, 3, 8, 17, 40])
def test_the_plainest_order_does_the_same(order: Order, init: str, n: int) -> None:
    full = Order(order.pattern, order.fused, init)  # type: ignore[arg-type]
    a, b = RNG.standard_normal((2, n, 30)).astype(np.float32)
    bias = None if init == "none" else RNG.standard_normal(30).astype(np.float32)
    plain = simplify(full, n)
    assert (evaluate_many(plain, a, b, bias) == evaluate_many(full, a, b, bias)).all()


def test_a_flushed_chain_counts_subnormal_numbers_as_zero() -> None:
    tiny = float(np.finfo(np.float32).smallest_normal)
    order = Order(Chain(), fused=True, flush=True)

    def flushed(*terms: float) -> float:
        return evaluate(order, np.array(terms), np.ones(len(terms)))

    a, b = np.array([tiny / 2, 1.0]), np.array([1.0, tiny])
    assert evaluate(Order(Chain(), fused=True, flush=True), a, b) == tiny
    assert evaluate(Order(Chain(), fused=True), a, b) == tiny * 1.5
    assert flushed(tiny, -tiny / 2 * 1.5) == tiny
    assert flushed(tiny * 1.5, -tiny) == 0.0


def test_the_sign_of_a_sum_of_negative_zeros() -> None:
    zeros = np.array([-0.0, -0.0])
    assert not np.signbit(evaluate(Order(Chain()), zeros))
    assert np.signbit(evaluate(Order(Chain(from_zero=False)), zeros))


def test_threads_share_a_long_sum_and_store_their_parts() -> None:
    a = RNG.standard_normal(40_000).astype(np.float32)
    halves = [evaluate(Order(Cascade(8)), part) for part in (a[:20_000], a[20_000:])]
    # Two of sixteen threads have work; sixteen sums are summed like any others.
    for threads in (2, 16):
        assert evaluate(Order(Cascade(8, threads=threads)), a) == np.float32(halves[0]) + np.float32(halves[1])
    stored = [float(np.float16(half)) for half in halves]
    assert evaluate(Order(Cascade(8, threads=2, stored="float16")), a) == np.float32(sum(stored))
    short = a[:32_768]
    assert evaluate(Order(Cascade(8, threads=2)), short) == evaluate(Order(Cascade(8)), short)


def test_a_cascade_has_no_fused_products() -> None:
    with pytest.raises(ValueError, match="products that are not rounded"):
        Order(Cascade(), fused=True)


def test_names() -> None:
    assert Order(Chain(), fused=True, init="last").name == "FMA chain over k, bias last"
    assert Order(Lanes(4, 2, 3)).name == "3 single terms, then 4 lanes × 2, then a tree"
    assert Order(Panels(192, "half"), fused=True).name == "FMA chain over k, in panels of 192"
    names = [order.name for order in ORDERS]
    assert all(len(name) < 100 for name in names)
