"""What a page asks of a recorded run (`Asks` of `web/src/types.ts`), answered: whys, text to copy, strings of addresses,
tiles of a tensor. The same for a page of `whygrad play RUN` and for a notebook."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from whygrad.errors import AddressError, WhygradError
from whygrad.explain.derivation import Derivation
from whygrad.explain.places import Place
from whygrad.explain.why import Explainer
from whygrad.trace.store import uncollected
from whygrad.view.derivation import DerivationView, derivation_view
from whygrad.view.fields import address_in, addresses_in, text_in, whole_in
from whygrad.view.latex import derivation_latex
from whygrad.view.node import Node, page_nodes
from whygrad.view.numbers import number, typographic
from whygrad.view.python import derivation_python
from whygrad.view.tiles import goto, tile

__all__ = ["Answers", "Drawn", "nodes_of", "text_of", "value_of"]

Drawn = Callable[[DerivationView], str]
"""How a view is drawn as text (`render.terminal.derivation_text`, which this room does not import)."""
MOST_NODES = 400
"""Numbers gone into by one answer: below a loss, each further operand deep has many times as many."""
_MOST = 1 << 40


class Answers:
    """Answers over one run. `file` is the saved run's name, "" where there is none."""

    def __init__(self, explainer: Explainer, drawn: Drawn, file: str = "") -> None:
        self.explainer, self.drawn, self.file = explainer, drawn, file

    def ask(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer one question. Raises WhygradError with what was wrong about it."""
        explainer = self.explainer
        match kind:
            case "why":
                depth = None if body.get("depth") is None else whole_in(body, "depth", 0, 12)
                return {"nodes": nodes_of(explainer, address_in(body), depth)}
            case "copy":
                return {"text": text_of(explainer, address_in(body), text_in(body, "as"), self.drawn)}
            case "values":
                return {"values": [value_of(explainer, each) for each in addresses_in(body)]}
            case "tile":
                row, column = (whole_in(body, key, 0, _MOST) for key in ("row", "column"))
                step, zoom = whole_in(body, "step", -1, _MOST), whole_in(body, "zoom", 0, 64)
                return tile(explainer, text_in(body, "name"), text_in(body, "what"), step, row, column, zoom)
            case "goto":
                step = None if body.get("step") is None else whole_in(body, "step", -1, _MOST)
                what = text_in(body, "what", "value")
                return goto(explainer, text_in(body, "name"), text_in(body, "index"), what, step)
            case _:
                raise WhygradError("a recorded run is not trained any further; `whygrad play` alone has knobs.")

    def page(self) -> dict[str, Any]:
        """The whole page."""
        from whygrad.view.page import page_view

        return page_view(self.explainer, self.file)


def nodes_of(explainer: Explainer, address: str, depth: int | None = None) -> list[Node]:
    """The `Node`s of an address and of what is below it; one of them bears the address that was asked. `depth`: how many
    operands deep, the nearest `MOST_NODES` of them.

    Raises AddressError, StepNotKept, ValueDropped.
    """
    below = [explainer.why(address)] if depth is None else _opened(explainer, address, max(1, depth))
    inert = below[0]
    parts = explainer.contributions(inert.address) if inert.role == "gradient" else ()
    if len(below) == 1:
        found = page_nodes(inert, parts)
    else:
        stem = replace(inert, address="", equation=None, operands=tuple(below))
        found = page_nodes(stem, contributions_of=lambda each: parts if each == inert.address else ())[1:]
    if inert.address != address:
        found.append({**found[0], "address": address})  # weight@3 for linear.weight[0,0]@3: what was asked is answered
    return found


def _opened(explainer: Explainer, address: str, depth: int) -> list[Derivation]:
    """The scalar at an address and what is below it, breadth first, each number once and its operands not gone into."""
    place = explainer.place(address)
    if place is None:
        return [explainer.why(address)]
    found: dict[str, Derivation] = {}
    todo: deque[tuple[Place, int]] = deque([(place, 1)])
    with uncollected():
        while todo and len(found) < MOST_NODES:
            here, level = todo.popleft()
            derivation, operands = explainer.opened(here)
            if derivation.address in found:
                continue
            found[derivation.address] = derivation
            if level < depth:
                pairs = zip(derivation.operands, operands, strict=True)
                todo += [(at, level + 1) for each, at in pairs if isinstance(at, Place) and each.address not in found]
    return list(found.values())


def text_of(explainer: Explainer, address: str, form: str, drawn: Drawn) -> str:
    """A why as text to copy: `latex`, `python`, or `text`, drawn by `drawn`.

    Raises AddressError, StepNotKept, ValueDropped.
    """
    if form not in ("latex", "python", "text"):
        raise AddressError("copy: expected as to be latex, python or text.")
    inert = explainer.why(address, None if form == "text" else 1)
    if form == "latex":
        return derivation_latex(inert)
    if form == "python":
        return derivation_python(inert)
    parts = explainer.contributions(inert.address) if inert.role == "gradient" else ()
    return drawn(derivation_view(inert, False, parts))


def value_of(explainer: Explainer, address: str) -> str | None:
    """The string of one number; None where there is none."""
    try:
        inert = explainer.why(address, 0)
    except WhygradError:
        return None
    return typographic(number(inert.value, inert.format))
