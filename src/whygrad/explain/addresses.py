"""Addresses: text ↔ a scalar of a run. `linear.weight[0,0].grad@3`, `loss@init`, `optimizer.exp_avg(fc1.weight)[0,1]@3`."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from whygrad.errors import AddressError
from whygrad.explain.window import Window
from whygrad.trace.analysis import PRIORITY
from whygrad.trace.model import UNWRITTEN, Name, Op, Step, Value
from whygrad.trace.store import Trace

Index = tuple[int, ...]
_EARLIER = ("before", "state_before")
"""Kinds of names for what stood there before the step: as addresses they bear the number of the step before it."""
Part: TypeAlias = Literal["real", "imag"]
PARTS: tuple[Part, Part] = ("real", "imag")
_ADDRESS = re.compile(
    r"^(?P<name>.+?)(?P<part1>\.(?:real|imag))?(?P<index>\[[-\d,\s]*\])?(?P<part2>\.(?:real|imag))?"
    r"(?:(?P<grad>\.grad)(?P<part3>\.(?:real|imag))?(?P<index2>\[[-\d,\s]*\])?(?P<part4>\.(?:real|imag))?)?"
    r"(?:@(?P<step>init|-?\d+))?$"
)


@dataclass(frozen=True)
class Parsed:
    """An address taken apart. `step` None: the last kept one; -1: before the first (`@init`)."""

    text: str
    name: str
    index: Index | None
    grad: bool
    step: int | None
    part: Part | None = None

    def spelled(self) -> str:
        """The address written out again."""
        step = "" if self.step is None else step_text(self.step)
        part = "" if self.part is None else f".{self.part}"
        where = "" if self.index is None else index_text(self.index)
        return f"{self.name}{where}{'.grad' if self.grad else ''}{part}{step}"


def parse(text: str) -> Parsed:
    """Take an address apart. Raises AddressError when it is none."""
    match = _ADDRESS.match(text.strip())
    if match is None:
        raise AddressError(
            f"{text!r} is no address; expected NAME[INDEX]@STEP, such as linear.weight[0,0].grad@3 or loss@0."
        )
    bracket = match["index"] or match["index2"]
    index = None if bracket is None else tuple(int(i) for i in bracket[1:-1].split(",") if i.strip())
    step = None if match["step"] is None else -1 if match["step"] == "init" else int(match["step"])
    name = match["name"]
    part = next((match[f"part{k}"][1:] for k in range(1, 5) if match[f"part{k}"]), None)
    return Parsed(text, name, index, match["grad"] is not None, step, cast("Part | None", part))


def index_text(index: Index) -> str:
    """`[0,2]`, or nothing for a scalar."""
    return "[" + ",".join(map(str, index)) + "]" if index else ""


def element_text(value: Value, index: Index) -> str:
    """An element's index under a name: `[0,2]`; of a complex tensor `[0,2].imag`."""
    return f"{index_text(index[:-1])}.{PARTS[index[-1]]}" if value.is_complex else index_text(index)


def step_text(number: int) -> str:
    """`@3`, `@init`."""
    return "@init" if number < 0 else f"@{number}"


@dataclass(frozen=True)
class Scalar:
    """One element of a Value of a step."""

    step: Step
    value: Value
    index: Index


class Naming:
    """Names of a step's memory, both ways."""

    def __init__(self, step: Step, window: Window | None = None) -> None:
        self.step, self.window = step, window
        self.by_memory: dict[tuple[int, int], list[Name]] = {}
        self.by_text: dict[tuple[str, bool], list[Name]] = {}
        rank = {kind: i for i, kind in enumerate(PRIORITY)}
        for name in sorted(step.names, key=lambda n: rank.get(n.kind, 99)):
            value = step.values[name.value]
            self.by_memory.setdefault((value.storage, value.version), []).append(name)
            for text in {name.text, self._text(name)}:
                self.by_text.setdefault((text, name.kind == "gradient"), []).append(name)
        self.hidden = self._hidden()

    @staticmethod
    def _text(name: Name) -> str:
        return f"optimizer.{name.text}({name.of})" if name.kind.startswith("state") else name.text

    def name_at(self, value: Value, index: Index) -> tuple[Name, Index] | None:
        """The best name that covers an element, and the element's index under it."""
        place = value.location(index)
        for name in self.by_memory.get((value.storage, value.version), ()):
            named = self.step.values[name.value]
            if named.dtype == value.dtype and id(name) not in self.hidden:
                found = named.index_at(place)
                if found is not None and named.negates(found) == value.negates(index):
                    return name, found
        return None

    def _hidden(self) -> set[int]:
        """Names (by `id`) that, asked for, lead to another Value: another goes by the same text, and comes first."""
        hidden: set[int] = set()
        for (text, _), same in self.by_text.items():
            for earlier in (False, True) if len(same) > 1 else ():
                group = [each for each in same if (each.kind in _EARLIER) == earlier]
                group = [each for each in group if self._text(each) == text]
                hidden |= {id(each) for each in group[1:] if not self._alike(each, group[0])}
        return hidden

    def _alike(self, one: Name, other: Name) -> bool:
        return _window(self.step.values[one.value]) == _window(self.step.values[other.value])

    def address(self, value: Value, index: Index) -> str:
        """The address of an element; elements that nothing named go by the op that made them: `op17[0,1]@3`."""
        found = self.name_at(value, index)
        if found is not None:
            name, at = found
            grad = ".grad" if name.kind == "gradient" else ""
            number = self.step.number - (name.kind in _EARLIER)
            head, dot, part = self.element(self.step.values[name.value], at).partition(".")
            return f"{self._text(name)}{head}{grad}{dot}{part}{step_text(number)}"
        if value.version == UNWRITTEN or not self.step.first <= value.version < self.step.last or value.negates(index):
            return f"value{value.id}{self.element(value, index)}{step_text(self.step.number)}"
        op = self.step.op(value.version)
        value, index = self._as_written(op, value, index)
        several = len([w for w in op.written if self.step.values[w].storage != value.storage]) > 0
        suffix = f".{[self.step.values[w].storage for w in op.written].index(value.storage)}" if several else ""
        return f"op{value.version - self.step.first}{suffix}{self.element(value, index)}{step_text(self.step.number)}"

    def element(self, value: Value, index: Index) -> str:
        """An element's index as the run counts it: of a stretch of a large parameter, its index in the whole."""
        if self.window is not None and value.numel > 1:
            return index_text(self.window.outside(index))
        return element_text(value, index)

    def _as_written(self, op: Op, value: Value, index: Index) -> tuple[Value, Index]:
        """An element of a view, as an element of what the op wrote."""
        for each in op.written:
            own = self.step.values[each]
            if (own.storage, own.dtype) == (value.storage, value.dtype):
                at = own.index_at(value.location(index))
                if at is not None:
                    return own, at
        return value, index


def _window(value: Value) -> tuple[object, ...]:
    """What two Values share that show the same elements at the same indices."""
    return value.storage, value.version, value.dtype, value.offset, value.shape, value.stride, value.form


class Resolver:
    """Finds the scalar that an address names."""

    def __init__(self, trace: Trace, window: Window | None = None) -> None:
        self.trace, self.window = trace, window
        self._naming: dict[int, tuple[Step, Naming]] = {}

    def naming(self, step: Step) -> Naming:
        known = self._naming.get(step.number)
        if known is None or known[0] is not step:
            known = self._naming[step.number] = (step, Naming(step, self.window))
        return known[1]

    def resolve(self, text: str) -> Scalar:
        """The scalar at an address. Raises AddressError (with the nearest names, or the shape and the valid range) and
        StepNotKept."""
        parsed = parse(text)
        number = self._number(parsed)
        step, name = self._find(parsed, number)
        value = step.values[name] if isinstance(name, int) else step.values[name.value]
        return Scalar(step, value, self._element(parsed, value))

    def _number(self, parsed: Parsed) -> int:
        last = [info.number for info in self.trace.index if info.kept]
        if parsed.step is None:
            if not last:
                raise AddressError(
                    f"no step of this run was kept, so {parsed.text!r} cannot be asked; record with --steps all."
                )
            return last[-1]
        if parsed.step < -1:
            return self.trace.index[-1].number + 1 + parsed.step
        return parsed.step

    def _find(self, parsed: Parsed, number: int) -> tuple[Step, Name | int]:
        """The step that shows it: the step itself, or for a parameter the one after, which found it so."""
        kept = {info.number for info in self.trace.index if info.kept}
        tried: list[Step] = []
        if number in kept:
            step = self.trace.step(number)
            found = self._in_step(parsed, step, "before")
            if found is not None:
                return step, found
            tried.append(step)
        if number + 1 in kept and not parsed.grad:
            step = self.trace.step(number + 1)
            named = self.naming(step).by_text.get((self._full(parsed, step), False), ())
            names = [each for each in named if each.kind in _EARLIER]
            if names:
                return step, names[0]
            if number < 0:
                tried.append(step)
        if not tried:
            if number < 0:
                raise AddressError("nothing before the first update was kept; record with --steps 0 to ask @init.")
            self.trace.step(number)
        raise AddressError(self._unknown(parsed, tried[0]))

    def _full(self, parsed: Parsed, step: Step) -> str:
        """The name in full: a last part alone is enough where it is the only one (`weight` for `linear.weight`)."""
        table = self.naming(step).by_text
        if (parsed.name, parsed.grad) in table:
            return parsed.name
        ends = {text for text, grad in table if grad == parsed.grad and text.endswith("." + parsed.name)}
        parameters = {
            t for t in ends if any(n.kind in ("before", "parameter", "gradient") for n in table[t, parsed.grad])
        }
        ends = parameters if len(parameters) == 1 else ends
        return ends.pop() if len(ends) == 1 else parsed.name

    def _in_step(self, parsed: Parsed, step: Step, but_not: str) -> Name | int | None:
        named = self.naming(step).by_text.get((self._full(parsed, step), parsed.grad), ())
        names = [n for n in named if n.kind not in (but_not, "state_before")]
        if names:
            return names[0]
        match = re.fullmatch(r"op(\d+)(?:\.(\d+))?", parsed.name)
        if match is not None and not parsed.grad and int(match[1]) < len(step.ops):
            written = step.ops[int(match[1])].written or tuple(
                o for o in step.ops[int(match[1])].outputs if o is not None
            )
            place = int(match[2] or 0)
            if place < len(written):
                return written[place]
        match = re.fullmatch(r"value(\d+)", parsed.name)
        return int(match[1]) if match is not None and int(match[1]) in step.values else None

    def _unknown(self, parsed: Parsed, step: Step) -> str:
        table = self.naming(step).by_text
        names = sorted({text + (".grad" if grad else "") for text, grad in table})
        wanted = parsed.name + (".grad" if parsed.grad else "")
        near = difflib.get_close_matches(wanted, names, n=4, cutoff=0.4)
        parts = [n for n in names if parsed.name in n and n not in near][:4]
        hint = ", ".join((near + parts)[:6]) or ", ".join(names[:8])
        return f"no value {wanted!r} in step {step.number}; the nearest names are: {hint}."

    def _element(self, parsed: Parsed, value: Value) -> Index:
        """The element; of a complex tensor, its real part where none is named."""
        if value.is_complex:
            return (*self._index(parsed, value.shape[:-1]), PARTS.index(parsed.part or "real"))
        if parsed.part is not None:
            raise AddressError(
                f"no value {parsed.text!r}: {parsed.name!r} is {value.dtype}, its elements have no parts."
            )
        return self._index(parsed, value.shape)

    def _index(self, parsed: Parsed, shape: Index) -> Index:
        if self.window is not None and math.prod(shape) > 1 and parsed.index is not None:
            if len(parsed.index) != len(self.window.shape):
                raise AddressError(f"no value {parsed.text!r}: its shape is {self.window.shape}.")
            return self.window.inside(parsed.index)
        index, numel = parsed.index, math.prod(shape)
        what = parsed.name + (".grad" if parsed.grad else "")
        if index is None:
            if numel == 1:
                return tuple(0 for _ in shape)
            example = index_text(tuple(0 for _ in shape))
            raise AddressError(f"{what!r} has shape {shape}: say which element, such as {parsed.name}{example}.")
        if len(index) != len(shape):
            if numel == 1 and index == (0,):
                return tuple(0 for _ in shape)
            raise AddressError(
                f"no value {parsed.text!r}: its shape is {shape}, so it takes {len(shape)} "
                f"{'index' if len(shape) == 1 else 'indices'}, found {len(index)}."
            )
        for dim, (i, n) in enumerate(zip(index, shape, strict=True)):
            if not -n <= i < n:
                word = ("rows", "columns")[dim] if len(shape) == 2 else f"index {dim}"
                run = "run" if len(shape) == 2 else "runs"
                raise AddressError(f"no value {parsed.text!r}: its shape is {shape}, {word} {run} 0–{n - 1}.")
        return tuple(i % n for i, n in zip(index, shape, strict=True))
