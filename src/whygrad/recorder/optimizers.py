"""One `Optimizer.step` recorded by its ends.

A default AdamW runs a dozen ATen ops for each parameter, and a dispatch mode pays several microseconds for each. For
torch's own optimizers the inside is a function of what goes in, so only that and what comes out is recorded; `explain`
runs the step again when it is asked, and checks the result against what came out. An optimizer that is not torch's own,
a closure, hooks on the instance or a captured learning rate: then every op is recorded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

from whygrad.capture.opinfo import OpInfo
from whygrad.capture.raw import RawOptimizerCall, RawOptimizerParam
from whygrad.capture.tape import Before, Event, Tape
from whygrad.recorder.schedulers import SetBy
from whygrad.trace.model import COUNT, SET_BY

Tensor = torch.Tensor
STEP = OpInfo("optimizer.step", False, (), False, False, False, False, None)
_foreach_clone: Any = getattr(torch, "_foreach_clone", None)


def can_be_rerun(optimizer: Any, args: Any, kwargs: Any, tape: Tape) -> bool:
    """Whether this step's inside can be had again from what went in."""
    kind = type(optimizer)
    if getattr(torch.optim, kind.__name__, None) is not kind or kind.__name__ in ("LBFGS", "SparseAdam"):
        return False
    if len(args) > 1 or kwargs or optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return False
    if hasattr(optimizer, "grad_scale") or hasattr(optimizer, "found_inf"):
        return False
    if _get_current_dispatch_mode() is not tape or not tape.holding:
        return False
    return all(_plain_group(group) for group in optimizer.param_groups)


def _plain_group(group: dict[str, Any]) -> bool:
    if group.get("capturable") or group.get("differentiable"):
        return False
    if not all(isinstance(v, (int, float, str, bool, tuple, type(None))) for v in hyper_of(group).values()):
        return False
    return all(p.grad is None or p.grad.layout is torch.strided for p in group["params"])


def settings(optimizer: Any, number: int, set_by: SetBy) -> RawOptimizerCall:
    """The hyperparameters of a step that is recorded op by op; `set_by`: the scheduler that set its learning rates."""
    groups = [
        ({**hyper_of(group), **_count(optimizer, group), **said(set_by)}, list[RawOptimizerParam]())
        for group in optimizer.param_groups
    ]
    return RawOptimizerCall(type(optimizer).__name__, number, groups)


def _count(optimizer: Any, group: dict[str, Any]) -> dict[str, float]:
    """How many steps this one makes, where the optimizer counts them and all parameters of the group agree."""
    states = [optimizer.state.get(p, {}) for p in group["params"] if p.grad is not None]
    counts = {float(state.get("step", 0)) for state in states}
    return {COUNT: counts.pop() + 1} if len(counts) == 1 else {}


def hyper_of(group: dict[str, Any]) -> dict[str, Any]:
    """One param_group without its parameters."""
    return {key: value for key, value in group.items() if key not in ("params", "param_names")}


def said(set_by: SetBy) -> dict[str, SetBy]:
    """The entry that tells of a scheduler."""
    return {SET_BY: set_by} if set_by else {}


def record_call(call: RawOptimizerCall, tape: Tape) -> None:
    """The call as one event."""
    where, line = tape.line()
    tape.events.append(Event(STEP, (), None, call, "", -1, -1, False, False, where, line, None, None, call.number))


def before_step(optimizer: Any, number: int, tape: Tape, set_by: SetBy = ()) -> RawOptimizerCall:
    """Take down what goes in, and copy what the step is about to overwrite."""
    groups: list[tuple[dict[str, Any], list[RawOptimizerParam]]] = []
    overwritten: list[Tensor] = []
    for group in optimizer.param_groups:
        hyper = {**hyper_of(group), **said(set_by)}
        params: list[RawOptimizerParam] = []
        for p in group["params"]:
            grad = p.grad
            if grad is None:
                continue
            alias = tape.alias(p)
            state = dict(optimizer.state[p]) if p in optimizer.state else {}
            params.append(RawOptimizerParam(alias, grad, state))
            overwritten.append(alias)
            overwritten += [value for value in state.values() if isinstance(value, Tensor)]
        groups.append((hyper, params))
    _copy(overwritten, tape)
    return RawOptimizerCall(type(optimizer).__name__, number, groups)


def _copy(tensors: list[Tensor], tape: Tape) -> None:
    index = tape.index
    known = [tape.memory(tensor) for tensor in tensors]
    tape.writes.order += [(index, key) for key, _ in known]
    if not tape.keeping:
        needed = [i for i, (key, _) in enumerate(known) if tape.still_needed(key)]
        tensors, known = [tensors[i] for i in needed], [known[i] for i in needed]
    if not tensors:
        return
    olds = _foreach_clone(tensors) if _foreach_clone else [t.clone() for t in tensors]
    for tensor, old, (key, whole) in zip(tensors, olds, known, strict=True):
        tape.cloned += old.nbytes
        tape.limit -= old.nbytes
        tape.writes.add(key, Before(index, None if whole else tensor.detach(), old))


def after_step(optimizer: Any, call: RawOptimizerCall, tape: Tape) -> None:
    """Take down what came out, as one event."""
    for group, (_, params) in zip(optimizer.param_groups, call.groups, strict=True):
        taken = iter(params)
        for p in group["params"]:
            if p.grad is None:
                continue
            next(taken).after = dict(optimizer.state[p]) if p in optimizer.state else {}
    record_call(call, tape)
