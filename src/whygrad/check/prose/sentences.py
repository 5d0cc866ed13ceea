"""A block's text → sentences, each with what it names: quantities, times, numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from whygrad.check.prose.document import Block
from whygrad.check.prose.lexicon import Mention, Moment, find_mentions, find_moments
from whygrad.check.prose.numbers import Written, find_numbers

__all__ = ["Sentence", "sentences"]

_END = re.compile(
    r"(?<![A-Z\d])(?<!e\.g)(?<!i\.e)(?<!vs)(?<!Fig)(?<!Eq)(?<!approx)(?<!cf)(?<!w\.r\.t)[.!?](?=[)\"'*_”]*\s+[A-Z`*_\"(“∂\d$\\]|"
    r"\s*$)|(?<=\d)\.(?=\s+[A-Z`])|(?<=[A-Z)])\.(?=\s+[A-Z])|(?<=[A-Za-z]\d)\.(?=\s+\d)|"
    r"(?<=\d)\.(?=\s+(?:b?float\d|torch|whygrad))"
)
_GENERAL = re.compile(
    r"\b(?:if|when|whenever|unless|would|should|could|can|cannot|can't|may|might|"
    r"must|suppose|imagine|assume|say,|wants?|ideally|typical(?:ly)?|"
    r"usually|often|always|common(?:ly)?|in general|for instance|hypothetical|"
    r"let's say|let us say|try|had|were to|consider|let|"
    r"need(?:s|ed)?|any|every time|no matter|instead of|rather than|change it to|set it to|such as)\b",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"\b(?:if|unless|would|should|could|might|suppose|imagine|assume|typical(?:ly)?|"
    r"usually|often|common(?:ly)?|in general|for instance|hypothetical|"
    r"let's say|let us say|try|were to|consider|instead of|rather than|change it to|"
    r"set it to|such as|in practice|would have|recommend\w*)\b",
    re.IGNORECASE,
)


_ADDRESS = re.compile(r"(?<=\w)(?:\.grad)?\[[-\d,: ]+\](?:\.grad)?(?:@(?:init|\d+))?|(?<=\w)@(?:init|\d+)\b")


@dataclass(frozen=True)
class Sentence:
    """A sentence of a block; offsets in it are offsets in its own text, `start` is where it begins in the block's.
    `topic`: what `it` stands for."""

    block: Block
    text: str
    start: int
    names: frozenset[str]
    topic: Mention | None = None

    @cached_property
    def codes(self) -> tuple[tuple[int, int], ...]:
        spans = (*self.block.codes, *self.block.maths)
        if self.block.kind == "maths":
            spans = ((0, len(self.block.text)),)
        return tuple((a - self.start, b - self.start) for a, b in spans)

    @cached_property
    def numbers(self) -> list[Written]:
        """The numbers, indices and steps of addresses aside."""
        inside = [m.span() for m in _ADDRESS.finditer(self.text)]
        return [n for n in find_numbers(self.text) if not any(a <= n.start and n.end <= b for a, b in inside)]

    @cached_property
    def mentions(self) -> list[Mention]:
        return find_mentions(self.text, self.names, self.codes)

    @cached_property
    def moments(self) -> list[Moment]:
        return find_moments(self.text)

    @cached_property
    def general(self) -> bool:
        """Whether it tells of what may be, or of what is always so, rather than of what was."""
        return bool(_GENERAL.search(self.text))

    @cached_property
    def supposed(self) -> bool:
        """Whether it tells of what was not done: a setting or a count in it is no claim about this program."""
        return bool(_SUPPOSED.search(self.text))

    def in_maths(self, number: Written) -> bool:
        """Whether a number of the sentence stands in code or maths."""
        return any(a <= number.start and number.end <= b for a, b in self.codes)


def sentences(block: Block, names: frozenset[str]) -> list[Sentence]:
    """The sentences of a block, in order; a heading, table cell or display of maths is one."""
    if block.kind != "text":
        return [Sentence(block, block.text, 0, names)]
    found: list[Sentence] = []
    start = 0
    for match in _END.finditer(block.text):
        if any(a <= match.start() < b for a, b in (*block.codes, *block.maths)):
            continue
        found.append(Sentence(block, block.text[start : match.end()], start, names))
        start = match.end()
    if block.text[start:].strip():
        found.append(Sentence(block, block.text[start:], start, names))
    return found
