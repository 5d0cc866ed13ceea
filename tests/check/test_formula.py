"""Formulas of a network's gradients and updates: right ones are never called wrong, in wrong ones the right part is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whygrad
from tests.check.runs import network
from whygrad import FormulaError

RAW, H = "fc1.output[0,1]", "act1.output[0,1]"
W1, W2, OUT = "fc1.weight[1,0].grad@1", "fc2.weight[0,1].grad@1", "prediction[0,0].grad@1"
UPDATE, STATE = "fc1.weight[1,0]@1", "optimizer.{}(fc1.weight)[1,0]@1"


@dataclass(frozen=True)
class Case:
    """A formula and the run that it is about; of a wrong one, what is to be said of it."""

    address: str
    formula: str
    run: Mapping[str, object]
    kind: str = ""
    wrote: str = ""
    says: str = ""


def run_of(case: Case) -> whygrad.Run:
    return network(**case.run)  # pyright: ignore[reportArgumentType]


Options: TypeAlias = "dict[str, str | int]"
TANH: Options = {"activation": "tanh"}
SIG: Options = {"activation": "sigmoid"}
RELU: Options = {"activation": "relu"}
BCE: Options = {"loss": "bce"}
CE: Options = {"loss": "ce"}
FOUR: Options = {"batch": 4}
SIX: Options = {"batch": 6}
DEEP: Options = {"layers": 3}
ADAM: Options = {"optimizer": "adam"}
MOMENTUM: Options = {"optimizer": "momentum"}
SOFTMAX = "exp(prediction[0,1])/(exp(prediction[0,0]) + exp(prediction[0,1]) + exp(prediction[0,2]))"
PATHS = "2*(prediction - target)*({0})*(1 - act1.output[0,1]^2)*input[0,0]"
PATH = "fc3.weight[0,{0}]*(1 - act2.output[0,{0}]^2)*fc2.weight[{0},1]"
THROUGH = [PATH.format(k) for k in range(3)]

RIGHT = [
    Case(OUT, "2*(prediction - target)", TANH),
    Case(OUT, "2/n·(ŷ − y)", TANH),
    Case(OUT, "2*(prediction - target)/n", FOUR),
    Case(W2, "2*(prediction - target)/n * tanh(fc1.output[0,1])", TANH),
    Case(W2, "∂loss/∂prediction * act1.output[0,1]", TANH),
    Case(W2, r"\frac{\partial L}{\partial \hat{y}} \cdot \tanh\left(fc1.output[0,1]\right)", TANH),
    Case(W1, "2*(prediction-target)*fc2.weight[0,1]*(1 - tanh(fc1.output[0,1])^2)*input[0,0]", TANH),
    Case(W1, "(1 - act1.output[0,1]²)·input[0,0]·fc2.weight[0,1]·2·(ŷ − y)", TANH),
    Case(W1, "-2*(target-prediction)*fc2.weight[0,1]*(1+act1.output[0,1])*(1-act1.output[0,1])*input[0,0]", TANH),
    Case(W1, "2(ŷ−y)·fc2.weight[0,1]·σ(fc1.output[0,1])·(1−σ(fc1.output[0,1]))·x[0]", SIG),
    Case(W1, "∂loss/∂fc1.output[0,1] * x[0]", RELU),
    Case("fc1.bias[1].grad@1", "2*(prediction-target)*fc2.weight[0,1]", RELU),
    Case(W1, "sum(2*(prediction-target)/n*fc2.weight[0,1]*(1-act1.output^2)*input)", FOUR),
    Case(W1, "sum(∂loss/∂fc1.output * x)", FOUR),
    Case(W1, "sum(2*(prediction-target)/n*fc2.weight[0,1]*(1-act1.output^2)*input)", SIX),
    Case(W1, "sum(∂loss/∂fc1.output * x)", SIX),
    Case("loss@1", "sum((prediction - target)^2)/n", SIX),
    Case("fc2.bias[0].grad@1", "mean(2*(prediction-target))", FOUR),
    Case("fc2.bias[0].grad@1", "(prediction - target)", SIG | BCE),
    Case("fc2.bias[0].grad@1", "sum(prediction - target)/n", SIG | BCE | FOUR),
    Case(W2, "(prediction - target)*act1.output[0,1]", SIG | BCE),
    Case("fc2.bias[1].grad@1", SOFTMAX, CE),
    Case("fc2.bias[0].grad@1", SOFTMAX.replace("exp(prediction[0,1])/", "exp(prediction[0,0])/") + " - 1", CE),
    Case("fc2.weight[1,0].grad@1", f"({SOFTMAX})*act1.output[0,0]", CE),
    Case(W1, PATHS.format(" + ".join(THROUGH)), DEEP),
    Case(W1, " + ".join(PATHS.format(each) for each in THROUGH), DEEP),
    Case(UPDATE, "w - lr*g", TANH),
    Case(UPDATE, "fc1.weight[1,0] - 0.1*∂loss/∂fc1.weight[1,0]", FOUR),
    Case(UPDATE, "w - lr*buf", MOMENTUM),
    Case(STATE.format("momentum_buffer"), "μ*buf + g", MOMENTUM),
    Case(STATE.format("exp_avg"), "β1*m + (1-β1)*g", ADAM),
    Case(STATE.format("exp_avg_sq"), "β2*v + (1-β2)*g²", ADAM),
    Case(UPDATE, "w - lr*(m/(1-β1^t)) / (√(v/(1-β2^t)) + ε)", ADAM),
    Case(W1, "sum(2*(prediction[0]-target[0])/n*fc2.weight[0,1]*(1-act1.output[1]^2)*x[0])", FOUR),
    Case(W2, "2*mean(∂loss/∂prediction[0] * act1.output[1]) * n/2", FOUR),
    Case("loss@1", "mean((prediction - target)^2)", FOUR),
    Case("loss@1", "-(y*log(p) + (1-y)*log(1-p))", SIG | BCE),
    Case("act1.output[0,1]@1", "tanh(x[0]*fc1.weight[1,0] + x[1]*fc1.weight[1,1] + fc1.bias[1])", TANH),
]

FIRST = SOFTMAX.replace("exp(prediction[0,1])/", "exp(prediction[0,0])/")
FIRST_BUFFER = STATE.format("momentum_buffer").replace("@1", "@0")
CHAIN = "2*(prediction-target)*fc2.weight[0,1]*(1-act1.output[0,1]^2)*input[0,0]"
BATCH = "sum(2*(prediction-target)/n*fc2.weight[0,1]*(1-act1.output^2)*input)"
WRONG = [
    Case(OUT, "2*(target - prediction)", TANH, "sign", "(target - prediction)", "prediction − target"),
    Case(OUT, "prediction - target", TANH, "missing factor", "prediction - target", "factor 2"),
    Case(OUT, "2*(prediction - target)", FOUR, "missing factor", "2*(prediction - target)", "1/n"),
    Case(OUT, "2*(prediction + target)", TANH, "sign", "target", ""),
    Case(OUT, "3*(prediction - target)/n", FOUR, "number", "3", "should be 2"),
    Case(W1, CHAIN.replace("act1.output", "fc1.output"), TANH, "factor", f"(1-{RAW}^2)", f"1 − {H} · {H}"),
    Case(W1, CHAIN.replace("*(1-act1.output[0,1]^2)", ""), TANH, "missing factor", "", f"1 − {H} · {H}"),
    Case(W1, CHAIN.replace("^2", ""), TANH, "factor", f"(1-{H})", f"1 − {H} · {H}"),
    Case(W1, CHAIN.replace("*input[0,0]", ""), TANH, "missing factor", "", "input[0,0]"),
    Case(W1, CHAIN.replace("input[0,0]", "input[0,1]"), TANH, "other element", "input[0,1]", "input[0,0]@1"),
    Case(
        W1, CHAIN.replace("weight[0,1]", "weight[0,2]"), TANH, "other element", "fc2.weight[0,2]", "fc2.weight[0,1]@0"
    ),
    Case(
        W1, CHAIN.replace("weight[0,1]", "weight[0,1]@1"), TANH, "other step", "fc2.weight[0,1]@1", "before the update"
    ),
    Case(
        W1,
        CHAIN.replace("(prediction-target)", "(target-prediction)"),
        TANH,
        "sign",
        "(target-prediction)",
        "prediction",
    ),
    Case(W1, CHAIN.replace("*fc2.weight[0,1]", ""), TANH, "missing factor", "", "fc2.weight[0,1]"),
    Case(W1, CHAIN + "*fc2.weight[0,0]", TANH, "extra factor", "fc2.weight[0,0]", "does not belong"),
    Case(
        W1,
        "2(ŷ−y)·fc2.weight[0,1]·σ(fc1.output[0,1])·x[0]",
        SIG,
        "missing factor",
        "",
        "1 − act1.output[0,1]",
    ),
    Case(
        W1,
        "2(ŷ−y)*fc2.weight[0,1]*fc1.output[0,1]*(1-fc1.output[0,1])*x[0]",
        SIG,
        "function other number factor",
        "fc1.output[0,1]",
        H,
    ),
    Case(
        "fc1.weight[0,0].grad@1",
        "2*(prediction-target)*fc2.weight[0,0]*x[0]",
        RELU,
        "missing factor",
        "",
        "because y ≤ 0",
    ),
    Case(W1, BATCH.replace("act1.output", "fc1.output"), FOUR, "factor", "(1-fc1.output^2)", "each of 4 terms"),
    Case(W1, BATCH.replace("/n", ""), FOUR, "missing factor", "sum", "1/n"),
    Case(W1, BATCH.replace("input)", "input[0,0])"), FOUR, "other element", "input[0,0]", ""),
    Case(
        "fc2.bias[0].grad@1",
        "sum(prediction/n)",
        SIG | BCE | FOUR,
        "part",
        "prediction",
        "prediction[1,0] − target[1,0]",
    ),
    Case("fc2.bias[0].grad@1", "target - prediction", SIG | BCE | {"batch": 1}, "sign", "", ""),
    Case(
        "fc2.bias[0].grad@1",
        "(prediction-target)*prediction*(1-prediction)",
        SIG | BCE,
        "extra factor",
        "prediction",
        "",
    ),
    Case(
        "fc2.bias[0].grad@1",
        SOFTMAX.replace("exp(prediction[0,1])/", "exp(prediction[0,0])/"),
        CE,
        "missing term",
        "",
        "−1",
    ),
    Case(
        "fc2.weight[1,0].grad@1",
        f"({SOFTMAX})*act1.output[0,1]",
        CE,
        "other element",
        "act1.output[0,1]",
        "act1.output[0,0]",
    ),
    Case(W1, PATHS.format(" + ".join(THROUGH[:2])), DEEP, "missing term", "", "fc2.weight[2,1]"),
    Case(W1, " + ".join(PATHS.format(each) for each in THROUGH[1:]), DEEP, "missing term", "", "fc2.weight[0,1]"),
    Case(
        W1,
        PATHS.format(" + ".join(THROUGH)).replace("fc2.weight[2,1]", "fc2.weight[2,0]"),
        DEEP,
        "other element",
        "fc2.weight[2,0]",
        "fc2.weight[2,1]",
    ),
    Case(
        W1,
        PATHS.format(" + ".join(THROUGH)).replace("(1 - act2.output[0,0]^2)*", ""),
        DEEP,
        "missing factor",
        "fc3.weight[0,0]*fc2.weight[0,1]",
        "act2.output[0,0]",
    ),
    Case(UPDATE, "w + lr*g", TANH, "sign", "lr*g", ""),
    Case(UPDATE, "w - g", TANH, "missing factor", "g", "lr"),
    Case(UPDATE, "w@1 - lr*g", TANH, "other step", "w@1", "before the update"),
    Case(UPDATE, "w - 0.01*g", TANH, "number", "0.01", "lr"),
    Case(UPDATE, "w - lr*fc1.weight[1,1].grad", TANH, "other element", "fc1.weight[1,1].grad", "fc1.weight[1,0].grad"),
    Case(UPDATE, "w - lr*g", MOMENTUM, "other number", "g", "momentum_buffer"),
    Case(STATE.format("momentum_buffer"), "buf + g", MOMENTUM, "missing factor", "buf", "momentum"),
    Case(STATE.format("exp_avg"), "β1*m + g", ADAM, "missing factor", "g", "1 − beta1"),
    Case(STATE.format("exp_avg_sq"), "β2*v + (1-β2)*g", ADAM, "missing factor", "(1-β2)*g", "fc1.weight[1,0]"),
    Case(STATE.format("exp_avg"), "β2*m + (1-β1)*g", ADAM, "other number", "β2", "beta1"),
    Case(UPDATE, "w - lr*m/(√(v/(1-β2^t)) + ε)", ADAM, "missing factor", "", "1 − beta1^step"),
    Case(UPDATE, "w - lr*(m/(1-β1^t))/(√v + ε)", ADAM, "missing factor", "", "beta2^step"),
    Case(UPDATE, "w - lr*(m/(1-β1^t))/(v/(1-β2^t) + ε)", ADAM, "function", "v/(1-β2^t)", "√"),
    Case("loss@1", "sum((prediction - target)^2)", FOUR, "missing factor", "", "1/n"),
    Case("loss@1", "mean(prediction - target)^2", FOUR, "power", "mean", "should be mean((prediction - target)^2)"),
    Case("loss@1", "sum(prediction - target)²/n", FOUR, "power", "sum", "should be sum((prediction - target)²)"),
    Case("loss@1", "prediction^2 - target^2", TANH, "power", "", "should be (prediction - target)^2"),
    Case("loss@1", "abs(prediction - target)", TANH, "function", "", "should be (abs(prediction - target))²"),
    Case(H + "@1", "sigmoid(fc1.output[0,1])", TANH, "function", "", "should be tanh(fc1.output[0,1])"),
    Case(OUT, "2*(prediction - target)/3", TANH, "extra factor", "3", "the divisor 3 does not belong there"),
    Case(W2, "sum(2/n*(prediction-target))", FOUR, "missing factor", "", "act1.output[0,1]"),
    Case(W2, "sum(2/n*(prediction-target))", SIX, "missing factor", "", "3 largest of 6 terms"),
    Case(W1, BATCH.replace("*input", ""), SIX, "missing factor", "", "input["),
    Case(W2, "2*mean(prediction-target)", SIX, "missing factor", "prediction-target", "act1.output["),
    Case("fc2.weight[0,0].grad@1", f"({FIRST})*act1.output[0,0]", CE, "missing term", "exp", "lacks the term −1"),
    Case("prediction[0,0].grad@1", FIRST, CE, "missing term", "", "lacks the term −1"),
    Case(STATE.format("momentum_buffer"), "μ*buf + (1-μ)*g", MOMENTUM, "extra factor", "(1-μ)", "does not belong"),
    Case(FIRST_BUFFER, "(1 - momentum)*g", MOMENTUM, "extra factor", "(1 - momentum)", "does not belong"),
    Case(
        "act1.output[0,1]@1", "x[0]*fc1.weight[1,0] + x[1]*fc1.weight[1,1] + fc1.bias[1]", TANH, "function", "", "tanh"
    ),
]


def test_there_are_enough() -> None:
    assert len(RIGHT) >= 30
    assert len(WRONG) >= 30


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: f"{case.address} = {case.formula}")
def test_a_right_formula_is_right(case: Case) -> None:
    check = run_of(case).check(case.formula, case.address)
    assert check, repr(check)
    assert check.outcome in ("same bits", "equal before rounding")
    assert check.outcome == "same bits" or check.allowed < 200


@settings(max_examples=25)
@given(st.data())
def test_a_right_formula_rewritten_is_right(data: st.DataObject) -> None:
    """Factors in any order and grouping, the 2 and the n anywhere, squares as products, minus signs in pairs."""
    batch = data.draw(st.sampled_from([1, 4]))
    factors = ["2", "(1/n)", "(prediction[0,0] - target[0,0])", "fc2.weight[0,1]", f"(1 - {H}^2)"]
    other = {
        factors[2]: "(-(target[0,0] - prediction[0,0]))", factors[4]: f"(1 - {H})*(1 + {H})", "2": "(4/2)", "(1/n)": "(2/n)*0.5",
    }  # fmt: skip
    chosen = [data.draw(st.sampled_from([each, other.get(each, each)])) for each in data.draw(st.permutations(factors))]
    while len(chosen) > 1:
        at = data.draw(st.integers(0, len(chosen) - 2))
        sign = data.draw(st.sampled_from(["*", "·", " \\cdot "]))
        chosen[at : at + 2] = [f"({chosen[at]}{sign}{chosen[at + 1]})"]
    check = network(batch=batch).check(chosen[0], "fc1.output[0,1].grad@1")
    assert check, repr(check)


@settings(max_examples=12)
@given(st.permutations(range(4)), st.booleans())
def test_a_sum_over_examples_in_any_order_is_right(order: list[int], apart: bool) -> None:
    terms = [f"2*(prediction[{i},0]-target[{i},0])*act1.output[{i},1]" + ("/n" if apart else "") for i in order]
    formula = " + ".join(terms) if apart else f"({' + '.join(terms)})/n"
    assert network(batch=4).check(formula, W2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_formats(dtype: str) -> None:
    run = network(dtype=dtype)
    assert run.check(CHAIN, W1)
    wrong = run.check(CHAIN.replace("*input[0,0]", "*input[0,1]"), W1)
    assert not wrong
    assert wrong.differences[0].kind == "other element"


def test_a_number_alone() -> None:
    run = network()
    exact = run.why(OUT).value
    assert run.check(repr(exact), OUT).outcome == "same bits"
    assert run.check(f"{exact:.9g}", OUT).outcome == "same bits"
    rounded = run.check(f"{exact:.3f}", OUT)
    assert rounded.outcome == "equal to the digits given"
    assert not run.check(f"{exact + 0.002:.3f}", OUT)
    assert "the sign" in repr(run.check(f"{-exact:.3f}", OUT))
    assert run.check(f"{100 * exact:.1f} %", OUT).outcome == "equal to the digits given"


def test_numbers_of_other_precision_are_read_as_the_recorded_ones() -> None:
    run = network()
    prediction, target = (run.why(f"{name}@1").value for name in ("prediction[0,0]", "target[0,0]"))
    check = run.check(f"2*({prediction:.4f} - {target:.4f})", OUT)
    assert check.outcome == "equal to the digits given"


def test_numbers_without_a_name_have_no_roundings_to_explain_them() -> None:
    run = network(dtype="bfloat16")
    exact = Fraction(run.why(H + "@1").value)
    assert run.check(f"{exact.numerator} / {exact.denominator}", H + "@1").outcome == "same bits"
    over = 2**9 // exact.denominator
    for away in (1, 2, -2):
        formula = f"{exact.numerator * over + away} / {exact.denominator * over}"
        check = run.check(formula, H + "@1")
        assert check.outcome != "equal before rounding"
        assert bool(check) == (check.ulp == 0), repr(check)
    check = run.check(f"{exact.numerator * over + 4} / {exact.denominator * over}", H + "@1")
    assert check.ulp
    assert not check
    assert f"{check.ulp} ulp apart, and no recorded number is named" in repr(check)


def test_numbers_without_a_name_are_compared_by_their_digits() -> None:
    run = network()
    value = run.why(OUT).value
    assert run.check(f"{value * 3:.4f} / 3", OUT).outcome == "equal to the digits given"
    assert not run.check(f"{value * 3 + 0.0002:.4f} / 3", OUT)


@pytest.mark.parametrize(
    ("formula", "column", "says"),
    [
        ("2*(predicton - target)", 3, "prediction"),
        ("2*(prediction - y_true) + foo", 26, "no number 'foo'"),
        ("prediction[9,0]", 0, "rows run 0"),
        ("∂y/∂x * 2", 0, "derivatives of the loss"),
    ],
)
def test_a_name_that_the_run_lacks(formula: str, column: int, says: str) -> None:
    with pytest.raises(FormulaError, match=r"column") as caught:
        network().check(formula, W1)
    assert caught.value.column == column
    assert says in str(caught.value)


def test_a_name_of_several_numbers_is_not_guessed() -> None:
    with pytest.raises(FormulaError, match="say which, or write sum"):
        network(batch=4).check("2*(prediction - target)", "loss@1")


def test_it_shows_itself() -> None:
    check = network().check(CHAIN.replace("act1.output", "fc1.output"), W1)
    assert f"(1-{RAW}^2)" in repr(check)
    assert "should be" in check._repr_html_()  # pyright: ignore[reportPrivateUsage]
    found = check.to_dict()
    assert found["outcome"] == "differs"
    assert found["differences"][0]["kind"] == "factor"
    assert "<script" not in network().check("0*prediction", W1)._repr_html_()  # pyright: ignore[reportPrivateUsage]


def test_a_formula_of_a_saved_run_needs_no_torch(tmp_path: Path) -> None:
    path = network().save(tmp_path / "train.why")
    program = (
        "import sys, whygrad\n"
        f"run = whygrad.load({str(path)!r})\n"
        f"assert run.check({CHAIN!r}, {W1!r}) and not run.check('2*target', {OUT!r})\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", WRONG, ids=lambda case: f"{case.address} = {case.formula}")
def test_of_a_wrong_formula_the_right_part_is_named(case: Case) -> None:
    check = run_of(case).check(case.formula, case.address)
    assert not check
    assert check.differences, repr(check)
    first = check.differences[0]
    told = check.view().explained[0]
    assert first.kind in case.kind, told
    assert case.wrote in case.formula[first.start : first.end], told
    assert case.says in told, told
