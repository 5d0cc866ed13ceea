"""docs/magics.md: its cells run, and show what the page says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.notebook.conftest import Cells

PAGE = Path(__file__).resolve().parents[2] / "docs" / "magics.md"
_BLOCK = re.compile(r"<!-- cell -->\n```\n(.*?)```\n(?:<!-- shown -->\n```\n(.*?)```\n)?", re.DOTALL)


def shown_again(text: str, run: Callable[[str], str]) -> str:
    """The page with each cell's output written below it by `run`."""

    def replaced(block: re.Match[str]) -> str:
        shown = run(block[1])
        if block[2] is None:
            assert not shown, f"this cell shows something, and no block stands below it:\n{block[1]}"
            return block[0]
        return f"<!-- cell -->\n```\n{block[1]}```\n<!-- shown -->\n```\n{shown}```\n"

    return _BLOCK.sub(replaced, text)


def shows(cells: Cells) -> Callable[[str], str]:
    def run(cell: str) -> str:
        cells.shell.execution_count = run.count = getattr(run, "count", 0) + 1  # pyright: ignore[reportFunctionMemberAccess]
        found = cells(cell)
        printed = cells.out.partition(f"Out[{run.count}]")[0]  # pyright: ignore[reportFunctionMemberAccess]
        return cells.err + printed + ("" if found is None else f"{found!r}\n")

    return run


def test_the_page_shows_what_its_cells_show(cells: Cells) -> None:
    cells.shell.run_line_magic("unload_ext", "whygrad")
    text = PAGE.read_text(encoding="utf-8")
    assert len(_BLOCK.findall(text)) >= 6
    assert shown_again(text, shows(cells)) == text
