"""A compared formula in words: which factor it is, what stands there, what should."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from whygrad.check.bound import Leaf
from whygrad.check.differences import FORGOTTEN, Difference
from whygrad.check.formula import FormulaCheck
from whygrad.check.pool import Meant
from whygrad.check.rewritten import enclosed
from whygrad.explain.derivation import Derivation
from whygrad.rules.expr import Expr, Var
from whygrad.view.equation import because, numeric, symbolic
from whygrad.view.formula import FormulaView
from whygrad.view.numbers import about, number, typographic

__all__ = ["formula_view"]

_SIGNS = {
    "same bits": "same", "equal to the digits given": "digits", "equal before rounding": "near", "differs": "differs",
}  # fmt: skip
_DIGITS = 6


def formula_view(check: FormulaCheck) -> FormulaView:
    """The outcome as finished strings."""
    d = check.derivation
    told = [_told(check, each, k) for k, each in enumerate(check.differences)]
    return FormulaView(
        heading=_heading(check),
        sign=_SIGNS[check.outcome],  # pyright: ignore[reportArgumentType]
        words=_words(check),
        explained=tuple(sentence for sentence, _ in told),
        where=tuple(where for _, where in told),
        names=tuple(_read(check)),
        data=_data(check, [sentence for sentence, _ in told], d),
    )


def _heading(check: FormulaCheck) -> str:
    d = check.derivation
    left = re.sub(r"\s+", " ", check.formula.strip())
    given = "" if check.digits is not None else _equals(about(check.value, _DIGITS))
    return f"{left}{given}   for {d.address} = {_value(d)}"


def _value(d: Derivation) -> str:
    return typographic(number(d.value, d.format))


def _equals(text: str) -> str:
    """` = 0.5`, ` ≈ 0.333`."""
    return f" {text}" if text.startswith("≈") else f" = {text}"


def _words(check: FormulaCheck) -> str:
    how = f": {check.how}" if check.how else ""
    match check.outcome:
        case "same bits" | "equal to the digits given":
            return f"{check.outcome}{how}"
        case "equal before rounding":
            off = f"{check.ulp} ulp apart" if check.ulp else "less than half an ulp apart"
            return f"equal before rounding: {off}; rounding between them explains up to {about(check.allowed, 2)} ulp"
        case "differs":
            return f"differs{_reason(check)}"


def _reason(check: FormulaCheck) -> str:
    d = check.derivation
    if check.digits is None and check.ulp and check.ulp <= check.allowed:
        return f": {check.ulp} ulp apart, and no recorded number is named whose rounding could explain that"
    if check.digits is None:
        return "" if check.differences else ": no single change of a factor, a term or a name makes it come out"
    written = f"the recorded number to {check.digits} decimals is ≈ {typographic(f'{float(d.value):.{check.digits}f}')}"
    if check.same_number is not None:
        written += f"; the one written is that of {check.same_number.address} = {_value(check.same_number)}"
    elif float(d.value) * check.value < 0:
        written += ", the sign is another"
    return f": {written}"


def _read(check: FormulaCheck) -> list[str]:
    """What each name was taken for; one that is another number for each example, with the first and the last."""
    by_text: dict[str, list[Leaf]] = {}
    for leaf in check.names:
        by_text.setdefault(leaf.text, []).append(leaf)
    found: list[str] = []
    for text, group in by_text.items():
        first, last = group[0], group[-1]
        if first.node is None or last.node is None:
            found.append(f"{text} = {first.value:g}")
        elif len(group) > 1:
            found.append(f"{text} is {first.address}, …, {last.address}")
        elif text == first.address:
            found.append(f"{text} = {_value(first.node)}")
        else:
            found.append(f"{text} is {first.address} = {_value(first.node)}")
    return found


# ---- a difference


def _told(check: FormulaCheck, d: Difference, k: int) -> tuple[str, str]:
    """The sentence, and where what should stand there comes from."""
    subject = check.formula[d.start : d.end].strip()
    wrote = _wrote(check, d)
    sentence = _sentence(check, d, subject if typographic(subject) == wrote else subject + _equals(wrote))
    if d.every > 1:
        which = f"the {d.every} largest of {d.of} terms" if d.of else f"{d.every} terms"
        sentence += f"; and so in each of {which}"
    lead = "" if k == 0 else "or, as likely: " if d.cost <= check.differences[0].cost + 0.1 else "or: "
    return lead + sentence, _where(check, d.meant)


def _wrote(check: FormulaCheck, d: Difference) -> str:
    for leaf in check.names:
        if leaf.node is not None and leaf.text == check.formula[d.start : d.end] and leaf.value == d.wrote:
            return _value(leaf.node)
    return about(d.wrote, _DIGITS)


def _sentence(check: FormulaCheck, d: Difference, subject: str) -> str:
    meant = _meant(d.meant)
    match d.kind:
        case "sign":
            return f"{subject} has the wrong sign" + (f": it should be {meant}" if d.meant is not None else "")
        case "factor":
            return f"the factor {subject} should be {meant}"
        case "part" | "number" | "power":
            return f"{subject} should be {meant}"
        case "function" if d.meant is not None and d.meant.text not in FORGOTTEN:
            return f"{subject} should be {meant}"
        case "function":
            inner = check.formula[d.start : d.end].strip()
            while enclosed(inner):
                inner = inner[1:-1].strip()
            around = f"({inner})" if d.meant is None or not d.meant.text.endswith("²") or len(inner) > 1 else inner
            written = f"{around}²" if d.meant is not None and d.meant.text == "²" else f"{meant}({inner})"
            return f"{subject} should be {written}{_equals(about(d.needed, _DIGITS))}"
        case "missing factor":
            return f"{subject} {'is to be divided by' if d.divided else 'lacks the factor'} {meant}"
        case "extra factor":
            return f"the {'divisor' if d.divided else 'factor'} {subject} does not belong there"
        case "missing term":
            lacks = "a part, what comes by way of" if d.meant is not None and d.meant.text == "path" else "the term"
            return f"{subject} lacks {lacks} {meant}"
        case "extra term":
            return f"the term {subject} does not belong there"
        case "other element":
            return f"{subject} should be {meant}, another element"
        case "other step":
            return f"{subject} should be {meant}, {_before_or_after(check, d)}"
        case "other number":
            return f"{subject} should be {meant}"


def _before_or_after(check: FormulaCheck, d: Difference) -> str:
    written = next((n for n in check.names if n.text == check.formula[d.start : d.end]), None)
    if written is None or d.meant is None or d.meant.derivation is None:
        return "at another step"

    def step(address: str) -> int:
        text = address.rpartition("@")[2]
        return -1 if text == "init" else int(text)

    earlier = step(d.meant.derivation.address) < step(written.address)
    return "its value before the update" if earlier else "its value after the update"


def _meant(meant: Meant | None) -> str:
    if meant is None:
        return ""
    if meant.text in FORGOTTEN:
        return meant.text
    if meant.text == "0" and meant.derivation is not None:
        d = meant.derivation
        return f"0: {d.label or d.address} is {_value(d)} {because(d)}".rstrip()
    if meant.derivation is not None:
        return f"{meant.derivation.address} = {_value(meant.derivation)}"
    if meant.piece is not None:
        text = _piece(meant.piece.node.derivation, meant.piece.expr, meant.value)
        if meant.second is not None and meant.second.piece is not None:
            second = meant.second.piece
            text += f", and is to be divided by {_piece(second.node.derivation, second.expr, second.value)}"
        return text
    same = meant.text.replace("−", "-") == f"{meant.value:g}"
    return meant.text if same else meant.text + _equals(about(meant.value, _DIGITS))


def _piece(d: Derivation, expr: Expr, value: float) -> str:
    """A part of an equation with names, with numbers, and its value."""
    part = replace(d, equation=expr)
    if isinstance(expr, Var):
        return f"{symbolic(part)} = {_value(d.operands[expr.k])}"
    names, numbers = symbolic(part), numeric(part)
    return " = ".join(dict.fromkeys((names, numbers, about(value, _DIGITS)))).replace("= ≈", "≈")


def _where(check: FormulaCheck, meant: Meant | None) -> str:
    if meant is None or meant.piece is None:
        return ""
    d = meant.piece.node.derivation
    place = "" if d.source is None else f"{PurePath(d.source.file).name}:{d.source.line}"
    op = d.op.removesuffix(".default")
    parts = [f"in {d.label} = {symbolic(d)}" if d.label else "", op, d.address, place]
    legend = [f"{each.label} = {symbolic(each)}" for each in check.legend if each.label in symbolic(d)]
    return " · ".join([part for part in parts if part] + [f"where {each}" for each in legend])


# ---- data


def _data(check: FormulaCheck, sentences: list[str], d: Derivation) -> dict[str, Any]:
    return {
        "formula": check.formula,
        "address": d.address,
        "recorded": number(d.value, d.format),
        "format": d.format,
        "value": repr(check.value),
        "outcome": check.outcome,
        "right": check.right,
        "how": check.how or None,
        "ulp": check.ulp,
        "names": [{"name": n.text, "address": n.address or None, "value": repr(n.value)} for n in check.names],
        "differences": [
            {
                "kind": each.kind,
                "wrote": check.formula[each.start : each.end],
                "column": each.start,
                "value": repr(each.wrote),
                "needed": repr(each.needed),
                "address": _address(each.meant),
                "sentence": sentence,
            }
            for each, sentence in zip(check.differences, sentences, strict=True)
        ],
    }


def _address(meant: Meant | None) -> str | None:
    if meant is None:
        return None
    if meant.derivation is not None:
        return meant.derivation.address
    return None if meant.piece is None else meant.piece.node.derivation.address
