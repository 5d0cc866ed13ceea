"""Equations as data. A rule writes one down; `explain` evaluates it, `view` writes it out.

Variables are numbered: `Var(k)` is the equation's k-th operand. A long sum is one `Dot` over two series of operands, so
that a sum of thousands of terms is two index arrays and not thousands of nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from whygrad.floats.summation import Order


@dataclass(frozen=True, slots=True)
class Var:
    """The k-th operand."""

    k: int


@dataclass(frozen=True, slots=True)
class Num:
    """A constant of the mathematics (the 2 in `2·(a − b)`), or of the program. `text` says where it comes from: `n`,
    `1/n`; empty: show the number."""

    value: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Bin:
    """`a op b`, rounded once to the width of the computation."""

    op: Literal["+", "-", "*", "/", "**"]
    a: Expr
    b: Expr


@dataclass(frozen=True, slots=True)
class Neg:
    """`−a` (exact)."""

    a: Expr


@dataclass(frozen=True, slots=True)
class Fma:
    """`a·b + c`, rounded once."""

    a: Expr
    b: Expr
    c: Expr


@dataclass(frozen=True, slots=True)
class Call:
    """An elementary function: exp, log, log1p, expm1, sqrt, rsqrt, tanh, sigmoid, erf, abs, sign, max, min, … `variant`
    names an algorithm of `floats.elementary`; empty: any."""

    name: str
    args: tuple[Expr, ...]
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A branch: `condition` is the sentence that held (`x > 0`), `value` what follows from it, `otherwise` the text of
    the branch not taken."""

    condition: str
    value: Expr
    otherwise: str = "0"


@dataclass(frozen=True, slots=True)
class Round:
    """`a`, rounded to `format` in the middle of an equation."""

    a: Expr
    format: str


@dataclass(frozen=True, slots=True)
class In:
    """`a`, computed in `format` (operations round to it) inside an equation of another width: a kernel that keeps some
    numbers in double precision. Not rounded to the width of the rest: a `Round` around it does that."""

    format: str
    a: Expr


@dataclass(frozen=True, eq=False)
class Series:
    """Many elements of one tensor: operand number `operand` of the op, and an (n, ndim) array of their indices."""

    operand: int
    indices: np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True, eq=False)
class Dot:
    """`Σ aᵢ·bᵢ (+ init)`; without `b`: `Σ aᵢ`. With `term`, an expression whose `Var(0)`, `Var(1)` stand for aᵢ and bᵢ
    and whose other Vars, from 2 on, are the equation's own, each term is that instead (`Σ exp(aᵢ − max)`, `Σ (aᵢ − bᵢ)²`).
    A term of more than two tensors finds the elements of `more[0]`, `more[1]`, … as `Var(-1)`, `Var(-2)`, …
    `orders`: the orders of summation that this very sum may have had, most likely first; empty: those of the op
    (`rules.orders`). Sums of one equation are tried together: the k-th order of each."""

    a: Series
    b: Series | None = None
    init: Expr | None = None
    term: Expr | None = None
    more: tuple[Series, ...] = ()
    orders: tuple[Order, ...] = ()


@dataclass(frozen=True, slots=True)
class Python:
    """A number that the program computed in Python's double precision before it handed it to an op: `expr` says from
    what (`1 − β₁ᵗ`), `value` is the number that the op was given."""

    expr: Expr
    value: float


class Routine(Protocol):
    """Something a kernel computes from many numbers at once that is no sum in some order: a record of `floats`."""

    @property
    def text(self) -> str:
        """What it does, for users."""
        ...

    def results(self, arrays: tuple[np.ndarray[Any, Any], ...], kind: Any, /) -> tuple[float, ...]:
        """Its results on the numbers of its series, computed in `kind` (numpy's float32 or float64)."""
        ...


@dataclass(frozen=True, eq=False)
class Algorithm:
    """How a kernel computes its formula where no order of a sum describes it: `routine` on `series`, then `value`, whose
    `Var(-1)`, `Var(-2)`, … are the routine's results and whose other Vars are the equation's own."""

    routine: Routine
    series: tuple[Series, ...]
    value: Expr


@dataclass(frozen=True, slots=True)
class Kernel:
    """A pointwise kernel whose mathematics is `formula`, computed as `floats.elementary_composites.<name>` does it on
    `args`: the same function, rounded where the kernel rounds. `names` lists such functions, most likely first; `others`
    are orders of operations that a second body of the kernel uses for the same mathematics; `computed` is what the kernel
    does in place of evaluating `formula`."""

    names: tuple[str, ...]
    args: tuple[Expr, ...]
    formula: Expr
    others: tuple[Expr, ...] = ()
    computed: tuple[Algorithm, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A number that a random generator gave: `value` is the recorded one, `text` says from what it was drawn. No equation
    can check it; drawing again from the recorded state of the generator does."""

    value: float
    text: str


Expr: TypeAlias = "Var | Num | Bin | Neg | Fma | Call | Case | Round | In | Dot | Python | Kernel | Drawn"


def children(expr: Expr) -> tuple[Expr, ...]:
    """The expressions directly inside one."""
    match expr:
        case Bin(_, a, b):
            return (a, b)
        case Neg(a) | Round(a, _) | In(_, a) | Python(a, _) | Kernel(formula=a):
            return (a,)
        case Fma(a, b, c):
            return (a, b, c)
        case Call(_, args, _):
            return args
        case Case(_, value, _):
            return (value,)
        case Dot(init=init):
            return () if init is None else (init,)
        case Var() | Num() | Drawn():
            return ()


def sums(expr: Expr) -> list[Dot]:
    """The sums of an equation, in the order of `walk`; one that occurs again counts once."""
    return list({id(node): node for node in walk(expr) if isinstance(node, Dot)}.values())


def walk(expr: Expr) -> list[Expr]:
    """The expression and everything in it, outermost first."""
    found = [expr]
    for child in children(expr):
        found += walk(child)
    return found
