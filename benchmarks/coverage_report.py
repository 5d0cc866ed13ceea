"""What was asked of PyTorch's databases, in tables."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from benchmarks.coverage_ask import KINDS, Outcome
from benchmarks.coverage_ops import DTYPES
from benchmarks.report import Table, share

BARS = (
    "Over deterministic differentiable operators, each counted equally: replayed or better 100 %, not opaque ≥ 95 %, same bits "
    "≥ 85 % in float32 and float64, ≥ 97 % in float16 and bfloat16; all optimizers not opaque."
)
DRAWS = "draws random numbers"
EMPTY = "gives memory that nothing has written"
WORK_ROWS = 60


def why_left_out(outcomes: Iterable[Outcome]) -> str:
    """Why an operator does not count as deterministic; empty where it does."""
    each = list(outcomes)
    if any(one.random for one in each):
        return DRAWS
    return EMPTY if any(one.unwritten for one in each) and not any(one.written for one in each) else ""


def by_name(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each operator, over its dtypes."""
    found: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.case.name].append(outcome)
    return dict(found)


def counted(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those over which the figures are taken: of deterministic, differentiable operators that computed something."""
    named = by_name(outcomes)
    left_out = {name for name, each in named.items() if why_left_out(each)}
    return [o for each in named.values() for o in each if o.case.name not in left_out and o.differentiable and o.kinds]


def summary_table(outcomes: Sequence[Outcome]) -> Table:
    """Rows: dtype, each operator counted equally and all scalars pooled; columns: the shares of the verdicts."""
    rows: list[list[str]] = []
    chosen = counted(outcomes)
    for dtype in [d for d in DTYPES if any(o.case.dtype == d for o in chosen)]:
        mine = [o for o in chosen if o.case.dtype == dtype]
        equal = [percent(sum(o.share(kind) for o in mine) / len(mine)) for kind in KINDS]
        rows.append([dtype, "each operator equally", str(len(mine)), *equal])
        pooled = sum((o.kinds for o in mine), Counter[str]())
        shares = [share(pooled[kind], pooled.total()) for kind in KINDS]
        rows.append([dtype, "all scalars", str(pooled.total()), *shares])
    return Table(["dtype", "counted", "number", *KINDS], rows, numbers=(2, 3, 4, 5, 6))


def percent(part: float) -> str:
    """A share, 100 % and 0 % only where exact."""
    if part in (0.0, 1.0) or math.isclose(part, 1.0, abs_tol=1e-12):
        return f"{100 * part:.0f} %"
    return f"{min(max(100 * part, 0.1), 99.9):.1f} %"


def cell(outcome: Outcome | None) -> str:
    """Whole percents of the four verdicts: `96/4/0/0`; one number where all are the same bits."""
    if outcome is None:
        return ""
    total = outcome.kinds.total()
    if not total:
        return "raises" if outcome.skipped else "–"
    if outcome.kinds["same bits"] == total:
        return "100"
    return "/".join(str(_whole(outcome.kinds[kind], total)) for kind in KINDS)


def _whole(part: int, total: int) -> int:
    return 0 if part == 0 else min(max(round(100 * part / total), 1), 99 if part < total else 100)


def names_table(outcomes: Iterable[Outcome], head: str) -> Table:
    """Rows: operators; columns: dtypes. `n` is how many scalars were asked, over all dtypes."""
    named = by_name(outcomes)
    dtypes = [d for d in DTYPES if any(o.case.dtype == d for each in named.values() for o in each)]
    rows: list[list[str]] = []
    for name in sorted(named, key=str.lower):
        found = {o.case.dtype: o for o in named[name]}
        total = sum(o.kinds.total() for o in named[name])
        rows.append([f"`{name}`", str(total), *(cell(found.get(dtype)) for dtype in dtypes)])
    return Table([head, "n", *dtypes], rows, numbers=tuple(range(1, 2 + len(dtypes))))


def work_table(outcomes: Sequence[Outcome], kinds: Sequence[str] = ("opaque", "differs")) -> Table:
    """The ATen ops that opaque and differing scalars come from, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    dtypes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    names: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    reasons: dict[tuple[str, str], str] = {}
    for outcome in outcomes:
        for (op, dtype, kind), count in outcome.ops.items():
            if kind in kinds:
                counts[op, kind] += count
                dtypes[op, kind][dtype] += count
                names[op, kind][outcome.case.name] = None
                reasons.setdefault((op, kind), outcome.reasons[op, dtype, kind])
    rows = [
        [
            f"`{op}`",
            kind,
            str(count),
            ", ".join(f"{dtype} {n}" for dtype, n in dtypes[op, kind].most_common()),
            listed(names[op, kind], 6),
            brief(reasons[op, kind]),
        ]
        for (op, kind), count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    return Table(["ATen op", "verdict", "scalars", "in", "asked by", "first reason"], rows, numbers=(2,))


def listed(names: Iterable[str], most: int) -> str:
    """Names with a comma, and how many more there are."""
    every = list(names)
    rest = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(f"`{name}`" for name in every[:most]) + rest


def brief(reason: str) -> str:
    """A reason that fits a cell."""
    text = reason.replace("|", "∣").replace(
        "replayed: the op, run again on the recorded operands, gives the very bits", "replayed"
    )
    return text if len(text) <= 160 else text[:159] + "…"


def replayed_table(outcomes: Sequence[Outcome]) -> Table:
    """The ATen ops whose equation is not the same bits, the most frequent first, with the most ULP."""
    table = work_table(outcomes, ("replayed",))
    worst: dict[str, int] = {}
    for outcome in outcomes:
        for op, ulp in outcome.worst.items():
            worst[f"`{op}`"] = max(worst.get(f"`{op}`", 0), ulp)
    rows = [[row[0], *row[2:5], str(worst.get(row[0], 0))] for row in table.rows]
    return Table(["ATen op", "scalars", "in", "asked by", "most ULP"], rows, numbers=(1, 4))


def exceptions(outcomes: Sequence[Outcome]) -> str:
    """Every operator that is opaque or differs somewhere, with the ATen ops it is about."""
    lines: list[str] = []
    for name, each in sorted(by_name(outcomes).items()):
        found: Counter[tuple[str, str]] = Counter()
        for outcome in each:
            for (op, _, kind), count in outcome.ops.items():
                if kind in ("opaque", "differs"):
                    found[kind, op] += count
        if found:
            parts = ", ".join(f"{kind} `{op}` {count}" for (kind, op), count in found.most_common())
            lines.append(f"- `{name}`: {parts}")
    return "\n".join(lines) or "None."


def _counted_lines(outcomes: Iterable[Outcome], pick: Callable[[Outcome], Counter[str]]) -> str:
    lines: dict[str, dict[str, None]] = defaultdict(dict)
    for outcome in outcomes:
        for text in pick(outcome):
            lines[re.sub(r"0x[0-9a-f]+", "0x…", text)][f"{outcome.case.name} ({outcome.case.dtype})"] = None
    return "\n".join(f"- {text}: {listed(names, 4)}" for text, names in sorted(lines.items())) or "None."


def random_lines(outcomes: Iterable[Outcome]) -> str:
    """The operators that are not deterministic, by reason."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, each in by_name(outcomes).items():
        reason = why_left_out(each)
        if reason:
            found[reason].append(name)
    return "\n".join(f"- {reason}: {listed(names, 1000)}" for reason, names in found.items()) or "None."


def page(outcomes: Sequence[Outcome]) -> str:
    """All of it, in markdown."""
    ops = [o for o in outcomes if o.case.suite == "ops"]
    modules = [o for o in outcomes if o.case.suite == "modules"]
    optimizers = [o for o in outcomes if o.case.suite == "optimizers"]
    errors = _counted_lines(outcomes, lambda o: o.errors)
    far = _counted_lines(outcomes, lambda o: Counter(dict.fromkeys((f"`{op}`" for op in o.far), 1)))
    parts = ["" if errors == "None." else "## Errors in whygrad\n\n" + errors]
    for title, mine in (("Operators", ops), ("Modules", modules)):
        if mine:
            parts += [f"## {title}", summary_table(mine).markdown()]
    if optimizers:
        parts += ["## Optimizers", names_table(optimizers, "optimizer").markdown()]
    parts += [
        "## Where opaque and differing numbers come from",
        work_table(outcomes).markdown(),
        "Equations that do not come near their number (counted as opaque):",
        far,
        "## Where the equation does not give the last bit",
        replayed_table(outcomes).markdown(),
    ]
    for title, mine, head in (("Every operator", ops, "operator"), ("Every module", modules, "module")):
        if mine:
            parts += [f"## {title}", names_table(mine, head).markdown()]
    parts += [
        "## Exceptions",
        exceptions(outcomes),
        "Not deterministic, and not in the figures above:",
        random_lines(ops),
        "What the program itself raised, or its samples, with nothing recorded (skipped):",
        _counted_lines(outcomes, lambda o: o.skipped),
    ]
    return "\n\n".join(part for part in parts if part)
