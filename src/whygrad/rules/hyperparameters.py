"""Constants that an optimizer computed in Python, traced back to its hyperparameters.

An op inside `Optimizer.step` is handed bare floats: `-step_size`, `1 - beta1`. What they were computed from is no longer
there, but the optimizer's formulas are known, and the very double tells which one it was.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from whygrad.rules.call import OpCall
from whygrad.rules.expr import Bin, Expr, Neg, Num, Python
from whygrad.rules.hyperparameters_special import rectification, special

Build = Callable[[OpCall], Expr]
_PLAIN = (
    "lr", "momentum", "dampening", "weight_decay", "eps", "alpha", "lambd", "rho", "lr_decay", "d", "beta2_decay",
    "momentum_decay", "t0", "eta", "eps1", "eps2", "etaminus", "etaplus", "step_size_min", "step_size_max",
    "ns_coefficient_a", "ns_coefficient_b", "ns_coefficient_c", "mu_product",
)  # fmt: skip
_PARTS = {
    "etas": ("etaminus", "etaplus"), "step_sizes": ("step_size_min", "step_size_max"), "eps": ("eps1", "eps2"),
    "ns_coefficients": ("ns_coefficient_a", "ns_coefficient_b", "ns_coefficient_c"),
}  # fmt: skip
"""Hyperparameters that are several numbers, and what the parts are called."""


@dataclass(frozen=True)
class Constants:
    """The numbers of one parameter's update: `hyper` from its param_group, `t` the count of steps after this one. `before`
    and `after`: numbers of its state that the optimizer reads into Python (NAdam's `mu_product`, ASGD's `eta`)."""

    hyper: dict[str, Any]
    t: int | None
    before: dict[str, float] = field(default_factory=dict[str, float])
    after: dict[str, float] = field(default_factory=dict[str, float])

    def name(self, call: OpCall, value: float) -> Expr | None:
        """The equation of a constant, or None when no known formula gives this very double."""
        for candidate, build in chain(self._formulas(_written(call)), special(call, self._plain, self.t)):
            if candidate == value:
                return Python(build(call), value)
        return None

    def number(self, name: str) -> float | None:
        """A hyperparameter by name, also one of several numbers (`beta1` of `betas`)."""
        return self._plain(name)

    def _plain(self, name: str) -> float | None:
        found = self.hyper.get(name, self.before.get(name) if name == "eta" else self.after.get(name))
        if name == "eta" and found is None and "lambd" in self.hyper:
            found = _first_eta(self.hyper.get("lr"))
        betas = self.hyper.get("betas")
        if name in ("beta1", "beta2") and isinstance(betas, tuple):
            found = betas[int(name[-1]) - 1]
        for whole, parts in _PARTS.items():
            values = self.hyper.get(whole)
            if name in parts and isinstance(values, tuple):
                found = values[parts.index(name)]
        return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None

    def _formulas(self, written: str) -> Iterator[tuple[float, Build]]:
        """Formulas and their doubles, those of what the op writes first: 0.999 may be β₂, or 1 − lr·weight_decay."""
        betas = self.hyper.get("betas")
        known: tuple[float, ...] = betas if isinstance(betas, tuple) else ()
        if written == "parameter":
            yield from self._decay()
        for i, beta in sorted(enumerate(known), key=lambda each: written.endswith("_sq") != (each[0] == 1)):
            yield beta, lambda c, i=i, b=beta: c.hyper(f"beta{i + 1}", b)
            yield 1 - beta, lambda c, i=i, b=beta: Bin("-", Num(1), c.hyper(f"beta{i + 1}", b))
        if len(known) >= 2:
            yield from self._corrections(*known[:2])
        # As they are, before what is computed from them: momentum 0.9 is 1 − lr too, where lr is 0.1.
        plain = {name: value for name in _PLAIN if (value := self._plain(name))}
        for name, value in plain.items():
            yield value, lambda c, n=name, v=value: c.hyper(n, v)
            yield -value, lambda c, n=name, v=value: Neg(c.hyper(n, v))
        for name, value in plain.items():
            yield 1 - value, lambda c, n=name, v=value: Bin("-", Num(1), c.hyper(n, v))

    def _decay(self) -> Iterator[tuple[float, Build]]:
        lr, decay = self._plain("lr"), self._plain("weight_decay")
        if lr is not None and decay:
            yield (
                1 - lr * decay,
                lambda c: Bin("-", Num(1), Bin("*", c.hyper("lr", lr), c.hyper("weight_decay", decay))),
            )

    def _corrections(self, beta1: float, beta2: float) -> Iterator[tuple[float, Build]]:
        lr, t = self._plain("lr"), self.t
        if t is None or lr is None:
            return

        def correction(c: OpCall, name: str, beta: float) -> Expr:
            return Bin("-", Num(1), Bin("**", c.hyper(name, beta), c.hyper("step", float(t))))

        first, second = 1 - beta1**t, 1 - beta2**t
        rectified = rectification(beta2, t) if beta2 < 1 else None
        if rectified is not None and self.hyper.get("amsgrad") is None:
            yield rectified
        if first:
            # SparseAdam: lr·√(1 − β₂ᵗ) / (1 − β₁ᵗ).
            both = lr * second**0.5 / first

            def sparse(c: OpCall) -> Expr:
                root = Bin("**", correction(c, "beta2", beta2), Num(0.5, "½"))
                return Bin("/", Bin("*", c.hyper("lr", lr), root), correction(c, "beta1", beta1))

            yield both, sparse
            yield -both, lambda c: Neg(sparse(c))
            yield lr / first, lambda c: Bin("/", c.hyper("lr", lr), correction(c, "beta1", beta1))
            yield -(lr / first), lambda c: Neg(Bin("/", c.hyper("lr", lr), correction(c, "beta1", beta1)))
        yield second**0.5, lambda c: Bin("**", correction(c, "beta2", beta2), Num(0.5, "½"))
        yield first, lambda c: correction(c, "beta1", beta1)
        yield second, lambda c: correction(c, "beta2", beta2)


def _first_eta(lr: Any) -> float | None:
    """ASGD keeps its learning rate in a float32 of its own, which begins as `lr`."""
    return struct.unpack("f", struct.pack("f", lr))[0] if isinstance(lr, (int, float)) else None


def _written(call: OpCall) -> str:
    """What the op's first argument is: "parameter", "gradient", or the name of an optimizer's state; else nothing."""
    refs = call.op.refs()
    if not refs:
        return ""
    storage = call.step.values[refs[0]].storage
    for name in call.step.names:
        if call.step.values[name.value].storage == storage:
            return (
                name.text if name.kind.startswith("state") else "gradient" if name.kind == "gradient" else "parameter"
            )
    return ""
