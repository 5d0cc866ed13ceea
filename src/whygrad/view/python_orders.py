"""Orders of summation as Python data: ranges and nested tuples of term numbers, that a short function walks.

A range continues the running sum term by term; a tuple is added up apart and its total added. That is
`whygrad.floats.summation_patterns.Tree`, as which every pattern but `NllCascade` can be written. What has a regular
shape is written as a comprehension, so that sixteen lanes take one line.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from whygrad.errors import OpaqueError
from whygrad.floats.summation_cascade import GRAIN, Cascade
from whygrad.floats.summation_patterns import (
    Blocks,
    Chain,
    HalfDot,
    Lanes,
    NllCascade,
    Pairs,
    Panels,
    Parts,
    Pattern,
    Planes,
    Tree,
    TreeItems,
)

__all__ = ["Steps", "steps_of"]

_LEVELS = 4
_Nested = list["tuple[int, int] | _Nested"]


@dataclass
class Steps:
    """The order of one sum: `lines` define what `order`, an expression, is made of; `helpers` are the functions used.
    Products from term `fused_from` on are not rounded (where the order is fused at all). `pairs`: that many lanes of two
    vectors are added before anything else."""

    order: str
    lines: list[str] = field(default_factory=list[str])
    helpers: set[str] = field(default_factory=set[str])
    fused_from: int = 0
    pairs: int = 0


def steps_of(pattern: Pattern, n: int, prefix: str = "") -> Steps:
    """The order in which `pattern` adds `n` terms; `prefix` keeps the names of several sums apart.

    Raises OpaqueError for a pattern that is no tree of additions."""
    match pattern:
        case Chain() | Pairs():
            return Steps(_tuple(_straight(pattern, 0, n)))
        case Panels():
            return _panels(pattern, n, prefix)
        case Blocks(size):
            parts = [_range(at, min(at + size, n)) for at in range(0, n, size)]
            return Steps(_tuple([f"({p},)" if number % 2 else p for number, p in enumerate(parts)]))
        case Lanes():
            return _lanes(pattern, 0, n, prefix)
        case HalfDot():
            return _half_dot(pattern, n)
        case Cascade():
            return _cascade(pattern, n, prefix)
        case Tree(items, stored=""):
            return Steps(_literal(items))
        case NllCascade() | Tree() | Parts() | Planes():
            raise OpaqueError(f"expected an order that is a tree of additions, found a {pattern.text}")


def _range(start: int, stop: int, step: int = 1) -> str:
    return f"range({start}, {stop})" if step == 1 else f"range({start}, {stop}, {step})"


def _tuple(parts: list[str]) -> str:
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def _literal(items: TreeItems) -> str:
    return _tuple([repr(item) if isinstance(item, range) else _literal(item) for item in items])


def _straight(pattern: Chain | Pairs, start: int, stop: int) -> list[str]:
    if isinstance(pattern, Chain):
        return [_range(start, stop)]
    whole = start + (stop - start) // 2 * 2
    other = (
        f"k ^ 1 for k in {_range(start, whole)}"
        if start % 2 == 0
        else f"k + k % 2 * 2 - 1 for k in {_range(start, whole)}"
    )
    return [f"[{other}]"] + ([_range(whole, stop)] if whole < stop else [])


def _panels(pattern: Panels, n: int, prefix: str) -> Steps:
    found, at, parts = Steps(""), 0, list[str]()
    for number, end in enumerate(pattern.ends(n)):
        if isinstance(pattern.inner, Lanes):
            inner = _lanes(pattern.inner, at, end - at, f"{prefix}panel_{number}_")
            found.lines += inner.lines
            found.helpers |= inner.helpers
            parts.append(inner.order)
        elif isinstance(pattern.inner, Cascade):
            raise OpaqueError(f"expected an order that is a tree of additions, found a {pattern.text}")
        else:
            parts.append(_tuple(_straight(pattern.inner, at, end)))
        at = end
    found.order = _tuple(parts)
    return found


def _lanes(pattern: Lanes, at: int, n: int, prefix: str) -> Steps:
    """Of the `n` terms from number `at` on."""
    width, row = pattern.width, pattern.width * pattern.registers
    peel, body = (at + k for k in pattern.body(n))
    stop = at + n
    plain = pattern.rest in ("lanes", "fused lanes")  # a last row that is not full goes on where the others ended
    lanes = [[range(peel + j, stop if plain else body, row)] for j in range(row)]
    if peel > at:
        lanes[0].insert(0, range(at, peel))
    rest = body
    if pattern.rest == "lane 0":
        for step in dict.fromkeys((width * pattern.rest_registers, width)):
            whole = rest + (stop - rest) // step * step
            if whole > rest:
                for j in range(step):
                    lanes[j].append(range(rest + j, whole, step))
            rest = whole
        if rest < stop:
            lanes[0].append(range(rest, stop))
    name, vector = f"{prefix}lanes", f"{prefix}lanes"
    fused_from = {"fused lanes": body, "fused after": stop - (stop - body) % 4}.get(pattern.rest, 0)
    found = Steps("", _lane_lines(name, lanes, row), fused_from=fused_from)
    if pattern.registers > 1:
        vector = f"{prefix}vector"
        each = f"{name}[l + {width} * r] for r in range({pattern.registers})"
        one = f"neighbours([{each}])" if pattern.registers_join == "adjacent" else f"tuple({each})"
        found.helpers |= {"neighbours"} if pattern.registers_join == "adjacent" else set()
        found.lines.append(f"{vector} = [{one} for l in range({width})]")
    found.helpers |= {"halves"} if pattern.lanes_join == "halving" else set()
    joined = f"halves({vector})" if pattern.lanes_join == "halving" else f"tuple({vector})"
    found.order = _tuple([joined, *([_range(body, stop)] if "after" in pattern.rest and body < stop else [])])
    return found


def _lane_lines(name: str, lanes: list[list[range]], row: int) -> list[str]:
    """`name`, a list of each lane's terms: one line for those that are alike."""
    alike = [lane[0].start == lanes[-1][0].start - row + 1 + j for j, lane in enumerate(lanes) if len(lane) == 1]
    if all(alike) and len(alike) == row:
        first, stop = lanes[0][0].start, lanes[0][0].stop
        start = f"{first} + j" if first else "j"
        return [f"{name} = [(range({start}, {stop}, {row}),) for j in range({row})]"]
    return [f"{name} = [", *(f"    {_literal(tuple(lane))}," for lane in lanes), "]"]


def _half_dot(pattern: HalfDot, n: int) -> Steps:
    whole = n // pattern.lanes * pattern.lanes
    more = whole + (n - whole) // (2 * pattern.vector) * (2 * pattern.vector)
    parts: list[str] = []
    for start, stop, width in ((0, whole, pattern.lanes), (whole, more, pattern.vector)):
        if stop > start:
            first = f"{start} + j" if start else "j"
            parts.append(f"halves([(range({first}, {stop}, {width}),) for j in range({width})])")
    return Steps(_tuple([*parts, *([_range(more, n)] if more < n else [])]), helpers={"halves"})


def _cascade(pattern: Cascade, n: int, prefix: str) -> Steps:
    if pattern.threads > 1 and n > GRAIN:
        raise OpaqueError(f"a sum of {n} terms that {pattern.threads} threads share has no Python form")
    memory = pattern.width * (2 if pattern.halves else 1)
    if pattern.width == 1 or n < memory:
        lines, row = _row(1, n, pattern.rows, f"{prefix}running")
        return Steps(row.format(lane=0).replace("(0 + ", "(").replace(", 0 + ", ", "), lines)
    whole = n // memory * pattern.width  # vectors, of two added where they come in halves
    end = whole + n % memory
    lines, row = _row(pattern.width, whole // pattern.width, pattern.rows, f"{prefix}running")
    lines.append(f"{prefix}lanes = [{row.format(lane='l')} for l in range({pattern.width})]")
    order = f"(({_range(whole, end)},), *{prefix}lanes)" if end > whole else f"tuple({prefix}lanes)"
    return Steps(order, lines, pairs=pattern.width if pattern.halves else 0)


def _row(width: int, count: int, rows: int, name: str) -> tuple[list[str], str]:
    """`count` terms `width` apart in `rows` interleaved running sums: the definition of one, and a template of all with
    `{lane}` for the first term's number."""
    whole, step = count // rows * rows, width * rows
    left = f"range({{lane}} + {whole * width}, {{lane}} + {count * width}, {width})" if whole < count else ""
    if not whole:
        return [], f"({left or 'range(0)'},)"
    levels, lines = _levels(whole // rows), list[str]()
    if step == 1:
        return [], _nested(levels, 1, "")

    def sums(first: str) -> str:
        return f"{name}({first})" if lines else _nested(levels, step, first)

    if len(levels) > 1:
        text = _nested(levels, step, "first")
        lines = [
            "",
            f"def {name}(first):",
            '    """The terms of one running sum: groups of groups."""',
            f"    return {text}",
            "",
            "",
        ]
    if rows == 1:
        return lines, sums("{lane}")
    others = f"*({sums(f'{{lane}} + {width} * r' if width > 1 else '{lane} + r')} for r in range(1, {rows}))"
    return lines, f"(({sums('{lane}')}, {left}), {others})" if left else f"({sums('{lane}')}, {others})"


def _levels(count: int) -> _Nested:
    """Which of `count` terms a running sum adds up apart: `multi_row_sum` of ATen's SumKernel.cpp, as (start, stop)."""
    power = max(4, max(count - 1, 0).bit_length() // _LEVELS)
    step, at = 1 << power, 0
    levels: list[_Nested] = [[] for _ in range(_LEVELS)]
    while at + step <= count:
        levels[0].append((at, at + step))
        at += step
        for level in range(1, _LEVELS):
            levels[level] = [*levels[level], levels[level - 1]] if levels[level] else levels[level - 1]
            levels[level - 1] = []
            if at & ((step - 1) << (level * power)):
                break
    if at < count:
        levels[0].append((at, count))
    filled: _Nested = [level for level in levels if level]
    return filled[0] if len(filled) == 1 and isinstance(filled[0], list) else filled


def _nested(items: _Nested, step: int, first: str) -> str:
    """`items` as ranges of every `step`-th number from `first` on; empty: from 0."""

    def place(at: int) -> str:
        return str(at * step) if not first else f"{first} + {at * step}" if at else first

    texts: list[str] = []
    for item in items:
        if isinstance(item, tuple):
            texts.append(f"range({place(item[0])}, {place(item[1])}{f', {step}' if step > 1 else ''})")
        else:
            texts.append(_nested(item, step, first))
    return _tuple(texts)
