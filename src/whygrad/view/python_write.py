"""An equation written out as Python statements, in one of a few ways of rounding and adding.

A `Way` says how; `Program` writes. How a sum is written is handed in (`whygrad.view.python_sums`): term by term where
all terms are named, or over whole arrays. `whygrad.view.python` runs what is written here and chooses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from whygrad.errors import OpaqueError
from whygrad.explain.derivation import Derivation
from whygrad.floats import FORMATS
from whygrad.floats.elementary_special import SPECIAL
from whygrad.floats.summation import Order
from whygrad.rules.expr import Bin, Call, Case, Dot, Drawn, Expr, Fma, In, Kernel, Neg, Num, Python, Round, Var, walk
from whygrad.view.equation import symbolic
from whygrad.view.python_helpers import HELPERS, IMPORTS, fma_source, format_source
from whygrad.view.python_text import (
    GREEK,
    TAKEN,
    TAKEN_BY_SUMS,
    bare,
    comment_line,
    distinct,
    double_text,
    first_line,
    last_lines,
    literal,
)

__all__ = ["SUMS", "Program", "Sum", "SumWriter", "Way"]

Sum: TypeAlias = Literal["chain, start last", "chain, start first", "fused, start first", "fused, start last", "exact"]
SUMS: tuple[Sum, ...] = (
    "chain, start last",
    "chain, start first",
    "fused, start first",
    "fused, start last",
    "exact",
)
_NUMPY = {"float16": "np.float16", "float32": "np.float32", "float64": "np.float64"}
_MATH = {
    "exp", "log", "log2", "log10", "log1p", "expm1", "tanh", "erf", "erfc", "sin", "cos", "sqrt", "floor", "ceil",
    "trunc", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "exp2", "atan2", "hypot", "lgamma",
    "copysign", "fmod",
}  # fmt: skip
_IN_TORCH = {
    **{name: f"special.{name}" for name in SPECIAL if name.startswith(("bessel_", "i1", "i0e", "airy", "spherical"))},
    **{name: f"special.{name}" for name in SPECIAL if "polynomial" in name or name in ("zeta", "erfcx", "ndtri", "log_ndtr")},
    "bessel_k0": "special.modified_bessel_k0", "bessel_k1": "special.modified_bessel_k1",
    "bessel_k0e": "special.scaled_modified_bessel_k0", "bessel_k1e": "special.scaled_modified_bessel_k1",
}  # fmt: skip
"""torch's name of a function, where it has another."""


@dataclass(frozen=True)
class Way:
    """`width`: where operations are computed. `narrow`: constants are rounded to the result's own format
    first; `each`: so is the result of every operation. (float16 `add` with an alpha: narrow in its vector
    body, both in its scalar one.) `fused`: a·b + c is rounded once. `torch`: elementary functions are torch's.

    `sum`: how a short sum is written. `found`: everything is written as the explainer evaluated it; then sums run
    over whole arrays in `order` (None: exactly), flushing subnormal numbers only if `flush`, and `body` is the body of
    a kernel that was found."""

    width: str
    narrow: bool = False
    each: bool = False
    fused: bool = False
    sum: Sum = "chain, start last"
    torch: bool = False
    found: bool = False
    order: Order | None = None
    flush: bool = False
    body: int = 0
    choice: int = 0

    def order_of(self, dot: Dot) -> Order | None:
        """The order of one sum; None: exactly."""
        return dot.orders[min(self.choice, len(dot.orders) - 1)] if dot.orders else self.order


class Program:
    """One program. `helpers` fills up with what the expression turns out to need, `before` with the statements that
    must precede the last one. `sums` writes a sum and gives the expression for its total."""

    def __init__(self, derivation: Derivation, way: Way, sums: SumWriter) -> None:
        self.derivation, self.way, self.sums = derivation, way, sums
        self.width = "f" + way.width.removeprefix("float")
        self.helpers: set[str] = set()
        self.before: list[str] = []
        self.used: set[int] = set()
        self.element: Callable[[int], str] | None = None
        self.formats: set[str] = set()
        self.taken: set[str] = set(TAKEN_BY_SUMS if way.found else TAKEN)
        self.own: set[str] = set()
        self.names = [self.identifier(o.label or o.address) for o in derivation.operands]

    def identifier(self, label: str) -> str:
        """A valid Python name after a label, distinct from all others of this program."""
        text = re.sub(r"\W+", "_", label.translate(GREEK), flags=re.ASCII).strip("_")
        return distinct(f"x_{text}" if not text or text[0].isdigit() else text, self.taken)

    def new(self, name: str) -> str:
        """A name of the program's own: one of `TAKEN_BY_SUMS`, numbered from its second use on."""
        return distinct(name, self.own)

    def source(self) -> str:
        """The text. Raises OpaqueError where a function has no form in Python."""
        equation = self.derivation.equation
        assert equation is not None
        body = self.write(equation)
        last = self._rounded_result(body)
        values = [self._operand(k) for k in sorted(self.used)]
        return "\n".join([*self._head(), *values, *self.before, *last_lines(self.derivation, last)]) + "\n"

    def _head(self) -> list[str]:
        needs = {name for name, users in IMPORTS.items() if self.helpers & users}
        head = [first_line(self.derivation)]
        head += ["import math"] if "math" in needs else []
        head += ["from fractions import Fraction"] if "Fraction" in needs else []
        head += ["", "import numpy as np"] if len(head) > 1 else ["import numpy as np"]
        head += ["import torch"] if "torch" in needs else []
        head += ["", f"{self.width} = {_NUMPY[self.way.width]}"]
        texts = [text for name, text in HELPERS.items() if name in self.helpers]
        if "fma" in self.helpers:
            texts.append(fma_source(self.width, FORMATS[self.way.width]))
        texts += [format_source(self.width, FORMATS[name]) for name in sorted(self.formats)]
        for text in texts:
            head += ["", *text.splitlines()]
        head += [""] if texts else []
        return [*head, ""]

    def _operand(self, k: int) -> str:
        operand = self.derivation.operands[k]
        text = literal(float(operand.value))
        text = text if self._is_double(k) else f"{self.width}({text})"
        return f"{self.names[k]} = {text}  # {comment_line(operand.address)}"

    def _is_double(self, k: int) -> bool:
        """A hyperparameter is a Python number: what is computed from it is computed in double precision
        first."""
        return self.derivation.operands[k].role == "hyperparameter"

    def name(self, k: int) -> str:
        """Operand `k`, which the program then defines."""
        self.used.add(k)
        return self.names[k]

    def _rounded_result(self, body: str) -> str:
        fmt = self.derivation.format
        body = bare(body) if self.way.found else body
        if fmt == self.way.width:
            return f"float({body})"
        if fmt in _NUMPY:
            return f"float({_NUMPY[fmt]}({body}))"
        known = FORMATS.get(fmt)
        if known is None:
            return f"float({body})"
        return self.round_exact(f"float({body})", fmt)

    def round_exact(self, exact: str, fmt: str) -> str:
        """An exact number (a float, a Fraction), rounded once to a format, as a float."""
        self.helpers |= {"rounded", "Fraction"}
        known = FORMATS[fmt]
        return f"rounded({exact}, {known.precision}, {known.emin})"

    def write(self, expr: Expr) -> str:
        """An expression for `expr`."""
        match expr:
            case Var(k):
                if self.element is not None and k < 2:
                    return self.element(k)
                k = k if self.element is None else k - 2
                return self._constant(self.name(k)) if self._is_double(k) else self.name(k)
            case Num(value, _) | Drawn(value, _):
                return self._constant(literal(float(value)))
            case Python(inner, value):
                return self._constant(self._double(inner, value))
            case Neg(a):
                return f"(-{self.write(a)})"
            case Kernel() if self.way.found:
                return self.write(_body(expr, self.way))
            case Case(_, inner, _) | Kernel(_, _, inner):
                return self.write(inner)
            case Round():
                return self._rounded(expr)
            case In(fmt, a):
                return self._inside(fmt, a)
            case Fma(a, b, c):
                return self.fma(self.write(a), self.write(b), self.write(c))
            case Bin():
                return self._binary(expr)
            case Call(name, args, _):
                text = self._call(name, [self.write(arg) for arg in args])
                return self._each(text) if self.way.found else text
            case Dot():
                return self.sums(self, expr)

    def _rounded(self, expr: Round) -> str:
        match expr:
            case Round(Num(value, _), "float64") if self.way.found:
                return f"np.float64({literal(float(value))})"
            case Round(Num(value, _), fmt) if self.way.found:
                return self.to_format(literal(float(value)), fmt)
            case Round(Bin() as a, fmt) if self.way.found and self.way.each and fmt == self.derivation.format:
                return self.write(a)  # rounded already
            case Round(a, fmt):
                return self.to_format(self.write(a), fmt)

    def _inside(self, fmt: str, expr: Expr) -> str:
        """What a kernel computes in another format than the rest."""
        if fmt == self.way.width:
            return self.write(expr)
        raise OpaqueError(
            f"{self.derivation.address} is computed in {fmt} in part, and in {self.way.width} in part: that has no Python form "
            f"yet; its equation is {symbolic(self.derivation)}"
        )

    def _constant(self, text: str) -> str:
        """A Python number as the kernel takes it."""
        return self.to_format(text, self.derivation.format) if self.way.narrow else f"{self.width}({text})"

    def _double(self, expr: Expr, value: float) -> str:
        """What Python computed, as Python: `1 - beta1**3`; the bare number where that does not give it
        again."""
        operands = {
            self.names[e.k]: float(self.derivation.operands[e.k].value) for e in walk(expr) if isinstance(e, Var)
        }
        text = double_text(expr, self.names)
        try:
            if text and eval(text, {"math": math}, operands) == value:
                self.used |= {e.k for e in walk(expr) if isinstance(e, Var)}
                self.helpers |= {"math"} if "math." in text else set()
                return text
        except (ArithmeticError, ValueError):
            pass
        return literal(value)

    def _binary(self, expr: Bin) -> str:
        if self.way.fused and expr.op in ("+", "-"):
            if isinstance(expr.b, Bin) and expr.b.op == "*":
                sign = "-" if expr.op == "-" else ""
                return self.fma(sign + self.write(expr.b.a), self.write(expr.b.b), self.write(expr.a))
            if isinstance(expr.a, Bin) and expr.a.op == "*":
                sign = "-" if expr.op == "-" else ""
                return self.fma(self.write(expr.a.a), self.write(expr.a.b), sign + self.write(expr.b))
        if self.way.found and self.way.each and (isinstance(expr.a, Dot) or _is_wide(expr.b)):
            return self._wide(expr)
        if expr.op == "**" and isinstance(expr.b, Num) and expr.b.value == 2:
            return self._each(f"({self.write(expr.a)} * {self.write(expr.a)})")
        text = f"({self.write(expr.a)} {expr.op} {self.write(expr.b)})"
        if any(isinstance(side, Round) and side.format == "float64" for side in (expr.a, expr.b)):
            text = f"{self.width}({text})" if self.way.found else text
        return self._each(text)

    def _wide(self, expr: Bin) -> str:
        """A 16-bit kernel accumulates its sum in float32, and what meets a float32 there stays in float32."""
        left, own = self.write(expr.a), self.way
        if not isinstance(expr.b, Dot):
            self.way = replace(own, narrow=False, each=False)
        right, self.way = self.write(expr.b), own
        return f"({left} {expr.op} {right})"

    def _each(self, operation: str) -> str:
        """One operation, its result rounded to the format of the whole where this way does so."""
        return self.to_format(operation, self.derivation.format) if self.way.each else operation

    def to_format(self, inner: str, fmt: str) -> str:
        """`inner` rounded to a format, as a number of the width."""
        inner = bare(inner) if self.way.found else inner
        if fmt in _NUMPY:
            return f"{self.width}({_NUMPY[fmt]}({inner}))"
        if self.way.found:
            self.helpers |= {"rounded"}
            self.formats.add(fmt)
            return f"{fmt}({inner})"
        return f"{self.width}({self.round_exact(f'float({inner})', fmt)})"

    def fma(self, a: str, b: str, c: str) -> str:
        """`a·b + c`, rounded once."""
        if self.way.found:
            self.helpers |= {"fma", "rounded"}
            return f"fma({a}, {b}, {c})"
        parts = " + ".join([" * ".join(f"Fraction(float({x}))" for x in (a, b)), f"Fraction(float({c}))"])
        return f"{self.width}({self.round_exact(parts, self.way.width)})"

    def _call(self, name: str, args: list[str]) -> str:
        inside = ", ".join(f"float({arg})" for arg in args)
        if name in ("abs", "max", "min"):
            return f"{self.width}({name}({inside}))"
        if name == "where":
            return f"({args[1]} if {args[0]} else {args[2]})"
        if name in ("less", "equal"):
            return f"({args[0]} {'<' if name == 'less' else '=='} {args[1]})"
        if self.way.torch:
            self.helpers.add("torch")
            tensors = ", ".join(f"torch.tensor(float({arg}), dtype=torch.{self.way.width})" for arg in args)
            if name == "polygamma":
                tensors = f"int({args[0]}), {tensors.partition('), ')[2]}"
            return f"{self.width}(torch.{_IN_TORCH.get(name, name)}({tensors}).item())"
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


SumWriter: TypeAlias = Callable[[Program, Dot], str]


def _is_wide(expr: Expr) -> bool:
    return isinstance(expr, Round) and expr.format == "float32"


def _body(kernel: Kernel, way: Way) -> Expr:
    """The formula of the kernel's body that was found; of one that is known by name, its mathematics."""
    named = 1 if way.width == "float64" else max(1, 2 * len(kernel.names))
    return kernel.formula if way.body < named else kernel.others[min(way.body - named, len(kernel.others) - 1)]
