"""Products of matrices and vectors. float16 and bfloat16 accumulate in float32 and round once."""

from __future__ import annotations

from typing import Literal

from whygrad.floats.summation import Blocks, Chain, Order
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Bin, Dot, Expr, Num, Round, Var
from whygrad.rules.orders import ONEDNN_LEAST
from whygrad.rules.registry import rule
from whygrad.rules.sparse_compressed import is_sparse, product


@rule("aten.mm")
def mm(c: OpCall, i: Index) -> Expr:
    """`y[n,o] = Σₖ a[n,k]·b[k,o]`; a (N,K), b (K,O)."""
    if is_sparse(c.arg(0)) or is_sparse(c.arg(1)):
        return product(c, i)
    n, o = i
    return Dot(c.t(0).series(n, None), c.t(1).series(None, o))


@rule("aten.bmm")
def bmm(c: OpCall, i: Index) -> Expr:
    """`y[b,n,o] = Σₖ a[b,n,k]·b[b,k,o]`."""
    b, n, o = i
    return Dot(c.t(0).series(b, n, None), c.t(1).series(b, None, o))


@rule("aten.mv")
def mv(c: OpCall, i: Index) -> Expr:
    """`y[n] = Σₖ a[n,k]·x[k]`."""
    return Dot(c.t(0).series(i[0], None), c.t(1).series(None))


@rule("aten.dot", "aten.vdot")
def dot(c: OpCall, i: Index) -> Expr:
    """`y = Σₖ a[k]·b[k]`."""
    return Dot(c.t(0).series(None), c.t(1).series(None))


def _with_bias(c: OpCall, i: Index, product: Dot) -> Expr:
    """`beta·bias + alpha·product`; beta and alpha are 1 in every layer of torch.nn."""
    beta, alpha = c.arg(-1, "beta", 1), c.arg(-1, "alpha", 1)
    bias = c.t(0).broadcast(i)
    if beta == 1 and alpha == 1:
        return Dot(product.a, product.b, init=bias)
    if alpha == 1 and beta != 0:
        return Dot(product.a, product.b, init=Bin("*", c.number(-1, "beta"), bias))
    start = None if beta == 0 else bias if beta == 1 else Bin("*", c.number(-1, "beta"), bias)
    if alpha != 1 and (first := _scaled_first(c, i)):
        left, right, alpha_ = Var(0), Var(1), Num(c.real(-1, "alpha"))
        if first == "left":
            return Dot(product.a, product.b, start, Bin("*", Bin("*", alpha_, left), right), orders=_COLUMNS)
        orders = _COLUMNS if len(c.t(2).shape) == 1 else ()
        return Dot(product.a, product.b, start, Bin("*", left, Bin("*", alpha_, right)), orders=orders)
    scaled: Expr = product if alpha == 1 else Bin("*", c.number(-1, "alpha"), product)
    return scaled if start is None else Bin("+", start, scaled)


_LEAST_BATCHED = 400
"""Batches of smaller matrices are multiplied by loops in PyTorch (baddbmm_cpu_kernel in native/LinearAlgebra.cpp)."""
_COLUMNS = (Order(Chain(), init="first"), Order(Blocks(4), init="first"))


def _scaled_first(c: OpCall, i: Index) -> Literal["left", "right"] | None:
    """The operand whose elements MKL's gemm multiplies by alpha before anything else: the right one as it is packed for the
    matrix kernels; the left one where a row of the result is a sum of rows; none where each element is a dot product."""
    a, b = c.t(1), c.t(2)
    if a.dtype not in ("float32", "float64"):
        return None
    if len(b.shape) == 1:
        return "right" if _in_columns(a) else None
    rows, columns = a.shape[-2], b.shape[-1]
    if len(i) == 3 and rows * columns * b.shape[-2] < _LEAST_BATCHED:
        return None
    packed = columns if a.dtype == "float32" else columns // 12 * 12
    if rows >= 4 and columns >= 12 and i[-1] < packed:
        return "right"
    return None if b.value.stride[-2] == 1 or columns == 1 else "left"


@rule("aten.addmm")
def addmm(c: OpCall, i: Index) -> Expr:
    """`y[n,o] = bias[o] + Σₖ a[n,k]·b[k,o]`: the forward pass of nn.Linear, b being the weight's transpose."""
    n, o = i
    return _with_bias(c, i, Dot(c.t(1).series(n, None), c.t(2).series(None, o)))


@rule("aten.addmv")
def addmv(c: OpCall, i: Index) -> Expr:
    """`y[n] = bias[n] + Σₖ a[n,k]·x[k]`."""
    product = Dot(c.t(1).series(i[0], None), c.t(2).series(None))
    by_columns = _in_columns(c.t(1))
    plain = c.arg(-1, "beta", 1) == 1 and c.arg(-1, "alpha", 1) == 1 and not by_columns
    by_onednn = c.t(1).dtype == "bfloat16" and len(product.a) * c.t(1).shape[0] > ONEDNN_LEAST
    if c.t(1).dtype in ("float16", "bfloat16") and not plain and not by_onednn:
        return _addmv_of_16_bits(c, i, product, by_columns)
    return _with_bias(c, i, product)


def _in_columns(a: Operand) -> bool:
    """Whether gemv goes through a matrix column by column (addmv_out in native/Blas.cpp)."""
    (rows, columns), stride = a.shape, a.value.stride
    return stride[0] == 1 and (columns == 1 or stride[1] >= max(1, rows))


def _addmv_of_16_bits(c: OpCall, i: Index, product: Dot, by_columns: bool) -> Expr:
    """gemv's loops (native/BlasKernel.cpp): beta and alpha are rounded to the dtype, and so is beta·bias, but in float16's
    own kernel for alpha 1 and a vector without gaps; a matrix in columns has its product stored in the dtype before it is
    added."""
    dtype, beta, alpha = c.t(1).dtype, c.real(-1, "beta", 1.0), c.real(-1, "alpha", 1.0)
    scaled: Expr = product if alpha == 1 else Bin("*", Round(Num(alpha), dtype), product)
    if beta == 0:
        return scaled
    start: Expr = c.t(0).broadcast(i)
    if beta != 1:
        start = Bin("*", Round(Num(beta), dtype), start)
        if by_columns or alpha != 1 or dtype == "bfloat16" or c.t(2).value.stride != (1,):
            start = Round(start, dtype)
    return Bin("+", start, Round(scaled, dtype) if by_columns else scaled)


@rule("aten.baddbmm")
def baddbmm(c: OpCall, i: Index) -> Expr:
    """`y[b,n,o] = bias[b,n,o] + Σₖ a[b,n,k]·b[b,k,o]`."""
    b, n, o = i
    return _with_bias(c, i, Dot(c.t(1).series(b, n, None), c.t(2).series(b, None, o)))
