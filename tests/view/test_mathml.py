"""The symbolic line as MathML: well-formed whatever the names are, fractions, powers and roots where the text has them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.view.runs import ASKED, asked, each
from whygrad.run import Run
from whygrad.view.equation import symbolic
from whygrad.view.mathml import mathml

SIGNS = "abθβ₁²³⁻√∂/().,[]^|·−+ Σᵢ…′1290e-<>&'\"\\\x00\x1b\ud800\n"


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<math>{mathml(text)}</math>")


def words(text: str) -> str:
    return "".join("".join(parsed(text).itertext()).split()).replace("\u2061", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("w − lr", "<mi>w</mi><mo>−</mo><mi>lr</mi>"),
        ("x[0,i]", "<msub><mi>x</mi><mtext>0,i</mtext></msub>"),
        ("a²", "<msup><mi>a</mi><mn>2</mn></msup>"),
        ("a⁻¹²", "<msup><mi>a</mi><mn>−12</mn></msup>"),
        ("β₁^t", "<msup><mi>β₁</mi><mi>t</mi></msup>"),
        ("drawn on 1", "<mi>drawn</mi><mtext>\u00a0</mtext><mi>on</mi><mtext>\u00a0</mtext><mn>1</mn>"),
        ("√v", "<msqrt><mi>v</mi></msqrt>"),
        ("√(v + 1)", "<msqrt><mi>v</mi><mo>+</mo><mn>1</mn></msqrt>"),
        ("Σᵢ a", "<munder><mo>∑</mo><mi>i</mi></munder><mi>a</mi>"),
        ("1e-05", "<mrow><mn>1</mn><mo>·</mo><msup><mn>10</mn><mn>−5</mn></msup></mrow>"),
        ("2.5e+30", "<mrow><mn>2.5</mn><mo>·</mo><msup><mn>10</mn><mn>30</mn></msup></mrow>"),
        (
            "∂y/∂w[0,0]",
            "<mfrac><mrow><mo>∂</mo><mi>y</mi></mrow><mrow><mo>∂</mo><msub><mi>w</mi><mtext>0,0</mtext></msub></mrow></mfrac>",
        ),
        (
            "(a + b)²",
            "<msup><mrow><mo>(</mo><mi>a</mi><mo>+</mo><mi>b</mi><mo>)</mo></mrow><mn>2</mn></msup>",
        ),
        (
            "exp(a)",
            "<mrow><mi>exp</mi><mo>&#x2061;</mo><mrow><mo>(</mo><mi>a</mi><mo>)</mo></mrow></mrow>",
        ),
    ],
)  # fmt: skip
def test_the_elements(text: str, expected: str) -> None:
    assert mathml(text) == expected


@pytest.mark.parametrize(
    "text",
    ["</script><b>", "a&b", "((", "))", "√", "√(", "^", "a^", "²", "exp(", "[x", "w[<0>]", "√(" * 5000, "exp(" * 70],
)
def test_hostile_and_broken_text_is_well_formed(text: str) -> None:
    assert parsed(text) is not None
    assert "<script" not in mathml(text)


@given(st.text(alphabet=SIGNS, max_size=40))
def test_any_text_is_well_formed(text: str) -> None:
    parsed(text)


@given(st.text(max_size=30))
def test_any_name_is_well_formed(text: str) -> None:
    parsed(text)


@pytest.mark.parametrize(("run", "address"), ASKED)
def test_equations_of_real_programs(run: Callable[[], Run], address: str) -> None:
    """Well-formed, and each letter of the text is there; roots lose their brackets, indices and fractions their marks."""
    lost = str.maketrans("", "", "√()[]/^ ")
    for d in each(asked(run, address)):
        if d.equation is not None:
            text = symbolic(d).replace("Σᵢ", "∑i").replace("²", "2").replace("1e-05", "1·10−5")
            assert words(symbolic(d)).translate(lost) == text.translate(lost)
