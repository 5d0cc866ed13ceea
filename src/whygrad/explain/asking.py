"""Addresses that lead further than a step's own values: hyperparameters, and numbers inside an optimizer's step."""

from __future__ import annotations

import re
from dataclasses import replace

from whygrad.errors import AddressError
from whygrad.explain.addresses import Parsed, Scalar, parse
from whygrad.explain.expand import find_param
from whygrad.explain.places import HyperPlace, Made, Place, Tracks, World
from whygrad.explain.settings import Settings
from whygrad.rules.call import Hyper, Index
from whygrad.trace.model import Step


class Asked:
    """Finds the place that an address names."""

    def __init__(self, tracks: Tracks) -> None:
        self.tracks = tracks

    def place(self, address: str) -> Place:
        """The place of a scalar. Raises AddressError and StepNotKept."""
        inside = self._inside(address)
        if inside is not None:
            return inside
        scalar: Scalar = self.tracks.world.resolver.resolve(address)
        return Place(self.tracks.world, scalar.step, scalar.value, scalar.index)

    def _step_of(self, parsed: Parsed) -> Step:
        if parsed.step is not None:
            return self.tracks.trace.step(parsed.step)
        return self.tracks.trace.step(max(info.number for info in self.tracks.trace.index if info.kept))

    def hyper(self, address: str) -> HyperPlace | None:
        """`optimizer.lr@3`, `optimizer.lr_1@3` for the second group; None when the address is no hyperparameter's."""
        parsed = parse(address)
        match = re.fullmatch(r"optimizer\.(\w+?)(?:_(\d+))?", parsed.name)
        if match is None or parsed.index is not None:
            return None
        step = self._step_of(parsed)
        settings, group = Settings(self.tracks.trace, step), int(match[2] or 0)
        found = settings.value(match[1], group)
        if found is None:
            return None
        return HyperPlace(Hyper(match[1], float(found)), step.number, group, settings.origin(match[1], group))

    def _inside(self, address: str) -> Place | None:
        """`optimizer.op11(linear.weight)[0,0]@3`: a number inside a parameter's update; `op3(op17)[2]@3`: one inside an op
        taken apart."""
        parsed = parse(address)
        match = re.fullmatch(r"(optimizer\.)?(op\d+(?:\.\d+)?|value\d+)\((.+)\)", parsed.name)
        if match is None:
            return None
        step = self._step_of(parsed)
        world = self._world(match[3], step, match[1] is not None, parsed.index)
        if world is None:
            return None
        scalar = world.resolver.resolve(replace(parsed, name=match[2]).spelled())
        return Place(world, scalar.step, scalar.value, scalar.index)

    def _world(self, name: str, step: Step, update: bool, index: Index | None) -> World | None:
        """The inside of `op17`, of `op3(op17)`, of `linear.weight` (its update), of `op11(linear.weight)`."""
        match = re.fullmatch(r"op(\d+)(?:~(\d+))?(?:\((.+)\))?", name)
        if match is None or (update and match[3] is None):
            return self._update(name, step, index) if update else None
        outer = self._world(match[3], step, update, index) if match[3] else self.tracks.world
        if outer is None:
            return None
        inner = step if outer.outer is None else outer.trace.step(step.number)
        if int(match[1]) >= len(inner.ops):
            raise AddressError(f"no op {match[1]} in {name!r}: there are {len(inner.ops)}.")
        found = self.tracks.taken_apart(outer, inner, inner.ops[int(match[1])], int(match[2] or 1) - 1)
        if isinstance(found, World):
            return found
        raise AddressError(f"op {match[1]} has no inside of that number{f': {found}' if found else ''}.")

    def _update(self, name: str, step: Step, index: Index | None) -> World | None:
        for known in step.names:
            if known.kind == "parameter" and known.text == name:
                after = step.values[known.value]
                at = index if index is not None and len(index) == len(after.shape) else tuple(0 for _ in after.shape)
                at = tuple(min(max(i, 0), n - 1) for i, n in zip(at, after.shape, strict=True))
                made = self.tracks.maker(Place(self.tracks.world, step, after, at))
                if isinstance(made, Made) and made.op.optimizer is not None:
                    found = find_param(made.op, made.value.id)
                    assert found is not None
                    return self.tracks.world_inside(self.tracks.world, made, *found, at)
        return None
