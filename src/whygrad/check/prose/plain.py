"""Numbers that are plainly something else than a result: dates, versions, references, sizes, times, enumerations."""

from __future__ import annotations

import re

from whygrad.check.prose.numbers import Written

__all__ = ["plainly_else"]

_BEFORE = re.compile(
    r"(?:(?<![\w])(?:fig(?:ure|\.)?s?|tables?|tab\.|sections?|sec\.|chapters?|"
    r"parts?|lessons?|exercises?|equations?|eqs?\.|eqn\.?|pages?|pp?\.|"
    r"lines?|cells?|issues?|theorems?|lemmas?|algorithms?|appendix|volumes?|vol\.|"
    r"no\.|nos\.|numbers?|questions?|tasks?|points?|items?|"
    r"versions?|release|level|ports?|layers?|units?|rows?|columns?|col\.|index|"
    r"indices|dim|dims|dimensions?|axis|examples?|samples?|"
    r"class(?:es)?|tokens?|positions?|heads?|neurons?|problem|box|note|footnote|"
    r"rule|day|week|grade|gpt-?|python|torch|pytorch|numpy|cuda|"
    r"jupyter|ubuntu|linux|macos|windows|debian|node|chrome|firefox|ieee|iso|"
    r"rfc|pep|section §|§|#|digit|step|iteration|epoch|update)"
    r"(?:\s|\u00a0|-|~)*(?:\d[\d.,]*\s*(?:,|and|or|to|–|-|through|&)\s*)*\(?)$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    r"\b(?:fig(?:ure|\.)?s?|tables?|sections?|sec\.|chapters?|equations?|eqs?\.|algorithms?|appendix|theorems?|exercises?)\s\(?$",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"^(?:\s|\u00a0|-)?(?:bytes?|[kKMGTP]i?B|bits?/s|ms|µs|us|ns|s|sec|seconds?|"
    r"min|minutes?|h|hours?|days?|weeks?|months?|years?|"
    r"°|px|[kMG]?Hz|W|watts?|cores?|threads?|CPUs?|GPUs?|characters?|pages?|lines?|"
    r"people|persons?|euros?|dollars?|cents?|"
    r"tokens?/s|points?|degrees?|files?|tests?|lessons?|chapters?|sections?|cells?|"
    r"commands?|th|st|nd|rd|am|pm|kg|m|km|cm|mm|"
    r"decimals?|digits?|decimal places|significant|of them|words?|letters?|million|"
    r"billion|trillion|thousand|times|×|x\b|-fold|fold|D\b|d\b)(?![\w])"
)
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|"
    r"Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_SPANS = (
    re.compile(r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b"),
    re.compile(
        rf"\b\d{{1,2}}(?:st|nd|rd|th)? {_MONTH}(?:,? \d{{4}})?|\b{_MONTH} \d{{1,2}}(?:st|"
        rf"nd|rd|th)?(?:,? \d{{4}})?\b|\b{_MONTH} \d{{4}}\b"
    ),
    re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b"),
    re.compile(r"\bv?\d+\.\d+\.\d+\S*|\bv\d+(?:\.\d+)*"),
    re.compile(
        r"\b(?:in|since|until|from|of|by|the|early|late|around) (?:19|20)\d\d\b(?!\s*(?:steps?|"
        r"examples?|numbers?|parameters?))"
    ),
    re.compile(r"(?:\(|, |et al\.?,? )(?:19|20)\d\d[a-z]?(?=[);,])|©\s?\d{4}"),
    re.compile(
        r"\b(?:arXiv|doi|ISBN|RFC|PEP|IEEE|ISO|Ubuntu|Debian|Fedora|macOS|Windows|"
        r"Linux|Android|iOS|Node|Java|GCC|glibc|torchvision|scikit-learn|pandas|matplotlib|"
        r"JAX|TensorFlow|Keras|Jupyter(?:Lab)?|Apache|MIT|BSD|GPL|Python|PyTorch|"
        r"torch|NumPy|CUDA|version)[- :>=<~]*\d[\d./:-]*\b(?!%)",
        re.IGNORECASE,
    ),
    re.compile(r"\[\d+(?:[,–-]\s?\d+)*\](?!\()"),  # citations, indices
    re.compile(r"(?:^|(?<=[.;:] )|(?<= ))\(\d{1,2}\)"),
    re.compile(r"^\s*\d{1,2}[.)](?=\s)"),
    re.compile(r"(?:>=|<=|==|≥|≤|>|<|≠|!=)\s*[-−]?\d+(?:\.\d+)?(?!\d*\s?[=≈])"),
    re.compile(r"\b0x[0-9a-fA-F]+|#[0-9a-fA-F]{3,8}\b"),
    re.compile(r"[\w.]+\[[-\d,: ]*\]"),  # fc1.weight[0,1]
    re.compile(r"@\s?-?\d+|--?[a-zA-Z][\w-]*[ =][\d:,.-]+(?=[\s,;.)]|$)"),  # addresses, options of commands
)


def plainly_else(text: str, number: Written) -> bool:
    """Whether what stands around a number says that it is no result."""
    before, after = text[max(0, number.start - 60) : number.start], text[number.end : number.end + 30]
    if (_BEFORE.search(before) and number.whole) or _NUMBERED.search(before):
        return True
    if _AFTER.match(after):
        return True
    return any(
        found.start() <= number.start and number.end <= found.end()
        for pattern in _SPANS
        for found in pattern.finditer(text)
    )
