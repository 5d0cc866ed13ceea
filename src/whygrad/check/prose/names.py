"""Statements that are names: of autograd nodes, dtypes, optimizers; and what is said of a `grad_fn`'s number."""

from __future__ import annotations

import re
from collections.abc import Iterator

from whygrad.check.prose.evidence import Evidence
from whygrad.check.prose.findings import Statement
from whygrad.check.prose.sentences import Sentence

__all__ = ["named_claims"]

_NODE = re.compile(r"\b[A-Z][A-Za-z0-9]*Backward\d*\b|\bAccumulateGrad\b")
_COUNTS = re.compile(
    r"\b(?:counts?|numbers?|tells? how (?:many|often)|stands? for (?:the )?(?:first|"
    r"how)|is the (?:index|number) of|increments?|increases)\b[^.;]{0,60}?"
    r"\b(?:calls?|times|forward pass(?:es)?|layers?|uses?|invocations?|steps?|nodes?|runs?)\b",
    re.IGNORECASE,
)
_SUFFIX = re.compile(r"\b(?:0|zero|number|digit|suffix|numeral)\b", re.IGNORECASE)
_NOT = re.compile(r"\b(?:not|nothing|never|no|n't|neither|rather than|instead)\b|n't", re.IGNORECASE)
_DTYPE = re.compile(
    r"\b(?:in|as|uses?|using|with|is|are|all|to|plain|stays in|computed in|trained in|"
    r"stored in|kept in|runs? in|dtype(?: is| of|:)?)\s+(?:`|torch\.|plain |pure |"
    r"full )*"
    r"(?P<dtype>float16|bfloat16|float32|float64|half precision|single precision|double precision)\b",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"\b(?:train\w*|model|network|neuron|weights?|bias(?:es)?|parameters?|run|"
    r"numbers?|computed|stored|everything|layer|gradients?|loss|prediction|inputs?|"
    r"tensor)\b",
    re.IGNORECASE,
)
_ELSE = re.compile(
    r"\b(?:compare|compared|comparison|than|would|if|unlike|whereas|other|same (?:run|"
    r"training|neuron)|different|another|while|versus|vs|instead|not|again|against|"
    r""
    r"apart|gaps?|bits?|exponents?|significand|mantissa|representable|range|finer|coarser|overflow\w*|underflow\w*|"
    r"numbers near|cast|master|accumulat\w*|both|either|largest|smallest|format|"
    r"ulp|spac\w+|nearest|exact|repeat\w*|neither)\b",
    re.IGNORECASE,
)
_WORDS = {"half precision": "float16", "single precision": "float32", "double precision": "float64"}
_OPTIMIZER = re.compile(
    r"\b(?:with|by|uses?|using|optimi[sz]er(?: is| was|:| here is)?|plain|of|"
    r"called|an?|the)\s+(?:the |an? |plain |pure |`|torch\.optim\.|optimi[sz]er |"
    r"\*)*(?P<name>SGD|Adam|AdamW|RMSprop|Adagrad|NAdam|RAdam|Adadelta|Adamax)\b(?! paper)"
)
_WITHOUT = re.compile(
    r"\b(?:without (?:any )?(?P<a>momentum|weight decay)|no (?P<b>momentum|weight decay)|plain SGD)\b", re.IGNORECASE
)
_WITH = re.compile(
    r"\b(?:SGD|optimi[sz]er|training|updates?|trained|steps?)\b[^.;,]{0,30}\bwith (?:Nesterov )?(?P<a>momentum|"
    r"weight decay)\b",
    re.IGNORECASE,
)


def named_claims(sentence: Sentence, evidence: Evidence) -> Iterator[Statement]:
    """Names that a sentence says belong to the run or the code."""
    yield from _nodes(sentence, evidence)
    yield from _dtypes(sentence, evidence)
    yield from _optimizers(sentence, evidence)


def _nodes(sentence: Sentence, evidence: Evidence) -> Iterator[Statement]:
    text = sentence.text
    nodes = list(_NODE.finditer(text))
    if not nodes and _NODE.search(sentence.block.text) and re.search(r"\bnames?\b", text):
        counts = _COUNTS.search(text)
        if counts and _SUFFIX.search(text) and not _NOT.search(text[: counts.end()]):
            says = f"says the number in the name {counts[0].strip()}"
            yield Statement(
                *counts.span(), False, says, "it is torch's number for the overload of the formula; it counts nothing"
            )
    for match in nodes:
        counts = _COUNTS.search(text)
        if (
            counts
            and match is nodes[0]
            and _SUFFIX.search(text)
            and not _NOT.search(text[: counts.end()])
            and not sentence.general
        ):
            says = f"says the number in {match[0]} {counts[0].strip()}"
            yield Statement(
                *counts.span(), False, says, "it is torch's number for the overload of the formula; it counts nothing"
            )
        known = set().union(*(run.grad_fns for run in evidence.runs)) | set(_NODE.findall(evidence.output_text))
        known |= {found for string in evidence.code.strings for found in _NODE.findall(string)}
        if not known or sentence.general or _NOT.search(text[max(0, match.start() - 40) : match.start()]):
            continue
        maker = _owner(sentence, match, evidence)
        if maker and match[0] not in maker[1]:
            yield Statement(
                *match.span(),
                False,
                f"says the grad_fn of the {maker[0]} is {match[0]}",
                f"it is {' or '.join(sorted(maker[1]))}",
            )
        elif match[0] not in known and not any(
            match[0].rstrip("0123456789") in run.forward_nodes for run in evidence.runs
        ):
            told = "no such node ran; there are " + ", ".join(sorted(known))
            yield Statement(*match.span(), False, f"says {match[0]}", told)
        else:
            yield Statement(*match.span(), True)


def _owner(sentence: Sentence, match: re.Match[str], evidence: Evidence) -> tuple[str, set[str]] | None:
    """The tensor whose `grad_fn` a name is said to be, and what it really is."""
    before = sentence.text[: match.start()]
    found = re.search(
            r"(?:(?P<a>loss|prediction|output|logits?)(?:'s|’s)?(?: is| has| carries|"
            r" shows| prints| gets)?(?: the| a| an| its|\.|`|:)*\s*`?(?:grad_fn|made by|"
            r"was made by|is made by|gradient function)?"
            r"|grad_fn`? of (?:the |a )?`?(?P<b>loss|prediction|output|logits?))`?\s*(?:is|"
            r"=|:|reads|was|says|of|called|named|,|\(|`|<|the|grad_fn|shows|by|has)*\s*`?<?$",
        before, re.IGNORECASE,
    )  # fmt: skip
    if found is None and re.search(r"\b[Ii]ts\s+`?grad_fn`?\s+(?:is|reads|says)\s*`?<?$", before):
        return _its(evidence)
    if found is None or not re.search(
        r"grad_fn|made by|gradient function|has|carries", before[max(0, found.start() - 12) :]
    ):
        return None
    return _made_by((found["a"] or found["b"]).lower().replace("logits", "logit"), evidence)


def _its(evidence: Evidence) -> tuple[str, set[str]] | None:
    """What `its` stands for: the loss or prediction that a sentence before began with."""
    return _made_by(evidence.topic.kind, evidence) if evidence.topic else None


def _made_by(what: str, evidence: Evidence) -> tuple[str, set[str]] | None:
    owners = {
        "prediction": ("prediction", "output"),
        "output": ("prediction", "output"),
        "logit": ("prediction", "logits"),
        "loss": ("loss",),
    }
    makers = {node for run in evidence.runs for name in owners.get(what, ()) for node in run.makers.get(name, ())}
    return (what, makers) if makers else None


def _dtypes(sentence: Sentence, evidence: Evidence) -> Iterator[Statement]:
    used = {d for run in evidence.runs for d in run.dtypes.get("", ())}
    if not used or sentence.supposed or _ELSE.search(sentence.text) or not _SUBJECT.search(sentence.text):
        return
    everything = used | {d for run in evidence.runs for ds in run.dtypes.values() for d in ds} | evidence.code.dtypes
    for match in _DTYPE.finditer(sentence.text):
        dtype = _WORDS.get(match["dtype"].lower(), match["dtype"].lower())
        if dtype in everything:
            yield Statement(match.start("dtype"), match.end("dtype"), True)
        else:
            told = f"the parameters are {' and '.join(sorted(used))}"
            yield Statement(match.start("dtype"), match.end("dtype"), False, f"says {match['dtype']}", told)


def _optimizers(sentence: Sentence, evidence: Evidence) -> Iterator[Statement]:
    used = set().union(*(run.optimizers for run in evidence.runs)) | evidence.code.optimizers
    if not used or sentence.supposed:
        return
    other = re.search(
        r"\b(?:than|unlike|compared|whereas|not|instead|other|would|while|versus|later)\b", sentence.text, re.IGNORECASE
    )
    for match in _OPTIMIZER.finditer(sentence.text):
        if match["name"] in used:
            yield Statement(match.start("name"), match.end("name"), True)
        elif not other:
            yield Statement(
                match.start("name"),
                match.end("name"),
                False,
                f"says {match['name']}",
                f"the optimizer is {' and '.join(sorted(used))}",
            )
    if not evidence.runs and not evidence.code.optimizers:
        return
    momentum = {x for x in evidence.settings("momentum") if x}
    decay = {x for x in evidence.settings("weight_decay") if x}
    for match in _WITHOUT.finditer(sentence.text):
        what = (match["a"] or match["b"] or "momentum").lower()
        values = momentum if what == "momentum" else decay
        if values and not other:
            yield Statement(*match.span(), False, f"says {match[0]}", f"the optimizer ran with {what} {min(values):g}")
        elif not values:
            yield Statement(*match.span(), True)
    for match in _WITH.finditer(sentence.text):
        what = match["a"].lower()
        if "SGD" in used and len(used) == 1 and not other and not (momentum if what == "momentum" else decay):
            yield Statement(*match.span(), False, f"says with {what}", "the optimizer ran without")
