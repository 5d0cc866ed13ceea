"""A cell's code, run as IPython runs it, but that its last expression comes back in place of being displayed."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from types import CodeType
from typing import Any


@dataclass(frozen=True)
class CellCode:
    """A cell, compiled: what runs first, and its last expression (None where it ends with none). `quiet`: it ends with `;`."""

    body: CodeType
    last: CodeType | None
    quiet: bool


def compiled(shell: Any, magic: str, cell: str) -> CellCode:
    """The cell below the line `magic`, of which it is part: what fails is shown with the lines that its user sees.

    Raises Unreadable.
    """
    try:
        return _compiled(shell, magic, cell)
    except SyntaxError as error:
        raise unreadable(shell, error) from None


def _compiled(shell: Any, magic: str, cell: str) -> CellCode:
    source = shell.transform_cell(cell)
    # The name, and so its `In[3]`, is that of the cell with its magic; the lines behind it are those of the code in it.
    file = shell.compile.cache(f"{magic}\n{source}", _number(shell), raw_code=f"{magic}\n{cell}")
    tree = shell.transform_ast(shell.compile.ast_parse("\n" + source, file))
    last: ast.expr | None = None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and shell.ast_node_interactivity != "none":
        last = tree.body.pop().value
    return CellCode(
        shell.compile(tree, file, "exec"),
        None if last is None else shell.compile(ast.Expression(last), file, "eval"),
        bool(shell.displayhook.semicolon_at_end_of_expression(cell)),
    )


def _number(shell: Any) -> int:
    """The number of the cell that is running, as `In[3]` shows it: the shell has gone on to the next by now, or has not,
    where the cell is left out of the history."""
    known: dict[str, int] = shell.compile._filename_map
    frame = sys._getframe(1)
    while frame is not None:
        number = known.get(frame.f_code.co_filename)
        if number is not None:
            return number
        frame = frame.f_back
    return int(shell.execution_count)


def execute(shell: Any, code: CellCode) -> Any:
    """Run it in the user's namespace; the value of its last expression, or None."""
    exec(code.body, shell.user_global_ns, shell.user_ns)
    return None if code.last is None else eval(code.last, shell.user_global_ns, shell.user_ns)


def show_as_the_cells(shell: Any, error: BaseException) -> None:
    """Have IPython show `error`, which a cell raised, with the frames below the cell alone; `error` must have none of ours."""
    traceback = error.__traceback__

    def render() -> list[str]:
        found: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, traceback, tb_offset=0)
        return found

    _render_by(error, render)


class Unreadable(Exception):
    """A cell that is no Python, in place of its SyntaxError: IPython puts the frames of a running magic above one."""


Unreadable.__name__ = "SyntaxError"


def unreadable(shell: Any, error: SyntaxError) -> Unreadable:
    """What to raise for it, shown as IPython shows that of any cell."""
    found = Unreadable(str(error))
    _render_by(found, lambda: shell.SyntaxTB.structured_traceback(type(error), error, []))
    return found


def show_as_a_sentence(error: BaseException) -> None:
    """Have IPython show what `error` says, and no frames: it is an answer, and not a fault of the program."""
    _render_by(error, lambda: [f"{type(error).__name__}: {error}"])


def _render_by(error: BaseException, render: Any) -> None:
    try:
        error._render_traceback_ = render  # pyright: ignore[reportAttributeAccessIssue]
    except AttributeError:  # an exception with slots: then our frames are shown above its own
        return
