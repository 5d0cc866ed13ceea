"""From a claim to the recorded numbers that it could be about: tensors by kind and name, steps by the time it names."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.check.prose.claims import Claim
from whygrad.check.prose.lexicon import Moment
from whygrad.check.prose.numbers import Written
from whygrad.check.prose.run_facts import RunFacts, Tensor
from whygrad.floats import FORMATS, shortest

__all__ = ["RUN_KINDS", "Hit", "allowed_steps", "candidates", "fits", "is_at", "nearest"]

RUN_KINDS = {
    "loss", "prediction", "target", "input", "weight", "bias", "parameter", "gradient", "logit", "attention", "probability",
    "activation", "exp_avg", "exp_avg_sq", "momentum_buffer", "norm", "named",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hit:
    """A recorded number: its address and its value."""

    address: str
    value: float
    step: int


def candidates(facts: RunFacts, claim: Claim) -> list[Tensor]:
    """The tensors that a claim's quantity could be, of all steps. Empty where the run has none of that kind."""
    kind, found = claim.kind, facts.tensors
    if kind == "named":
        return [t for t in found if _called(t, claim.name) and t.kind != "gradient"]
    if kind == "gradient":
        return _gradients(found, claim)
    if kind in ("weight", "bias"):
        return _parameters(found, kind)
    if kind == "parameter":
        return [t for t in found if t.kind == "parameter"]
    if kind in ("exp_avg", "exp_avg_sq", "momentum_buffer"):
        own = [t for t in found if t.kind == "state" and t.name == kind]
        return [t for t in own if _owned(t.of, claim.of)] if claim.of else own
    if kind == "logit":
        return [t for t in found if t.kind == "prediction" or re.search(r"logit|score", t.name)]
    if kind in ("attention", "probability"):
        made = facts.made_by.get("softmax", []) + facts.made_by.get("sigmoid", []) + _exponentials(facts)
        return made + [t for t in found if re.search(r"prob|attn|attention|softmax|^p$|weights$", t.name)]
    if kind == "activation":
        made = [t for k in ("tanh", "relu", "sigmoid", "gelu", "linear") for t in facts.made_by.get(k, [])]
        return made + [t for t in found if t.kind == "value"]
    if kind == "norm":
        return _norms(facts)
    if kind == "prediction":
        made = [t for t in found if t.kind == "value" and re.search(r"pred|output|answer|y_hat|yhat|logit", t.name)]
        return [t for t in found if t.kind == "prediction"] + made + _probabilities(facts, claim)
    return [t for t in found if t.kind == kind or (t.kind == "value" and t.name == kind)]


def _called(tensor: Tensor, name: str) -> bool:
    return name in (tensor.name, tensor.name.partition("[")[0])


def _owned(parameter: str, of: str) -> bool:
    """Whether a parameter is the one that a text calls so."""
    last = parameter.rpartition(".")[2]
    return of == parameter or of == "parameter" or (of in ("weight", "bias") and last.startswith(of[0]))


def _gradients(found: list[Tensor], claim: Claim) -> list[Tensor]:
    gradients = [t for t in found if t.kind == "gradient"]
    if not claim.of:
        return gradients
    if claim.of in ("weight", "bias"):
        names = {t.name.partition("[")[0] for t in _parameters(found, claim.of)}
        return [t for t in gradients if t.name.partition("[")[0] in names]
    if claim.of == "parameter":
        names = {t.name.partition("[")[0] for t in found if t.kind == "parameter"}
        return [t for t in gradients if t.name.partition("[")[0] in names]
    if claim.of in ("prediction", "loss", "logit", "input"):
        own = {"logit": ("prediction", "logits"), "input": ("input", "x")}.get(claim.of, (claim.of,))
        return [t for t in gradients if t.name.partition("[")[0] in own] or gradients
    return [t for t in gradients if t.name.partition("[")[0] == claim.of]


def _parameters(found: list[Tensor], kind: str) -> list[Tensor]:
    parameters = [t for t in found if t.kind == "parameter"]
    letter = {"weight": ("weight", "w"), "bias": ("bias", "b")}[kind]
    named = [
        t
        for t in parameters
        if re.fullmatch(
            rf"(?:{letter[0]}\w*|{letter[1]}\d*)", t.name.partition("[")[0].rpartition(".")[2], re.IGNORECASE
        )
    ]
    return named or parameters


def _exponentials(facts: RunFacts) -> list[Tensor]:
    """Probabilities whose logarithms alone were computed."""
    made = facts.made_by.get("log_softmax", [])
    return [Tensor(f"exp({t.name})", "derived", "", t.step, np.exp(t.array), t.dtype) for t in made]


def _probabilities(facts: RunFacts, claim: Claim) -> list[Tensor]:
    return (
        facts.made_by.get("softmax", []) + facts.made_by.get("sigmoid", []) + _exponentials(facts)
        if facts.made_by
        else []
    )


def _norms(facts: RunFacts) -> list[Tensor]:
    found = [
        Tensor(f"{name}.{kind}", "derived", "", step, np.asarray(value), "float64")
        for name, kind, step, value in facts.statistics
        if kind == "grad_norm"
    ]
    for step in facts.trace.statistics.steps if facts.statistics else ():
        place = facts.trace.statistics.steps.index(step)
        total = facts.trace.statistics.total("grad_norm")[place]
        if total is not None:
            found.append(Tensor("norm of all gradients", "derived", "", step, np.asarray(total), "float64"))
    return found


def is_at(tensor: Tensor, claim: Claim, steps: int, plus_one: bool) -> bool:
    """Whether a tensor is of a step that a claim's time can mean."""
    kind = claim.kind
    if kind == "named":
        kind = "parameter" if tensor.kind in ("parameter", "state") else "loss"
    allowed = allowed_steps(claim.moment, kind, steps, plus_one)
    return allowed is None or tensor.step in allowed


def allowed_steps(moment: Moment | None, kind: str, steps: int, plus_one: bool) -> set[int] | None:
    """The steps that a time can mean for a quantity of a kind, None for any. What an update leaves behind (parameters,
    optimizer state) bears the update's number; what a step computes before it bears the same number, and a writer may
    count them from 1 where the code prints `step + 1`."""
    if moment is None:
        return None
    left = kind in ("weight", "bias", "parameter", "exp_avg", "exp_avg_sq", "momentum_buffer")
    computed = kind not in ("weight", "bias", "parameter", "exp_avg", "exp_avg_sq", "momentum_buffer")
    n, last = moment.number, steps - 1
    found: set[int] = set()
    match moment.relation:
        case "init":
            found |= ({-1} if left else set()) | ({0} if computed else set())
        case "last":
            found |= {last}
        case "at":
            found |= {n} | ({n - 1} if left else set())
        case "after":
            found |= ({n} if left else set()) | ({n, n + 1} if computed else set())
        case "done":
            found |= ({n - 1} if left else set()) | ({n - 1, n} if computed else set())
        case _:
            found |= ({n - 1} if left else set()) | ({n, n - 1} if computed else set())
    if plus_one and moment.relation in ("at", "after", "before"):
        found |= {each - 1 for each in found}
    return found


def fits(tensor: Tensor, claim: Claim, number: Written) -> Hit | None:
    """The first element that, rounded to the digits shown, is the number."""
    low, high = float(number.value - number.unit / 2), float(number.value + number.unit / 2)
    if number.whole and not number.approximate and not number.percent and number.digits < 3:
        low = high = float(number.value)
    if number.approximate and number.digits <= 2:
        low, high = low - float(number.unit) / 2, high + float(number.unit) / 2
    slack = max(abs(low), abs(high)) * 1e-12
    for index, value in _elements(tensor, claim, low - slack, high + slack):
        return Hit(tensor.address(index), value, tensor.step)
    return _spelled(tensor, claim, number)


def _elements(tensor: Tensor, claim: Claim, low: float, high: float) -> Iterator[tuple[tuple[int, ...], float]]:
    array: np.ndarray[Any, Any] = tensor.array
    own = "[" not in tensor.name
    if claim.index and own:
        index = tuple(int(i) for i in claim.index.strip("[]").split(",") if i.strip())
        if len(index) == array.ndim and all(-n <= i < n for i, n in zip(index, array.shape, strict=True)):
            value = float(array[index])
            if low <= value <= high:
                yield index, value
            return
    elif claim.index and tensor.name.partition("[")[2].rstrip("]") != claim.index.strip("[]"):
        return
    mask = (array >= low) & (array <= high)
    if claim.size:
        mask |= (array <= -low) & (array >= -high)
    if mask.any():
        index = tuple(int(i) for i in np.argwhere(mask)[0])
        yield index, float(array[index])


def _spelled(tensor: Tensor, claim: Claim, number: Written) -> Hit | None:
    """A number may also be spelled as the shortest decimal that reads back: `65500.0` for 65504 in float16."""
    fmt = FORMATS.get(tensor.dtype)
    if fmt is None or tensor.array.size > 64 or claim.index or number.percent:
        return None
    text = re.sub(r"[−–]", "-", number.text)
    near = np.abs(tensor.array - float(number.value)) <= float(number.unit)
    for index in map(tuple, np.argwhere(near)):
        value = float(tensor.array[index])
        try:
            if shortest(value, fmt) == text:
                return Hit(tensor.address(tuple(int(i) for i in index)), value, tensor.step)
        except ValueError:
            continue
    return None


def nearest(found: list[Tensor], claim: Claim, number: Written) -> Hit | None:
    """The recorded number nearest to the one claimed; of equally near ones the earliest."""
    best: Hit | None = None
    least = math.inf
    for tensor in found:
        for index, value in _elements(tensor, claim, -math.inf, math.inf) if claim.index else _near(tensor, number):
            gap = abs(value - float(number.value))
            if gap < least:
                best, least = Hit(tensor.address(index), value, tensor.step), gap
    return best


def _near(tensor: Tensor, number: Written) -> Iterator[tuple[tuple[int, ...], float]]:
    gaps = np.abs(tensor.array - float(number.value))
    if gaps.size and not np.isnan(gaps).all():
        index = tuple(int(i) for i in np.unravel_index(int(np.nanargmin(gaps)), gaps.shape))
        yield index, float(tensor.array[index])
