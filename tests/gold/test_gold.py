"""What people see, whole: a tree with every kind of verdict, and a table, on several screens."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from whygrad.explain.derivation import Derivation, Role, Rounding, SumInfo, Term, Verdict
from whygrad.render.html import derivation_html, table_html
from whygrad.render.terminal import Screen, derivation_text, draw_derivation, show, table_text
from whygrad.rules.expr import Bin, Call, Case, Dot, Neg, Num, Python, Series, Var
from whygrad.trace.history import Column, History
from whygrad.trace.model import Phase, Source
from whygrad.view.derivation import derivation_view
from whygrad.view.table import table_view

Gold = Callable[[str, str], None]


def leaf(address: str, label: str, value: float, role: Role, fmt: str = "float16", reason: str = "") -> Derivation:
    return Derivation(address, label, value, fmt, "", role, "forward", Verdict("given", reason=reason))


def made(base: Derivation, verdict: Verdict, op: str, line: int, phase: Phase, **more: Any) -> Derivation:
    return replace(base, verdict=verdict, op=op, source=Source("train.py", line), phase=phase, **more)


def tree() -> Derivation:
    """An update whose gradient is a product, whose activation is a long sum, with one of every verdict."""
    import numpy as np

    lr = leaf("optimizer.lr@0", "lr", 0.1, "hyperparameter", "float64", "set by the program")
    weight = leaf("fc.weight[0,1]@init", "fc.weight[0,1]", -0.007488250732421875, "parameter")
    terms = tuple(leaf(f"x[0,{i}]@0", f"x[0,{i}]", 0.5 - i, "input") for i in range(3))
    weights = tuple(leaf(f"fc.weight[0,{i}]@init", f"fc.weight[0,{i}]", 0.25 * i, "parameter") for i in range(3))
    pairs = tuple(x for pair in zip(terms, weights, strict=True) for x in pair)
    info = SumInfo(784, tuple(Term(i, (2 * i, 2 * i + 1), 0.0) for i in range(3)), 1 / 3, 781, False)
    many = Series(0, np.zeros((784, 2), dtype=np.int64))
    hidden = made(
        leaf("fc.output[0,0]@0", "fc.output[0,0]", 0.08331298828125, "activation"),
        Verdict("same bits", 0, "summed as FMA chain over k"),
        "aten.mm.default", 12, "forward", equation=Dot(many, many), operands=pairs, sum=info,
        rounding=Rounding("0.0833", -0.31),
    )  # fmt: skip
    relu = made(
        leaf("fc.output[0,0].grad@0", "∂loss/∂fc.output[0,0]", -0.5, "gradient"), Verdict("replayed", 2),
        "aten.tanh_backward.default", 25, "backward",
        equation=Case("y > 0", Bin("*", Num(2), Call("exp", (Neg(Var(0)),)))),
        operands=(hidden,), rounding=Rounding("-0.5001", 2.0), gradient_of="fc.output[0,0]",
    )  # fmt: skip
    opaque = made(
        leaf("op9[0]@0", "op9[0]", 1.8818359375, "activation"),
        Verdict("opaque", reason="no rule for aten.mystery yet"),
        "aten.mystery.default", 14, "forward", note="operands: x (1, 784)",
    )  # fmt: skip
    grad = made(
        leaf("fc.weight[0,1].grad@0", "∂loss/∂fc.weight[0,1]", -0.94140625, "gradient"), Verdict("same bits", 0),
        "aten.mm.default", 25, "backward", equation=Bin("*", Var(0), Var(1)), operands=(relu, opaque),
        rounding=Rounding("-0.94140625", 0.0), gradient_of="fc.weight[0,1]", via=("aten.t.default",),
    )  # fmt: skip
    again = leaf("fc.bias[0]@0", "fc.bias[0]", 0.630859375, "parameter")
    differs = made(
        again,
        Verdict("differs", 5, reason="fc.bias was changed by numpy between two ops"),
        "aten.add_.Tensor",
        26,
        "optimizer",
    )
    update = Bin("+", Var(0), Bin("*", Python(Neg(Var(1)), -0.1), Var(2)))
    return made(
        leaf("fc.weight[0,1]@0", "fc.weight[0,1]", 0.08660888671875, "parameter"), Verdict("same bits", 0),
        "aten.add_.Tensor", 26, "optimizer", equation=update, operands=(weight, lr, grad, differs, relu),
        rounding=Rounding("0.08665", 0.234),
    )  # fmt: skip


def without_style(html: str) -> str:
    """The words and their structure; colours may change without them."""
    return html.partition("</style>")[2].strip() + "\n"


def history(rows: int = 4) -> History:
    table = History()
    columns = [
        Column("prediction", "prediction", "float16", "prediction[0]"),
        Column("loss", "loss", "float16", "loss"),
        Column("linear.weight", "parameter", "float16", "linear.weight[0,0]"),
        Column("linear.weight_grad", "gradient", "float16", "linear.weight[0,0].grad"),
        Column("lr", "hyperparameter", "float64", "optimizer.lr"),
    ]
    for i in range(rows):
        values = [0.529296875, 0.2215576171875 / 4**i, 0.0866, -0.94140625 / 2 ** (3 * i), 0.1]
        cells = list(zip(columns, values, strict=True))
        table.add(i, cells if i else cells[1:])
    return table


@pytest.mark.parametrize(
    ("name", "screen"),
    [
        ("tree-80.txt", Screen(80)),
        ("tree-120.txt", Screen(120)),
        ("tree-ascii.txt", Screen(80, ascii=True)),
    ],
)
def test_the_tree(gold: Gold, name: str, screen: Screen) -> None:
    gold(name, derivation_text(derivation_view(tree()), screen) + "\n")


def test_the_tree_with_every_digit(gold: Gold) -> None:
    gold("tree-exact.txt", derivation_text(derivation_view(tree(), exact=True), Screen(100)) + "\n")


def test_the_tree_in_colour(gold: Gold) -> None:
    out = io.StringIO()
    screen = Screen(80, colour=True)
    show(draw_derivation(derivation_view(tree()), screen), out, screen)
    gold("tree-colour.txt", out.getvalue())


def test_the_tree_in_a_notebook(gold: Gold) -> None:
    gold("tree.html", without_style(derivation_html(derivation_view(tree()))))


def test_the_table(gold: Gold) -> None:
    gold("table.txt", table_text(table_view(history()), Screen(80)) + "\n")
    gold("table.html", without_style(table_html(table_view(history()))))


def test_a_long_table_on_a_narrow_screen(gold: Gold) -> None:
    gold("table-long.txt", table_text(table_view(history(12 + 6 + 5)), Screen(40)) + "\n")
