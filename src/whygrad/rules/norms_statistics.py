"""Variance, standard deviation, and norms of vectors.

Sources: aten/src/ATen/native/ReduceOps.cpp (std_var_all_cpu), aten/src/ATen/native/cpu/ReduceOpsKernel.cpp
(std_var_kernel, norm_kernel).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from whygrad.floats.summation import Chain, Lanes, Order, Parts, evaluate
from whygrad.floats.summation_cascade import GRAIN
from whygrad.floats.summation_welford import Welford
from whygrad.rules.activations import div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Algorithm, Call, Case, Dot, Expr, In, Kernel, Num, Series, Var
from whygrad.rules.norms import MEAN, NARROW, VARIANCE, dot, lanes_of, over, root
from whygrad.rules.orders import KernelCall, candidates
from whygrad.rules.reductions import dims_of, reduced
from whygrad.rules.registry import Unruled, rule


def _elements(c: OpCall, i: Index, dims: int, keepdim: int) -> tuple[Operand, tuple[int, ...], Series]:
    x = c.t(0)
    over_dims = dims_of(c.arg(dims, "dim"), len(x.shape))
    keep = bool(c.arg(keepdim, "keepdim", False))
    return x, over_dims, reduced(x, over_dims, keep, i)


def _numbers(x: Operand, elements: Series) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    content = x.call.trace.content(x.call.step, x.value)
    return np.asarray(content[tuple(elements.indices.T)], np.float64).reshape(-1)


def _variance(c: OpCall, i: Index, finish: Callable[[Expr], Expr]) -> Expr:
    """`finish` of `Σ (x − mean)²/(n − correction)`, in double: all numbers of a tensor in two sums, else by Welford's update."""
    x, dims, elements = _elements(c, i, 1, -1)
    n = len(elements)
    correction = c.arg(-1, "correction", None)
    less = 1.0 if correction is None else c.real(-1, "correction")
    divisor = Num(max(n - less, 0.0), "n" if less == 0 else f"(n − {less:g})")
    numbers = _numbers(x, elements)
    everything = len(dims) == len(x.shape) and x.dtype not in NARROW and not c.op.kind.endswith("_mean")
    mean = _stored_mean(c, x, dims, numbers) if everything else float(numbers.mean())
    deviation = sub(Var(0), Num(mean, "mean"))
    squares = Dot(elements, term=mul(deviation, deviation))
    if everything:
        return In("float64", finish(div(dot(elements, Order(Chain()), term=squares.term), divisor)))
    value = finish(div(VARIANCE, divisor))
    routine = Welford(c.step.threads)
    return In(
        "float64", Kernel((), (), finish(div(squares, divisor)), computed=(Algorithm(routine, (elements,), value),))
    )


def _stored_mean(
    c: OpCall, x: Operand, dims: tuple[int, ...], numbers: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> float:
    """The mean as `aten.mean` has it, in the tensor's own dtype."""
    call = KernelCall("aten.mean", x.dtype, (x.shape,), (x.value.stride,), dims, (), c.step.threads)
    kind = np.float64 if x.dtype == "float64" else np.float32
    total = evaluate(candidates(call)[0], numbers, None, None, kind)
    return float(kind(kind(total) / kind(len(numbers))))


@rule("aten.var", "aten.var_mean")
def var(c: OpCall, i: Index) -> Expr:
    """`σ² = Σ (x − mean)²/(n − correction)`."""
    return _variance(c, i, lambda variance: variance)


@rule("aten.std", "aten.std_mean")
def std(c: OpCall, i: Index) -> Expr:
    """`σ = √(Σ (x − mean)²/(n − correction))`."""
    return _variance(c, i, root)


@rule("aten.var_mean", "aten.std_mean", output=1)
def mean_beside(c: OpCall, i: Index) -> Expr:
    """`mean = Σ x / n`, by Welford's update."""
    _, _, elements = _elements(c, i, 1, -1)
    routine = Welford(c.step.threads)
    formula = div(Dot(elements), over(len(elements)))
    return In("float64", Kernel((), (), formula, computed=(Algorithm(routine, (elements,), MEAN),)))


# ---- norms


def _innermost(x: Operand, dims: tuple[int, ...]) -> bool:
    """Whether the reduced numbers lie next to each other in memory."""
    step = 1
    for dim in sorted((d for d in dims if x.shape[d] != 1), key=lambda d: x.value.stride[d]):
        if x.value.stride[dim] != step:
            return False
        step *= x.shape[dim]
    return True


@rule("aten.linalg_vector_norm")
def vector_norm(c: OpCall, i: Index) -> Expr:
    """`‖x‖ₚ = (Σ |x|^p)^(1/p)`; the largest or smallest |x| for p = ±∞, the number of non-zeros for p = 0."""
    x, dims, elements = _elements(c, i, 2, 3)
    if c.dtype_of(4, "dtype") not in (None, x.dtype):
        raise Unruled("the norm is computed in another dtype than the tensor's")
    order = c.real(1, "ord", 2.0)
    if math.isinf(order):
        return _extreme(x, elements, order > 0)
    one_by_one = _one_by_one(c, len(elements))
    if order == 2:
        return root(dot(elements, _squares_order(c, x, dims) or one_by_one, elements))
    size = Call("abs", (Var(0),))
    if order == 1:
        return dot(elements, one_by_one, term=size)
    if order == 0:
        return dot(elements, one_by_one, term=sub(Num(1), Call("equal", (Var(0), Num(0)))))
    power = Call("pow", (size, Num(order)), "C library")
    total = dot(elements, one_by_one, term=power)
    return Call("pow", (total, Num(1 / order, "1/p")), "C library")


def _extreme(x: Operand, elements: Series, largest: bool) -> Expr:
    sizes = np.abs(_numbers(x, elements))
    place = int(np.argmax(sizes) if largest else np.argmin(sizes))
    var = x[tuple(int(k) for k in elements.indices[place])]
    return Case(f"it has the {'largest' if largest else 'smallest'} size", Call("abs", (var,)), "another")


def _one_by_one(c: OpCall, n: int) -> Order:
    """One running sum; where a tensor becomes a single number, one for each thread (binary_kernel_reduce)."""
    if c.out().value.numel > 1 or n < GRAIN or c.step.threads == 1:
        return Order(Chain())
    return Order(Parts(-(-n // min(c.step.threads, -(-n // GRAIN)))))


def _squares_order(c: OpCall, x: Operand, dims: tuple[int, ...]) -> Order | None:
    """Numbers that lie next to each other fill a vector of running sums, whose lanes are added in turn; None where they are
    added one by one, as float16's always are."""
    if not _innermost(x, dims) or x.dtype == "float16":
        return None
    width = lanes_of(c, x.dtype)
    multiple = 2 * width if x.dtype == "bfloat16" else width
    return Order(Lanes(width, multiple=multiple, lanes_join="in turn", rest="fused after"), fused=True)
