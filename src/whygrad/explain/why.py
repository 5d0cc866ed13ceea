"""Address → Derivation: from a scalar to the op that made it, its equation, its operands, as deep as asked."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from whygrad.errors import ValueDropped
from whygrad.explain.addresses import Naming, Parsed, Resolver, Scalar, index_text, parse, step_text
from whygrad.explain.check import Checked, Checker
from whygrad.explain.derivation import Derivation, Role, Rounding, SumInfo, Term, Verdict
from whygrad.explain.exact import Undefined, dyadic_sum, exact_value
from whygrad.explain.expand import Expansion, expand, find_param
from whygrad.explain.replay import Replay, replay
from whygrad.floats import FORMATS, exact, number_format, to_bits
from whygrad.rules.call import Hyper, Index
from whygrad.rules.expr import Dot, Expr, walk
from whygrad.rules.hyperparameters import Constants
from whygrad.trace.model import UNWRITTEN, Op, OptimizerGroup, OptimizerParam, Ref, Step, Value
from whygrad.trace.store import Trace

MOVES = frozenset({
    "aten.copy_", "aten.clone", "aten.detach", "aten.contiguous", "aten._to_copy", "aten.lift_fresh_copy", "aten.alias",
    "aten.view", "aten._reshape_copy", "aten.expand_copy", "aten.lift_fresh",
})  # fmt: skip
DEFAULT_NODES = 48
DEFAULT_DEPTH = 6
TERMS = 3


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
class _Made:
    """What wrote an element: the op, the Value it wrote, and the element's index there."""

    step: Step
    op: Op
    value: Value
    index: Index


class Explainer:
    """Answers whys about one run; keeps what it worked out."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.world = World(trace, Checker(trace), Resolver(trace))
        self._inside: dict[tuple[int, int, int], World] = {}
        self._known: dict[tuple[int, int, int, Index], Derivation] = {}

    def why(self, address: str, depth: int | None = None) -> Derivation:
        """The derivation of the scalar at `address`, `depth` operands deep (None: until inputs and parameters of a small
        network are reached).

        Raises AddressError, StepNotKept, ValueDropped.
        """
        hyper = self._hyper(address)
        return hyperparameter(hyper) if hyper is not None else self.explain(self._resolve(address), depth)

    def _resolve(self, address: str) -> Place:
        inside = self._resolve_inside(address)
        if inside is not None:
            return inside
        scalar: Scalar = self.world.resolver.resolve(address)
        return Place(self.world, scalar.step, scalar.value, scalar.index)

    def _step_of(self, parsed: Parsed) -> Step:
        if parsed.step is not None:
            return self.trace.step(parsed.step)
        return self.trace.step(max(info.number for info in self.trace.index if info.kept))

    def _hyper(self, address: str) -> HyperPlace | None:
        """`optimizer.lr@3`, `optimizer.lr_1@3` for the second group."""
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
            found = self._count(self.world, step, groups[place].params[0])
        if isinstance(found, (int, float)) and not isinstance(found, bool):
            return HyperPlace(Hyper(match[1], float(found)), step.number)
        return None

    @staticmethod
    def _count(world: World, step: Step, param: OptimizerParam) -> int | None:
        """How many steps the optimizer has done on a parameter, this one counted."""
        count = next((arg for key, arg in param.state_after if key == "step"), None)
        if isinstance(count, Ref):
            count = world.trace.content(step, step.values[count.id])[()]
        return None if count is None else int(count)  # pyright: ignore[reportArgumentType]

    def _resolve_inside(self, address: str) -> Place | None:
        """`optimizer.op11(linear.weight)[0,0]@3`: a number inside a parameter's update."""
        parsed = parse(address)
        match = re.fullmatch(r"optimizer\.(op\d+(?:\.\d+)?|value\d+)\((.+)\)", parsed.name)
        if match is None:
            return None
        step = self._step_of(parsed)
        for name in step.names:
            if name.kind == "parameter" and name.text == match[2]:
                after = step.values[name.value]
                made = self._maker(Place(self.world, step, after, tuple(0 for _ in after.shape)))
                if isinstance(made, _Made) and made.op.optimizer is not None:
                    found = find_param(made.op, made.value.id)
                    assert found is not None
                    world = self._world_inside(self.world, made, *found)
                    scalar = world.resolver.resolve(replace(parsed, name=match[1]).spelled())
                    return Place(world, scalar.step, scalar.value, scalar.index)
        return None

    def at(self, step: int, value: Value, index: Index) -> Place:
        """The place of an element of a Value of a step."""
        return Place(self.world, self.trace.step(step), value, index)

    def explain(self, place: Place, depth: int | None = None) -> Derivation:
        """The derivation of a place; nodes are opened breadth first until `depth`, or until there are enough."""
        limit = DEFAULT_DEPTH if depth is None else depth
        most = DEFAULT_NODES if depth is None else 1 << 20
        opened: dict[tuple[Any, ...], tuple[Derivation, Operands]] = {}
        todo: deque[tuple[Place, int]] = deque([(place, 0)])
        while todo and len(opened) < most:
            here, level = todo.popleft()
            key = _key(here)
            if key in opened:
                continue
            opened[key] = self.node(here)
            if level < limit:
                todo += [(each, level + 1) for each in opened[key][1] if isinstance(each, Place)]
        return self._assemble(place, limit, opened, ())

    def _assemble(
        self, place: Place, depth: int, opened: dict[tuple[Any, ...], Any], above: tuple[Any, ...]
    ) -> Derivation:
        key = _key(place)
        known = opened.get(key)
        if known is None or key in above:
            return self._leaf(place)
        node, operands = known
        if depth <= 0:
            return replace(node, operands=(), sum=None, equation=None, more=bool(operands))
        inner = tuple(
            hyperparameter(each) if isinstance(each, HyperPlace) else self._assemble(each, depth - 1, opened, (*above, key))
            for each in operands
        )
        return replace(node, operands=inner)

    def _leaf(self, place: Place) -> Derivation:
        """A node named and valued, not opened."""
        bare = self._bare(place)
        return replace(bare, more=self._maker(place) is not None)

    # ---- one node

    def node(self, place: Place) -> tuple[Derivation, Operands]:
        """One scalar explained, and the places of its operands."""
        bare = self._bare(place)
        made, via, where = self._follow(place)
        if isinstance(made, str):
            return replace(bare, verdict=Verdict("given", reason=made), via=via), []
        if made is None:
            return replace(bare, via=via, verdict=Verdict("given", reason=_given(bare, where))), []
        constants = self._constants(where.world)
        try:
            checked = where.world.checker.check(made.step, made.op, made.value, made.index, constants)
        except ValueDropped as error:
            return replace(bare, via=via, verdict=Verdict("opaque", reason=str(error))), []
        bare = self._about(bare, made, via, where)
        if checked is None:
            return self._opaque(bare, made, where)
        return self._explained(bare, checked, made, where)

    def _bare(self, place: Place) -> Derivation:
        content = place.world.trace.content(place.step, place.value)
        number: float | int | bool = content[place.index].item()
        fmt = FORMATS.get(place.value.dtype)
        bits = "" if fmt is None else format(to_bits(float(number), fmt), f"0{fmt.bits}b")
        address, role, label, of = self._named(place)
        return Derivation(
            address, label, float(number) if fmt is not None else number, place.value.dtype, bits, role, "other",
            Verdict("given"), gradient_of=of,
        )  # fmt: skip

    def _about(self, bare: Derivation, made: _Made, via: tuple[str, ...], where: Place) -> Derivation:
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

    def _follow(self, place: Place) -> tuple[_Made | str | None, tuple[str, ...], Place]:
        """Back to the op that computed the number, through ops that only moved it."""
        via: list[str] = []
        while True:
            made = self._maker(place)
            if made is None:
                outer = self._outside(place)
                if outer is None:
                    return None, tuple(via), place
                place = outer
                continue
            if isinstance(made, str):
                return made, tuple(via), place
            if made.op.optimizer is not None:
                place = self._enter(made, place)
                continue
            source = _moved_from(made)
            if source is None:
                return made, tuple(via), place
            via.append(made.op.name)
            place = Place(place.world, made.step, source, made.index)

    def _maker(self, place: Place) -> _Made | str | None:
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
                        return _Made(step, op, out, index)
            version = _version_before(step, op, value.storage)
        return None

    # ---- optimizers

    def _enter(self, made: _Made, place: Place) -> Place:
        """The same element inside the optimizer's step."""
        found = find_param(made.op, made.value.id)
        assert found is not None
        world = self._world_inside(place.world, made, *found)
        inner = world.expansion
        assert inner is not None
        wanted = "parameter" if found[1].after == made.value.id else "state"
        key = next((k for k, a in found[1].state_after if isinstance(a, Ref) and a.id == made.value.id), "")
        name = next(n for n in inner.step.names if n.kind == wanted and (not key or n.text == key))
        return Place(world, inner.step, inner.step.values[name.value], made.index)

    def _world_inside(self, outer: World, made: _Made, group: OptimizerGroup, param: OptimizerParam) -> World:
        key = (made.step.number, made.op.index, param.after)
        if key not in self._inside:
            found = expand(outer.trace, made.step, made.op, group, param)
            name = next((n.text for n in found.step.names if n.kind == "before"), "")
            self._inside[key] = World(
                found.trace, Checker(found.trace), Resolver(found.trace), outer=outer, outer_step=made.step,
                expansion=found, update=made.op, prefix=name,
            )  # fmt: skip
        return self._inside[key]

    def _outside(self, place: Place) -> Place | None:
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

    def _constants(self, world: World) -> Constants | None:
        inner = world.expansion
        if inner is None:
            return None
        assert world.outer is not None and world.outer_step is not None
        return Constants(dict(inner.group.hyper), self._count(world.outer, world.outer_step, inner.param))

    # ---- verdicts

    def _opaque(self, bare: Derivation, made: _Made, where: Place) -> tuple[Derivation, Operands]:
        again = self._replay(where.world, made)
        shapes = ", ".join(
            f"{where.world.resolver.naming(made.step).address(v, tuple(0 for _ in v.shape)).partition('[')[0]} {v.shape}"
            for v in (made.step.values[r] for r in made.op.refs())
        )
        note = f"operands: {shapes}" if shapes else "no operands"
        if again.same:
            why = "replayed: the op, run again on the recorded operands, gives the very bits" if again.possible else ""
            if again.reason:
                why = again.reason
            reason = f"no rule for {made.op.kind} yet; {why}"
            return replace(bare, verdict=Verdict("opaque", reason=reason), note=note), []
        if not again.possible:
            return replace(bare, verdict=Verdict("opaque", reason=f"no rule for {made.op.kind}; {again.reason}"), note=note), []
        return replace(bare, verdict=self._differs(made, where), note=note), []

    def _explained(
        self, bare: Derivation, checked: Checked, made: _Made, where: Place
    ) -> tuple[Derivation, Operands]:
        operands: Operands = [
            HyperPlace(key, made.step.number) if isinstance(key, Hyper) else Place(where.world, made.step, made.step.values[key[0]], key[1])
            for key in checked.call.operands
        ]
        expr, info, more = self._shorten(checked, made, where, len(operands))
        operands += more
        verdict = self._verdict(checked, made, where)
        node = replace(
            bare, equation=expr, verdict=verdict, rounding=_rounding(checked), sum=info, evaluation=checked,
        )  # fmt: skip
        return node, operands

    def _verdict(self, checked: Checked, made: _Made, where: Place) -> Verdict:
        inner = where.world.expansion
        if inner is not None and not inner.same:
            return Verdict("differs", reason=(
                f"{inner.class_name}.step, run again on what went in, does not give the bits that came out "
                "(another torch version or processor, or the weights were changed by something unseen)."
            ))  # fmt: skip
        drawn = checked.random
        if checked.equal and not drawn:
            how = checked.found.ways.describe(checked.expr) if checked.found is not None else ""
            return Verdict("same bits", 0, how)
        again = self._replay(where.world, made)
        ulp = checked.found.ulp if checked.found is not None else None
        if again.same:
            return Verdict("replayed", 0 if drawn else ulp, "drawn again from the recorded state of the generator" if drawn else "")
        if not again.possible:
            return Verdict("opaque", ulp, reason=again.reason)
        return self._differs(made, where)

    def _differs(self, made: _Made, where: Place) -> Verdict:
        again = self._replay(where.world, made)
        changed = self._changed_operand(made, where)
        reason = changed or f"{again.different} elements of the result differ when the op is run again; no reason is known."
        info = self.trace.info
        import torch

        if not changed and info.torch and info.torch != torch.__version__:
            reason += f" The run was recorded with torch {info.torch}, this is {torch.__version__}."
        return Verdict("differs", reason=reason)

    def _changed_operand(self, made: _Made, where: Place) -> str:
        """An operand whose writer, run again, gives other numbers than the operand had: it was changed unseen."""
        for ref in made.op.refs():
            value = made.step.values[ref]
            index = tuple(0 for _ in value.shape)
            if value.numel == 0:
                continue
            maker = self._maker(Place(where.world, made.step, value, index))
            if isinstance(maker, _Made) and maker.op.optimizer is None and maker.op.name != made.op.name:
                if not self._replay(where.world, maker).same:
                    name = where.world.resolver.naming(made.step).address(value, index)
                    return f"{name} was changed between two recorded ops by something that makes none (numpy, another thread)."
        return ""

    def _replay(self, world: World, made: _Made) -> Replay:
        key = made.op.index
        if key not in world.replays:
            world.replays[key] = replay(world.trace, made.step, made.op)
        return world.replays[key]

    # ---- long sums

    def _shorten(
        self, checked: Checked, made: _Made, where: Place, operands: int
    ) -> tuple[Expr, SumInfo | None, Operands]:
        """Operands for the largest terms of a sum, and what the rest comes to."""
        dots = [n for n in walk(checked.expr) if isinstance(n, Dot)]
        if not dots:
            return checked.expr, None, []
        dot = dots[0]
        a = checked.inputs.series(dot.a.operand, dot.a.indices)
        b = None if dot.b is None else checked.inputs.series(dot.b.operand, dot.b.indices)
        products = a if b is None else a * b
        if dot.term is not None:
            from whygrad.explain.evaluate import Ways, _Evaluator  # pyright: ignore[reportPrivateUsage]

            products = _Evaluator(checked.inputs, Ways(number_format("float64"))).terms(dot.term, a, b)
        order = np.argsort(-np.abs(products), kind="stable")
        shown = sorted(order[: TERMS if len(a) > TERMS + 1 else len(a)].tolist())
        terms: list[Term] = []
        more: Operands = []
        for i in shown:
            factors = [self._element(checked, made, where, dot.a.operand, dot.a.indices[i])]
            if dot.b is not None:
                factors.append(self._element(checked, made, where, dot.b.operand, dot.b.indices[i]))
            terms.append(Term(i, tuple(range(operands + len(more), operands + len(more) + len(factors))), float(products[i])))
            more += factors
        hidden = np.delete(np.arange(len(a)), shown)
        rest = 0.0
        if len(hidden) and np.isfinite(products).all():
            rest = float(dyadic_sum(a[hidden], None if b is None else b[hidden]) if dot.term is None else products[hidden].sum())
        return checked.expr, SumInfo(len(a), tuple(terms), rest, len(hidden), dot.init is not None), more

    def _element(self, checked: Checked, made: _Made, where: Place, operand: int, index: Any) -> Place:
        value = made.step.values[checked.call.tensors[operand]]
        return Place(where.world, made.step, value, tuple(int(i) for i in index))

    # ---- names

    def _named(self, place: Place) -> tuple[str, Role, str, str]:
        """Address, role, label and what a gradient is the gradient of."""
        outer = self._outside(place)
        if outer is not None:
            return self._named(outer)
        naming: Naming = place.world.resolver.naming(place.step)
        address = naming.address(place.value, place.index)
        found = naming.name_at(place.value, place.index)
        if found is None:
            world = place.world
            if world.expansion is not None:
                head, _, tail = address.partition("[")
                address = f"optimizer.{head.partition('@')[0]}({world.prefix})" + ("[" + tail if tail else step_text(place.step.number))
            return address, "activation", address.partition("@")[0], ""
        name, index = found
        several = place.step.values[name.value].numel > 1
        text = name.text + (index_text(index) if several else "")
        if name.kind == "gradient":
            return address, "gradient", f"∂loss/∂{text}", text
        roles: dict[str, Role] = {
            "parameter": "parameter", "before": "parameter", "input": "input", "target": "target", "state": "state",
            "state_before": "state",
        }  # fmt: skip
        if name.kind in ("state", "state_before"):
            text = name.text + (index_text(index) if several else "")
        return address, roles.get(name.kind, "activation"), text, ""


def _key(place: Place) -> tuple[Any, ...]:
    return (id(place.world), place.step.number, place.value.storage, place.value.version, place.value.location(place.index), place.value.dtype)


def _moved_from(made: _Made) -> Value | None:
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


def _given(bare: Derivation, place: Place) -> str:
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


def _rounding(checked: Checked) -> Rounding | None:
    if checked.format is None:
        return None
    try:
        truth = exact_value(checked.expr, checked.inputs)
    except Undefined:
        return None
    return rounding_of(checked.target, truth, checked.format)


def rounding_of(value: float, truth: Any, fmt: Any) -> Rounding | None:
    """Exact result as text and the rounding in ULP; None when the value is not finite."""
    from fractions import Fraction

    from whygrad.floats import rounding_error_ulp

    if not np.isfinite(value):
        return None
    ulp = float(rounding_error_ulp(value, truth, fmt))
    if isinstance(truth, Fraction):
        text, whole = decimal_text(truth)
        return Rounding(text, ulp, whole)
    import mpmath

    return Rounding(mpmath.nstr(truth, 30), ulp, False)


def decimal_text(x: Any, most: int = 60) -> tuple[str, bool]:
    """A fraction in decimal: exact when it ends (its denominator is 2ᵃ·5ᵇ) within `most` digits, else cut off."""
    denominator = x.denominator
    while denominator % 2 == 0:
        denominator //= 2
    while denominator % 5 == 0:
        denominator //= 5
    if denominator == 1 and abs(float(x)) < 1e300:
        as_float = float(x)
        if as_float == x:
            return exact(as_float), True
        places = max(x.denominator.bit_length(), 1)
        scaled = x * 10**places
        if scaled.denominator == 1 and places <= most + 40:
            digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
            text = (digits[:-places] + "." + digits[-places:]).rstrip("0").rstrip(".")
            return ("-" if x < 0 else "") + text, True
    import mpmath

    with mpmath.workdps(40):
        return mpmath.nstr(mpmath.mpf(x.numerator) / mpmath.mpf(x.denominator), 30), False


def why(trace: Trace, address: str, depth: int | None = None) -> Derivation:
    """The derivation of one scalar of a run; see `Explainer.why`."""
    return Explainer(trace).why(address, depth)
