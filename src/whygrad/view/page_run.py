"""A practitioner's run at a glance: its modules as a tree, each tensor's statistics as sparklines, what went wrong.

Everything comes from the table (all steps) and from the last kept step (names and shapes); no numbers of tensors are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from whygrad.errors import WhygradError
from whygrad.findings.flags import Flag, flags
from whygrad.trace.history import History
from whygrad.trace.model import Step
from whygrad.trace.statistics import Statistics
from whygrad.trace.store import Trace
from whygrad.view.flags import MOST, flag_dicts
from whygrad.view.numbers import about, number, typographic
from whygrad.view.stories import spans
from whygrad.view.tiles import Recorded, Tiles, tiles_of

__all__ = ["embedded", "run_map"]

MOST_POINTS = 60
"""Points of a sparkline; of a longer run each stands for several steps."""
_SPARKS = {
    "gradNorm": ("grad_norm",),
    "updateRatio": ("update_ratio",),
    "lost": ("lost",),
    "nonfinite": ("nonfinite_grad", "nonfinite"),
}
"""Statistics of a tensor that a sparkline shows; of several, their sum."""
_LOGARITHMIC = ("gradNorm", "updateRatio")

Numbers = list[float | None]
About = tuple[str, str, tuple[int, ...], str]
"""Name, role, shape and format of a tensor."""


def run_map(run: Recorded, found: tuple[Flag, ...] | None = None, file: str = "") -> dict[str, Any]:
    """The `RunMap` of the page, for a Run or an Explainer. `found`: its flags, where they are known; `file`: the saved run's
    name as a shell's word, for commands."""
    trace = run.trace
    history, step = trace.history, _last_step(trace)
    kept = [info.number for info in trace.index if info.kept and info.complete]
    statistics = trace.statistics
    tensors = [_tensor(each, statistics, history.steps, kept) for each in _tensors(step, statistics)]
    buckets = _buckets(len(history.steps))
    return {
        "modules": _modules(tensors, step),
        "tensors": tensors,
        "flags": flag_dicts(flags(trace) if found is None else found, file),
        "steps": [history.steps[bucket.stop - 1] for bucket in buckets],
        "loss": _loss(history, buckets),
        "note": " ".join(each for each in (_note(trace, kept), _no_statistics(statistics)) if each),
    }


def embedded(
    run: Recorded, limit: int, found: tuple[Flag, ...] | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """What a saved page holds of the tensors, in at most `limit` bytes of JSON: of the last kept step each tensor's whole
    tile (values first, then gradients and updates), and addresses worth a why, the most important first: those of the
    shown flags, then the largest elements of each tensor. `found`: the flags, where they are known."""
    trace = run.trace
    flagged = (flags(trace) if found is None else found)[:MOST]
    addresses = dict.fromkeys(flag.address for flag in flagged if flag.address)
    step = _last_step(trace)
    if step is None:
        return [], list(addresses)
    looks, tiles = tiles_of(run), list[dict[str, Any]]()
    names = [name for name, role, *_ in _tensors(step, Statistics()) if role == "parameter"]
    others = [name for name, role, *_ in _tensors(step, Statistics()) if role != "parameter"]
    wanted = [(name, "value") for name in names] + [(name, "grad") for name in names]
    wanted += [(name, "value") for name in others] + [(name, "update") for name in names]
    tops: list[list[str]] = []
    for name, what in wanted:
        whole = _whole_tile(looks, name, what, step.number)
        if whole is None:
            continue
        limit -= _size(whole)
        if limit < 0:
            break
        tiles.append(whole)
        tops.append([each["address"] for each in whole["top"]])
    for place in range(max(map(len, tops), default=0)):
        addresses |= dict.fromkeys(each[place] for each in tops if place < len(each))
    return tiles, list(addresses)


def _whole_tile(looks: Tiles, name: str, what: str, step: int) -> dict[str, Any] | None:
    """None where the tensor has no such numbers: no gradient, or let go and not to be had again."""
    try:
        return looks.tile(name, what, step, 0, 0, 0)
    except WhygradError:
        return None


def _size(tile: dict[str, Any]) -> int:
    texts = sum(len(text) + 3 for text in tile["texts"] or ())
    return 400 + len(tile["cells"]) + texts + sum(len(each["address"]) + 40 for each in tile["top"])


def _last_step(trace: Trace) -> Step | None:
    kept = [info for info in trace.index if info.kept]
    whole = [info for info in kept if info.complete] or kept
    return trace.step(whole[-1].number) if whole else None


def _note(trace: Trace, kept: list[int]) -> str:
    count = len(trace.history.steps)
    if len(kept) >= count:
        return ""
    most = f"Tensors can be looked at in {'step' if len(kept) == 1 else 'steps'} {spans(kept)}" if kept else (
        "No step was kept, so no tensor can be looked at"
    )  # fmt: skip
    why = next((info.why_not for info in trace.index if not info.kept), "")
    if why == "budget":
        return f"{most}: the budget of {trace.info.budget:,} bytes kept no more. A larger --budget, or --steps, keeps others."
    return f"{most}: --steps {trace.info.steps_option} kept no more. --steps all, or --steps with their numbers, keeps others."


def _no_statistics(statistics: Statistics) -> str:
    if statistics.rows:
        return ""
    return "This run has no statistics of its tensors (norms, lost updates): it was recorded without them; record it again."


# ---- tensors


def _tensors(step: Step | None, statistics: Statistics) -> list[About]:
    """Each parameter, then each module's output."""
    found: dict[str, About] = {}
    for kind, role in (("before", "parameter"), ("parameter", "parameter"), ("module", "activation")):
        for name in step.names if step is not None else ():
            value = step.values[name.value] if step is not None else None
            if name.kind == kind and value is not None and name.text and name.text not in found and value.numel:
                shape = value.shape[:-1] if value.is_complex else value.shape
                found[name.text] = (name.text, role, shape, value.dtype)
    for name in statistics.tensors:
        found.setdefault(name, (name, "parameter", (), ""))
    return list(found.values())


def _tensor(about: About, statistics: Statistics, steps: list[int], kept: list[int]) -> dict[str, Any]:
    name, role, shape, fmt = about
    sparks: dict[str, Any] = dict.fromkeys(_SPARKS)
    if role == "parameter" and name in statistics.tensors:
        for key, kinds in _SPARKS.items():
            numbers = _in_order(_sum([statistics.column(name, kind) for kind in kinds]), statistics.steps, steps)
            sparks[key] = _spark(numbers, _buckets(len(steps)), key, partial(_text, key))
    return {
        "name": name,
        "role": role,
        "shape": list(shape),
        "format": fmt,
        "numel": f"{math.prod(shape):,}" if fmt else "",
        "sparks": sparks,
        "steps": kept if fmt else [],
    }


def _sum(columns: list[Numbers]) -> Numbers:
    return [sum(known) if (known := [x for x in row if x is not None]) else None for row in zip(*columns, strict=True)]


def _in_order(numbers: Numbers, theirs: list[int], steps: list[int]) -> Numbers:
    """A number a row of the table, whose steps are `steps`."""
    if theirs == steps:
        return numbers
    known = dict(zip(theirs, numbers, strict=True))
    return [known.get(step) for step in steps]


# ---- sparklines


def _buckets(count: int) -> list[slice]:
    """Rows of the table that a point of a sparkline stands for."""
    most = min(count, MOST_POINTS)
    return [slice(count * i // most, count * (i + 1) // most) for i in range(most)]


def _loss(history: History, buckets: list[slice]) -> dict[str, Any]:
    loss = next((column for column in history.columns if column.kind == "loss"), None)
    found = None
    if loss is not None:
        found = _spark(history.column(loss.name), buckets, "loss", lambda x: typographic(number(x, loss.format)))
    note = "No loss was recorded: no scalar was differentiated."
    return found or {"points": [], "first": "", "last": "", "low": "", "high": "", "note": note}


def _spark(numbers: Numbers, buckets: list[slice], key: str, text: Callable[[float], str]) -> dict[str, Any] | None:
    """The numbers as a line between 0 and 1: losses, shares and counts as they are, norms and ratios by their logarithms.
    None where there is none."""
    shown = [x for x in numbers if x is not None]
    if not shown:
        return None
    finite = [x for x in shown if math.isfinite(x)]
    heights = [h for x in finite if (h := _height(x, key)) is not None]
    low, high = min(heights, default=0.0), max(heights, default=0.0)
    if key in ("lost", "nonfinite"):
        low, high = 0.0, 1.0 if key == "lost" else high
    points = [_point(numbers[bucket], key, low, high) for bucket in buckets]
    return {
        "points": points,
        "first": text(shown[0]),
        "last": text(shown[-1]),
        "low": text(min(finite)) if finite else "",
        "high": text(max(finite)) if finite else "",
        "note": "",
    }


def _height(x: float, key: str) -> float | None:
    if key not in _LOGARITHMIC:
        return x
    return math.log10(x) if x > 0 else None


def _point(numbers: Numbers, key: str, low: float, high: float) -> float | None:
    """The place of the largest of a few steps' numbers; None (a gap) where one is not finite, or none is there."""
    known = [x for x in numbers if x is not None]
    if not known or not all(map(math.isfinite, known)):
        return None
    height = _height(max(known), key)
    if height is None or (height == low and key == "nonfinite"):
        return 0.0
    return round((height - low) / (high - low), 3) if high > low else 0.5


def _text(key: str, x: float) -> str:
    """A statistic: counts as they are, shares in hundredths, all else to three digits."""
    if key == "nonfinite":
        return f"{int(x):,}"
    return f"{about(100 * x)} %" if key == "lost" else about(x)


# ---- the tree


@dataclass
class _Branch:
    path: str
    below: dict[str, _Branch] = field(default_factory=dict[str, "_Branch"])
    tensors: list[int] = field(default_factory=list[int])

    def at(self, path: str) -> _Branch:
        """The branch of a module's path below this one, made where it is new."""
        here = self
        for part in path.split(".") if path else ():
            if part not in here.below:
                here.below[part] = _Branch(f"{here.path}.{part}" if here.path else part)
            here = here.below[part]
        return here


def _modules(tensors: list[dict[str, Any]], step: Step | None) -> list[dict[str, Any]]:
    """Modules depth first, in the order in which they ran; numbered ones by their numbers."""
    root = _Branch("")
    for op in step.ops if step is not None else ():
        root.at(op.module)
    for place, tensor in enumerate(tensors):
        name: str = tensor["name"]
        owner = name.rpartition(".")[0] if tensor["role"] == "parameter" else _output_of(name, root)
        root.at(owner).tensors.append(place)
    found: list[dict[str, Any]] = []
    _walk(root, 0, tensors, found)
    return found


def _output_of(name: str, root: _Branch) -> str:
    """The module that gave an output: its own name, or that without a suffix (`encoder.0` of a tuple)."""
    here, parts, path = root, name.split("."), list[str]()
    for part in parts:
        if part not in here.below:
            break
        here = here.below[part]
        path.append(part)
    return ".".join(path)


def _walk(branch: _Branch, depth: int, tensors: list[dict[str, Any]], found: list[dict[str, Any]]) -> int:
    line: dict[str, Any] = {"path": branch.path, "depth": depth, "kind": "", "tensors": branch.tensors}
    found.append(line)
    count = sum(math.prod(tensors[i]["shape"]) for i in branch.tensors if tensors[i]["role"] == "parameter")
    inner = list(branch.below.items())
    if all(part.isdigit() for part, _ in inner):
        inner.sort(key=lambda each: int(each[0]))
    for _, each in inner:
        count += _walk(each, depth + 1, tensors, found)
    line["numel"] = f"{count:,}"
    return count
