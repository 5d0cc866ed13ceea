"""How a weight came to be what it is: back through every kept update, what each asked for, and what rounding kept of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from whygrad.errors import AddressError, ValueDropped
from whygrad.explain.addresses import parse
from whygrad.explain.asking import Asked
from whygrad.explain.exact import Undefined, exact_value
from whygrad.explain.labels import named
from whygrad.explain.places import Made, Place, Tracks
from whygrad.rules.registry import Unruled
from whygrad.trace.model import UNWRITTEN, Step, Value
from whygrad.trace.store import chunk_of, dropped_of, uncollected

Progress = Callable[[int], None]
"""Called with the number of each step that has been gone through."""


@dataclass(frozen=True)
class Move:
    """What one step did to a number. `before` and `after` are exact in a float; `wanted` is what its update would have
    left in exact arithmetic on the recorded operands, each of its writes by itself (None: an op without an equation wrote
    it, or something was not finite). `ops` wrote it, in order."""

    step: int
    before: float
    after: float
    wanted: Fraction | None
    ops: tuple[str, ...]

    @property
    def moved(self) -> Fraction | None:
        """after − before; None where one is infinite or NaN."""
        return _difference(self.after, self.before)

    @property
    def lost(self) -> Fraction | None:
        """What was asked for and not done: wanted − after."""
        exact = _fraction(self.after)
        return None if self.wanted is None or exact is None else self.wanted - exact

    @property
    def stood_still(self) -> bool:
        """Whether an update that was not zero left the number as it was."""
        return self.before == self.after and bool(self.lost)


@dataclass(frozen=True)
class Gap:
    """Steps of which no numbers were kept, `first` to `last`, and the number before and after them."""

    first: int
    last: int
    before: float
    after: float


@dataclass(frozen=True)
class Updates:
    """A number's way through the run, oldest first. `since` is the step after which `first` stood (−1: before the
    first update)."""

    address: str
    format: str
    since: int
    first: float
    last: float
    moves: tuple[Move, ...]
    gaps: tuple[Gap, ...]

    @property
    def moved(self) -> Fraction | None:
        """last − first."""
        return _difference(self.last, self.first)

    @property
    def lost(self) -> Fraction | None:
        """What all updates asked for and did not do, added up; None where it is not known of all of them."""
        return _total([move.lost for move in self.moves])

    @property
    def lost_sizes(self) -> Fraction | None:
        """The same, each by its size: what was lost one way does not make up for what was lost the other."""
        return _total([None if move.lost is None else abs(move.lost) for move in self.moves])


def updates(tracks: Tracks, asked: Asked, address: str, progress: Progress | None = None) -> Updates:
    """Go back from a parameter's element (or an optimizer state's) through all updates that wrote it.

    Raises AddressError when the number does not live across steps, StepNotKept, ValueDropped.
    """
    with uncollected():
        place = asked.place(address)
        spelled, role, _, _ = named(tracks, place)
        if role not in ("parameter", "state"):
            raise AddressError(
                f"{spelled} is made anew in every step ({role}); only a parameter or an optimizer's state goes from step to step."
            )
        return _Walk(tracks, asked, parse(spelled).spelled().rpartition("@")[0], progress).back_from(place, spelled)


@dataclass(frozen=True)
class _Write:
    step: int
    op: str
    before: float
    after: float
    exact: Fraction | None


class _Walk:
    def __init__(self, tracks: Tracks, asked: Asked, name: str, progress: Progress | None) -> None:
        self.tracks, self.asked, self.name = tracks, asked, name
        self.progress = progress or (lambda step: None)
        self.writes: list[_Write] = []
        self.gaps: list[Gap] = []

    def back_from(self, place: Place, address: str) -> Updates:
        last = _number(place)
        here: Place | None = place
        end = place
        while here is not None:
            end = here
            here = self.before(here)
        moves = _moves(self.writes)
        numbers = [move.step for move in moves] + [gap.first for gap in self.gaps]
        since = min(numbers) - 1 if numbers else _number_of(self.tracks, end)
        return Updates(address, place.value.dtype, since, _number(end), last, moves, tuple(self.gaps[::-1]))

    def before(self, place: Place) -> Place | None:
        """The same number, one write earlier; None at its beginning."""
        made = self.tracks.maker(place)
        if made is None:
            return self.tracks.outside(place)
        if isinstance(made, str):
            return self.over_gap(place)
        if made.op.optimizer is not None:
            self.progress(made.step.number)
            return self.tracks.enter(made, place)
        earlier = _earlier(made)
        if earlier is None or _uninitialised(made.step, earlier):
            return None
        before = Place(place.world, made.step, earlier, made.index)
        exact = self.exact(place, made)
        self.writes.append(_Write(made.step.number, made.op.name, _number(before), _number(place), exact))
        return before

    def exact(self, place: Place, made: Made) -> Fraction | None:
        """What a write gives before it is rounded."""
        constants = self.tracks.constants(place.world)
        try:
            checked = place.world.checker.check(made.step, made.op, made.value, made.index, constants)
            found = None if checked is None else exact_value(checked.expr, checked.inputs)
        except (Unruled, Undefined, ValueDropped):
            return None
        return found if isinstance(found, Fraction) else _rational(found)

    def over_gap(self, place: Place) -> Place | None:
        """Past steps that were not kept: the number as the last kept step before them left it."""
        trace = self.tracks.trace
        writer = trace.step_of_op(place.value.version)
        assert writer is not None
        earlier = [info.number for info in trace.index if info.kept and info.number < writer.number]
        for number in reversed(earlier):
            try:
                before = self.asked.place(f"{self.name}@{number}")
            except AddressError:
                continue
            self.gaps.append(Gap(number + 1, writer.number, _number(before), _number(place)))
            return before
        return None


def _moves(writes: list[_Write]) -> tuple[Move, ...]:
    """Writes, newest first, as one move a step, oldest first."""
    by_step: dict[int, list[_Write]] = {}
    for write in reversed(writes):
        by_step.setdefault(write.step, []).append(write)
    return tuple(_move(step, own) for step, own in by_step.items())


def _move(step: int, own: list[_Write]) -> Move:
    after = _fraction(own[-1].after)
    lost = [
        None if w.exact is None or (end := _fraction(w.after)) is None else w.exact - end for w in own
    ]  # what each write's rounding took
    total = _total(lost)
    wanted = None if total is None or after is None else after + total
    return Move(step, own[0].before, own[-1].after, wanted, tuple(w.op for w in own))


def _earlier(made: Made) -> Value | None:
    """The Value that an op found where it wrote."""
    spot = made.value.location(made.index)
    for ref in made.op.refs():
        value = made.step.values[ref]
        same = value.storage == made.value.storage and value.dtype == made.value.dtype
        if same and value.version != made.value.version and value.index_at(spot) == made.index:
            return value
    return None


def _uninitialised(step: Step, value: Value) -> bool:
    """Whether nothing had been written there yet: memory as a layer gets it, before its first random numbers."""
    return chunk_of(step, value) is None and dropped_of(step, value) is None


def _number(place: Place) -> float:
    return float(place.world.trace.content(place.step, place.value)[place.index])


def _number_of(tracks: Tracks, place: Place) -> int:
    text = named(tracks, place)[0].rpartition("@")[2]
    return -1 if text == "init" or place.value.version == UNWRITTEN else int(text)


def _fraction(x: float) -> Fraction | None:
    return Fraction(x) if abs(x) < float("inf") else None


def _rational(x: object) -> Fraction:
    """A number of many digits (mpmath) as a fraction: all of its digits."""
    import mpmath

    sign, mantissa, exponent, _ = mpmath.mpf(x)._mpf_  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    size = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    return -size if sign else size


def _difference(a: float, b: float) -> Fraction | None:
    x, y = _fraction(a), _fraction(b)
    return None if x is None or y is None else x - y


def _total(parts: list[Fraction | None]) -> Fraction | None:
    known = [part for part in parts if part is not None]
    return sum(known, Fraction(0)) if len(known) == len(parts) else None
