"""What stands behind `%why` and `%%why`, read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from whygrad.errors import WhygradError

_IS = re.compile(r"(?:^|\s)--is(?:\s+|=|$)")
ASKING = ("--depth", "--exact", "--updates", "--is", "--run")
RECORDING = ("--new", "--steps", "--budget")


@dataclass(frozen=True)
class Question:
    """`%why ADDRESS --depth N --exact --updates --is FORMULA --run NAME`; `address` empty: the run itself."""

    address: str = ""
    depth: int | None = None
    exact: bool = False
    updates: bool = False
    formula: str | None = None
    run: str | None = None


@dataclass(frozen=True)
class Cell:
    """`%%why NAME --new --steps STEPS --budget BYTES`; `name` None: the run is called `_why` alone."""

    name: str | None = None
    new: bool = False
    steps: str | None = None
    budget: str | None = None


def read_question(line: str) -> Question:
    """The line of `%why`. Raises WhygradError."""
    line, formula = _formula(line)
    words, values = _split(line, {"--depth": True, "--run": True, "--exact": False, "--updates": False}, "%why")
    address = " ".join(words)
    depth = values.get("--depth")
    if depth is not None and not depth.isdecimal():
        raise WhygradError(f"--depth takes a whole number such as 3, found {depth!r}.")
    found = Question(
        _unquoted(address), None if depth is None else int(depth), "--exact" in values, "--updates" in values, formula,
        values.get("--run"),
    )  # fmt: skip
    given = [
        option for option, is_given in
        (("--depth", depth is not None), ("--exact", found.exact), ("--updates", found.updates), ("--is", formula is not None))
        if is_given
    ]  # fmt: skip
    if given and not found.address:
        raise WhygradError(f"{given[0]} needs an address: %why linear.weight[0,0].grad@3 {given[0]}.")
    alone = [option for option in given if option in ("--updates", "--is")]
    if alone and len(given) > 1:
        raise WhygradError(f"{alone[0]} goes with no other option, found {', '.join(given)}.")
    return found


def read_cell(line: str) -> Cell:
    """The line of `%%why`. Raises WhygradError."""
    words, values = _split(line, {"--steps": True, "--budget": True, "--new": False}, "%%why")
    if len(words) > 1 or (words and not words[0].isidentifier()):
        raise WhygradError(
            f"%%why takes one name for the run, such as %%why run; found {' '.join(words)!r}. To ask for a number: %why."
        )
    return Cell(words[0] if words else None, "--new" in values, values.get("--steps"), values.get("--budget"))


def _formula(line: str) -> tuple[str, str | None]:
    """What stands behind `--is`, to the end of the line, quotes or none: a formula has spaces."""
    match = _IS.search(line)
    if match is None:
        return line, None
    formula = _unquoted(line[match.end() :].strip())
    if not formula:
        raise WhygradError("--is needs a formula or a number: %why w.grad@0 --is 2*(prediction - target)*x.")
    return line[: match.start()], formula


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _split(line: str, options: dict[str, bool], magic: str) -> tuple[list[str], dict[str, str]]:
    """Words, and options with their values; `options` tells of each whether it takes one."""
    words: list[str] = []
    values: dict[str, str] = {}
    left = line.split()
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            words.append(word)
            continue
        option, equals, value = word.partition("=")
        if option not in options:
            known = [*options, *(["--is"] if magic == "%why" else [])]
            raise WhygradError(f"{magic} has no option {option!r}; it has {', '.join(sorted(known))}.")
        if options[option] and not equals:
            if not left:
                raise WhygradError(f"{option} needs a value.")
            value = left.pop(0)
        values[option] = value
    return words, values
