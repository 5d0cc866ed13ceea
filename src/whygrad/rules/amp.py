"""Gradient scaling (aten/src/ATen/native/AmpKernels.cpp): gradients are divided by the scale that the loss was multiplied
by, and the scale follows from whether they were finite."""

from __future__ import annotations

from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Bin, Case, Expr, Num
from whygrad.rules.registry import EVERY, rule


@rule("aten._amp_foreach_non_finite_check_and_unscale_", output=EVERY)
def unscale(c: OpCall, i: Index) -> Expr:
    """`g′ = g · 1/scale` for each gradient of the list; `found_inf`: whether one was infinite or NaN."""
    grads = c.each(0)
    inverse = c.t(2)
    one = tuple(0 for _ in inverse.shape)
    if c.output < len(grads):
        g = grads[c.output][i]
        return g if inverse.item(one) == 1 else Bin("*", g, inverse[one])
    written = c.step.values[c.op.written[c.output]]
    found = bool(c.trace.content(c.step, written)[i])
    if not found:
        return Case("every gradient is finite", Num(0))
    before = c.t(1)
    known = bool(before.item(tuple(0 for _ in before.shape)))
    return Case("one was found before" if known else "a gradient is infinite or NaN", Num(1))


@rule("aten._amp_update_scale_", output=EVERY)
def update_scale(c: OpCall, i: Index) -> Expr:
    """`scale · backoff_factor` after an infinite gradient; `scale · growth_factor` after `growth_interval` steps without
    one; else as it is. The second result counts those steps."""
    scale, steps, found = c.t(0), c.t(1), c.t(2)
    infinite = bool(found.item(tuple(0 for _ in found.shape)))
    count = int(steps.item(tuple(0 for _ in steps.shape))) + 1
    grows = not infinite and count == c.integer(5)
    if c.output == 1:
        return Case("counted anew", Num(0)) if infinite or grows else Bin("+", steps[i], Num(1))
    if infinite:
        return Case("a gradient was infinite or NaN", Bin("*", scale[i], c.number(4)))
    if not grows:
        return Case("neither an infinite gradient nor enough steps without one", scale[i])
    return Case("enough steps without an infinite gradient", Bin("*", scale[i], c.number(3)))
