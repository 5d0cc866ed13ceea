"""Is a number what its equation says? Same bits, replayed, opaque, or differs."""

from __future__ import annotations

from dataclasses import replace

from whygrad.explain.check import Checked
from whygrad.explain.derivation import Derivation, Verdict
from whygrad.explain.inside.answer import Answer
from whygrad.explain.nearness import near
from whygrad.explain.places import Made, Place, Tracks


class Judge:
    """Gives verdicts on elements that `tracks` led to."""

    def __init__(self, tracks: Tracks) -> None:
        self.tracks = tracks

    def opaque(self, bare: Derivation, made: Made, where: Place, detail: str = "") -> Derivation:
        """A number whose op has no rule: replayed, and nothing claimed about the inside."""
        again = self.tracks.replay(where.world, made)
        shapes = ", ".join(
            f"{where.world.resolver.naming(made.step).address(v, tuple(0 for _ in v.shape)).partition('[')[0]} {v.shape}"
            for v in (made.step.values[r] for r in made.op.refs())
        )
        note = f"operands: {shapes}" if shapes else "no operands"
        unwritten = again.unwritten.get(made.value.id)
        if unwritten is not None and unwritten[made.index]:
            return replace(
                bare, verdict=Verdict("given", reason=f"memory that {made.op.kind} allocated and never wrote")
            )
        if again.same:
            why = "replayed: the op, run again on the recorded operands, gives the very bits" if again.possible else ""
            if again.reason:
                why = again.reason
            reason = f"{detail or f'no rule for {made.op.kind}'}; {why}"
            return replace(bare, verdict=Verdict("opaque", reason=reason), note=note)
        if not again.possible:
            return replace(
                bare,
                verdict=Verdict("opaque", reason=f"{detail or f'no rule for {made.op.kind}'}; {again.reason}"),
                note=note,
            )
        return replace(bare, verdict=self._differs(made, where), note=note)

    def verdict(self, checked: Checked, made: Made, where: Place) -> Verdict:
        """The verdict on a checked element."""
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
        again = self.tracks.replay(where.world, made)
        ulp = checked.found.ulp if checked.found is not None else None
        if again.same:
            if not drawn and not near(checked):
                return Verdict("opaque", ulp, reason=(
                    f"the equation known for {made.op.kind} does not come near this number, so it is not the reason for it; "
                    "replayed: the op, run again on the recorded operands, gives the very bits"
                ))  # fmt: skip
            how = "drawn again from the recorded state of the generator" if drawn else ""
            return Verdict("replayed", 0 if drawn else ulp, how)
        if not again.possible:
            return Verdict("opaque", ulp, reason=again.reason)
        return self._differs(made, where)

    def inside(self, found: Answer, checked: Checked, made: Made, where: Place) -> Verdict:
        """The verdict on an element whose op was taken apart: `checked` is the inner equation, measured against the recorded
        number, `made` and `where` the op of the run."""
        how = checked.found.ways.describe(checked.expr) if checked.found is not None and checked.equal else ""
        how = "; ".join(part for part in (how, *(layer.text() for layer in found.layers)) if part)
        outer = where.world.expansion
        if found.same and not checked.random and (outer is None or outer.same):
            return Verdict("same bits", 0, how)
        again = self.tracks.replay(where.world, made)
        ulp = checked.found.ulp if checked.found is not None else None
        if again.same:
            drawn = "drawn again from the recorded state of the generator; " if checked.random else ""
            return Verdict("replayed", 0 if checked.random else ulp, drawn + how)
        if not again.possible:
            return Verdict("opaque", ulp, reason=again.reason)
        return self._differs(made, where)

    def _differs(self, made: Made, where: Place) -> Verdict:
        again = self.tracks.replay(where.world, made)
        changed = self._changed_operand(made, where)
        reason = changed or (
            f"{again.different} elements of the result differ when the op is run again: they were written since by something "
            "that makes no op (numpy, another thread), or this machine computes otherwise."
        )
        info = self.tracks.trace.info
        import torch

        if not changed and info.torch and info.torch != torch.__version__:
            reason += f" The run was recorded with torch {info.torch}, this is {torch.__version__}."
        return Verdict("differs", reason=reason)

    def _changed_operand(self, made: Made, where: Place) -> str:
        """An operand whose writer, run again, gives other numbers than the operand had: it was changed unseen."""
        for ref in made.op.refs():
            value = made.step.values[ref]
            index = tuple(0 for _ in value.shape)
            if value.numel == 0:
                continue
            maker = self.tracks.maker(Place(where.world, made.step, value, index))
            if not isinstance(maker, Made) or maker.op.optimizer is not None or maker.op.name == made.op.name:
                continue
            if not self.tracks.replay(where.world, maker).same:
                name = where.world.resolver.naming(made.step).address(value, index)
                return (
                    f"{name} was changed between two recorded ops by something that makes none (numpy, another thread)."
                )
        return ""
