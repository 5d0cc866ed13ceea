"""The numbers of one step, as a safetensors file inside the run: one 1-D array a chunk, its key the chunk's
id.

Source: the safetensors format, https://huggingface.co/docs/safetensors (8 bytes little-endian length, JSON
header, data). A CRC a chunk stands in the header's `__metadata__`, so that one chunk is read and checked
without the others.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.errors import RunFileError
from whygrad.trace.codec_read import Reader
from whygrad.trace.file_zip import ZipReader
from whygrad.trace.model import Chunk

Array = np.ndarray[Any, Any]

_SAFE = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
ITEM_SIZE = {
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 8),
    **dict.fromkeys(("float32", "int32", "uint32", "complex32", "qint32"), 4),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16", "bits16"), 2),
    **dict.fromkeys(("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"), 1),
    **dict.fromkeys(("bool", "int8", "uint8", "qint8", "quint8", "quint2x4", "quint4x2", "float4_e2m1fn_x2"), 1),
    **dict.fromkeys((*(f"{sign}int{bits}" for sign in ("u", "") for bits in range(1, 8)),), 1),
    **dict.fromkeys(("bits8", "bits1x8", "bits2x4", "bits4x2"), 1),
    "complex128": 16,
}
"""Bytes of one element of each of torch's dtypes. Those that safetensors lacks are stored as bytes (U8)."""
LARGE = 1 << 25
"""A chunk of more bytes is not read whole to show one number of it."""
_MOST_HEADER = 1 << 28


def pack(chunks: Sequence[tuple[Chunk, Array]]) -> list[bytes | memoryview]:
    """A safetensors file of the chunks' bytes, in parts to be written one after the other."""
    header: dict[str, Any] = {"__metadata__": {}}
    sums: list[str] = []
    place = 0
    data: list[bytes | memoryview] = []
    for chunk, content in chunks:
        raw = np.ascontiguousarray(content).data.cast("B")
        kind, size = _SAFE.get(chunk.dtype, "U8"), len(raw)
        shape = [size if chunk.dtype not in _SAFE else chunk.stop - chunk.start]
        header[str(chunk.id)] = {"dtype": kind, "shape": shape, "data_offsets": [place, place + size]}
        sums.append(f"{zlib.crc32(raw):08x}")
        data.append(raw)
        place += size
    header["__metadata__"] = {"crc32": " ".join(sums)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little") + text, *data]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the file a chunk's bytes lie."""

    start: int
    size: int
    crc: int


def places(file: ZipReader, name: str) -> dict[int, Place]:
    """Chunk id → place, of one values member. Raises RunFileError when the header is not what `pack`
    writes."""
    member = file.located(name)
    read = Reader(str(file.fail(name)))
    if member.deflated or member.size < 8:
        raise read.fail("is no safetensors file")
    length = int.from_bytes(file.bytes_at(member.data, 8), "little")
    if length > min(member.size - 8, _MOST_HEADER):
        raise read.fail(f"its header of {length:,} bytes is longer than it")
    header = read.dict(read.json(file.bytes_at(member.data + 8, length)))
    sums = read.str(read.dict(header.pop("__metadata__", None)).get("crc32")).split()
    if len(sums) != len(header):
        raise read.fail(f"it has {len(header)} arrays and {len(sums)} CRCs")
    room, base = member.size - 8 - length, member.data + 8 + length
    found: dict[int, Place] = {}
    for (key, entry), crc in zip(header.items(), sums, strict=True):
        start, stop = read.row(read.dict(entry).get("data_offsets"), 2)
        if not (type(start) is int and type(stop) is int and 0 <= start <= stop <= room):
            raise read.fail(f"array {key[:20]!r} lies outside it")
        try:
            found[int(key)] = Place(base + start, stop - start, int(crc, 16))
        except ValueError:
            raise read.fail(f"array {key[:20]!r} is no chunk") from None
    return found


def load(file: ZipReader, where: str, place: Place, chunk: Chunk) -> Array:
    """The bytes of a chunk (1-D uint8). Raises RunFileError when they are not those that were written; of a chunk of more
    than `LARGE` bytes, which is read as it is looked at, that is not checked."""
    size = ITEM_SIZE.get(chunk.dtype, 0) * (chunk.stop - chunk.start)
    if size != place.size:
        raise RunFileError(f"{where}: chunk {chunk.id} should have {size:,} bytes; {place.size:,} are saved.")
    if size > LARGE:
        return np.frombuffer(file.window(place.start, place.size), np.uint8)
    raw = file.bytes_at(place.start, place.size)
    if zlib.crc32(raw) != place.crc:
        raise RunFileError(f"{where}: damaged: the bytes of chunk {chunk.id} do not have the CRC written with them.")
    return np.frombuffer(raw, np.uint8)
