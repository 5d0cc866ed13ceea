"""The Python form: run as it would be pasted, it gives the very bits."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whygrad.errors import OpaqueError
from whygrad.explain.derivation import Derivation, Role, SumInfo, Term, Verdict
from whygrad.floats import to_bits
from whygrad.floats.formats import FORMATS
from whygrad.rules.expr import Bin, Call, Dot, Expr, Fma, Neg, Num, Python, Round, Series, Var
from whygrad.view.python import derivation_python, python_form


def leaf(label: str, value: float, fmt: str, role: Role = "activation") -> Derivation:
    return Derivation(f"{label}@0", label, value, fmt, "", role, "forward", Verdict("given"))


def made(
    equation: Expr | None,
    operands: tuple[Derivation, ...],
    value: float,
    fmt: str,
    sum: SumInfo | None = None,
) -> Derivation:
    return Derivation(
        "y@0", "y", value, fmt, "", "activation", "forward", Verdict("same bits", 0),
        op="aten.x.default", equation=equation, operands=operands, sum=sum,
    )  # fmt: skip


def pasted(source: str) -> float:
    space: dict[str, Any] = {}
    exec(source, space)
    return space["result"]


def assert_gives_the_bits(derivation: Derivation) -> None:
    fmt = FORMATS[derivation.format]
    assert to_bits(pasted(derivation_python(derivation)), fmt) == to_bits(float(derivation.value), fmt)
    assert python_form(derivation).ulp == 0


DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}
NUMBERS = st.floats(-4, 4, width=32)


def of(value: float, fmt: str) -> float:
    return torch.tensor(value, dtype=DTYPES[fmt]).item()


@pytest.mark.parametrize("fmt", list(DTYPES))
@given(NUMBERS, NUMBERS)
def test_sgd_as_torch_does_it(fmt: str, weight: float, gradient: float) -> None:
    """The oracle is torch's own optimizer."""
    p = torch.tensor([weight], dtype=DTYPES[fmt], requires_grad=True)
    p.grad = torch.tensor([gradient], dtype=DTYPES[fmt])
    before = p.item()
    torch.optim.SGD([p], lr=0.1).step()
    operands = (
        leaf("w", before, fmt),
        leaf("lr", 0.1, "float64", "hyperparameter"),
        leaf("∂loss/∂w", p.grad.item(), fmt),
    )
    update = Bin("*", Python(Neg(Var(1)), -0.1), Var(2))
    assert_gives_the_bits(made(Bin("+", Var(0), update), operands, p.item(), fmt))


@pytest.mark.parametrize("fmt", list(DTYPES))
@pytest.mark.parametrize("op", ["+", "-", "*", "/"])
def test_one_operation(fmt: str, op: Literal["+", "-", "*", "/"]) -> None:
    a, b = torch.tensor(1.7, dtype=DTYPES[fmt]), torch.tensor(-0.3, dtype=DTYPES[fmt])
    result = {"+": a + b, "-": a - b, "*": a * b, "/": a / b}[op].item()
    assert_gives_the_bits(
        made(Bin(op, Var(0), Var(1)), (leaf("a", a.item(), fmt), leaf("b", b.item(), fmt)), result, fmt)
    )


@given(NUMBERS, NUMBERS, NUMBERS)
def test_fma_is_rounded_once(a: float, b: float, c: float) -> None:
    exact = np.longdouble(a) * np.longdouble(b) + np.longdouble(c)
    value = float(np.float32(exact))
    operands = (leaf("a", a, "float32"), leaf("b", b, "float32"), leaf("c", c, "float32"))
    form = python_form(made(Fma(Var(0), Var(1), Var(2)), operands, value, "float32"))
    assert abs(pasted(form.source) - value) <= np.spacing(np.float32(abs(value)))  # longdouble may round twice


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sqrt", "sin", "sigmoid"])
@pytest.mark.parametrize("fmt", ["float16", "float32"])
def test_functions(name: str, fmt: str) -> None:
    x = torch.tensor(0.7, dtype=DTYPES[fmt])
    assert_gives_the_bits(made(Call(name, (Var(0),)), (leaf("x", x.item(), fmt),), getattr(torch, name)(x).item(), fmt))


@pytest.mark.parametrize("fmt", ["float16", "bfloat16", "float32"])
def test_a_linear_layer(fmt: str) -> None:
    layer = torch.nn.Linear(3, 1).to(DTYPES[fmt])
    x = torch.randn(1, 3).to(DTYPES[fmt])
    operands = [leaf("bias", layer.bias.item(), fmt)]
    terms: list[Term] = []
    for i in range(3):
        place = len(operands)
        operands += [
            leaf(f"x[0,{i}]", x[0, i].item(), fmt),
            leaf(f"w[0,{i}]", layer.weight[0, i].item(), fmt),
        ]
        terms.append(Term(i, (place, place + 1), 0.0))
    all_three = Series(0, np.zeros((3, 2), dtype=np.int64))
    equation = Dot(all_three, all_three, Var(0))
    assert_gives_the_bits(made(equation, tuple(operands), layer(x).item(), fmt, SumInfo(3, tuple(terms), 0.0, 0, True)))


def test_a_sum_of_squares() -> None:
    a, b = torch.randn(3), torch.randn(3)
    operands: list[Derivation] = []
    for i in range(3):
        operands += [leaf(f"a[{i}]", a[i].item(), "float32"), leaf(f"b[{i}]", b[i].item(), "float32")]
    terms = tuple(Term(i, (2 * i, 2 * i + 1), 0.0) for i in range(3))
    many, difference = Series(0, np.zeros((3, 1), dtype=np.int64)), Bin("-", Var(0), Var(1))
    equation = Bin("/", Dot(many, many, term=Bin("*", difference, difference)), Num(3, "n"))
    value = torch.nn.functional.mse_loss(a, b).item()
    assert_gives_the_bits(made(equation, tuple(operands), value, "float32", SumInfo(3, terms, 0.0, 0, False)))


def test_rounding_in_the_middle() -> None:
    a, b = of(0.1, "float16"), of(0.3, "float16")
    product = float(np.float16(np.float32(a) * np.float32(b)))
    value = float(np.float16(np.float32(product) + np.float32(1)))
    equation = Bin("+", Round(Bin("*", Var(0), Var(1)), "float16"), Num(1))
    assert_gives_the_bits(made(equation, (leaf("a", a, "float16"), leaf("b", b, "float16")), value, "float16"))


def test_what_python_computed_is_computed_in_double() -> None:
    correction = 1 - 0.9**3
    operands = (leaf("m", 0.5, "float32"), leaf("beta1", 0.9, "float64", "hyperparameter"))
    equation = Bin("/", Var(0), Python(Bin("-", Num(1), Bin("**", Var(1), Num(3, "t"))), correction))
    derivation = made(equation, operands, (torch.tensor(0.5) / torch.tensor(correction)).item(), "float32")
    assert "(1 - (beta1 ** 3))" in derivation_python(derivation)
    assert_gives_the_bits(derivation)


@pytest.mark.parametrize("value", [math.inf, -math.inf, -0.0])
def test_special_results(value: float) -> None:
    assert_gives_the_bits(made(Bin("*", Var(0), Num(1.5)), (leaf("x", value, "float32"),), value, "float32"))


def test_labels_become_names() -> None:
    operands = (
        leaf("∂loss/∂fc1.weight[0,1]", 1.0, "float32"),
        leaf("lambda", 2.0, "float32"),
        leaf("lambda", 3.0, "float32"),
    )
    equation = Bin("+", Var(0), Bin("*", Var(1), Var(2)))
    source = derivation_python(made(equation, operands, 7.0, "float32"))
    for name in ("dloss_dfc1_weight_0_1 =", "lambda_2 =", "lambda_3 ="):
        assert name in source


def test_a_line_break_in_a_name_stays_in_the_comment() -> None:
    assert pasted(derivation_python(made(Var(0), (leaf("a\nresult = 5  #", 1.0, "float32"),), 1.0, "float32"))) == 1.0


def test_a_wrong_equation_says_how_far_off_it_is() -> None:
    form = python_form(made(Var(0), (leaf("a", 1.0, "float32"),), 1.125, "float32"))
    assert form.ulp > 0
    assert f"{form.ulp} ulp off" in form.source


@pytest.mark.parametrize(
    ("derivation", "word"),
    [
        (made(None, (), 1.0, "float32"), "has no rule"),
        (leaf("x", 1.0, "float32"), "was given"),
        (
            made(Var(0), (leaf("x", 1.0, "float32"),), 1.0, "float32", SumInfo(9, (), 0.0, 9, False)),
            "sums 9 terms",
        ),
    ],
)
def test_what_has_no_program(derivation: Derivation, word: str) -> None:
    with pytest.raises(OpaqueError, match=word):
        derivation_python(derivation)
