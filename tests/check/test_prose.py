"""The parts of the check of prose: reading, numbers, what is left alone, arithmetic, statements about formats."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whygrad.check.prose.arithmetic import equations
from whygrad.check.prose.checking import check_document
from whygrad.check.prose.document import Document
from whygrad.check.prose.findings import Report
from whygrad.check.prose.formats import format_claims
from whygrad.check.prose.markdown import read_markdown
from whygrad.check.prose.numbers import find_numbers
from whygrad.check.prose.reading import read_document, read_notebook
from whygrad.errors import WhygradError

CODE = """
```python
import torch
torch.manual_seed(0)
opt = torch.optim.SGD([w], lr=0.1)
for step in range(20):
    pass
```
"""


def document(text: str) -> Document:
    found = Document("page.md")
    read_markdown(text, found)
    return found


def checked(text: str, code: str = CODE) -> Report:
    return check_document(document(f"{code}\n{text}\n"))


# ---- reading


def test_places_are_those_of_the_file() -> None:
    text = "# Head\n\nA line,\nand **bold** 0.1234 `x = 5.678` there.\n\n- item 9.8765\n\n| a | b |\n| - | - |\n| 1 | 2.3456 |\n"
    found = document(text)
    lines = text.split("\n")
    seen: list[str] = []
    for block in found.blocks:
        for number in find_numbers(block.text):
            place = block.place(number.start)
            assert lines[place.line - 1][place.column - 1 :].startswith(number.text)
            seen.append(number.text)
    assert seen == ["0.1234", "5.678", "9.8765", "1", "2.3456"]


def test_code_output_and_prose_are_told_apart() -> None:
    found = document("Prose 1.\n```python\nx = 2.5\n```\n\n```text\n3.75\n```\n\n~~~sh\nmake 4.5\n~~~\n$$\n5 = 5\n$$\n")
    assert [block.kind for block in found.blocks] == ["text", "maths"]
    assert [code.text for code in found.codes] == ["x = 2.5"]
    assert [output.text for output in found.outputs] == ["3.75"]


def test_a_comment_keeps_a_block_or_a_page_out() -> None:
    block = "<!-- whygrad: not a result: measured elsewhere -->\nIt took 0.123456 of it.\n\nIt is 0.654321."
    report = checked(block)
    assert ([each.text for each in report.findings], report.left_alone) == (["0.654321"], 1)
    page = f"<!-- whygrad: not results on this page: written by a tool -->\n{CODE}\nIt is 0.654321.\n\nAnd 0.123456."
    assert check_document(document(page)).findings == []


def test_a_notebook_has_cells() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["We get\n", "0.7000."]},
        {
            "cell_type": "code",
            "source": "0.5",
            "outputs": [{"output_type": "execute_result", "data": {"text/plain": "0.5"}}],
        },
    ]
    report = check_document(read_notebook(json.dumps({"cells": cells}), "n.ipynb"))
    assert [str(each.place) for each in report.findings] == ["cell 1, 2:1"]


@pytest.mark.parametrize(("name", "text"), [("n.ipynb", "{}"), ("n.ipynb", "no json"), ("n.py", "x = 1")])
def test_what_is_no_document_is_refused(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(WhygradError, match="notebook"):
        read_document(path)


# ---- numbers


@given(st.decimals(min_value=-1000, max_value=1000, allow_nan=False, places=4))
def test_a_number_is_read_exactly(value: object) -> None:
    text = f"is {value}".replace("-", "−")
    (number,) = find_numbers(text)
    assert (number.value, number.unit) == (Fraction(str(value)), Fraction(1, 10_000))


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("1.25·10⁻³", "0.00125", "0.00001"),
        (r"1.2 \times 10^{-3}", "0.0012", "0.0001"),
        ("6.1e−05", "0.000061", "0.000001"),
        ("47.5 %", "0.475", "0.001"),
        ("1,024.5", "1024.5", "0.1"),
        (".5", "0.5", "0.1"),
    ],
)
def test_spellings_of_numbers(text: str, value: str, unit: str) -> None:
    (number,) = find_numbers(f"about {text} here")
    assert (number.value, number.unit) == (Fraction(value), Fraction(unit))


@pytest.mark.parametrize("text", ["fc1 and float16", "version 1.2.3", "conv2d_3", "H100"])
def test_digits_in_words_are_no_numbers(text: str) -> None:
    assert find_numbers(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "On 14 March 2024 and 2024-03-14, at 10:30, we met.", "See Figure 12.5, Table 3.14 and section 2.7182.",
        "Python 3.11, PyTorch 2.13 and CUDA 12.4 on Ubuntu 22.04.", "It takes 12.75 seconds and 98,316 bytes.",
        "As He et al. (2015) say [12, 34].", "See <https://example.org/1.2345> and [here](https://example.org/9.8765).",
        "Call 089 1234567.", "## 3.1415 A heading", "![0.1234](x.png)", "1. first\n2. second", "on the 3rd of 250 pages",
    ],
)  # fmt: skip
def test_what_is_plainly_something_else_is_left_alone(text: str) -> None:
    assert checked(text).findings == []


# ---- arithmetic


@pytest.mark.parametrize(
    "text",
    [
        "1.5 * 0.3015 + 0.25 = 0.7023", "(1-0.7023)^2 ≈ 0.0886", r"\frac{2}{4} \cdot 0.5 = 0.25", "so 0.1 times 0.5 is 0.05",
        "w = 0.3 − 0.1 · (−0.9414) = 0.3941", "3/4 = 75 %", "1 − 0.9² = 0.19", "exp(−1) = 0.3679", "√0.25 = 0.5",
        "2 · 0.5 = 1.0 = 4 · 0.25",
    ],
)  # fmt: skip
def test_arithmetic_that_comes_out(text: str) -> None:
    found = equations(text, {})
    assert found
    assert all(each.comes_out for each in found)


@given(st.integers(-999, 999), st.integers(1, 99), st.integers(-3, 3))
def test_arithmetic_is_checked(a: int, b: int, off: int) -> None:
    (found,) = equations(f"we get {a} + 0.5 · {b} = {a + 0.5 * b + off}", {})
    assert found.comes_out == (off == 0)


@pytest.mark.parametrize("text", ["step 3 is 0.5", "prediction = 0.25 + x", "the loss is 0.5", "from 3 to 5 is 7"])
def test_what_is_no_arithmetic(text: str) -> None:
    assert equations(text, {}) == []


def test_definitions_are_used() -> None:
    assert checked("Let $n = 4$. Then $2 \\cdot 0.5 / n = 0.25$.").findings == []
    (finding,) = checked("Let $n = 4$. Then $2 \\cdot 0.5 / n = 0.35$.").findings
    assert finding.sentence().endswith("it comes to 0.25")


# ---- settings and formats


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The learning rate is 0.01.", "says the learning rate is 0.01: the code uses 0.1"),
        ("We use SGD with momentum 0.9.", "says momentum 0.9: the optimizer (SGD) ran without"),
        ("It runs for 30 steps.", "says 30 steps: the code says 20"),
        ("We train with Adam.", "says Adam: the optimizer is SGD"),
        ("The seed is 42.", "says the seed is 42: the code uses 0"),
    ],
)
def test_settings(text: str, found: str) -> None:
    assert found in [each.sentence() for each in checked(text).findings]


@pytest.mark.parametrize(
    "text",
    [
        "The learning rate is 0.1, for 20 steps.", "If the learning rate were 0.01, it would be slower.",
        "Try a learning rate of 0.5 instead.", "A momentum of 0.9 would help.", "It uses SGD without momentum.",
    ],
)  # fmt: skip
def test_what_is_right_or_only_supposed(text: str) -> None:
    assert checked(text).findings == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("float16 has 5 exponent bits and 10 bits for the fraction", 0),
        ("float16 has 8 exponent bits", 1),
        ("The largest float16 number is 65504.", 0),
        ("The largest float16 number is 65536.", 1),
        ("bfloat16 keeps the range of float32 and has 16 bits", 0),
        ("At 0.77 the spacing of float16 numbers is 0.000488.", 0),
        ("At 0.77 the spacing of float16 numbers is 0.000977.", 1),
    ],
)
def test_formats(text: str, wrong: int) -> None:
    assert len(format_claims(text)) == wrong
