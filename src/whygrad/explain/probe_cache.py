"""Trees of additions remembered on disk, so that a kernel is asked once on a machine.

One JSON file for each machine, torch and setting, in the user's cache directory: `$WHYGRAD_CACHE` (a directory; empty or
`off`: none), else `$XDG_CACHE_HOME/whygrad`, `~/Library/Caches/whygrad` or `%LOCALAPPDATA%\\whygrad`. A file that cannot be
read counts as empty, one that cannot be written is left.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from whygrad.floats.summation import TreeItems

__all__ = ["Cache", "directory", "machine"]

Found: TypeAlias = "tuple[TreeItems, bool] | None"
_VARIABLE = "WHYGRAD_CACHE"
_FORMAT = 1
_LEAST = 0.02
"""Seconds below which asking again is as good as reading."""


def directory() -> Path | None:
    """Where the trees are kept; None: nowhere."""
    named = os.environ.get(_VARIABLE)
    if named is not None:
        return None if named in ("", "off", "0") else Path(named)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "whygrad"


@cache
def machine() -> str:
    """What kernels depend on besides their arguments: torch's version, the processor, the instructions that it may use."""
    try:
        import platform

        import torch
    except ImportError:
        return ""
    capability = torch.backends.cpu.get_cpu_capability()
    onednn = bool(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled)  # pyright: ignore[reportAttributeAccessIssue]
    settings = [os.environ.get(name, "") for name in ("ONEDNN_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")]
    return repr((torch.__version__, platform.machine(), _processor(), capability, onednn, settings))


def _processor() -> str:
    """The processor's model: MKL and oneDNN choose kernels by it."""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
        lines = [
            line.partition(":")[2].strip() for line in file if line.startswith(("vendor_id", "cpu family", "model\t"))
        ]
        return " ".join(lines[:3])
    import platform

    return platform.processor()


class Cache:
    """Trees by key. What is on disk is read once, and written again with what others have put there since."""

    def __init__(self, path: Path | None = None) -> None:
        folder = directory() if path is None else None
        name = f"orders-{hashlib.sha256(machine().encode()).hexdigest()[:16]}.json"
        self.path = path if path is not None else None if folder is None else folder / name
        self._known: dict[str, Any] | None = None

    def get(self, key: str) -> tuple[bool, Found]:
        """Whether something is kept under `key`, and what: the tree, and whether products are fused; None where it took too
        long to find out."""
        if self._known is None:
            self._known = self._read()
        try:
            kept = self._known[_hashed(key)]
            return True, None if kept is None else (_unpacked(kept[1]), bool(kept[0]))
        except (KeyError, TypeError, ValueError, IndexError):
            return False, None

    def put(self, key: str, found: Found, seconds: float) -> None:
        """Keep what it took `seconds` to find out."""
        if self.path is None or seconds < _LEAST:
            return
        known = {**self._read(), _hashed(key): None if found is None else [found[1], _packed(found[0])]}
        self._known = known
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.path.parent, suffix=".tmp")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"format": _FORMAT, "trees": known}, file, separators=(",", ":"))
            Path(name).replace(self.path)

    def _read(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            return dict(found["trees"]) if found["format"] == _FORMAT else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _packed(items: TreeItems) -> list[Any]:
    """Ranges as text, for a list is a nested tuple: [start, stop, step] would be one of three leaves."""
    return [f"{i.start}:{i.stop}:{i.step}" if isinstance(i, range) else _packed(i) for i in items]


def _unpacked(items: Any) -> TreeItems:
    """Raises ValueError or TypeError for what is no tree."""
    if not isinstance(items, list) or not items:
        raise TypeError("expected a list of parts")
    return tuple(range(*map(int, item.split(":"))) if isinstance(item, str) else _unpacked(item) for item in items)  # pyright: ignore[reportUnknownVariableType]
