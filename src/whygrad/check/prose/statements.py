"""Sentences of kinds that can be tested: zeros, standing still, larger than, rising and falling, dtypes, shapes, names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from whygrad.check.prose.claims import Claim
from whygrad.check.prose.evidence import Evidence
from whygrad.check.prose.findings import Statement
from whygrad.check.prose.formats import format_claims, formats_in
from whygrad.check.prose.lexicon import Mention, Moment
from whygrad.check.prose.names import named_claims
from whygrad.check.prose.run_facts import RunFacts
from whygrad.check.prose.selecting import allowed_steps, candidates
from whygrad.check.prose.sentences import Sentence

__all__ = ["statements"]


_ZERO = re.compile(
    r"\bloss\b(?P<glue>[\w\s,@()-]{0,50}?)\b(?:is|was|reaches|hits|becomes|falls to|"
    r"drops to|gets to|arrives at|equals|stays|remains)\s+"
    r"(?:already |still |now |first |then |at |all the way to )*(?:exactly |precisely )?(?:zero|"
    r"0(?:\.0)?)(?![\w.]*\d)(?P<rest>[^.;]*)",
    re.IGNORECASE,
)
_NEVER = re.compile(
    r"\b(?:never|not|does not|doesn't|no longer|almost|nearly|close to|towards?|approach\w*|near)\b", re.IGNORECASE
)
_STILL = re.compile(
    r"\b(?:stands? still|stood still|(?:does|do|did) not (?:change|move)|(?:doesn't|"
    r"didn't|don't) (?:change|move)|no longer (?:changes?|moves?)|"
    r"stays? (?:the same|where it is|unchanged|put)|remains? (?:the same|unchanged)|"
    r"is unchanged|never (?:changes?|moves?))\b",
    re.IGNORECASE,
)
_SPAN = re.compile(
    r"\b(?:(?:from|between|in|during|through(?:out)?|over) )?(?:steps? )(?P<a>\d+)\s*(?:to|"
    r"–|-|through|and|until|till|up to)\s*(?:step )?(?P<b>\d+)\b",
    re.IGNORECASE,
)
_FROM = re.compile(
    r"\b(?:from|since|after) step (?P<a>\d+)(?: on(?:wards?)?)?\b(?!\s*(?:to|until|through|–))", re.IGNORECASE
)
_COMPARE = re.compile(
    r"(?:is|are|was|stays|remains|ends up)\s+(?:now |still |always |already |"
    r"much |slightly |a little |far )*(?P<word>larger|greater|bigger|higher|smaller|"
    r"less|lower)"
    r"(?: in (?:size|magnitude|absolute value))? than\b",
    re.IGNORECASE,
)
_LARGER = {"larger", "greater", "bigger", "higher"}
_TREND = re.compile(
    r"\b(?P<word>falls|fell|drops|dropped|decreases|decreased|shrinks|shrank|"
    r"rises|rose|grows|grew|increases|increased|climbs|climbed)\b",
    re.IGNORECASE,
)
_EACH = re.compile(
    r"\b(?:in|with|at|after) (?:each|every)(?: single)? (?:step|update|epoch|"
    r"iteration)|\bmonotonic(?:ally)?\b|\bin all (?:steps|\d+ steps)\b|\bsteadily\b|"
    r"\bnever (?:rises|increases|falls|goes up)\b",
    re.IGNORECASE,
)
_SIGN = re.compile(
    r"\b(?P<what>gradient|weight|bias|prediction|loss)s?\b(?P<glue>[^.;,]{0,60}?)\b(?:is|"
    r"are|was|were|stays?|remains?|turns?|becomes?)\s+(?:now |still |always |"
    r"already )?(?P<sign>negative|positive)\b",
    re.IGNORECASE,
)
_SHAPE = re.compile(
    r"(?P<what>[\w.\[\]` -]{0,60}?)\b(?:shape|size|dimensions?)\b(?:\s+(?:is|"
    r"of|are|=|:|equals))?\s*[`:=]*\s*(?:torch\.Size\()?(?P<shape>[(\[]\s*\d+\s*(?:,\s*\d+\s*)*,?\s*[)\]])",
    re.IGNORECASE,
)
_MATRIX = re.compile(
    r"(?P<what>[\w.` -]{0,50}?)\b(?P<a>\d+)\s?(?:×|x|\\times|by|-by-)\s?(?P<b>\d+)[ -](?:matrix|"
    r"tensor|array|weights?|table)\b",
    re.IGNORECASE,
)


def statements(sentence: Sentence, evidence: Evidence) -> Iterator[Statement]:
    """The statements of a sentence that can be tested."""
    for start, end, says, found in format_claims(sentence.text, evidence.formats):
        yield Statement(start, end, False, says, found, (start, end))
    named = tuple(dict.fromkeys(fmt for _, fmt in formats_in(sentence.text)))
    evidence.formats = named or evidence.formats
    yield from named_claims(sentence, evidence)
    if not evidence.runs:
        return
    yield from _shapes(sentence, evidence)
    if sentence.general:
        return
    yield from _zeros(sentence, evidence)
    yield from _still(sentence, evidence)
    yield from _compared(sentence, evidence)
    yield from _trends(sentence, evidence)
    yield from _signs(sentence, evidence)


def _zeros(sentence: Sentence, evidence: Evidence) -> Iterator[Statement]:
    for match in _ZERO.finditer(sentence.text):
        if re.search(r"gradient|derivative", sentence.text[max(0, match.start() - 30) : match.start()]):
            continue
        negated = bool(
            _NEVER.search(match["glue"]) or _NEVER.search(sentence.text[max(0, match.start() - 12) : match.start()])
        )
        moments = [m for m in sentence.moments if match.start() - 60 <= m.start <= match.end()]
        told: list[str] = []
        for run in evidence.runs:
            losses = _losses(run)
            zeros = [step for step, value in losses if value == 0]
            if negated:
                if not zeros or moments or re.search(r"close|near|almost|approach|toward", match["glue"]):
                    told = []
                    break
                told.append(f"the loss is exactly 0 from step {zeros[0]} on")
            else:
                wrong = _zero_wrong(zeros, losses, moments, run, evidence)
                if not wrong:
                    told = []
                    break
                told.append(wrong)
        where = (match.start(), match.end())
        if told:
            says = "says the loss never is zero" if negated else f"says the loss is zero{_at(moments)}"
            yield Statement(*where, False, says, told[0], where)
        else:
            yield Statement(*where, True)


def _zero_wrong(
    zeros: list[int], losses: list[tuple[int, float]], moments: list[Moment], run: RunFacts, evidence: Evidence
) -> str:
    """What is wrong with `the loss is zero (at that time)`; empty where it is so."""
    if not zeros:
        least = min(losses, key=lambda each: each[1], default=None)
        return "it never is exactly 0" + (f"; its smallest value is {least[1]:.4g} in step {least[0]}" if least else "")
    for moment in moments:
        steps = allowed_steps(moment, "loss", run.steps, evidence.code.plus_one) or set()
        if moment.relation == "done":
            steps = {moment.number - 1, moment.number}
        if not steps & set(zeros):
            return f"it is exactly 0 from step {zeros[0]} on"
        if moment.relation in ("at", "done") and zeros[0] not in steps | {
            zeros[0] + 1 if moment.relation == "done" else -1
        }:
            return (
                f"it is exactly 0 already from step {zeros[0]} on"
                if min(steps) > zeros[0] and moment.relation == "at"
                else ""
            )
    return ""


def _losses(run: RunFacts) -> list[tuple[int, float]]:
    points = run.series("loss")
    return next(iter(points.values()), [])


def _at(moments: list[Moment]) -> str:
    return f" at step {moments[0].number}" if moments and moments[0].relation in ("at", "after", "done") else ""


def _subject(sentence: Sentence, at: int) -> Mention | None:
    """The quantity that a verb at a place speaks of."""
    before = [m for m in sentence.mentions if m.end <= at and m.kind in _FOLLOWED]
    if not before:
        return None
    between = sentence.text[before[-1].end : at]
    return (
        before[-1] if len(between) < 40 and not re.search(r"[;:]|\b(?:while|whereas|but|it|they)\b", between) else None
    )


_FOLLOWED = {"weight", "bias", "loss", "prediction", "named", "parameter", "gradient"}


def _points(run: RunFacts, mention: Mention) -> dict[str, list[tuple[int, float]]]:
    claim = Claim(mention.kind, mention.of, mention.name, mention.index)
    found: dict[str, list[tuple[int, float]]] = {}
    names = {(t.name.partition("[")[0], t.kind) for t in candidates(run, claim)}
    for name, kind in names:
        found |= run.series(kind, name)
    if mention.index:
        found = {key: points for key, points in found.items() if mention.index in key}
    return found


def _still(sentence: Sentence, evidence: Evidence) -> Iterator[Statement]:
    for match in _STILL.finditer(sentence.text):
        subject = _subject(sentence, match.start())
        span, begin = _SPAN.search(sentence.text), _FROM.search(sentence.text)
        if subject is None or not (span or begin or "never" in match[0].lower()):
            continue
        told: list[str] = []
        for run in evidence.runs:
            points = _points(run, subject)
            first = int(span["a"]) if span else int(begin["a"]) if begin else 0
            last = int(span["b"]) if span else run.steps - 1
            checked = [_changed(each, first, last) for each in points.values()]
            if not checked or any(not each for each in checked):
                told = []
                break
            told.append(next(each for each in checked if each))
        if told:
            yield Statement(match.start(), match.end(), False, f"says the {subject.kind} {match[0]}", told[0])
        elif any(_points(run, subject) for run in evidence.runs):
            yield Statement(match.start(), match.end(), True)


def _changed(points: list[tuple[int, float]], first: int, last: int) -> str:
    """Where a series changes in the steps `first` to `last`; empty where it does not. A writer may count the step that left
    the number there, so the first may differ."""
    inside = [(step, value) for step, value in points if first <= step <= last]
    if not inside or last > points[-1][0]:
        return f"the run ends with step {points[-1][0]}" if points and last > points[-1][0] else ""
    for (_, before), (step, value) in pairwise(inside):
        if value != before:
            return f"it changes in step {step}, from {before:.6g} to {value:.6g}"
    return ""


def _compared(sentence: Sentence, evidence: Evidence) -> Iterator[Statement]:
    for match in _COMPARE.finditer(sentence.text):
        one = _subject(sentence, match.start())
        after = [m for m in sentence.mentions if m.start >= match.end() and m.kind in _FOLLOWED]
        if one is None or not after or len(sentence.text[match.end() : after[0].start].strip().split()) > 3:
            continue
        other = after[0]
        size = "in size" in match[0] or "magnitude" in match[0] or "absolute" in match[0]
        moment = sentence.moments[0] if len(sentence.moments) == 1 else None
        if moment is None and len(sentence.moments) > 1:
            continue
        verdicts = [_compare(run, one, other, moment, size, evidence.code.plus_one) for run in evidence.runs]
        known = [each for each in verdicts if each is not None]
        if not known or not all(known):
            continue
        larger = match["word"].lower() in _LARGER
        if any(all(a > b if larger else a < b for a, b in pairs) for pairs in known):
            yield Statement(match.start(), match.end(), True)
        elif all(not any(a > b if larger else a < b for a, b in pairs) for pairs in known):
            a, b = known[0][-1]
            says = f"says the {one.name or one.kind} is {match['word'].lower()} than the {other.name or other.kind}"
            yield Statement(one.start, other.end, False, says, f"they are {a:.6g} and {b:.6g}")


def _compare(
    run: RunFacts, one: Mention, other: Mention, moment: Moment | None, size: bool, plus: bool
) -> list[tuple[float, float]] | None:
    first, second = _points(run, one), _points(run, other)
    if len(first) != 1 or len(second) != 1:
        return None
    a, b = dict(next(iter(first.values()))), dict(next(iter(second.values())))
    steps = allowed_steps(moment, one.kind, run.steps, plus)
    both = sorted(set(a) & set(b) & (steps if steps is not None else set(a)))
    return [(abs(a[s]), abs(b[s])) if size else (a[s], b[s]) for s in both]


def _trends(sentence: Sentence, evidence: Evidence) -> Iterator[Statement]:
    for match in _TREND.finditer(sentence.text):
        subject = _subject(sentence, match.start())
        if subject is None:
            continue
        down = match["word"].lower()[:4] in ("fall", "fell", "drop", "decr", "shri", "shra")
        each = _EACH.search(sentence.text)
        if not each:
            yield from _from_to(sentence, match, subject, down)
            continue
        told: list[str] = []
        for run in evidence.runs:
            points = _points(run, subject)
            if len(points) != 1:
                return
            series = next(iter(points.values()))
            bad = [(s, a, b) for (_, a), (s, b) in pairwise(series) if (b > a if down else b < a)]
            if not bad:
                told = []
                break
            told.append(f"in step {bad[0][0]} it goes from {bad[0][1]:.6g} to {bad[0][2]:.6g}")
        if told:
            yield Statement(
                match.start(),
                match.end(),
                False,
                f"says the {subject.name or subject.kind} {match[0]} {each[0]}",
                told[0],
            )
        else:
            yield Statement(match.start(), match.end(), True)


def _from_to(sentence: Sentence, verb: re.Match[str], subject: Mention, down: bool) -> Iterator[Statement]:
    """`falls from 0.03 to 0.2`: the numbers themselves must go that way."""
    following = [n for n in sentence.numbers if n.start >= verb.end()]
    match = re.match(r"\s+from\b", sentence.text[verb.end() :])
    following = [n for n in following if not any(m.start <= n.start < m.end for m in sentence.moments)]
    if match is None or len(following) < 2 or following[0].start - verb.end() > 25:
        return
    a, b = following[:2]
    if not re.search(r"\bto\b", sentence.text[a.end : b.start]) or a.value == b.value:
        return
    right = (b.value < a.value) == down
    says = f"says the {subject.name or subject.kind} {verb[0]} from {a.text} to {b.text}"
    yield Statement(verb.start(), verb.end(), right, says, "that is the other way round")


def _signs(sentence: Sentence, evidence: Evidence) -> Iterator[Statement]:
    for match in _SIGN.finditer(sentence.text):
        inside = [
            m
            for m in sentence.mentions
            if m.start <= match.start("what") and m.kind in _FOLLOWED and m.end > match.start()
        ]
        moments = sentence.moments
        if not inside or len(moments) > 1 or re.search(r"\b(?:not|never|neither|both|or)\b", match["glue"]):
            continue
        subject = inside[-1]
        positive = match["sign"].lower() == "positive"
        told: list[str] = []
        for run in evidence.runs:
            claim = Claim(subject.kind, subject.of, subject.name, subject.index)
            steps = allowed_steps(moments[0] if moments else None, subject.kind, run.steps, evidence.code.plus_one)
            values = [
                float(v) for t in candidates(run, claim) if steps is None or t.step in steps for v in t.array.flat
            ]
            if not values or any((v > 0) == positive and v != 0 for v in values):
                told = []
                break
            told.append(f"it is {values[0]:.6g}")
        if told:
            yield Statement(
                match.start(),
                match.end(),
                False,
                f"says the {subject.name or subject.kind} is {match['sign']}",
                told[0],
            )
        else:
            yield Statement(match.start(), match.end(), True)


def _shapes(sentence: Sentence, evidence: Evidence) -> Iterator[Statement]:
    for match in (*_SHAPE.finditer(sentence.text), *_MATRIX.finditer(sentence.text)):
        groups = match.groupdict()
        numbers = re.findall(r"\d+", groups["shape"]) if groups.get("shape") else [match["a"], match["b"]]
        shape = tuple(int(n) for n in numbers)
        before = [m for m in sentence.mentions if m.end <= match.end()]
        known: set[tuple[int, ...]] = set()
        if before:
            known = _shapes_of(before[-1], evidence)
        everything = {s for run in evidence.runs for shapes in run.shapes.values() for s in shapes}
        everything |= {tuple(reversed(s)) for s in everything} if groups.get("a") else set()
        right = shape in known if known else shape in everything
        if not right and groups.get("a") and tuple(reversed(shape)) in known:
            right = True
        covers = (
            (match.start("shape"), match.end("shape")) if groups.get("shape") else (match.start("a"), match.end("b"))
        )
        if right:
            yield Statement(*covers, True, covers=covers)
        else:
            told = " or ".join(map(str, sorted(known))) if known else "no tensor of the run has this shape"
            yield Statement(*covers, False, f"says a shape of {shape}", f"it is {told}" if known else told, covers)


def _shapes_of(mention: Mention, evidence: Evidence) -> set[tuple[int, ...]]:
    claim = Claim(mention.kind, mention.of, mention.name, mention.index)
    found: set[tuple[int, ...]] = set()
    for run in evidence.runs:
        for tensor in candidates(run, claim):
            if "[" not in tensor.name:
                found.add(tensor.array.shape)
    return found
