"""The numbers that a saved page can explain, chosen in order of importance until the page is full."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from whygrad.errors import WhygradError
from whygrad.explain.contributions import Contributions
from whygrad.explain.derivation import Derivation, Verdict
from whygrad.explain.places import Place
from whygrad.explain.why import Explainer
from whygrad.trace.store import uncollected
from whygrad.view.node import Node, page_nodes
from whygrad.view.pack import pack

__all__ = ["Collected", "collect"]

Progress = Callable[[int, int], None]
"""Called with how many of the asked numbers are done, and how many there are."""


@dataclass(frozen=True)
class Collected:
    """`nodes` packed for the page, `count` of them explained; `done` of `asked` numbers have their whole tree of the step.
    `refused`: why a number could not be explained, each reason once."""

    packed: object
    count: int
    done: int
    asked: int
    refused: tuple[str, ...] = ()


def collect(
    explainer: Explainer,
    addresses: Iterable[str],
    most_bytes: int,
    most_numbers: int,
    progress: Progress | None = None,
    python: bool = False,
) -> Collected:
    """Explain `addresses`, the most important first: each with the nearest numbers of its tree, then each with its whole tree
    within its step, until the packed nodes take `most_bytes` or `most_numbers` are explained. `python`, of a small network: each
    equation as a Python program too, to be copied."""
    wanted = list(dict.fromkeys(addresses))
    # In a large network to take a gradient apart takes a tenth of a second, as long as fifty whys.
    apart = wanted if python else [each for each in wanted if ".grad@" in each][:_MOST_APART]
    found = _Gathered(explainer, most_bytes, most_numbers, python, apart)
    rounds = [(each, address) for each in (_FIRST_ROUND, most_numbers) for address in wanted]
    with uncollected():
        for done, (most, address) in enumerate(rounds):
            if found.full():
                break
            if progress is not None:
                progress(done, len(rounds))
            found.tree(address, most)
    packed, count = found.packed()
    done = sum(each <= count for each in found.until.values())
    return Collected(packed, count, done, len(wanted) - len(found.refused), tuple(found.refused))


_FIRST_ROUND = 30
"""Numbers below each asked one before any other is gone into deeper: a loss may hang on all that there is."""
_MOST_APART = 24
"""Gradients of a large network that are taken apart into what contributed to them."""
_BATCH = 200
"""Numbers explained between two looks at the budget; of these, one that occurs often is written once."""


class _Gathered:
    """What was explained so far. Packed bytes are estimated from the text's, by what packing gave when there was
    half as much of it; nothing is packed for that while half the text is less than the budget. `asked`: gradients among
    these are taken apart into what contributed to them, which takes longer than a why."""

    def __init__(
        self, explainer: Explainer, most_bytes: int, most_numbers: int, python: bool, asked: Iterable[str]
    ) -> None:
        self.explainer, self.python, self.asked = explainer, python, frozenset(asked)
        self.most_bytes, self.most_numbers = most_bytes, most_numbers
        self.opened: dict[str, Derivation] = {}
        self.nodes: dict[str, Node] = {}
        self.below: dict[str, list[tuple[str, Place]]] = {}
        self.place_of: dict[str, int] = {}  # the how-manieth each opened one is
        self.until: dict[str, int] = {}  # of an asked one whose tree is whole: the last of it
        self.refused: dict[str, None] = {}
        self.text, self.ratio, self.next = 0, 0.5, _BATCH
        self._pending: list[Derivation] = []

    def full(self) -> bool:
        if len(self.opened) >= self.most_numbers:
            return True
        if len(self._pending) >= _BATCH:
            self.flush()
        if self.text * self.ratio > self.most_bytes and len(self.opened) >= self.next:
            self.ratio = _size(pack(list(self.nodes.values()))) / max(1, self.text)
            self.next = 2 * len(self.opened)
        return self.text * self.ratio > self.most_bytes

    def tree(self, address: str, most: int) -> None:
        """Open a number and what it came from in its step, the nearest `most` of it."""
        if address not in self.below:
            try:
                self._open(address, self.explainer.place(address))
            except WhygradError as error:
                self.refused[str(error)] = None
                self.below[address] = []
        step, seen = _step_of(address), {address}
        todo: deque[tuple[str, Place | None]] = deque([(address, None)])
        while todo:
            if len(seen) > most or len(self.opened) >= self.most_numbers:
                return
            here, place = todo.popleft()
            if here not in self.below:
                self._open(here, place)
            for operand, inner in self.below[here]:
                if operand not in seen and _step_of(operand) in (step, "init", ""):
                    seen.add(operand)
                    todo.append((operand, inner))
        if address in self.opened:
            self.until[address] = max(self.place_of.get(each, 0) for each in seen)

    def _open(self, address: str, place: Place | None) -> None:
        """Explain one number; a hyperparameter, which is no number of a step, is a leaf."""
        if place is None:
            self._add(self.explainer.why(address))
            self.below[address] = []
            return
        derivation, operands = self.explainer.opened(place)
        self._add(derivation)
        pairs = zip(derivation.operands, operands, strict=True)
        self.below[address] = [(each.address, inner) for each, inner in pairs if isinstance(inner, Place)]

    def _add(self, derivation: Derivation) -> None:
        if derivation.address not in self.opened:
            self.opened[derivation.address] = derivation
            self.place_of[derivation.address] = len(self.opened)
            self._pending.append(derivation)

    def flush(self) -> None:
        """Write the nodes of what was opened, and of its operands where they were not."""
        if not self._pending:
            return
        stem = Derivation("", "", 0, "", "", "activation", "other", Verdict("given"), operands=tuple(self._pending))
        self._pending = []
        made = page_nodes(stem, contributions_of=self._contributions, python=self.python, known=self._known)
        for node in made[1:]:
            known = self.nodes.get(node["address"])
            if known is None or (node["operands"] and not known["operands"]):
                self.nodes[node["address"]] = node
                self.text += len(json.dumps(node))

    def _known(self, operand: Derivation) -> bool:
        """Whether a number that was not gone into has its node already."""
        return operand.address in self.nodes

    def _contributions(self, address: str) -> tuple[Contributions, ...]:
        return self.explainer.contributions(address) if address in self.asked else ()

    def packed(self) -> tuple[object, int]:
        """As many of the opened nodes as fit, from the first on, with their operands; and how many."""
        self.flush()
        count = len(self.opened)
        packed = pack(self._first(count))
        while count and _size(packed) > self.most_bytes:
            count = min(count - 1, int(count * 0.95 * self.most_bytes / _size(packed)))
            packed = pack(self._first(count))
        return packed, count

    def _first(self, count: int) -> list[Node]:
        chosen = {address: self.nodes[address] for address in list(self.opened)[:count] if address in self.nodes}
        for node in list(chosen.values()):
            for address in node["operands"]:
                if address not in chosen:
                    known = self.nodes[address]
                    chosen[address] = known if count == len(self.opened) else _folded(known)
        return list(chosen.values())


def _folded(node: Node) -> Node:
    """A node that is not gone into: its operands would not be there."""
    if not node["operands"]:
        return node
    verdict = node["verdict"] | {
        "sign": "unasked",
        "words": "not in this page",
        "how": "",
        "reason": "",
        "rounding": "",
    }
    return node | {"equation": None, "operands": [], "more": True, "verdict": verdict, "parts": [], "line": None}


def _size(packed: object) -> int:
    return len(json.dumps(packed, ensure_ascii=False).encode())


def _step_of(address: str) -> str:
    return address.rpartition("@")[2] if "@" in address else ""
