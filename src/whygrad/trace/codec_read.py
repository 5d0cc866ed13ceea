"""Taking JSON apart without trusting it: each look says which type it expects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, cast, get_args

from whygrad.errors import RunFileError
from whygrad.trace.model import Arg, Form, Name, Phase, Ref, RunInfo, StepInfo, Token

_PHASES = frozenset(get_args(Phase))
_FORMS = frozenset(get_args(Form))
_DEEPEST = 32
_WIDEST = 1 << 64


@dataclass(frozen=True, slots=True)
class Reader:
    """`where` names the file and the member, and begins every message."""

    where: str

    def fail(self, what: str) -> RunFileError:
        return RunFileError(f"{self.where}: {what}.")

    def wrong(self, expected: str, found: object) -> RunFileError:
        text = repr(found)
        return self.fail(f"expected {expected}, found {text if len(text) <= 40 else text[:40] + '…'}")

    def json(self, raw: bytes) -> object:
        """Parsed JSON. Raises RunFileError when it is none, or nested absurdly deep."""
        try:
            return json.loads(raw, parse_constant=_refuse)
        except RecursionError:
            raise self.fail("its JSON is nested too deeply") from None
        except ValueError:
            raise self.fail("its JSON cannot be parsed") from None

    def int(self, found: object) -> int:
        if type(found) is not int or not -_WIDEST < found < _WIDEST:
            raise self.wrong("a whole number", found)
        return found

    def str(self, found: object) -> str:
        if not isinstance(found, str):
            raise self.wrong("text", found)
        return found

    def bool(self, found: object) -> bool:
        if not isinstance(found, bool):
            raise self.wrong("true or false", found)
        return found

    def list(self, found: object) -> list[Any]:
        if not isinstance(found, list):
            raise self.wrong("a list", found)
        return cast("list[Any]", found)

    def dict(self, found: object) -> dict[str, Any]:
        if not isinstance(found, dict):
            raise self.wrong("an object", found)
        return cast("dict[str, Any]", found)

    def row(self, found: object, *lengths: int) -> list[Any]:
        row = self.list(found)
        if len(row) not in lengths:
            raise self.wrong(f"a list of {lengths[0]}", found)
        return row

    def ints(self, found: object) -> tuple[int, ...]:
        return tuple(map(self.int, self.list(found)))

    def floats(self, found: object) -> list[float]:
        """Floats are saved as text, so that inf and nan are JSON too."""
        try:
            return [float(self.str(each)) for each in self.list(found)]
        except ValueError:
            raise self.fail("one of its constants is no number") from None

    def place(self, found: object, count: int, what: str) -> int:
        place = self.int(found)
        if not 0 <= place < count:
            raise self.fail(f"there is no {what} number {place}; it has {count}")
        return place

    def phase(self, found: object) -> Phase:
        if not isinstance(found, str) or found not in _PHASES:
            raise self.wrong("a phase", found)
        return cast("Phase", found)

    def form(self, found: object) -> Form:
        if not isinstance(found, str) or found not in _FORMS:
            raise self.wrong("a Value's form", found)
        return cast("Form", found)


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def read_arg(read: Reader, found: object, ids: list[int], floats: list[float], depth: int = 0) -> Arg:
    """An op's argument."""
    if found is None or isinstance(found, (bool, str)):
        return found
    if isinstance(found, int):
        return read.int(found)
    if isinstance(found, list):
        if depth > _DEEPEST:
            raise read.fail("an op's arguments are nested too deeply")
        return tuple([read_arg(read, each, ids, floats, depth + 1) for each in cast("list[object]", found)])
    one = read.dict(found)
    if len(one) != 1:
        raise read.wrong("an argument", found)
    match next(iter(one.items())):
        case ("v", place):
            return Ref(ids[read.place(place, len(ids), "Value")])
        case ("f", place):
            return floats[read.place(place, len(floats), "constant")]
        case ("c", pair):
            real, imag = (floats[read.place(each, len(floats), "constant")] for each in read.row(pair, 2))
            return complex(real, imag)
        case ("t", pair):
            kind, text = read.row(pair, 2)
            return Token(read.str(kind), read.str(text))
        case _:
            raise read.wrong("an argument", found)


def read_names(read: Reader, rows: object, ids: list[int], first: int) -> Iterator[Name]:
    """Names of Values; a number stands for the name `op…` of the op at that place."""
    for raw in read.list(rows):
        text, value, kind, of = read.row(raw, 4)
        text = f"op{first + text}" if type(text) is int else read.str(text)
        yield Name(text, ids[read.place(value, len(ids), "Value")], read.str(kind), read.str(of))


def encode_info(info: RunInfo) -> dict[str, Any]:
    """A RunInfo as JSON."""
    return {each.name: getattr(info, each.name) for each in fields(info)}


def read_info(read: Reader, found: object) -> RunInfo:
    """A RunInfo from JSON. Fields that a later version added are passed over."""
    row = read.dict(found)
    parts: dict[str, Any] = {}
    for each in fields(RunInfo):
        if each.name not in row:
            continue
        raw = row[each.name]
        if each.name in ("argv", "notes"):
            parts[each.name] = tuple(read.str(text) for text in read.list(raw))
        elif each.name == "extra":
            parts[each.name] = {key: read.str(text) for key, text in read.dict(raw).items()}
        elif each.name == "seed":
            parts[each.name] = None if raw is None else read.int(raw)
        elif each.name in ("format_version", "threads", "budget"):
            parts[each.name] = read.int(raw)
        else:
            parts[each.name] = read.str(raw)
    return RunInfo(**parts)


def encode_step_info(info: StepInfo) -> list[Any]:
    """A line of the index as JSON."""
    return [info.number, info.first, info.last, info.complete, info.kept, info.bytes, info.why_not]


def read_step_info(read: Reader, found: object) -> StepInfo:
    """A line of the index from JSON."""
    row = read.row(found, 7)
    number, first, last, size = (read.int(row[i]) for i in (0, 1, 2, 5))
    if not (number >= 0 and 0 <= first <= last):
        raise read.fail(f"step {number} cannot span ops {first} to {last}")
    return StepInfo(number, first, last, read.bool(row[3]), read.bool(row[4]), size, read.str(row[6]))
