"""What a number in prose claims to be: which quantity, of which tensor, at which step."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from whygrad.check.prose.lexicon import Mention, Moment, find_mentions, find_moments
from whygrad.check.prose.numbers import Written
from whygrad.check.prose.sentences import Sentence

__all__ = ["Claim", "claim_of"]


@dataclass(frozen=True, slots=True)
class Claim:
    """`firm`: the sentence says plainly that the number is this quantity; else the quantity is only named near it. `moment`:
    when, where the sentence says so. `change`: it is said to be by how much the quantity moved. `others`: further quantities
    that the sentence names, any of which a number that is not firmly bound may be."""

    kind: str = ""
    of: str = ""
    name: str = ""
    index: str = ""
    firm: bool = False
    moment: Moment | None = None
    change: bool = False
    size: bool = False
    others: tuple[Mention, ...] = ()
    words: str = ""


_GLUE = re.compile(
    r"(?:\s|[:=≈~(*`,—–-]|\\approx|\\,|"
    r"\b(?:is|are|was|were|be|being|been|equals?|of|at|to|from|as|it|its|the|"
    r"a|an|value|values|number|has|have|had|then|there|that|stands?|stood|"
    r"stays?|starts?|started|begins?|began|ends?|ended|becomes?|became|reach(?:es|"
    r"ed)?|falls?|fallen|fell|drops?|dropped|shrinks?|shrank|"
    r"rises?|risen|rose|grows?|grew|grown|climbs?|climbed|goes|gone|went|comes?|"
    r"came|out|up|down|off|only|just|exactly|precisely|about|around|"
    r"roughly|approximately|nearly|almost|still|already|now|set|uses?|used|using|"
    r"with|by|equal|settles?|settled|lands?|landed|sits?|sat|moves?|"
    r"moved|turns?|turned|works?|reads?|printed|prints|shows?|measures?|amounts?|"
    r"gives?|gave|yields?|i\.e\.|namely|again|negative|positive|mere|"
    r"tiny|small|large|full|whole|here|in|after|before|all|both|and|which|this|"
    r"these|get|gets|got|drifts?|drifted|slides?|jumps?|jumped|decreases?|"
    r"increases?|decreased|increased|under|over|above|below|so|but|on|further|"
    r"even|ever|initially|finally|true|exact|same|slightly|low|high|"
    r"every|each|one|usual|coefficient|factor|setting|default|customary|standard|"
    r"training|through|hits?|example|examples|token|tokens|class|unit|units|layer|"
    r"row|neuron|network|model|first|second|third|fourth|last|two|three|four|"
    r"leaves?|makes?|made|arrives?|starting|ending|holding|holds?|kept|keeps?|"
    r"remains?|remained)\b)*",
    re.IGNORECASE,
)
_STRONG = re.compile(
    r"[:=≈]|\b(?:is|are|was|were|of|at|to|equals?|from|as|reach(?:es|ed)?|becomes?|"
    r"became|by|with|set|uses?|used|has|only)\b|\\approx",
    re.IGNORECASE,
)
_IT = re.compile(
    r"\b(?:it|its value|that|this) (?:is|was|has|had|falls|fell|drops|dropped|"
    r"reaches|reached|starts|started|ends|ended|rises|rose|becomes|became|comes|"
    r"came)\b",
    re.IGNORECASE,
)
_POST = re.compile(
    r"^\s*(?:as|for|is|was)\s+(?:the|its|a|an|our)?\s*(?:initial |first |final |new |old )?$", re.IGNORECASE
)
_CHANGE = re.compile(r"\bby\s+(?:only |just |exactly |about |a |roughly |some |≈ ?|~ ?)*[-−+]?$", re.IGNORECASE)
_SIZE = re.compile(r"\b(?:magnitude|absolute|in size|size of|length|distance|spacing|apart|gap|norm)\b", re.IGNORECASE)
_CLAUSE = re.compile(
    r";|—|\bwhile\b|\bwhereas\b|\bbut\b|, and (?=the\b|its\b|`)|, (?=the\b|its\b)|\band (?=the\b|its\b)", re.IGNORECASE
)
_RANGE = re.compile(
    r"\bfrom\s+\S+(?:\s+\S+){0,7}?\s+(?:down |up |on )?to\s+(?:about |only |just |≈ ?)*[-−]?$", re.IGNORECASE
)


def claim_of(sentence: Sentence, number: Written) -> Claim:
    """What a number of a sentence claims to be."""
    if sentence.block.kind == "cell":
        return _of_cell(sentence, number)
    before = sentence.text[: number.start]
    mentions = sentence.mentions
    after = _noun_after(sentence, number)
    earlier = [each for each in mentions if each.end <= number.start]
    claim = Claim(others=tuple(mentions))
    pair = _paired(sentence, number, earlier)
    if after is not None:
        claim = _about(after, True)
    elif pair is not None:
        claim = _about(pair, True)
    elif earlier:
        nearest = _subject(sentence, earlier, number)
        between = sentence.text[nearest.end : number.start]
        firm = _glued(between, sentence, nearest.end)
        claim = _about(nearest, firm)
    elif sentence.topic is not None and _IT.search(before):
        claim = _about(sentence.topic, _glued(before, sentence, 0))
    moment = _moment(sentence, number)
    change = bool(_CHANGE.search(before))
    return replace(
        claim,
        moment=moment,
        change=change,
        others=tuple(mentions),
        size=bool(_SIZE.search(sentence.text)),
        words=sentence.text,
    )


def _about(mention: Mention, firm: bool) -> Claim:
    moment = None
    return Claim(mention.kind, mention.of, mention.name, mention.index, firm, moment)


def _subject(sentence: Sentence, earlier: list[Mention], number: Written) -> Mention:
    """The mention that a number most likely belongs to: the last before it, unless that only tells of what an earlier one is
    (`the gradient of the loss with respect to the weight`)."""
    return earlier[-1]


def _glued(between: str, sentence: Sentence, start: int) -> bool:
    """Whether only words that tie a quantity to its number stand between the two."""
    text = between
    for moment in find_moments(between):
        text = text[: moment.start] + " " * (moment.end - moment.start) + text[moment.end :]
    text = re.sub(r"\([^()]*\)", lambda m: " " * len(m[0]), text)
    text = re.sub(r"[-−+]?\d[\d.,eE·×⁻⁰¹²³⁴⁵⁶⁷⁸⁹−-]*%?", lambda m: " " * len(m[0]), text)
    text = text.replace("\\", " ")
    match = _GLUE.fullmatch(text)
    return match is not None and (bool(_STRONG.search(between)) or not between.strip()) and len(between) < 120


def _noun_after(sentence: Sentence, number: Written) -> Mention | None:
    """`0.1 as the learning rate`, `0.9 momentum`; not `0.5 the loss`."""
    for each in sentence.mentions:
        if each.start < number.end:
            continue
        between = sentence.text[number.end : each.start]
        if _POST.match(between) and not between.strip().startswith(("is", "was")):
            return each
        return None
    return None


def _paired(sentence: Sentence, number: Written, earlier: list[Mention]) -> Mention | None:
    """`the weight and the bias are 0.3 and 0.5`: the quantities and the numbers go in pairs."""
    numbers = sentence.numbers
    place = numbers.index(number)
    first = place
    while first and _JOINED.fullmatch(sentence.text[numbers[first - 1].end : numbers[first].start]):
        first -= 1
    last = place
    while last + 1 < len(numbers) and _JOINED.fullmatch(sentence.text[numbers[last].end : numbers[last + 1].start]):
        last += 1
    count = last - first + 1
    named = [each for each in earlier if each.end <= numbers[first].start]
    if count < 2 or len(named) < count:
        return None
    chain = named[-count:]
    for one, other in pairwise(chain):
        if not _JOINED_NAMES.fullmatch(sentence.text[one.end : other.start]):
            return None
    if not _glued(sentence.text[chain[-1].end : numbers[first].start], sentence, chain[-1].end):
        return None
    return chain[place - first]


_JOINED = re.compile(r"\s*,?\s*(?:and|,|&)\s*(?:about |≈ ?)?", re.IGNORECASE)
_JOINED_NAMES = re.compile(r"(?:'s)?\s*(?:,|and|, and|&)\s*(?:the |its |a )?(?:first |second )?", re.IGNORECASE)


def _moment(sentence: Sentence, number: Written) -> Moment | None:
    """The time that goes with a number: named right after it, or before it in its clause, or at the head of the sentence."""
    moments = sentence.moments
    if not moments:
        return None
    following = [each for each in moments if each.start >= number.end]
    if following:
        between = sentence.text[_chain_end(sentence, number) : following[0].start]
        if re.fullmatch(r"\s*[,(]?\s*(?:already |only |still |and )?(?:right |just )?", between) and not _begins_clause(
            between
        ):
            return following[0]
    earlier = [each for each in moments if each.end <= number.start]
    if earlier:
        nearest = earlier[-1]
        others = [n for n in sentence.numbers if nearest.end <= n.start and n.end <= number.start]
        taken = [
            n for n in sentence.numbers if n.end <= nearest.start and _directly(sentence.text[n.end : nearest.start])
        ]
        if taken:  # `0.22 at step 0 to 0.03`: that time went with the number before it
            return None
        if others and _RANGE.search(sentence.text[: number.start]) and nearest.relation != "last":
            return None
        if _CHANGED.search(sentence.text[nearest.end : number.start]):
            return None
        return nearest
    if (
        len(following) == 1
        and len(sentence.numbers) <= 1 + _inside(sentence, following[0])
        and not _CONDITION.search(sentence.text)
    ):
        return following[0]
    return None


def _chain_end(sentence: Sentence, number: Written) -> int:
    """Where the last of `0.1, 0.2 and 0.3` ends."""
    end = number.end
    for each in sentence.numbers:
        if (
            each.start > end
            and _JOINED.fullmatch(sentence.text[end : each.start])
            and not any(m.start <= each.start < m.end for m in sentence.moments)
        ):
            end = each.end
    return end


_CHANGED = re.compile(
    r"\b(?:then|later|afterwards|until|next|up from|down from|instead of|previously|"
    r"originally|coming from)\b|[:;,—(]\s*(?:it|which|and) (?:was|had been)\b|"
    r"\bgoes from\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"\b(?:until|till|than)\b", re.IGNORECASE)


def _begins_clause(between: str) -> bool:
    return "," in between


def _directly(between: str) -> bool:
    return bool(re.fullmatch(r"\s*\(?\s*(?:right |just )?", between))


def _inside(sentence: Sentence, moment: Moment) -> int:
    return len([n for n in sentence.numbers if moment.start <= n.start and n.end <= moment.end])


def _of_cell(sentence: Sentence, number: Written) -> Claim:
    """A number in a table: its column's head says what, its row's first cell when (or of what)."""
    block = sentence.block
    whole = number.text.strip() == block.text.strip(" *`≈~")
    in_cell = [each for each in sentence.mentions if each.end <= number.start]
    head = find_mentions(block.header, sentence.names, ((0, len(block.header)),))
    row = find_mentions(block.row, sentence.names, ((0, len(block.row)),))
    moments = find_moments(block.header) or find_moments(block.row)
    moment = moments[0] if moments else None
    if (
        moment is None
        and re.match(r"(?:step|iteration|epoch|update)s?\b", block.corner, re.IGNORECASE)
        and block.row.isdigit()
    ):
        moment = Moment("at", int(block.row), 0, 0)
    elif (
        moment is None
        and re.fullmatch(r"(?:step|iteration|epoch|update)s?", block.corner, re.IGNORECASE)
        and block.row.lower() in ("init", "start")
    ):
        moment = Moment("init", 0, 0, 0)
    both = (*in_cell[-1:], *head, *row)
    if not both:
        return Claim(moment=moment, words=f"{block.row} {block.header}")
    # `| loss | 0.22 |` names it in the row, `| step | loss |` at the head of the column.
    chosen = both[0]
    if len(head) == 1 and row and head[0].kind in ("parameter", "value"):
        chosen = row[0]
    return replace(
        _about(chosen, whole and len(both) == 1), moment=moment, others=both, words=f"{block.row} {block.header}"
    )
