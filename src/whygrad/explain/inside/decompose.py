"""An op run again as the ops of a decomposition, on its recorded operands: a small Trace of one step, whose inputs and
results are tied to the Values of the run."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from whygrad.errors import ValueDropped, WhygradError
from whygrad.explain.inside.registry import Candidate, run_kernel
from whygrad.explain.one_step import OneStep
from whygrad.explain.replay import OVERWRITING, UNINITIALISED, different_elements, overload, replay
from whygrad.rules.registry import Unruled, find_rule
from whygrad.trace.history import History
from whygrad.trace.model import UNWRITTEN, Arg, Op, Ref, Step, StepInfo, Value
from whygrad.trace.store import Array, Trace

MOST_STEPS = 4096
MOST_BYTES = 1 << 30
MOST_SECONDS = 4.0


_BLANK = UNINITIALISED | {"aten.resize_"}


class NotDecomposed(Exception):
    """Why a decomposition is none of this call."""


@dataclass(frozen=True)
class Decomposed:
    """The ops of a decomposition, as a Trace of one step. `inputs`: pairs of an inner Value and the Value of the run that it
    is; `results`: the inner Value of each that the op wrote. `different` counts, by Value of the run, the elements that
    came out with other bits; `bytes` is what the trace holds."""

    trace: Trace
    step: Step
    candidate: Candidate
    inputs: tuple[tuple[int, int], ...]
    results: dict[int, int]
    different: dict[int, int]
    bytes: int = 0


def decompose(trace: Trace, step: Step, op: Op, candidate: Candidate) -> Decomposed:
    """Run `op` as the ops of a decomposition. Raises NotDecomposed, with the reason, when it has none of this call, when it
    calls the op itself or takes too long, or when its loops are not to be seen."""
    import torch

    from whygrad.capture.freeze import Freezer
    from whygrad.capture.raw import RawStep, Seen
    from whygrad.explain.tensors import threads

    call = Arguments(trace, step, op, candidate)
    tape = _tape(overload(op.name) if candidate.watched else None)
    state = torch.get_rng_state()
    try:
        if call.rng is not None:
            torch.set_rng_state(call.rng)
        with torch.no_grad(), threads(step.threads), tape:
            out = candidate.call(*call.args, **call.kwargs)
    except NotDecomposed:
        raise
    except Unruled as error:
        raise NotDecomposed(str(error)) from error
    except Exception as error:
        raise NotDecomposed(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
    finally:
        torch.set_rng_state(state)
    if out is NotImplemented:
        raise NotDecomposed("it does not cover this call")
    inputs, results = call.tensors, call.results(out)
    last = len(tape.events)
    raw = RawStep(step.number, 0, tape.events, last=last, threads=step.threads)
    raw.seen += [Seen(0, f"i{value}", tensor, "variable", create=True) for value, tensor in inputs.items()]
    raw.seen += [Seen(last, f"o{value}", tensor, "variable", create=True) for value, tensor in results.items()]
    frozen = Freezer(tape.writes).freeze(raw)
    inner = Step(step.number, 0, last, True, frozen.ops, frozen.values, frozen.chunks, (), step.threads)
    own = Trace(trace.info, [StepInfo(step.number, 0, last, True, True)], History(), OneStep(inner, frozen.contents))
    named = {name.text: name.value for name in frozen.names}
    empty = {inner.values[named[f"i{v}"]].storage for v in call.blank if v in inputs}
    ends = {v: named[f"o{v}"] for v in results if _alike(step.values[v], inner.values[named[f"o{v}"]], empty)}
    found = Decomposed(
        own, inner, candidate, tuple((named[f"i{v}"], v) for v in inputs if v not in call.blank), ends,
        {value: different_elements(trace.content(step, step.values[value]), results[value]) for value in ends},
        sum(each.nbytes for each in frozen.contents.values()),
    )  # fmt: skip
    _check(found, trace, step, op)
    return found


class Arguments:
    """The op's arguments, made again; `tensors` by the Value that each is. `blank` are those of which nothing is read."""

    def __init__(self, trace: Trace, step: Step, op: Op, candidate: Candidate) -> None:
        from whygrad.capture.opinfo import describe
        from whygrad.explain.tensors import Rebuilder

        self.op, self.tensors = op, dict[int, Any]()
        size = sum(step.values[ref].numel for ref in {*op.refs(), *op.written})
        if size * 8 > MOST_BYTES:
            raise NotDecomposed(f"its operands have {size:,} elements, too many to be run again in steps")
        self._rebuilder = Rebuilder(trace, step)
        info = describe(overload(op.name))
        named = {which for which in info.writes if isinstance(which, str)}
        outs = {arg.id for key, arg in op.kwargs if key in named and isinstance(arg, Ref)}
        places = [op.args[which] for which in info.writes if isinstance(which, int) and which < len(op.args)]
        self._writes = outs | {arg.id for arg in places if isinstance(arg, Ref)}
        self.blank = outs
        if op.kind in OVERWRITING and isinstance(op.args[0], Ref):
            self.blank.add(op.args[0].id)
        try:
            self.args = [self._argument(arg) for arg in op.args]
            kwargs = {key: self._argument(arg) for key, arg in op.kwargs if key != "generator"}
            self.rng = None if op.rng is None else self._rebuilder.tensor(op.rng)
        except ValueDropped as error:
            raise NotDecomposed(str(error)) from error
        self.targets = info.targets(tuple(self.args), kwargs)
        self.kwargs = {key: arg for key, arg in kwargs.items() if key not in named} if candidate.functional else kwargs

    def _argument(self, arg: Arg) -> Any:
        if isinstance(arg, Ref):
            if arg.id not in self.tensors:
                self.tensors[arg.id] = self._tensor(arg.id)
            return self.tensors[arg.id]
        if isinstance(arg, tuple):
            return [self._argument(each) for each in arg]
        return self._rebuilder.argument(arg)

    def _tensor(self, value: int) -> Any:
        if value not in self.blank:
            try:
                return self._rebuilder.tensor(value)
            except ValueDropped:
                if value not in self._writes:
                    raise
        self.blank.add(value)
        return self._rebuilder.blank(value)

    def results(self, out: Any) -> dict[int, Any]:
        """What stands for each Value that the op returned or wrote: its results first; then, for what it wrote without
        returning it, further results, or the arguments themselves. Of a sparse tensor its values."""
        import torch

        returned: list[Any] = [out] if isinstance(out, torch.Tensor) else list(out or ())
        found: dict[int, Any] = {}
        for value, result in zip(self.op.outputs, returned, strict=False):
            if value is not None and isinstance(result, torch.Tensor):
                found[value] = result
        unreturned = [value for value in self.op.written if value not in self.op.outputs]
        extra = returned[len(self.op.outputs) :]
        written = dict(zip(self.op.written, self.targets, strict=False))
        for place, value in enumerate(unreturned):
            if place < len(extra) and isinstance(extra[place], torch.Tensor):
                found[value] = extra[place]
            elif value in written:
                found[value] = written[value]
        return {value: each._values() if each.is_sparse else each for value, each in found.items()}


def _alike(one: Value, other: Value, empty: set[int]) -> bool:
    """Whether an inner Value can stand for one of the run; not if it is memory (of `empty`) that nothing wrote."""
    left = other.version == UNWRITTEN and other.storage in empty
    return one.numel > 0 and not left and (one.dtype, one.shape, one.form) == (other.dtype, other.shape, other.form)


def _check(found: Decomposed, trace: Trace, step: Step, op: Op) -> None:
    """Raise NotDecomposed where the ops seen are not all that made the results."""
    if not found.results:
        raise NotDecomposed("its results have another shape or dtype")
    ops = found.step.ops
    for each in ops:
        if each.name == op.name and find_rule(op.name) is None:
            raise NotDecomposed("it calls the op itself")
    if found.candidate.watched:
        for own, outer in found.inputs:
            mine = found.trace.content(found.step, found.step.values[own])
            if mine.tobytes() != trace.content(step, step.values[outer]).tobytes():
                raise NotDecomposed("it writes in loops of its own into what it was given")
        unseen = _unseen(found)
        if unseen:
            raise NotDecomposed(unseen)


def _unseen(found: Decomposed) -> str:
    """What shows that C++ code computed in loops of its own: it read or returned memory that no op had written, or an op
    run again does not give what was found in its result."""
    step = found.step
    given = {step.values[own].storage for own, _ in found.inputs}
    blank = {step.values[w].storage: each.index for each in step.ops if each.kind in _BLANK for w in each.written}

    def unwritten(value: Value) -> bool:
        if value.version == UNWRITTEN:
            number = not value.shape and value.dtype in ("float64", "int64", "bool")  # a scalar, wrapped in a tensor
            return value.storage not in given and not number
        return blank.get(value.storage) == value.version

    results = [step.values[own] for own in found.results.values()]
    read = [step.values[ref] for each in step.ops for ref in _read(each)]
    if any(value.numel and unwritten(value) for value in (*results, *read)):
        return "it computes in loops of its own"
    for each in step.ops:
        if each.written and each.kind not in _BLANK and not _replayed(found, each):
            return f"it computes in loops of its own, around {each.kind}"
    if any(found.different.values()):
        return "it gives other numbers when its steps are watched"
    return ""


def _read(op: Op) -> list[int]:
    """The Values whose numbers an op reads: not those that it takes a view of, or only overwrites."""
    from whygrad.capture.opinfo import describe

    info = describe(overload(op.name))
    if info.view or op.kind in _BLANK:
        return []
    skip = {0} if op.kind in OVERWRITING else set[int | str]()
    skip |= {which for which in info.writes if isinstance(which, str)}
    args = tuple(arg for which, arg in enumerate(op.args) if which not in skip)
    kwargs = tuple((key, arg) for key, arg in op.kwargs if key not in skip)
    return replace(op, args=args, kwargs=kwargs).refs()


def _replayed(found: Decomposed, op: Op) -> bool:
    from whygrad.capture.opinfo import describe

    if describe(overload(op.name)).resizes:
        return True
    try:
        again = replay(found.trace, found.step, op)
    except RuntimeError:
        return False
    return again.same or not again.possible


def element(trace: Trace, step: Step, value: int, index: tuple[int, ...]) -> Any:
    """A recorded number as a numpy scalar."""
    return trace.content(step, step.values[value])[index]


def same_number(a: Any, b: Any) -> bool:
    """Whether two numpy scalars of one dtype have the same bits, any NaN being any other."""
    return a.tobytes() == b.tobytes() or bool(a != a and b != b)


def largest(content: Array) -> float:
    """The largest finite magnitude in a tensor."""
    sizes = np.abs(content.astype(np.float64))
    return float(np.max(sizes, initial=0.0, where=np.isfinite(sizes)))


def _tape(kernel_of: Any) -> Any:
    """A tape that stops what runs too long, and sees into torch's primitives (`prims`), which are no ATen ops, and into
    other forms of the op whose kernel is run: many do nothing but call the one with `out=`."""
    import torch

    from whygrad.capture.tape import Tape

    class Limited(Tape):
        end = time.monotonic() + MOST_SECONDS

        def __torch_dispatch__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            if len(self.events) > MOST_STEPS or self.held > MOST_BYTES or time.monotonic() > self.end:
                raise NotDecomposed("too many steps, or too much memory, to be run again")
            if func.namespace == "prims":
                with self:
                    return func.impl_aten(*args, **(kwargs or {}))
            if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
                with self:
                    return func.decompose(*args, **(kwargs or {}))
            if kernel_of is not None and func is not kernel_of and func._schema.name == kernel_of._schema.name:
                with self:
                    return run_kernel(func, *args, **(kwargs or {}))
            return super().__torch_dispatch__(func, types, args, kwargs)

    return Limited()


__all__ = ["Decomposed", "NotDecomposed", "WhygradError", "decompose", "element", "largest", "same_number"]
