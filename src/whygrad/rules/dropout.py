"""Dropout, and what a random generator draws."""

from __future__ import annotations

from collections.abc import Callable

from whygrad.rules.activations import div, mul, sub
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Case, Drawn, Expr, Num
from whygrad.rules.registry import rule


def _drawn(text: str) -> Callable[[OpCall, Index], Expr]:
    def function(c: OpCall, i: Index) -> Expr:
        return Drawn(float(c.out().item(i)), text.format(*(_text(a) for a in c.op.args)))

    function.__qualname__ = function.__name__ = "drawn " + text
    function.__doc__ = f"`yᵢ` is {text}; the number is checked by drawing again from the recorded generator state."
    return function


def _text(arg: object) -> str:
    return f"{arg:g}" if isinstance(arg, (int, float)) else "p"
