"""Tokens of an equation: the text, cut; each operand by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.view.runs import ASKED, asked, each
from whygrad.explain.derivation import Derivation, SumInfo, Term, Verdict
from whygrad.rules.expr import Bin, Call, Case, Dot, Expr, Fma, In, Neg, Num, Python, Round, Series, Var, walk
from whygrad.run import Run
from whygrad.view.equation import numeric, symbolic
from whygrad.view.numbers import MINUS, number, typographic
from whygrad.view.tokens import Token, joined, numeric_tokens, symbolic_tokens

NAMES = ("a", "−lr", "-lr", "1 − β₁", "1/n", "∂loss/∂w[0,1]", "x^2", "√d", "", "w) · (b")


def leaf(label: str, value: float) -> Derivation:
    return Derivation(f"{label}@0", label, value, "float32", "", "activation", "forward", Verdict("given"))


def made(equation: Expr, *operands: Derivation, sum: SumInfo | None = None) -> Derivation:
    return Derivation(
        "y@0", "y", 0.0, "float32", "", "activation", "forward", Verdict("same bits", 0), equation=equation,
        operands=operands, sum=sum,
    )  # fmt: skip


def below(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    return st.one_of(
        st.builds(Bin, st.sampled_from(("+", "-", "*", "/", "**")), inner, inner),
        st.builds(Neg, inner),
        st.builds(Fma, inner, inner, inner),
        st.builds(lambda name, a: Call(name, (a,)), st.sampled_from(("exp", "abs", "sqrt", "rsqrt", "tanh")), inner),
        st.builds(lambda a: Round(a, "float16"), inner),
        st.builds(lambda a: In("float64", a), inner),
        st.builds(lambda a: Python(a, 0.5), inner),
        st.builds(lambda a: Case("x > 0", a), inner),
    )


LEAVES: st.SearchStrategy[Expr] = st.one_of(
    st.integers(0, 3).map(Var),
    st.sampled_from([Num(2), Num(-2), Num(1), Num(1, "n"), Num(-0.1, "−lr"), Num(0.5, "1/n")]),
)
EQUATIONS = st.recursive(LEAVES, below, max_leaves=8)
OPERANDS = st.lists(
    st.builds(leaf, st.sampled_from(NAMES), st.sampled_from([0.5, -0.5, 0.0, 1e-05, -3e30])), min_size=4, max_size=4
)


def operands_in(tokens: list[Token]) -> list[tuple[int, str]]:
    return [token for token in tokens if not isinstance(token, str)]


@given(equation=EQUATIONS, operands=OPERANDS)
def test_tokens_are_the_text_and_every_variable_is_one(equation: Expr, operands: list[Derivation]) -> None:
    d = made(equation, *operands)
    names, numbers = symbolic_tokens(d), numeric_tokens(d)
    assert joined(names) == symbolic(d)
    assert joined(numbers) == numeric(d)
    variables = Counter(e.k for e in walk(equation) if isinstance(e, Var))
    assert Counter(k for k, _ in operands_in(names)) == variables
    assert Counter(k for k, _ in operands_in(numbers)) == variables
    for k, text in operands_in(numbers):
        whole = typographic(number(operands[k].value, "float32"))
        assert text in (whole, whole.lstrip(MINUS))


def test_a_step_size_without_its_sign_is_still_that_operand() -> None:
    update = made(Bin("+", Var(0), Bin("*", Var(1), Var(2))), leaf("w", 0.5), leaf("−lr", -0.5), leaf("∂loss/∂w", -2.0))
    assert symbolic_tokens(update) == [(0, "w"), f" {MINUS} ", (1, "lr"), " · ", (2, "∂loss/∂w")]
    assert numeric_tokens(update) == [(0, "0.5"), f" {MINUS} ", (1, "0.5"), " · (", (2, "−2.0"), ")"]


def long_sum(count: int, shown: int, init: bool) -> Derivation:
    series = [Series(k, np.zeros((count, 1), dtype=np.int64)) for k in (0, 1)]
    operands = [leaf("b", 0.25)] if init else []
    terms: list[Term] = []
    for i in range(shown):
        terms.append(Term(i, (len(operands), len(operands) + 1), 1.0))
        operands += [leaf(f"x[{i}]", 1.0 + i), leaf(f"w[{i}]", -0.5)]
    info = SumInfo(count, tuple(terms), 3.25, count - shown, init)
    return made(Dot(series[0], series[1], Var(0) if init else None), *operands, sum=info)


@pytest.mark.parametrize("init", [False, True])
@pytest.mark.parametrize(("count", "shown"), [(1, 1), (2, 2), (9, 3)])
def test_factors_of_a_long_sum_are_operands(count: int, shown: int, init: bool) -> None:
    d = long_sum(count, shown, init)
    tokens = numeric_tokens(d)
    assert joined(tokens) == numeric(d)
    assert joined(symbolic_tokens(d)) == symbolic(d)
    assert sorted(k for k, _ in operands_in(tokens)) == list(range(2 * shown + init))
    named = {k for k, _ in operands_in(symbolic_tokens(d))}
    assert named == ({0, 1, 2} if init else {0, 1}) if count == 1 else named == ({0} if init else set())


@pytest.mark.parametrize(("run", "address"), ASKED)
def test_equations_of_real_programs(run: Callable[[], Run], address: str) -> None:
    equations = 0
    for d in each(asked(run, address)):
        if d.equation is None:
            continue
        equations += 1
        for tokens, text in ((symbolic_tokens(d), symbolic(d)), (numeric_tokens(d), numeric(d))):
            assert joined(tokens) == text
            assert all(0 <= k < len(d.operands) and name for k, name in operands_in(tokens))
        expected = {e.k for e in walk(d.equation) if isinstance(e, Var)}
        expected |= {k for info in (d.sum, *d.more_sums) if info for term in info.terms for k in term.factors}
        assert {k for k, _ in operands_in(numeric_tokens(d))} >= expected
    assert equations >= 3


def test_a_name_with_the_marks_themselves_stays_whole() -> None:
    d = made(Bin("+", Var(0), Var(1)), leaf("\ue000" + "0\ue001a\ue002", 1.0), leaf("b", 2.0))
    assert symbolic_tokens(d) == [symbolic(d)]
    assert numeric_tokens(d) == [(0, "1.0"), " + ", (1, "2.0")]
    assert symbolic_tokens(leaf("a", 1.0)) == []
