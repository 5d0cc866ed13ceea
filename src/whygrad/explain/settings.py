"""An optimizer's settings in a step: its hyperparameters by name, the numbers it keeps itself, and who set the learning
rate."""

from __future__ import annotations

from dataclasses import dataclass

from whygrad.errors import ValueDropped
from whygrad.rules.hyperparameters import Constants
from whygrad.trace.model import COUNT, SET_BY, Arg, Op, OptimizerGroup, OptimizerParam, Ref, Step, Value
from whygrad.trace.store import Trace

SET = "set by the program"
_CYCLED = ("momentum", "beta1", "beta2")


@dataclass(frozen=True)
class Settings:
    """The param_groups that a step's optimizers used, in order, as columns `lr`, `lr_1`, … of the table count them."""

    trace: Trace
    step: Step

    def groups(self) -> list[tuple[Op, OptimizerGroup]]:
        return [(op, group) for op in self.step.ops if op.optimizer is not None for group in op.optimizer.groups]

    def number(self, group: OptimizerGroup) -> int:
        """Which of the step's param_groups one is."""
        return next((i for i, (_, each) in enumerate(self.groups()) if each is group), 0)

    def value(self, name: str, number: int) -> float | None:
        """The hyperparameter, or the count of steps, of a param_group; None when it has none of that name."""
        groups = self.groups()
        if number >= len(groups):
            return None
        op, group = groups[number]
        found = self.constants(op, group, group.params[0] if group.params else None)
        return found.t if name == "step" else found.number(name)

    def constants(self, op: Op, group: OptimizerGroup, param: OptimizerParam | None) -> Constants:
        """The numbers of one parameter's update (None: of an update recorded op by op)."""
        hyper = {key: self._number(arg) for key, arg in group.hyper if key != SET_BY}
        if param is not None:
            before, after = self._state(param.state_before), self._state(param.state_after)
        else:
            before, after = {}, self._named(op)
        count = after.get(COUNT, hyper.pop(COUNT, None))
        return Constants(hyper, int(count) if isinstance(count, (int, float)) else None, before, after)

    def origin(self, name: str, number: int) -> str:
        """Who set a hyperparameter."""
        groups = self.groups()
        told = groups[number][1].get(SET_BY) if number < len(groups) else None
        if not isinstance(told, tuple) or not told:
            return SET
        text = str(told[0]).format(*(int(each) for each in told[1:] if isinstance(each, float)))
        return text if name == "lr" or (name in _CYCLED and "Cycl" in text.partition("(")[0]) else SET

    def _number(self, arg: Arg) -> Arg:
        """A hyperparameter; that of a tensor of one element."""
        return arg if not isinstance(arg, Ref) else self._item(self.step.values[arg.id])

    def _item(self, value: Value) -> float | None:
        try:
            return float(self.trace.content(self.step, value).reshape(-1)[0]) if value.numel == 1 else None
        except ValueDropped:
            return None

    def _state(self, entries: tuple[tuple[str, Arg], ...]) -> dict[str, float]:
        found: dict[str, float] = {}
        for key, arg in entries:
            number = self._number(arg) if not isinstance(arg, Ref) or not self.step.values[arg.id].shape else None
            if isinstance(number, (int, float)) and not isinstance(number, bool):
                found[key] = float(number)
        return found

    def _named(self, op: Op) -> dict[str, float]:
        """State of one number that was seen after the step."""
        found: dict[str, float] = {}
        for name in self.step.names:
            if name.kind == "state" and not self.step.values[name.value].shape:
                number = self._item(self.step.values[name.value])
                if number is not None:
                    found.setdefault(name.text, number)
        return found


def settings_of(step: Step, op: Op) -> tuple[Op, OptimizerGroup] | None:
    """The settings under which an op of an optimizer's step ran that was recorded op by op."""
    for each in reversed(step.ops[: op.index - step.first]):
        if each.optimizer is not None and each.optimizer_index == op.optimizer_index and each.optimizer.groups:
            return each, each.optimizer.groups[0]
    return None
