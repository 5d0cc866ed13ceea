"""A derivation as finished strings: a tree for renderers, a dictionary for `--json`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from whygrad.explain.derivation import Derivation, Role, SumInfo, Verdict
from whygrad.floats import FORMATS
from whygrad.trace.model import Source
from whygrad.view.contributions import sentences, to_dicts
from whygrad.view.equation import because, numeric, symbolic
from whygrad.view.numbers import about, bit_groups, exact_text, hex_text, number, signed_ulp, typographic

if TYPE_CHECKING:
    from whygrad.explain.contributions import Contributions

__all__ = ["DerivationView", "EquationView", "VerdictView", "derivation_view", "to_dict"]

Sign = Literal["same", "replayed", "opaque", "differs", "given", "unasked"]
_SHORT = 60
"""A reason of at most so many characters stands in the heading."""
_SIGNS: dict[str, Sign] = {
    "same bits": "same",
    "replayed": "replayed",
    "opaque": "opaque",
    "differs": "differs",
    "given": "given",
    "not asked": "unasked",
}
_UNCHECKED = ("given", "not asked")
_ROLES: dict[Role, str] = {
    "parameter": "parameter",
    "gradient": "gradient",
    "input": "input",
    "target": "target",
    "activation": "activation",
    "hyperparameter": "hyperparameter",
    "constant": "constant",
    "state": "optimizer state",
}


@dataclass(frozen=True)
class EquationView:
    """`left = symbolic = numeric = result`, each a string; `exact` is the result before rounding, empty
    where it is the result itself or was not asked for; `note` says which branch was taken."""

    left: str
    symbolic: str
    numeric: str
    result: str
    exact: str = ""
    note: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """What follows the equals signs, top to bottom, nothing twice in a row."""
        exact = f"{self.exact} before rounding" if self.exact else ""
        lines = [line for line in (self.symbolic, self.numeric, exact, self.result) if line]
        return tuple(line for i, line in enumerate(lines) if i == 0 or line != lines[i - 1])


@dataclass(frozen=True)
class VerdictView:
    """`sign` says which mark to draw, `words` what was checked, `rounding` how far it was rounded, `how`
    what gave the bits, `reason` why not."""

    sign: Sign
    words: str
    rounding: str = ""
    how: str = ""
    reason: str = ""


@dataclass(frozen=True)
class DerivationView:
    """One number and what it came from. `seen`: explained further up, so not again here; `more`: it can be
    asked deeper."""

    address: str
    value: str
    role: str
    format: str
    equation: EquationView | None
    verdict: VerdictView
    where: tuple[str, ...]
    notes: tuple[str, ...]
    children: tuple[DerivationView, ...]
    seen: bool = False
    more: bool = False

    @property
    def heading(self) -> str:
        """`linear.weight[0,0]@0 = 0.0866`."""
        return f"{self.address} = {self.value}"


def derivation_view(
    derivation: Derivation, exact: bool = False, parts: tuple[Contributions, ...] = ()
) -> DerivationView:
    """The tree to draw, `parts` said of its root. An address that occurs again is referred to, not explained twice. With
    `exact`, all digits of every number: of the values, and of what the equation gives before it is rounded."""
    view = _Viewer(exact).view(derivation)
    return replace(view, notes=(*view.notes, *sentences(parts))) if parts else view


class _Viewer:
    def __init__(self, exact: bool) -> None:
        self.exact = exact
        self.explained: set[str] = set()

    def view(self, d: Derivation) -> DerivationView:
        seen = d.address in self.explained
        if d.operands and not seen:
            self.explained.add(d.address)
        return DerivationView(
            address=d.address,
            value=self._value(d),
            role=_role(d),
            format=d.format,
            equation=None if seen else self._equation(d),
            verdict=_verdict(d),
            where=_where(d),
            notes=() if seen else _notes(d),
            children=() if seen else tuple(self.view(operand) for operand in d.operands),
            seen=seen,
            more=d.more and not seen,
        )

    def _value(self, d: Derivation) -> str:
        return typographic(exact_text(d.value) if self.exact else number(d.value, d.format))

    def _equation(self, d: Derivation) -> EquationView | None:
        if d.equation is None:
            return None
        exact = ""
        if self.exact and d.rounding is not None and d.rounding.ulp != 0:
            exact = typographic(d.rounding.exact_result) + ("" if d.rounding.exact else "…")
        return EquationView(_left(d), symbolic(d), numeric(d), self._value(d), exact, because(d))


def _left(d: Derivation) -> str:
    """What stands before the equals sign; an update makes the new weight from the old one of the same
    name."""
    name = d.label or d.address
    return f"new {name}" if any(operand.label == name for operand in d.operands) else name


def _role(d: Derivation) -> str:
    role = _ROLES[d.role]
    if d.role == "gradient" and d.gradient_of:
        role = f"gradient: how the loss changes with {d.gradient_of}"
    return role


def _verdict(d: Derivation) -> VerdictView:
    verdict = d.verdict
    rounding = "" if d.rounding is None or verdict.kind in _UNCHECKED else _rounded(d)
    words, reason = _words(d, verdict), verdict.reason
    if verdict.kind == "given" and reason and len(reason) <= _SHORT:
        words, reason = reason, ""
    return VerdictView(_SIGNS[verdict.kind], words, rounding, verdict.how, reason)


def _rounded(d: Derivation) -> str:
    assert d.rounding is not None
    ulp = d.rounding.ulp
    if not math.isfinite(ulp):
        return ""
    if (
        d.value == 0 and abs(ulp) > 1
    ):  # an ulp of 0 is the smallest subnormal, which says nothing of a sum that cancelled
        return f"rounded to 0 from {about(float(d.rounding.exact_result))}"
    return "exact, not rounded" if ulp == 0 else f"rounded {signed_ulp(ulp)}"


def _words(d: Derivation, verdict: Verdict) -> str:
    known = FORMATS.get(d.format)
    match verdict.kind:
        case "same bits":
            return f"same {known.bits} bits" if known else "same value"
        case "replayed":
            op = d.op.removesuffix(".default") or "the op"
            near = f", the equation is {verdict.ulp} ulp off" if verdict.ulp else ""
            return f"same bits when {op} is run again{near}"
        case "opaque":
            return "no equation"
        case "differs":
            return "DIFFERS from the recorded number" + (f" by {verdict.ulp} ulp" if verdict.ulp else "")
        case "given":
            return "given, not computed"
        case "not asked":
            return "beyond the depth that was asked"


def _where(d: Derivation) -> tuple[str, ...]:
    op = d.op.removesuffix(".default")
    via = f"by way of {', '.join(each.removesuffix('.default') for each in d.via)}" if d.via else ""
    return tuple(part for part in (op, via, _place(d.source)) if part)


def _place(source: Source | None) -> str:
    return "" if source is None else f"{PurePath(source.file).name}:{source.line}"


def _notes(d: Derivation) -> tuple[str, ...]:
    return (d.note,) if d.note else ()


# ---- JSON


def to_dict(d: Derivation, parts: tuple[Contributions, ...] = ()) -> dict[str, Any]:
    """The derivation as JSON's types, `parts` at its root; numbers are strings, the shortest that read back, so that none is
    rounded on the way. Operands that were explained further up are written out again."""
    contributions = {"contributions": to_dicts(parts)} if parts else {}
    return contributions | {
        "address": d.address,
        "label": d.label,
        "value": number(d.value, d.format),
        "exact": exact_text(d.value),
        "format": d.format,
        "bits": _bits(d),
        "role": d.role,
        "phase": d.phase,
        "gradient_of": d.gradient_of or None,
        "op": d.op or None,
        "via": list(d.via),
        "source": _source(d.source),
        "equation": _equation(d),
        "rounding": _rounding(d),
        "verdict": _verdict_dict(d.verdict),
        "sum": _sum(d.sum),
        "more_sums": [_sum(each) for each in d.more_sums],
        "note": d.note or None,
        "more": d.more,
        "operands": [to_dict(operand) for operand in d.operands],
    }  # fmt: skip


def _equation(d: Derivation) -> dict[str, str | None] | None:
    if d.equation is None:
        return None
    return {"symbolic": symbolic(d), "numeric": numeric(d), "because": because(d) or None}


def _verdict_dict(verdict: Verdict) -> dict[str, Any]:
    return {"kind": verdict.kind, "ulp": verdict.ulp, "how": verdict.how or None, "reason": verdict.reason or None}


def _bits(d: Derivation) -> dict[str, str] | None:
    grouped = bit_groups(d.value, d.format)
    return {"binary": grouped, "hex": hex_text(d.value, d.format)} if grouped else None


def _source(source: Source | None) -> dict[str, Any] | None:
    return None if source is None else {"file": source.file, "line": source.line, "function": source.function or None}


def _rounding(d: Derivation) -> dict[str, Any] | None:
    if d.rounding is None:
        return None
    ulp = d.rounding.ulp if math.isfinite(d.rounding.ulp) else None
    return {"exact_result": d.rounding.exact_result, "ulp": ulp, "complete": d.rounding.exact}


def _sum(info: SumInfo | None) -> dict[str, Any] | None:
    if info is None:
        return None
    terms = [{"place": t.place, "operands": list(t.factors), "product": _finite(t.product)} for t in info.terms]
    return {
        "count": info.count,
        "terms": terms,
        "rest": _finite(info.rest),
        "rest_count": info.rest_count,
        "init": info.init,
    }


def _finite(value: float) -> float | str:
    """JSON has no infinity and no NaN: those go as text."""
    return value if math.isfinite(value) else repr(value)
