"""A derivation as the nodes of a page: each number once, with its equation cut into tokens that can be asked.

The strings are those of `view.derivation`, so that page and terminal say the same words. The dictionaries are
`Node` of the page's contract (`web/src/types.ts`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from whygrad.errors import WhygradError
from whygrad.explain.derivation import Derivation
from whygrad.view.contributions import amount, sentences
from whygrad.view.derivation import DerivationView, EquationView, derivation_view
from whygrad.view.latex import derivation_latex
from whygrad.view.mathml import mathml
from whygrad.view.number_line import number_line
from whygrad.view.numbers import bit_groups, exact_text, hex_text, typographic
from whygrad.view.python import derivation_python
from whygrad.view.tokens import Token, numeric_tokens, symbolic_tokens

if TYPE_CHECKING:
    from whygrad.explain.contributions import Contributions

__all__ = ["Node", "merged", "page_nodes"]

Node = dict[str, Any]
_PARTS = 12
"""Parts of a gradient that a page lists, of each way of dividing it; the sentences tell of the rest."""
_LONGEST = 6000
"""A Python program of more characters (a sum of many terms) is left to the command."""


def page_nodes(
    derivation: Derivation,
    contributions: tuple[Contributions, ...] = (),
    *,
    contributions_of: Callable[[str], tuple[Contributions, ...]] | None = None,
    python: bool = False,
    known: Callable[[Derivation], bool] | None = None,
) -> list[Node]:
    """The nodes of a derivation's tree, the root first, each address once. `contributions` are said of the root,
    `contributions_of(address)` of the other gradients. `python`: with each equation as a Python program. `known`: which
    of the numbers that were not gone into are left out."""
    found: dict[str, Derivation] = {}
    for d in _walk(derivation, set()):
        if known is not None and not any(_told(d)) and known(d):
            continue
        # What was not gone into at the end of one branch may stand, told, in another.
        if d.address not in found or _told(d) > _told(found[d.address]):
            found[d.address] = d
    root = derivation.address
    parts = {a: contributions if a == root else _contributions(d, contributions_of) for a, d in found.items()}
    return [_node(d, _view(d), parts[a], python) for a, d in found.items()]


def _walk(d: Derivation, walked: set[int]) -> Iterator[Derivation]:
    if id(d) not in walked:
        walked.add(id(d))
        yield d
        for operand in d.operands:
            yield from _walk(operand, walked)


def _told(d: Derivation) -> tuple[bool, bool]:
    return d.equation is not None, bool(d.operands)


def _view(d: Derivation) -> DerivationView:
    """The view of one number, its operands left to their own."""
    return derivation_view(replace(d, operands=tuple(replace(each, equation=None, operands=()) for each in d.operands)))


def merged(lists: Iterable[list[Node]]) -> list[Node]:
    """The nodes of several answers, each address once: where one went deeper, or took a gradient apart, that one."""
    found: dict[str, Node] = {}
    for node in (node for nodes in lists for node in nodes):
        known = found.get(node["address"])
        if known is None or _richness(node) > _richness(known):
            found[node["address"]] = node
    return list(found.values())


def _richness(node: Node) -> tuple[bool, bool, bool]:
    return node["equation"] is not None, bool(node["operands"]), bool(node["parts"])


def _contributions(
    d: Derivation, contributions_of: Callable[[str], tuple[Contributions, ...]] | None
) -> tuple[Contributions, ...]:
    if contributions_of is None or d.role != "gradient" or not d.operands:
        return ()
    try:
        return contributions_of(d.address)
    except WhygradError:  # a number inside an op has no address of its own
        return ()


def _node(d: Derivation, view: DerivationView, parts: tuple[Contributions, ...], python: bool) -> Node:
    node = {
        "address": d.address,
        "label": d.label or d.address.partition("@")[0],
        "value": view.value,
        "exact": typographic(exact_text(d.value)),
        "role": view.role,
        "kind": d.role,
        "format": d.format,
        "bits": bit_groups(d.value, d.format),
        "hex": hex_text(d.value, d.format),
        "sentence": _sentence(view),
        "equation": None if view.equation is None else _equation(d, view.equation),
        "verdict": asdict(view.verdict),
        "where": list(view.where),
        "notes": [*view.notes, *sentences(parts)],
        "operands": [operand.address for operand in d.operands],
        "more": view.more,
        "line": number_line(d),
        "parts": _parts(parts),
    }
    program = _python(d) if python else ""
    return node | {"python": program} if program else node


def _python(d: Derivation) -> str:
    """The equation as a program, where it is one of a fair size; else empty, and the command says why."""
    if d.equation is None or not d.operands:
        return ""
    try:
        program = derivation_python(d)
    except WhygradError:
        return ""
    return program if len(program) <= _LONGEST else ""


def _equation(d: Derivation, equation: EquationView) -> dict[str, Any]:
    return {
        "left": equation.left,
        "symbolic": _json(symbolic_tokens(d, equation.symbolic)),
        "numeric": _json(numeric_tokens(d, equation.numeric)),
        "result": equation.result,
        "note": equation.note,
        "mathml": mathml(equation.symbolic),
        "latex": derivation_latex(d),
    }


def _json(tokens: list[Token]) -> list[str | list[int | str]]:
    return [token if isinstance(token, str) else list(token) for token in tokens]


def _sentence(view: DerivationView) -> str:
    """The whole of a node in English, for a screen reader."""
    text = f"{view.address} is {view.value}, {view.role.replace(':', ',')}."
    if view.equation is not None:
        text += f" It equals {' = '.join(view.equation.lines)}."
        text += f" {_capital(view.equation.note)}." if view.equation.note else ""
    verdict = "; ".join(part for part in (view.verdict.words, view.verdict.rounding) if part)
    return f"{text} {_capital(verdict)}." if verdict else text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _parts(contributions: tuple[Contributions, ...]) -> list[dict[str, Any]]:
    """What examples and paths gave, the largest first; `share` is of the largest of its own kind."""
    rows: list[dict[str, Any]] = []
    for each in contributions:
        largest = max((abs(part.amount) for part in each.parts if math.isfinite(part.amount)), default=0.0)
        for part in each.parts[:_PARTS]:
            share = part.amount / largest if largest and math.isfinite(part.amount) else 0.0
            rows.append({"by": each.by, "label": part.label, "amount": amount(part.amount), "share": round(share, 3)})
    return rows
