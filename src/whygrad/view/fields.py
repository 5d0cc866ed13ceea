"""Fields of what a page asks, taken out and checked."""

from __future__ import annotations

from typing import Any

from whygrad.errors import AddressError, WhygradError

__all__ = ["address_in", "addresses_in", "text_in", "whole_in"]

MOST_VALUES = 500
MOST_TEXT = 400


def whole_in(body: dict[str, Any], key: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`. Raises WhygradError."""
    found = body.get(key)
    if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
        raise WhygradError(f"{key}: expected a whole number from {low} to {high}, found {ascii(found)[:40]}.")
    return found


def text_in(body: dict[str, Any], key: str, default: str | None = None) -> str:
    """A short text. Raises WhygradError."""
    found = body.get(key, default)
    if not isinstance(found, str) or len(found) > MOST_TEXT:
        raise WhygradError(f"{key}: expected a short text, found {ascii(found)[:40]}.")
    return found


def address_in(body: dict[str, Any], key: str = "address") -> str:
    """An address that a page sent. Raises AddressError."""
    return _checked(body.get(key))


def addresses_in(body: dict[str, Any]) -> list[str]:
    """A list of addresses. Raises AddressError."""
    found: object = body.get("addresses")
    if not isinstance(found, list) or len(found) > MOST_VALUES:  # pyright: ignore[reportUnknownArgumentType]
        raise AddressError(f"expected a list of at most {MOST_VALUES} addresses.")
    return [_checked(each) for each in found]  # pyright: ignore[reportUnknownVariableType]


def _checked(found: object) -> str:
    """Text of a sensible length. Raises AddressError."""
    if not isinstance(found, str) or not 0 < len(found) <= MOST_TEXT:
        raise AddressError(f"expected an address of at most {MOST_TEXT} characters, such as loss@0.")
    return found
