"""Where a scalar stands, and the way back from it: to the op that computed it, into an optimizer's step and out again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from whygrad.explain.addresses import Resolver
from whygrad.explain.check import Checker
from whygrad.explain.expand import Expansion, expand, find_param, parameter_name
from whygrad.explain.replay import Replay
from whygrad.explain.replay import replay as run_again
from whygrad.rules.call import Hyper, Index
from whygrad.rules.hyperparameters import Constants
from whygrad.trace.model import UNWRITTEN, Op, OptimizerGroup, OptimizerParam, Ref, Step, Value
from whygrad.trace.store import Trace

MOVES = frozenset({
    "aten.copy_", "aten.clone", "aten.detach", "aten.contiguous", "aten._to_copy", "aten.lift_fresh_copy", "aten.alias",
    "aten.view", "aten._reshape_copy", "aten.expand_copy", "aten.lift_fresh",
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Place:
    """A scalar in some step of some trace: the run itself, or the inside of one parameter's update. `hyper` instead of a
    Value: a hyperparameter."""

    world: World
    step: Step
    value: Value
    index: Index


@dataclass(frozen=True)
class HyperPlace:
    """A hyperparameter as it stood in a step."""

    hyper: Hyper
    step: int


Operands = list["Place | HyperPlace"]


@dataclass(eq=False)
class World:
    """A trace with what is remembered about it. `outer` and `expansion`: this is the inside of an optimizer's step."""

    trace: Trace
    checker: Checker
    resolver: Resolver
    replays: dict[int, Replay] = field(default_factory=dict[int, Replay])
    outer: World | None = None
    outer_step: Step | None = None
    expansion: Expansion | None = None
    update: Op | None = None
    prefix: str = ""


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
        self._inside: dict[tuple[int, int, int], World] = {}

    def follow(self, place: Place) -> tuple[Made | str | None, tuple[str, ...], Place]:
        """Back to the op that computed the number, through ops that only moved it."""
        via: list[str] = []
        while True:
            made = self.maker(place)
            if made is None:
                outer = self.outside(place)
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
                    if index is not None:
                        return Made(step, op, out, index)
            version = _version_before(step, op, value.storage)
        return None

    def enter(self, made: Made, place: Place) -> Place:
        """The same element inside the optimizer's step."""
        found = find_param(made.op, made.value.id)
        assert found is not None
        world = self.world_inside(place.world, made, *found)
        inner = world.expansion
        assert inner is not None
        wanted = "parameter" if found[1].after == made.value.id else "state"
        key = next((k for k, a in found[1].state_after if isinstance(a, Ref) and a.id == made.value.id), "")
        name = next(n for n in inner.step.names if n.kind == wanted and (not key or n.text == key))
        return Place(world, inner.step, inner.step.values[name.value], made.index)

    def world_inside(self, outer: World, made: Made, group: OptimizerGroup, param: OptimizerParam) -> World:
        key = (made.step.number, made.op.index, param.after)
        if key not in self._inside:
            name = parameter_name(outer.resolver.naming(made.step), made.step, param)
            found = expand(outer.trace, made.step, made.op, group, param, name)
            self._inside[key] = World(
                found.trace, Checker(found.trace), Resolver(found.trace), outer=outer, outer_step=made.step,
                expansion=found, update=made.op, prefix=name,
            )  # fmt: skip
        return self._inside[key]

    def outside(self, place: Place) -> Place | None:
        """An element that went into an optimizer's step, as the run knows it."""
        world = place.world
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
                    return Place(world.outer, world.outer_step, world.outer_step.values[outer], index)
        return None

    def constants(self, world: World) -> Constants | None:
        inner = world.expansion
        if inner is None or world.outer is None or world.outer_step is None:
            return None
        return Constants(dict(inner.group.hyper), self.count(world.outer, world.outer_step, inner.param))

    @staticmethod
    def count(world: World, step: Step, param: OptimizerParam) -> int | None:
        """How many steps the optimizer has done on a parameter, this one counted."""
        count = next((arg for key, arg in param.state_after if key == "step"), None)
        if isinstance(count, Ref):
            count = world.trace.content(step, step.values[count.id])[()]
        return None if count is None else int(count)  # pyright: ignore[reportArgumentType]

    def replay(self, world: World, made: Made) -> Replay:
        key = made.op.index
        if key not in world.replays:
            world.replays[key] = run_again(world.trace, made.step, made.op)
        return world.replays[key]


def key_of(place: Place) -> tuple[Any, ...]:
    """What two places share that are the same number: the memory, not the view of it."""
    value = place.value
    return id(place.world), place.step.number, value.storage, value.version, value.location(place.index), value.dtype


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
