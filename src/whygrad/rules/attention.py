"""What attention's kernels compute and no ATen op does (aten/src/ATen/native/cpu/FlashAttentionKernel.cpp): their
exponentials and logarithm, and a row's sum over vectors. The ops are made by `explain/inside/kernel_ops.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import numpy as np

from whygrad.floats.summation import Chain, Lanes, Order
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Call, Dot, Expr, Series
from whygrad.rules.registry import rule

_LIBRARY = {"exp_scalar": {"float32": "correctly rounded", "float64": "C library"}}
_LIBRARY["log_scalar"] = {"float32": "C library", "float64": "C library"}


def _function(op: str, name: str, variant: Callable[[str], str]) -> None:
    """Enter an elementary function with the algorithm that the kernel uses for a dtype."""

    def function(c: OpCall, i: Index) -> Expr:
        return Call(name, (c.t(0)[i],), variant(c.t(0).dtype))

    function.__name__ = function.__qualname__ = op
    function.__doc__ = f"`yᵢ = {name} xᵢ`."
    rule(f"whygrad.{op}")(function)


_function("exp_vector", "exp", lambda dtype: "SLEEF u10")
_function("exp_u20", "exp", lambda dtype: "SLEEF u10" if dtype == "float64" else "exp_u20")
_function("fexp_u20", "exp", lambda dtype: "fexp_u20")
_function("exp_scalar", "exp", lambda dtype: _LIBRARY["exp_scalar"][dtype])
_function("log_scalar", "log", lambda dtype: _LIBRARY["log_scalar"][dtype])


@rule("whygrad.sum_vectors")
def sum_vectors(c: OpCall, i: Index) -> Expr:
    """`y[r] = Σⱼ x[r,j]`, x (…, columns): whole vectors of `lanes` numbers into `registers` registers in turn, these added,
    then their lanes; what fills no vector goes into a last vector, or (`after`) one by one onto the total."""
    x = c.t(0)
    lanes, registers, after = c.integer(1), c.integer(2), bool(c.arg(3))
    join = cast(Literal["halving", "in turn"], c.arg(4))
    columns = x.shape[-1]
    whole = columns // lanes * lanes if after else columns
    if columns < lanes:
        return Dot(_row(x, i, 0, columns), orders=(Order(Chain()),))
    body = Dot(
        _row(x, i, 0, whole), orders=(Order(Lanes(lanes, registers, lanes_join=join, rest="lanes")),)
    )  # fmt: skip
    if whole == columns:
        return body
    return Dot(_row(x, i, whole, columns), init=body, orders=(Order(Chain(), init="first"),))


def _row(x: Operand, i: Index, start: int, stop: int) -> Series:
    indices = np.empty((stop - start, len(x.shape)), np.int64)
    indices[:, :-1] = i
    indices[:, -1] = np.arange(start, stop)
    return x.at(indices)
