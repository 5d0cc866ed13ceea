"""The inside of an optimizer's step, had by running it again on what went in, and checked against what came out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from whygrad.errors import WhygradError
from whygrad.explain.addresses import Naming
from whygrad.explain.one_step import OneStep
from whygrad.explain.window import Window
from whygrad.trace.history import History
from whygrad.trace.model import SET_BY, Arg, Op, OptimizerGroup, OptimizerParam, Ref, Step, StepInfo
from whygrad.trace.store import Array, Trace


@dataclass(frozen=True)
class Expansion:
    """The ops of one parameter's update, as a Trace of one step. `outer` maps a storage of its inputs to the Value of the
    outer step; `same` tells whether the update came out with the recorded bits."""

    trace: Trace
    step: Step
    outer: dict[int, int]
    group: OptimizerGroup
    param: OptimizerParam
    same: bool
    class_name: str
    window: Window | None = None


def find_param(op: Op, value: int) -> tuple[OptimizerGroup, OptimizerParam] | None:
    """The parameter whose update wrote a Value (itself, or as optimizer state)."""
    assert op.optimizer is not None
    for group in op.optimizer.groups:
        for param in group.params:
            if param.after == value or any(isinstance(a, Ref) and a.id == value for _, a in param.state_after):
                return group, param
    return None


def expand(
    trace: Trace,
    step: Step,
    op: Op,
    group: OptimizerGroup,
    param: OptimizerParam,
    name: str,
    window: Window | None = None,
) -> Expansion:
    """Run the update of one parameter again. A `foreach` or `fused` update is first tried op by op (`foreach=False`),
    which says more; where that does not give the recorded bits, as it was configured. `name` is what the run calls the
    parameter. `window`: only a stretch of it, as vectors; `same` is then about that stretch."""
    hyper = {key: arg for key, arg in group.hyper if key != SET_BY}
    plain = {**hyper, **{key: False for key in ("foreach", "fused") if hyper.get(key)}}
    found = _run(trace, step, op, group, param, plain, name, window)
    if not found.same and plain != hyper:
        found = _run(trace, step, op, group, param, hyper, name, window)
    return found


def _run(
    trace: Trace,
    step: Step,
    op: Op,
    group: OptimizerGroup,
    param: OptimizerParam,
    hyper: dict[str, Arg],
    name: str,
    window: Window | None,
) -> Expansion:
    import torch

    from whygrad.capture.freeze import Freezer
    from whygrad.capture.raw import RawStep, Seen
    from whygrad.capture.tape import Tape
    from whygrad.explain.replay import different_elements
    from whygrad.explain.tensors import Rebuilder, StretchRebuilder, threads

    assert op.optimizer is not None, "an op without an optimizer is not expanded"
    assert param.grad is not None, "a parameter without a gradient is not updated"
    kind: Any = getattr(torch.optim, op.optimizer.class_name, None)
    if kind is None:
        raise WhygradError(f"this torch has no optimizer {op.optimizer.class_name}; the run was recorded with another.")
    rebuilder = Rebuilder(trace, step) if window is None else StretchRebuilder(trace, step, window)
    weight = rebuilder.tensor(param.before).clone().requires_grad_()
    weight.grad = rebuilder.tensor(param.grad)
    state = {key: rebuilder.argument(arg) for key, arg in param.state_before}
    state = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in state.items()}
    optimizer = _make(kind, weight, hyper, state)
    tape = Tape()
    alias, grad = tape.register_leaf(weight).alias, weight.grad
    raw = RawStep(step.number, 0, [], threads=step.threads)
    raw.seen += [Seen(0, name, alias, "before", create=True), Seen(0, name, grad, "gradient", create=True)]
    raw.seen += [
        Seen(0, key, value, "state_before", name, create=True)
        for key, value in state.items() if isinstance(value, torch.Tensor)
    ]  # fmt: skip
    with threads(step.threads), torch.set_grad_enabled(bool(optimizer.defaults.get("differentiable"))), tape:
        inspect.unwrap(kind.step)(optimizer)
    raw.events, raw.last = tape.events, len(tape.events)
    after = {k: v for k, v in optimizer.state[weight].items() if isinstance(v, torch.Tensor)}
    raw.seen.append(Seen(raw.last, name, alias, "parameter", create=True))
    raw.seen += [Seen(raw.last, key, value, "state", name, create=True) for key, value in after.items()]
    recorded = _recorded(trace, step, window)
    same = not different_elements(recorded(param.after), weight)
    for key, arg in param.state_after:
        if isinstance(arg, Ref) and key in after:
            same = same and not different_elements(recorded(arg.id), after[key])
    frozen = Freezer(tape.writes).freeze(raw)
    inner = Step(step.number, 0, raw.last, True, frozen.ops, frozen.values, frozen.chunks, frozen.names, step.threads)
    info = StepInfo(step.number, 0, raw.last, True, True)
    outer = _inputs(inner, param)
    return Expansion(
        Trace(trace.info, [info], History(), OneStep(inner, frozen.contents)), inner, outer, group, param, same,
        op.optimizer.class_name, window,
    )  # fmt: skip


def _recorded(trace: Trace, step: Step, window: Window | None) -> Callable[[int], Array]:
    """The recorded numbers of a Value, or of a stretch of it."""

    def content(value_id: int) -> Array:
        value = step.values[value_id]
        whole = trace.content(step, value)
        return whole if window is None or value.numel == 1 else whole.reshape(-1)[window.start : window.stop]

    return content


def _make(kind: Any, weight: Any, hyper: dict[str, Arg], state: dict[str, Any]) -> Any:
    """An optimizer over one parameter, as it stood. torch's decorators are left off its methods (torch/_compile.py,
    `profile_hook_step`): they import the whole of torch._dynamo, and call hooks that a program has set for all optimizers.
    """
    plain: Any = type(kind.__name__, (kind,), {"add_param_group": inspect.unwrap(kind.add_param_group)})
    known = inspect.signature(kind.__init__).parameters
    optimizer = plain([weight], **{k: v for k, v in hyper.items() if k in known})
    optimizer.param_groups[0].update(hyper)
    if state:
        optimizer.state[weight] = state
    return optimizer


def parameter_name(naming: Naming, step: Step, param: OptimizerParam) -> str:
    """What the parameter of an update is called."""
    memory = (step.values[param.before].storage, step.values[param.before].version)
    names = [n for n in naming.by_memory.get(memory, ()) if n.kind in ("before", "parameter")]
    return names[0].text if names else f"value{param.before}"


def _inputs(inner: Step, param: OptimizerParam) -> dict[int, int]:
    outer: dict[int, int] = {}
    before = dict(param.state_before)
    for name in inner.names:
        storage = inner.values[name.value].storage
        if name.kind == "before":
            outer[storage] = param.before
        elif name.kind == "gradient" and param.grad is not None:
            outer[storage] = param.grad
        elif name.kind == "state_before":
            known = before.get(name.text)
            if isinstance(known, Ref):
                outer[storage] = known.id
    return outer
