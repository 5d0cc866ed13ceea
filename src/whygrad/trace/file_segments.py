"""A long list, saved in pieces while it grows: `index/0-4.json` holds items 0 to 3, `index/4-9.json` the next
five.

Sixteen pieces of one size are written once more as one, so that a program killed after a day has left a few
dozen pieces and not a hundred thousand. A reader takes the longest piece from each item on.
"""

from __future__ import annotations

from collections.abc import Callable

from whygrad.trace.file_zip import Member, ZipReader, ZipWriter

_FAN = 16


class Segments:
    """Writes the pieces. `join` makes one piece of the bytes of several."""

    def __init__(self, zip: ZipWriter, folder: str, suffix: str, join: Callable[[list[bytes]], bytes]) -> None:
        self._zip, self._folder, self._suffix, self._join = zip, folder, suffix, join
        self._levels: list[list[tuple[int, int, Member]]] = [[]]
        self.count = 0

    def add(self, raw: bytes, items: int) -> None:
        """Write the next `items` items."""
        start, self.count = self.count, self.count + items
        self._put(start, self.count, raw, 0)

    def join_all(self) -> None:
        """Write everything as one piece, if it is not one already."""
        pieces = sorted(piece for level in self._levels for piece in level)
        if len(pieces) > 1:
            raw = self._join([self._zip.read_back(piece[2]) for piece in pieces])
            self._levels = [[]]
            self._put(0, self.count, raw, 0)

    def _put(self, start: int, stop: int, raw: bytes, level: int) -> None:
        member = self._zip.add(f"{self._folder}/{start}-{stop}.{self._suffix}", [raw])
        if level == len(self._levels):
            self._levels.append([])
        pieces = self._levels[level]
        pieces.append((start, stop, member))
        if len(pieces) == _FAN:
            joined = self._join([self._zip.read_back(piece[2]) for piece in pieces])
            first = pieces[0][0]
            pieces.clear()
            self._put(first, stop, joined, level + 1)


def segment_names(file: ZipReader, folder: str) -> list[str]:
    """The members that together hold the list, in order. Raises RunFileError when a piece is missing."""
    spans: list[tuple[int, int, str]] = []
    for name in file.members:
        if name.startswith(folder + "/"):
            start, _, stop = name[len(folder) + 1 :].partition(".")[0].partition("-")
            spans.append((int(start), -int(stop), name))
    names: list[str] = []
    done = 0
    for start, stop, name in sorted(spans):
        if -stop <= done:
            continue
        if start != done:
            raise file.fail(f"damaged: items {done} to {start} of its {folder} are missing.")
        names.append(name)
        done = -stop
    return names
