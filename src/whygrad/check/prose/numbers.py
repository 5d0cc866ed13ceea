"""The numbers that stand in prose: each as written, exactly, with the worth of its last digit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Written", "find_numbers", "read_number"]

_SUPER = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+", strict=True))
_POWER = r"\s?(?:·|×|\*|\\cdot|\\times)\s?10(?:\^\{?\s?(?P<caret>[-−+]?\d+)\s?\}?|(?P<super>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+))"
_NUMBER = re.compile(
    rf"(?<![\w.])(?P<digits>\d{{1,3}}(?:[,\u2009\u202f]\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    rf"(?:[eE](?P<e>[-−+]?\d+)|{_POWER})?"
)
_APPROXIMATE = re.compile(
    r"(?:≈|~|∼|≃|\\approx|\\sim|\babout|\baround|\bapproximately|\broughly|\bnearly|\balmost|\bca\.)\s*[-−+]?\s*$"
)


@dataclass(frozen=True, slots=True)
class Written:
    """A number as written. `unit`: the worth of its last digit. `digits`: how many significant ones are shown, trailing
    zeros of a whole number not counted. `percent`: `value` and `unit` are hundredths of what is written."""

    text: str
    start: int
    end: int
    value: Fraction
    unit: Fraction
    digits: int
    whole: bool
    percent: bool = False
    approximate: bool = False

    def fits(self, value: float) -> bool:
        """Whether a value, rounded to the digits shown, is this number."""
        return abs(Fraction(value) - self.value) <= self.unit / 2 if abs(value) < 1e300 else False


def find_numbers(text: str) -> list[Written]:
    """The numbers in a text, left to right; digits that are part of a word (`fc1`, `float16`) are none."""
    found: list[Written] = []
    for match in _NUMBER.finditer(text):
        after = text[match.end() : match.end() + 1]
        if after and (after.isalpha() or after == "_") and not re.match(r"(?:×|x\b)", text[match.end() :]):
            continue
        if re.match(r"\.\d", text[match.end() :]):  # 1.2.3
            continue
        found.append(_written(text, match))
    return found


def read_number(text: str) -> Written | None:
    """A whole text as one number, with its sign; None where it is something else."""
    found = find_numbers(text)
    return found[0] if len(found) == 1 and text.strip(" *`$") in (text[found[0].start : found[0].end],) else None


def _written(text: str, match: re.Match[str]) -> Written:
    digits = re.sub(r"[,\u2009\u202f]", "", match["digits"])
    exponent = match["e"] or match["caret"] or "".join(_SUPER[c] for c in match["super"] or "") or "0"
    scale = Fraction(10) ** max(-400, min(400, int(exponent.replace("−", "-"))))
    places = len(digits.partition(".")[2])
    value, unit = Fraction(digits) * scale, Fraction(1, 10**places) * scale
    start, end = match.start(), match.end()
    if _signed(text, start):
        start = len(text[:start].rstrip(" ")) - 1 if text[start - 1] == " " else start - 1
        value = -value
    percent = re.match(r"\s?\\?%|\s?percent\b|\s?per cent\b", text[end:])
    if percent:
        end += len(percent[0])
        value, unit = value / 100, unit / 100
    significant = digits.replace(".", "").lstrip("0")
    whole = "." not in digits and scale == 1
    shown = len(significant.rstrip("0") if whole else significant)
    return Written(
        text[start:end], start, end, value, unit, shown, whole, bool(percent), bool(_APPROXIMATE.search(text[:start]))
    )


def _signed(text: str, start: int) -> bool:
    """Whether the minus before a number is its sign: nothing that it could be taken from stands before that."""
    if start == 0 or text[start - 1] not in "-−–":
        return False
    before = text[: start - 1]
    if before.endswith(("e", "E")) or (before and (before[-1].isalnum() or before[-1] in ")]}_")):
        return False
    gap = before.rstrip(" ")
    # `3 -2` is no subtraction in prose, `3 − 2` is; here the minus touches its number.
    return not (text[start - 1] == "–" and gap[-1:].isdigit())
