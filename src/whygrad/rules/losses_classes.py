"""Losses over classes and over probabilities: NLL, binary cross-entropy, and the pieces that KL divergence and
cross-entropy are put together from (aten/src/ATen/native/LossNLL.cpp, Loss.cpp, cpu/BinaryOpsKernel.cpp)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from whygrad.rules.activations import ONE, add, div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Case, Dot, Expr, Kernel, Neg, Num, Series, Var
from whygrad.rules.losses import MEAN, NONE, SUM
from whygrad.rules.registry import rule


@dataclass(frozen=True)
class _Targets:
    """The classes that the targets name: `places` in x, shape (n, ndim), `kept` where they are not to be ignored. An ignored
    one stands at class 0, so that every target keeps its place in the sum."""

    places: np.ndarray[Any, Any]
    kept: np.ndarray[Any, Any]

    @property
    def classes(self) -> np.ndarray[Any, Any]:
        """Indices of the class weights, shape (n, 1)."""
        return self.places[:, -1:]


def _ignored(c: OpCall) -> int:
    return c.integer(4, default=-100)


def _targets(c: OpCall) -> _Targets:
    labels = np.asarray(c.trace.content(c.step, c.t(1).value)).reshape(-1).astype(np.int64)
    kept = labels != _ignored(c)
    columns = np.where(kept, labels, 0)
    if len(c.t(0).shape) == 1:
        return _Targets(columns.reshape(-1, 1), kept)
    return _Targets(np.stack([np.arange(len(columns)), columns], axis=1), kept)


def _counted(c: OpCall, targets: _Targets, a: Series, b: Series | None, term: Expr) -> Dot:
    """`Σ term`, 0 in place of the ignored ones."""
    if targets.kept.all():
        return Dot(a, b, term=None if isinstance(term, Var) else term)
    label = Call("equal", (Var(-1), Num(_ignored(c), "ignore_index")))
    return Dot(a, b, term=Call("where", (label, Num(0), term)), more=(c.t(1).all(),))


def _total_weight(c: OpCall) -> Expr:
    """`Σ w` over the targets' classes; their number without weights."""
    targets = _targets(c)
    if not c.has(2):
        return Num(float(targets.kept.sum()), "n")
    return _counted(c, targets, c.t(2).at(targets.classes), None, Var(0))


@rule("aten.nll_loss_forward", rounds="each")
def nll_loss(c: OpCall, i: Index) -> Expr:
    """`y = −Σₙ w[tₙ]·x[n,tₙ]`, for the mean divided by Σₙ w[tₙ]; x holds log-probabilities, t the classes. In 16 bits every
    product and every addition is rounded."""
    x, reduction = c.t(0), c.integer(3)
    if reduction == NONE and len(x.shape) > 1:
        label = int(c.t(1).item(i))
        c.t(1)[i]
        if label == c.arg(4, default=-100):
            return Case("the target is ignored", Num(0), "−x")
        picked = Neg(x[(*i, label)])
        return mul(picked, c.t(2)[(label,)]) if c.has(2) else picked
    targets = _targets(c)
    if not targets.kept.any():
        return Num(float("nan") if reduction == MEAN else 0.0, "0/0" if reduction == MEAN else "")
    weights = c.t(2).at(targets.classes) if c.has(2) else None
    term = Neg(Var(0)) if weights is None else Neg(mul(Var(0), Var(1)))
    total = _counted(c, targets, x.at(targets.places), weights, term)
    return total if reduction != MEAN else div(total, _total_weight(c))


@rule("aten.nll_loss_forward", rounds="each", output=1)
def nll_loss_weight(c: OpCall, i: Index) -> Expr:
    """`Σₙ w[tₙ]`: what the mean divides by; 0 where nothing is reduced."""
    if c.arg(3) == NONE and len(c.t(0).shape) > 1:
        return Num(0)
    return _total_weight(c)


@rule("aten.nll_loss_backward", rounds="each")
def nll_loss_backward(c: OpCall, i: Index) -> Expr:
    """`∂x[n,tₙ] = −w[tₙ]·g`, for the mean `/ Σ w`; 0 for every other class."""
    g, labels, reduction = c.t(0), c.t(2), c.integer(4)
    at = i[:-1] if labels.shape else ()
    label = int(labels.item(at))
    labels[at]
    if label == c.arg(5, default=-100):
        return Case("the target is ignored", Num(0), "−g")
    if label != i[-1]:
        return Case(f"the target is class {label}", Num(0), "−g")
    grad: Expr = Neg(g.broadcast(at))
    if reduction == MEAN:
        grad = div(grad, c.t(6)[()])
    return Case(f"the target is class {label}", mul(grad, c.t(3)[(label,)]) if c.has(3) else grad)


def _reduced(c: OpCall, term: Expr, reduction: int, *more: int) -> Expr:
    """The sum of the terms of arguments 0 and 1, or that over n; `more` are the positions of a weight, by broadcasting."""
    x = c.t(0)
    total = Dot(x.all(), c.t(1).all(), term=term, more=tuple(_spread(c.t(k), x.shape) for k in more))
    return total if reduction == SUM else div(total, Num(float(len(total.a)), "n"))


def _spread(x: Operand, shape: Index) -> Series:
    """The element of `x` that each element of `shape` meets."""
    at = np.indices(shape).reshape(len(shape), -1).T[:, len(shape) - len(x.shape) :]
    return x.at(np.where(np.array(x.shape, dtype=np.int64) == 1, 0, at).astype(np.int64).reshape(-1, len(x.shape)))


def _log(name: str, x: Expr) -> Expr:
    """A logarithm not below −100, so that a probability of 0 costs 100 and not infinity."""
    return Call("max", (Call(name, (x,)), Num(-100)))


def _bce(p: Expr, t: Expr) -> Expr:
    """`(t − 1)·log(1 − p) − t·log p`."""
    return sub(mul(sub(t, ONE), _log("log1p", Neg(p))), mul(t, _log("log", p)))


@rule("aten.binary_cross_entropy", rounds="each")
def binary_cross_entropy(c: OpCall, i: Index) -> Expr:
    """`yᵢ = −w·(tᵢ·log pᵢ + (1 − tᵢ)·log(1 − pᵢ))`, logarithms not below −100; summed, and for the mean divided by n."""
    reduction = c.integer(3, default=MEAN)
    if reduction == NONE:
        loss = _bce(c.t(0)[i], c.t(1)[i])
        return mul(loss, c.t(2).broadcast(i)) if c.has(2) else loss
    loss = _bce(Var(0), Var(1))
    return _reduced(c, mul(loss, Var(-1)) if c.has(2) else loss, reduction, *((2,) if c.has(2) else ()))


@rule("aten.binary_cross_entropy_backward", rounds="each")
def binary_cross_entropy_backward(c: OpCall, i: Index) -> Expr:
    """`∂pᵢ = g·(pᵢ − tᵢ) / max((1 − pᵢ)·pᵢ, 1e−12)`, times w, for the mean over n."""
    g, p, t = (c.t(k).broadcast(i) for k in range(3))
    grad = div(mul(g, sub(p, t)), Call("max", (mul(sub(ONE, p), p), Num(1e-12))))
    grad = mul(grad, c.t(3).broadcast(i)) if c.has(3) else grad
    if c.integer(4, default=MEAN) == MEAN:
        return div(grad, Num(float(c.t(1).value.numel), "n"))
    return grad


def _log_sigmoid(x: Expr) -> Expr:
    formula = sub(Call("min", (Num(0), x)), Call("log1p", (Call("exp", (Neg(Call("abs", (x,))),)),)))
    return Kernel(("log_sigmoid",), (x,), formula)


@rule("aten.binary_cross_entropy_with_logits", rounds="each")
def binary_cross_entropy_with_logits(c: OpCall, i: Index) -> Expr:
    """`yᵢ = (1 − tᵢ)·xᵢ − log σ(xᵢ)`, times w; with pos_weight p `(1 − tᵢ)·xᵢ − ((p − 1)·tᵢ + 1)·log σ(xᵢ)`."""
    given = [k for k in (2, 3) if c.has(k)]
    if c.integer(4, default=MEAN) == NONE:
        return _with_logits(c.t(0)[i], c.t(1)[i], *(c.t(k).broadcast(i) if k in given else None for k in (2, 3)))
    weights = [Var(-1 - given.index(k)) if k in given else None for k in (2, 3)]
    return _reduced(c, _with_logits(Var(0), Var(1), *weights), c.integer(4, default=MEAN), *given)


def _with_logits(x: Expr, t: Expr, weight: Expr | None, positive: Expr | None) -> Expr:
    log = _log_sigmoid(x)
    if positive is not None:
        log = mul(log, add(mul(sub(positive, ONE), t), ONE))
    loss = sub(mul(sub(ONE, t), x), log)
    return loss if weight is None else mul(loss, weight)


@rule("aten.xlogy", rounds="each")
def xlogy(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ·log bᵢ`, 0 where xᵢ is 0."""
    x = c.t(0)
    if x.item(i) == 0:
        x[i]
        return Case("x = 0", Num(0), "x · log(b)")
    return mul(x[i], Call("log", (c.t(1).broadcast(i) if c.has(1) else c.number(1),)))
