"""The equation of an element: that of its op's rule, or of the inner op that made it where its op had to be taken apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from whygrad.errors import ValueDropped
from whygrad.explain.check import Checked, position_of
from whygrad.explain.evaluate import Found, Inputs, Ways
from whygrad.explain.inside.decompose import element, largest, same_number
from whygrad.explain.inside.noise import noise
from whygrad.explain.nearness import near, within
from whygrad.explain.places import Made, Place, Tracks, World
from whygrad.explain.replay import UNINITIALISED
from whygrad.floats import FORMATS, number_format, round_to, ulp_distance
from whygrad.rules.call import OpCall
from whygrad.rules.expr import Num
from whygrad.rules.registry import Rule, TooLong, Unruled

DEEPEST = 5
_LUCK = 1 / 16
"""Where more than this share of a result came out with other bits, an element that has them has them by luck."""


@dataclass(frozen=True)
class Layer:
    """One op taken apart: `op` is number `number` of `count` inner ops and made the element. `different` of `size` elements
    of the result came out with other bits than recorded; `same`: not this one."""

    words: str
    op: str
    number: int
    count: int
    different: int
    size: int
    same: bool

    @property
    def by_luck(self) -> bool:
        return self.different > _LUCK * self.size

    def text(self) -> str:
        """`step 3 of the 7 of torch's decomposition: aten.mul.Tensor`."""
        op = self.op.removesuffix(".default")
        if not op:
            return f"moved by {self.words}"
        return f"step {self.number} of the {self.count} of {self.words}: {op}"


@dataclass(frozen=True)
class Answer:
    """The equation, the op and the world that it is of, and the layers taken off on the way to it, the outermost first;
    none where the op has a rule. `reason` (and no `checked`): why there is no equation."""

    checked: Checked | None
    made: Made
    where: Place
    layers: tuple[Layer, ...] = ()
    reason: str = ""

    @property
    def same(self) -> bool:
        """Whether the inner values are the recorded ones, and the equation gives them."""
        assert self.checked is not None
        return self.checked.equal and not any(layer.by_luck or not layer.same for layer in self.layers)


def answer(tracks: Tracks, made: Made, where: Place, level: int = 0) -> Answer:
    """The equation of an element by its op's rule, else through the decompositions of its op. Raises ValueDropped when the
    operands' numbers were not kept."""
    constants = tracks.constants(where.world, made)
    try:
        checked = where.world.checker.check(made.step, made.op, made.value, made.index, constants)
        reason = f"no rule for {made.op.kind}"
    except TooLong as error:
        return Answer(None, made, where, reason=f"no equation for {made.op.kind}: {error}")
    except Unruled as error:
        checked, reason = None, f"no rule for {made.op.kind}: {error}"
    if checked is not None:
        own = Answer(checked, made, where)
        if checked.equal or checked.random or level or near(checked):
            return own
        other = _through(tracks, made, where, level, "")
        return own if other.checked is None else other
    if level >= DEEPEST:
        return Answer(None, made, where, reason=f"{reason}; its steps are {level} deep")
    return _through(tracks, made, where, level, reason)


def _through(tracks: Tracks, made: Made, where: Place, level: int, reason: str) -> Answer:
    """The best of the decompositions: the first whose result has the recorded bits, else the nearest."""
    tried: list[str] = []
    found: list[tuple[float, Answer]] = []
    number = 0
    while (world := tracks.taken_apart(where.world, made.step, made.op, number)) is not None:
        number += 1
        inner = world if isinstance(world, str) else _in_world(tracks, made, world, level)
        if isinstance(inner, str):
            tried.append(inner)
            continue
        found.append((inner.layers[0].different / max(inner.layers[0].size, 1), inner))
        if not inner.layers[0].different:
            break
    if not found:
        return Answer(None, made, where, reason="; ".join(dict.fromkeys([reason, *tried])))
    return min(found, key=lambda each: each[0])[1]


def _in_world(tracks: Tracks, made: Made, world: World, level: int) -> Answer | str:
    """The answer by one decomposition, or why it is none."""
    inner = world.decomposed
    assert inner is not None
    assert world.outer is not None
    words = inner.candidate.words
    own = inner.results.get(made.value.id)
    if own is None:
        return f"{words}: it gives no such result"
    value = inner.step.values[own]
    recorded = element(world.outer.trace, made.step, made.value.id, made.index)
    try:
        number = element(world.trace, inner.step, own, made.index)
    except ValueDropped:
        return f"{words}: it leaves the result unwritten"
    same = same_number(recorded, number)
    if not same and not _near(world, made, float(number), float(recorded)):
        return f"{words}: it does not come near ({float(number)!r}, not {float(recorded)!r})"
    maker, _, at = tracks.follow(Place(world, inner.step, value, made.index), wall=world)
    layer = Layer(words, "", 0, len(inner.step.ops), inner.different[made.value.id], made.value.numel, same)
    if not isinstance(maker, Made):
        return _moved(tracks, made, world, at, layer)
    if maker.op.kind in UNINITIALISED:
        return f"{words}: it computes in loops of its own"
    try:
        deeper = answer(tracks, maker, at, level + 1)
    except ValueDropped as error:
        return f"{words}: {error}"
    if deeper.checked is None:
        return f"{words}: {deeper.reason}"
    if not deeper.checked.equal and not deeper.checked.random and not near(deeper.checked):
        return f"{words}: the equation of {maker.op.kind} does not come near"
    layer = replace(layer, op=maker.op.name, number=maker.op.index + 1)
    return replace(deeper, layers=(layer, *deeper.layers))


def _near(world: World, made: Made, number: float, recorded: float) -> bool:
    """Whether a re-computed element is what rounding would leave of the recorded one, measured by its tensor's largest; or,
    where more cancels than that shows, by what rounding does to the decomposition itself."""
    outer, inner = world.outer, world.decomposed
    assert outer is not None
    assert inner is not None
    if made.value.dtype not in FORMATS or not (math.isfinite(number) and math.isfinite(recorded)):
        return False
    if within(number, recorded, made.value.dtype, largest(outer.trace.content(made.step, made.value))):
        return True
    if made.value.id not in world.noises:
        world.noises[made.value.id] = noise(outer.trace, made.step, made.op, inner, made.value.id)
    known = world.noises[made.value.id]
    return known is not None and known.allows(recorded, made.index)


def _moved(tracks: Tracks, made: Made, world: World, at: Place, layer: Layer) -> Answer | str:
    """An element that the op did not compute: it is one of its operands, or a constant of the decomposition."""
    outer, inner = tracks.outside(at), world.decomposed
    assert world.outer is not None
    assert inner is not None
    if outer is None and inner.candidate.watched:
        return f"{layer.words}: nothing shows where the number comes from"
    call = OpCall(world.outer.trace, made.step, made.op, None, position_of(made.op, made.value.id))
    number = float(at.world.trace.content(at.step, at.value)[at.index])
    expr = Num(number) if outer is None else call.var(outer.value, outer.index)
    fmt = FORMATS.get(made.value.dtype)
    width = fmt or number_format("float64")
    rule = Rule((made.op.name,), lambda c, i: expr, "once", call.output)
    found = None if fmt is None else Found(Ways(width), 0, number)
    checked = Checked(
        call, rule, expr, Inputs([] if outer is None else [number], []), number, fmt, width, found, layer.same
    )
    return Answer(checked, made, Place(world.outer, made.step, made.value, made.index), (layer,))


def as_recorded(found: Answer, made: Made, recorded: float) -> Checked:
    """The equation measured against the recorded number, where the inner one differs from it."""
    checked = found.checked
    assert checked is not None
    if all(layer.same for layer in found.layers) or checked.found is None or checked.format is None:
        return checked
    result = checked.found.result
    if math.isnan(result) or math.isnan(recorded):
        return replace(checked, target=recorded, equal=result != result and recorded != recorded)
    result = round_to(result, checked.format)
    ulp = 0 if result == recorded else max(1, ulp_distance(result, recorded, checked.format))
    return replace(checked, target=recorded, found=replace(checked.found, ulp=ulp), equal=ulp == 0)
