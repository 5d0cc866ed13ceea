"""`make docs`: docs/reference.md from docstrings and the commands' own help, docs/explanation/grad-fn.md from the table that
`whygrad grad-fn` answers with."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

import whygrad
from whygrad.cli import COMMANDS
from whygrad.view import grad_fn

ROOT = Path(__file__).resolve().parents[1]
_SECTION = re.compile(r"^(Args|Raises):\s*$", re.MULTILINE)
_ERRORS = (BaseException,)

_HEAD = """\
# Reference

The public names of `whygrad` and its commands, from their docstrings and their own help: written by `make docs`, not by hand.
How to use them is told in the [guides](README.md#how-to).

"""
_GLOSSARY = """\
# Names of `grad_fn`

`print(loss.grad_fn)` shows the *node* of autograd's graph that made a tensor: the function that will run in the backward pass.
Its name is the name of the forward op, then `Backward`, then a number.

- The number is torch's own for the overload of the backward formula. Where an op has several formulas, there is a `Backward0`,
  a `Backward1`, and so on. It does not count calls: two calls of one op have the same name.
- A name without a number belongs to no formula of torch's: it is one of the special nodes below, or a class that somebody
  derived from `torch.autograd.Function`.
- A node holds what its formula needs from the forward pass. That is why memory is freed after `backward()`.

`whygrad grad-fn NAME` explains any of them, and with a run it says which line made it.

## Operations

| name | it is the backward function of |
| --- | --- |
"""


def main() -> None:
    """Write both pages where they changed."""
    for name, text in pages().items():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"{name}: written again")


def pages() -> dict[str, str]:
    """Each generated page by its place in the repository."""
    return {"docs/reference.md": reference(), "docs/explanation/grad-fn.md": glossary()}


def glossary() -> str:
    """The names that `whygrad grad-fn` has words for, those of them that this torch has."""
    rows: list[str] = []
    classes = set(dir(torch._C._functions))  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType, reportAttributeAccessIssue, reportUnknownArgumentType]
    for op, meaning in grad_fn._MEANING.items():  # pyright: ignore[reportPrivateUsage]
        name = "".join(word.capitalize() for word in op.split("_")) + "Backward0"
        if name in classes:
            rows.append(f"| `{name}` | `{op}`: {_cell(meaning)} |")
    special = [f"| `{name}` | {_cell(text)} |" for name, text in grad_fn._SPECIAL.items()]  # pyright: ignore[reportPrivateUsage]
    head = ["", "## Special nodes", "", "| name | what it is |", "| --- | --- |"]
    return _GLOSSARY + "\n".join([*sorted(rows), *head, *special]) + "\n"


def reference() -> str:
    """The whole page."""
    names = list(whygrad.__all__)
    errors = [name for name in names if _is_error(getattr(whygrad, name))]
    plain = sorted((name for name in names if name not in errors), key=str.lower)
    parts = [_HEAD, "## Python\n\n", *(_of(name, getattr(whygrad, name)) for name in plain)]
    parts += ["### Errors\n\n| error | when |\n| --- | --- |\n"]
    parts += [f"| `{name}` | {_cell(_doc(getattr(whygrad, name)))} |\n" for name in sorted(errors)]
    parts += ["\n## Commands\n\n", *(_command(each) for each in parsers())]
    return "".join(parts).rstrip("\n") + "\n"


def _is_error(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, _ERRORS)


def _of(name: str, found: Any) -> str:
    """One public name: its signature, its docstring, its public members."""
    made = f"{name}{_signature(found)}" if not is_dataclass(found) else name
    parts = [f"### whygrad.{name}\n\n", _fence(f"whygrad.{made}"), _prose(_doc(found))]
    if isinstance(found, type):
        parts += [_fields(found)] if is_dataclass(found) else []
        parts += [_member(name, *each) for each in _members(found)]
    return "".join(parts)


def _members(found: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(found).items():
        if not name.startswith("_") and (inspect.isfunction(member) or hasattr(member, "__get__")) and _doc(member):
            yield name, member


def _member(owner: str, name: str, member: Any) -> str:
    signature = _signature(member) if inspect.isfunction(member) else ""
    return f"#### {owner}.{name}\n\n" + _fence(f"{name}{signature}") * bool(signature) + _prose(_doc(member))


def _fields(found: type) -> str:
    """The fields of a dataclass, with the text that stands below each in the source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(found))).body[0]
    assert isinstance(body, ast.ClassDef)
    rows: list[str] = []
    for statement, below in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign):
            said = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            rows.append(
                f"| `{ast.unparse(statement.target)}` | `{ast.unparse(statement.annotation)}` | {_cell(str(said))} |\n"
            )
    return "| field | type | what it is |\n| --- | --- | --- |\n" + "".join(rows) + "\n"


def _signature(found: Any) -> str:
    """As it is written in the source, without `self`. (What `str` makes of one differs between versions of Python.)"""
    parts: list[str] = []
    for each in inspect.signature(found).parameters.values():
        if each.name == "self":
            continue
        if each.kind is each.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        default = "" if each.default is each.empty else f" = {each.default!r}"
        parts.append(f"{each.name}: {each.annotation}{default}")
    returned = "" if isinstance(found, type) else f" -> {inspect.signature(found).return_annotation}"
    return f"({', '.join(parts)}){returned}"


def _doc(found: object) -> str:
    # A class's own: an inherited one would tell of its parent.
    own = found.__doc__ if isinstance(found, type) else inspect.getdoc(found)
    return inspect.cleandoc(own or "")


def _prose(doc: str) -> str:
    """A docstring as Markdown: `Args:` and `Raises:` become lists, indented code becomes a block of its own."""
    pieces = _SECTION.split(doc)
    text = pieces[0].strip() + "\n\n"
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        items = re.split(r"\n(?=\S)", textwrap.dedent(body).strip("\n"))
        rows = [re.sub(r"\A(\w+): ", r"- `\1`: ", " ".join(item.split())) for item in items]
        text += f"{title}:\n\n" + "\n".join(rows) + "\n\n"
    return text


def _fence(text: str) -> str:
    return f"```\n{text}\n```\n\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


class _Collector:
    """Stands where argparse's subparsers stand, and keeps the parsers."""

    def __init__(self) -> None:
        self.parsers: list[argparse.ArgumentParser] = []

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:
        """As argparse's own."""
        options.pop("help", None)
        self.parsers.append(argparse.ArgumentParser(prog=f"whygrad {name}", **options))
        return self.parsers[-1]


def parsers() -> list[argparse.ArgumentParser]:
    """A parser for each command."""
    collector = _Collector()
    for name in COMMANDS:
        import_module(f"whygrad.cli.{name}").add_parser(collector)
    return collector.parsers


def _command(parser: argparse.ArgumentParser) -> str:
    """A command: written here from its parser, because `--help` looks different in each version of Python."""
    about, _, more = (parser.description or "").partition("\n\n")
    rows = [f"| {_called(each)} | {_cell(each.help or '')} |\n" for each in parser._actions if each.dest != "help"]  # pyright: ignore[reportPrivateUsage]
    parts = [f"### {parser.prog}\n\n{about.strip()}\n\n", "| argument | what it says |\n| --- | --- |\n", *rows, "\n"]
    rest = (more or parser.epilog or "").strip("\n")
    return "".join(parts) + (_fence(rest) if rest else "")


def _called(action: argparse.Action) -> str:
    value = action.metavar or (action.dest if not action.option_strings else "")
    if action.choices is not None and not action.metavar:
        value = " \\| ".join(str(each) for each in action.choices)
    value = "" if action.nargs == 0 else str(value)
    if not action.option_strings:
        return f"`{value}`"
    return ", ".join(f"`{option}{f' {value}' if value else ''}`" for option in action.option_strings)


if __name__ == "__main__":
    sys.exit(main())
