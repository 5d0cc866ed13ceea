"""Sums in a Python program. A short one is written term by term; of a long one the terms are numpy arrays, exact, and
the order of the additions is data.

That order is the one that gave the recorded bits (`Checked.found`); a straight chain is a plain loop, every other
pattern a tree that one short function walks (`whygrad.view.python_orders`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.errors import OpaqueError
from whygrad.floats.summation_cascade import NllCascade
from whygrad.floats.summation_patterns import Chain, Order, Pairs
from whygrad.rules.expr import Dot, Series
from whygrad.view.equation import _running as running
from whygrad.view.python_helpers import add_up_source
from whygrad.view.python_orders import steps_of
from whygrad.view.python_text import comment_line
from whygrad.view.python_write import Program

__all__ = ["MOST_TERMS", "long_sum", "short_sum"]

Array = np.ndarray[Any, Any]

MOST_TERMS = 4096
_COLUMNS = 100
_NLL_LEVELS = 8


@dataclass(frozen=True)
class _Terms:
    """What is added: `a` and `b` name arrays whose products are not rounded before they are added; without `b`, `a`
    names the terms themselves."""

    a: str
    b: str
    count: int

    def onto(self, total: str, k: str) -> str:
        """`total` and term `k`."""
        return f"fma({self.a}[{k}], {self.b}[{k}], {total})" if self.b else f"{total} + {self.a}[{k}]"


def short_sum(program: Program, dot: Dot) -> str:
    """A sum all of whose terms are operands, as one expression. Raises OpaqueError where they are not."""
    info, way = program.derivation.sum_of(dot), program.way
    if info is None or not info.terms:
        raise OpaqueError(
            f"the answer for {program.derivation.address} does not hold the terms of its sum; ask its operands"
        )
    terms = [_term(program, dot, term.factors) for term in sorted(info.terms, key=lambda t: t.place)]
    start = None if dot.init is None else program.write(dot.init)
    if way.sum == "exact":
        parts = [" * ".join(f"Fraction(float({x}))" for x in term) for term in terms]
        parts += [] if start is None else [f"Fraction(float({start}))"]
        return f"{program.width}({program.round_exact(' + '.join(parts), way.width)})"
    first = way.sum.endswith("first")
    total = start if first else None
    for term in terms:
        total = _add_term(program, total, term)
    assert total is not None, "a sum has terms"
    return total if first or start is None else f"({total} + {start})"


def _term(program: Program, dot: Dot, factors: tuple[int, ...]) -> list[str]:
    """What is multiplied to make one term of the sum."""
    if dot.term is None:
        return [program.name(k) for k in factors]
    more = len(factors) - len(dot.more)

    def element(k: int) -> str:
        return program.name(factors[more - 1 - k] if k < 0 else factors[min(k, more - 1)])

    plain, program.element = program.element, element
    text = program.write(dot.term)
    program.element = plain
    return [text]


def _add_term(program: Program, total: str | None, term: list[str]) -> str:
    if total is None:
        return f"({' * '.join(term)})"
    if program.way.sum.startswith("fused") and len(term) == 2:
        return program.fma(term[0], term[1], total)
    return f"({total} + {' * '.join(term)})"


def long_sum(program: Program, dot: Dot) -> str:
    """Write the arrays and the additions of a sum; the name of its total.

    Raises OpaqueError for more than `MOST_TERMS` terms, and where the answer does not hold them."""
    checked = program.derivation.evaluation
    count = len(dot.a)
    if checked is None or count > MOST_TERMS:
        raise OpaqueError(f"{program.derivation.address} sums {count} terms, too many for a program")
    order = program.way.order_of(dot)
    series = [dot.a, *([] if dot.b is None else [dot.b]), *dot.more]
    arrays = [checked.inputs.series(s.operand, s.indices) for s in series]
    names = _define(program, dot, series, arrays)
    start = None if dot.init is None else program.write(dot.init)
    if dot.term is not None:
        terms = _Terms(_mapped(program, dot, names), "", count)
    elif dot.b is None:
        terms = _Terms(names[0], "", count)
    elif order is not None and order.fused and not _exact(arrays[0], arrays[1], program.way.width):
        terms = _Terms(names[0], names[1], count)
    else:
        name = program.new("terms")
        exact = order is not None and order.fused
        note = "  # exact: to fuse them into the sum would change nothing" if exact else ""
        program.before.append(f"{name} = {names[0]} * {names[1]}{note}")
        terms = _Terms(name, "", count)
    if order is None:
        return _exactly(program, terms, start)
    return _in_order(program, order, terms, start)


# ---- the terms


def _define(program: Program, dot: Dot, series: list[Series], arrays: list[Array]) -> list[str]:
    """Arrays of the series, named after the terms that the answer shows."""
    shown = _labels(program, dot, len(series))
    names: list[str] = []
    known: dict[tuple[int, int], str] = {}
    for number, (one, values) in enumerate(zip(series, arrays, strict=True)):
        key = (one.operand, id(one.indices))
        if key in known:
            names.append(known[key])
            continue
        label = shown[number] if shown else ""
        name = program.identifier(label.partition("[")[0] if label not in ("", "…") else f"series_{number + 1}")
        comment = f"  # {comment_line(label)}" if label not in ("", "…") else ""
        program.before += _array(program, name, values, comment)
        names.append(name)
        known[key] = name
    return names


def _labels(program: Program, dot: Dot, count: int) -> list[str]:
    """`fc1.output[3,i]` for each series; empty where the shown terms are another sum's."""
    info, operands = program.derivation.sum_of(dot), program.derivation.operands
    if info is None or not info.terms or info.count != len(dot.a) or len(info.terms[0].factors) != count:
        return []
    return [
        running([operands[t.factors[i]].label or operands[t.factors[i]].address for t in info.terms])
        for i in range(count)
    ]


def _array(program: Program, name: str, values: Array, comment: str) -> list[str]:
    with np.errstate(all="ignore"):
        fits = np.array_equal(values.astype(program.way.width).astype(np.float64), values, equal_nan=True)
    kind = program.width if fits else "np.float64"
    lines, row = [f"{name} = np.array([{comment}"], "   "
    for value in values.tolist():
        text = f" {_element(value)},"
        if len(row) + len(text) > _COLUMNS:
            lines.append(row)
            row = "   "
        row += text
    return [*lines, row, f"], {kind})"]


def _element(value: float) -> str:
    return repr(value) if math.isfinite(value) else {"inf": "np.inf", "-inf": "-np.inf"}.get(repr(value), "np.nan")


def _mapped(program: Program, dot: Dot, names: list[str]) -> str:
    """An array of the terms, each computed from its elements."""
    assert dot.term is not None
    letters, more = "xyzuv"[: len(names)], len(names) - len(dot.more)

    def element(k: int) -> str:
        return letters[more - 1 - k] if k < 0 else letters[min(k, more - 1)]

    plain, program.element = program.element, element
    text = program.write(dot.term)
    program.element = plain
    name = program.new("terms")
    each = f"for x in {names[0]}" if len(names) == 1 else f"for {', '.join(letters)} in zip({', '.join(names)})"
    program.before += [f"{name} = np.array([", f"    {text}", f"    {each}", f"], {program.width})"]
    return name


def _exact(a: Array, b: Array, width: str) -> bool:
    """Whether no product is rounded: those of 16-bit numbers mostly, in float32."""
    if width != "float32":
        return False
    with np.errstate(all="ignore"):
        products = a * b  # float32 numbers times float32 numbers: exact in float64
        return bool(np.isfinite(products).all() and (products.astype(np.float32) == products).all())


# ---- the additions


def _exactly(program: Program, terms: _Terms, start: str | None) -> str:
    program.helpers.add("math")
    total = f"math.fsum({terms.a}.astype(np.float64))"
    return f"{program.width}({total}{'' if start is None else f' + float({start})'})"


def _in_order(program: Program, order: Order, terms: _Terms, start: str | None) -> str:
    total = program.new("total")
    program.before += ["", f"# {comment_line(order.name)}"]
    if isinstance(order.pattern, NllCascade):
        _levels(program, order.pattern, terms, total)
        return total if start is None else f"({total} + {start})"
    if program.way.flush:
        _flush(program, terms)
    first = start if order.init == "first" else None
    if isinstance(order.pattern, Chain | Pairs):
        _chain(program, order.pattern, terms, total, first)
    else:
        _tree(program, order, terms, total, first)
    if terms.b:
        program.helpers |= {"fma", "rounded"}
    return f"({total} + {start})" if start is not None and first is None else total


def _flush(program: Program, terms: _Terms) -> None:
    """Factors that are subnormal count as zero; so do the sums (`_step`)."""
    program.helpers.add("flushed")
    program.before += [f"{name} = flushed({name})" for name in (terms.a, terms.b) if name]


def _step(program: Program, added: str) -> str:
    return f"flushed({added})" if program.way.flush else added


def _chain(program: Program, pattern: Chain | Pairs, terms: _Terms, total: str, start: str | None) -> None:
    a, b, zero = terms.a, terms.b, f"{program.width}(0)"
    if isinstance(pattern, Pairs):
        whole = terms.count // 2 * 2
        order = f"[k ^ 1 for k in range({whole})]" + (f" + [{whole}]" if whole < terms.count else "")
        begin, loop, added = start or zero, f"for k in {order}:", terms.onto(total, "k")
    else:
        rest = "[1:]" if start is None and not pattern.from_zero else ""
        begin = (start or zero) if not rest else f"{a}[0] * {b}[0]" if b else f"{a}[0]"
        loop = f"for x, y in zip({a}{rest}, {b}{rest}):" if b else f"for x in {a}{rest}:"
        added = f"fma(x, y, {total})" if b else f"{total} + x"
    program.before += [f"{total} = {begin}", loop, f"    {total} = {_step(program, added)}"]


def _tree(program: Program, order: Order, terms: _Terms, total: str, start: str | None) -> None:
    number = total.removeprefix("total")
    steps = steps_of(order.pattern, terms.count, f"sum{number}_" if number else "")
    program.helpers |= steps.helpers
    if steps.pairs:
        program.before += _pairs(terms.a, terms.count, steps.pairs)
    step = terms.onto("total", "k")
    if steps.fused_from and terms.b:
        step = f"{step} if k >= {steps.fused_from} else total + {terms.a}[k] * {terms.b}[k]"
    walk, name = program.new("add_up"), program.new("order")
    program.before += [
        *steps.lines,
        f"{name} = {steps.order}",
        "",
        *add_up_source(walk, program.width, _step(program, step)).splitlines(),
    ]
    program.before += ["", "", f"{total} = {walk}({name}{'' if start is None else f', {start}'})"]


def _pairs(name: str, count: int, width: int) -> list[str]:
    """What `Cascade.halves` adds first."""
    whole = count // (2 * width) * 2 * width
    return [
        f"pairs = {name}[:{whole}].reshape(-1, 2, {width})  # two vectors are loaded at once, and added",
        f"{name} = np.concatenate([(pairs[:, 0] + pairs[:, 1]).reshape(-1), {name}[{whole}:]])",
    ]


def _levels(program: Program, pattern: NllCascade, terms: _Terms, total: str) -> None:
    """The running sums of nll_loss (aten/src/ATen/native/LossNLL.cpp): in 16 bits each addition is rounded."""
    power = max(pattern.smallest_power, max(terms.count - 1, 0).bit_length() // _NLL_LEVELS)

    def added(a: str, b: str) -> str:
        narrow = program.way.each
        return program.to_format(f"({a} + {b})", program.derivation.format) if narrow else f"{a} + {b}"

    program.before += [
        f"levels = [{program.width}(0)] * {_NLL_LEVELS}",
        f"for k in range({terms.count}):",
        f"    levels[0] = {added('levels[0]', f'{terms.a}[k]')}",
        f"    for level in range({_NLL_LEVELS - 1} if {terms.a}[k] != 0 else 0):",
        f"        if k & ({(1 << power) - 1} << (level * {power})):",
        "            break",
        f"        levels[level + 1] = {added('levels[level + 1]', 'levels[level]')}",
        f"        levels[level] = {program.width}(0)",
        f"{total} = {program.width}(0)",
        "for level in levels:",
        f"    {total} = {added(total, 'level')}",
    ]
