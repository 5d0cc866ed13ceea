"""Formulas of constants that one optimizer alone has (torch/optim/*.py, the `_single_tensor_…` functions).

Each yields the very double that the optimizer hands to an op, and how it was computed. A double that two formulas give is
taken for the first: the order here is that of what is most particular.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from whygrad.rules.call import OpCall
from whygrad.rules.expr import Bin, Call, Expr, Neg, Num
from whygrad.trace.model import Value

Build = Callable[[OpCall], Expr]
Plain = Callable[[str], "float | None"]
Formula = tuple[float, Build]


def special(call: OpCall, plain: Plain, t: int | None) -> Iterator[Formula]:
    """All of them, for the hyperparameters that there are; each also with its sign changed."""
    for value, build in _all(call, plain, t):
        yield value, build
        yield -value, lambda c, b=build: Neg(b(c))


def _all(call: OpCall, plain: Plain, t: int | None) -> Iterator[Formula]:
    lr = plain("lr")
    if lr is not None and t is not None:
        yield from _decayed(plain, lr, t)
        yield from _nadam(plain, lr, t)
        yield from _asgd(plain)
        yield from _adafactor(call, plain, lr, t)
    if lr is not None:
        yield from _muon(call, plain, lr)


def _decayed(plain: Plain, lr: float, t: int) -> Iterator[Formula]:
    """Adagrad: `lr / (1 + (step − 1)·lr_decay)`."""
    decay = plain("lr_decay")
    if decay is not None:
        yield (
            lr / (1 + (t - 1) * decay),
            lambda c: Bin(
                "/", c.hyper("lr", lr),
                Bin("+", Num(1), Bin("*", Bin("-", c.hyper("step", t), Num(1)), c.hyper("lr_decay", decay))),
            ),
        )  # fmt: skip


def rectification(beta2: float, t: int) -> Formula | None:
    """RAdam: `√((ρₜ − 4)(ρₜ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρₜ))`, `ρ∞ = 2/(1 − β₂) − 1`,
    `ρₜ = ρ∞ − 2·step·β₂ᵗ/(1 − β₂ᵗ)`; None while ρₜ ≤ 5, where there is none."""
    most = 2 / (1 - beta2) - 1
    now = most - 2 * t * (beta2**t) / (1 - beta2**t)
    if now <= 5:
        return None
    value = ((now - 4) * (now - 2) * most / ((most - 4) * (most - 2) * now)) ** 0.5

    def build(c: OpCall) -> Expr:
        beta, step = c.hyper("beta2", beta2), c.hyper("step", t)
        power = Bin("**", beta, step)
        limit = Bin("-", Bin("/", Num(2), Bin("-", Num(1), beta)), Num(1))
        rho = Bin("-", limit, Bin("/", Bin("*", Bin("*", Num(2), step), power), Bin("-", Num(1), power)))
        top = Bin("*", Bin("*", Bin("-", rho, Num(4)), Bin("-", rho, Num(2))), limit)
        below = Bin("*", Bin("*", Bin("-", limit, Num(4)), Bin("-", limit, Num(2))), rho)
        return Bin("**", Bin("/", top, below), Num(0.5, "½"))

    return value, build


def _momentum(plain: Plain, beta1: float, t: float) -> tuple[float, Build]:
    """NAdam: `μ = β₁·(1 − ½·0.96^(t·momentum_decay))`."""
    decay = plain("momentum_decay") or 0.0
    value = beta1 * (1.0 - 0.5 * (0.96 ** (t * decay)))

    def build(c: OpCall) -> Expr:
        power = Bin("**", Num(0.96), Bin("*", c.hyper("step", t), c.hyper("momentum_decay", decay)))
        return Bin("*", c.hyper("beta1", beta1), Bin("-", Num(1), Bin("*", Num(0.5), power)))

    return value, build


def _nadam(plain: Plain, lr: float, t: int) -> Iterator[Formula]:
    """`μ` itself, `lr·(1 − μ)/(1 − Πμ)` of the gradient, `lr·μ′/(1 − Πμ·μ′)` of exp_avg, μ′ being the next step's μ."""
    beta1, product = plain("beta1"), plain("mu_product")
    if plain("momentum_decay") is None or beta1 is None or product is None:
        return
    mu, of_mu = _momentum(plain, beta1, t)
    following, of_following = _momentum(plain, beta1, t + 1)
    yield mu, of_mu
    past = 1 - product

    def so_far(c: OpCall) -> Expr:
        return c.hyper("mu_product", product)

    if past:
        yield (
            lr * (1.0 - mu) / past,
            lambda c: Bin("/", Bin("*", c.hyper("lr", lr), Bin("-", Num(1), of_mu(c))), Bin("-", Num(1), so_far(c))),
        )
    ahead = 1 - product * following
    if ahead:
        yield (
            lr * following / ahead,
            lambda c: Bin(
                "/", Bin("*", c.hyper("lr", lr), of_following(c)),
                Bin("-", Num(1), Bin("*", so_far(c), of_following(c))),
            ),
        )  # fmt: skip


def _asgd(plain: Plain) -> Iterator[Formula]:
    """The decay `1 − lambd·η`, η being the learning rate that the step before left."""
    eta, decay = plain("eta"), plain("lambd")
    if eta is not None and decay is not None:
        yield 1 - decay * eta, lambda c: Bin("-", Num(1), Bin("*", c.hyper("lambd", decay), c.hyper("eta", eta)))


def _adafactor(call: OpCall, plain: Plain, lr: float, t: int) -> Iterator[Formula]:
    """`1 − β₂ₜ = step^beta2_decay`, `eps1²`, and the size of the update
    `max(eps2, ‖w‖/√n)·min(lr, 1/√step) / max(1, ‖u‖/(√n·d))`."""
    decay, limit = plain("beta2_decay"), plain("d")
    if decay is None or limit is None:
        return
    yield float(t) ** decay, lambda c: Bin("**", c.hyper("step", t), c.hyper("beta2_decay", decay))
    value = call.step.values[call.op.refs()[0]]
    eps1 = plain("eps1")
    eps1 = _EPSILON.get(value.dtype, 0.0) if eps1 is None else eps1
    yield eps1, lambda c: c.hyper("eps1", eps1)
    yield eps1 * eps1, lambda c: Bin("*", c.hyper("eps1", eps1), c.hyper("eps1", eps1))
    eps2 = plain("eps2") or 0.0
    n = value.numel**0.5
    rate = min(lr, 1 / (float(t) ** 0.5))
    norms = _norms(call)
    for a, weight in norms:
        for b, update in norms:
            size = max(eps2, weight / n) * rate
            found = size / max(1.0, update / (n * limit))
            yield found, lambda c, a=a, b=b: _adafactor_step(c, a, b, eps2, lr, t, limit, value.numel)


_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def _adafactor_step(
    c: OpCall, weight: Value, update: Value, eps2: float, lr: float, t: int, limit: float, numel: int
) -> Expr:
    n = Num(numel**0.5, f"√{numel}")
    size = Call("max", (c.hyper("eps2", eps2), Bin("/", c.var(weight, ()), n)))
    rate = Call("min", (c.hyper("lr", lr), Bin("/", Num(1), Call("sqrt", (c.hyper("step", t),)))))
    much = Call("max", (Num(1), Bin("/", c.var(update, ()), Bin("*", n, c.hyper("d", limit)))))
    return Bin("/", Bin("*", size, rate), much)


def _norms(call: OpCall) -> list[tuple[Value, float]]:
    """The norms that the update has taken so far: the optimizer reads them into Python."""
    found: list[tuple[Value, float]] = []
    for op in call.step.ops:
        if op.index < call.op.index and op.kind in ("aten.linalg_vector_norm", "aten._foreach_norm"):
            for out in op.outputs:
                if out is not None and not call.step.values[out].shape:
                    value = call.step.values[out]
                    found.append((value, float(call.trace.content(call.step, value)[()])))
    return found


def _muon(call: OpCall, plain: Plain, lr: float) -> Iterator[Formula]:
    """`lr·√max(1, rows/columns)`, or `lr·0.2·√max(rows, columns)` (adjust_lr_fn)."""
    if plain("ns_coefficient_a") is None:
        return
    shape = call.step.values[call.op.refs()[0]].shape
    if len(shape) != 2:
        return
    a, b = float(shape[0]), float(shape[1])
    ratio = Bin("/", Num(a, "rows"), Num(b, "columns"))
    yield (
        lr * math.sqrt(max(1, a / b)),
        lambda c: Bin("*", c.hyper("lr", lr), Call("sqrt", (Call("max", (Num(1), ratio)),))),
    )
    larger = Call("max", (Num(a, "rows"), Num(b, "columns")))
    yield (
        lr * (0.2 * math.sqrt(max(a, b))),
        lambda c: Bin("*", c.hyper("lr", lr), Bin("*", Num(0.2), Call("sqrt", (larger,)))),
    )
