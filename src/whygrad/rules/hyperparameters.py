"""Constants that an optimizer computed in Python, traced back to its hyperparameters.

An op inside `Optimizer.step` is handed bare floats: `-step_size`, `1 - beta1`. What they were computed from is no longer
there, but the optimizer's formulas are known, and the very double tells which one it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from whygrad.rules.call import OpCall
from whygrad.rules.expr import Bin, Expr, Neg, Num, Python

Build = Callable[[OpCall], Expr]
_PLAIN = ("lr", "momentum", "dampening", "weight_decay", "eps", "alpha", "lambd", "rho", "lr_decay")


@dataclass(frozen=True)
class Constants:
    """The numbers of one parameter's update: `hyper` from its param_group, `t` the count of steps after this one."""

    hyper: dict[str, Any]
    t: int | None

    def name(self, call: OpCall, value: float) -> Expr | None:
        """The equation of a constant, or None when no known formula gives this very double."""
        for candidate, build in self._formulas(_written(call)):
            if candidate == value:
                expr = build(call)
                return expr if not isinstance(expr, (Bin, Neg)) else Python(expr, value)
        return None

    def _plain(self, name: str) -> float | None:
        found = self.hyper.get(name)
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
        if first:
            yield lr / first, lambda c: Bin("/", c.hyper("lr", lr), correction(c, "beta1", beta1))
            yield -(lr / first), lambda c: Neg(Bin("/", c.hyper("lr", lr), correction(c, "beta1", beta1)))
        yield second**0.5, lambda c: Bin("**", correction(c, "beta2", beta2), Num(0.5, "½"))
        yield first, lambda c: correction(c, "beta1", beta1)
        yield second, lambda c: correction(c, "beta2", beta2)


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
