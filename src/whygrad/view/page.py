"""What the page shows of a run, as the `Page` of its contract (`web/src/types.ts`): which of the three levels, the table,
what happened, and for a saved page the explained numbers and a word on what was left out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal

from whygrad.errors import WhygradError
from whygrad.explain.chain import Chain, find_chain
from whygrad.explain.why import Explainer
from whygrad.findings.flags import Flag, flags
from whygrad.trace.store import Trace
from whygrad.view.flags import MOST
from whygrad.view.page_network import frame_addresses, network_view
from whygrad.view.page_neuron import is_neuron, neuron_cells, neuron_view
from whygrad.view.page_nodes import Collected, Progress, collect
from whygrad.view.page_run import embedded, run_map
from whygrad.view.page_story import story
from whygrad.view.page_table import page_table

__all__ = ["Level", "PageOptions", "level_of", "page_view", "saved_page"]

Level = Literal["neuron", "network", "run"]
MOST_UNITS, MOST_INPUTS = 200, 64
MOST_ROWS = 500
_NUMBERS = {"neuron": 6_000, "network": 4_000, "run": 2_500}
"""How many numbers are explained, unless said otherwise: a few seconds' work, of a large network a quarter of a minute's."""
_SPREAD = {"neuron": 300, "network": 20, "run": 2}
"""How many steps of a saved page can be asked, where there are more."""


@dataclass(frozen=True)
class PageOptions:
    """How a saved page is made. `steps`: those that can be asked (None: a choice of the kept ones); `most_bytes` of the whole
    page's data; `most_numbers` explained (None: as many as a page is worth waiting for); `level` None chooses by
    what was recorded."""

    steps: tuple[int, ...] | None = None
    most_bytes: int = 4_900_000
    most_numbers: int | None = None
    level: Level | None = None
    progress: Progress | None = None


def level_of(trace: Trace) -> Level:
    """Neuron, network or run, by what the last kept step's forward pass was."""
    kept = _kept(trace)
    chain = find_chain(trace.step(kept[-1])) if kept else None
    if is_neuron(chain):
        return "neuron"
    return "network" if chain is not None and _drawable(chain) else "run"


def _drawable(chain: Chain) -> bool:
    sizes = chain.sizes
    return sum(sizes[1:]) <= MOST_UNITS and sizes[0] <= MOST_INPUTS


def _kept(trace: Trace) -> list[int]:
    return [info.number for info in trace.index if info.kept and info.complete]


def page_view(
    explainer: Explainer,
    file: str = "",
    level: Level | None = None,
    steps: Iterable[int] | None = None,
    flagged: tuple[Flag, ...] | None = None,
) -> dict[str, Any]:
    """The `Page` of a run without its nodes, for a host that answers every why. `file` is the saved run's name; `steps` those
    that can be asked, otherwise all that were kept (of a network, a choice of them is drawn).
    `flagged`: the run's flags, where they are known.

    Raises WhygradError where `level` asks for a drawing that the run is not.
    """
    trace = explainer.trace
    kept = _kept(trace)
    chosen = kept if steps is None else list(steps)
    found: Level = level or level_of(trace)
    neuron = neuron_view(explainer, trace, _spread(chosen, MOST_ROWS)) if found == "neuron" else None
    network = network_view(explainer, trace, _spread(chosen, 40)) if found == "network" else None
    if (level == "neuron" and neuron is None) or (level == "network" and network is None):
        raise WhygradError(_no_such_level(level, kept))
    found = "neuron" if neuron else "network" if network else "run"
    columns = None if found != "run" else 40
    return {
        "version": 1,
        "level": found,
        "title": _title(trace, file),
        "about": _about(trace),
        "story": story(trace, explainer),
        "leftOut": [],
        "file": file,
        "steps": chosen,
        "table": page_table(trace.history, MOST_ROWS, chosen, columns),
        "neuron": neuron,
        "network": network,
        "run": run_map(explainer, flagged, _word(file)) if found == "run" else None,
        "live": None,
    }


def saved_page(explainer: Explainer, file: str, options: PageOptions | None = None) -> dict[str, Any]:
    """The `Page` of a run with its explained numbers, in at most `options.most_bytes` of JSON.

    Raises WhygradError as `page_view` does, and for a step that was not kept.
    """
    options = options or PageOptions()
    trace = explainer.trace
    level = options.level or level_of(trace)
    flagged = flags(explainer) if level == "run" else ()
    steps = _asked_steps(trace, options.steps, level)
    if options.steps is None:
        steps = sorted({*steps, *(flag.step for flag in flagged[:MOST] if flag.address)})
    page = page_view(explainer, file, options.level, steps, flagged)
    room = options.most_bytes - _size(page)
    tops: list[str] = []
    if page["run"] is not None:
        page["run"]["tiles"], tops = embedded(explainer, max(0, room // 3), flagged)
        room = options.most_bytes - _size(page)
    most = options.most_numbers or _NUMBERS[page["level"]]
    wanted = list(_wanted(explainer, page, tops))
    collected = collect(explainer, wanted, max(0, room - 4_000), most, options.progress, page["run"] is None)
    page["nodes"] = collected.packed
    page["leftOut"] = _left_out(page, trace, collected)
    return page


def _size(page: dict[str, Any]) -> int:
    return len(json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode())


def _asked_steps(trace: Trace, steps: tuple[int, ...] | None, level: Level) -> list[int]:
    kept = _kept(trace)
    if steps is None:
        return _spread(kept, _SPREAD[level])
    missing = [step for step in steps if step not in kept]
    if missing:
        raise WhygradError(trace.why_not_kept(missing[0]))
    return sorted(set(steps))


def _spread(steps: list[int], most: int) -> list[int]:
    """At most `most` of the steps: the first, the last, and others evenly between."""
    if len(steps) <= most:
        return steps
    last = len(steps) - 1
    return [steps[round(k * last / (most - 1))] for k in range(most)] if most > 1 else steps[-1:]


def _wanted(explainer: Explainer, page: dict[str, Any], tops: list[str]) -> Iterable[str]:
    """Addresses to explain, the most important first: what the story tells of, then level by level."""
    for paragraph in page["story"]:
        yield from (said[0] for said in paragraph if not isinstance(said, str))
    if page["neuron"] is not None:
        rows = page["neuron"]["steps"]
        for row in [*rows[:1], *rows[-1:], *rows[1:-1]]:
            yield from neuron_cells(row)
    if page["network"] is not None:
        frames = {frame["step"]: frame for frame in page["network"]["frames"]}
        steps = page["steps"]
        for step in dict.fromkeys([*steps[:1], *steps[-1:], *_by_halves(steps)]):
            if step in frames:
                yield from frame_addresses(explainer, page["network"], frames[step])
    if page["run"] is not None:
        flagged = [flag["address"] for flag in page["run"]["flags"] if flag["address"]]
        yield from flagged
        yield from (f"loss@{step}" for step in dict.fromkeys(page["steps"][:1] + page["steps"][-1:]))
        yield from tops
    yield from _cells(page)


def _by_halves(steps: list[int]) -> list[int]:
    """All steps, each next one halving the widest stretch: what is cut off at the end is missed evenly."""
    found, stretches = list[int](), [(0, len(steps))]
    while stretches:
        start, stop = stretches.pop(0)
        if start < stop:
            middle = (start + stop) // 2
            found.append(steps[middle])
            stretches += [(start, middle), (middle + 1, stop)]
    return found


def _cells(page: dict[str, Any]) -> Iterable[str]:
    """The table's cells of the steps that can be asked."""
    table, steps = page["table"], set(page["steps"])
    for step in (each for each in table["steps"] if each in steps):
        yield from (f"{column['address']}@{step}" for column in table["columns"] if column["address"])


# ---- words


def _title(trace: Trace, file: str) -> str:
    script = PurePath(trace.info.script).name
    return script or PurePath(file).stem or "A run"


def _about(trace: Trace) -> list[str]:
    info, history = trace.info, trace.history
    formats = list(dict.fromkeys(c.format for c in history.columns if c.kind in ("parameter", "loss", "prediction")))
    steps = len(history.steps)
    return [
        part
        for part in (
            f"{steps} step{'s' * (steps != 1)}",
            ", ".join(formats),
            f"PyTorch {info.torch}" if info.torch else "",
            f"{info.threads} thread{'s' * (info.threads != 1)}",
            f"seed {info.seed}" if info.seed is not None else "",
            f"CPU capability {info.cpu}" if info.cpu else "",
            f"Python {info.python}, {info.platform}" if info.python else "",
            f"recorded {info.started} by whygrad {info.whygrad}" if info.started else "",
            *info.notes,
        )
        if part
    ]


def _no_such_level(level: str, kept: list[int]) -> str:
    what = {
        "neuron": "one nn.Linear(1, 1) and nothing else",
        "network": f"a plain chain of linear layers with at most {MOST_UNITS} units and {MOST_INPUTS} inputs",
    }[level]
    found = "its forward pass is another" if kept else "none of its steps was kept (record with --steps)"
    return f"--level {level} draws {what}; of this run, {found}. --level run draws any."


def _left_out(page: dict[str, Any], trace: Trace, collected: Collected) -> list[str]:
    notes: list[str] = []
    file = _word(page["file"] or "RUN.why")
    shown, total = len(page["table"]["steps"]), page["table"]["total"]
    if shown < total:
        notes.append(f"The table has {shown:,} of {total:,} steps. All of them: whygrad table {file} --all")
    kept, asked = _kept(trace), page["steps"]
    if len(kept) < total:
        how = "whygrad run --steps all" if trace.info.steps_option != "all" else "a larger --budget"
        notes.append(
            f"Of {total:,} steps, {len(kept):,} were kept when the run was recorded; more are kept with {how}."
        )
    if len(asked) < len(kept):
        notes.append(
            f"{len(asked):,} of {len(kept):,} kept steps can be asked here. All of them: whygrad play {file}, "
            f'or whygrad why {file} "ADDRESS", or choose with whygrad show {file} --steps'
        )
    if collected.done < collected.asked or page["level"] == "run":
        notes.append(
            f"{collected.count:,} numbers are explained in this page; it does not hold them all. "
            f'Any other: whygrad why {file} "ADDRESS", or click it in whygrad play {file}'
        )
    return notes + list(collected.refused[:3])


def _word(file: str) -> str:
    """A file's name as a shell's word."""
    plain = all(c.isalnum() or c in "._-/+" for c in file)
    return file if plain else "'" + file.replace("'", "'\\''") + "'"
