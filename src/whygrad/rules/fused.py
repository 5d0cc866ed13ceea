"""Fused optimizer steps: one kernel updates a parameter and its state (aten/src/ATen/native/cpu/FusedAdamKernel.cpp,
FusedSGDKernel.cpp, FusedAdagradKernel.cpp).

Each kernel has a body for whole vectors and one for the elements left over. float16 and bfloat16 are computed in float32;
what the kernel writes is rounded, what it goes on with is not.
"""

from __future__ import annotations

from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Bin, Call, Expr, Fma, Num, Python
from whygrad.rules.fused_call import FusedCall
from whygrad.rules.fused_sgd import sgd
from whygrad.rules.registry import EVERY, rule


@rule("aten._fused_sgd_", output=EVERY)
def fused_sgd(c: OpCall, i: Index) -> Expr:
    """`b′ = momentum·b + (1 − dampening)·g`, `w′ = w − lr·b′`, g with weight decay; see `fused_sgd.sgd`."""
    call = FusedCall(c, i, ("param", "grad", "momentum_buffer"))
    return call.unless_skipped(lambda: sgd(call))


@rule("aten._fused_adagrad_", output=EVERY)
def fused_adagrad(c: OpCall, i: Index) -> Expr:
    """`s′ = s + g²`, `w′ = w − clr·g / (√s′ + eps)`, `clr = lr/(1 + (step − 1)·lr_decay)`."""
    call = FusedCall(c, i, ("param", "grad", "state_sum", "step"))
    return call.unless_skipped(lambda: _adagrad(call))


def _adagrad(f: FusedCall) -> Expr:
    if f.wanted == "step":
        return f.old("step")
    if f.wanted == "grad":
        return f.scaled_grad()
    g = _with_decay(f, f.stored(f.named("weight_decay")))
    total: Expr = Fma(g, g, f.old("state_sum"))
    if f.wanted == "state_sum":
        return total
    total = f.new("state_sum", total)
    lr, decay, step = f.real("lr"), f.real("lr_decay"), f.step()
    rate = lr / (1.0 + (step - 1.0) * decay)
    since = Bin("-", f.step_operand(), Num(1))
    clr = f.stored(Python(Bin("/", f.hyper("lr"), Bin("+", Num(1), Bin("*", since, f.hyper("lr_decay")))), rate))
    if not decay:
        clr = f.stored(Python(f.hyper("lr"), rate))
    root = Bin("+", Call("sqrt", (total,)), f.stored(f.named("eps")))
    return Bin("-", f.old("param"), Bin("/", Bin("*", clr, g), root))


def _with_decay(f: FusedCall, decay: Expr) -> Expr:
    g = f.grad()
    return Fma(f.old("param"), decay, g) if f.real("weight_decay") else g


@rule("aten._fused_adam_", "aten._fused_adamw_", output=EVERY)
def fused_adam(c: OpCall, i: Index) -> Expr:
    """`m′ = m + (1 − β₁)·(g − m)`, `v′ = β₂·v + (1 − β₂)·g²`,
    `w′ = w − lr/(1 − β₁ᵗ)·m′ / (√v′/√(1 − β₂ᵗ) + eps)`; AdamW's w is first multiplied by `1 − lr·weight_decay`, Adam's
    gradient gets `weight_decay·w`; with amsgrad the largest v so far is in the place of v′."""
    call = FusedCall(c, i, ("param", "grad", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"))
    return call.unless_skipped(lambda: _adam(call, c.op.name.startswith("aten._fused_adamw")))


def _adam(f: FusedCall, decoupled: bool) -> Expr:
    if f.wanted == "grad":
        return f.scaled_grad()
    g = f.grad() if decoupled else _with_decay(f, f.named("weight_decay"))
    if f.wanted == "exp_avg":
        return _exp_avg(f, g)
    square = _exp_avg_sq(f, g)
    if f.wanted == "exp_avg_sq":
        return square
    square = f.new("exp_avg_sq", square)
    if f.flag("amsgrad"):
        square = Call("max", (f.old("max_exp_avg_sq"), square))
        if f.wanted == "max_exp_avg_sq":
            return square
        square = f.new("max_exp_avg_sq", square)
    return _adam_param(f, f.new("exp_avg", _exp_avg(f, g)), square, decoupled)


def _exp_avg(f: FusedCall, g: Expr) -> Expr:
    """`m.lerp(g, 1 − β₁)`: from the nearer end (native/Lerp.h)."""
    beta = f.real("beta1")
    weight = Python(Bin("-", Num(1), f.hyper("beta1")), 1 - beta)
    m = f.old("exp_avg")
    if abs(1 - beta) < 0.5:
        return Fma(weight, Bin("-", g, m), m)
    return Fma(Bin("-", weight, Num(1)), Bin("-", g, m), g)


def _exp_avg_sq(f: FusedCall, g: Expr) -> Expr:
    """Of the two products, the compiler fuses the last into the sum in the vector body, the first in the scalar body."""
    beta = f.real("beta2")
    weight = Python(Bin("-", Num(1), f.hyper("beta2")), 1 - beta)
    if f.in_vector:
        return Fma(Bin("*", weight, g), g, Bin("*", f.old("exp_avg_sq"), f.named("beta2")))
    return Fma(f.old("exp_avg_sq"), f.named("beta2"), Bin("*", Bin("*", weight, g), g))


def _adam_param(f: FusedCall, m: Expr, square: Expr, decoupled: bool) -> Expr:
    lr, t = f.real("lr"), f.step()
    step = f.step_operand()
    first, second = 1 - f.real("beta1") ** t, 1 - f.real("beta2") ** t

    def correction(name: str) -> Expr:
        return Bin("-", Num(1), Bin("**", f.hyper(name), step))

    w = f.old("param")
    decay = f.real("weight_decay")
    if decoupled and decay:
        keep = Bin("-", Num(1), Bin("*", f.hyper("lr"), f.hyper("weight_decay")))
        w = Bin("*", w, Python(keep, 1 - lr * decay))
    size = Python(Bin("/", f.hyper("lr"), correction("beta1")), lr / first)
    root = Python(Bin("**", correction("beta2"), Num(0.5, "½")), second**0.5)
    denominator = Bin("+", Bin("/", Call("sqrt", (square,)), root), f.named("eps"))
    return Bin("-", w, Bin("/", Bin("*", size, m), denominator))
