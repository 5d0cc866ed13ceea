"""Equations as text: the notation, the parentheses, the two forms side by side."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whygrad.explain.derivation import Derivation, Role, SumInfo, Term, Verdict
from whygrad.floats import number_format, round_to
from whygrad.rules.expr import Bin, Call, Case, Dot, Expr, Fma, Neg, Num, Python, Round, Series, Var
from whygrad.view.equation import because, numeric, symbolic
from whygrad.view.latex import derivation_latex, latex


def leaf(label: str, value: float, fmt: str = "float32", role: Role = "activation") -> Derivation:
    return Derivation(f"{label}@0", label, value, fmt, "", role, "forward", Verdict("given"))


def made(equation: Expr, *operands: Derivation, value: float = 0.0, sum: SumInfo | None = None) -> Derivation:
    return Derivation(
        "y@0", "y", value, "float32", "", "activation", "forward", Verdict("same bits", 0),
        op="aten.x.default", equation=equation, operands=operands, sum=sum,
    )  # fmt: skip


A, B, C = leaf("a", 2.0), leaf("b", -0.5), leaf("c", 3.0)
X, Y, Z = Var(0), Var(1), Var(2)


@pytest.mark.parametrize(
    ("equation", "names", "numbers"),
    [
        (Bin("+", X, Y), "a + b", "2.0 + (−0.5)"),
        (Bin("+", Y, X), "b + a", "−0.5 + 2.0"),
        (Bin("-", X, Y), "a − b", "2.0 − (−0.5)"),
        (Bin("*", Y, X), "b · a", "−0.5 · 2.0"),
        (Bin("+", X, Bin("*", Y, Z)), "a + b · c", "2.0 + (−0.5) · 3.0"),
        (Bin("*", Bin("+", X, Y), Z), "(a + b) · c", "(2.0 + (−0.5)) · 3.0"),
        (Bin("-", X, Bin("-", Y, Z)), "a − (b − c)", "2.0 − (−0.5 − 3.0)"),
        (Bin("+", X, Bin("+", Y, Z)), "a + (b + c)", "2.0 + (−0.5 + 3.0)"),
        (Bin("*", X, Bin("*", Y, Z)), "a · (b · c)", "2.0 · (−0.5 · 3.0)"),
        (Bin("/", X, Bin("*", Y, Z)), "a / (b · c)", "2.0 / (−0.5 · 3.0)"),
        (Bin("/", Bin("*", X, Y), Z), "a · b / c", "2.0 · (−0.5) / 3.0"),
        (Bin("+", X, Bin("*", Neg(Y), Z)), "a − b · c", "2.0 − (−0.5) · 3.0"),
        (Bin("+", X, Bin("*", Python(Neg(Y), 0.5), Z)), "a − b · c", "2.0 − (−0.5) · 3.0"),
        (Bin("+", X, Bin("*", Round(Neg(Y), "float16"), Z)), "a − float16(b) · c", "2.0 − float16(−0.5) · 3.0"),
        (Fma(Neg(Y), Z, X), "a − b · c", "2.0 − (−0.5) · 3.0"),
        (Fma(Y, Z, X), "b · c + a", "−0.5 · 3.0 + 2.0"),
        (Bin("+", X, Num(-2)), "a − 2", "2.0 − 2"),
        (Bin("-", X, Neg(Y)), "a − (−b)", "2.0 − (−(−0.5))"),
        (Bin("*", Num(1), X), "a", "2.0"),
        (Bin("*", X, Num(1)), "a", "2.0"),
        (Bin("/", X, Num(1)), "a", "2.0"),
        (Bin("*", Num(1, "n"), X), "n · a", "1 · 2.0"),
        (Bin("*", X, Num(0.25, "1/n")), "a · (1/n)", "2.0 · 0.25"),
        (Bin("**", Y, Num(2)), "b²", "(−0.5)²"),
        (Bin("**", X, Num(-1)), "a⁻¹", "2.0⁻¹"),
        (Bin("**", Bin("-", X, Y), Num(2)), "(a − b)²", "(2.0 − (−0.5))²"),
        (Bin("**", X, Num(0.5)), "a^0.5", "2.0^0.5"),
        (Neg(Bin("+", X, Y)), "−(a + b)", "−(2.0 + (−0.5))"),
        (Neg(Y), "−b", "−(−0.5)"),
        (Bin("+", Neg(X), Y), "−a + b", "−2.0 + (−0.5)"),
        (Call("exp", (Neg(X),)), "exp(−a)", "exp(−2.0)"),
        (Call("sqrt", (X,)), "√a", "√2.0"),
        (Call("sqrt", (Bin("+", X, Y),)), "√(a + b)", "√(2.0 + (−0.5))"),
        (Call("abs", (Y,)), "|b|", "|−0.5|"),
        (Call("max", (X, Num(0))), "max(a, 0)", "max(2.0, 0)"),
        (Round(Bin("*", X, Y), "float16"), "float16(a · b)", "float16(2.0 · (−0.5))"),
        (Case("a > 0", X), "a", "2.0"),
    ],
)  # fmt: skip
def test_notation(equation: Expr, names: str, numbers: str) -> None:
    derivation = made(equation, A, B, C)
    assert symbolic(derivation) == names
    assert numeric(derivation) == numbers


def test_an_operand_called_minus_lr_is_subtracted() -> None:
    derivation = made(Bin("+", X, Bin("*", Y, Z)), leaf("w", 0.5), leaf("−lr", -0.1, "float64"), leaf("∂loss/∂w", -2.0))
    assert symbolic(derivation) == "w − lr · ∂loss/∂w"
    assert numeric(derivation) == "0.5 − 0.1 · (−2.0)"


def test_a_label_that_is_a_formula_is_put_in_parentheses() -> None:
    derivation = made(Bin("*", X, Y), leaf("1 − β₁", 0.1, "float64"), leaf("g", 2.0))
    assert symbolic(derivation) == "(1 − β₁) · g"


def test_numbers_are_written_in_their_own_format() -> None:
    tenth = 0.0999755859375
    assert numeric(made(X, leaf("a", tenth, "float16"))) == "0.1"
    assert numeric(made(X, leaf("a", tenth, "float64"))) == "0.0999755859375"


def test_which_branch() -> None:
    assert because(made(Case("x > 0", X, "0"), A)) == "because x > 0; otherwise 0"
    assert because(made(X, A)) == ""


def test_no_equation_no_text() -> None:
    assert symbolic(A) == numeric(A) == ""


def series(count: int) -> Series:
    return Series(0, np.zeros((count, 1), dtype=np.int64))


def dot(shown: int, count: int, init: bool, rest: float = 0.25) -> Derivation:
    """Σ x[0,i]·w[2,i] (+ b): `shown` of `count` terms are held."""
    operands = [leaf("b", 0.125)] if init else []
    terms: list[Term] = []
    for i in range(shown):
        place = len(operands)
        operands += [leaf(f"x[0,{i}]", float(i + 1)), leaf(f"w[2,{i}]", -0.5)]
        terms.append(Term(i, (place, place + 1), -0.5 * (i + 1)))
    info = SumInfo(count, tuple(terms), rest, count - shown, init)
    equation = Dot(series(count), series(count), Var(0) if init else None)
    return made(equation, *operands, sum=info)


def test_a_long_sum_names_its_largest_terms_and_the_rest() -> None:
    derivation = dot(2, 63, init=True)
    assert symbolic(derivation) == "Σᵢ x[0,i] · w[2,i] + b"
    assert numeric(derivation) == "1.0 · (−0.5) + 2.0 · (−0.5) + (61 more terms: 0.25) + 0.125"


def test_the_rest_says_when_it_is_cut_short() -> None:
    assert "(61 more terms: ≈ 0.333)" in numeric(dot(2, 63, init=False, rest=1 / 3))


def test_a_sum_of_one_term_is_a_product() -> None:
    derivation = dot(1, 1, init=True)
    assert symbolic(derivation) == "x[0,0] · w[2,0] + b"
    assert numeric(derivation) == "1.0 · (−0.5) + 0.125"


def test_a_whole_sum_has_no_rest() -> None:
    assert numeric(dot(2, 2, init=False)) == "1.0 · (−0.5) + 2.0 · (−0.5)"


def test_a_sum_of_squares_has_its_terms_written_out() -> None:
    term = Bin("**", Bin("-", Var(0), Var(1)), Num(2))
    operands = (leaf("p[0]", 1.0), leaf("t[0]", 0.5), leaf("p[1]", 2.0), leaf("t[1]", -0.5))
    info = SumInfo(2, (Term(0, (0, 1), 0.25), Term(1, (2, 3), 6.25)), 0.0, 0, False)
    derivation = made(Bin("/", Dot(series(2), series(2), term=term), Num(2, "n")), *operands, sum=info)
    assert symbolic(derivation) == "(Σᵢ (p[i] − t[i])²) / n"
    assert numeric(derivation) == "((1.0 − 0.5)² + (2.0 − (−0.5))²) / 2"


# ---- an oracle: the numeric text, read as a formula, has the value of the equation


NUMBERS = st.integers(-8, 8).map(lambda n: n / 4)


def expressions() -> st.SearchStrategy[Expr]:
    atoms = st.one_of(st.integers(0, 3).map(Var), NUMBERS.map(Num))

    def larger(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        return st.one_of(
            st.builds(Bin, st.sampled_from("+-*"), inner, inner),
            st.builds(Neg, inner),
            st.builds(Fma, inner, inner, inner),
            st.builds(lambda a: Bin("**", a, Num(2)), inner),
            st.builds(Python, inner, NUMBERS),
        )

    return st.recursive(atoms, larger, max_leaves=12)


def value_of(expr: Expr, values: list[float]) -> Fraction:
    match expr:
        case Var(k):
            return Fraction(values[k])
        case Num(value, _):
            return Fraction(value)
        case Neg(a) | Python(a, _):
            inner = value_of(a, values)
            return -inner if isinstance(expr, Neg) else inner
        case Fma(a, b, c):
            return value_of(a, values) * value_of(b, values) + value_of(c, values)
        case Bin(op, a, b):
            x, y = value_of(a, values), value_of(b, values)
            return {"+": x + y, "-": x - y, "*": x * y, "**": x**2}[op]
        case _:
            raise AssertionError(expr)


def read(text: str) -> Fraction:
    plain = text.replace("−", "-").replace("·", "*").replace("²", "**2")
    return eval(
        re.sub(r"\d+\.\d+|\d+(?!\*\*)", lambda m: f"F('{m.group()}')", plain.replace("**2", "**two")),
        {"F": Fraction, "two": 2},
    )


@given(expressions(), st.lists(NUMBERS, min_size=4, max_size=4))
def test_the_text_means_what_the_equation_means(expr: Expr, values: list[float]) -> None:
    derivation = made(expr, *(leaf("abcd"[k], v) for k, v in enumerate(values)))
    assert read(numeric(derivation)) == value_of(expr, values)


@given(expressions(), st.lists(NUMBERS, min_size=4, max_size=4))
def test_names_and_numbers_have_the_same_meaning(expr: Expr, values: list[float]) -> None:
    derivation = made(expr, *(leaf("abcd"[k], v) for k, v in enumerate(values)))
    text = symbolic(derivation)
    for k, value in enumerate(values):
        text = text.replace("abcd"[k], f"({value})".replace("-", "−"))
    assert read(text) == value_of(expr, values)


@given(st.floats(allow_nan=False, allow_infinity=False, width=16))
def test_every_number_shown_reads_back(value: float) -> None:
    fmt = number_format("float16")
    text = numeric(made(X, leaf("a", value, "float16"))).replace("−", "-")
    assert round_to(float(text), fmt) == value


# ---- LaTeX


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a − b · c", r"a - b \cdot c"),
        ("∂loss/∂fc1.weight[0,1]", r"\frac{\partial \text{loss}}{\partial \text{fc1.weight}_{0,1}}"),
        ("x²", "x^{2}"),
        ("√(a + b) + 1", r"\sqrt{a + b} + 1"),
        ("exp(−x)", r"\exp(-x)"),
        ("2.4e-07 · b", r"2.4 \cdot 10^{-7} \cdot b"),
        ("exp_avg", r"\text{exp\_avg}"),
    ],
)
def test_latex(text: str, expected: str) -> None:
    assert latex(text) == expected


def test_latex_has_three_lines() -> None:
    lines = derivation_latex(made(Bin("*", X, Y), A, B, value=-1.0)).splitlines()
    assert lines[1:4] == [r"y &= a \cdot b \\", r"&= 2.0 \cdot (-0.5) \\", "&= -1.0"]
