"""The tree of strings, and the JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from whygrad.explain.derivation import Derivation, Role, Rounding, SumInfo, Term, Verdict, VerdictKind
from whygrad.rules.expr import Bin, Neg, Python, Var
from whygrad.trace.model import Source
from whygrad.view.derivation import derivation_view, to_dict

SOURCE = Source("somewhere/neuron.py", 26, "train")


def leaf(address: str, label: str, value: float, fmt: str = "float16", role: Role = "parameter") -> Derivation:
    return Derivation(address, label, value, fmt, "", role, "forward", Verdict("given"))


LR = leaf("optimizer.lr@0", "lr", 0.1, "float64", "hyperparameter")
WEIGHT = leaf("linear.weight[0,0]@init", "linear.weight", -0.007488250732421875)
GRAD = Derivation(
    "linear.weight[0,0].grad@0", "∂loss/∂linear.weight", -0.94140625, "float16", "", "gradient", "backward",
    Verdict("same bits", 0), op="aten.mm.default", equation=Var(0), rounding=Rounding("-0.94140625", 0.0),
    source=SOURCE,
    operands=(leaf("output[0].grad@0", "∂loss/∂output", -0.94140625, role="gradient"),), gradient_of="linear.weight",
    via=("aten.t.default",),
)  # fmt: skip
UPDATE = Derivation(
    "linear.weight[0,0]@0", "linear.weight", 0.08660888671875, "float16", "0010110110001011", "parameter", "optimizer",
    Verdict("same bits", 0), op="aten.add_.Tensor", source=SOURCE, operands=(WEIGHT, LR, GRAD),
    equation=Bin("+", Var(0), Bin("*", Python(Neg(Var(1)), -0.1), Var(2))), rounding=Rounding("0.0866", 0.234),
)  # fmt: skip


def test_the_heading_and_the_lines() -> None:
    view = derivation_view(UPDATE)
    assert view.heading == "linear.weight[0,0]@0 = 0.0866"
    assert view.equation is not None
    assert view.equation.left == "new linear.weight"
    assert view.equation.symbolic == "linear.weight − lr · ∂loss/∂linear.weight"
    assert view.equation.numeric == "−0.00749 − 0.1 · (−0.9414)"
    assert view.equation.result == "0.0866"
    assert (view.verdict.sign, view.verdict.words, view.verdict.rounding) == (
        "same",
        "same 16 bits",
        "rounded +0.23 ulp",
    )
    assert view.where == ("aten.add_.Tensor", "neuron.py:26")
    assert [child.address for child in view.children] == [WEIGHT.address, LR.address, GRAD.address]
    assert view.children[2].where == ("aten.mm", "by way of aten.t", "neuron.py:26")
    assert view.children[2].verdict.rounding == "exact, not rounded"


def test_exact_shows_every_digit() -> None:
    view = derivation_view(UPDATE, exact=True)
    assert view.heading == "linear.weight[0,0]@0 = 0.08660888671875"
    assert view.equation is not None
    assert view.equation.exact == "0.0866"
    cut = replace(UPDATE, rounding=Rounding("0.0866", 0.2, exact=False))
    equation = derivation_view(cut, exact=True).equation
    assert equation is not None
    assert equation.exact == "0.0866…"


def test_a_number_is_explained_once() -> None:
    view = derivation_view(replace(UPDATE, operands=(GRAD, LR, GRAD)))
    first, _, second = view.children
    assert not first.seen
    assert first.children
    assert second.seen
    assert second.children == ()
    assert second.equation is None
    assert second.value == first.value


def test_what_was_cut_off_is_explained_where_it_is_not() -> None:
    """The first meeting was not opened, so there is nothing above to see."""
    closed = replace(GRAD, operands=(), equation=None, more=True)
    first, _, second = derivation_view(replace(UPDATE, operands=(closed, LR, GRAD))).children
    assert first.more
    assert not second.seen
    assert second.children


@pytest.mark.parametrize(
    ("verdict", "sign", "words"),
    [
        (Verdict("same bits", 0), "same", "same 16 bits"),
        (
            Verdict("replayed", 3),
            "replayed",
            "same bits when aten.mm is run again, the equation is 3 ulp off",
        ),
        (Verdict("replayed", None), "replayed", "same bits when aten.mm is run again"),
        (Verdict("opaque"), "opaque", "no equation"),
        (Verdict("differs", 2, reason="because"), "differs", "DIFFERS from the recorded number by 2 ulp"),
        (Verdict("given"), "given", "given, not computed"),
        (Verdict("given", reason="set by the program"), "given", "set by the program"),
    ],
)
def test_verdicts(verdict: Verdict, sign: str, words: str) -> None:
    view = derivation_view(replace(GRAD, verdict=verdict)).verdict
    assert (view.sign, view.words) == (sign, words)


def test_only_same_bits_has_the_sign_of_the_same() -> None:
    kinds: tuple[VerdictKind, ...] = ("same bits", "replayed", "opaque", "differs", "given", "not asked")
    signs = [derivation_view(replace(GRAD, verdict=Verdict(kind))).verdict.sign for kind in kinds]
    assert signs.count("same") == 1
    assert len(set(signs)) == len(kinds)


def test_json_has_every_field() -> None:
    found = json.loads(json.dumps(to_dict(UPDATE), allow_nan=False))
    grad = found["operands"][2]
    assert found["value"] == "0.0866"
    assert found["exact"] == "0.08660888671875"
    assert found["bits"] == {"binary": "0|01011|0110001011", "hex": "0x2d8b"}
    assert found["source"] == {"file": "somewhere/neuron.py", "line": 26, "function": "train"}
    assert found["equation"]["symbolic"] == "linear.weight − lr · ∂loss/∂linear.weight"
    assert found["rounding"] == {"exact_result": "0.0866", "ulp": 0.234, "complete": True}
    assert found["verdict"] == {"kind": "same bits", "ulp": 0, "how": None, "reason": None}
    assert (found["role"], found["phase"], found["op"]) == ("parameter", "optimizer", "aten.add_.Tensor")
    assert (grad["gradient_of"], grad["via"], grad["operands"][0]["op"]) == (
        "linear.weight",
        ["aten.t.default"],
        None,
    )
    assert found["operands"][1]["value"] == "0.1"


def test_json_holds_infinities_as_text() -> None:
    info = SumInfo(2, (Term(0, (0,), float("inf")),), float("nan"), 1, False)
    found = to_dict(replace(UPDATE, value=float("inf"), rounding=Rounding("", float("nan")), sum=info))
    text = json.dumps(found, allow_nan=False)
    assert (found["value"], found["sum"]["rest"], found["rounding"]["ulp"]) == ("inf", "nan", None)
    assert '"binary": "0|11111|0000000000"' in text


def test_integers_have_no_bits_but_a_value() -> None:
    label = Derivation("target[0]@0", "target", 3, "int64", "", "target", "other", Verdict("given"))
    found = to_dict(label)
    assert (found["value"], found["exact"], found["bits"]) == ("3", "3", None)


def test_a_sum_that_cancelled_to_zero_is_not_counted_in_the_smallest_ulp() -> None:
    """Its ulp would be 1.4e−45, and the rounding 7e44 of them."""
    for exact, ulp in (("1", -7.136238463529799e44), ("-2.5", 1.784e45)):
        zero = replace(UPDATE, value=0.0, format="float32", rounding=Rounding(exact, ulp))
        assert derivation_view(zero).verdict.rounding == f"rounded to 0 from {exact.replace('-', '−')}"
    underflow = replace(UPDATE, value=0.0, format="float32", rounding=Rounding("4e-46", -0.29))
    assert derivation_view(underflow).verdict.rounding == "rounded −0.29 ulp"
