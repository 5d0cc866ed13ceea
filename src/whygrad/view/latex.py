"""An equation in LaTeX, made from its text token by token."""

from __future__ import annotations

import re

from whygrad.explain.derivation import Derivation
from whygrad.view.equation import numeric, symbolic
from whygrad.view.numbers import number

__all__ = ["DIGITS", "TOKEN", "derivation_latex", "latex"]

_NAME = r"[^\W\d_](?:(?![⁰¹²³⁴⁵⁶⁷⁸⁹])[\w.:])*(?:\[[\w,]*\])*(?:\.grad)?"
TOKEN = re.compile(
    rf"(?P<partial>∂{_NAME}/∂{_NAME})|(?P<power>[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)|(?P<number>\d[\d.]*(?:e[+-]?\d+)?)"
    rf"|(?P<sum>Σᵢ)|(?P<name>∂?{_NAME})|(?P<other>.)"
)
DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_OTHER = {
    "·": r" \cdot ", "−": "-", "≈": r"\approx ", "…": r"\dots ",
    "%": r"\%", "#": r"\#", "&": r"\&", "_": r"\_", "{": r"\{", "}": r"\}",
}  # fmt: skip
_FUNCTIONS = {"exp", "log", "tanh", "sin", "cos", "max", "min"}
_GREEK = {"β₁": r"\beta_1", "β₂": r"\beta_2", "ε": r"\epsilon", "λ": r"\lambda", "σ": r"\sigma"}


def derivation_latex(derivation: Derivation) -> str:
    """The equation as three aligned lines, to stand between `$$`: names, numbers, result; the number alone
    where there is no equation."""
    result = latex(number(derivation.value, derivation.format).replace("-", "−", 1))
    left = latex(derivation.label or derivation.address)
    if derivation.equation is None:
        return f"{left} = {result}"
    lines = [f"{left} &= {latex(symbolic(derivation))}", f"&= {latex(numeric(derivation))}", f"&= {result}"]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def latex(text: str) -> str:
    """`w − lr · ∂loss/∂w` → LaTeX for the same, to stand between dollar signs."""
    whole = "".join(_token(match, text) for match in TOKEN.finditer(text))
    return re.sub(r" {2,}", " ", _roots(whole)).strip()


def _token(match: re.Match[str], text: str) -> str:
    token = match.group()
    match match.lastgroup:
        case "partial":
            above, below = token.split("/∂")
            return rf"\frac{{\partial {_name(above[1:])}}}{{\partial {_name(below)}}}"
        case "power":
            return f"^{{{token.translate(DIGITS)}}}"
        case "number":
            mantissa, e, power = token.partition("e")
            return rf"{mantissa} \cdot 10^{{{int(power)}}}" if e else token
        case "sum":
            return r"\sum_i "
        case "name":
            is_function = text[match.end() : match.end() + 1] == "("
            if is_function and token in _FUNCTIONS:
                return "\\" + token
            return rf"\operatorname{{{token}}}" if is_function and token not in _GREEK else _name(token)
        case _:
            return _OTHER.get(token, token)


def _name(text: str) -> str:
    if text.startswith("∂"):
        return r"\partial " + _name(text[1:])
    if text in _GREEK:
        return _GREEK[text]
    if len(text) == 1:
        return text
    head, bracket, index = text.partition("[")
    plain = head.replace("_", r"\_")
    subscript = f"_{{{index.rstrip(']')}}}" if bracket else ""
    return rf"\text{{{plain}}}{subscript}"


def _roots(text: str) -> str:
    """`√(a + b)` and `√a` → `\\sqrt{…}`."""
    while "√" in text:
        at = text.index("√")
        end = _group_end(text, at + 1)
        inside = text[at + 1 : end]
        if inside.startswith("(") and inside.endswith(")"):
            inside = inside[1:-1]
        text = text[:at] + rf"\sqrt{{{inside}}}" + text[end:]
    return text


def _group_end(text: str, start: int) -> int:
    """Where the operand that begins at `start` ends: a bracketed group, or everything up to a space."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] in "({[") - (text[place] in ")}]")
        if depth == 0 and (text[place] == ")" or text[place + 1 : place + 2] in ("", " ", ")", ",")):
            return place + 1
    return len(text)
