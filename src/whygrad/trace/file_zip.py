"""The container of a saved run: a ZIP64 that is only ever appended to.

Each member is written whole, its size and CRC in front of it, so that a program killed at any moment loses at
most the member being written. A reader takes the central directory where there is one that is intact, and
else walks from local header to local header. Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 (local
header), 4.3.12 (central directory), 4.3.14–16 (the end records), 4.5.3 (the ZIP64 extra field).
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whygrad.errors import RunFileError

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_END64 = struct.Struct("<IQHHIIQQQQ")
_LOCATOR = struct.Struct("<IIQI")
_LOCAL_SIGNATURE, _CENTRAL_SIGNATURE, _END_SIGNATURE = 0x04034B50, 0x02014B50, 0x06054B50
_END64_SIGNATURE, _LOCATOR_SIGNATURE = 0x06064B50, 0x07064B50
_STORED, _DEFLATED = 0, 8
_ZIP64, _UTF8 = 45, 0x800
# 1980-01-01, the first date a ZIP can tell: two recordings of one run are the same bytes.
_DATE = 0x21
_FULL = 0xFFFFFFFF
_MOST_MEMBERS = 1 << 24
_MOST_EXPANDED = 1 << 29
_COMMENT = b"whygrad directory crc32 "
NAMES = re.compile(
    r"whygrad\.json|info/\d{1,12}\.json|index/\d{1,12}-\d{1,12}\.json|structures/\d{1,12}\.json|steps/\d{1,12}\.json"
    r"|values/\d{1,12}\.safetensors|(?:history|statistics)/\d{1,12}-\d{1,12}\.arrow"
)
"""Every name that a member of a run may have."""


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member lies. `header` is the place of its local header, `data` of its first byte (-1: not
    looked up yet)."""

    name: str
    header: int
    data: int
    packed: int
    size: int
    crc: int
    deflated: bool


class ZipWriter:
    """Appends members to a new file. Unbuffered: what `add` returned from survives the process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        self._members: list[Member] = []
        self._place = 0

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._place

    def fileno(self) -> int:
        """The file's descriptor."""
        return self._file

    def add(self, name: str, parts: Sequence[bytes | memoryview], deflate: bool = False) -> Member:
        """Append a member made of `parts`, one after the other. Raises OSError when the disk is full; the
        torn member is taken back then."""
        size = sum(len(part) for part in parts)
        crc = 0
        for part in parts:
            crc = zlib.crc32(part, crc)
        if deflate:
            packer = zlib.compressobj(6, zlib.DEFLATED, -15)
            parts = [packer.compress(b"".join(parts)), packer.flush()]
        packed = sum(len(part) for part in parts)
        label = name.encode()
        head = (
            _LOCAL.pack(
                _LOCAL_SIGNATURE,
                _ZIP64,
                _UTF8,
                _DEFLATED if deflate else _STORED,
                0,
                _DATE,
                crc,
                _FULL,
                _FULL,
                len(label),
                20,
            )
            + label
            + struct.pack("<HHQQ", 1, 16, size, packed)
        )
        try:
            self._write([head, *parts])
        except OSError:
            os.ftruncate(self._file, self._place)
            os.lseek(self._file, self._place, os.SEEK_SET)
            raise
        member = Member(name, self._place, self._place + len(head), packed, size, crc, deflate)
        self._members.append(member)
        self._place += len(head) + packed
        return member

    def read_back(self, member: Member) -> bytes:
        """What a stored (not deflated) member holds."""
        data = read_at(self._file, member.packed, member.data)
        os.lseek(self._file, self._place, os.SEEK_SET)
        return data

    def close(self) -> None:
        """Write the central directory and close the file."""
        directory = b"".join(_central(member) for member in self._members)
        count, at = len(self._members), self._place
        end64 = _END64.pack(_END64_SIGNATURE, 44, _ZIP64, _ZIP64, 0, 0, count, count, len(directory), at)
        locator = _LOCATOR.pack(_LOCATOR_SIGNATURE, 0, at + len(directory), 1)
        comment = _COMMENT + b"%08x" % zlib.crc32(directory)
        end = _END.pack(_END_SIGNATURE, 0, 0, 0xFFFF, 0xFFFF, _FULL, _FULL, len(comment)) + comment
        try:
            self._write([directory, end64, locator, end])
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file as it is."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, parts: Sequence[bytes | memoryview]) -> None:
        small: list[bytes | memoryview] = []
        waiting = 0
        for part in parts:
            small.append(part)
            waiting += len(part)
            if waiting >= 1 << 16:
                self._write_all(small[0] if len(small) == 1 else b"".join(small))
                small, waiting = [], 0
        self._write_all(b"".join(small))

    def _write_all(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]


def read_at(file: int, count: int, place: int) -> bytes:
    """`count` bytes from `place` of an open file, fewer at its end."""
    parts: list[bytes] = []
    while count:
        if hasattr(os, "pread"):
            part = os.pread(file, min(count, 1 << 30), place)
        else:  # Windows
            os.lseek(file, place, os.SEEK_SET)
            part = os.read(file, min(count, 1 << 30))
        if not part:
            break
        parts.append(part)
        place += len(part)
        count -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _central(member: Member) -> bytes:
    label = member.name.encode()
    return (
        _CENTRAL.pack(
            _CENTRAL_SIGNATURE,
            _ZIP64,
            _ZIP64,
            _UTF8,
            _DEFLATED if member.deflated else _STORED,
            0,
            _DATE,
            member.crc,
            _FULL,
            _FULL,
            len(label),
            28,
            0,
            0,
            0,
            0,
            _FULL,
        )
        + label
        + struct.pack("<HHQQQ", 1, 24, member.size, member.packed, member.header)
    )


class ZipReader:
    """Members of a file by name. `broken_at` is the byte at which the file breaks off, None for one that was
    closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._map: mmap.mmap | None = None
        try:
            self._file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            self.size = os.fstat(self._file).st_size
        except OSError as error:
            self.close()
            raise RunFileError(f"{path}: cannot be read: {error.strerror}.") from None
        self.broken_at: int | None = None
        self.members: dict[str, Member] = {}
        try:
            self._check_start()
            found = self._directory()
            for member in self._walk() if found is None else found:
                self._take(member)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        self.close()

    def fileno(self) -> int:
        """The file's descriptor."""
        return self._file

    def fail(self, what: str) -> RunFileError:
        """The error that says what is wrong with this file."""
        return RunFileError(f"{self._path}: {what}")

    def bytes_at(self, place: int, count: int) -> bytes:
        """`count` bytes from `place`. Raises RunFileError when the file has fewer."""
        if place < 0 or count < 0 or place + count > self.size:
            raise self.fail(f"damaged: {count:,} bytes were expected at {place:,}, and the file has {self.size:,}.")
        try:
            data = read_at(self._file, count, place)
        except OSError as error:
            raise self.fail(f"cannot be read: {error.strerror}.") from None
        if len(data) < count:
            raise self.fail("was cut shorter while it was being read.")
        return data

    def window(self, place: int, count: int) -> memoryview:
        """`count` bytes from `place`, read from the disk as they are looked at. Raises RunFileError when the file has
        fewer."""
        if place < 0 or count < 0 or place + count > self.size:
            raise self.fail(f"damaged: {count:,} bytes were expected at {place:,}, and the file has {self.size:,}.")
        if self._map is None or len(self._map) < place + count:
            try:
                self._map = mmap.mmap(self._file, 0, access=mmap.ACCESS_READ)
            except (OSError, ValueError) as error:
                raise self.fail(f"cannot be read: {error}.") from None
        return memoryview(self._map)[place : place + count]

    def read(self, name: str) -> bytes:
        """A whole member, its CRC checked. Raises RunFileError when it is missing or damaged."""
        member = self.located(name)
        data = self.bytes_at(member.data, member.packed)
        if member.deflated:
            data = self._inflate(member, data)
        if zlib.crc32(data) != member.crc:
            raise self.fail(f"damaged: the bytes of {name} do not have the CRC that was written with them.")
        return data

    def located(self, name: str) -> Member:
        """A member with the place of its data."""
        member = self.members.get(name)
        if member is None:
            raise self.fail(f"damaged: its member {name} is missing.")
        if member.data < 0:
            local = self._local(member.header)
            if local is None or (local.name, local.packed, local.size, local.crc, local.deflated) != (
                member.name,
                member.packed,
                member.size,
                member.crc,
                member.deflated,
            ):
                raise self.fail(f"damaged: {name} is not where the directory says.")
            member = self.members[name] = local
        return member

    def _inflate(self, member: Member, data: bytes) -> bytes:
        if member.size > _MOST_EXPANDED:
            raise self.fail(f"{member.name} would unpack to {member.size:,} bytes; no run has so large a description.")
        unpacker = zlib.decompressobj(-15)
        try:
            out = unpacker.decompress(data, member.size + 1)
        except zlib.error:
            raise self.fail(f"damaged: {member.name} cannot be unpacked.") from None
        if len(out) != member.size:
            raise self.fail(f"damaged: {member.name} does not unpack to the {member.size:,} bytes that it promises.")
        return out

    def _check_start(self) -> None:
        if self.size == 0:
            raise self.fail("is empty. A run is saved by `whygrad run SCRIPT`.")
        start = self.bytes_at(0, min(self.size, 42))
        if start[:4] != _LOCAL_SIGNATURE.to_bytes(4, "little"):
            raise self.fail("is not a saved run. `whygrad run SCRIPT` makes one.")
        if start[30:42] != b"whygrad.json":
            if b"whygrad.json".startswith(start[30:42]):
                raise self.fail("breaks off before anything was recorded.")
            raise self.fail("is a ZIP file, but not a saved run: those begin with a member whygrad.json.")

    def _take(self, member: Member) -> None:
        if NAMES.fullmatch(member.name) is None:
            raise self.fail(f"holds a member {member.name[:80]!r}, which no run has.")
        if member.name in self.members:
            raise self.fail(f"damaged: it holds {member.name} twice.")
        if (
            member.header < 0
            or member.header + member.packed > self.size
            or (not member.deflated and member.packed != member.size)
        ):
            raise self.fail(f"damaged: the directory puts {member.name} outside the file.")
        self.members[member.name] = member

    # ---- the central directory

    def _directory(self) -> list[Member] | None:
        """Members as the central directory lists them, or None where there is none or it is damaged."""
        length = _END.size + len(_COMMENT) + 8
        fixed = _END64.size + _LOCATOR.size + length
        if self.size < fixed:
            return None
        tail = self.bytes_at(self.size - fixed, fixed)
        signature, *_, count, size, at = _END64.unpack_from(tail, 0)
        comment = tail[fixed - len(_COMMENT) - 8 :]
        if signature != _END64_SIGNATURE or not comment.startswith(_COMMENT) or at + size + fixed != self.size:
            return None
        directory = self.bytes_at(at, size)
        if comment[len(_COMMENT) :] != b"%08x" % zlib.crc32(directory):
            return None
        found: list[Member] = []
        place = 0
        while place < size:
            member, place = self._central(directory, place)
            found.append(member)
        return found if len(found) == count else None

    def _central(self, directory: bytes, place: int) -> tuple[Member, int]:
        try:
            (signature, _, _, _, method, _, _, crc, packed, size, n, extra, comment, _, _, _, header) = (
                _CENTRAL.unpack_from(directory, place)
            )
            place += _CENTRAL.size
            name = _text(directory[place : place + n])
            more = _extra(directory[place + n : place + n + extra])
            size, packed, header = (more.pop(0) if each == _FULL else each for each in (size, packed, header))
        except (struct.error, IndexError, ValueError):
            raise self.fail("damaged: its directory cannot be read.") from None
        if signature != _CENTRAL_SIGNATURE or method not in (_STORED, _DEFLATED):
            raise self.fail("damaged: its directory cannot be read.")
        return Member(name, header, -1, packed, size, crc, method == _DEFLATED), place + n + extra + comment

    # ---- without one

    def _walk(self) -> list[Member]:
        found: list[Member] = []
        place = 0
        self.broken_at = 0
        while len(found) < _MOST_MEMBERS:
            member = self._local(place)
            self.broken_at = place
            if member is None or member.data + member.packed > self.size:
                break
            found.append(member)
            place = member.data + member.packed
        return found

    def _local(self, place: int) -> Member | None:
        if place < 0 or place + _LOCAL.size > self.size:
            return None
        start = self.bytes_at(place, min(128, self.size - place))
        signature, _, _, method, _, _, crc, packed, size, n, extra = _LOCAL.unpack_from(start)
        end = _LOCAL.size + n + extra
        if signature != _LOCAL_SIGNATURE or method not in (_STORED, _DEFLATED) or end > len(start):
            return None
        try:
            name = _text(start[_LOCAL.size : _LOCAL.size + n])
            more = _extra(start[_LOCAL.size + n : end])
            size, packed = (more.pop(0) if each == _FULL else each for each in (size, packed))
        except (struct.error, IndexError, ValueError):
            return None
        return Member(name, place, place + end, packed, size, crc, method == _DEFLATED)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8")


def _extra(raw: bytes) -> list[int]:
    """The 64-bit numbers of the ZIP64 extra field."""
    place = 0
    while place + 4 <= len(raw):
        kind, size = struct.unpack_from("<HH", raw, place)
        if kind == 1:
            body = raw[place + 4 : place + 4 + size]
            return list(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
        place += 4 + size
    return []
