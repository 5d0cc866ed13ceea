"""What a check reports, as finished strings, and what it counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from whygrad.check.prose.document import Place

__all__ = ["Finding", "Report", "Statement"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind` is one of: number, setting, arithmetic, statement. `says` is the claim, `found` what is so instead, `derivation`
    the equation that gives it, each a text and empty where there is none."""

    place: Place
    kind: str
    text: str
    says: str
    found: str
    derivation: str = ""
    address: str = ""

    def sentence(self) -> str:
        """`says the learning rate is 0.01: the code uses 0.1`."""
        return f"{self.says}: {self.found}" if self.found else self.says

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "cell": self.place.cell or None,
            "line": self.place.line,
            "column": self.place.column,
            "kind": self.kind,
            "text": self.text,
            "says": self.says,
            "found": self.found,
            "address": self.address,
            "derivation": self.derivation,
        }


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence, or part of one, that was tested: its span, whether it holds, and what it says and what is so if not.
    `covers`: the span in which numbers need no tracing of their own."""

    start: int
    end: int
    holds: bool
    says: str = ""
    found: str = ""
    covers: tuple[int, int] | None = None


@dataclass
class Report:
    """`traced` counts numbers (and statements) by what they were traced to; `left` numbers that are plainly something else, or
    claim nothing; `untried` those that there was nothing to trace to."""

    document: str
    findings: list[Finding] = field(default_factory=list[Finding])
    traced: Counter[str] = field(default_factory=Counter[str])
    numbers: int = 0
    left: int = 0
    untried: int = 0
    left_alone: int = 0

    def summary(self) -> str:
        """One line: how many numbers were traced to what."""
        parts = [f"{count} {_TO[to]}" for to, count in sorted(self.traced.items(), key=lambda pair: -pair[1])]
        text = f"{self.document}: {_count(self.numbers, 'number')} in the prose; {', '.join(parts) or 'none traced'}"
        if self.left:
            text += f"; {self.left} are no results"
        if self.untried:
            text += f"; {self.untried} had nothing to be held against (no code, output or run)"
        if self.left_alone:
            text += f"; {_count(self.left_alone, 'block')} left out by a comment"
        return text + f"; {_count(len(self.findings), 'finding')}."

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "document": self.document,
            "numbers": self.numbers,
            "traced": dict(self.traced),
            "left": self.left,
            "untried": self.untried,
            "left_out": self.left_alone,
            "findings": [each.to_dict() for each in self.findings],
        }


_TO = {
    "run": "traced to the run", "code": "to the code", "output": "to an output", "definition": "defined in the prose",
    "arithmetic": "to arithmetic", "format": "to a number format", "statement": "statements hold",
}  # fmt: skip


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
