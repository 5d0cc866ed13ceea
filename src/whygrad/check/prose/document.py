"""What a reader finds in a document, as data: blocks of prose, code, and what the code printed, each with its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = ["Block", "BlockKind", "Code", "Document", "Output", "Place"]

BlockKind: TypeAlias = Literal["text", "heading", "cell", "maths"]
Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column count from 1; in a notebook `cell` counts from 1 too, and the line is that of the cell."""

    cell: int
    line: int
    column: int

    def __str__(self) -> str:
        return f"cell {self.cell}, {self.line}:{self.column}" if self.cell else f"{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list item, heading, table cell or display of maths.

    `text` is as long as its source: each line break is a blank, and so is each character of markup that a reader does not
    see; so an offset in it is a place in the document. `codes` and `maths` are the spans of inline code and of inline maths.
    Of a table cell, `header` is the text at the head of its column, `row` what stands in the first cell of its row and
    `corner` what stands above that. `order` counts blocks, code and outputs from the top.
    """

    kind: BlockKind
    text: str
    breaks: tuple[int, ...]
    line: int
    column: int
    cell: int
    order: int
    codes: tuple[Span, ...] = ()
    maths: tuple[Span, ...] = ()
    header: str = ""
    row: str = ""
    corner: str = ""
    section: str = ""

    def place(self, offset: int) -> Place:
        """Where a character of the text stands."""
        before = [at for at in self.breaks if at < offset]
        column = offset - before[-1] if before else offset + self.column
        return Place(self.cell, self.line + len(before), column)

    def in_code(self, start: int, end: int) -> bool:
        """Whether a stretch of the text stands inside inline code."""
        return any(a <= start and end <= b for a, b in self.codes)

    def in_maths(self, start: int, end: int) -> bool:
        """Whether a stretch of the text stands inside inline or displayed maths."""
        return self.kind == "maths" or any(a <= start and end <= b for a, b in self.maths)


@dataclass(frozen=True, slots=True)
class Code:
    """Python that the document shows; `cell` as in `Place`, `file` where the document names the file it is."""

    text: str
    cell: int
    line: int
    order: int
    file: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """Text that a program printed."""

    text: str
    cell: int
    order: int


@dataclass
class Document:
    """`left_alone` counts the blocks that a comment in the document keeps out of the check."""

    name: str
    blocks: list[Block] = field(default_factory=list[Block])
    codes: list[Code] = field(default_factory=list[Code])
    outputs: list[Output] = field(default_factory=list[Output])
    left_alone: int = 0
