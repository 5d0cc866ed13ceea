"""Address → Derivation: from a scalar to the op that made it, its equation, its operands, as deep as asked."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from whygrad.errors import ValueDropped
from whygrad.explain.addresses import step_text
from whygrad.explain.asking import Asked
from whygrad.explain.check import Checked
from whygrad.explain.contributions import Contributions, contributions
from whygrad.explain.derivation import Derivation, Verdict
from whygrad.explain.inside.answer import Answer, answer, as_recorded
from whygrad.explain.labels import named
from whygrad.explain.places import HyperPlace, Made, Operands, Place, Tracks, key_of
from whygrad.explain.recover import Recovery
from whygrad.explain.replay import UNINITIALISED, scratch_of
from whygrad.explain.rounding import rounding
from whygrad.explain.sums import shorten
from whygrad.explain.updates import Progress, Updates, updates
from whygrad.explain.verdicts import Judge
from whygrad.floats import FORMATS, number_format, to_bits
from whygrad.rules.call import Hyper, Index
from whygrad.trace.model import UNWRITTEN, Value
from whygrad.trace.store import Trace, uncollected

DEFAULT_NODES = 12
DEFAULT_DEPTH = 8


class Explainer:
    """Answers whys about one run; keeps what it worked out."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._recovery = trace.recover = Recovery(trace)
        self.tracks = Tracks(trace)
        self._asked = Asked(self.tracks)
        self._judge = Judge(self.tracks)

    def why(self, address: str, depth: int | None = None) -> Derivation:
        """The derivation of the scalar at `address`, `depth` operands deep (None: until inputs and parameters of a small
        network are reached).

        Raises AddressError, StepNotKept, ValueDropped.
        """
        hyper = self._asked.hyper(address)
        if hyper is not None:
            return hyperparameter(hyper)
        with uncollected():
            return self.explain(self._asked.place(address), depth)

    def contributions(self, address: str) -> tuple[Contributions, ...]:
        """What each example and each path contributed to a gradient; see `whygrad.explain.contributions`."""
        with uncollected():
            return contributions(self.tracks, self._asked.place(address))

    def updates(self, address: str, progress: Progress | None = None) -> Updates:
        """A number's way through all kept updates; see `whygrad.explain.updates`."""
        return updates(self.tracks, self._asked, address, progress)

    def at(self, step: int, value: Value, index: Index) -> Place:
        """The place of an element of a Value of a step."""
        return Place(self.tracks.world, self.trace.step(step), value, index)

    def explain(self, place: Place, depth: int | None = None) -> Derivation:
        """The derivation of a place; nodes are opened breadth first until `depth`, or until there are enough."""
        limit = DEFAULT_DEPTH if depth is None else depth
        most = DEFAULT_NODES if depth is None else 1 << 20
        opened: dict[tuple[Any, ...], tuple[Derivation, Operands]] = {}
        todo: deque[tuple[Place, int]] = deque([(place, 0)])
        while todo and len(opened) < most:
            here, level = todo.popleft()
            key = key_of(here)
            if key in opened:
                continue
            opened[key] = self.node(here)
            if level < limit:
                inner = [each for each in opened[key][1] if isinstance(each, Place)]
                todo += [(each, level + 1) for each in inner if depth is not None or not self._ends(each, place)]
        return self._assemble(place, limit, opened, ())

    def _ends(self, place: Place, asked: Place) -> bool:
        """Whether an answer of no particular depth stops here: at inputs, and at what an earlier step left."""
        address, role, _, _ = named(self.tracks, place)
        step = address.rpartition("@")[2]
        earlier = step == "init" or int(step) < asked.step.number
        return role in ("input", "target") or (role in ("parameter", "state") and earlier)

    def _assemble(
        self, place: Place, depth: int, opened: dict[tuple[Any, ...], Any], above: tuple[Any, ...]
    ) -> Derivation:
        key = key_of(place)
        known = opened.get(key)
        if known is None or key in above:
            return self._leaf(place)
        node, operands = known
        if depth <= 0:
            return replace(node, operands=(), sum=None, more_sums=(), equation=None, more=bool(operands))
        inner = tuple(
            hyperparameter(each)
            if isinstance(each, HyperPlace)
            else self._assemble(each, depth - 1, opened, (*above, key))
            for each in operands
        )
        return replace(node, operands=inner)

    def _leaf(self, place: Place) -> Derivation:
        """A node named and valued, not opened; no other step is read for it."""
        bare = self._bare(place)
        while (outer := self.tracks.outside(place)) is not None:
            place = outer
        if place.value.version == UNWRITTEN:
            return replace(bare, verdict=Verdict("given", reason=_given(bare)))
        return replace(bare, more=True, verdict=Verdict("not asked"))

    def place(self, address: str) -> Place | None:
        """Where the scalar at `address` stands; None for a hyperparameter. Raises AddressError, StepNotKept."""
        return None if self._asked.hyper(address) is not None else self._asked.place(address)

    def opened(self, place: Place) -> tuple[Derivation, Operands]:
        """One number explained, its operands named and valued but not gone into, and their places. A walk that opens each
        number once is made of this."""
        node, operands = self.node(place)
        leaves = (hyperparameter(each) if isinstance(each, HyperPlace) else self._leaf(each) for each in operands)
        return replace(node, operands=tuple(leaves)), operands

    # ---- one node

    def node(self, place: Place) -> tuple[Derivation, Operands]:
        """One scalar explained, and the places of its operands."""
        bare = self._bare(place)
        made, via, where = self.tracks.follow(place)
        if isinstance(made, str):
            return replace(bare, verdict=Verdict("given", reason=made), via=via), []
        if made is None:
            return replace(bare, via=via, verdict=Verdict("given", reason=_given(bare))), []
        bare = replace(bare, via=via)
        if made.op.kind in UNINITIALISED:
            reason = f"memory that {made.op.kind} allocated and nothing had written yet"
            return replace(self._about(bare, made, via, where), verdict=Verdict("given", reason=reason)), []
        if made.value.id == scratch_of(made.op):
            reason = f"memory of {made.op.kind}'s kernel, which only its own backward pass reads"
            return replace(self._about(bare, made, via, where), verdict=Verdict("given", reason=reason)), []
        try:
            found = answer(self.tracks, made, where)
        except ValueDropped as error:
            return replace(bare, verdict=Verdict("opaque", reason=str(error))), []
        bare = self._about(bare, made, via, where)
        if found.checked is None:
            return self._judge.opaque(bare, made, where, found.reason), []
        if not found.layers:
            return self._explained(bare, found.checked, self._judge.verdict(found.checked, made, where), found)
        checked = as_recorded(found, made, float(bare.value))
        verdict = self._judge.inside(found, checked, made, where)
        return self._explained(bare, checked, verdict, found)

    def _bare(self, place: Place) -> Derivation:
        content = place.world.trace.content(place.step, place.value)
        number: float | int | bool = content[place.index].item()
        fmt = FORMATS.get(place.value.dtype)
        bits = "" if fmt is None else format(to_bits(float(number), fmt), f"0{fmt.bits}b")
        address, role, label, of = named(self.tracks, place)
        unchanged = role == "parameter" and place.value.version < place.step.first
        note = " ".join(place.step.notes) if unchanged and place.world is self.tracks.world else ""
        if place.world is self.tracks.world:
            note = " ".join(each for each in (note, self._recovery.note(place.step, place.value)) if each)
        return Derivation(
            address, label, float(number) if fmt is not None else number, place.value.dtype, bits, role, "other",
            Verdict("given"), gradient_of=of, note=note,
        )  # fmt: skip

    def _about(self, bare: Derivation, made: Made, via: tuple[str, ...], where: Place) -> Derivation:
        op, of = made.op, where.world.origin or made.op
        role = bare.role
        if role == "activation" and of.phase == "backward":
            role = "gradient"
        return replace(
            bare, phase=of.phase, op=op.name, source=of.source, module=of.module, node=of.node, via=via, role=role,
            note="; ".join(each for each in (op.note or of.note, bare.note) if each),
        )  # fmt: skip

    def _explained(
        self, bare: Derivation, checked: Checked, verdict: Verdict, found: Answer
    ) -> tuple[Derivation, Operands]:
        step, world = found.made.step, found.where.world
        operands: Operands = [
            self.tracks.hyper(world, found.made, key)
            if isinstance(key, Hyper)
            else Place(world, step, step.values[key[0]], key[1])
            for key in checked.call.operands
        ]
        sums = shorten(checked, found.made, found.where, operands)
        rounded = None if verdict.kind == "differs" else rounding(checked)
        node = replace(
            bare, equation=checked.expr, verdict=verdict, rounding=rounded, sum=next(iter(sums), None), more_sums=sums[1:],
            evaluation=checked,
        )  # fmt: skip
        return node, [self._outermost(each) for each in operands]

    def _outermost(self, place: Place | HyperPlace) -> Place | HyperPlace:
        """What went into an op taken apart, as the world around it knows it: one number is one node."""
        while isinstance(place, Place) and place.world.decomposed is not None:
            outer = self.tracks.outside(place)
            if outer is None:
                break
            place = outer
        return place


def _given(bare: Derivation) -> str:
    if bare.role == "parameter":
        return "the value it had when recording began"
    return "given to the program from outside the recorded ops"


def hyperparameter(place: HyperPlace) -> Derivation:
    """A leaf: what the program set."""
    hyper = place.hyper
    if hyper.constant:
        bits = format(to_bits(hyper.value, number_format("float64")), "064b")
        reason = "a constant of the mathematics"
        return Derivation(
            hyper.name, hyper.name, hyper.value, "float64", bits, "constant", "other", Verdict("given", reason=reason)
        )
    bits = format(to_bits(hyper.value, number_format("float64")), "064b")
    return Derivation(
        f"optimizer.{hyper.name}{f'_{place.group}' if place.group else ''}{step_text(place.step)}", hyper.name, hyper.value,
        "float64", bits, "hyperparameter", "optimizer", Verdict("given", reason=place.reason),
    )  # fmt: skip


def why(trace: Trace, address: str, depth: int | None = None) -> Derivation:
    """The derivation of one scalar of a run; see `Explainer.why`."""
    return Explainer(trace).why(address, depth)
