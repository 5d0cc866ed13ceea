"""Where a scalar stands, and the way back from it: to the op that computed it, into an optimizer's step and out again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from whygrad.explain.addresses import Resolver
from whygrad.explain.check import Checker
from whygrad.explain.expand import Expansion, expand, find_param, parameter_name
from whygrad.explain.inside.decompose import Decomposed, NotDecomposed, decompose
from whygrad.explain.inside.noise import Noise
from whygrad.explain.inside.registry import candidates
from whygrad.explain.replay import Replay
from whygrad.explain.replay import replay as run_again
from whygrad.explain.settings import SET, Settings, settings_of
from whygrad.explain.window import window_of
from whygrad.rules.call import Hyper, Index
from whygrad.rules.hyperparameters import Constants
from whygrad.trace.model import UNWRITTEN, Op, OptimizerGroup, OptimizerParam, Ref, Step, Value
from whygrad.trace.store import Trace

MOVES = frozenset({
    "aten.copy_", "aten.clone", "aten.detach", "aten.contiguous", "aten._to_copy", "aten.lift_fresh_copy", "aten.alias",
    "aten.view", "aten._reshape_copy", "aten.expand_copy", "aten.lift_fresh",
})  # fmt: skip


MOST_KEPT = 1 << 30
"""Bytes that the insides of ops may hold together."""


@dataclass(frozen=True, eq=False)
class Place:
    """A scalar in some step of some trace: the run itself, the inside of one parameter's update, or that of one op."""

    world: World
    step: Step
    value: Value
    index: Index


@dataclass(frozen=True)
class HyperPlace:
    """A hyperparameter as it stood in a step: `group` is which of its param_groups, `reason` who set it."""

    hyper: Hyper
    step: int
    group: int = 0
    reason: str = SET


Operands = list["Place | HyperPlace"]


@dataclass(eq=False)
class World:
    """A trace with what is remembered about it. With `outer` it is the inside of an op of another world: of an optimizer's
    step (`expansion`, `update`) or of an op taken apart (`decomposed`); `of` is that op, `prefix` what it is called.
    `insides` are the ops of this world taken apart, by op and candidate; a text where that could not be done."""

    trace: Trace
    checker: Checker
    resolver: Resolver
    replays: dict[int, Replay] = field(default_factory=dict[int, Replay])
    outer: World | None = None
    outer_step: Step | None = None
    expansion: Expansion | None = None
    update: Op | None = None
    prefix: str = ""
    decomposed: Decomposed | None = None
    of: Op | None = None
    insides: dict[tuple[int, int], World | str] = field(default_factory=dict[tuple[int, int], "World | str"])

    noises: dict[int, Noise | None] = field(default_factory=dict[int, "Noise | None"])

    @property
    def origin(self) -> Op | None:
        """The op of the run that this is the inside of; None for the run itself."""
        world, op = self, None
        while world.outer is not None:
            world, op = world.outer, world.update or world.of
        return op


@dataclass(frozen=True)
class Made:
    """What wrote an element: the op, the Value it wrote, and the element's index there."""

    step: Step
    op: Op
    value: Value
    index: Index


class Tracks:
    """The ways back, over the whole run; the insides of updates are worked out once."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.world = World(trace, Checker(trace), Resolver(trace))
        self._inside: dict[tuple[int, int, int, int], World] = {}
        self._kept: list[tuple[World, tuple[int, int], int]] = []

    def follow(self, place: Place, wall: World | None = None) -> tuple[Made | str | None, tuple[str, ...], Place]:
        """Back to the op that computed the number, through ops that only moved it; not out of the world `wall`."""
        via: list[str] = []
        while True:
            made = self.maker(place)
            if made is None:
                outer = None if place.world is wall else self.outside(place)
                if outer is None:
                    return None, tuple(via), place
                place = outer
                continue
            if isinstance(made, str):
                return made, tuple(via), place
            if made.op.optimizer is not None:
                place = self.enter(made, place)
                continue
            source = _moved_from(made)
            if source is None:
                return made, tuple(via), place
            via.append(made.op.name)
            place = Place(place.world, made.step, source, made.index)

    def maker(self, place: Place) -> Made | str | None:
        """The op that wrote an element: a text when it belongs to a step that was not kept, None when no op wrote it."""
        value = place.value
        step, version, spot = place.step, value.version, value.location(place.index)
        while version != UNWRITTEN:
            info = place.world.trace.step_of_op(version)
            if info is None:
                return None
            if not info.kept:
                return place.world.trace.why_not_kept(info.number)
            step = place.world.trace.step(info.number)
            op = step.op(version)
            for written in op.written:
                out = step.values[written]
                if out.storage == value.storage and out.dtype == value.dtype:
                    index = out.index_at(spot)
                    if index is not None and out.negates(index) != value.negates(place.index):
                        return _shown_by(place)
                    if index is not None:
                        return Made(step, op, out, index)
            version = _version_before(step, op, value.storage)
        return _shown_by(place) if value.negates(place.index) else None

    def enter(self, made: Made, place: Place) -> Place:
        """The same element inside the optimizer's step."""
        found = find_param(made.op, made.value.id)
        assert found is not None
        world = self.world_inside(place.world, made, *found, made.index)
        inner = world.expansion
        assert inner is not None
        wanted = "parameter" if found[1].after == made.value.id else "state"
        key = next((k for k, a in found[1].state_after if isinstance(a, Ref) and a.id == made.value.id), "")
        name = next(n for n in inner.step.names if n.kind == wanted and (not key or n.text == key))
        value = inner.step.values[name.value]
        index = made.index if inner.window is None or value.numel == 1 else inner.window.inside(made.index)
        return Place(world, inner.step, value, index)

    def world_inside(
        self, outer: World, made: Made, group: OptimizerGroup, param: OptimizerParam, index: Index
    ) -> World:
        """The inside of one parameter's update; of a large one, only around the element `index`."""
        assert made.op.optimizer is not None
        shape = made.step.values[param.before].shape
        at = index if shape == made.value.shape else tuple(0 for _ in shape)
        window = window_of(made.op.optimizer.class_name, made.step, param, at)
        key = (made.step.number, made.op.index, param.after, -1 if window is None else window.start)
        if key not in self._inside:
            name = parameter_name(outer.resolver.naming(made.step), made.step, param)
            found = expand(outer.trace, made.step, made.op, group, param, name, window)
            self._inside[key] = World(
                found.trace, Checker(found.trace), Resolver(found.trace, window), outer=outer, outer_step=made.step,
                expansion=found, update=made.op, prefix=name,
            )  # fmt: skip
        return self._inside[key]

    def taken_apart(self, world: World, step: Step, op: Op, number: int) -> World | str | None:
        """The inside of an op by its decomposition `number`, or why that is none; None when there are no more of them."""
        key = (op.index, number)
        if key not in world.insides:
            choices = candidates(op)
            if number >= len(choices):
                return None
            try:
                found = decompose(world.trace, step, op, choices[number])
            except NotDecomposed as error:
                world.insides[key] = f"{choices[number].words}: {error}"
            else:
                prefix = f"op{op.index - step.first}" + (f"~{number + 1}" if number else "")
                self._make_room(world, key, found.bytes)
                world.insides[key] = World(
                    found.trace, Checker(found.trace), Resolver(found.trace), outer=world, outer_step=step, of=op,
                    decomposed=found, prefix=prefix,
                )  # fmt: skip
        return world.insides[key]

    def _make_room(self, world: World, key: tuple[int, int], size: int) -> None:
        """Forget the oldest insides where all together hold too much; one that is asked for again is made again."""
        self._kept.append((world, key, size))
        while len(self._kept) > 1 and sum(each[2] for each in self._kept) > MOST_KEPT:
            old, place, _ = self._kept.pop(0)
            old.insides.pop(place, None)

    def outside(self, place: Place) -> Place | None:
        """An element that went into an optimizer's step, or into an op taken apart, as the world around it knows it."""
        world = place.world
        if world.decomposed is not None:
            return _input_outside(place, world.decomposed)
        if world.expansion is None or world.outer is None or world.outer_step is None:
            return None
        outer = world.expansion.outer.get(place.value.storage)
        if outer is None or place.value.version != UNWRITTEN:
            return None
        spot = place.value.location(place.index)
        for name in world.expansion.step.names:
            named = world.expansion.step.values[name.value]
            if named.storage == place.value.storage and named.version == UNWRITTEN:
                index = named.index_at(spot)
                if index is not None:
                    value, window = world.outer_step.values[outer], world.expansion.window
                    at = index if window is None or value.numel == 1 else window.outside(index)
                    return Place(world.outer, world.outer_step, value, at)
        return None

    def constants(self, world: World, made: Made | None = None) -> Constants | None:
        """What an optimizer may have computed an op's constants from; None outside of optimizers."""
        found = self._settings(world, made)
        return None if found is None else found[0].constants(*found[1:])

    def hyper(self, world: World, made: Made, hyper: Hyper) -> HyperPlace:
        """A hyperparameter that an op's equation uses."""
        found = self._settings(world, made)
        if found is None:
            return HyperPlace(hyper, made.step.number)
        number = found[0].number(found[2])
        return HyperPlace(hyper, found[0].step.number, number, found[0].origin(hyper.name, number))

    def _settings(
        self, world: World, made: Made | None
    ) -> tuple[Settings, Op, OptimizerGroup, OptimizerParam | None] | None:
        step, op = (None, None) if made is None else (made.step, made.op)
        while world.expansion is None and world.outer is not None:
            step, op, world = world.outer_step, world.of, world.outer
        inner = world.expansion
        if inner is not None and world.outer is not None and world.outer_step is not None and world.update is not None:
            return Settings(world.outer.trace, world.outer_step), world.update, inner.group, inner.param
        if step is None or op is None or op.optimizer_index < 0 or world.outer is not None:
            return None
        found = settings_of(step, op)
        return None if found is None else (Settings(world.trace, step), *found, None)

    def replay(self, world: World, made: Made) -> Replay:
        key = made.op.index
        if key not in world.replays:
            world.replays[key] = run_again(world.trace, made.step, made.op)
        return world.replays[key]


def _shown_by(place: Place) -> Made | None:
    """The op of the place's step that gave its memory another sign: it took a conjugate or a negative, and wrote nothing."""
    value, spot = place.value, place.value.location(place.index)
    for op in place.step.ops:
        for each in op.outputs:
            shown = place.step.values[each] if each is not None else value
            if each is None or (shown.storage, shown.version, shown.dtype) != (
                value.storage,
                value.version,
                value.dtype,
            ):
                continue
            index = shown.index_at(spot)
            if index is not None and shown.negates(index) == value.negates(place.index):
                return Made(place.step, op, shown, index)
    return None


def _input_outside(place: Place, inner: Decomposed) -> Place | None:
    world, value = place.world, place.value
    if value.version != UNWRITTEN or world.outer is None or world.outer_step is None:
        return None
    spot = value.location(place.index)
    for own, outer in inner.inputs:
        given = inner.step.values[own]
        if (given.storage, given.dtype) == (value.storage, value.dtype):
            index = given.index_at(spot)
            if index is not None and given.negates(index) == value.negates(place.index):
                return Place(world.outer, world.outer_step, world.outer_step.values[outer], index)
    return None


def key_of(place: Place) -> tuple[Any, ...]:
    """What two places share that are the same number: the memory, not the view of it."""
    value = place.value
    sign = value.negates(place.index)
    return (
        id(place.world),
        place.step.number,
        value.storage,
        value.version,
        value.location(place.index),
        value.dtype,
        sign,
    )


def _moved_from(made: Made) -> Value | None:
    """The Value whose element of the same index an op merely moved, dtype unchanged."""
    if made.op.kind not in MOVES:
        return None
    position = 1 if made.op.kind == "aten.copy_" else 0
    if position >= len(made.op.args):
        return None
    arg = made.op.args[position]
    if not isinstance(arg, Ref):
        return None
    source = made.step.values[arg.id]
    return source if source.dtype == made.value.dtype and source.shape == made.value.shape else None


def _version_before(step: Step, op: Op, storage: int) -> int:
    for ref in op.refs():
        value = step.values[ref]
        if value.storage == storage and value.version < op.index:
            return value.version
    return UNWRITTEN
