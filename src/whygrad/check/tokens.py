"""Text of a formula → tokens: plain, Unicode and LaTeX spellings of the same things come out alike."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, TypeAlias

from whygrad.errors import FormulaError

LONGEST = 2_000
"""Characters that a formula may have."""
Kind: TypeAlias = Literal[
    "number", "name", "derivative", "operator", "open", "close", "bar", "comma", "power", "frac", "end"
]

_CHAR = r"[^\W⁰¹²³⁴⁵⁶⁷⁸⁹]"
_LETTER = r"[^\W\d⁰¹²³⁴⁵⁶⁷⁸⁹]"
_MARK = "[\u0300-\u036f]"
_WORD = rf"{_LETTER}(?:{_CHAR}|{_MARK})*"
_MODULE = rf"(?:(?:\d+\.(?![eE][-+]?\d))*{_WORD}(?:\.(?:{_WORD}|\d+(?!\d*[eE]?[-+]?\d*\.\d)))*)"
_INDEX = r"\[[-−\d,\s]*\]"
_TAIL = rf"(?:\.(?:real|imag))?(?:\s?{_INDEX})*(?:\.(?:grad|real|imag))*(?:{_INDEX})*(?:@(?:init|[-−]?\d+))?"
_NAME = re.compile(rf"(?:(?:optimizer\.\w+|op\d+(?:\.\d+)?)\([\w.()~]+\)|{_MODULE}){_TAIL}")
_D = re.compile(rf"d\s?(L|[Ll]oss|J|E|C)\s?/\s?d\s?({_MODULE}{_TAIL})")
_NUMBER = re.compile(r"(?:\d+(?:[_\u2009\u202f]\d{3})*(?:\.\d*)?|\.\d+)(?:[eE][-+−]?\d+)?")
_UNDER = re.compile(rf"_(?:\{{([^{{}}]*)\}}|({_CHAR}))")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)")
_SUPER = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+", strict=True))
_OPERATORS = {
    "+": "+", "-": "-", "−": "-", "–": "-", "*": "*", "·": "*", "×": "*", "⋅": "*", "∗": "*", "⊙": "*", "•": "*", "/": "/",
    "÷": "/", "∕": "/", "^": "**", "**": "**",
}  # fmt: skip
_GREEK = {
    "eta": "η", "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "lambda": "λ",
    "mu": "μ", "sigma": "σ", "theta": "θ", "phi": "φ", "varphi": "φ", "pi": "π", "rho": "ρ", "nu": "ν", "tau": "τ",
    "omega": "ω", "ell": "ℓ",
}  # fmt: skip
_LATEX_OPERATORS = {"cdot": "*", "times": "*", "odot": "*", "ast": "*", "div": "/"}
_LATEX_FUNCTIONS = {"tanh", "exp", "log", "ln", "max", "min", "sin", "cos", "sqrt", "sum"}
_SPACE = {
    "left",
    "right",
    "big",
    "Big",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "quad",
    "qquad",
    "displaystyle",
    "limits",
} | set(",;:! ")
_FONTS = {"mathrm", "text", "mathbf", "operatorname", "mathit", "mathsf", "texttt", "boldsymbol", "bm"}
_ACCENTS = {"hat": "\u0302", "widehat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}
_BRACKETS = {"lvert": "|", "rvert": "|", "vert": "|"}


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is normal: `*` for any sign of multiplication; a name has its index; of a derivative, `of` and `by` in `pair`."""

    kind: Kind
    text: str
    start: int
    end: int
    pair: tuple[str, str] = ("", "")


def tokens(formula: str) -> list[Token]:
    """The tokens, an `end` last. Raises FormulaError."""
    if len(formula) > LONGEST:
        raise FormulaError(
            f"the formula has {len(formula)} characters; at most {LONGEST} are read.", formula[:60] + "…", 60
        )
    return _Reader(formula).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.found: list[Token] = []

    def read(self) -> list[Token]:
        while self.at < len(self.text):
            self.one()
        self.found.append(Token("end", "", len(self.text), len(self.text)))
        return self.found

    def add(self, kind: Kind, text: str, end: int, pair: tuple[str, str] = ("", "")) -> None:
        self.found.append(Token(kind, text, self.at, end, pair))
        self.at = end

    def one(self) -> None:
        text, at = self.text, self.at
        c = text[at]
        if c.isspace() or c in "$`" or text.startswith("\\%", at):
            self.percent() if c == "\\" else self.skip()
        elif c == "\\":
            self.command()
        elif c in _SUPER:
            end = at + 1
            while end < len(text) and text[end] in _SUPER:
                end += 1
            self.add("power", "".join(_SUPER[each] for each in text[at:end]), end)
        elif text.startswith("**", at):
            self.add("operator", "**", at + 2)
        elif c in _OPERATORS:
            self.add("operator", _OPERATORS[c], at + 1)
        elif c in "([{":
            self.add("open", c, at + 1)
        elif c in ")]}":
            self.add("close", c, at + 1)
        elif c == "|":
            self.add("bar", c, at + 1)
        elif c == ",":
            self.add("comma", c, at + 1)
        elif c == "%":
            self.percent()
        elif c in "√Σ∑":
            self.add("name", c, at + 1)
            if c != "√":
                self.limits()
        elif c == "∂":
            self.add("derivative", c, at + 1)
        elif not self.word(at):
            raise FormulaError(f"{c!r} is no part of a formula here.", text, at)

    def skip(self) -> None:
        self.at += 1

    def percent(self) -> None:
        """`4 %`, `4\\%`: told to the number before it."""
        before = self.found[-1] if self.found else None
        end = self.at + (2 if self.text[self.at] == "\\" else 1)
        if before is None or before.kind != "number":
            raise FormulaError("expected a number before '%'.", self.text, self.at)
        self.found[-1] = Token("number", before.text + "%", before.start, end)
        self.at = end

    def word(self, at: int) -> bool:
        """A number or a name; whether there was one."""
        derivative = _D.match(self.text, at)
        if derivative is not None:
            self.add("derivative", "d", derivative.end(), (derivative[1], _plain(derivative[2])))
            return True
        name, number = _NAME.match(self.text, at), _NUMBER.match(self.text, at)
        if name is not None:
            self.name(name[0], name.end())
            return True
        if number is not None:
            self.add("number", number[0], number.end())
        return number is not None

    def name(self, text: str, end: int) -> None:
        """A name, with what LaTeX sets below it: `w_{0,1}` is `w[0,1]`, `\\beta_1` and `β_{1}` are `β_1`."""
        start = self.at
        braced = len(text) > 1 and text.endswith("_") and self.text.startswith("{", end)
        under = _UNDER.match(self.text, end - 1 if braced else end)
        if braced and under is not None:
            text = text[:-1]
        if under is not None:
            inside = _strip(under[1] if under[1] is not None else under[2])
            listed = re.fullmatch(r"\s*\d+(?:\s*,\s*\d+)+\s*", inside)
            text, end = f"{text}[{inside}]" if listed else f"{text}_{inside}", under.end()
            tail = re.compile(_TAIL).match(self.text, end)
            assert tail is not None  # every part of it may be missing
            text, end = text + tail[0], tail.end()
        self.add("name", _plain(text), end)
        self.found[-1] = Token("name", _plain(text), start, end)

    def command(self) -> None:
        match = _COMMAND.match(self.text, self.at)
        if match is None:
            raise FormulaError("expected the name of a LaTeX command after '\\'.", self.text, self.at)
        name, end = match[1], match.end()
        if name in _LATEX_OPERATORS:
            self.add("operator", _LATEX_OPERATORS[name], end)
        elif name in _SPACE:
            self.at = end
        elif name in ("frac", "dfrac", "tfrac"):
            self.add("frac", name, end)
        elif name == "partial":
            self.add("derivative", "∂", end)
        elif name in _BRACKETS or name in ("|", "{", "}"):
            kind: Kind = "open" if name == "{" else "close" if name == "}" else "bar"
            self.add(kind, name if kind != "bar" else "|", end)
        elif name in _LATEX_FUNCTIONS:
            self.add("name", name, end)
            if name == "sum":
                self.limits()
        elif name in _GREEK:
            self.name(_GREEK[name], end)
        elif name in _FONTS or name in _ACCENTS:
            self.dressed(name, end)
        else:
            raise FormulaError(f"the LaTeX command '\\{name}' is not known here.", self.text, self.at)

    def dressed(self, command: str, end: int) -> None:
        """`\\hat{y}`, `\\mathrm{loss}`."""
        match = re.compile(r"\s*(?:\{([^{}]*)\}|(\w))").match(self.text, end)
        if match is None:
            raise FormulaError(f"expected a name in braces after '\\{command}'.", self.text, end)
        inside = _strip(match[1] if match[1] is not None else match[2])
        if not re.fullmatch(_NAME, inside.strip()):
            raise FormulaError(f"expected a name in braces after '\\{command}', found {inside!r}.", self.text, end)
        self.name(inside.strip() + _ACCENTS.get(command, ""), match.end())

    def limits(self) -> None:
        """What stands below and above a sum's sign: it runs over the examples, whatever its index is called."""
        match = re.compile(r"(?:\s*[_^](?:\{[^{}]*\}|\w)|[ᵢⱼₖₙ])*").match(self.text, self.at)
        if match is not None:
            self.at = match.end()


def _strip(text: str) -> str:
    """The inside of braces without LaTeX's fonts and escapes."""
    return re.sub(r"\\(?:mathrm|text|,|;)\s*|[{}\\]", "", text)


def _plain(text: str) -> str:
    """A name as addresses spell it: composed letters, ASCII minus, one pair of brackets, no blanks."""
    text = unicodedata.normalize("NFC", text).replace("−", "-")
    return re.sub(r"\s", "", text).replace("][", ",")
