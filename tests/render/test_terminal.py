"""What is drawn where: widths, colours, encodings. The words themselves are in tests/gold."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len

from whygrad.render.html import derivation_html, table_html
from whygrad.render.terminal import (
    Screen,
    derivation_text,
    draw_derivation,
    draw_paragraphs,
    screen_for,
    show,
    table_text,
)
from whygrad.view.derivation import DerivationView, EquationView, Sign, VerdictView
from whygrad.view.table import TableColumn, TableView


def node(
    address: str = "w[0]@1", sign: Sign = "same", children: tuple[DerivationView, ...] = (), **more: Any
) -> DerivationView:
    equation = EquationView("w", "w − lr · g", "0.5 − 0.1 · (−0.25)", "0.525")
    verdict = VerdictView(sign, "words", "rounded +0.25 ulp", "", "")
    return DerivationView(
        address, "0.525", "parameter", "float16", equation, verdict, ("aten.add_",), (), children, **more
    )


class Stream(io.StringIO):
    """A text stream that says what a terminal says."""

    def __init__(self, tty: bool, encoding: str = "utf-8") -> None:
        super().__init__()
        self._tty, self._encoding = tty, encoding

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._encoding

    def isatty(self) -> bool:
        return self._tty

    def fileno(self) -> int:
        raise OSError("no file")


def test_colour_only_on_a_tty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert screen_for(Stream(True)).colour
    assert not screen_for(Stream(False)).colour
    monkeypatch.setenv("NO_COLOR", "1")
    assert not screen_for(Stream(True)).colour
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not screen_for(Stream(True)).colour


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("120", 120), ("10", 40), ("wide", 100), ("", 100)])
def test_the_width_comes_from_columns(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert screen_for(Stream(False)).width == width


@pytest.mark.parametrize(
    ("encoding", "ascii"), [("utf-8", False), ("ascii", True), ("latin-1", True), ("nonsense", True)]
)
def test_a_poor_encoding_gets_ascii(encoding: str, ascii: bool) -> None:
    assert screen_for(Stream(False, encoding)).ascii is ascii


def test_ascii_is_ascii_whatever_the_names() -> None:
    text = derivation_text(node("größe[0]@1 ∂√Σ≈✓"), Screen(80, ascii=True))
    assert text.isascii()
    assert "[ok]" in text


def test_plain_text_has_no_escapes_and_no_trailing_blanks() -> None:
    out = io.StringIO()
    show(draw_derivation(node(children=(node("x@1"),)), Screen(80)), out, Screen(80))
    assert "\x1b" not in out.getvalue()
    assert all(line == line.rstrip() for line in out.getvalue().splitlines())


def test_coloured_and_plain_have_the_same_characters() -> None:
    import re

    view, out = node(children=(node("x@1", "differs"),)), io.StringIO()
    show(draw_derivation(view, Screen(80)), out, Screen(80, colour=True))
    coloured = re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())
    assert [line.rstrip() for line in coloured.splitlines()] == derivation_text(view, Screen(80)).splitlines()


def test_only_same_bits_has_a_tick() -> None:
    for sign in ("replayed", "opaque", "differs", "given", "unasked"):
        assert "✓" not in derivation_text(node(sign=sign))
        assert "✓" not in derivation_html(node(sign=sign))
    assert "✓" in derivation_text(node())
    assert "✓" in derivation_html(node())


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_lines_fit_the_screen(width: int) -> None:
    deep = node("a@1")
    for i in range(4):
        deep = node(f"n{i}@1", children=(deep, node(f"m{i}@1")))
    lines = derivation_text(deep, Screen(width)).splitlines()
    assert max(cell_len(line) for line in lines) <= max(width, 52)


def test_the_lines_of_an_equation_align() -> None:
    places = {line.index("= ") for line in derivation_text(node()).splitlines()[1:4]}
    assert len(places) == 1


def test_html_is_escaped() -> None:
    text = derivation_html(node("<script>alert(1)</script>@1"))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    column = TableColumn("<b>", "<b>", "loss", "float16", "<b>")
    assert "<b>" not in table_html(TableView((column,), (("<i>",),), None, 0, 1, ())).split("</style>")[1]


def test_html_is_well_formed() -> None:
    from xml.dom.minidom import parseString

    text = derivation_html(node(children=(node("x@1", children=(node("y@1", seen=True),)),)))
    parseString("<div>" + text.replace(" open>", ' open="">') + "</div>")


def test_decimal_points_stand_below_each_other() -> None:
    columns = tuple(TableColumn(name, name, "loss", "float16", name) for name in ("step", "loss"))
    view = TableView(columns, (("0", "1.5"), ("1", "−12.25"), ("2", "1e-07"), ("3", None)), None, 0, 4, ())
    lines = table_text(view).splitlines()
    assert lines[1].index(".") == lines[2].index(".")


def test_paragraphs_break_only_where_they_may() -> None:
    text = draw_paragraphs(["word " * 20 + "a\u00a0·\u00a0b"], Screen(40))
    assert max(cell_len(line) for line in text.plain.splitlines()) <= 40
    assert "a\u00a0·\u00a0b" in text.plain


@pytest.mark.parametrize(("width", "lines"), [(120, 1), (50, 2)])
def test_who_set_a_hyperparameter_is_said_below_where_the_line_is_full(width: int, lines: int) -> None:
    words = "set by StepLR(step_size=2) at epoch 3"
    given = VerdictView("given", words)
    view = DerivationView("optimizer.lr@3", "0.05", "hyperparameter", "float64", None, given, (), (), ())
    found = derivation_text(view, Screen(width)).split("\n")
    assert len(found) == lines
    assert words in found[-1]
