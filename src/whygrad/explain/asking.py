"""Addresses that lead further than a step's own values: hyperparameters, and numbers inside an optimizer's step."""

from __future__ import annotations

import re
from dataclasses import replace

from whygrad.explain.addresses import Parsed, Scalar, parse
from whygrad.explain.expand import find_param
from whygrad.explain.places import HyperPlace, Made, Place, Tracks
from whygrad.rules.call import Hyper
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
        groups = [group for op in step.ops if op.optimizer is not None for group in op.optimizer.groups]
        place = int(match[2] or 0)
        found = groups[place].get(match[1]) if place < len(groups) else None
        if isinstance(found, tuple) or match[1] in ("beta1", "beta2"):
            betas = groups[place].get("betas")
            found = betas[int(match[1][-1]) - 1] if isinstance(betas, tuple) and match[1].startswith("beta") else None
        if match[1] == "step" and place < len(groups) and groups[place].params:
            found = self.tracks.count(self.tracks.world, step, groups[place].params[0])
        if isinstance(found, (int, float)) and not isinstance(found, bool):
            return HyperPlace(Hyper(match[1], float(found)), step.number)
        return None

    def _inside(self, address: str) -> Place | None:
        """`optimizer.op11(linear.weight)[0,0]@3`: a number inside a parameter's update."""
        parsed = parse(address)
        match = re.fullmatch(r"optimizer\.(op\d+(?:\.\d+)?|value\d+)\((.+)\)", parsed.name)
        if match is None:
            return None
        step = self._step_of(parsed)
        for name in step.names:
            if name.kind == "parameter" and name.text == match[2]:
                after = step.values[name.value]
                made = self.tracks.maker(Place(self.tracks.world, step, after, tuple(0 for _ in after.shape)))
                if isinstance(made, Made) and made.op.optimizer is not None:
                    found = find_param(made.op, made.value.id)
                    assert found is not None
                    world = self.tracks.world_inside(self.tracks.world, made, *found)
                    scalar = world.resolver.resolve(replace(parsed, name=match[1]).spelled())
                    return Place(world, scalar.step, scalar.value, scalar.index)
        return None
