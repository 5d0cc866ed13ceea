"""The pictures are what the commands say, and name nothing outside themselves."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def words(svg: str) -> str:
    """The picture's text, line by line."""
    lines: dict[str, str] = {}
    for text in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        y = text.attrib["y"]
        lines[y] = (lines[y] + " " if y in lines else "") + (text.text or "")
    return "\n".join(lines.values())


def test_committed_figures_are_what_the_run_says(figures: ModuleType) -> None:
    drawn = dict(figures.figures())
    committed = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "figures").glob("*.svg")}
    assert drawn.keys() == committed.keys()
    for name, svg in drawn.items():
        assert words(svg) == words(committed[name]), "run `make figures`"
        assert svg == committed[name], "run `make figures`"


def test_figures_name_no_address_and_no_web_font(figures: ModuleType) -> None:
    svg = figures.svg_of(Text("a <b> & 'c'"), "t")
    assert re.findall(r"https?://[^\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert "@font-face" not in svg
    assert "url(" not in svg
    assert words(svg) == "a <b> & 'c'"


def test_a_run_of_one_style_stands_at_its_column(figures: ModuleType) -> None:
    svg = figures.svg_of(Text.assemble("ab  ", ("✓ ok", "green")), "t")
    first, second = ElementTree.fromstring(svg).iter(f"{SVG}text")
    assert (first.text, second.text, second.attrib["class"]) == ("ab", "✓ ok", "green")
    cell = figures.CELL
    assert float(second.attrib["x"]) - float(first.attrib["x"]) == 4 * cell
    assert float(second.attrib["textLength"]) == 4 * cell
