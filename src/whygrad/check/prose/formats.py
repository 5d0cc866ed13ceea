"""What prose says of number formats, from `whygrad.floats`."""

from __future__ import annotations

import re
from fractions import Fraction

from whygrad.check.prose.numbers import Written, find_numbers
from whygrad.check.prose.sentences import Sentence
from whygrad.floats import FORMATS, NumberFormat, number_format, ulp
from whygrad.floats.formats import FormatError

__all__ = ["format_claims", "format_numbers", "formats_in"]

_NAME = re.compile(
    r"\b(?:torch\.)?(float16|bfloat16|float32|float64|fp16|bf16|fp32|fp64|half precision|"
    r"single precision|double precision|float8_e4m3fn|float8_e5m2)\b",
    re.IGNORECASE,
)
_WORDS = {"half precision": "float16", "single precision": "float32", "double precision": "float64"}
_ABOUT = re.compile(
            r"\b(?:ulp|spac\w+|gaps?|apart|neighbou?rs?|epsilon|eps|largest|maximum|max|"
            r"smallest|subnormal|normal|tiny|bits?|mantissa|significand|"
            r"exponents?|fraction|precision|representable|next|overflow\w*|underflow\w*|"
            r"digits|rounds?|rounded|rounding|range|power of two|step)\b",
    re.IGNORECASE,
)  # fmt: skip
_CLAIMS: tuple[tuple[str, str], ...] = (
    ("exponent", (
            r"(?P<n>\d+)[ -](?:bits? (?:for|of|in) (?:the |its )?exponent|(?:exponent bits?|"
            r"bits? exponent|bit exponent))|exponent (?:has|of|is|takes|uses|gets) (?P<n2>\d+) bits?"
        )),
    ("significand", (
            r"(?P<n>\d+)[ -](?:explicit |stored )?(?:bits? (?:for|of|in) (?:the |its )?(?:significand|"
            r"mantissa|fraction|precision)|(?:significand|mantissa|fraction) bits?)|"
            r"(?:significand|mantissa|fraction) (?:has|of|is|takes|uses|gets) (?:only )?(?P<n2>\d+) (?:explicit |"
            r"stored )?bits?"
        )),
    ("bits", r"(?:has|of|with|uses|takes|is) (?P<n>\d+) bits(?! (?:for|of|in))|(?P<n2>\d+)-bit\b"),
    ("max", r"(?:largest|maximum|biggest)[\w ]{0,40}?(?: is| of|:| =|,)? (?P<n>\d[\d,.]*(?:e[+-]?\d+)?)"),
    ("smallest", r"smallest[\w ]{0,40}?(?: is| of|:| =|,)? (?:about |≈ ?)?(?P<n>\d[\d,.]*(?:e[-−+]?\d+)?)"),
)  # fmt: skip


def formats_in(text: str) -> list[tuple[int, NumberFormat]]:
    """The formats that a text names, with where."""
    found: list[tuple[int, NumberFormat]] = []
    for match in _NAME.finditer(text):
        word = match[1].lower()
        try:
            found.append((match.start(), number_format(_WORDS.get(word, word))))
        except FormatError:
            continue
    return found


_ASIDE = re.compile(r"\b(?:of|than|like|as|to|unlike|from|with)\s+`?$")
_N = r"[-−]?\d+(?:\.\d+)?(?:e[-−+]?\d+)?"
_SPACED = (
    re.compile(
        rf"\b(?:near|at|around|between|close to)\s+(?P<x>{_N})[^.;]{{0,60}}?(?:\bare\s+|"
        rf"\bis\s+|\blie\s+|=\s*)(?:about |≈ ?|only )?(?P<n>{_N})\s+(?:apart|away)",
        re.IGNORECASE,
    ),
    re.compile(
        rf"\b(?:near|at|around)\s+(?P<x>{_N}),?\s+(?:the |its |one )?(?:spacing|gap|"
        rf"ulp|distance)[^.;\d]{{0,50}}?\bis\s+(?:about |≈ ?|only )?(?P<n>{_N})",
        re.IGNORECASE,
    ),
    re.compile(
        rf"\b(?:spacing|gap|ulp|distance)[^.;\d]{{0,50}}?\b(?:near|at|around|of)\s+(?P<x>{_N})\s+is\s+(?:about |"
        rf"≈ ?|only )?(?P<n>{_N})",
        re.IGNORECASE,
    ),
)


def _spacings(text: str, named: list[tuple[int, NumberFormat]]) -> list[tuple[int, int, str, str]]:
    """Wrong statements of how far apart the numbers of a format lie."""
    formats = {fmt.name: fmt for _, fmt in named}
    wrong: list[tuple[int, int, str, str]] = []
    if len(formats) != 1:
        return wrong
    fmt = next(iter(formats.values()))
    for pattern in _SPACED:
        for match in pattern.finditer(re.sub(r"\b(?:b?float\d+|[bf]p\d+)\b", lambda m: "_" * len(m[0]), text)):
            number = find_numbers(text[match.start("n") : match.end("n")])
            right = ulp(float(match["x"].replace("−", "-")), fmt)
            half = re.search(r"\bhalf\b", match[0])
            if number and not any(
                abs(each - number[0].value) <= number[0].unit / 2 for each in (right / 2 if half else right,)
            ):
                wrong.append(
                    (
                        match.start("n"),
                        match.end("n"),
                        f"says {match[0].strip()}",
                        f"it is {float(right):g} in {fmt.name}",
                    )
                )
    return wrong


def _properties(fmt: NumberFormat) -> dict[str, set[Fraction]]:
    eps = Fraction(2) ** (1 - fmt.precision)
    return {
        "exponent": {Fraction(fmt.exponent_bits)},
        "significand": {Fraction(fmt.precision), Fraction(fmt.precision - 1)},
        "bits": {Fraction(fmt.bits)},
        "max": {Fraction(fmt.max)},
        "smallest": {Fraction(fmt.smallest_normal), Fraction(fmt.smallest_subnormal)},
        "other": {
            eps,
            eps / 2,
            Fraction(fmt.bias),
            Fraction(fmt.emin),
            Fraction(fmt.emax),
            Fraction(2) ** fmt.precision,
        },
    }


def format_numbers(sentence: Sentence, number: Written, last: tuple[NumberFormat, ...] = ()) -> bool:
    """Whether a number is a property of a format that the sentence names, or a spacing of its numbers."""
    if not _ABOUT.search(sentence.text):
        return False
    named = [*(fmt for _, fmt in formats_in(sentence.text)), *last] or [
        FORMATS[name] for name in ("float16", "bfloat16", "float32")
    ]
    for fmt in named:
        for values in _properties(fmt).values():
            if any(abs(value - number.value) <= number.unit / 2 for value in values) and (
                number.digits > 1 or number.whole
            ):
                return True
        for other in sentence.numbers:
            if other is not number and other.value:
                spacing = ulp(float(other.value), fmt)
                if any(abs(each - number.value) <= number.unit / 2 for each in (spacing, spacing / 2)):
                    return True
    value = abs(number.value)
    if value and number.digits >= 3 and re.search(r"2\^|2\*\*|2⁻|power of two|ulp", sentence.text):
        for power in range(-160, 130):
            if abs(Fraction(2) ** power - value) <= number.unit / 2:
                return True
    return False


def format_claims(text: str, last: tuple[NumberFormat, ...] = ()) -> list[tuple[int, int, str, str]]:
    """Statements about a format that are wrong: (start, end, what it says, what is so). `last`: what `its` may stand for."""
    named = formats_in(text)
    wrong = _spacings(text, named)
    for kind, pattern in _CLAIMS:
        for match in re.finditer(pattern, text, re.IGNORECASE):
            group = "n" if match.groupdict().get("n") else "n2"
            own = [(at, fmt) for at, fmt in named if not _ASIDE.search(text[:at])] or named
            before = [fmt for at, fmt in own if at < match.start(group)]
            before = before or [
                fmt
                for at, fmt in named
                if re.fullmatch(r"\s*(?:in|of|for|bits? of)\s+`?", text[match.end() : at] or "-")
            ]
            before = before or (
                [*last] if len(last) == 1 and re.match(r"\s*(?:its?|the)\b", text, re.IGNORECASE) else []
            )
            if not before or (kind in ("max", "smallest") and len(named) > 1):
                continue
            fmt = before[-1]
            if (
                kind == "bits"
                and re.match(r"\s*(?:float|floating|format|number)", text[match.end() :]) is None
                and group == "n2"
            ):
                continue
            digits = match[group].replace(",", "").replace("−", "-").rstrip(".")
            value = Fraction(digits)
            right = _properties(fmt)[kind]
            unit = (
                Fraction(
                    1, 10 ** (len(digits.partition("e")[0].partition(".")[2]) - int(digits.partition("e")[2] or 0))
                )
                if "." in digits or "e" in digits
                else Fraction(0)
            )
            if any(abs(each - value) <= unit / 2 for each in right):
                continue
            told = " or ".join(f"{float(each):g}" for each in sorted(right))
            wrong.append(
                (
                    match.start(group),
                    match.start(group) + len(match[group].rstrip(".,")),
                    f"says {fmt.name}: {match[0].strip(' .')}",
                    f"it is {told}",
                )
            )
    return wrong
