"""torch's own kernel in a program, for an exponential that no plain program gives: SLEEF's, oneDNN's, MKL's.

The kernel is called on as little as brings out the same body of it: one element (repeated, because whole vectors and
single elements are computed by different code), one row of a softmax, a part of a normalisation, or all operands of a loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from whygrad.explain.check import Checked
from whygrad.explain.derivation import Derivation
from whygrad.rules.call import Index
from whygrad.rules.expr import Dot, Expr, Var, walk
from whygrad.trace.model import Arg, Ref, Token, Value
from whygrad.view.python_norms import Cut, cut_of
from whygrad.view.python_text import first_line, last_lines, literal

__all__ = ["torch_sources"]

_ROWS = {
    "aten._softmax": 1,
    "aten._log_softmax": 1,
    "aten._softmax_backward_data": 2,
    "aten._log_softmax_backward_data": 2,
}
"""Where their `dim` stands."""
_MOST = 4096
_REPEATED = (64, 1)  # a whole step of every kernel's vector body, and one element
_COLUMNS = 100


def torch_sources(derivation: Derivation) -> Iterator[str]:
    """Programs that call the op that made the number; none where it cannot be called on a few numbers."""
    checked, equation = derivation.evaluation, derivation.equation
    if checked is None or equation is None or checked.call.op.rng is not None or checked.random:
        return
    op = checked.call.op
    if not op.name.startswith("aten.") or not op.outputs or checked.rule.output < 0:
        return
    cut = cut_of(checked)
    if cut is not None:
        yield from _norm(derivation, checked, cut)
    elif op.kind in _ROWS:
        yield from _row(derivation, checked, equation)
    elif None not in op.outputs and not any(isinstance(node, Dot) for node in walk(equation)):
        yield from _element(derivation, checked)
    elif _is_scalar(checked) and None not in op.outputs:
        yield from _whole(derivation, checked)


def _is_scalar(checked: Checked) -> bool:
    output = checked.call.op.outputs[checked.rule.output]
    return output is not None and not checked.call.step.values[output].shape


def _program(
    derivation: Derivation,
    checked: Checked,
    lines: list[str],
    arguments: list[str],
    at: str,
    what: str,
    cut: Cut | None = None,
) -> str:
    op = checked.call.op
    keywords = [
        f"{key}={_plain(arg)}" for key, arg in op.kwargs if not isinstance(arg, (Ref, Token)) and key != "generator"
    ]
    result = f"torch.ops.{op.name}({', '.join([*arguments, *keywords])})"
    if cut is not None and cut.written >= 0:
        lines, result = [*lines, result], arguments[cut.written]
    elif len(op.outputs) > 1:
        result += f"[{checked.rule.output}]"
    if cut is not None:
        at = f"[{', '.join(map(str, cut.at))}]"
    head = [
        first_line(derivation),
        f"# torch's own kernel, {what}: no plain program has its elementary functions' last bits",
    ]
    return "\n".join([*head, "import torch", "", *lines, *last_lines(derivation, f"float({result}{at})")]) + "\n"


def _plain(arg: Arg) -> str:
    """An argument that is no tensor."""
    if isinstance(arg, Token):
        return f"torch.{arg.text.removeprefix('torch.')}" if arg.kind == "dtype" else "None"
    if isinstance(arg, tuple):
        return "[" + ", ".join(_plain(each) for each in arg) + "]"
    return literal(arg) if isinstance(arg, float) else repr(arg)


def _norm(derivation: Derivation, checked: Checked, cut: Cut) -> Iterator[str]:
    """A normalisation of one row, column or channel."""
    call, lines, arguments = checked.call, list[str](), list[str]()
    for number, arg in enumerate(call.op.args):
        if not isinstance(arg, Ref):
            arguments.append(cut.constants.get(number) or _plain(arg))
            continue
        value = call.step.values[arg.id]
        numbers = cut.parts[number](_content(checked, value))
        if numbers.size > _MOST:
            return
        lines += _tensor(f"operand_{number}", numbers.reshape(-1), value.dtype, f".reshape({numbers.shape})")
        arguments.append(f"operand_{number}")
    yield _program(derivation, checked, [*lines, ""], arguments, "", cut.what, cut)


def _row(derivation: Derivation, checked: Checked, equation: Expr) -> Iterator[str]:
    """A softmax of one row. Its equation begins with argument 0 at the asked index."""
    op, call = checked.call.op, checked.call
    first = next((node for node in walk(equation) if isinstance(node, Var)), None)
    key = None if first is None else call.operands[first.k]
    position = _ROWS[op.kind]
    dim = op.args[position]
    if not isinstance(key, tuple) or not isinstance(dim, int):
        return
    index, lines, arguments = key[1], list[str](), list[str]()
    if not index:
        return
    axis = dim % len(index)
    shape = (1, -1) if axis == len(index) - 1 else (-1, 1)
    for number, arg in enumerate(op.args):
        if isinstance(arg, Ref):
            value = call.step.values[arg.id]
            row = _content(checked, value)[tuple(slice(None) if d == axis else i for d, i in enumerate(index))]
            if len(row) > _MOST:
                return
            lines += _tensor(f"row_{number}", row, value.dtype, f".reshape{shape}")
            arguments.append(f"row_{number}")
        else:
            arguments.append(str(shape.index(-1)) if number == position else _plain(arg))
    at = f"[0, {index[axis]}]" if shape[0] == 1 else f"[{index[axis]}, 0]"
    yield _program(derivation, checked, [*lines, ""], arguments, at, "on the whole row")


def _element(derivation: Derivation, checked: Checked) -> Iterator[str]:
    """A pointwise op of the one element of each tensor that the equation names."""
    op, call = checked.call.op, checked.call
    named: dict[int, Index] = {}
    for key in call.operands:
        if isinstance(key, tuple) and named.setdefault(key[0], key[1]) != key[1]:
            return
    for count in _REPEATED:
        arguments: list[str] = []
        for arg in op.args:
            if not isinstance(arg, Ref):
                arguments.append(_plain(arg))
                continue
            if arg.id not in named:
                return
            value = call.step.values[arg.id]
            number = literal(float(_content(checked, value)[named[arg.id]]))
            arguments.append(f"torch.full(({count},), {number}, dtype=torch.{value.dtype})")
        what = "on the element repeated to fill whole vectors" if count > 1 else "on the element alone"
        yield _program(derivation, checked, [], arguments, "[0]", what)


def _whole(derivation: Derivation, checked: Checked) -> Iterator[str]:
    """An op that gives one number, on all that it was given."""
    call = checked.call
    lines, arguments = list[str](), list[str]()
    for number, arg in enumerate(call.op.args):
        if isinstance(arg, Ref):
            value = call.step.values[arg.id]
            if value.numel > _MOST:
                return
            lines += _tensor(
                f"operand_{number}", _content(checked, value).reshape(-1), value.dtype, f".reshape({value.shape})"
            )
            arguments.append(f"operand_{number}")
        else:
            arguments.append(_plain(arg))
    yield _program(derivation, checked, [*lines, ""], arguments, "", "on all its operands")


def _content(checked: Checked, value: Value) -> np.ndarray[Any, Any]:
    return np.asarray(checked.call.trace.content(checked.call.step, value)).astype(np.float64)


def _tensor(name: str, numbers: np.ndarray[Any, Any], dtype: str, then: str) -> list[str]:
    lines, row = [f"{name} = torch.tensor(["], "   "
    for value in numbers.tolist():
        text = f" {literal(value) if not dtype.startswith(('int', 'uint')) else int(value)},"
        if len(row) + len(text) > _COLUMNS:
            lines.append(row)
            row = "   "
        row += text
    return [*lines, row, f"], dtype=torch.{dtype}){then}"]
