"""A saved run: one file that is written while the program runs and opens as a `Trace`. Schema:
`docs/file-format.md`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from whygrad.trace import file_history, file_values
from whygrad.trace.codec import encode_step
from whygrad.trace.codec_read import encode_info, encode_step_info
from whygrad.trace.file_read import FORMAT, VERSION, FileSource
from whygrad.trace.file_segments import Segments
from whygrad.trace.file_zip import ZipWriter
from whygrad.trace.history import Column, History
from whygrad.trace.invariants import check_step
from whygrad.trace.model import Chunk, RunInfo, Step, StepInfo
from whygrad.trace.statistics import Numbers, Statistics
from whygrad.trace.store import Trace

__all__ = ["FORMAT", "VERSION", "RunWriter", "open_run", "save_run"]

Array = np.ndarray[Any, Any]
Row = tuple[int, list[tuple[Column, float]]]
_MOST_STRUCTURES = 4096
_MOST_JOINED = 1 << 21


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where a content was written, and its fingerprint."""

    step: int
    chunk: int
    print: bytes


class RunWriter:
    """Writes a run, member by member; what a method returned from is in the file, and a killed program loses
    no more than the member being written.

    A file that is at `path` is replaced. Methods raise OSError when the disk is full; what was written before
    stays good.
    """

    def __init__(self, path: str | os.PathLike[str], info: RunInfo) -> None:
        self.path = Path(path)
        self.path.unlink(missing_ok=True)
        self.info = replace(info, format_version=VERSION)
        self._zip = ZipWriter(self.path)
        _lock(self._zip.fileno())
        self._infos = 0
        self._structures: dict[bytes, int] = {}
        self._next_structure = 0
        self._carried: dict[tuple[int, int, str, int, int], _Kept] = {}
        self._pending: list[StepInfo] = []
        self._index = Segments(self._zip, "index", "json", _join_index)
        self._history = Segments(self._zip, "history", "arrow", _join_history)
        self._statistics = Segments(self._zip, "statistics", "arrow", _join_history)
        self._zip.add(
            "whygrad.json",
            [_json({"format": FORMAT, "version": VERSION, "producer": f"whygrad {info.whygrad}".strip()})],
        )
        self._write_info()

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._zip.size

    def write_step(self, step: Step, contents: dict[int, Array], info: StepInfo) -> None:
        """A step with its numbers: `contents` maps a chunk's id to its bytes (1-D uint8); a chunk that is not
        in it is one whose content was not kept. Steps must come in order. `info.bytes` is replaced by the
        bytes that were written for the numbers."""
        head, structure = encode_step(step)
        head["structure"] = self._structure(structure, step)
        fresh, head["at"], head["without"] = self._sort_out(step, contents)
        if fresh:
            self._zip.add(f"values/{step.number}.safetensors", file_values.pack(fresh))
        self._zip.add(f"steps/{step.number}.json", [_json(head)], deflate=True)
        self._pending.append(replace(info, kept=True, bytes=sum(data.nbytes for _, data in fresh)))

    def write_rows(self, rows: Sequence[Row]) -> None:
        """Rows of the table: `(step, cells)`."""
        if rows:
            table = History()
            for step, cells in rows:
                table.add(step, cells)
            self._history.add(file_history.pack(table), len(rows))

    def write_statistics(self, rows: Sequence[tuple[int, dict[str, Numbers]]]) -> None:
        """Rows of the statistics: `(step, numbers by tensor)`."""
        if rows:
            table = Statistics()
            for step, row in rows:
                table.add(step, row)
            self._statistics.add(file_history.pack(table.history()), len(rows))

    def write_index(self, infos: Sequence[StepInfo] = ()) -> None:
        """Lines of the index: of the steps written since the last call, and `infos`, of steps that were not
        kept."""
        rows = sorted([*self._pending, *infos], key=lambda each: each.first)
        if rows:
            self._index.add(_json([encode_step_info(each) for each in rows]), len(rows))
            self._pending.clear()

    def set_info(self, info: RunInfo) -> None:
        """Say anew where and how the run was made."""
        info = replace(info, format_version=VERSION)
        if info != self.info:
            self.info = info
            self._write_info()

    def note(self, text: str) -> None:
        """Add a note to the run, once."""
        if text not in self.info.notes:
            self.set_info(replace(self.info, notes=(*self.info.notes, text)))

    def close(self, status: str = "ok") -> None:
        """Put the pieces of index and table together, and write the directory."""
        self.write_index()
        self.set_info(replace(self.info, status=status))
        self._index.join_all()
        if self._history.count <= _MOST_JOINED:
            self._history.join_all()
        if self._statistics.count <= _MOST_JOINED:
            self._statistics.join_all()
        self._zip.close()

    def abandon(self) -> None:
        """Let go of the file as it is, as a kill would."""
        self._zip.abandon()

    def _write_info(self) -> None:
        self._zip.add(f"info/{self._infos}.json", [_json(encode_info(self.info))])
        self._infos += 1

    def _structure(self, structure: dict[str, Any], step: Step) -> int:
        """The number of a structure, checked and written if it was not met before."""
        raw = _json(structure)
        print = hashlib.sha256(raw).digest()
        known = self._structures.get(print)
        if known is not None:
            return known
        check_step(step)
        number, self._next_structure = self._next_structure, self._next_structure + 1
        self._zip.add(f"structures/{number}.json", [raw], deflate=True)
        if len(self._structures) >= _MOST_STRUCTURES:
            self._structures.clear()
        self._structures[print] = number
        return number

    def _sort_out(
        self, step: Step, contents: dict[int, Array]
    ) -> tuple[list[tuple[Chunk, Array]], list[list[int]], list[int]]:
        """Chunks to be written; `[place, step, chunk]` of those that the step before had too; places of those
        without.

        A content is the same when memory, version *and* bytes are: a write that makes no op (numpy) leaves
        the version.
        """
        last: dict[int, int] = {}
        for chunk in step.chunks:
            last[chunk.storage] = max(chunk.version, last.get(chunk.storage, chunk.version))
        fresh: list[tuple[Chunk, Array]] = []
        before: list[list[int]] = []
        without: list[int] = []
        carried: dict[tuple[int, int, str, int, int], _Kept] = {}
        for place, chunk in enumerate(step.chunks):
            data = contents.get(chunk.id)
            if data is None:
                without.append(place)
                continue
            key = (chunk.storage, chunk.version, chunk.dtype, chunk.start, chunk.stop)
            known = self._carried.get(key)
            stays = last[chunk.storage] == chunk.version
            print = _fingerprint(data) if stays or known is not None else b""
            if known is not None and known.print == print:
                before.append([place, known.step, known.chunk])
                carried[key] = known
            else:
                fresh.append((chunk, data))
                if stays:
                    carried[key] = _Kept(step.number, chunk.id, print)
        self._carried = carried
        return fresh, before, without


def open_run(path: str | os.PathLike[str]) -> Trace:
    """The run saved at `path`. Only its index is read; steps, numbers and table are when they are asked for.

    Raises RunFileError, in one sentence, when there is no such file or it is not a run that can be read;
    reading steps, numbers and table of the Trace can raise it too.
    """
    source = FileSource(Path(path))
    return Trace(source.info, source.index, source.history, source, load_statistics=source.read_statistics)


def save_run(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Save any run. The file appears whole or not at all. Raises OSError when it cannot be written."""
    target = Path(path)
    part = target.with_name(target.name + ".part")
    writer = RunWriter(part, trace.info)
    try:
        history = trace.history
        by_name = {column.name: column for column in history.columns}
        rows: list[Row] = []
        for number, row in zip(history.steps, history.rows, strict=True):
            rows.append((number, [(by_name[name], cell) for name, cell in row.items() if cell is not None]))
        writer.write_rows(rows)
        statistics = trace.statistics
        writer.write_statistics(list(zip(statistics.steps, statistics.rows, strict=True)))
        for info in trace.index:
            if not info.kept:
                writer.write_index([info])
                continue
            step = trace.step(info.number)
            contents = {chunk.id: trace.source.load_chunk(step.number, chunk) for chunk in step.chunks}
            writer.write_step(step, {id: data for id, data in contents.items() if data is not None}, info)
        writer.close(trace.info.status)
        part.replace(target)
    except BaseException:
        writer.abandon()
        part.unlink(missing_ok=True)
        raise


def _fingerprint(data: Array) -> bytes:
    return data.tobytes() if data.nbytes <= 32 else hashlib.sha256(_view(data)).digest()


def _view(data: Array) -> memoryview:
    return np.ascontiguousarray(data).data


def _json(found: object) -> bytes:
    return json.dumps(found, separators=(",", ":"), allow_nan=False).encode()


def _join_index(raws: list[bytes]) -> bytes:
    return _json([row for raw in raws for row in json.loads(raw)])


def _join_history(raws: list[bytes]) -> bytes:
    table = History()
    for raw in raws:
        file_history.unpack(raw, "history", table)
    return file_history.pack(table)


def _lock(file: int) -> None:
    """Hold the file as long as the program lives: by this a reader tells a running program from a killed
    one."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
