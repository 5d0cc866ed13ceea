"""Which steps are kept whole, and how many bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from whygrad.errors import WhygradError

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True)
class Keep:
    """`spans` are half-open step ranges (stop None: to the end) of steps counted from 0; the last `tail` steps are kept
    besides; `budget` bounds the bytes of all of them."""

    option: str
    spans: tuple[tuple[int, int | None], ...]
    tail: int
    budget: int

    def wants(self, number: int) -> bool:
        """Whether step `number` is asked for, counted from the start."""
        return any(start <= number and (stop is None or number < stop) for start, stop in self.spans)


def parse_keep(steps: str, budget: int | str) -> Keep:
    """`steps`: "all", "none", or a comma list of step numbers and ranges as in a Python slice: `0,10:20,-1` keeps step 0,
    steps 10 to 19 and the last; `-5:` keeps the last five. `budget`: bytes, or text such as `500MB` or `2GiB`.

    Raises WhygradError when either cannot be read.
    """
    spans: list[tuple[int, int | None]] = []
    tail = 0
    text = steps.strip().lower()
    if text == "all":
        spans.append((0, None))
    elif text != "none":
        for part in text.split(","):
            span, last = _part(part.strip(), steps)
            tail = max(tail, last)
            if span is not None:
                spans.append(span)
    return Keep(steps, tuple(spans), tail, parse_bytes(budget))


def _part(part: str, whole: str) -> tuple[tuple[int, int | None] | None, int]:
    match = re.fullmatch(r"(-?\d+)?(?:(:)(-?\d+)?)?", part)
    if not part or match is None or (match[1] is None and match[2] is None):
        raise WhygradError(
            f"--steps {whole!r}: expected all, none, or numbers and ranges such as 0,10:20,-1; found {part!r}."
        )
    start = int(match[1]) if match[1] else 0
    if match[2] is None:
        return (None, -start) if start < 0 else ((start, start + 1), 0)
    stop = int(match[3]) if match[3] else None
    if start < 0:
        if stop is not None:
            raise WhygradError(f"--steps {whole!r}: a range from the end must run to the end, as {start}: does.")
        return None, -start
    if stop is not None and stop < 0:
        raise WhygradError(f"--steps {whole!r}: the end of {part!r} is not known while the program runs; use {start}:.")
    return (start, stop), 0


def parse_bytes(size: int | str) -> int:
    """Bytes of `1GB`, `500 MiB`, `1e9`, or a plain number. Raises WhygradError for anything else."""
    if isinstance(size, int):
        return size
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([kmgt]?i?b?)\s*", size, re.IGNORECASE)
    unit = match[2].upper() if match else ""
    if unit in ("K", "M", "G", "T"):
        unit += "B"
    if match is None or unit not in _UNITS:
        raise WhygradError(f"--budget {size!r}: expected bytes with a unit, such as 500MB, 1GB or 2GiB.")
    return int(float(match[1]) * _UNITS[unit])
