"""Markdown → blocks of prose, code and output. Only what bears on numbers is told apart; no HTML is made of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from whygrad.check.prose.document import Block, BlockKind, Code, Document, Output

__all__ = ["read_markdown"]

_FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*\{?\.?([\w+-]*)")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s")
_ITEM = re.compile(r"^(\s*(?:[-*+]|\d{1,3}[.)])\s+)")
_RULE = re.compile(r"^ {0,3}(?:[-*_]\s*){3,}$")
_TABLE_RULE = re.compile(r"^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s")
_FILE = re.compile(r"file:\s*([\w./-]+)")
_MARK = re.compile(r"whygrad:\s*not (?:a )?result(?P<page>s on this page)?\b")
_PYTHON = {"python", "py", "python3", "ipython", "ipython3", "pycon", "code-cell"}
_OUTPUT = {"", "text", "console", "output", "txt", "plain", "pytb", "json", "plaintext", "csv"}
_HIDDEN = (
    re.compile(r"!\[[^\]]*\]\([^)]*\)"),  # pictures
    re.compile(r"(?<=\])\((?:[^()\s]|\([^)]*\))*(?:\s+\"[^\"]*\")?\)"),  # where a link leads
    re.compile(r"<https?:[^>]*>|https?://[^\s)>\]]+|\bwww\.\S+"),
    re.compile(r"</?[A-Za-z][^<>]*>"),
    re.compile(r"\[\^[\w-]+\]"),  # footnotes
    re.compile(
        r"\*\*|__(?=\S)|(?<=\S)__|(?<![\s*\d])\*(?![\s*\d])|(?<=\s)\*(?=\w)|^\*(?=\w)|(?<=[.\w,])\*(?=[\s.,;:)]|$)"
    ),
)
_CODE = re.compile(r"(`+)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_MATHS = re.compile(
    r"\$\$(.+?)\$\$|(?<![\\$\w])\$(?!\s)([^$\n]{1,300}?)(?<![\s\\])\$(?![\d$])|\\\((.+?)\\\)", re.DOTALL
)


def read_markdown(text: str, into: Document, cell: int = 0, comment_cell: bool = False) -> None:
    """Add what a Markdown text holds to a document. `cell`: the notebook cell that it is, 0 for a file of its own."""
    _Reader(text, into, cell).read()


@dataclass
class _Reader:
    source: str
    into: Document
    cell: int
    at: int = 0
    skip: bool = False
    whole: bool = False
    file: str = ""
    section: str = ""
    lines: list[str] = field(default_factory=list[str])

    def read(self) -> None:
        self.lines = self.source.split("\n")
        if self.lines[0].strip() == "---" and not self.cell:  # front matter
            ends = [i for i, line in enumerate(self.lines[1:], 1) if line.strip() == "---"]
            self.at = ends[0] + 1 if ends else 0
        while self.at < len(self.lines):
            self.one()

    @property
    def order(self) -> int:
        return len(self.into.blocks) + len(self.into.codes) + len(self.into.outputs) + self.into.left_alone

    def one(self) -> None:
        line = self.lines[self.at]
        fence = _FENCE.match(line)
        if fence:
            self.fenced(fence[1], fence[2].lower())
        elif not line.strip() or _RULE.match(line) or _REFERENCE.match(line):
            self.at += 1
        elif line.lstrip().startswith("<!--"):
            self.comment()
        elif line.strip().startswith(("$$", "\\[", "\\begin{")):
            self.display()
        elif _HEADING.match(line):
            self.section = line.strip("# ").strip()
            self.take("heading", self.at, self.at + 1)
        elif (
            "|" in line
            and self.at + 1 < len(self.lines)
            and _TABLE_RULE.match(self.lines[self.at + 1])
            and "|" in self.lines[self.at + 1]
        ):
            self.table()
        elif line.startswith("    ") and self.alone():
            self.indented()
        else:
            self.paragraph()

    def alone(self) -> bool:
        """Whether an indented line is code: it follows a blank line, and no list is open above it."""
        above = [line for line in self.lines[max(0, self.at - 6) : self.at] if line.strip()]
        return (self.at == 0 or not self.lines[self.at - 1].strip()) and not (
            above and (_ITEM.match(above[-1]) or above[-1][:2] == "  ")
        )

    def fenced(self, mark: str, kind: str) -> None:
        first = self.at + 1
        end = first
        while end < len(self.lines) and not re.match(rf"^\s*{re.escape(mark[0])}{{{len(mark)},}}\s*$", self.lines[end]):
            end += 1
        body = "\n".join(self.lines[first:end])
        if kind == "math":
            self.take("maths", first, end)
        elif kind in _PYTHON:
            self.into.codes.append(Code(body, self.cell, first + 1, self.order, self.file))
        elif kind in _OUTPUT:
            self.into.outputs.append(Output(body, self.cell, self.order))
        self.at, self.skip, self.file = end + 1, self.whole, ""

    def indented(self) -> None:
        first = self.at
        while self.at < len(self.lines) and (self.lines[self.at].startswith("    ") or not self.lines[self.at].strip()):
            self.at += 1
        self.into.outputs.append(Output("\n".join(self.lines[first : self.at]), self.cell, self.order))

    def comment(self) -> None:
        first = self.at
        while self.at < len(self.lines) and "-->" not in self.lines[self.at]:
            self.at += 1
        self.at += 1
        text = "\n".join(self.lines[first : self.at])
        found, file = _MARK.search(text), _FILE.search(text)
        if found:
            self.skip = True
            self.whole |= bool(found["page"])
        self.file = file[1] if file else ""

    def display(self) -> None:
        first = self.at
        opening = self.lines[self.at].strip()
        closing = "$$" if opening.startswith("$$") else "\\]" if opening.startswith("\\[") else "\\end{"
        done = opening.count("$$") >= 2 if closing == "$$" else closing in opening
        self.at += 1
        while not done and self.at < len(self.lines):
            done = closing in self.lines[self.at]
            self.at += 1
        self.take("maths", first, self.at)

    def table(self) -> None:
        heads = _cells(self.lines[self.at])
        self.at += 2
        skip = self.skip
        while self.at < len(self.lines) and "|" in self.lines[self.at] and self.lines[self.at].strip():
            row = _cells(self.lines[self.at])
            for place, (start, text) in enumerate(row):
                head = heads[place][1].strip() if place < len(heads) else ""
                self.skip = skip
                label = row[0][1].strip() if place else ""
                self.add("cell", text, self.at, start, header=_bare(head), row=_bare(label), corner=_bare(heads[0][1]))
            self.at += 1
        self.skip = self.whole

    def paragraph(self) -> None:
        first = self.at
        item = _ITEM.match(self.lines[first])
        self.at += 1
        while self.at < len(self.lines) and self.goes_on(self.lines[self.at]):
            self.at += 1
        self.take("text", first, self.at, len(item[1]) if item else 0)

    def goes_on(self, line: str) -> bool:
        return bool(line.strip()) and not (
            _FENCE.match(line)
            or _HEADING.match(line)
            or _ITEM.match(line)
            or line.lstrip().startswith(("<!--", "$$", "\\["))
        )

    def take(self, kind: BlockKind, first: int, end: int, indent: int = 0) -> None:
        self.add(kind, "\n".join(self.lines[first:end])[indent:], first, indent)
        self.at = max(self.at, end)

    def add(
        self, kind: BlockKind, raw: str, line: int, column: int, *, header: str = "", row: str = "", corner: str = ""
    ) -> None:
        order = self.order
        if self.skip or self.whole:
            self.into.left_alone += 1
            self.skip = self.whole
            return
        text, codes, maths = _seen(raw)
        breaks = tuple(i for i, c in enumerate(raw) if c == "\n")
        self.into.blocks.append(
            Block(
                kind,
                text,
                breaks,
                line + 1,
                column + 1,
                self.cell,
                order,
                codes,
                maths,
                header,
                row,
                corner,
                self.section,
            )
        )


def _cells(line: str) -> list[tuple[int, str]]:
    """The cells of a table's line, each with its column."""
    found: list[tuple[int, str]] = []
    start = 0
    for part in re.split(r"(?<!\\)\|", line):
        found.append((start, part))
        start += len(part) + 1
    if found and not found[0][1].strip():
        found = found[1:]
    if found and not found[-1][1].strip():
        found = found[:-1]
    return found or [(0, "")]


def _bare(text: str) -> str:
    return _seen(text.strip())[0].strip()


def _seen(raw: str) -> tuple[str, tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """What a reader sees, as long as the source, and the spans of code and maths in it."""
    text = re.sub(r"^( {0,3}> ?)", lambda m: " " * len(m[0]), raw, flags=re.MULTILINE).replace("\n", " ")
    codes = tuple((m.start(2), m.end(2)) for m in _CODE.finditer(text))
    maths = tuple(
        (m.start() + 1, m.end() - 1) for m in _MATHS.finditer(text) if not any(a <= m.start() < b for a, b in codes)
    )
    kept = [*codes, *maths]
    for pattern in _HIDDEN:
        for found in list(pattern.finditer(text)):
            if not any(a <= found.start() < b for a, b in kept):
                text = text[: found.start()] + " " * len(found[0]) + text[found.end() :]
    for a, b in codes:
        text = _blank(text, a - (len(text[:a]) - len(text[:a].rstrip("`"))), a)
        text = _blank(text, b, b + (len(text[b:]) - len(text[b:].lstrip("`"))))
    text = text.replace("$", " ")
    return text, codes, maths


def _blank(text: str, start: int, end: int) -> str:
    return text[:start] + " " * (end - start) + text[end:]
