"""Gradients that were changed in place after the backward pass: clipped, or unscaled. What they were before has a name too,
and so have the numbers that they were clipped by."""

from __future__ import annotations

from collections.abc import Callable

from whygrad.trace.model import UNWRITTEN, Name, Op, Ref, Value

_NORMS = ("aten.linalg_vector_norm", "aten.norm", "aten.amax", "aten.max")
_MOST = 16


def changed_gradients(ops: tuple[Op, ...], values: dict[int, Value], names: tuple[Name, ...]) -> list[Name]:
    """`w.unclipped`, `w.scaled` or `w.before` (asked as `w.unclipped[0].grad`) for each parameter's gradient `w` that an op
    outside the backward pass overwrote, and `clip_coef`, `total_norm` of clipping by norm."""
    first = ops[0].index if ops else 0
    found: dict[tuple[str, int], Name] = {}

    def writer(value: Value) -> Op | None:
        place = value.version - first
        return ops[place] if value.version != UNWRITTEN and 0 <= place < len(ops) else None

    for name in names:
        value = values[name.value]
        op = writer(value) if name.kind == "gradient" and name.of != "activation" else None
        while op is not None and not op.node:
            before = _before(op, value, values)
            if before is None:
                break
            text = f"{name.text}.{_word(op)}"
            if (text, before.id) not in found:
                found[text, before.id] = Name(text, before.id, "gradient", "activation")
            for each in _norm_names(op, values, writer):
                found.setdefault((each.text, each.value), each)
            value, op = before, writer(before)
    return list(found.values())


def _before(op: Op, after: Value, values: dict[int, Value]) -> Value | None:
    """What an op overwrote in place."""
    for ref in op.refs():
        value = values[ref]
        if value.storage == after.storage and value.version < op.index and value.shape == after.shape:
            return value
    return None


def _word(op: Op) -> str:
    if "unscale" in op.name:
        return "scaled"
    return "unclipped" if any(part in op.name for part in ("mul_", "clamp", "hardtanh")) else "before"


def _norm_names(op: Op, values: dict[int, Value], writer: Callable[[Value], Op | None]) -> list[Name]:
    """`g · clip_coef`: the factor, and the norm that it was computed from."""
    if not op.kind.endswith("mul_") or len(op.args) < 2 or not isinstance(op.args[1], Ref):
        return []
    factor = values[op.args[1].id]
    if factor.numel != 1:
        return []
    found = [Name("clip_coef", factor.id, "variable")]
    value = factor
    for _ in range(_MOST):
        maker = writer(value)
        if maker is None or not maker.refs():
            return []
        if maker.kind in _NORMS:
            return [*found, Name("total_norm", value.id, "variable")]
        value = values[maker.refs()[0]]
    return []
