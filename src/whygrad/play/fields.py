"""Further fields of a request, which only a training has (the others: `view/fields.py`)."""

from __future__ import annotations

from typing import Any

from whygrad.errors import WhygradError


def number_in(body: dict[str, Any], key: str, low: float, high: float) -> float:
    """A number from `low` to `high`. Raises WhygradError."""
    found = body.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not low <= found <= high:
        raise WhygradError(f"{key}: expected a number from {low:g} to {high:g}, found {ascii(found)[:40]}.")
    return float(found)


def true_in(body: dict[str, Any], key: str, default: bool = False) -> bool:
    """Yes or no. Raises WhygradError."""
    found = body.get(key, default)
    if not isinstance(found, bool):
        raise WhygradError(f"{key}: expected true or false, found {ascii(found)[:40]}.")
    return found
