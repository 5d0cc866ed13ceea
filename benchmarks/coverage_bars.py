"""What coverage was to reach, whether it does, and what is known not to be explained, with the reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.coverage_ask import Outcome
from benchmarks.coverage_ops import DTYPES
from benchmarks.report import Table

DRAWS = "draws random numbers"
EMPTY = "gives memory that nothing has written"
NOT_OPAQUE = 0.95
SAME_BITS = {"float32": 0.85, "float64": 0.85, "float16": 0.97, "bfloat16": 0.97}


@dataclass(frozen=True)
class Known:
    """An ATen op whose numbers are opaque, or differ, in some of its calls. `dtypes`: of those alone; empty: of any."""

    reason: str
    dtypes: tuple[str, ...] = ()


_OFF = (
    "the function is known, but in float64 PyTorch's kernel is itself up to 10⁻⁷ of the value off, near its zeros 10⁻⁵ "
    "(measured against 40 digits): the function's value does not come near, so it is not given as the reason"
)
EXCEPTIONS = {f"aten.special_bessel_{name}": Known(_OFF, ("float64",)) for name in ("j0", "j1", "y0", "y1")}
"""By ATen op, without its overload."""


def by_name(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each operator, over its dtypes."""
    found: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.case.name].append(outcome)
    return dict(found)


def why_left_out(outcomes: Iterable[Outcome]) -> str:
    """Why an operator does not count as deterministic; empty where it does."""
    each = list(outcomes)
    if any(one.random for one in each):
        return DRAWS
    return EMPTY if any(one.unwritten for one in each) and not any(one.written for one in each) else ""


def counted(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those over which the figures are taken: of deterministic, differentiable operators that computed something."""
    named = by_name(outcomes)
    left_out = {name for name, each in named.items() if why_left_out(each)}
    return [o for each in named.values() for o in each if o.case.name not in left_out and o.differentiable and o.kinds]


def bars_table(outcomes: Sequence[Outcome]) -> Table:
    """Rows: what was to be reached; columns: what is, and whether that is enough. Deterministic, differentiable operators
    are counted equally."""
    rows: list[list[str]] = []
    ops = [o for o in counted(outcomes) if o.case.suite == "ops"]
    for dtype in [d for d in DTYPES if any(o.case.dtype == d for o in ops)]:
        mine = [o for o in ops if o.case.dtype == dtype]
        opaque, differs, same = (_mean(mine, kind) for kind in ("opaque", "differs", "same bits"))
        rows += [
            [
                f"operators, {dtype}",
                "replayed or better, but for the exceptions below",
                "100 %",
                *_reached(_explained(mine), 1.0),
            ],
            [f"operators, {dtype}", "not opaque", f"≥ {100 * NOT_OPAQUE:.0f} %", *_reached(1 - opaque, NOT_OPAQUE)],
            [
                f"operators, {dtype}",
                "same bits",
                f"≥ {100 * SAME_BITS[dtype]:.0f} %",
                *_reached(same, SAME_BITS[dtype]),
            ],
            [f"operators, {dtype}", "differs", "0 %", _percent(differs), _yes(not differs)],
        ]
    for suite in ("modules", "optimizers"):
        mine = [o for o in outcomes if o.case.suite == suite and o.kinds]
        if mine:
            opaque = sum(o.kinds["opaque"] + o.kinds["differs"] for o in mine)
            total = sum(o.kinds.total() for o in mine)
            rows.append([f"all {suite}", "not opaque", "100 %", *_reached(1 - opaque / total, 1.0)])
    return Table(["over", "share", "to be reached", "is", "reached"], rows, numbers=(3,))


def _mean(outcomes: Sequence[Outcome], kind: str) -> float:
    return sum(o.share(kind) for o in outcomes) / len(outcomes)


def _explained(outcomes: Sequence[Outcome]) -> float:
    """The share of operators all of whose numbers are replayed or better, or opaque for a reason that is listed."""
    return sum(not any(_reason(op, dtype) is None for op, dtype in _failures(o)) for o in outcomes) / len(outcomes)


def _failures(outcome: Outcome) -> Counter[tuple[str, str]]:
    """How many numbers of an (ATen op, dtype) are opaque or differ."""
    found: Counter[tuple[str, str]] = Counter()
    for (op, dtype, kind), count in outcome.ops.items():
        if kind in ("opaque", "differs"):
            found[op, dtype] += count
    return found


def _reason(op: str, dtype: str) -> str | None:
    known = EXCEPTIONS.get(op.rpartition(".")[0])
    return known.reason if known is not None and (not known.dtypes or dtype in known.dtypes) else None


def _reached(found: float, wanted: float) -> tuple[str, str]:
    return _percent(found), _yes(found >= wanted - 1e-12)


def _percent(part: float) -> str:
    if abs(part) < 1e-12 or abs(part - 1) < 1e-12:
        return f"{100 * round(part)} %"
    return f"{100 * min(max(part, 0.001), 0.999):.1f} %"


def _yes(reached: bool) -> str:
    return "yes" if reached else "**no**"


def stale(outcomes: Sequence[Outcome]) -> list[str]:
    """The listed ops none of whose numbers is opaque or differs any more, though some were asked about."""
    failing = {op.rpartition(".")[0] for o in outcomes for op, _ in _failures(o)}
    asked = {op.rpartition(".")[0] for o in outcomes for op, _, _ in o.ops}
    return [op for op in EXCEPTIONS if op in asked and op not in failing]


def exceptions(outcomes: Sequence[Outcome]) -> str:
    """Every ATen op that is opaque or differs somewhere, by the reason; those without one are said to have none; and
    reasons that are no longer needed."""
    found: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for outcome in outcomes:
        for (op, dtype), count in _failures(outcome).items():
            reason = _reason(op, dtype) or "**no reason is listed**"
            found[reason][op][f"`{outcome.case.name}` ({outcome.case.dtype})"] += count
    lines: list[str] = []
    for reason, ops in sorted(found.items()):
        each = [f"`{op}`, {sum(names.values())} in {_some(names)}" for op, names in sorted(ops.items())]
        lines.append("; ".join(each) + ": " + reason)
    lines += [f"`{op}` is listed as an exception, and is none any more." for op in stale(outcomes)]
    return "\n".join(f"- {line}" for line in lines) or "None."


def _some(names: Iterable[str], most: int = 4) -> str:
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
