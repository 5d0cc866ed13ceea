"""Arithmetic as people write it: one tree for every spelling, and errors that point at their column."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whygrad import FormulaError
from whygrad.check.grammar import (
    Binary,
    Derivative,
    Function,
    Name,
    Negative,
    Node,
    Number,
    literal,
    parse,
    walk,
)


def shape(node: Node) -> str:
    """A tree with all its brackets."""
    match node:
        case Number(text):
            return text
        case Name(text):
            return text
        case Derivative(of, by):
            return f"∂{of}/∂{by}"
        case Negative(a):
            return f"(-{shape(a)})"
        case Binary(op, a, b):
            return f"({shape(a)} {op} {shape(b)})"
        case Function(name, args):
            return f"{name}({', '.join(map(shape, args))})"


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("2*(prediction-target)/n * x", "(((2 * (prediction - target)) / n) * x)"),
        ("2·(ŷ − y)/n × x²", "(((2 * (ŷ - y)) / n) * (x ** 2))"),
        ("2(a − b)c", "((2 * (a - b)) * c)"),
        (r"\frac{2}{n}\left(\hat{y} - y\right) \cdot x^{2}", "(((2 / n) * (ŷ - y)) * (x ** 2))"),
        (r"$1-\tanh^2(z)$", "(1 - (tanh(z) ** 2))"),
        (r"1-\tanh^2 z", "(1 - (tanh(z) ** 2))"),
        ("tanh²(z)", "(tanh(z) ** 2)"),
        ("-x^2", "(-(x ** 2))"),
        ("x^-2", "(x ** (-2))"),
        ("x⁻²", "(x ** (-2))"),
        ("x**2**3", "(x ** (2 ** 3))"),
        ("a - b - c", "((a - b) - c)"),
        ("a / b / c", "((a / b) / c)"),
        ("1/2(a)", "((1 / 2) * a)"),
        ("a ÷ b", "(a / b)"),
        ("|a − b| / 2", "(abs((a - b)) / 2)"),
        (r"\lvert a \rvert", "abs(a)"),
        ("√v + ε", "(sqrt(v) + ε)"),
        (r"\sqrt{v / (1 - \beta_2^t)}", "sqrt((v / (1 - (β_2 ** t))))"),
        ("σ(z)(1 − σ(z))", "(sigmoid(z) * (1 - sigmoid(z)))"),
        ("ln(x) + log(y)", "(log(x) + log(y))"),
        ("max(0, x, y)", "max(0, x, y)"),
        ("Σᵢ a*b + c", "(sum((a * b)) + c)"),
        (r"\sum_{i=1}^{n} a \cdot b", "sum((a * b))"),
        ("∂loss/∂w[0,0] · x", "(∂loss/∂w[0,0] * x)"),
        (r"\frac{\partial L}{\partial w_{0,1}}", "∂L/∂w[0,1]"),
        (r"\partial L / \partial \hat{y}", "∂L/∂ŷ"),
        ("dL/dw * 3", "(∂L/∂w * 3)"),
        ("linear.weight[0, 0].grad@3 − 0.weight[1,-1]@init", "(linear.weight[0,0].grad@3 - 0.weight[1,-1]@init)"),
        ("w[0][1] + layers.0.bias[2]", "(w[0,1] + layers.0.bias[2])"),
        ("optimizer.exp_avg(fc1.weight)[0,1]@3 / 2", "(optimizer.exp_avg(fc1.weight)[0,1]@3 / 2)"),
        ("op3(op17)[2]@3", "op3(op17)[2]@3"),
        (r"\mathrm{loss} - 1", "(loss - 1)"),
        ("1e-3 + 1.5E+2 + .5", "((1e-3 + 1.5E+2) + .5)"),
        ("1·10⁻³", "(1 * (10 ** (-3)))"),
        ("w_1 + x₀", "(w_1 + x₀)"),
        ("((x))", "x"),
        ("+x", "x"),
    ],
)
def test_spellings(formula: str, expected: str) -> None:
    assert shape(parse(formula)) == expected


@pytest.mark.parametrize(
    ("formula", "column", "says"),
    [
        ("", 0, "found nothing"),
        ("2*(a - b", 8, "to match the '(' in column 3"),
        ("2*", 2, "the formula ends"),
        ("a b 3", 4, "expected an operator, found '3'"),
        ("tanh()", 5, "found ')'"),
        ("a ? b", 2, "'?'"),
        ("a = b", 2, "'='"),
        ("1 2", 2, "expected an operator"),
        ("∂L/x", 3, "expected '∂'"),
        (r"2*\foo", 2, "not known here"),
        ("a)", 1, "the end"),
        ("(a]", 2, "expected ')'"),
        ("|a + 1", 6, "'|'"),
        ("% + 1", 0, "before '%'"),
        ("log(a, b)", 7, "takes 1 argument"),
        (r"\frac{a}b", 8, "expected '{'"),
        ("a ** * b", 5, "found '*'"),
        ("sigmoid z", 8, "'('"),
        ("1e999", 0, "at most 400"),
        ("(" * 100 + "a" + ")" * 100, 60, "deep"),
        ("-" * 100 + "a", 59, "deep"),
        ("__import__('os')", 11, "'"),
        ("a; b", 1, "';'"),
        ("_{", 2, "the formula ends"),
        ("w_{", 3, "the formula ends"),
    ],
)
def test_errors_point_at_their_column(formula: str, column: int, says: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(formula)
    assert caught.value.column == column
    message, line, caret = str(caught.value).split("\n")
    assert says in message
    assert caret.startswith(" " * 2)
    at = caret.index("^")
    assert at == len(line) or line[at : at + 1] == formula[column : column + 1]


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("0.30", Fraction(3, 10), Fraction(1, 100)),
        ("−0.5", Fraction(-1, 2), Fraction(1, 10)),
        ("1.25e-3", Fraction(125, 100_000), Fraction(1, 100_000)),
        ("1.25·10⁻³", Fraction(125, 100_000), Fraction(1, 100_000)),
        (r"1.25 \times 10^{-3}", Fraction(125, 100_000), Fraction(1, 100_000)),
        ("12", Fraction(12), Fraction(1)),
        ("4 %", Fraction(4, 100), Fraction(1, 100)),
        (r"4.5\%", Fraction(45, 1000), Fraction(1, 1000)),
    ],
)
def test_numbers_keep_their_digits(text: str, value: Fraction, unit: Fraction) -> None:
    assert literal(parse(text)) == (value, unit)


def test_what_is_more_than_a_number() -> None:
    assert literal(parse("1 + 2")) is None
    assert literal(parse("x")) is None
    assert literal(parse("1·10^5000")) is None


def _texts() -> st.SearchStrategy[str]:
    leaf = st.sampled_from(["x", "w[0,1]", "fc1.weight[0,0]@3", "0.5", "2", "1e-3", "ŷ", "n"])
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "·", " − "]), inner).map(
                "({0[0]}{0[1]}{0[2]})".format
            ),
            inner.map("-({})".format),
            inner.map("tanh({})".format),
            inner.map("({})²".format),
        ),
        max_leaves=12,
    )


@given(_texts())
def test_every_node_knows_its_columns(text: str) -> None:
    """The text between a node's columns reads as that node."""
    for node in walk(parse(text)):
        if text[node.start : node.end] == "²":
            continue  # an exponent does not stand alone
        assert shape(parse(text[node.start : node.end])) == shape(node)


def test_a_formula_of_a_whole_page_is_refused() -> None:
    with pytest.raises(FormulaError, match="at most 2000 are read"):
        parse("a + " * 1000 + "a")


def column_of_error(text: str) -> int:
    """Where reading stopped; 0 where the text is a formula."""
    try:
        parse(text)
    except FormulaError as error:
        return error.column
    return 0


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert 0 <= column_of_error(text) <= len(text)


@given(st.text(alphabet="xy12.()[]{}|+-*/^²√∂\\_ ,%@eE·", max_size=30))
def test_text_like_a_formula_is_read_or_refused(text: str) -> None:
    assert 0 <= column_of_error(text) <= len(text)
