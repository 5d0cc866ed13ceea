"""What the Tab key offers behind `%why`: names of the last steps, then an index, then a step."""

from __future__ import annotations

from itertools import islice, product
from typing import TYPE_CHECKING

from whygrad.explain.addresses import Naming, index_text
from whygrad.notebook.options import ASKING, RECORDING

if TYPE_CHECKING:
    from whygrad.trace.store import Trace

MOST = 200


def offers(trace: Trace | None, word: str) -> list[str]:
    """Whole words that begin with `word`, the part of an address that is typed; options where it begins with a dash."""
    if word.startswith("-"):
        return [option for option in ASKING if option.startswith(word)]
    if trace is None:
        return []
    head, at, step = word.rpartition("@")
    if at:
        kept = [info.number for info in trace.index if info.kept]
        return [f"{head}@{each}" for each in (*reversed(kept), "init") if str(each).startswith(step)][:MOST]
    return [each for each in _addresses(trace, word) if each.startswith(word)][:MOST]


def cell_offers(word: str) -> list[str]:
    """The same behind `%%why`."""
    return [option for option in RECORDING if option.startswith(word)] if word.startswith("-") else []


def _addresses(trace: Trace, word: str) -> list[str]:
    """Names of the last two kept steps; once a name and its bracket stand there, its elements."""
    name = word.partition("[")[0]
    found: dict[str, None] = {}
    for number in reversed([info.number for info in trace.index if info.kept][-2:]):
        step = trace.step(number)
        for (text, grad), named in sorted(Naming(step).by_text.items()):
            value = step.values[named[0].value]
            shape = value.shape[:-1] if value.is_complex else value.shape
            if text.startswith("op"):
                continue
            tail = ".grad" if grad else ""
            if value.numel == 1 and not shape:
                found[text + tail] = None
            elif "[" in word and text == name:
                for index in islice(product(*map(range, shape)), MOST):
                    found[f"{text}{index_text(index)}{tail}"] = None
            elif text.startswith(name):
                found[f"{text}{index_text(tuple(0 for _ in shape))}{tail}"] = None
    return list(found)
