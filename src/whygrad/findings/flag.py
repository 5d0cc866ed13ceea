"""The record of a flag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Flag", "FlagKind"]

FlagKind: TypeAlias = Literal["non-finite", "lost updates", "update ratio", "exact zero"]


@dataclass(frozen=True)
class Flag:
    """`steps` steps between `first` and `last` were flagged. `address` is the number to ask (with its `@step`), of `step`,
    which was kept; "" and −1 where no such step was kept. `tensor`: the parameter's name, or what the number belongs to;
    `format` its number format. `numbers`: the evidence by name, as the detector says. `remedy`: what helps, a sentence."""

    kind: FlagKind
    tensor: str
    first: int
    last: int
    steps: int
    step: int
    address: str
    format: str
    numbers: tuple[tuple[str, float], ...]
    remedy: str

    def get(self, name: str) -> float:
        """One number of the evidence. Raises KeyError."""
        return dict(self.numbers)[name]
