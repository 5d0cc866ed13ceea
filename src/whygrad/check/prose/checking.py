"""A document held against its evidence: every number and every statement of a known kind, in order → Report."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from whygrad.check.prose.arithmetic import Equation, definitions_in, equations
from whygrad.check.prose.claims import claim_of
from whygrad.check.prose.document import Block, Document
from whygrad.check.prose.evidence import Evidence
from whygrad.check.prose.findings import Finding, Report
from whygrad.check.prose.lexicon import HYPER
from whygrad.check.prose.numbers import Written, find_numbers
from whygrad.check.prose.plain import plainly_else
from whygrad.check.prose.run_facts import RunFacts
from whygrad.check.prose.selecting import RUN_KINDS
from whygrad.check.prose.sentences import Sentence, sentences
from whygrad.check.prose.statements import statements
from whygrad.check.prose.tracing import Traced, Wrong, trace, trace_operand
from whygrad.floats import FORMATS, ulp
from whygrad.trace.store import Trace

__all__ = ["check_document"]


def check_document(document: Document, traces: Iterable[Trace] = ()) -> Report:
    """Trace what a document says to the runs given, its code, its outputs and its own arithmetic."""
    evidence = Evidence(document, [RunFacts(trace) for trace in traces])
    report = Report(document.name, left_alone=document.left_alone)
    checker = _Checker(evidence, report)
    for block in document.blocks:
        if block.kind != "heading":
            checker.block(block)
    report.findings.sort(key=lambda finding: finding.place)
    return report


class _Checker:
    def __init__(self, evidence: Evidence, report: Report) -> None:
        self.evidence, self.report = evidence, report

    def block(self, block: Block) -> None:
        for sentence in sentences(block, self.evidence.names):
            self.sentence(replace(sentence, topic=self.evidence.topic))

    def sentence(self, sentence: Sentence) -> None:
        covered = self.statements(sentence)
        found = equations(sentence.text, self.known())
        done = self.equations(sentence, found)
        defined = self.define(sentence)
        topics = [m for m in sentence.mentions if m.kind in RUN_KINDS]
        subjects = [m for m in topics if _VERB.match(sentence.text[m.end :])]
        self.evidence.topic = [*topics[:1], *subjects[-1:], self.evidence.topic][-2 if topics else -1]
        for number in sentence.numbers:
            self.report.numbers += 1
            if number.start in done or any(a <= number.start < b for a, b in covered):
                continue
            moments = any(m.start <= number.start and number.end <= m.end for m in sentence.moments)
            if moments and sentence.block.kind == "text" and self.too_late(sentence, number):
                continue
            if plainly_else(sentence.text, number) or (moments and sentence.block.kind != "cell"):
                self.report.left += 1
            elif number.start in defined:
                self.report.traced["definition"] += 1
            else:
                shown = [side for e in found for side in (e.left, e.right)]
                if number.digits < 3 and any(
                    _stands_in(number, sentence.text[side.start : side.end]) for side in shown
                ):
                    self.report.traced["arithmetic"] += 1
                    continue
                operand = any(side.start <= number.end and number.start < side.end for side in shown)
                self.number(sentence, number, operand)

    def too_late(self, sentence: Sentence, number: Written) -> bool:
        """Report a step that no run has come to."""
        steps = max((run.steps for run in self.evidence.runs), default=0)
        moment = next(m for m in sentence.moments if m.start <= number.start and number.end <= m.end)
        last = steps if moment.relation in ("done", "before") or self.evidence.code.plus_one else steps - 1
        if not steps or sentence.supposed or moment.number <= last or moment.relation in ("init", "last"):
            return False
        place = sentence.block.place(sentence.start + number.start)
        text = sentence.text[moment.start : moment.end]
        self.report.findings.append(
            Finding(place, "number", number.text, f"says {text!r}", f"the run has {steps} steps, 0 to {steps - 1}")
        )
        return True

    def known(self) -> dict[str, Fraction]:
        """Names that the prose, or else the code, gives one number."""
        found = {name: Fraction(min(v)) for name, v in self.evidence.code.named.items() if len(v) == 1}
        found |= {name: values[-1].value for name, values in self.evidence.definitions.items()}
        return found

    # ---- numbers

    def number(self, sentence: Sentence, number: Written, operand: bool) -> None:
        if self.evidence.empty:
            self.report.untried += 1
            return
        found = (trace_operand if operand else trace)(sentence, number, self.evidence)
        match found:
            case None:
                self.report.left += 1
            case Traced(to=to):
                self.report.traced[to] += 1
            case Wrong():
                self.wrong(sentence, number, found)

    def wrong(self, sentence: Sentence, number: Written, wrong: Wrong) -> None:
        place = sentence.block.place(sentence.start + number.start)
        address = wrong.hit.address if wrong.hit else ""
        derivation = _derivation(wrong)
        self.report.findings.append(
            Finding(place, wrong.kind, number.text, wrong.says, wrong.found, derivation, address)
        )

    # ---- equations and definitions

    def equations(self, sentence: Sentence, found: list[Equation]) -> set[int]:
        """Judge each equation; where the numbers stand that need no tracing after that: its results, and short operands."""
        done: set[int] = set()
        for each in found:
            result = each.right if each.right.unit is not None or each.left.unit is None else each.left
            inside = [
                n
                for n in sentence.numbers
                if result.start <= n.start < result.end or result.start <= n.start + 1 < result.end
            ]
            fine = each.comes_out or self.rounded(each)
            if fine:
                self.report.traced["arithmetic"] += len([n for n in inside if n.start not in done])
            else:
                place = sentence.block.place(sentence.start + each.right.start)
                left = sentence.text[each.left.start : each.left.end].strip()
                right = sentence.text[each.right.start : each.right.end].strip()
                says = f"says {left} = {right}"
                self.report.findings.append(Finding(place, "arithmetic", right, says, f"it comes to {_decimal(each)}"))
            self.evidence.computed |= {n.value for n in inside}
            done |= {n.start for n in inside}
            for side in (each.left, each.right):
                operands = [
                    n for n in sentence.numbers if side.start <= n.start + 1 and n.end <= side.end + 1 and n.digits < 3
                ]
                self.report.traced["arithmetic"] += len([n for n in operands if n.start not in done])
                done |= {n.start for n in operands}
        return done

    def rounded(self, equation: Equation) -> bool:
        """Whether an equation that does not come out does so in the run's own format, where each operation rounds."""
        value = float(equation.right.exact)
        for run in self.evidence.runs:
            for dtype in run.dtypes.get("", ()):
                fmt = FORMATS.get(dtype)
                if fmt is None or fmt.precision > 11:
                    continue
                unit = equation.right.unit or Fraction(0)
                if abs(equation.left.exact - equation.right.exact) <= ulp(value, fmt) * 2 + unit + equation.left.slack:
                    return any(((t.array - value) ** 2 <= float(unit) ** 2).any() for t in run.tensors)
        return False

    def define(self, sentence: Sentence) -> set[int]:
        """Names that the sentence gives a number and that nothing recorded or set goes by; where these numbers stand."""
        places: set[int] = set()
        for name, value, at in definitions_in(sentence.text):
            number = next((n for n in sentence.numbers if n.start <= at < n.end), None)
            if number is None or number.value != value or name.lower() in _WORDS:
                continue
            claim = claim_of(sentence, number)
            known = claim.firm and (claim.kind in HYPER or (claim.kind in RUN_KINDS and self.evidence.runs))
            known = known and not (claim.kind in ("input", "target", "probability") and name in _LETTERS)
            inside = sentence.in_maths(number) or re.search(
                r"\b(?:let|with|where|for|take|say|suppose|so|set)\b", sentence.text[: number.start], re.IGNORECASE
            )
            if known and not sentence.general:
                continue
            if name in self.evidence.code.named and float(value) not in self.evidence.code.named[name]:
                continue
            if inside:
                self.evidence.definitions.setdefault(name, []).append(number)
                places.add(number.start)
        return places

    # ---- statements

    def statements(self, sentence: Sentence) -> list[tuple[int, int]]:
        covered: list[tuple[int, int]] = []
        for each in statements(sentence, self.evidence):
            if each.holds:
                self.report.traced["statement"] += 1
            else:
                place = sentence.block.place(sentence.start + each.start)
                text = " ".join(sentence.text[each.start : each.end].split())
                self.report.findings.append(Finding(place, "statement", text, each.says, each.found))
            if each.covers is not None:
                covered.append(each.covers)
        return covered


def _stands_in(number: Written, text: str) -> bool:
    return any(abs(each.value) == abs(number.value) for each in find_numbers(text))


_VERB = re.compile(
    r"\s*,?\s*(?:is|has|was|are|were|falls|fell|starts|started|goes|went|drops|dropped|rises|rose|begins|began|ends|ended|moves|moved)\b"
)
_LETTERS = {"x", "y", "p", "n"}
_WORDS = {"is", "step", "epoch", "figure", "table"}


def _decimal(equation: Equation) -> str:
    """What the left side gives, to two digits more than were claimed."""
    value = float(equation.left.exact)
    return f"{value:.7g}"


def _derivation(wrong: Wrong) -> str:
    """The equation that gives the recorded number, in one line; empty where there is none to be had."""
    if wrong.hit is None or wrong.run is None or wrong.hit.address.startswith(("exp(", "norm")):
        return ""
    from whygrad.errors import WhygradError
    from whygrad.explain.why import Explainer
    from whygrad.view.derivation import derivation_view

    try:
        view = derivation_view(Explainer(wrong.run.trace).why(wrong.hit.address, 1))
    except (WhygradError, ImportError):
        return ""
    if view.equation is None:
        return ""
    return f"{wrong.hit.address} = " + " = ".join(view.equation.lines)
