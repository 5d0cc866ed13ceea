"""Address → Derivation: from a scalar to the op that made it, its equation, its operands, as deep as asked."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from whygrad.errors import ValueDropped
from whygrad.explain.addresses import step_text
from whygrad.explain.asking import Asked
from whygrad.explain.check import Checked
from whygrad.explain.derivation import Derivation, Verdict
from whygrad.explain.labels import named
from whygrad.explain.places import HyperPlace, Made, Operands, Place, Tracks, key_of
from whygrad.explain.rounding import rounding
from whygrad.explain.sums import shorten
from whygrad.explain.updates import Progress, Updates, updates
from whygrad.explain.verdicts import Judge
from whygrad.floats import FORMATS, number_format, to_bits
from whygrad.rules.call import Hyper, Index
from whygrad.rules.registry import Unruled
from whygrad.trace.model import UNWRITTEN, Value
from whygrad.trace.store import Trace, uncollected

DEFAULT_NODES = 12
DEFAULT_DEPTH = 8


class Explainer:
    """Answers whys about one run; keeps what it worked out."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
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
            return replace(node, operands=(), sum=None, equation=None, more=bool(operands))
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

    # ---- one node

    def node(self, place: Place) -> tuple[Derivation, Operands]:
        """One scalar explained, and the places of its operands."""
        bare = self._bare(place)
        made, via, where = self.tracks.follow(place)
        if isinstance(made, str):
            return replace(bare, verdict=Verdict("given", reason=made), via=via), []
        if made is None:
            return replace(bare, via=via, verdict=Verdict("given", reason=_given(bare))), []
        constants = self.tracks.constants(where.world)
        try:
            checked = where.world.checker.check(made.step, made.op, made.value, made.index, constants)
        except ValueDropped as error:
            return replace(bare, via=via, verdict=Verdict("opaque", reason=str(error))), []
        except Unruled as error:
            return self._judge.opaque(self._about(bare, made, via, where), made, where, f": {error}"), []
        bare = self._about(bare, made, via, where)
        if checked is None:
            return self._judge.opaque(bare, made, where), []
        return self._explained(bare, checked, made, where)

    def _bare(self, place: Place) -> Derivation:
        content = place.world.trace.content(place.step, place.value)
        number: float | int | bool = content[place.index].item()
        fmt = FORMATS.get(place.value.dtype)
        bits = "" if fmt is None else format(to_bits(float(number), fmt), f"0{fmt.bits}b")
        address, role, label, of = named(self.tracks, place)
        return Derivation(
            address, label, float(number) if fmt is not None else number, place.value.dtype, bits, role, "other",
            Verdict("given"), gradient_of=of,
        )  # fmt: skip

    def _about(self, bare: Derivation, made: Made, via: tuple[str, ...], where: Place) -> Derivation:
        op = made.op
        update = where.world.update
        source = op.source if update is None else update.source
        role = bare.role
        if role == "activation" and op.phase == "backward":
            role = "gradient"
        return replace(
            bare, phase=op.phase if update is None else "optimizer", op=op.name, source=source, module=op.module,
            node=op.node, via=via, role=role,
        )  # fmt: skip

    def _explained(self, bare: Derivation, checked: Checked, made: Made, where: Place) -> tuple[Derivation, Operands]:
        operands: Operands = [
            HyperPlace(key, made.step.number)
            if isinstance(key, Hyper)
            else Place(where.world, made.step, made.step.values[key[0]], key[1])
            for key in checked.call.operands
        ]
        info = shorten(checked, made, where, operands)
        verdict = self._judge.verdict(checked, made, where)
        rounded = None if verdict.kind == "differs" else rounding(checked)
        node = replace(bare, equation=checked.expr, verdict=verdict, rounding=rounded, sum=info, evaluation=checked)
        return node, operands


def _given(bare: Derivation) -> str:
    if bare.role == "parameter":
        return "the value it had when recording began"
    return "given to the program from outside the recorded ops"


def hyperparameter(place: HyperPlace) -> Derivation:
    """A leaf: what the program set."""
    hyper = place.hyper
    bits = format(to_bits(hyper.value, number_format("float64")), "064b")
    return Derivation(
        f"optimizer.{hyper.name}{step_text(place.step)}", hyper.name, hyper.value, "float64", bits, "hyperparameter",
        "optimizer", Verdict("given", reason="set by the program"),
    )  # fmt: skip


def why(trace: Trace, address: str, depth: int | None = None) -> Derivation:
    """The derivation of one scalar of a run; see `Explainer.why`."""
    return Explainer(trace).why(address, depth)
