"""The names of a formula, as numbers of a run: by the derivation that the formula is compared with, by address, and by the
short names that books use. A weight without a step is the one that the step began with."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from whygrad.check.bound import Bound, Leaf, Op, Source
from whygrad.check.nodes import FUNCTIONS, Binary, Derivative, Function, Name, Negative, Node, Number
from whygrad.check.recorded import Node as Known
from whygrad.check.recorded import Recorded, bare
from whygrad.errors import AddressError, FormulaError, StepNotKept, ValueDropped
from whygrad.explain.addresses import Parsed, index_text, parse, step_text
from whygrad.explain.derivation import Derivation
from whygrad.explain.why import Explainer
from whygrad.rules.expr import Num

_GIVEN = {
    "input": ("x", "X", "inputs", "input"),
    "target": ("y", "Y", "t", "targets", "label", "y_true"),
    "prediction": ("ŷ", "pred", "y_hat", "yhat", "y_pred", "predicted", "output", "out", "p", "f"),
    "loss": ("L", "ℓ", "Loss", "J", "E", "C"),
}
_HYPER = {
    "lr": ("η", "eta", "learning_rate", "α", "lr", "γ"),
    "momentum": ("μ", "mu", "momentum", "β", "beta"),
    "dampening": ("dampening", "τ"),
    "weight_decay": ("λ", "wd", "weight_decay", "lambda"),
    "beta1": ("β1", "β_1", "β₁", "beta_1", "beta1", "b1"),
    "beta2": ("β2", "β_2", "β₂", "beta_2", "beta2", "b2"),
    "eps": ("ε", "epsilon", "eps", "ϵ"),
    "step": ("step", "t", "T", "k"),
    "rho": ("ρ", "rho"),
    "alpha": ("alpha", "α"),
}
_STATE = {
    "exp_avg": ("m", "m_t", "exp_avg"),
    "exp_avg_sq": ("v", "v_t", "exp_avg_sq"),
    "momentum_buffer": ("buf", "velocity", "buffer", "momentum_buffer", "v", "m"),
    "square_avg": ("v", "square_avg"),
}
_COUNTS = ("n", "N", "batch_size", "B", "batch")
_LOSSES = ("loss", "L", "ℓ", "Loss", "J", "E", "C", "l")
_WEIGHT, _BIAS = ("w", "W", "weight", "θ", "theta"), ("b", "bias")
_GRADIENT = ("g", "grad", "gradient", "g_t")
_PARAMETER = ("before", "parameter")


class Unknown(Exception):
    """A name that means nothing here; the text says why."""


@dataclass(frozen=True)
class _Wanted:
    name: str
    index: tuple[int, ...] | None
    grad: bool
    step: int | None


class Binder:
    """Makes the nodes of one formula into numbers of one derivation's run."""

    def __init__(self, explainer: Explainer, recorded: Recorded, formula: str) -> None:
        self.explainer, self.recorded, self.formula = explainer, recorded, formula
        self.step = recorded.step
        self._shapes: dict[str, tuple[int, ...]] = {}

    def bind(self, node: Node, example: int | None = None) -> Bound:
        """The formula with numbers. Raises FormulaError for a name that the run does not have."""
        match node:
            case Number(text, exact, unit, start, end):
                return Leaf(text, float(exact), "number", start, end, exact=exact, unit=unit)
            case Name(text, start, end):
                return self.leaf(text, start, end, example)
            case Derivative(of, by, start, end):
                return self.gradient(of, by, start, end, example)
            case Negative(a, start, end):
                return Op("neg", (self.bind(a, example),), start, end)
            case Binary(op, a, b, start, end):
                return Op(op, (self.bind(a, example), self.bind(b, example)), start, end)
            case Function("sum" | "mean" as name, (inner,), start, end):
                return self.over_examples(name, inner, start, end)
            case Function(name, args, start, end):
                return Op(name, tuple(self.bind(arg, example) for arg in args), start, end)

    def over_examples(self, name: str, inner: Node, start: int, end: int) -> Bound:
        """`sum(…)`: the sum over the batch; `mean(…)` divides it by how many there are."""
        size = self.batch
        if not size:
            raise FormulaError("the run does not tell how many examples the batch has.", self.formula, start)
        if size > 512:
            raise FormulaError(f"a sum over {size} examples is too long to be compared.", self.formula, start)
        total = self.bind(inner, 0)
        for k in range(1, size):
            total = Op("+", (total, self.bind(inner, k)), start, end)
        if name == "mean":
            total = Op("/", (total, Leaf("n", float(size), "count", start, end)), start, end)
        return total

    # ---- names

    def gradient(self, of: str, by: str, start: int, end: int, example: int | None) -> Leaf:
        if of not in _LOSSES and not of.startswith("loss"):
            raise FormulaError(
                f"only derivatives of the loss are recorded, not ∂{of}/∂{by}: write it out.", self.formula, start
            )
        head, at, step = by.partition("@")
        return self.leaf(f"{head}.grad{at}{step}", start, end, example)

    def leaf(self, text: str, start: int, end: int, example: int | None) -> Leaf:
        """The number that a name means."""
        try:
            found = self.find(text, start, end, example)
        except Unknown as error:
            raise FormulaError(str(error), self.formula, start) from None
        except (AddressError, StepNotKept, ValueDropped) as error:
            raise FormulaError(str(error), self.formula, start) from error
        return replace(found, text=self.formula[start:end])

    def find(self, text: str, start: int, end: int, example: int | None) -> Leaf:
        try:
            parsed = parse(text)
        except AddressError:
            raise Unknown(f"{text!r} is no name of a number.") from None
        for attempt in self._attempts(parsed):
            attempt = self._of_example(attempt, example)
            found = self._known(attempt, example) or self._elsewhere(attempt, example)
            if found is not None:
                return Leaf(text, float(found.value), _source(found), start, end, found.address, found)
        if parsed.index is None and not parsed.grad:
            setting = self._hyper(parsed)
            if setting is not None:
                return Leaf(text, float(setting.value), "hyperparameter", start, end, setting.address, setting)
            if parsed.name in _COUNTS and self.count:
                return Leaf(text, float(self.count), "count", start, end)
            if parsed.name in ("π", "pi"):
                return Leaf(text, math.pi, "count", start, end)
        raise Unknown(self._unknown(parsed))

    def _of_example(self, wanted: _Wanted, example: int | None) -> _Wanted:
        """In a sum over the batch, a name of a tensor whose first dimension is the batch, with that dimension left out, means
        the example's own row: `x` is `x[i]` or `x[i,0]`, `x[1]` is `x[i,1]`."""
        shape = () if example is None else self._shape(wanted.name)
        if example is None or not shape or shape[0] != self.batch:
            return wanted
        left_out = len(shape) - len(wanted.index or ())
        if left_out == 1:
            return replace(wanted, index=(example, *(wanted.index or ())))
        if wanted.index is None and all(size == 1 for size in shape[1:]):
            return replace(wanted, index=(example, *(0 for _ in shape[1:])))
        return wanted

    def _shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor of the step that is no parameter's and no state's; empty where there is none."""
        if name not in self._shapes:
            step = self.explainer.trace.step(self.step)
            named = [each for each in step.names if each.text == name or each.text.endswith("." + name)]
            given = [each for each in named if not each.kind.startswith("state") and not self._is_parameter(each.text)]
            self._shapes[name] = tuple(step.values[given[0].value].shape) if given else ()
        return self._shapes[name]

    def _attempts(self, parsed: Parsed) -> list[_Wanted]:
        """What a name may mean, the likeliest first."""
        names = [parsed.name]
        under = re.fullmatch(r"(.+?)_?([₀-₉]+|(?<=_)\d+)", parsed.name)
        root, own = self.recorded.root, self._own_parameter
        updated = root.derivation.role in ("parameter", "state")
        for name, short in _GIVEN.items():
            if parsed.name in short and self._has(name) and not (updated and parsed.name == "t"):
                names.append(name)
        if parsed.name in (*_WEIGHT, *_BIAS):
            names += self._parameter(parsed.name in _BIAS)
        names += [f"optimizer.{n}({own})" for n, short in _STATE.items() if own and parsed.name in short]
        if not parsed.name.endswith(".output"):
            names.append(f"{parsed.name}.output")
        wanted = [_Wanted(name, parsed.index, parsed.grad, parsed.step) for name in names]
        if parsed.name in _GRADIENT and own and not parsed.grad:
            wanted.append(_Wanted(own, parsed.index or root.parsed.index, True, parsed.step))
        for each in [*wanted]:
            mine = own and (each.name == own or each.name.endswith(f"({own})"))
            if mine and each.index is None and root.parsed.index is not None:
                wanted.insert(wanted.index(each), replace(each, index=root.parsed.index))
        if under is not None and parsed.index is None:
            digits = under[2].translate(str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789"))
            inner = replace(parsed, name=under[1].rstrip("_"), index=(int(digits),))
            wanted += self._attempts(inner)
        return wanted

    @property
    def _own_parameter(self) -> str:
        """The parameter that the asked number belongs to; empty where it is no parameter's."""
        d, parsed = self.recorded.root.derivation, self.recorded.root.parsed
        if d.role == "state":
            inside = re.search(r"\((.+)\)", parsed.name)
            return inside[1] if inside is not None else ""
        if d.role == "parameter" or (parsed.grad and self._is_parameter(parsed.name)):
            return parsed.name
        return ""

    def _parameter(self, bias: bool) -> list[str]:
        """The weight (or bias) that the formula is about: the asked one, that of its module, the only one."""
        own, ending = self._own_parameter, "bias" if bias else "weight"
        if own and (own.endswith("bias") == bias):
            return [own]
        found = [f"{own.rpartition('.')[0]}.{ending}".lstrip(".")] if own else []
        near = [k for k in self.recorded.nodes if k.derivation.role == "parameter" and k.parsed.name.endswith(ending)]
        names = {k.parsed.name for k in near if k.depth == min(each.depth for each in near)}
        return [*found, *(names if len(names) == 1 else ())]

    # ---- in the derivation

    def _known(self, wanted: _Wanted, example: int | None) -> Derivation | None:
        """The number of the derivation that a name means. Raises Unknown where it may be several."""
        matching = [node for node in self.recorded.nodes if self._matches(node, wanted)]
        if wanted.step is None:
            matching = [n for n in matching if n is not self.recorded.root and self._of_the_step(n)]
        found = list({n.derivation.address: n for n in matching}.values())
        if example is not None and wanted.index is None:
            unseen = self._of_unseen_example(found, wanted, example)
            if unseen is not None:
                return unseen
        if example is not None and len(found) > 1:
            own = [n for n in found if n.parsed.index and n.parsed.index[0] == example]
            found = own if own and not self._is_parameter(wanted.name) else found
        if len(found) > 1:
            nearest = min(n.depth for n in found)
            closest = [n for n in found if n.depth == nearest]
            if len({n.parsed.step for n in closest}) > 1:
                latest = max(n.parsed.step or 0 for n in closest)
                closest = [n for n in closest if (n.parsed.step or 0) == latest]
            found = closest
        if len(found) > 1:
            listed = ", ".join(n.derivation.address.partition("@")[0] for n in found[:4])
            raise Unknown(
                f"{wanted.name!r} is {len(found)} numbers here ({listed}{', …' if len(found) > 4 else ''}): "
                "say which, or write sum(…) over the examples."
            )
        return found[0].derivation if found else None

    def _of_unseen_example(self, found: list[Known], wanted: _Wanted, example: int) -> Derivation | None:
        """The element of an example that a long sum's derivation does not show: the one that it uses of those it shows."""
        shape = self._shape(wanted.name)
        shown = [n for n in found if n.parsed.index and len(n.parsed.index) == len(shape)]
        if not shown or shape[0] != self.batch or any(n.parsed.index and n.parsed.index[0] == example for n in shown):
            return None
        nearest = min(n.depth for n in shown)
        rests = {n.parsed.index[1:] for n in shown if n.parsed.index and n.depth == nearest}
        if len(rests) != 1:
            return None
        return self._elsewhere(replace(wanted, index=(example, *rests.pop())), None)

    def _matches(self, node: Known, wanted: _Wanted) -> bool:
        p = node.parsed
        same = p.name == wanted.name or p.name.endswith("." + wanted.name) or _state_of(p.name) == wanted.name
        if not same or p.grad != wanted.grad or (wanted.step is not None and p.step != wanted.step):
            return False
        return wanted.index is None or p.index == wanted.index or _padded(wanted.index, p.index) or (
            p.index is None and set(wanted.index) == {0}
        )  # fmt: skip

    def _of_the_step(self, node: Known) -> bool:
        """Whether a number is the one that a name without a step means."""
        step, d = node.parsed.step, node.derivation
        if d.role == "parameter":
            return (step is not None and step < self.step) or node.parsed.step is None
        return step is None or step == self.step or d.role == "state" or d.role == "hyperparameter"

    # ---- anywhere in the step

    def _elsewhere(self, wanted: _Wanted, example: int | None) -> Derivation | None:
        weight = self._is_parameter(wanted.name) and not wanted.grad
        step = wanted.step if wanted.step is not None else self.step - 1 if weight else self.step
        for index in self._indices(wanted, example):
            text = f"{wanted.name}{index_text(index) if index is not None else ''}{'.grad' if wanted.grad else ''}"
            try:
                place = self.explainer.place(text + step_text(step))
            except (AddressError, StepNotKept):
                continue
            if place is not None:
                return bare(self.explainer, place)
        if wanted.index is not None and self._has(wanted.name):
            text = f"{wanted.name}{index_text(wanted.index)}{'.grad' if wanted.grad else ''}{step_text(step)}"
            self.explainer.place(text)  # raises, and says which indices there are
        return None

    def _indices(self, wanted: _Wanted, example: int | None) -> list[tuple[int, ...] | None]:
        index = wanted.index
        if index is None:
            tries: list[tuple[int, ...] | None] = [None]
            if example is not None:
                tries += [(example,), (example, 0)]
            return tries
        return [index, (0, *index), *([(example, *index)] if example is not None else [])]

    def _hyper(self, parsed: Parsed) -> Derivation | None:
        step = self.step if parsed.step is None else parsed.step
        for name in [parsed.name, *(n for n, short in _HYPER.items() if parsed.name in short)]:
            bare = name.removeprefix("optimizer.")
            for node in self.recorded.nodes:
                d = node.derivation
                if d.role == "hyperparameter" and d.label == bare and node.parsed.step == step:
                    return d
            try:
                return self.explainer.why(f"optimizer.{bare}{step_text(step)}", 0)
            except (AddressError, StepNotKept):
                continue
        return None

    # ---- about the run

    @cached_property
    def _table(self) -> dict[str, str]:
        """Names of the step, and their kinds."""
        names = self.explainer.trace.step(self.step).names
        return {name.text: name.kind for name in names if not name.kind.startswith("state")}

    def _has(self, name: str) -> bool:
        return name in self._table or any(text.endswith("." + name) for text in self._table)

    def _is_parameter(self, name: str) -> bool:
        found = self._table.get(name) or next((k for t, k in self._table.items() if t.endswith("." + name)), "")
        step = self.explainer.trace.step(self.step)
        return found in _PARAMETER or any(n.text == name and n.kind in _PARAMETER for n in step.names)

    @cached_property
    def batch(self) -> int:
        """How many examples the batch has; 0 where that cannot be told."""
        step = self.explainer.trace.step(self.step)
        for kind in ("input", "target"):
            for name in step.names:
                shape = step.values[name.value].shape
                if name.kind == kind and shape:
                    return shape[0]
        return 0

    @cached_property
    def count(self) -> int:
        """The n of a mean: what the loss divides by, else the examples of the batch."""
        ways: dict[str, Callable[[float], float]] = {"n": lambda x: x, "1/n": lambda x: 1 / x, "2/n": lambda x: 2 / x}
        for piece in self.recorded.pieces:
            expr = piece.expr
            if isinstance(expr, Num) and expr.text in ways and expr.value:
                return round(ways[expr.text](expr.value))
        return self.batch

    def _unknown(self, parsed: Parsed) -> str:
        names = {n.parsed.name + (".grad" if n.parsed.grad else "") for n in self.recorded.nodes}
        names |= set(self._table) | set(_HYPER) | {"n"} | set(FUNCTIONS)
        names = {name for name in names if not re.fullmatch(r"(optimizer\.)?(op|value)\d+.*", name)}
        names |= {name.rpartition(".")[2] for name in names if not name.endswith(".grad")}
        near = difflib.get_close_matches(parsed.name, sorted(names), n=4, cutoff=0.5)
        kind = "the nearest names are" if near else "names here are"
        listed = ", ".join(near or sorted(self._table)[:8])
        return f"no number {parsed.spelled()!r} in step {self.step}; {kind}: {listed}."


def _source(d: Derivation) -> Source:
    return "hyperparameter" if d.role in ("hyperparameter", "constant") else "tensor"


def _state_of(name: str) -> str:
    """`exp_avg` of `optimizer.exp_avg(fc1.weight)`."""
    match = re.fullmatch(r"optimizer\.(\w+)\(.+\)", name)
    return match[1] if match is not None else ""


def _padded(short: tuple[int, ...], full: tuple[int, ...] | None) -> bool:
    """Whether `x[1]` may mean `x[0,1]`: what is left out is a dimension in front, in which 0 is asked."""
    if full is None or len(short) >= len(full):
        return False
    return full[len(full) - len(short) :] == short and not any(full[: len(full) - len(short)])
