"""A formula compared with a recorded number, as finished strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["FormulaView", "to_dict"]

Sign = Literal["same", "digits", "near", "differs"]


@dataclass(frozen=True)
class FormulaView:
    """`heading`: what was asked and what is recorded; `sign` which mark to draw, `words` the outcome; `explained`: a
    paragraph for each explanation of a difference, the simplest first, with `where` it is from; `names`: what the formula's
    names were taken for."""

    heading: str
    sign: Sign
    words: str
    explained: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    data: dict[str, Any] | None = None


def to_dict(view: FormulaView) -> dict[str, Any]:
    """What `whygrad why --is --json` prints."""
    return dict(view.data or {})
