"""`make figures`: the pictures in docs/figures, drawn from real output.

The picture is plain SVG of our own making: it names no web font and no address, so that it looks the same wherever
it is shown, and its bytes depend on the text alone, so that CI can build it again and compare.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "figures"

COLUMNS = 96
CELL, LINE, SIZE, PAD = 8.4, 18, 14, 20  # px: a character's width, a line's height, the font's size, the border
BACK, FORE, DIM = "#0d1117", "#e6edf3", "#9aa4af"
COLOURS = {"cyan": "#6cb6ff", "green": "#5fd38a", "yellow": "#e3b341", "red": "#ff7b72"}
FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono','DejaVu Sans Mono',monospace"


def main() -> None:
    """Draw all figures."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    for name, svg in figures():
        (FIGURES / name).write_text(svg, encoding="utf-8", newline="\n")
        print(f"docs/figures/{name}")


def figures() -> Iterator[tuple[str, str]]:
    """Each figure's file name and content."""
    command = 'whygrad why neuron.why "linear.weight[0,0]@0"'
    answer = neuron_answer("linear.weight[0,0]@0", depth=None)
    yield "why-weight.svg", svg_of(Text.assemble(("$ ", "dim"), command, "\n\n", answer), f"$ {command}")


def neuron_answer(address: str, depth: int | None) -> Text:
    """What `whygrad why` draws for a number of the demo, saved and loaded as the command does."""
    import torch

    import whygrad
    from whygrad.cli.demo import record_demo
    from whygrad.render.terminal import Screen, draw_derivation
    from whygrad.view.derivation import derivation_view

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            saved = record_demo("neuron", "float16", 20).save(Path(folder) / "neuron.why")
            found = whygrad.load(saved).why(address, depth=depth)
            return draw_derivation(derivation_view(found.inert), Screen(COLUMNS, colour=True))
    finally:
        torch.set_num_threads(threads)


def svg_of(text: Text, title: str) -> str:
    """`text` as a dark terminal. The lines are the picture's text for whoever cannot see it, too."""
    lines = text.split("\n", allow_blank=True)
    while lines and not lines[-1].plain.strip():
        lines.pop()
    columns = max(cell_len(line.plain) for line in lines)
    width, height = round(columns * CELL + 2 * PAD), len(lines) * LINE + 2 * PAD
    rows = "\n".join(_row(line, PAD + LINE * number + SIZE) for number, line in enumerate(lines) if line.plain.strip())
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>text{{font:{SIZE}px {FONT};fill:{FORE};white-space:pre}}.b{{font-weight:700}}.d{{fill:{DIM}}}"
        + "".join(f".{name}{{fill:{colour}}}" for name, colour in COLOURS.items())
        + "</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACK}"/>\n{rows}\n</svg>\n'
    )


def _row(line: Text, y: int) -> str:
    """One line: a `<text>` for each run of one style, put at its column and held to its width, whatever the font."""
    parts: list[str] = []
    for column, words, style in _runs(line):
        shift = len(words) - len(words.lstrip(" "))
        words, column = words.strip(" "), column + shift
        if words:
            kind = f' class="{style}"' if style else ""
            x, length = f"{PAD + column * CELL:g}", f"{cell_len(words) * CELL:g}"
            parts.append(f'<text{kind} x="{x}" y="{y}" textLength="{length}">{escape(words, quote=False)}</text>')
    return "".join(parts)


def _runs(line: Text) -> Iterator[tuple[int, str, str]]:
    """Column, words and CSS classes of each stretch of one style."""
    console = Console(width=10_000, color_system="truecolor")
    styles = [_classes(line.get_style_at_offset(console, i)) for i in range(len(line.plain))]
    column = 0
    for style, group in groupby(zip(line.plain, styles, strict=True), key=lambda pair: pair[1]):
        words = "".join(char for char, _ in group)
        yield column, words, style
        column += cell_len(words)


def _classes(style: Style) -> str:
    colour = style.color.name if style.color is not None else ""
    return " ".join(
        name
        for name, there in (("b", style.bold), ("d", style.dim and not colour), (colour, colour in COLOURS))
        if there
    )


if __name__ == "__main__":
    main()
