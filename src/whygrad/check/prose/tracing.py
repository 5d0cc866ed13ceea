"""One number of the prose → what it comes from, or a finding."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from whygrad.check.prose.claims import Claim, claim_of
from whygrad.check.prose.counts import counted
from whygrad.check.prose.evidence import Evidence
from whygrad.check.prose.formats import format_numbers
from whygrad.check.prose.lexicon import HYPER
from whygrad.check.prose.numbers import Written
from whygrad.check.prose.run_facts import RunFacts, Tensor
from whygrad.check.prose.selecting import RUN_KINDS, Hit, allowed_steps, candidates, fits, is_at, nearest
from whygrad.check.prose.sentences import Sentence
from whygrad.floats import FORMATS, shortest

__all__ = ["Traced", "Wrong", "number_text", "trace", "trace_operand"]

LONG = 3
"""Significant digits from which a number is taken for a result wherever it stands."""


@dataclass(frozen=True, slots=True)
class Traced:
    """`to` is a key of a report's `traced`."""

    to: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A number that comes from nothing. `hit`: the recorded number that it should have been, by run."""

    kind: str
    says: str
    found: str
    hit: Hit | None = None
    run: RunFacts | None = None


def trace(sentence: Sentence, number: Written, evidence: Evidence) -> Traced | Wrong | None:
    """Trace a number that is not part of an equation; None where it claims nothing that can be told."""
    claim = claim_of(sentence, number)
    long = number.digits >= LONG
    count = counted(sentence, number, evidence)
    if isinstance(count, tuple):
        return Wrong("number", *count)
    if count:
        return Traced("run" if evidence.runs else "code")
    if claim.firm and claim.kind in HYPER:
        return _setting(claim, number, evidence, sentence)
    if claim.firm and claim.kind in RUN_KINDS and evidence.runs:
        found = _firm(claim, number, evidence, sentence, long)
        if found is not None:
            return found
    return _loose(claim, number, evidence, sentence, long)


def trace_operand(sentence: Sentence, number: Written, evidence: Evidence) -> Traced | Wrong | None:
    """Trace a number that is part of an equation: any recorded number, for what it is no word tells."""
    if evidence.defined(number):
        return Traced("definition")
    if evidence.in_code(number):
        return Traced("code")
    if number.value in evidence.computed or number.whole:
        return Traced("arithmetic")
    claim = Claim(others=tuple(sentence.mentions), words=sentence.text)
    found = _anywhere(claim, number, evidence)
    if found is not None:
        return found
    if evidence.in_output(number) or evidence.in_output(
        replace(number, value=-number.value)
    ):  # its sign may be the formula's
        return Traced("output")
    return _untraced(claim, number, evidence)


def _setting(claim: Claim, number: Written, evidence: Evidence, sentence: Sentence) -> Traced | Wrong | None:
    """A hyperparameter, against what the code and the optimizer say."""
    known = evidence.settings(claim.kind)
    if any(_near(number, value) for value in known):
        return Traced("code")
    label = _LABELS.get(claim.kind, claim.kind)
    if sentence.supposed or claim.kind == "alpha":
        return None
    if known and not (claim.kind == "momentum" and known == {0.0}):
        return Wrong("setting", f"says {label} {number.text}", f"the code uses {_listed(known)}")
    used = set().union(*(run.optimizers for run in evidence.runs)) | evidence.code.optimizers
    if claim.kind in ("momentum", "weight_decay", "beta1", "beta2", "dampening") and used:
        return Wrong("setting", f"says {label} {number.text}", f"the optimizer ({', '.join(sorted(used))}) ran without")
    if claim.kind in ("lr", "seed") and (evidence.code.any or evidence.runs):
        if evidence.in_code(number) or evidence.in_output(number):
            return Traced("code")
        return Wrong("setting", f"says {label} {number.text}", "the code sets none")
    return None


def _near(number: Written, value: float) -> bool:
    return abs(Fraction(value) - number.value) <= max(abs(number.value), Fraction(1, 10**12)) / 10**9 or (
        number.approximate and number.fits(value)
    )


def _firm(claim: Claim, number: Written, evidence: Evidence, sentence: Sentence, long: bool) -> Traced | Wrong | None:
    """A number that the sentence says is a quantity of the run."""
    if claim.change:
        return _moved(claim, number, evidence)
    named = [(run, candidates(run, claim)) for run in evidence.runs]
    if not any(found for _, found in named):
        return None
    plus = evidence.code.plus_one
    for run, found in named:
        for tensor in found:
            if is_at(tensor, claim, run.steps, plus):
                hit = fits(tensor, claim, number)
                if hit is not None:
                    return Traced("run", hit.address)
    if not long and (sentence.general or number.whole):
        return None
    if claim.moment is None and _elsewhere(claim, number, evidence, sentence):
        return Traced("run")
    return _wrong(claim, number, evidence, named, plus)


def _wrong(
    claim: Claim, number: Written, evidence: Evidence, named: list[tuple[RunFacts, list[Tensor]]], plus: bool
) -> Wrong:
    for run, found in named:
        there = [t for t in found if is_at(t, claim, run.steps, plus)]
        hit = nearest(there or found, claim, number)
        if hit is None:
            continue
        when = _when(claim)
        says = f"says the {_label(claim)}{when} is {number.text}"
        told = (
            f"it is {number_text(run, hit)}"
            if there and claim.moment is not None
            else f"the nearest one recorded is {number_text(run, hit)}"
        )
        other = _at_another(claim, number, found)
        if other is not None:
            told += f"; {number.text} is {other.address}"
        return Wrong("number", says, f"{told} ({hit.address})", hit, run)
    return Wrong(
        "number", f"says the {_label(claim)} is {number.text}", "nothing recorded, written or printed is that number"
    )


def _at_another(claim: Claim, number: Written, found: list[Tensor]) -> Hit | None:
    for tensor in found if claim.moment is not None else ():
        hit = fits(tensor, claim, number)
        if hit is not None:
            return hit
    return None


def _moved(claim: Claim, number: Written, evidence: Evidence) -> Traced | None:
    """By how much a quantity changed: between any two steps."""
    for run in evidence.runs:
        for value in _changes(run, claim):
            if number.fits(value) or number.fits(-value):
                return Traced("run")
    return None


def _changes(run: RunFacts, claim: Claim) -> Iterable[float]:
    kind = {"weight": "parameter", "bias": "parameter", "named": "parameter"}.get(claim.kind, claim.kind)
    for address, points in run.series(kind, claim.name).items():
        if claim.index and claim.index not in address:
            continue
        values = np.asarray([value for _, value in points])
        if values.size > 400:
            values = values[:400]
        yield from (values[1:] - values[:-1]).tolist()
        if values.size:
            yield from (values - values[0]).tolist()


def _loose(claim: Claim, number: Written, evidence: Evidence, sentence: Sentence, long: bool) -> Traced | Wrong | None:
    """A number near which quantities are named, or none: any of them at the time named, an output, a literal, a definition."""
    if evidence.defined(number):
        return Traced("definition")
    found = _nearby(claim, number, evidence)
    if found is not None:
        return found
    if evidence.in_code(number):
        return Traced("code")
    timed = claim.moment is not None and bool(evidence.runs) and any(m.kind in RUN_KINDS for m in claim.others)
    if (long or number.percent or not number.whole) and not timed and evidence.in_output(number):
        return Traced("output")
    if format_numbers(sentence, number, evidence.formats):
        return Traced("format")
    if not long and not (claim.firm and claim.kind in RUN_KINDS and not number.whole and evidence.runs):
        return None
    if _derived(number, evidence, claim):
        return Traced("run")
    if timed and evidence.in_output(number) and len(claim.others) > 2:
        return Traced("output")
    if number.whole and not number.percent and not claim.firm:
        return None  # results are hardly ever whole numbers; telephone numbers are
    return _untraced(claim, number, evidence) if long else None


def _nearby(claim: Claim, number: Written, evidence: Evidence) -> Traced | None:
    kinds = [m for m in claim.others if m.kind in RUN_KINDS]
    if number.digits < 2 and not claim.firm:
        return None
    for run in evidence.runs:
        for mention in kinds:
            own = replace(claim, kind=mention.kind, of=mention.of, name=mention.name, index=mention.index)
            if mention.kind == "named" and "gradient" in {m.kind for m in kinds}:
                own = replace(own, kind="gradient", of=mention.name)  # `and fc1.bias got 0.02`, of gradients
                found = [*candidates(run, replace(own, kind="named")), *candidates(run, own)]
            else:
                found = candidates(run, own)
            for tensor in found:
                if is_at(tensor, own, run.steps, evidence.code.plus_one) and (hit := fits(tensor, own, number)):
                    return Traced("run", hit.address)
    for mention in claim.others:
        if mention.kind in HYPER and any(_near(number, value) for value in evidence.settings(mention.kind)):
            return Traced("code")
    if number.digits >= LONG and (not kinds or not claim.kind):
        return _anywhere(claim, number, evidence)
    return None


def _anywhere(claim: Claim, number: Written, evidence: Evidence) -> Traced | None:
    """Any number of the run: where nothing says which quantity is meant, all its digits must be there."""
    bare = replace(claim, index="", size=True)
    for run in evidence.runs:
        steps: set[int] | None = None
        if claim.moment is not None:
            plus = evidence.code.plus_one
            steps = (allowed_steps(claim.moment, "weight", run.steps, plus) or set()) | (
                allowed_steps(claim.moment, "loss", run.steps, plus) or set()
            )
        for tensor in run.tensors:
            hit = fits(tensor, bare, number) if steps is None or tensor.step in steps else None
            if hit is not None:
                return Traced("run", hit.address)
        if number.digits > LONG:
            low, high = float(number.value - number.unit / 2), float(number.value + number.unit / 2)
            for step, op, array in run.unnamed:
                if (steps is None or step in steps) and ((array >= low) & (array <= high)).any():
                    return Traced("run", f"op{op}@{step}")
    return None


def _elsewhere(claim: Claim, number: Written, evidence: Evidence, sentence: Sentence) -> bool:
    """Whether a number that is not what the sentence seems to say is another quantity that it names, or a derived one."""
    if _nearby(claim, number, evidence) is not None or _derived(number, evidence, claim):
        return True
    if evidence.in_output(number) is not None and not _same_kind_printed(claim, evidence):
        return True
    return evidence.defined(number) or (
        evidence.in_code(number) and claim.kind in ("input", "target", "named", "parameter", "weight", "bias")
    )


def _same_kind_printed(claim: Claim, evidence: Evidence) -> bool:
    """Outputs are evidence for a quantity unless the run itself tells of it."""
    return False


def _derived(number: Written, evidence: Evidence, claim: Claim) -> bool:
    """Sums, means, differences, norms: what a sentence may say of recorded numbers that are none themselves."""
    words = claim.words
    if re.search(r"\b(?:mean|average|sum|total|norm|adds? up)\b", words, re.IGNORECASE):
        for run in evidence.runs:
            for tensor in _meant(run, claim, evidence):
                array = tensor.array
                if array.size > 1 and any(
                    number.fits(float(value))
                    for value in (array.sum(), array.mean(), np.sqrt((array**2).sum()), np.abs(array).sum())
                ):
                    return True
            if any(number.fits(value) for _, _, _, value in run.statistics):
                return True
    if claim.change or re.search(
        r"\b(?:chang\w+|mov\w+|differ\w*|gap|updates?|subtract\w*|lost|(?:drop|rise|fall|increase|decrease) of)\b",
        words,
    ):
        for run in evidence.runs:
            for mention in claim.others:
                if mention.kind in RUN_KINDS and any(
                    number.fits(v) or number.fits(-v)
                    for v in _changes(run, replace(claim, kind=mention.kind, name=mention.name, index=mention.index))
                ):
                    return True
            if re.search(r"\b(?:update|subtract\w*|step of|learning rate|lr|times|moves? by)\b", words) and _scaled(
                number, run, claim, evidence
            ):
                return True
    return False


def _meant(run: RunFacts, claim: Claim, evidence: Evidence) -> Iterable[Tensor]:
    """The tensors that a sentence names, at the time that it names."""
    for mention in claim.others:
        if mention.kind in RUN_KINDS:
            own = replace(claim, kind=mention.kind, of=mention.of, name=mention.name)
            yield from (t for t in candidates(run, own) if is_at(t, own, run.steps, evidence.code.plus_one))


def _scaled(number: Written, run: RunFacts, claim: Claim, evidence: Evidence) -> bool:
    """lr · gradient, as plain SGD subtracts it."""
    own = replace(claim, kind="gradient")
    for lr in run.hyperparameters.get("lr", ()):
        for tensor in run.tensors:
            if tensor.kind == "gradient" and is_at(tensor, own, run.steps, evidence.code.plus_one):
                array = np.abs(tensor.array * lr)
                if (np.abs(array - abs(float(number.value))) <= float(number.unit) / 2).any():
                    return True
    return False


def _untraced(claim: Claim, number: Written, evidence: Evidence) -> Wrong:
    for run in evidence.runs:
        kinds = [m for m in claim.others if m.kind in RUN_KINDS]
        for mention in sorted(kinds, key=lambda m: m.kind != claim.kind):
            own = replace(claim, kind=mention.kind, of=mention.of, name=mention.name, index=mention.index)
            found = candidates(run, own)
            if found:
                return _wrong(own, number, evidence, [(run, found)], evidence.code.plus_one)
    near = _nearest_printed(number, evidence)
    told = "nothing recorded, written in the code, printed or computed in the prose is that number"
    return Wrong("number", f"says {number.text}", told + (f"; the nearest printed is {near}" if near else ""))


def _nearest_printed(number: Written, evidence: Evidence) -> str:
    if not evidence.printed:
        return ""
    near = int(np.argmin(np.abs(evidence.output_values - float(number.value))))
    found = evidence.printed[near].number
    close = abs(found.value - number.value) <= abs(number.value) / 10
    return found.text if close else ""


_LABELS = {
    "lr": "the learning rate is", "beta1": "beta1 is", "beta2": "beta2 is", "eps": "eps is",
    "weight_decay": "the weight decay is", "betas": "the betas are",
    "momentum": "momentum", "seed": "the seed is", "max_norm": "gradients are clipped at", "dropout": "the dropout rate is",
}  # fmt: skip
_NOUNS = {
    "exp_avg": "first moment (exp_avg)", "exp_avg_sq": "second moment (exp_avg_sq)", "momentum_buffer": "momentum buffer",
    "norm": "gradient norm", "attention": "attention weight", "named": "",
}  # fmt: skip


def _label(claim: Claim) -> str:
    if claim.kind == "named":
        return claim.name + claim.index
    noun = _NOUNS.get(claim.kind, claim.kind)
    return f"gradient of {claim.of}" if claim.kind == "gradient" and claim.of else noun


def _when(claim: Claim) -> str:
    moment = claim.moment
    if moment is None:
        return ""
    words = {
        "init": " at the start",
        "last": " at the end",
        "at": f" in step {moment.number}",
        "after": f" after step {moment.number}",
    }
    return words.get(moment.relation, f" {moment.relation.replace('done', 'after')} {moment.number} steps")


def number_text(run: RunFacts, hit: Hit) -> str:
    """A recorded number, shortest to read back in the format of the run's tensor."""
    for dtype in sorted(run.dtypes.get("", ())):
        fmt = FORMATS.get(dtype)
        if fmt is not None:
            try:
                return shortest(hit.value, fmt).replace("-", "−", 1) if hit.value < 0 else shortest(hit.value, fmt)
            except ValueError:
                continue
    return repr(hit.value)


def _listed(values: set[float]) -> str:
    texts = [f"{value:g}" if float(f"{value:g}") == value else repr(value) for value in sorted(values)]
    return " and ".join(texts) if len(texts) < 3 else ", ".join(texts)
