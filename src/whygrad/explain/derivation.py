"""The answer to a why, as inert data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from whygrad.rules.expr import Dot, Expr, sums
from whygrad.trace.model import Phase, Source

if TYPE_CHECKING:
    from whygrad.explain.check import Checked

Role: TypeAlias = Literal[
    "parameter", "gradient", "input", "target", "activation", "hyperparameter", "constant", "state"
]
VerdictKind: TypeAlias = Literal["same bits", "replayed", "opaque", "differs", "given", "not asked"]


@dataclass(frozen=True)
class Verdict:
    """`given`: nothing to check (an input, an initial value, a hyperparameter). `not asked`: beyond the asked depth. `ulp`
    is how far the equation is from the recorded bits (0 for same bits). `how` names the order of summation or the
    algorithm that gave the bits; `reason` says why a value differs or is opaque."""

    kind: VerdictKind
    ulp: int | None = None
    how: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Rounding:
    """What the equation gives in exact arithmetic on the recorded operands: decimal text (`exact` False: cut off after
    many digits, an irrational number), and (value − exact)/ulp."""

    exact_result: str
    ulp: float
    exact: bool = True


@dataclass(frozen=True)
class Term:
    """One term of a long sum: numbers of its operands in `operands`, its product, and its place in the sum."""

    place: int
    factors: tuple[int, ...]
    product: float


@dataclass(frozen=True)
class SumInfo:
    """A long sum, cut to its largest terms: `count` terms in all, `rest` the sum of those not shown."""

    count: int
    terms: tuple[Term, ...]
    rest: float
    rest_count: int
    init: bool


@dataclass(frozen=True)
class Derivation:
    """Why a scalar is what it is. `value` is exact in a Python float (or int, bool). `label` is the short name used inside
    equations (`∂loss/∂prediction`, `lr`). `equation`'s `Var(k)` is `operands[k]`; for a long sum `sum` tells which terms
    stand in `operands`, `more_sums` for the equation's other ones. `via` lists ops that only moved the number; `more` is
    True where operands exist but the asked depth ended."""

    address: str
    label: str
    value: float | int | bool
    format: str
    bits: str
    role: Role
    phase: Phase
    verdict: Verdict
    op: str = ""
    equation: Expr | None = None
    rounding: Rounding | None = None
    operands: tuple[Derivation, ...] = ()
    sum: SumInfo | None = None
    more_sums: tuple[SumInfo, ...] = ()
    source: Source | None = None
    module: str = ""
    gradient_of: str = ""
    node: str = ""
    via: tuple[str, ...] = ()
    more: bool = False
    note: str = ""
    evaluation: Checked | None = None

    def sum_of(self, dot: Dot) -> SumInfo | None:
        """What is known of one sum of the equation; None where nothing is."""
        infos = (self.sum, *self.more_sums)
        dots = [] if self.equation is None else sums(self.equation)
        place = next((k for k, each in enumerate(dots) if each is dot), 0)
        return infos[place] if place < len(infos) else None
