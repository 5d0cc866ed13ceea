"""An equation as a Python program that gives the very bits.

How a kernel rounds inside is not written in the equation: whether a product is fused into the sum, in which
order a short sum runs, whose exponential it is. So a program is written for each of a few ways, run, and the
first that gives the recorded bits is kept. What is handed out has therefore been run; when none gives the
bits, the program says how far off it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from whygrad.errors import OpaqueError
from whygrad.explain.derivation import Derivation
from whygrad.floats import FORMATS, round_to, ulp_distance
from whygrad.rules.expr import (
    Bin,
    Call,
    Case,
    Dot,
    Drawn,
    Expr,
    Fma,
    Kernel,
    Neg,
    Num,
    Python,
    Round,
    Var,
    walk,
)
from whygrad.view.equation import symbolic
from whygrad.view.numbers import exact_text, hex_text, number

__all__ = ["PythonForm", "derivation_python", "python_form"]

Sum = Literal["chain, start last", "chain, start first", "fused, start first", "fused, start last", "exact"]
_SUMS: tuple[Sum, ...] = (
    "chain, start last",
    "chain, start first",
    "fused, start first",
    "fused, start last",
    "exact",
)
_ROUNDS = ((False, False), (True, False), (True, True), (False, True))
_NUMPY = {"float16": "np.float16", "float32": "np.float32", "float64": "np.float64"}
_MATH = {
    "exp",
    "log",
    "log2",
    "log10",
    "log1p",
    "expm1",
    "tanh",
    "erf",
    "erfc",
    "sin",
    "cos",
    "sqrt",
    "floor",
    "ceil",
    "trunc",
}

_ROUNDED = '''
def rounded(x, bits, smallest):
    """x, rounded once (ties to even) to `bits` significant bits, exponents from `smallest` up."""
    if x == 0 or x - x != 0:  # a zero keeps its sign, an infinity and NaN stay
        return float(x)
    e = max(math.frexp(float(x))[1] - bits, smallest - bits + 1)
    return math.ldexp(round(Fraction(x) / Fraction(2) ** e), e)
'''


@dataclass(frozen=True)
class PythonForm:
    """`source` is a program that leaves the number in `result`, a float; `ulp` how far that is from the
    recorded bits."""

    source: str
    ulp: int


@dataclass(frozen=True)
class _Way:
    """`width`: where operations are computed. `narrow`: constants are rounded to the result's own format
    first; `each`: so is the result of every operation. (float16 `add` with an alpha: narrow in its vector
    body, both in its scalar one.)"""

    width: str
    narrow: bool = False
    each: bool = False
    fused: bool = False
    sum: Sum = "chain, start last"
    torch: bool = False


def derivation_python(derivation: Derivation) -> str:
    """The program's text. Raises OpaqueError as `python_form` does."""
    return python_form(derivation).source


def python_form(derivation: Derivation) -> PythonForm:
    """The program that gives the derivation's number.

    Raises OpaqueError where there is no equation, or where it sums terms that the derivation does not hold.
    """
    best: PythonForm | None = None
    for way in _ways(derivation):
        source = _Program(derivation, way).source()
        distance = _distance(_run(source), derivation)
        if best is None or distance < best.ulp:
            best = PythonForm(source, distance)
        if distance == 0:
            break
    assert best is not None, "there is at least one way"
    if best.ulp:
        return PythonForm(
            f"# {best.ulp} ulp off the recorded number: the kernel works in another order\n{best.source}",
            best.ulp,
        )
    return best


def _ways(derivation: Derivation) -> Iterator[_Way]:
    expr, fmt = derivation.equation, derivation.format
    if expr is None:
        why = "has no rule" if derivation.op else "was given to the program, not computed"
        raise OpaqueError(
            f"no equation for {derivation.address}: {derivation.op or 'it'} {why}. Ask one of its operands."
        )
    if derivation.sum is not None and derivation.sum.rest_count:
        raise OpaqueError(
            f"{derivation.address} sums {derivation.sum.count} terms and this answer holds only "
            f"{len(derivation.sum.terms)} "
            "of them, so no program can be written from it. Ask a value with a shorter sum."
        )
    nodes = walk(expr)
    width = "float64" if fmt == "float64" else "float32"
    rounds = _ROUNDS if fmt != width and fmt in FORMATS else _ROUNDS[:1]
    sums = _SUMS if any(isinstance(n, Dot) for n in nodes) else _SUMS[:1]
    torches = (
        (False, True) if any(isinstance(n, Call) and n.name not in ("abs", "max", "min") for n in nodes) else (False,)
    )
    for (narrow, each), torch, order, fused in product(rounds, torches, sums, (False, True)):
        yield _Way(width, narrow, each, fused, order, torch)


def _run(source: str) -> float:
    """Run a program of `_Program`: it holds numbers and arithmetic only, names stand in its comments."""
    space: dict[str, Any] = {}
    try:
        with np.errstate(all="ignore"):
            exec(compile(source, "<equation>", "exec"), space)
    except (ArithmeticError, ValueError):
        return math.nan
    return float(space["result"])


def _distance(result: float, derivation: Derivation) -> int:
    fmt, value = FORMATS.get(derivation.format), float(derivation.value)
    if result == value and math.copysign(1.0, result) == math.copysign(1.0, value):
        return 0
    if result != result or value != value or fmt is None:
        return 0 if result != result and value != value else 1 << 30
    return max(1, ulp_distance(round_to(result, fmt), value, fmt))


class _Program:
    """One program. `helpers` fills up with what the expression turns out to need."""

    def __init__(self, derivation: Derivation, way: _Way) -> None:
        self.derivation, self.way = derivation, way
        self.width = "f" + way.width.removeprefix("float")
        self.helpers: set[str] = set()
        self.used: set[int] = set()
        self.inside: list[int] | None = None
        self.names = _identifiers(derivation)

    def source(self) -> str:
        equation = self.derivation.equation
        assert equation is not None
        body = self.write(equation)
        values = [self._operand(k) for k in sorted(self.used)]
        last = self._rounded_result(body)
        comment = f"# {self.derivation.address} = {_line(symbolic(self.derivation))}"
        result = f"result = {last}  # {number(self.derivation.value, self.derivation.format)}"
        bits = hex_text(self.derivation.value, self.derivation.format)
        check = f"# exactly {exact_text(self.derivation.value)}, bits {bits}" if bits else ""
        return "\n".join([comment, *self._head(), *values, result, *([check] if check else [])]) + "\n"

    def _head(self) -> list[str]:
        head: list[str] = []
        if self.helpers & {"math", "rounded"}:
            head.append("import math")
        if self.helpers & {"Fraction", "rounded"}:
            head.append("from fractions import Fraction")
        head += ["", "import numpy as np"] if head else ["import numpy as np"]
        if "torch" in self.helpers:
            head.append("import torch")
        head += ["", f"{self.width} = {_NUMPY[self.way.width]}"]
        if "rounded" in self.helpers:
            head += ["", *_ROUNDED.splitlines(), ""]
        return [*head, ""]

    def _operand(self, k: int) -> str:
        operand = self.derivation.operands[k]
        literal = self._literal(float(operand.value))
        literal = literal if self._is_double(k) else f"{self.width}({literal})"
        return f"{self.names[k]} = {literal}  # {_line(operand.address)}"

    def _literal(self, value: float) -> str:
        return repr(value) if math.isfinite(value) else f'float("{value!r}")'

    def _is_double(self, k: int) -> bool:
        """A hyperparameter is a Python number: what is computed from it is computed in double precision
        first."""
        return self.derivation.operands[k].role == "hyperparameter"

    def _name(self, k: int) -> str:
        self.used.add(k)
        return self.names[k]

    def _rounded_result(self, body: str) -> str:
        fmt = self.derivation.format
        if fmt == self.way.width:
            return f"float({body})"
        if fmt in _NUMPY:
            return f"float({_NUMPY[fmt]}({body}))"
        known = FORMATS.get(fmt)
        if known is None:
            return f"float({body})"
        return self._round_exact(f"float({body})", fmt)

    def _round_exact(self, exact: str, fmt: str) -> str:
        self.helpers |= {"rounded", "Fraction"}
        known = FORMATS[fmt]
        return f"rounded({exact}, {known.precision}, {known.emin})"

    def write(self, expr: Expr) -> str:
        match expr:
            case Var(k):
                k = k if self.inside is None else self.inside[k] if k < 2 else k - 2
                return self._constant(self._name(k)) if self._is_double(k) else self._name(k)
            case Num(value, _) | Drawn(value, _):
                return self._constant(self._literal(float(value)))
            case Python(inner, value):
                return self._constant(self._double(inner, value))
            case Neg(a):
                return f"(-{self.write(a)})"
            case Case(_, inner, _) | Kernel(_, _, inner):
                return self.write(inner)
            case Round(a, fmt):
                return self._to_format(self.write(a), fmt)
            case Fma(a, b, c):
                return self._fma(self.write(a), self.write(b), self.write(c))
            case Bin():
                return self._binary(expr)
            case Call(name, args, _):
                return self._call(name, [self.write(arg) for arg in args])
            case Dot():
                return self._dot(expr)

    def _constant(self, text: str) -> str:
        """A Python number as the kernel takes it."""
        return self._to_format(text, self.derivation.format) if self.way.narrow else f"{self.width}({text})"

    def _double(self, expr: Expr, value: float) -> str:
        """What Python computed, as Python: `1 - beta1**3`; the bare number where that does not give it
        again."""
        operands = {
            self.names[e.k]: float(self.derivation.operands[e.k].value) for e in walk(expr) if isinstance(e, Var)
        }
        text = _double_text(expr, self.names)
        try:
            if text and eval(text, {"math": math}, operands) == value:
                self.used |= {e.k for e in walk(expr) if isinstance(e, Var)}
                self.helpers |= {"math"} if "math." in text else set()
                return text
        except (ArithmeticError, ValueError):
            pass
        return self._literal(value)

    def _binary(self, expr: Bin) -> str:
        if self.way.fused and expr.op in ("+", "-"):
            if isinstance(expr.b, Bin) and expr.b.op == "*":
                sign = "-" if expr.op == "-" else ""
                return self._fma(sign + self.write(expr.b.a), self.write(expr.b.b), self.write(expr.a))
            if isinstance(expr.a, Bin) and expr.a.op == "*":
                sign = "-" if expr.op == "-" else ""
                return self._fma(self.write(expr.a.a), self.write(expr.a.b), sign + self.write(expr.b))
        if expr.op == "**" and isinstance(expr.b, Num) and expr.b.value == 2:
            return self._each(f"({self.write(expr.a)} * {self.write(expr.a)})")
        return self._each(f"({self.write(expr.a)} {expr.op} {self.write(expr.b)})")

    def _each(self, operation: str) -> str:
        """One operation, its result rounded to the format of the whole where this way does so."""
        return self._to_format(operation, self.derivation.format) if self.way.each else operation

    def _to_format(self, inner: str, fmt: str) -> str:
        if fmt in _NUMPY:
            return f"{self.width}({_NUMPY[fmt]}({inner}))"
        return f"{self.width}({self._round_exact(f'float({inner})', fmt)})"

    def _fma(self, a: str, b: str, c: str) -> str:
        parts = " + ".join([" * ".join(f"Fraction(float({x}))" for x in (a, b)), f"Fraction(float({c}))"])
        return f"{self.width}({self._round_exact(parts, self.way.width)})"

    def _call(self, name: str, args: list[str]) -> str:
        inside = ", ".join(f"float({arg})" for arg in args)
        if name in ("abs", "max", "min"):
            return f"{self.width}({name}({inside}))"
        if self.way.torch:
            self.helpers.add("torch")
            tensors = ", ".join(f"torch.tensor(float({arg}), dtype=torch.{self.way.width})" for arg in args)
            return f"{self.width}(torch.{name}({tensors}).item())"
        self.helpers.add("math")
        if name in _MATH:
            return f"{self.width}(math.{name}({inside}))"
        one = f"{self.width}(1)"
        forms = {
            "sigmoid": f"({one} / ({one} + {self.width}(math.exp(-{inside}))))",
            "rsqrt": f"({one} / {self.width}(math.sqrt({inside})))",
            "pow": f"{self.width}(math.pow({inside}))",
            "sign": f"np.sign({args[0]})",
            "step": f"{self.width}({args[0]} > 0)",
            "rint": f"np.rint({args[0]})",
        }
        if name not in forms:
            raise OpaqueError(
                f"no Python form of {name!r} for {self.derivation.address}; its equation is {symbolic(self.derivation)}"
            )
        return forms[name]

    def _dot(self, dot: Dot) -> str:
        info = self.derivation.sum
        if info is None or not info.terms:
            raise OpaqueError(
                f"the answer for {self.derivation.address} does not hold the terms of its sum; ask its operands"
            )
        terms = [self._term(dot, term.factors) for term in sorted(info.terms, key=lambda t: t.place)]
        start = None if dot.init is None else self.write(dot.init)
        if self.way.sum == "exact":
            parts = [" * ".join(f"Fraction(float({x}))" for x in term) for term in terms]
            parts += [] if start is None else [f"Fraction(float({start}))"]
            return f"{self.width}({self._round_exact(' + '.join(parts), self.way.width)})"
        first = self.way.sum.endswith("first")
        total = start if first else None
        for term in terms:
            total = self._add_term(total, term)
        assert total is not None, "a sum has terms"
        return total if first or start is None else f"({total} + {start})"

    def _term(self, dot: Dot, factors: tuple[int, ...]) -> list[str]:
        """What is multiplied to make one term of the sum."""
        if dot.term is None:
            return [self._name(k) for k in factors]
        # Inside a term, Var(0) and Var(1) are the elements and the equation's own variables come after them.
        own = list(factors) if len(factors) == 2 else [factors[0], factors[0]]
        plain, self.inside = self.inside, own
        text = self.write(dot.term)
        self.inside = plain
        return [text]

    def _add_term(self, total: str | None, term: list[str]) -> str:
        if total is None:
            return f"({' * '.join(term)})"
        if self.way.sum.startswith("fused") and len(term) == 2:
            return self._fma(term[0], term[1], total)
        return f"({total} + {' * '.join(term)})"


def _double_text(expr: Expr, names: list[str]) -> str:
    """`expr` in Python's own numbers; empty for what has no such form."""
    match expr:
        case Var(k):
            return names[k]
        case Num(value, _):
            return str(int(value)) if float(value).is_integer() else repr(float(value))
        case Neg(a):
            return f"-{_double_text(a, names)}"
        case Bin(op, a, b):
            return f"({_double_text(a, names)} {op} {_double_text(b, names)})"
        case Call("sqrt", (a,), _):
            return f"math.sqrt({_double_text(a, names)})"
        case Python(a, _):
            return _double_text(a, names)
        case _:
            return ""


_GREEK = str.maketrans({"∂": "d", "β": "beta", "ε": "eps", "λ": "lambda", "₁": "1", "₂": "2", "−": "minus_"})


def _identifiers(derivation: Derivation) -> list[str]:
    """A valid and distinct Python name for each operand, after its label."""
    names: list[str] = []
    for operand in derivation.operands:
        text = re.sub(r"\W+", "_", (operand.label or operand.address).translate(_GREEK), flags=re.ASCII).strip("_")
        text = f"x_{text}" if not text or text[0].isdigit() else text
        plain, count = text, 2
        while text in names or text in _TAKEN:
            text, count = f"{plain}_{count}", count + 1
        names.append(text)
    return names


_TAKEN = {
    "np",
    "math",
    "torch",
    "result",
    "rounded",
    "Fraction",
    "f16",
    "f32",
    "f64",
    "lambda",
    "float",
    "abs",
    "max",
    "min",
}


def _line(text: str) -> str:
    """Text fit for a comment."""
    return " ".join(text.split())
