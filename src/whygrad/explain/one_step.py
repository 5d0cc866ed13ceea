"""A trace that was just made in memory: the inside of an update, or of an op."""

from __future__ import annotations

from dataclasses import dataclass

from whygrad.trace.model import Chunk, Step
from whygrad.trace.store import Array


@dataclass
class OneStep:
    """A source of steps (`trace.store`) that has one."""

    step: Step
    contents: dict[int, Array]

    def load_step(self, number: int) -> Step:
        """The step, whatever its number."""
        return self.step

    def load_chunk(self, step: int, chunk: Chunk) -> Array | None:
        """The bytes of a chunk; None where it has none."""
        return self.contents.get(chunk.id)
