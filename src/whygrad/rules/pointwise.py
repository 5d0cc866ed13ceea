"""Pointwise arithmetic: one element of each operand makes one element of the result, by broadcasting."""

from __future__ import annotations

from collections.abc import Callable

from whygrad.floats import number_format, round_to
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Bin, Call, Case, Expr, Kernel, Neg, Num, Python, Round
from whygrad.rules.registry import rule
from whygrad.rules.sparse import added_rows, is_sparse


def operand(c: OpCall, position: int, i: Index) -> Expr:
    """Argument `position` at a result's index, if it is a tensor; else the number."""
    return c.t(position).broadcast(i) if c.has(position) else c.number(position)


def stored(number: Expr, dtype: str) -> Expr:
    """A number as a kernel keeps it: in 16 bits rounded to the dtype first, where that makes a difference."""
    value = number.value if isinstance(number, (Num, Python)) else None
    narrow = dtype in ("float16", "bfloat16") and (value is None or round_to(value, number_format(dtype)) != value)
    return Round(number, dtype) if narrow else number


def term(c: OpCall, position: int, i: Index, name: str = "") -> Expr:
    """`operand`, a number as it is stored (native/cpu/BinaryOpsKernel.cpp)."""
    if c.has(position):
        return c.t(position).broadcast(i)
    return stored(c.number(position, name, 1), c.out().dtype)


def _scaled(c: OpCall, i: Index, position: int = 1) -> Expr:
    """`alpha · other`, alpha being 1 mostly."""
    alpha = c.arg(2, "alpha", 1)
    other = term(c, position, i)
    return other if alpha == 1 else Bin("*", term(c, 2, i, "alpha"), other)


@rule("aten.add.Tensor", "aten.add.Scalar", "aten.add.out", rounds="either")
def add(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ + alpha·bᵢ` (native/cpu/BinaryOpsKernel.cpp). float16 and bfloat16: in float32, rounded once; the elements
    that fill no vector round the product too."""
    if is_sparse(c.arg(1)):
        return added_rows(c, i)
    return Bin("+", term(c, 0, i), _scaled(c, i))


@rule("aten.sub.Tensor", "aten.sub.Scalar", "aten.sub.out", rounds="either")
def sub(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ − alpha·bᵢ`; rounds as `add` does."""
    return Bin("-", term(c, 0, i), _scaled(c, i))


@rule("aten.rsub.Scalar", "aten.rsub.Tensor", rounds="either")
def rsub(c: OpCall, i: Index) -> Expr:
    """`yᵢ = bᵢ − alpha·aᵢ`."""
    return Bin("-", term(c, 1, i), _scaled(c, i, 0))


@rule("aten.mul.Tensor", "aten.mul.Scalar", "aten.mul.out")
def mul(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ·bᵢ`."""
    return Bin("*", operand(c, 0, i), operand(c, 1, i))


@rule("aten.div.Tensor", "aten.div.Scalar", "aten.div.out")
def div(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ / bᵢ`."""
    return Bin("/", operand(c, 0, i), operand(c, 1, i))


@rule("aten.reciprocal")
def reciprocal(c: OpCall, i: Index) -> Expr:
    """`yᵢ = 1/aᵢ`."""
    return Bin("/", Num(1), operand(c, 0, i))


@rule("aten.neg")
def neg(c: OpCall, i: Index) -> Expr:
    """`yᵢ = −aᵢ`."""
    return Neg(operand(c, 0, i))


@rule("aten.addcmul")
def addcmul(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ + value·t1ᵢ·t2ᵢ` (native/cpu/PointwiseOpsKernel.cpp: `(value·t1)·t2`)."""
    product = Bin("*", operand(c, 1, i), operand(c, 2, i))
    if c.arg(3, "value", 1) != 1:
        product = Bin("*", Bin("*", c.number(3, "value", 1), operand(c, 1, i)), operand(c, 2, i))
    return Bin("+", operand(c, 0, i), product)


@rule("aten.addcdiv")
def addcdiv(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ + value·t1ᵢ / t2ᵢ` (native/cpu/PointwiseOpsKernel.cpp: `(value·t1)/t2`)."""
    top = operand(c, 1, i)
    if c.arg(3, "value", 1) != 1:
        top = Bin("*", c.number(3, "value", 1), top)
    return Bin("+", operand(c, 0, i), Bin("/", top, operand(c, 2, i)))


@rule("aten.lerp.Scalar", "aten.lerp.Tensor")
def lerp(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ + w·(bᵢ − aᵢ)` for |w| < ½, else `bᵢ − (bᵢ − aᵢ)·(1 − w)` (native/Lerp.h)."""
    a, b = operand(c, 0, i), operand(c, 1, i)
    w, weight = c.arg(2, "weight"), operand(c, 2, i)
    difference = Bin("-", b, a)
    if isinstance(w, (int, float)) and abs(w) >= 0.5:
        return Bin("-", b, Bin("*", difference, Bin("-", Num(1), weight)))
    return Bin("+", a, Bin("*", weight, difference))


def _unary(name: str) -> Callable[[OpCall, Index], Expr]:
    def function(c: OpCall, i: Index) -> Expr:
        return Call(name, (operand(c, 0, i),))

    function.__qualname__ = function.__name__ = name
    function.__doc__ = f"`yᵢ = {name}(aᵢ)`."
    return function


for _op, _name in (
    ("sqrt", "sqrt"), ("exp", "exp"), ("log", "log"), ("log2", "log2"), ("log10", "log10"), ("log1p", "log1p"),
    ("expm1", "expm1"), ("tanh", "tanh"), ("erf", "erf"), ("erfc", "erfc"), ("sin", "sin"), ("cos", "cos"),
    ("abs", "abs"), ("sgn", "sign"), ("sign", "sign"), ("floor", "floor"), ("ceil", "ceil"), ("trunc", "trunc"),
):  # fmt: skip
    rule(f"aten.{_op}")(_unary(_name))


@rule("aten.rsqrt")
def rsqrt(c: OpCall, i: Index) -> Expr:
    """`yᵢ = 1/√aᵢ`; in 16 bits the scalar body rounds the root to the dtype."""
    a, dtype = operand(c, 0, i), c.out().dtype
    root = Round(Call("sqrt", (a,)), dtype)
    others = (Bin("/", Num(1), root),) if dtype in ("float16", "bfloat16") else ()
    return Kernel((), (), Call("rsqrt", (a,)), others)


@rule("aten.pow.Tensor_Scalar", "aten.pow.Tensor_Tensor", "aten.pow.Scalar", rounds="bfloat16")
def power(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ^b`: 2 is `a·a`, 3 `a·a·a`, ½ a square root, −1 a reciprocal (native/cpu/PowKernel.cpp). In
    16 bits the exponent is rounded to the dtype, and bfloat16 rounds each product."""
    a, exponent = operand(c, 0, i), c.arg(1)
    if exponent == 2:
        return Bin("*", a, a)
    if exponent == 3:
        return Bin("*", Bin("*", a, a), a)
    if exponent == 0.5:
        return Call("sqrt", (a,))
    if exponent == 1:
        return a
    if exponent == -1:
        return Bin("/", Num(1), a)
    return Call("pow", (a if c.has(0) else term(c, 0, i), term(c, 1, i)))


@rule("aten.maximum", "aten.clamp_min", "aten.clamp_min.Tensor")
def maximum(c: OpCall, i: Index) -> Expr:
    """`yᵢ = max(aᵢ, bᵢ)`."""
    return Call("max", (operand(c, 0, i), operand(c, 1, i)))


@rule("aten.minimum", "aten.clamp_max", "aten.clamp_max.Tensor")
def minimum(c: OpCall, i: Index) -> Expr:
    """`yᵢ = min(aᵢ, bᵢ)`."""
    return Call("min", (operand(c, 0, i), operand(c, 1, i)))


@rule("aten.clamp")
def clamp(c: OpCall, i: Index) -> Expr:
    """`yᵢ = min(max(aᵢ, low), high)`."""
    expr: Expr = operand(c, 0, i)
    if c.arg(1, "min") is not None:
        expr = Call("max", (expr, operand(c, 1, i)))
    if c.arg(2, "max") is not None:
        expr = Call("min", (expr, operand(c, 2, i)))
    return expr


@rule("aten.where.self")
def where(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ where the condition holds, else bᵢ`."""
    condition = c.t(0)
    at = i[len(i) - len(condition.shape) :] if condition.shape else ()
    holds = bool(condition.item(tuple(0 if n == 1 else j for j, n in zip(at, condition.shape, strict=True))))
    return Case("the condition holds" if holds else "the condition does not hold", operand(c, 1 if holds else 2, i))


@rule("aten.masked_fill.Scalar", "aten.masked_fill_.Scalar", "aten.masked_fill.Tensor")
def masked_fill(c: OpCall, i: Index) -> Expr:
    """`yᵢ = value where the mask is set, else aᵢ`."""
    mask = c.t(1)
    at = i[len(i) - len(mask.shape) :] if mask.shape else ()
    if bool(mask.item(tuple(0 if n == 1 else j for j, n in zip(at, mask.shape, strict=True)))):
        return Case("masked", c.number(2, "value"))
    return Case("not masked", operand(c, 0, i))


def _comparison(sign: str) -> Callable[[OpCall, Index], Expr]:
    def function(c: OpCall, i: Index) -> Expr:
        a, b = (float(c.t(p).item(_at(c, p, i))) if c.has(p) else c.real(p) for p in (0, 1))
        holds = {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b, "==": a == b, "!=": a != b}[sign]
        operand(c, 0, i)
        return Case(f"{'' if holds else 'not '}a {sign} b", Num(1.0 if holds else 0.0))

    function.__qualname__ = function.__name__ = f"compare {sign}"
    function.__doc__ = f"`yᵢ = aᵢ {sign} bᵢ`."
    return function


def _at(c: OpCall, position: int, i: Index) -> Index:
    shape = c.t(position).shape
    tail = i[len(i) - len(shape) :] if shape else ()
    return tuple(0 if n == 1 else j for j, n in zip(tail, shape, strict=True))


for _op, _sign in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="), ("eq", "=="), ("ne", "!=")):
    rule(f"aten.{_op}")(_comparison(_sign))
