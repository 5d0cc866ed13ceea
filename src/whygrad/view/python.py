"""An equation as a Python program that gives the very bits.

How a kernel rounds inside is not written in the equation: whether a product is fused into the sum, in which
order a short sum runs, whose exponential it is. So a program is written for each of a few ways, run, and the
first that gives the recorded bits is kept. A sum of which the answer names only the largest terms, and any other
equation to which none of those few ways does justice, is written as the explainer evaluated it: whole arrays of
terms, and the order of their additions. Where the exponential itself has no form in Python, torch's own kernel is
called. What is handed out has been run; when nothing gives the bits, the program says how far off it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from whygrad.errors import OpaqueError
from whygrad.explain.derivation import Derivation
from whygrad.explain.evaluate import ELEMENTARY
from whygrad.floats import FORMATS, round_to, ulp_distance
from whygrad.rules.expr import Call, Dot, Expr, Kernel, walk
from whygrad.view.python_norms import NORMS
from whygrad.view.python_sums import MOST_TERMS, long_sum, short_sum
from whygrad.view.python_torch import torch_sources
from whygrad.view.python_write import SUMS, Program, Way

__all__ = ["PythonForm", "derivation_python", "python_form"]

_ROUNDS = ((False, False), (True, False), (True, True), (False, True))
_NARROW = ("float16", "bfloat16")


@dataclass(frozen=True)
class PythonForm:
    """`source` is a program that leaves the number in `result`, a float; `ulp` how far that is from the
    recorded bits."""

    source: str
    ulp: int


def derivation_python(derivation: Derivation) -> str:
    """The program's text. Raises OpaqueError as `python_form` does."""
    return python_form(derivation).source


def python_form(derivation: Derivation) -> PythonForm:
    """The program that gives the derivation's number.

    Raises OpaqueError where there is no equation, where it sums more than `MOST_TERMS` terms, or terms that the
    derivation does not hold.
    """
    _check(derivation)
    best: PythonForm | None = None
    failed: OpaqueError | None = None
    for source in _sources(derivation):
        if isinstance(source, OpaqueError):
            failed = source
            continue
        result = _run(source)
        if result is None:
            continue
        distance = _distance(result, derivation)
        if best is None or distance < best.ulp:
            best = PythonForm(source, distance)
        if distance == 0:
            break
    if best is None:
        raise failed or OpaqueError(f"the equation for {derivation.address} has no form in Python.")
    if best.ulp:
        return PythonForm(
            f"# {best.ulp} ulp off the recorded number: the kernel works in another order\n{best.source}",
            best.ulp,
        )
    return best


def _check(derivation: Derivation) -> None:
    if derivation.equation is None:
        why = "has no rule" if derivation.op else "was given to the program, not computed"
        raise OpaqueError(
            f"no equation for {derivation.address}: {derivation.op or 'it'} {why}. Ask one of its operands."
        )
    shortened = [each for each in (derivation.sum, *derivation.more_sums) if each is not None and each.rest_count]
    if not shortened:
        return
    info = max(shortened, key=lambda each: each.count)
    if derivation.evaluation is None or info.count > MOST_TERMS:
        raise OpaqueError(
            f"{derivation.address} sums {info.count} terms and this answer holds only {len(info.terms)} "
            "of them, so no program can be written from it. Ask a value with a shorter sum."
        )


def _sources(derivation: Derivation) -> Iterator[str | OpaqueError]:
    """Programs, plainest first; an error in place of one that cannot be written."""
    equation = derivation.equation
    assert equation is not None
    if not any(each is not None and each.rest_count for each in (derivation.sum, *derivation.more_sums)):
        for way in _ways(derivation, equation):
            yield _written(Program(derivation, way, short_sum))
    for way in _as_found(derivation, equation):
        yield _written(Program(derivation, way, long_sum))
    if _is_norm(derivation) or any(isinstance(n, Kernel) for n in _nodes(equation)) or _calls_elementary(equation):
        yield from torch_sources(derivation)


def _is_norm(derivation: Derivation) -> bool:
    return derivation.op.rpartition(".")[0] in NORMS


def _written(program: Program) -> str | OpaqueError:
    try:
        return program.source()
    except OpaqueError as error:
        return error


def _ways(derivation: Derivation, expr: Expr) -> Iterator[Way]:
    fmt, nodes = derivation.format, walk(expr)
    width = "float64" if fmt == "float64" else "float32"
    rounds = _ROUNDS if fmt != width and fmt in FORMATS else _ROUNDS[:1]
    sums = SUMS if any(isinstance(n, Dot) for n in nodes) else SUMS[:1]
    calls = any(isinstance(n, Call) and n.name not in ("abs", "max", "min") for n in nodes)
    for (narrow, each), torch, order, fused in product(
        rounds, (False, True) if calls else (False,), sums, (False, True)
    ):
        yield Way(width, narrow, each, fused, order, torch)


def _as_found(derivation: Derivation, expr: Expr) -> Iterator[Way]:
    """The way in which the explainer had the recorded bits, and what may be spelled out in more than one way."""
    checked = derivation.evaluation
    if checked is None or checked.found is None:
        return
    ways = checked.found.ways
    own = ways.width.name in _NARROW
    rounds = [(own, own), *(pair for pair in _ROUNDS if pair != (own, own) and derivation.format in _NARROW)]
    orders = [ways.order_of(node) for node in walk(expr) if isinstance(node, Dot)]
    flushes = (False, True) if any(order is not None and order.flush for order in orders) else (False,)
    torches = (False, True) if _calls_elementary(expr) else (False,)
    way = Way("float64" if ways.width.name == "float64" else "float32", found=True)
    way = replace(way, fused=ways.fused, order=ways.order, body=ways.body, choice=ways.choice)
    for torch, (narrow, each), flush in product(torches, rounds, flushes):
        yield replace(way, narrow=narrow, each=each, torch=torch, flush=flush)


def _nodes(expr: Expr) -> list[Expr]:
    """The expression and everything in it, terms of sums included."""
    nodes = walk(expr)
    return nodes + [inner for node in nodes if isinstance(node, Dot) and node.term for inner in _nodes(node.term)]


def _calls_elementary(expr: Expr) -> bool:
    return any(isinstance(node, Call) and node.name in ELEMENTARY for node in _nodes(expr))


def _run(source: str) -> float | None:
    """Run a program of `Program`: it holds numbers and arithmetic only, names stand in its comments. None where torch refuses
    a kernel's arguments: what was cut out of them is none."""
    space: dict[str, Any] = {}
    try:
        with np.errstate(all="ignore"):
            exec(compile(source, "<equation>", "exec"), space)
    except (ArithmeticError, ValueError):
        return math.nan
    except (RuntimeError, TypeError, IndexError):
        return None
    return float(space["result"])


def _distance(result: float, derivation: Derivation) -> int:
    fmt, value = FORMATS.get(derivation.format), float(derivation.value)
    if result == value and math.copysign(1.0, result) == math.copysign(1.0, value):
        return 0
    if result != result or value != value or fmt is None:
        return 0 if result != result and value != value else 1 << 30
    return max(1, ulp_distance(round_to(result, fmt), value, fmt))
