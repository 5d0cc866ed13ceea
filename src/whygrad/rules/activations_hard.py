"""Activations made of straight lines, forward and backward (native/cpu/Activation.cpp). float16 and bfloat16 are widened to
float32 and rounded once."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.rules.activations import ONE, add, div, mul, sub
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Call, Case, Expr, Kernel, Num
from whygrad.rules.pointwise import operand
from whygrad.rules.pointwise_functions import number_at
from whygrad.rules.registry import rule

ZERO, THREE, SIX = Num(0), Num(3), Num(6)
_SIXTH = Num(float(np.float32(1) / np.float32(6)), "1/6")
"""The kernel's constant is a float in every dtype."""


@rule("aten.hardtanh", "aten.relu6")
def hardtanh(c: OpCall, i: Index) -> Expr:
    """`yᵢ = min(max(xᵢ, low), high)`."""
    six = c.op.kind.startswith("aten.relu6")
    low = ZERO if six else c.number(1, "min_val", -1.0)
    high = SIX if six else c.number(2, "max_val", 1.0)
    return Call("min", (Call("max", (operand(c, 0, i), low)), high))


@rule("aten.hardtanh_backward")
def hardtanh_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ if low < xᵢ < high, else 0`."""
    x, low, high = number_at(c, 1, i), c.real(2, "min_val"), c.real(3, "max_val")
    operand(c, 1, i)
    if x <= low or x >= high:
        operand(c, 0, i)
        return Case(f"x ≤ {low:g} or x ≥ {high:g}", ZERO, "g")
    return Case(f"{low:g} < x < {high:g}", operand(c, 0, i), "0")


def _sixths(x: Expr) -> Expr:
    """`min(max(x + 3, 0), 6)`."""
    return Call("min", (Call("max", (add(x, THREE), ZERO)), SIX))


@rule("aten.hardsigmoid")
def hardsigmoid(c: OpCall, i: Index) -> Expr:
    """`yᵢ = min(max(xᵢ + 3, 0), 6)/6`."""
    return div(_sixths(operand(c, 0, i)), SIX)


@rule("aten.hardsigmoid_backward")
def hardsigmoid_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ·(1/6) if −3 < xᵢ < 3, else 0`."""
    g, inside = operand(c, 0, i), -3 < number_at(c, 1, i) < 3
    operand(c, 1, i)
    return Case("−3 < x < 3", mul(g, _SIXTH)) if inside else Case("x ≤ −3 or x ≥ 3", ZERO, "g / 6")


@rule("aten.hardswish")
def hardswish(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ·min(max(xᵢ + 3, 0), 6)/6` (A. Howard et al., arXiv:1905.02244)."""
    x = operand(c, 0, i)
    return div(mul(x, _sixths(x)), SIX)


@rule("aten.hardswish_backward")
def hardswish_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = 0 if xᵢ ≤ −3, gᵢ·(xᵢ/3 + ½) if xᵢ < 3, else gᵢ`."""
    g, x, value = operand(c, 0, i), operand(c, 1, i), number_at(c, 1, i)
    if value <= -3:
        return Case("x ≤ −3", ZERO, "g · (x / 3 + ½)")
    if value < 3:
        return Case("−3 < x < 3", mul(g, add(div(x, THREE), Num(0.5, "½"))), "g")
    return Case("x ≥ 3", g, "g · (x / 3 + ½)")


def _inside(c: OpCall, i: Index, position: int, name: str, at: int) -> bool:
    """Whether |x| is within the threshold of a shrinking function, which its dtype rounds."""
    width: Any = {"float32": np.float32}.get(c.out().dtype, np.float64)
    threshold = float(width(c.real(at, name, 0.5)))
    return -threshold <= number_at(c, position, i) <= threshold


@rule("aten.hardshrink")
def hardshrink(c: OpCall, i: Index) -> Expr:
    """`yᵢ = 0 if −λ ≤ xᵢ ≤ λ, else xᵢ`."""
    x = operand(c, 0, i)
    return Case("−λ ≤ x ≤ λ", ZERO, "x") if _inside(c, i, 0, "lambd", 1) else Case("x < −λ or x > λ", x, "0")


@rule("aten.hardshrink_backward", "aten.softshrink_backward")
def shrink_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = 0 if −λ ≤ xᵢ ≤ λ, else gᵢ`."""
    g = operand(c, 0, i)
    operand(c, 1, i)
    return Case("−λ ≤ x ≤ λ", ZERO, "g") if _inside(c, i, 1, "lambd", 2) else Case("x < −λ or x > λ", g, "0")


@rule("aten.softshrink")
def softshrink(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ − λ if xᵢ > λ, xᵢ + λ if xᵢ < −λ, else 0`."""
    x, threshold = operand(c, 0, i), c.number(1, "lambd", 0.5)
    if _inside(c, i, 0, "lambd", 1):
        # 0·x in one body of the kernel: its zero has the sign of x, the other's has none.
        return Case("−λ ≤ x ≤ λ", Kernel((), (), mul(x, ZERO), (ZERO,)), "x ∓ λ")
    return Case("x > λ", sub(x, threshold)) if number_at(c, 0, i) > 0 else Case("x < −λ", add(x, threshold))


@rule("aten.threshold")
def threshold(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ if xᵢ > threshold, else value`."""
    x, limit = operand(c, 0, i), c.real(1, "threshold")
    if number_at(c, 0, i) <= limit:
        return Case(f"x ≤ {limit:g}", c.number(2, "value"), "x")
    return Case(f"x > {limit:g}", x, "the value")


@rule("aten._prelu_kernel")
def prelu(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ if xᵢ > 0, else wᵢ·xᵢ` (K. He et al., arXiv:1502.01852)."""
    x, w = operand(c, 0, i), operand(c, 1, i)
    return Case("x > 0", x, "w · x") if number_at(c, 0, i) > 0 else Case("x ≤ 0", mul(w, x), "x")


@rule("aten._prelu_kernel_backward")
def prelu_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ if xᵢ > 0, else wᵢ·gᵢ`."""
    g, w, positive = operand(c, 0, i), operand(c, 2, i), number_at(c, 1, i) > 0
    operand(c, 1, i)
    return Case("x > 0", g, "w · g") if positive else Case("x ≤ 0", mul(w, g), "g")


@rule("aten._prelu_kernel_backward", output=1)
def prelu_backward_weight(c: OpCall, i: Index) -> Expr:
    """`∂wᵢ = 0 if xᵢ > 0, else xᵢ·gᵢ`, still one for each element of x."""
    g, x = operand(c, 0, i), operand(c, 1, i)
    return Case("x > 0", ZERO, "x · g") if number_at(c, 1, i) > 0 else Case("x ≤ 0", mul(x, g), "0")


def _slope(c: OpCall, first: int) -> Num:
    """RReLU's slope where it draws none: the middle of its range."""
    return Num((c.real(first, "lower", 1 / 8) + c.real(first + 1, "upper", 1 / 3)) / 2, "(lower + upper)/2")


@rule("aten.rrelu_with_noise")
def rrelu(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ if xᵢ > 0, else rᵢ·xᵢ`, rᵢ drawn from [lower, upper] in training, its middle in evaluation."""
    x = operand(c, 0, i)
    if number_at(c, 0, i) > 0:
        return Case("x > 0", x, "r · x")
    if not c.arg(4, "training", False):
        return Case("x ≤ 0", mul(x, _slope(c, 2)), "x")
    noise = next(v for v in c.op.written if v not in c.op.outputs)
    return Case("x ≤ 0", mul(x, c.var(c.step.values[noise], i)), "x")


@rule("aten.rrelu_with_noise_backward")
def rrelu_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ·rᵢ` in training (rᵢ = 1 where xᵢ > 0); in evaluation as leaky ReLU."""
    g, lower, upper = operand(c, 0, i), c.real(3, "lower"), c.real(4, "upper")
    if c.arg(5, "training") and upper - lower > 1e-6:
        return mul(operand(c, 2, i), g)
    operand(c, 1, i)
    return Case("x > 0", g, "r · g") if number_at(c, 1, i) > 0 else Case("x ≤ 0", mul(g, _slope(c, 3)), "g")


__all__ = ["ONE", "hardtanh"]
