"""Numbers of a kept step by name, and the address of an element: what detectors need to lead to a concrete scalar."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from whygrad.errors import ValueDropped
from whygrad.trace.model import Step, Value
from whygrad.trace.store import Trace

__all__ = ["address_of", "kept_steps", "largest", "named", "numbers_of"]

Array = np.ndarray[Any, Any]
_AT_ONCE = 1 << 18
"""Elements widened at a time: a tensor may be as large as memory allows it once."""


def kept_steps(trace: Trace, steps: list[int]) -> list[int]:
    """Those of `steps` whose values were kept."""
    kept = {info.number for info in trace.index if info.kept and info.complete}
    return [step for step in steps if step in kept]


def named(step: Step, text: str, kind: str) -> Value | None:
    """The Value that goes by a name: `before`, `parameter` or `gradient` of a parameter."""
    plain = (n for n in step.names if n.kind == kind and n.text == text and not (kind == "gradient" and n.of))
    found = next(plain, None)
    return None if found is None else step.values[found.value]


def numbers_of(trace: Trace, step: Step, value: Value | None) -> Array | None:
    """A Value's numbers (not to be written), None where they are not there."""
    if value is None:
        return None
    try:
        return trace.content(step, value)
    except ValueDropped:
        return None


def largest(size: Callable[..., Array], *arrays: Array) -> tuple[tuple[int, ...], float]:
    """The index at which `size` of some arrays of one shape is largest, the first of several, and how large; NaN counts as
    larger than all. `size` is given stretches of the arrays."""
    flat = [array.reshape(-1) for array in arrays]
    best, place = -np.inf, 0
    for start in range(0, len(flat[0]), _AT_ONCE):
        sizes = size(*(each[start : start + _AT_ONCE] for each in flat))
        at = int(np.argmax(sizes))
        if sizes[at] > best or sizes[at] != sizes[at]:
            best, place = float(sizes[at]), start + at
            if best != best:
                break
    return tuple(int(i) for i in np.unravel_index(place, arrays[0].shape)), best


def address_of(step: Step, value: Value, index: tuple[int, ...]) -> str:
    """The address of an element: by the best name of the tensor, else by the op that made it; "" where it has neither."""
    name = next((n for n in step.names if n.value == value.id and not n.kind.startswith(("state", "root"))), None)
    if name is not None:
        grad = ".grad" if name.kind == "gradient" else ""
        number = step.number - (name.kind == "before")
        return f"{name.text}{_element(value, index)}{grad}@{number if number >= 0 else 'init'}"
    place = value.version - step.first
    if not step.first <= value.version < step.last:
        return ""
    written = step.op(value.version).written
    storages = [step.values[each].storage for each in written]
    suffix = f".{storages.index(value.storage)}" if len(set(storages)) > 1 else ""
    return f"op{place}{suffix}{_element(value, index)}@{step.number}"


def _element(value: Value, index: tuple[int, ...]) -> str:
    part = ""
    if value.is_complex:
        part, index = (".real", ".imag")[index[-1]], index[:-1]
    return (f"[{','.join(map(str, index))}]" if index else "") + part
