"""Counts with a noun behind them: `20 steps`, `8 parameters`, `4 hidden units`."""

from __future__ import annotations

import re

from whygrad.check.prose.evidence import Evidence
from whygrad.check.prose.numbers import Written
from whygrad.check.prose.sentences import Sentence

__all__ = ["counted"]

_ADJECTIVES = (
    r"(?:training |optimi[sz](?:er|ation) |gradient |more |full |whole |trainable |"
    r"learnable |hidden |input |output |XOR |toy |such |recorded |different |"
    r"separate |possible |sigmoid |ReLU |tanh |linear |first |new |small )*"
)
_NOUN = re.compile(
    rf"^[ \u00a0-]{_ADJECTIVES}(?P<noun>steps?|iterations?|epochs?|updates?|parameters?|"
    rf"weights|biases|examples?|samples?|data points|rows|classes|"
    rf"units?|neurons?|heads?|tokens?|features?|inputs?|outputs?|logits?)\b",
    re.IGNORECASE,
)
_TAKES = re.compile(
    r"\b(?:takes?|took|for|runs?|ran|after|in|over|of|within|the|all|does|did|"
    r"lasts?|needs?|makes?|performs?|trains?|training|these|those|its|our|with|"
    r"is|are|all of the)\s+"
    r"(?:only |just |exactly |all |a total of |whole |full )?$|^\s*$|[,:(;]\s*$",
    re.IGNORECASE,
)
_DONE = re.compile(r"\s*(?:(?:are|were|have been) (?:done|over|taken|finished)|in all|in total|altogether)\b")
_LOOSE = re.compile(
    r"\b(?:first|last|next|every|each|about|another|other|than|least|most|few|"
    r"up to|per|previous|nearly|almost|around|until|between|further|by)\s+(?:the )?$",
    re.IGNORECASE,
)
_STRICT = re.compile(
    r"(?:'s|’s)\s+$|\b(?:has|have|with|of|are|is|holds?|contains?|using|uses|"
    r"batch of|all|the|its|total of|takes?|gives|into|from|over|there are|both|"
    r"on)\s+(?:only |just |exactly |all |in all |a total of )?$",
    re.IGNORECASE,
)


def counted(sentence: Sentence, number: Written, evidence: Evidence) -> bool | tuple[str, str] | None:
    """True where a count is right; what it says and what is so where it is wrong; None where it is no count that can be told."""
    label = _LABEL.fullmatch(sentence.block.row or sentence.block.header) if sentence.block.kind == "cell" else None
    if label and number.text == sentence.text.strip(" *`"):
        return _cell(int(number.value), label, sentence, evidence)
    match = _NOUN.match(sentence.text[number.end :])
    if match is None or not number.whole or number.percent or number.value < 0 or number.approximate:
        return None
    before = sentence.text[: number.start]
    noun = match["noun"].lower().rstrip("s")
    value = int(number.value)
    if noun in ("step", "iteration", "epoch", "update"):
        return _steps(value, noun, before, sentence, evidence, match.end() + number.end)
    if noun in ("parameter", "weight", "biase"):
        return _parameters(value, noun, before, evidence, sentence, sentence.text[number.end + match.end() :])
    return _sizes(value, noun, before, evidence, sentence, match[0])


_LABEL = re.compile(
    r"(?:number of |training |optimi[sz]er |trainable )*(?P<noun>steps?|iterations?|epochs?|updates?|parameters)",
    re.IGNORECASE,
)


def _cell(value: int, label: re.Match[str], sentence: Sentence, evidence: Evidence) -> bool | tuple[str, str] | None:
    """A table's cell beside (or below) `steps`, `parameters`."""
    noun = label["noun"].lower().rstrip("s")
    if noun == "parameter":
        return _parameters(value, noun, "has ", evidence, sentence, "")
    if not sentence.block.row or not _LABEL.fullmatch(sentence.block.row):
        return None
    return _steps(value, noun, "takes ", sentence, evidence, len(sentence.text))


def _steps(
    value: int, noun: str, before: str, sentence: Sentence, evidence: Evidence, end: int
) -> bool | tuple[str, str] | None:
    after = sentence.text[end:]
    known = {run.steps for run in evidence.runs} | evidence.code.loops
    for key in (
        "steps",
        "epochs",
        "n_steps",
        "num_steps",
        "n_epochs",
        "num_epochs",
        "iterations",
        "max_steps",
        "STEPS",
        "EPOCHS",
    ):
        known |= {int(x) for x in evidence.code.named.get(key, ()) if x == int(x)}
    known |= {each for run in evidence.runs for each in _zero_from(run)}
    if value in known:
        return True
    if (
        not known
        or sentence.supposed
        or _LOOSE.search(before)
        or not (_TAKES.search(before) or _DONE.match(after))
        or re.match(r"\s*(?:later|earlier|ago|apart|before)", after)
    ):
        return None
    longest = max(known)
    if re.search(r"\bafter\s+(?:only |just )?$", before) and value < longest:
        return None  # a time within the run
    if (
        re.search(r"\b(?:in|within|over|the|all|these|those)\s+$", before)
        and value < longest
        and not re.search(r"\b(?:train|all|takes?|took|whole)\w*\b", sentence.text)
    ):
        return None
    if re.search(r"\b(?:lost|stands? still|stood still|loss is)\b", sentence.text) and value < longest:
        return None
    return (
        f"says {value} {noun}s",
        f"the run has {', '.join(map(str, sorted(known)))}"
        if evidence.runs
        else f"the code says {', '.join(map(str, sorted(known)))}",
    )


def _zero_from(run: object) -> set[int]:
    """The first step with a loss of exactly 0: as many steps were taken until then."""
    from whygrad.check.prose.run_facts import RunFacts

    assert isinstance(run, RunFacts)
    history = run.trace.history
    for column in history.columns:
        if column.kind == "loss":
            zeros = [step for step, value in zip(history.steps, history.column(column.name), strict=True) if value == 0]
            return {zeros[0], zeros[0] + 1} if zeros else set()
    return set()


def _parameters(
    value: int, noun: str, before: str, evidence: Evidence, sentence: Sentence, after: str
) -> bool | tuple[str, str] | None:
    if not evidence.runs or sentence.supposed:
        return None
    known: set[int] = set()
    totals: set[int] = set()
    for run in evidence.runs:
        sizes = run.parameters
        totals.add(sum(sizes.values()))
        known |= {*sizes.values(), len(sizes), sum(sizes.values())}
        for ending in ("weight", "bias"):
            known.add(sum(size for name, size in sizes.items() if name.endswith(ending)))
            known.add(sum(name.endswith(ending) for name in sizes))
        layers: dict[str, int] = {}
        for name, size in sizes.items():
            layers[name.rpartition(".")[0]] = layers.get(name.rpartition(".")[0], 0) + size
        known |= {*layers.values()}
        if noun != "parameter":
            known |= {d for shapes in run.shapes.values() for shape in shapes for d in shape}
    if value in known:
        return True
    if _LOOSE.search(before) or not (_STRICT.search(before) or re.match(r"\s*(?:in all|in total|altogether)", after)):
        return None
    return f"says {value} {noun}s", f"the model has {' or '.join(map(str, sorted(totals)))} parameters in all"


_BATCHED = ("input", "target", "prediction")


def _sizes(
    value: int, noun: str, before: str, evidence: Evidence, sentence: Sentence, phrase: str
) -> bool | tuple[str, str] | None:
    dims = {d for run in evidence.runs for shapes in run.shapes.values() for shape in shapes for d in shape}
    literals = {int(x) for x in evidence.code.literals if x == int(x) and abs(x) < 1e9}
    known = dims | literals
    if noun in ("example", "sample", "data point") and evidence.runs:
        known = {
            t.array.shape[0] for run in evidence.runs for t in run.tensors if t.kind in _BATCHED and t.array.ndim
        } | evidence.code.loops
        known = known | {1} | {int(x) for x in evidence.settings("batch")} if known else dims | literals
    if value in known:
        return True
    if (
        not known
        or sentence.supposed
        or _LOOSE.search(before)
        or not _STRICT.search(before)
        or not (evidence.runs or evidence.code.any)
    ):
        return None
    if noun in ("unit", "neuron") and "hidden" not in before + phrase:
        return None
    if noun in ("input", "output", "row", "token", "sample", "head", "logit", "feature") and not evidence.runs:
        return None
    if not dims:
        return None
    told = ", ".join(map(str, sorted(dims)))
    return f"says {value}{phrase}", f"no tensor of the run has a dimension of {value} (there are {told})"
