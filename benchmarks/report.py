"""Tables in markdown, and what the figures were measured on."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch


@dataclass(frozen=True)
class Table:
    """A head, rows of the same length, and which columns hold numbers (they are set to the right)."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: tuple[int, ...] = ()

    def markdown(self) -> str:
        """The table. Raises ValueError when a row is not as long as the head."""
        if any(len(row) != len(self.head) for row in self.rows):
            raise ValueError(f"a row of another length than the head's {len(self.head)}")
        rule = ["---:" if i in self.numbers else "---" for i in range(len(self.head))]
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.head, rule, *self.rows))


def ratio(x: float) -> str:
    """A ratio in three significant digits, never in powers of ten."""
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def share(part: int, whole: int) -> str:
    """`part` of `whole` in percent; 100 % and 0 % only when exact."""
    if whole == 0:
        return "–"
    percent = 100 * part / whole
    if part in (0, whole):
        return f"{percent:.0f} %"
    return f"{min(max(percent, 0.1), 99.9):.1f} %"


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def measured_on() -> str:
    """Date, machine and versions, as a list."""
    versions = {"Python": platform.python_version(), "torch": torch.__version__}
    for name in ("torchlens", "whygrad"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    lines = [
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        f"- machine: {processor()}, {torch.backends.cpu.get_cpu_capability()}, {_cpus()} CPUs, {platform.system()}",
        "- versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]
    return "\n".join(lines)


def _cpus() -> int:
    import os

    return os.cpu_count() or 1
