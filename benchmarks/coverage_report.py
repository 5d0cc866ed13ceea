"""What was asked of PyTorch's databases, in tables."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from benchmarks.coverage_ask import KINDS, Outcome
from benchmarks.coverage_bars import bars_table, by_name, counted, exceptions, why_left_out
from benchmarks.coverage_ops import DTYPES
from benchmarks.report import Table, share

ON_SUMS = (
    "A sum of several terms has the same bits only in an order of summation that its kernel's neighbouring elements, or the "
    "kernel itself when it is asked with other numbers, speak for. Fourier transforms are the one exception: their equation "
    "is the exact sum, rounded once, and where it has the recorded bits no order was chosen at all."
)


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
    suites = {name: [o for o in outcomes if o.case.suite == name] for name in ("ops", "modules", "optimizers")}
    ops, modules, optimizers = suites.values()
    errors = _counted_lines(outcomes, lambda o: o.errors)
    far = _counted_lines(outcomes, lambda o: Counter(dict.fromkeys((f"`{op}`" for op in o.far), 1)))
    parts = ["" if errors == "None." else "## Errors in whygrad\n\n" + errors]
    parts += ["## What was to be reached", bars_table(outcomes).markdown()]
    for title, mine in (("Operators", ops), ("Modules", modules)):
        if mine:
            parts += [f"## {title}", summary_table(mine).markdown()]
    if optimizers:
        parts += ["## Optimizers", names_table(optimizers, "optimizer").markdown()]
    parts += ["## Exceptions", exceptions(outcomes)]
    if any(o.kinds["opaque"] or o.kinds["differs"] for o in outcomes):
        parts += [
            "## Where opaque and differing numbers come from",
            work_table(outcomes).markdown(),
            "Equations that do not come near their number (counted as opaque):",
            far,
        ]
    parts += ["## Where the equation does not give the last bit", ON_SUMS, replayed_table(outcomes).markdown()]
    for title, mine, head in (("Every operator", ops, "operator"), ("Every module", modules, "module")):
        if mine:
            parts += [f"## {title}", names_table(mine, head).markdown()]
    parts += [
        "## Not counted",
        "Not deterministic, and not in the figures above:",
        random_lines(ops),
        "What the program itself raised, or its samples, with nothing recorded (skipped):",
        _counted_lines(outcomes, lambda o: o.skipped),
        f"The slowest cases: {slowest(outcomes)}.",
    ]
    return "\n\n".join(part for part in parts if part)


def slowest(outcomes: Sequence[Outcome], most: int = 5) -> str:
    """The cases that took longest, with their seconds."""
    found = sorted(outcomes, key=lambda o: -o.seconds)[:most]
    return ", ".join(f"`{o.case.name}` ({o.case.dtype}) {o.seconds:.0f} s" for o in found)
