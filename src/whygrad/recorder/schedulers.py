"""Which scheduler set a learning rate, and by which equation.

A scheduler holds its optimizer, and not the other way round, so it is looked for among what refers to the optimizer: once
when an optimizer with scheduled groups is first met, and again when a learning rate appears that none of the known ones
has set. Nothing of torch is replaced.
"""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch.optim.lr_scheduler import LRScheduler, SequentialLR

_NOT_SAID = frozenset({
    "optimizer", "base_lrs", "last_epoch", "verbose", "_step_count", "_last_lr", "_get_lr_called_within_step", "_is_initial",
    "default", "best", "cooldown_counter", "num_bad_epochs", "mode_worse", "_schedulers", "_milestones", "lr_lambdas",
    "schedulers", "min_lrs", "max_lrs", "lr_lambda", "T_cur", "_schedule_phases",
})  # fmt: skip


SetBy: TypeAlias = "tuple[str | float, ...]"


class Schedulers:
    """The schedulers of a program's optimizers, as far as they were met."""

    def __init__(self) -> None:
        self._rates: dict[int, list[float]] = {}
        self._known: dict[int, list[weakref.ref[Any]]] = {}

    def set_by(self, optimizer: Any) -> SetBy:
        """What set the optimizer's learning rates, "set by StepLR(step_size=2, gamma=0.5) at epoch {0}: …", and the numbers
        that belong in it; empty when no scheduler did."""
        rates = [float(group["lr"]) for group in optimizer.param_groups if "lr" in group]
        first = self._rates.setdefault(id(optimizer), rates)
        if first == rates and not any("initial_lr" in group for group in optimizer.param_groups):
            return ()  # ReduceLROnPlateau leaves no mark, but the rate that it has changed
        found = self._setter(optimizer, rates)
        if found is None:
            self._known[id(optimizer)] = _holders(optimizer)
            found = self._setter(optimizer, rates)
        if found is None:
            return ()
        text = _Text()
        return f"set by {text.described(found)}", *text.numbers

    def _setter(self, optimizer: Any, rates: list[float]) -> Any:
        alive = [ref() for ref in self._known.get(id(optimizer), ())]
        fitting = [s for s in alive if s is not None and s.optimizer is optimizer and _rates(s) == rates]
        inner = {id(each) for s in fitting for each in getattr(s, "_schedulers", ())}
        outermost = [s for s in fitting if id(s) not in inner]
        # Of several that left the same rate, the one that has been stepped furthest set it last.
        return max(outermost, key=lambda s: s.last_epoch, default=None)


def _rates(scheduler: Any) -> list[float]:
    return [float(rate) for rate in getattr(scheduler, "_last_lr", ())]


def _holders(optimizer: Any) -> list[weakref.ref[Any]]:
    found: list[weakref.ref[Any]] = []
    for holder in gc.get_referrers(optimizer):
        owners = (
            [holder] if isinstance(holder, LRScheduler) else gc.get_referrers(holder) if type(holder) is dict else []
        )
        found += [weakref.ref(each) for each in owners if isinstance(each, LRScheduler) and each.optimizer is optimizer]
    return found


@dataclass
class _Text:
    """A text with numbers that change from step to step apart from it, so that steps are alike in a file."""

    numbers: list[float] = field(default_factory=list[float])

    def put(self, number: int) -> str:
        """A place for a number."""
        self.numbers.append(float(number))
        return f"{{{len(self.numbers) - 1}}}"

    def described(self, scheduler: Any) -> str:
        """A scheduler with its settings, its epoch, and its equation where that is one line."""
        epoch = self.put(scheduler.last_epoch)
        if isinstance(scheduler, SequentialLR):
            milestones: Any = scheduler._milestones
            place = sum(scheduler.last_epoch >= each for each in milestones)
            return f"SequentialLR at epoch {epoch}, by {self.described(scheduler._schedulers[place])}"
        settings = ", ".join(f"{key}={_text(value)}" for key, value in vars(scheduler).items() if _is_said(key, value))
        text = f"{type(scheduler).__name__}({settings}) at epoch {epoch}"
        equation = self.equation(scheduler, epoch)
        return f"{text}: {equation}" if equation else text

    def equation(self, scheduler: Any, epoch: str) -> str:
        """The rate of the first group in closed form, with the numbers put in."""
        base = scheduler.base_lrs[0] if getattr(scheduler, "base_lrs", None) else None
        now = scheduler.last_epoch
        match type(scheduler).__name__:
            case "StepLR":
                return f"lr = {base!r} · {scheduler.gamma!r}^⌊{epoch}/{scheduler.step_size}⌋"
            case "ExponentialLR":
                return f"lr = {base!r} · {scheduler.gamma!r}^{epoch}"
            case "MultiStepLR":
                passed = self.put(sum(count for each, count in scheduler.milestones.items() if each <= now))
                return f"lr = {base!r} · {scheduler.gamma!r}^{passed}, the milestones passed"
            case "CosineAnnealingLR":
                low = scheduler.eta_min
                return f"lr = {low!r} + ({base!r} − {low!r})·(1 + cos(π·{epoch}/{scheduler.T_max}))/2"
            case "LambdaLR":
                return f"lr = {base!r} · {_name(scheduler)}({epoch})"
            case "MultiplicativeLR":
                return f"lr = lr of the epoch before · {_name(scheduler)}({epoch})"
            case "LinearLR":
                start, end, total = scheduler.start_factor, scheduler.end_factor, scheduler.total_iters
                return f"lr = {base!r} · ({start!r} + ({end!r} − {start!r})·{self.put(min(now, total))}/{total})"
            case "ConstantLR":
                return f"lr = {base!r} · {scheduler.factor if now < scheduler.total_iters else 1.0!r}"
            case "PolynomialLR":
                total = scheduler.total_iters
                return f"lr = {base!r} · (1 − {self.put(min(now, total))}/{total})^{scheduler.power!r}"
            case "ReduceLROnPlateau":
                return f"lr · {scheduler.factor!r} after {scheduler.patience} epochs without a better metric"
            case _:
                return ""


def _name(scheduler: Any) -> str:
    return getattr(scheduler.lr_lambdas[0], "__name__", "lr_lambda").replace("<lambda>", "λ")


def _is_said(key: str, value: Any) -> bool:
    plain = isinstance(value, (int, float, str)) or (isinstance(value, dict) and key == "milestones")
    return plain and not key.startswith("_") and key not in _NOT_SAID


def _text(value: Any) -> str:
    if isinstance(value, dict):  # the milestones of MultiStepLR: a Counter
        return str(sorted(value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return repr(value).replace("{", "{{").replace("}", "}}")
