"""Reading a saved run. Nothing in it is believed before it was checked, and nothing is read before it is
asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from whygrad.errors import RunFileError
from whygrad.trace import file_history, file_values
from whygrad.trace.codec import decode_step
from whygrad.trace.codec_read import Reader, read_info, read_step_info
from whygrad.trace.file_segments import segment_names
from whygrad.trace.file_zip import ZipReader
from whygrad.trace.history import History
from whygrad.trace.invariants import check_step
from whygrad.trace.model import Chunk, RunInfo, Step, StepInfo
from whygrad.trace.statistics import Statistics, from_history

Array = np.ndarray[Any, Any]
FORMAT = "whygrad run"
VERSION = 2
_MOST_CACHED = 64


class FileHistory(History):
    """A table that is read when it is first looked at: most questions need none, and pyarrow takes a while to
    import."""

    def __init__(self, load: Callable[[], History]) -> None:
        self._load = load

    def __getattr__(self, name: str) -> Any:
        if name not in ("columns", "steps", "rows"):
            raise AttributeError(name)
        table = self._load()
        self.columns, self.steps, self.rows = table.columns, table.steps, table.rows
        return getattr(self, name)


@dataclass(frozen=True, slots=True)
class _Contents:
    """Where a step's chunks are: in its own values member, in that of an earlier step, or nowhere."""

    own: dict[int, file_values.Place]
    earlier: dict[int, tuple[int, int]]
    without: frozenset[int]


class FileSource:
    """A StepSource over a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = ZipReader(path)
        self._heads: dict[int, dict[str, Any]] = {}
        self._structures: dict[int, object] = {}
        self._contents: dict[int, _Contents] = {}
        self._values: dict[int, dict[int, file_values.Place]] = {}
        self._check_version()
        self.info = self._read_info()
        self.index = self._read_index()
        self.history = FileHistory(self._read_history)

    def close(self) -> None:
        """Close the file; nothing can be loaded after that."""
        self._zip.close()

    def load_step(self, number: int) -> Step:
        """See StepSource. Raises RunFileError when the step cannot be read."""
        name = f"steps/{number}.json"
        where = str(self._zip.fail(name))
        head = self._head(number)
        step = decode_step(head, self._structure(Reader(where).int(head.get("structure"))), where)
        check_step(step, where)
        info = next((each for each in self.index if each.number == number), None)
        if info is None or (step.number, step.first, step.last, step.complete) != (
            number,
            info.first,
            info.last,
            info.complete,
        ):
            raise RunFileError(f"{where}: is not the step that the index says.")
        self._contents[number] = self._read_contents(step, head, Reader(where))
        return step

    def load_chunk(self, step: int, chunk: Chunk) -> Array | None:
        """See StepSource. Raises RunFileError when the numbers are damaged."""
        if step not in self._contents:
            self.load_step(step)
        contents = self._contents[step]
        if chunk.id in contents.without:
            return None
        name = f"values/{step}.safetensors"
        place = contents.own.get(chunk.id)
        if chunk.id in contents.earlier:
            other, id = contents.earlier[chunk.id]
            name = f"values/{other}.safetensors"
            place = self._places(other).get(id)
        where = str(self._zip.fail(name))
        if place is None:
            raise RunFileError(f"{where}: damaged: the numbers of chunk {chunk.id} are missing.")
        return file_values.load(self._zip, where, place, chunk)

    # ---- the pieces

    def _reader(self, name: str) -> Reader:
        return Reader(str(self._zip.fail(name)))

    def _json(self, name: str) -> object:
        return self._reader(name).json(self._zip.read(name))

    def _check_version(self) -> None:
        read = self._reader("whygrad.json")
        top = read.dict(self._json("whygrad.json"))
        if top.get("format") != FORMAT:
            raise self._zip.fail("is not a saved run of whygrad.")
        version = read.int(top.get("version"))
        if version > VERSION:
            raise self._zip.fail(
                f"was written by a newer version ({str(top.get('producer'))[:40]}): its format is {version}, "
                f"and this one reads up to {VERSION}. Update whygrad."
            )
        if version < 1:
            raise self._zip.fail(f"has the format {version}, which never was.")

    def _read_info(self) -> RunInfo:
        numbers = sorted((int(name[5:-5]) for name in self._zip.members if name.startswith("info/")), reverse=True)
        if not numbers:
            raise self._zip.fail("breaks off before anything was recorded.")
        problem: RunFileError | None = None
        for number in numbers:
            name = f"info/{number}.json"
            try:
                info = read_info(self._reader(name), self._json(name))
            except RunFileError as error:
                problem = problem or error
                continue
            if problem is not None:
                info = replace(info, notes=(*info.notes, str(problem)))
            return self._with_state(info)
        assert problem is not None
        raise problem

    def _with_state(self, info: RunInfo) -> RunInfo:
        """What the file alone knows: whether the program still runs, and whether all of it is there."""
        if info.status == "running" and not _locked(self._zip.fileno()):
            info = replace(info, status="killed")
        elif info.status != "running" and self._zip.broken_at is not None:
            place = f"{self._zip.broken_at:,}"
            note = f"the file breaks off, or is damaged, at byte {place}; what stands before that is shown."
            info = replace(info, notes=(*info.notes, note))
        return info

    def _read_index(self) -> list[StepInfo]:
        found: dict[int, StepInfo] = {}
        for name in segment_names(self._zip, "index"):
            read = self._reader(name)
            for row in read.list(self._json(name)):
                info = read_step_info(read, row)
                found[info.number] = info
        # Written after the last piece of the index by a program that was then killed.
        for name in self._zip.members:
            if name.startswith("steps/") and int(name[6:-5]) not in found:
                info = self._info_of(int(name[6:-5]))
                found[info.number] = info
        index = sorted(found.values(), key=lambda each: each.first)
        for before, after in pairwise(index):
            if before.last > after.first or before.number >= after.number:
                raise self._zip.fail(f"damaged: steps {before.number} and {after.number} overlap.")
        return index

    def _info_of(self, number: int) -> StepInfo:
        read, head = self._reader(f"steps/{number}.json"), self._head(number)
        row = [number, head.get("first"), head.get("last"), head.get("complete"), True, 0, ""]
        return read_step_info(read, row)

    def _read_history(self) -> History:
        table = History()
        for name in segment_names(self._zip, "history"):
            file_history.unpack(self._zip.read(name), str(self._zip.fail(name)), table)
        return table

    def read_statistics(self) -> Statistics:
        """The statistics of all steps. Raises RunFileError when they are none of ours."""
        table = History()
        for name in segment_names(self._zip, "statistics"):
            file_history.unpack(self._zip.read(name), str(self._zip.fail(name)), table)
        try:
            return from_history(table)
        except (KeyError, ValueError):
            raise RunFileError(f"{self.path}: its statistics are damaged: a column is none of theirs.") from None

    def _head(self, number: int) -> dict[str, Any]:
        name = f"steps/{number}.json"
        return self._reader(name).dict(self._json(name))

    def _structure(self, number: int) -> object:
        if number not in self._structures:
            if len(self._structures) >= _MOST_CACHED:
                self._structures.clear()
            self._structures[number] = self._json(f"structures/{number}.json")
        return self._structures[number]

    def _read_contents(self, step: Step, head: dict[str, Any], read: Reader) -> _Contents:
        chunks = step.chunks
        without = {chunks[read.place(each, len(chunks), "chunk")].id for each in read.list(head.get("without"))}
        earlier: dict[int, tuple[int, int]] = {}
        for row in read.list(head.get("at")):
            place, other, id = (read.int(each) for each in read.row(row, 3))
            if other >= step.number:
                raise read.fail(f"its numbers cannot be those of step {other}")
            earlier[chunks[read.place(place, len(chunks), "chunk")].id] = (other, id)
        own = len(chunks) > len(without) + len(earlier)
        return _Contents(self._places(step.number) if own else {}, earlier, frozenset(without))

    def _places(self, step: int) -> dict[int, file_values.Place]:
        if step not in self._values:
            if len(self._values) >= _MOST_CACHED:
                self._values.clear()
            self._values[step] = file_values.places(self._zip, f"values/{step}.safetensors")
        return self._values[step]


def _locked(file: int) -> bool:
    """Whether another program holds the file. Where that cannot be asked: no."""
    with suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        fcntl.flock(file, fcntl.LOCK_UN)
    return False
