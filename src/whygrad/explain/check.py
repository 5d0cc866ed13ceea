"""One element of one op's result: its equation, evaluated and compared with the recorded bits."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from whygrad.errors import ValueDropped
from whygrad.explain.evaluate import Found, Inputs, Orders, search
from whygrad.explain.probe import Fits, Prober
from whygrad.floats import FORMATS, NumberFormat, number_format
from whygrad.floats.summation import Chain, Order
from whygrad.rules.call import Hyper, Index, OpCall
from whygrad.rules.expr import Dot, Drawn, Expr, walk
from whygrad.rules.foreach import element_op
from whygrad.rules.orders import KernelCall, candidates, expected
from whygrad.rules.registry import Rule, TooLong, Unruled, find_rule
from whygrad.trace.model import Op, Ref, Step, Value
from whygrad.trace.store import Trace

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Checked:
    """The equation of an element, its inputs, and the way of evaluating that came nearest (`found` None: none could be
    evaluated, or the element is an integer: then `equal` tells). `index`: the element's, in what the op wrote."""

    call: OpCall
    rule: Rule
    expr: Expr
    inputs: Inputs
    target: float
    format: NumberFormat | None
    width: NumberFormat
    found: Found | None
    equal: bool
    index: Index = ()

    @property
    def random(self) -> bool:
        """Whether the element was drawn by a random generator."""
        return any(isinstance(node, Drawn) for node in walk(self.expr))


_REDUCED_LOSSES = (
    "aten.mse_loss", "aten.smooth_l1_loss", "aten.huber_loss", "aten.binary_cross_entropy",
    "aten.binary_cross_entropy_with_logits",
)  # fmt: skip
_OF_ZEROS = (Order(Chain()), Order(Chain(from_zero=False)))
"""Products that are all −0 add up to +0 from zero, and to −0 where a kernel's sum begins with the first of them."""


class Checker:
    """Checks elements of a run; remembers which order of summation each kernel call used."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._as_expected: dict[tuple[Any, ...], bool] = {}
        self._prober = Prober()

    def check(self, step: Step, op: Op, output: Value, index: Index, constants: Any = None) -> Checked | None:
        """The equation for element `index` of a Value that `op` wrote; None when the op has no rule for it.

        Raises ValueDropped when an operand's numbers were not kept, Unruled when the rule does not cover this call.
        """
        found = self.equation(step, op, output, index, constants)
        if found is None:
            return None
        call, rule, expr, inputs = found
        target = float(self.trace.content(step, output)[index])
        fmt = FORMATS.get(output.dtype)
        width = _width(rule, call, output)
        if fmt is None:
            return self._integer(call, rule, expr, inputs, target, width)
        if self._prober.knows(op.kind):
            expr = self._prober.settled(call, rule, expr, index, self._fits(call, rule, output, width))
            orders = _possible(call, expr, index)
        else:
            orders = self._ranked(call, rule, expr, output, index, width) if _sums(expr) else ()
        if target == 0 and any(isinstance(node, Dot) for node in walk(expr)):
            orders = (*orders, *_OF_ZEROS)
        found = search(expr, inputs, target, fmt, width, orders)
        seen = self._prober.alone(call, rule, expr, index) if found is not None and found.ulp else None
        if seen is not None:
            again = search(seen, inputs, target, fmt, width, _possible(call, seen, index))
            expr, found = (seen, again) if again is not None and again.ulp == 0 else (expr, found)
        if rule.rounds == "either" and width is not fmt and (found is None or found.ulp):
            each = search(expr, inputs, target, fmt, fmt, orders)
            found, width = (
                (each, fmt) if each is not None and (found is None or each.ulp < found.ulp) else (found, width)
            )
        return Checked(call, rule, expr, inputs, target, fmt, width, found, found is not None and found.ulp == 0, index)

    def equation(
        self, step: Step, op: Op, output: Value, index: Index, constants: Any = None
    ) -> tuple[OpCall, Rule, Expr, Inputs] | None:
        """The equation and its inputs, not evaluated; None and errors as in `check`."""
        op, position = element_op(op, position_of(op, output.id))
        call = OpCall(self.trace, step, op, constants, position)
        rule = find_rule(op.name, position, call.is_complex)
        if rule is None:
            return None
        _written_out(step, op, output)
        try:
            expr = rule.function(call, index)
        except (Unruled, ValueDropped):
            raise
        except Exception as error:
            raise Unruled(f"{type(error).__name__}: {error}") from error
        return call, rule, expr, self._inputs(call)

    def _integer(
        self, call: OpCall, rule: Rule, expr: Expr, inputs: Inputs, target: float, width: NumberFormat
    ) -> Checked:
        from whygrad.explain.evaluate import Ways, value_of

        exact = number_format("float64")
        try:
            equal = value_of(expr, inputs, Ways(exact)) == target
        except (ValueError, OverflowError):
            equal = False
        return Checked(call, rule, expr, inputs, target, None, exact, None, equal)

    def _inputs(self, call: OpCall) -> Inputs:
        values: list[float] = []
        for key in call.operands:
            if isinstance(key, Hyper):
                values.append(key.value)
            else:
                values.append(float(self.trace.content(call.step, call.step.values[key[0]])[key[1]]))
        tensors = [call.array(operand) for operand in range(len(call.tensors))]
        return Inputs(values, tensors)

    def _ranked(self, call: OpCall, rule: Rule, expr: Expr, output: Value, index: Index, width: NumberFormat) -> Orders:
        """The orders of summation that may be tried on an element. Of a dozen orders one gives its bits by luck, so other
        elements decide, and the asked one has no say: where the order expected of each is right for all neighbours, it is
        the expected one; else what fits most of its row's neighbours, or of its column's."""
        beside, below = _neighbours(index, output.shape)
        if not (beside or below):
            return _possible(call, expr, index)
        recorded = self.trace.content(call.step, output)
        trial = _Trial(number_format(output.dtype), width)
        near = (beside or below)[:4]
        key = (call.step.number, call.op.index, output.id, index[:-1], index[-1] // 4)
        if key not in self._as_expected:
            self._as_expected[key] = all(self._first_fits(call, rule, at, trial, float(recorded[at])) for at in near)
        if self._as_expected[key]:
            return _expected(call, expr, index)
        possible = _possible(call, expr, index)
        if len(possible) < 2:
            return possible
        fitting: list[Order | int] = []
        for group in (beside, below):
            samples = [(*self._sample(call, rule, at), float(recorded[at])) for at in group]
            scores = [sum(trial.gives(*sample, order) for sample in samples) for order in possible]
            best = max(scores)
            fitting += [order for order, score in zip(possible, scores, strict=True) if best and score == best]
        return tuple(dict.fromkeys(fitting)) or possible[:1]

    def _first_fits(self, call: OpCall, rule: Rule, at: Index, trial: _Trial, recorded: float) -> bool:
        expr, inputs = self._sample(call, rule, at)
        first = _expected(call, expr, at)
        return not first or trial.gives(expr, inputs, recorded, first[0])

    def _fits(self, call: OpCall, rule: Rule, output: Value, width: NumberFormat) -> Fits:
        trial, recorded = _Trial(number_format(output.dtype), width), self.trace.content(call.step, output)

        def fits(at: Index, orders: tuple[Order, ...] | None, k: int) -> bool:
            expr, inputs = self._sample(call, rule, at)
            if orders is not None and isinstance(expr, Dot):
                expr = replace(expr, orders=orders)
            return trial.gives(expr, inputs, float(recorded[at]), k)

        return fits

    def _sample(self, call: OpCall, rule: Rule, index: Index) -> tuple[Expr, Inputs]:
        other = OpCall(self.trace, call.step, call.op, call.constants, call.output)
        expr = rule.function(other, index)
        return expr, self._inputs(other)


_REDUCTIONS = re.compile(
    r"aten\.(nan)?(sum|mean|prod|dot|vdot|norm|linalg_vector_norm|logsumexp|var|std|\w+_loss|\w+_cross_entropy\w*)(_mean)?"
)
MOST_TERMS = 1 << 20


def _written_out(step: Step, op: Op, output: Value) -> None:
    """Raises TooLong for a sum of more than `MOST_TERMS` terms: its index arrays alone would take as long as the op a
    hundred times over."""
    if not _REDUCTIONS.fullmatch(op.kind):
        return
    most = max((step.values[ref].numel for ref in op.refs()), default=0) // max(output.numel, 1)
    if most > MOST_TERMS:
        raise TooLong(f"it adds up {most:,} terms, and sums of more than {MOST_TERMS:,} are not written out")


def _possible(call: OpCall, expr: Expr, index: Index) -> Orders:
    """The orders that an equation's sums may have: their own, or those of the op."""
    own = max((len(node.orders) for node in walk(expr) if isinstance(node, Dot)), default=0)
    if own or call.is_complex:
        return tuple(range(own))
    return candidates(kernel_call(call, index))


def _expected(call: OpCall, expr: Expr, index: Index) -> Orders:
    """The first of the possible orders; empty where there is none."""
    sums = [node for node in walk(expr) if isinstance(node, Dot)]
    if not sums:
        return ()
    if call.is_complex or any(node.orders for node in sums):
        return _possible(call, expr, index)[:1]
    first = expected(kernel_call(call, index))
    return () if first is None else (first,)


def position_of(op: Op, value: int) -> int:
    """Which result of the op a Value is: what it wrote without returning it comes after what it returned."""
    if value in op.outputs:
        return op.outputs.index(value)
    unreturned = [each for each in op.written if each not in op.outputs]
    return len(op.outputs) + unreturned.index(value) if value in unreturned else 0


def kernel_call(call: OpCall, index: Index) -> KernelCall:
    """What decides the order of a sum inside `call`."""
    op = call.op
    values = [call.step.values[arg.id] for arg in op.args if isinstance(arg, Ref)]
    dims: tuple[int, ...] = ()
    if len(op.args) > 1 and op.kind.startswith(("aten.sum", "aten.mean", "aten._softmax", "aten._log_softmax")):
        arg = op.args[2] if op.kind.endswith("backward_data") else op.args[1]
        if isinstance(arg, int) and not isinstance(arg, bool):
            dims = (arg,)
        elif isinstance(arg, tuple):
            dims = tuple(d for d in arg if isinstance(d, int))
    return KernelCall(
        _summed_as(op), values[0].dtype if values else "float32", tuple(v.shape for v in values),
        tuple(v.stride for v in values), dims, index, call.step.threads,
    )  # fmt: skip


def _summed_as(op: Op) -> str:
    """The op that adds up a reduced loss's terms: it is called inside."""
    position = {"aten.binary_cross_entropy": 3, "aten.binary_cross_entropy_with_logits": 4}.get(op.kind, 2)
    if op.kind not in _REDUCED_LOSSES:
        return op.name
    return "aten.sum" if len(op.args) > position and op.args[position] == 2 else "aten.mean"


@dataclass(frozen=True)
class _Trial:
    format: NumberFormat
    width: NumberFormat

    def gives(self, expr: Expr, inputs: Inputs, target: float, order: Order | int) -> bool:
        """Whether an order of summation gives an element's bits."""
        found = search(expr, inputs, target, self.format, self.width, (order,))
        return found is not None and found.ulp == 0


def _neighbours(index: Index, shape: Index) -> tuple[list[Index], list[Index]]:
    """Other elements that a kernel is likely to have made alike: of the same row, those in the same block of four columns
    first; and of the same column, every fourth row, which is aligned alike."""
    if not shape:
        return [], []
    row, column = index[:-1], index[-1]
    block = column // 4 * 4
    near = [*range(block, block + 4), *range(block + 4, block + 8), *range(block - 4, block)]
    beside = [(*row, c) for c in near if 0 <= c < shape[-1] and c != column]
    steps = (4, -4, 8, -8, 12, -12)
    below = [(*row[:-1], row[-1] + k, column) for k in steps if row and 0 <= row[-1] + k < shape[-2]]
    return beside[:6], below


def _sums(expr: Expr) -> bool:
    return any(isinstance(node, Dot) and (len(node.a) > 1 or node.init is not None) for node in walk(expr))


def _width(rule: Rule, call: OpCall, output: Value) -> NumberFormat:
    """The format to which each operation inside the kernel rounds."""
    name = output.dtype
    if name not in FORMATS or rule.rounds == "double":
        return number_format("float64")
    if rule.rounds in ("each", name) or name in ("float32", "float64"):
        return number_format(name)
    return number_format("float32")
