"""The words of the field by which prose names a quantity (`learning rate`, `∂loss/∂weight`) and a time (`after step 3`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["HYPER", "Mention", "Moment", "find_mentions", "find_moments"]


@dataclass(frozen=True, slots=True)
class Mention:
    """A quantity that a stretch of text names. `of`: for a gradient, of what. `name`, `index`: where an address stands."""

    kind: str
    start: int
    end: int
    of: str = ""
    name: str = ""
    index: str = ""
    steps: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time that a stretch of text names. `relation`: `at` a step, `after` a step, `done` (so many are), `before` a step,
    `init`, `last`; `number` counts steps from 0, or how many are done."""

    relation: str
    number: int
    start: int
    end: int


HYPER = {
    "betas",
    "lr",
    "momentum",
    "beta1",
    "beta2",
    "eps",
    "weight_decay",
    "dampening",
    "seed",
    "max_norm",
    "dropout",
    "alpha",
}
"""Kinds that the code sets and a run does not compute."""

_WHAT = r"(?P<of>loss|weights?|bias(?:es)?|prediction|output|logits?|inputs?|x|parameters?)"
_KINDS: list[tuple[str, str, str]] = [
    # kind, of what, pattern; of two that begin together the longer wins
    ("norm", "", r"gradient(?:'s)? norm|norm of (?:the |its |all )?gradients?|grad(?:ient)?[ _]norm"),
    ("gradient", "*", (
            rf"(?:gradient|derivative|slope)s? (?:of the loss )?(?:with respect to|w\.r\.t\.|"
            rf"for|of|by|at) (?:the |its |this |that |each |both )?(?:(?:first|second|"
            rf"third|last|hidden|output|two|three|four|same|one) )*{_WHAT}(?: layer)?\b"
        )),
    ("gradient", "*", rf"{_WHAT}(?:'s|’s)? (?:gradient|derivative)s?"),
    ("gradient", "*", (
            r"(?:∂|d|\\partial )(?:[Ll]oss|L|ℓ)\s?/\s?(?:∂|d|\\partial )(?P<of2>weight|"
            r"bias|prediction|w|b|ŷ|x)\b"
        )),
    ("gradient", "", r"(?:gradient|derivative|slope)s?"),
    ("lr", "", r"learning[- ]rates?|step size|η|\\eta\b|\blr\b"),
    ("weight_decay", "", r"weight[_ -]decay"),
    ("dampening", "", r"dampening"),
    ("momentum_buffer", "", r"momentum[_ ]buffer|velocity|momentum (?:term|state)"),
    ("momentum", "", r"momentum"),
    ("exp_avg_sq", "", r"exp_avg_sq|second moment|(?:running|moving) average of (?:the )?squared gradients?|v_t|v_1"),
    ("exp_avg", "", r"exp_avg|first moment|(?:running|moving) average of (?:the )?gradients?|m_t|m_1"),
    ("beta1", "", r"beta_?1|β_?[1₁]|\\beta_\{?1\}?|first beta"),
    ("beta2", "", r"beta_?2|β_?[2₂]|\\beta_\{?2\}?|second beta"),
    ("betas", "", r"betas"),
    ("eps", "", r"epsilon|\beps\b|\\epsilon|(?<!\w)[εϵ](?!\w)"),
    ("alpha", "", r"\balpha\b|(?<!\w)α(?!\w)|\\alpha\b"),
    ("seed", "", r"(?:random )?seed|manual_seed"),
    ("max_norm", "", r"max_norm|clipp(?:ed|ing) (?:at|to)"),
    ("dropout", "", r"dropout(?: rate| probability)?"),
    ("batch", "", r"batch[_ ]?size|mini-?batch(?:es)?|batch(?:es)?"),
    ("scale", "", r"loss[ -]scale|scale factor|scaling factor|init_scale"),
    ("loss", "", (
            r"(?:training |validation |test |mean |average )?loss(?:es)?|mean squared errors?|"
            r"squared errors?|cross[- ]entropy(?: loss)?|\bMSE\b|\bcost\b"
        )),
    ("prediction", "", (
            r"predictions?|predicts|predicted|network's (?:output|answer)|neuron's (?:output|"
            r"answer)|outputs?|guess(?:es)?|estimates?|ŷ|\\hat\{?\s?y\}?|answers?"
        )),
    ("target", "", r"targets?|labels?|desired (?:output|value|answer)|ground truth"),
    ("input", "", r"inputs?"),
    ("weight", "", r"weights?"),
    ("bias", "", r"bias(?:es)?|intercept"),
    ("logit", "", r"logits?|raw scores?|scores?"),
    ("attention", "", r"attention (?:weights?|scores?|probabilit(?:y|ies)|row)"),
    ("probability", "", r"probabilit(?:y|ies)|softmax(?: output)?|confidence"),
    ("activation", "", r"activations?|hidden (?:values?|states?|units? outputs?|activations?)|pre-?activations?"),
    ("accuracy", "", r"accurac(?:y|ies)"),
    ("parameter", "", r"parameters?"),
]  # fmt: skip
_CHOICES = [(kind, of, re.compile(rf"(?<![\w.])(?:{text})(?![\w])", re.IGNORECASE)) for kind, of, text in _KINDS]
_WORDS = {"loss", "prediction", "input", "target", "output"}
_SYMBOLS = {
    "w": "weight",
    "b": "bias",
    "y": "target",
    "L": "loss",
    "x": "input",
    "p": "probability",
    "lr": "lr",
    "g": "gradient",
}
_ADDRESS = re.compile(
    r"(?<![\w.])(?P<name>(?:\d+\.)*[A-Za-z_]\w*(?:\.(?!grad\b)\w+)*)(?P<index>\[[-\d, ]+\])?(?P<grad>\.grad)?"
    r"(?P<index2>\[[-\d, ]+\])?(?:@(?P<step>init|-?\d+))?(?![\w(])"
)
_ORDINALS = {
    w: i
    for i, w in enumerate(
        ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
    )
}
_SMALL = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_CARDINALS = {word: i for i, word in enumerate(_SMALL)} | {"twenty": 20, "thirty": 30, "fifty": 50, "hundred": 100}
_STEP = r"(?:steps?|iterations?|epochs?|updates?)"
_N = rf"(?P<n>\d+(?![\w%]|[.,]\d)|{'|'.join(_CARDINALS)})"
_MOMENTS: list[tuple[str, re.Pattern[str]]] = [
    (relation, re.compile(text, re.IGNORECASE))
    for relation, text in (
        ("after-ordinal", (
            rf"\bafter (?:the |its |their |this |that |our )?(?:very )?(?P<o>{'|'.join(_ORDINALS)}) (?:(?:\w+ )?{_STEP}\b|"
            rf"one\b)"
        )),
        ("before-ordinal", rf"\bbefore (?:the |its )?(?:very )?(?P<o>{'|'.join(_ORDINALS)}) (?:\w+ )?{_STEP}\b"),
        ("at-ordinal", rf"\b(?P<o>{'|'.join(_ORDINALS)}) (?:training |optimi[sz]er |gradient )?(?:{_STEP}\b|row\b)"),
        ("after", rf"\bafter {_STEP} {_N}(?:'s update)?"),
        ("before", rf"\bbefore {_STEP} {_N}"),
        ("done", rf"\bafter (?:all |only |just |the )?{_N} (?:\w+ )?(?:of the )?{_STEP}\b"),
        ("at", rf"\b(?:(?:in|at|by|from|since|of|until|to|for)\s+)?{_STEP} {_N}|@\s?(?P<n2>\d+)"),
        ("done", rf"\b{_N} {_STEP} later\b"),
        ("done", rf"\b(?:when|once) (?:all )?{_N} {_STEP} (?:are|were|have been) (?:done|over|taken|finished)"),
        ("first", r"\bfirst (?:loss|prediction|gradient|forward pass|output)\b"),
        ("init", (
            r"\b(?:initial(?:ly|ised|ized|ises|izes)?|untrained|before (?:any |the |all )?(?:training|"
            r"first update|first step|update)|"
            r"(?:at|from|in) the (?:very )?(?:start|beginning)|(?:starts?|started|begins?|"
            r"began|starting|beginning)(?: out)?(?= (?:at|as|from|with|off|life|near|"
            r",|—|out))|"
            r"starting (?:values?|points?))\b")),
        ("last", (
            r"\b(?:finally|final|(?:at|by|in) the (?:very )?end(?! of the (?:chapter|"
            r"page|first))|ends? (?:at|up|with)|ended (?:at|up|with)|finish(?:es|ed)? (?:at|"
            r"with)|"
            r"after (?:the )?training|after the last (?:step|update|epoch|iteration)|"
            r"last (?:step|update|epoch|iteration|loss|row))\b"
        )),
    )
]  # fmt: skip


def find_mentions(text: str, names: frozenset[str], codes: tuple[tuple[int, int], ...]) -> list[Mention]:
    """The quantities named in a text, left to right, none inside another. `names`: tensors of the run; `codes`: the spans in
    which a single letter is a name."""
    found = _addresses(text, names, codes)
    for kind, of, pattern in _CHOICES:
        for match in pattern.finditer(text):
            what = ""
            if of == "*":
                groups = match.groupdict()
                what = _of(groups.get("of") or groups.get("of2") or "")
            found.append(Mention(kind, match.start(), match.end(), what))
    found.sort(key=lambda each: (each.start, -each.end, not each.name))
    kept: list[Mention] = []
    for each in found:
        if not kept or each.start >= kept[-1].end:
            kept.append(each)
    return _joined(kept, text)


_OF = re.compile(
    r"\s*(?:of|for|with respect to|w\.r\.t\.|in|on|at)\s+(?:the |its |this |that |"
    r"our )?(?:parameter |weight |bias |entry |element |first |second |last )?\s*",
    re.IGNORECASE,
)
_OWN = re.compile(r"\s*(?:'s|’s)?\s+(?:own )?", re.IGNORECASE)
_OWNED = {"gradient", "exp_avg", "exp_avg_sq", "momentum_buffer", "norm"}
_OWNERS = {"named", "weight", "bias", "prediction", "logit", "input", "parameter", "loss"}


def _joined(found: list[Mention], text: str) -> list[Mention]:
    """`the gradient of fc1.weight[0,0]`, `fc1.bias's gradient`: two mentions that are one quantity."""
    kept: list[Mention] = []
    for each in found:
        last = kept[-1] if kept else None
        if (
            last is not None
            and not last.of
            and last.kind in _OWNED
            and each.kind in _OWNERS
            and _OF.fullmatch(text[last.end : each.start])
        ):
            kept[-1] = Mention(last.kind, last.start, each.end, each.name or each.kind, "", each.index, each.steps)
        elif (
            last is not None
            and each.kind in _OWNED
            and not each.of
            and last.kind in _OWNERS
            and _OWN.fullmatch(text[last.end : each.start])
        ):
            kept[-1] = Mention(each.kind, last.start, each.end, last.name or last.kind, "", last.index, last.steps)
        elif each.kind in _OWNERS and _THAT.search(text[: each.start]) and any(m.kind in _OWNED for m in kept):
            owned = [m for m in kept if m.kind in _OWNED][-1]
            kept.append(Mention(owned.kind, each.start, each.end, each.name or each.kind, "", each.index, each.steps))
        else:
            kept.append(each)
    return kept


_THAT = re.compile(r"\b(?:that|those|the one|the ones) (?:of|for) (?:the )?\s*$", re.IGNORECASE)


def _addresses(text: str, names: frozenset[str], codes: tuple[tuple[int, int], ...]) -> list[Mention]:
    found: list[Mention] = []
    for match in _ADDRESS.finditer(text):
        name = match["name"]
        index = (match["index"] or match["index2"] or "").replace(" ", "")
        inside = any(a <= match.start() < b for a, b in codes) or bool(
            re.match(r"\s*[=≈]\s*[-−]?\s?\.?\d", text[match.end() :])
        )
        grad = bool(match["grad"])
        steps = match["step"] or ""
        if name.endswith(".grad"):
            name, grad = name.removesuffix(".grad"), True
        if name in _WORDS and not (index or steps or grad):
            continue
        if name in names and (inside or "." in name or index or steps or grad):
            kind = "gradient" if grad else "named"
            found.append(Mention(kind, match.start(), match.end(), name if grad else "", name, index, steps))
        elif inside and name in _SYMBOLS and not index:
            kind = "gradient" if grad else _SYMBOLS[name]
            found.append(Mention(kind, match.start(), match.end(), _SYMBOLS[name] if grad else ""))
        elif grad and name.rpartition(".")[2] in ("weight", "bias", "w", "b"):
            found.append(
                Mention("gradient", match.start(), match.end(), _of(name.rpartition(".")[2]), "", index, steps)
            )
        elif inside and name.rpartition(".")[2] in ("weight", "bias") and (index or "." in name):
            found.append(Mention(name.rpartition(".")[2], match.start(), match.end(), "", "", index, steps))
    return found


def _of(text: str) -> str:
    text = text.lower()
    return {
        "w": "weight",
        "b": "bias",
        "ŷ": "prediction",
        "x": "input",
        "output": "prediction",
        "biases": "bias",
        "logits": "logit",
    }.get(text, text.rstrip("s") if text not in ("bias", "loss") else text)


def find_moments(text: str) -> list[Moment]:
    """The times named in a text, left to right, none inside another."""
    found: list[Moment] = []
    for relation, pattern in _MOMENTS:
        for match in pattern.finditer(text):
            groups = match.groupdict()
            number = 0
            if groups.get("o"):
                number = _ORDINALS[groups["o"].lower()]
            word = groups.get("n") or groups.get("n2")
            if word:
                number = int(word) if word.isdigit() else _CARDINALS[word.lower()]
            kind = relation.removesuffix("-ordinal")
            found.append(Moment("at" if kind == "first" else kind, number, match.start(), match.end()))
    found.sort(key=lambda each: (each.start, -each.end))
    kept: list[Moment] = []
    for each in found:
        if not kept or each.start >= kept[-1].end:
            kept.append(each)
    return kept
