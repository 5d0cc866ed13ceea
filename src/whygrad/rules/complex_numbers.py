"""Arithmetic of complex numbers: each part of the result has an equation of real numbers.

`z.real` and `z.imag` are the operands; the last index of a complex tensor says which (0 real, 1 imaginary). Kernels:
aten/src/ATen/cpu/vec/vec256/vec256_complex_float.h and c10/util/complex.h."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whygrad.rules.activations import add, div, mul, sub
from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.expr import Bin, Call, Case, Dot, Expr, Fma, In, Kernel, Neg, Num, Round, Var
from whygrad.rules.registry import COMPLEX, Unruled, rule
from whygrad.trace.model import Ref


@dataclass(frozen=True)
class Parts:
    """A complex number: `part(0)` is its real part, `part(1)` the imaginary one. A part becomes an operand of the equation
    when it is used."""

    part: Callable[[int], Expr]
    is_real: bool = False

    def __getitem__(self, part: int) -> Expr:
        return Num(0) if part and self.is_real else self.part(part)

    @property
    def re(self) -> Expr:
        return self[0]

    @property
    def im(self) -> Expr:
        return self[1]


def pair(re: Expr, im: Expr) -> Parts:
    """A complex number of two expressions."""
    return Parts(lambda part: im if part else re)


ONE = Parts(lambda part: Num(1), is_real=True)


def parts(c: OpCall, position: int, i: Index, name: str = "", default: float = 1.0) -> Parts:
    """Argument `position` at index `i` of the result (without the part), by broadcasting: a tensor or a number."""
    arg = c.arg(position, name, default)
    if isinstance(arg, Ref):
        return element(c.t(position, name), i)
    if isinstance(arg, complex):
        return pair(Num(arg.real), Num(arg.imag))
    return Parts(lambda part: c.number(position, name, default), is_real=True)


def element(x: Operand, i: Index) -> Parts:
    """The element of a tensor at index `i` of what it is broadcast to."""
    if not x.value.is_complex:
        return Parts(lambda part: x.broadcast(i), is_real=True)
    shape = x.shape[:-1]
    tail = i[len(i) - len(shape) :] if shape else ()
    at = tuple(0 if n == 1 else k for k, n in zip(tail, shape, strict=True))
    return Parts(lambda part: x[(*at, part)])


def product(a: Parts, b: Parts, part: int) -> Expr:
    """`re = a.re·b.re − a.im·b.im`, `im = a.re·b.im + a.im·b.re`; a real number has no imaginary part to multiply."""
    if a.is_real and b.is_real:
        return mul(a.re, b.re) if part == 0 else Num(0)
    pairs = ((a.re, b.re), (a[1], b[1])) if part == 0 else ((a.re, b[1]), (a[1], b.re))
    (x, y), (u, v) = pairs
    full = sub(mul(x, y), mul(u, v)) if part == 0 else add(mul(x, y), mul(u, v))
    if not (a.is_real or b.is_real):
        last = mul(u, v)
        fused = (Fma(x, y, last if part else Neg(last)), Fma(u if part else Neg(u), v, mul(x, y)))
        return Kernel((), (), full, fused)
    # The kernel widens the real number to a complex one; that shows in the sign of a zero alone.
    short = mul(a.re, b[part]) if a.is_real else mul(a[part], b.re)
    return Kernel((), (), short, (full,))


def scaled(a: Parts, factor: Parts | None) -> Parts:
    """`factor·a`; None: a itself."""
    if factor is None:
        return a
    if factor.is_real:
        return Parts(lambda part: mul(factor.re, a[part]), a.is_real)
    return Parts(lambda part: product(factor, a, part))


def norm2(z: Parts) -> Expr:
    """`re² + im²`."""
    return mul(z.re, z.re) if z.is_real else add(mul(z.re, z.re), mul(z.im, z.im))


def rounded(c: OpCall, formula: Expr) -> Expr:
    """A formula that the kernel computes with a rounding at each operation, or almost to the last bit."""
    return Kernel((), (), formula, (Round(In("float64", formula), c.out().dtype),))


def modulus(c: OpCall, z: Parts) -> Expr:
    """`|z| = √(re² + im²)` (hypot)."""
    return rounded(c, Call("sqrt", (norm2(z),)))


Formula = Callable[[OpCall, Index, int], Expr]


def complex_rule(*ops: str) -> Callable[[Formula], Formula]:
    """Enter a formula as the rule of ops on complex tensors; it is given the index without the part, and the part (of a
    real result: 0)."""

    def enter(formula: Formula) -> Formula:
        def function(c: OpCall, i: Index) -> Expr:
            return formula(c, i[:-1], i[-1]) if c.out().value.is_complex else formula(c, i, 0)

        function.__qualname__ = function.__name__ = formula.__name__
        function.__doc__ = formula.__doc__
        rule(*(COMPLEX + op for op in ops))(function)
        return formula

    return enter


def _alpha(c: OpCall, i: Index) -> Parts | None:
    return None if c.arg(2, "alpha", 1) == 1 else parts(c, 2, i, "alpha")


@complex_rule("aten.add.Tensor", "aten.add.Scalar", "aten.add.out")
def plus(c: OpCall, i: Index, part: int) -> Expr:
    """`y = a + alpha·b`, part by part."""
    return _joined(parts(c, 0, i), scaled(parts(c, 1, i), _alpha(c, i)), part, 1)


@complex_rule("aten.sub.Tensor", "aten.sub.Scalar", "aten.sub.out")
def minus(c: OpCall, i: Index, part: int) -> Expr:
    """`y = a − alpha·b`, part by part."""
    return _joined(parts(c, 0, i), scaled(parts(c, 1, i), _alpha(c, i)), part, -1)


@complex_rule("aten.rsub")
def reversed_minus(c: OpCall, i: Index, part: int) -> Expr:
    """`y = b − alpha·a`, part by part."""
    return _joined(parts(c, 1, i), scaled(parts(c, 0, i), _alpha(c, i)), part, -1)


def _joined(a: Parts, b: Parts, part: int, sign: int) -> Expr:
    if part and b.is_real:
        return a[1]
    if part and a.is_real:
        return b[1] if sign > 0 else Neg(b[1])
    return add(a[part], b[part]) if sign > 0 else sub(a[part], b[part])


@complex_rule("aten.mul.Tensor", "aten.mul.Scalar", "aten.mul.out")
def times(c: OpCall, i: Index, part: int) -> Expr:
    """`re = a.re·b.re − a.im·b.im`, `im = a.re·b.im + a.im·b.re`."""
    return product(parts(c, 0, i), parts(c, 1, i), part)


def quotient(c: OpCall, a: Parts, b: Parts, part: int) -> Expr:
    """`a / b = a·b̄ / |b|²`; the kernel divides both by the larger part of b first, so that no square overflows."""
    if b.is_real:
        return div(a[part], b.re)

    def plain(re: Expr, im: Expr) -> Expr:
        bottom = norm2(pair(re, im))
        return div(_top(a, re, im, part), bottom)

    scale = Call("max", (Call("abs", (b.re,)), Call("abs", (b.im,))))
    re, im = div(b.re, scale), div(b.im, scale)
    once = Parts(lambda part: div(a[part], scale), a.is_real)
    vector = div(_top(once, re, im, part), norm2(pair(re, im)))
    return Kernel((), (), plain(b.re, b.im), (vector, _smith(c, a, b, part)))


def _top(a: Parts, re: Expr, im: Expr, part: int) -> Expr:
    if a.is_real:
        return mul(a.re, re) if part == 0 else Neg(mul(a.re, im))
    return add(mul(a.re, re), mul(a.im, im)) if part == 0 else sub(mul(a.im, re), mul(a.re, im))


def _smith(c: OpCall, a: Parts, b: Parts, part: int) -> Expr:
    """R. L. Smith, *Algorithm 116: Complex division* (1962), as c10::complex divides."""
    return Call("where", (
        Call("less", (Call("abs", (b.re,)), Call("abs", (b[1],)))), _by_im(a, b, part), _by_re(a, b, part),
    ))  # fmt: skip


def _by_re(a: Parts, b: Parts, part: int) -> Expr:
    ratio = div(b[1], b.re)
    scale = div(Num(1), add(b.re, mul(b[1], ratio)))
    top = add(a.re, mul(a[1], ratio)) if part == 0 else sub(a[1], mul(a.re, ratio))
    return mul(top, scale)


def _by_im(a: Parts, b: Parts, part: int) -> Expr:
    ratio = div(b.re, b[1])
    scale = div(Num(1), add(mul(b.re, ratio), b[1]))
    top = add(mul(a.re, ratio), a[1]) if part == 0 else sub(mul(a[1], ratio), a.re)
    return mul(top, scale)


@complex_rule("aten.div.Tensor", "aten.div.Scalar", "aten.div.out")
def over(c: OpCall, i: Index, part: int) -> Expr:
    """`y = a / b`."""
    return quotient(c, parts(c, 0, i), parts(c, 1, i), part)


@complex_rule("aten.reciprocal")
def reciprocal(c: OpCall, i: Index, part: int) -> Expr:
    """`1 / z = z̄ / |z|²`."""
    return quotient(c, ONE, parts(c, 0, i), part)


@complex_rule("aten.neg")
def negative(c: OpCall, i: Index, part: int) -> Expr:
    """`−z`; in whole vectors the kernel takes z from 0, which shows in the sign of a zero."""
    z = parts(c, 0, i)
    return Kernel((), (), Neg(z[part]), (sub(Num(0), z[part]),))


@complex_rule("aten.abs")
def absolute(c: OpCall, i: Index, part: int) -> Expr:
    """`|z| = √(re² + im²)`."""
    return modulus(c, parts(c, 0, i))


@complex_rule("aten.angle")
def angle(c: OpCall, i: Index, part: int) -> Expr:
    """`atan2(im, re)`."""
    return argument(parts(c, 0, i))


def argument(z: Parts) -> Expr:
    """`atan2(im, re)`."""
    return Call("atan2", (z[1], z.re))


@complex_rule("aten.sgn")
def sgn(c: OpCall, i: Index, part: int) -> Expr:
    """`z / |z|`, 0 for 0."""
    z = parts(c, 0, i)
    x = c.t(0)
    if all(x.item((*i, k)) == 0 for k in (0, 1)):
        return Case("it is 0", Num(0), "z / |z|")
    return div(z[part], modulus(c, z))


@complex_rule("aten.polar")
def polar(c: OpCall, i: Index, part: int) -> Expr:
    """`re = r·cos φ`, `im = r·sin φ`."""
    return mul(c.t(0).broadcast(i), Call("sin" if part else "cos", (c.t(1).broadcast(i),)))


@complex_rule("aten.exp")
def exp(c: OpCall, i: Index, part: int) -> Expr:
    """`e^z = e^re·(cos im + i·sin im)`."""
    z = parts(c, 0, i)
    return mul(Call("exp", (z.re,)), Call("sin" if part else "cos", (z[1],)))


@complex_rule("aten.log")
def log(c: OpCall, i: Index, part: int) -> Expr:
    """`ln z = ln |z| + i·atan2(im, re)`."""
    z = parts(c, 0, i)
    return argument(z) if part else rounded(c, mul(Num(0.5), Call("log", (norm2(z),))))


@complex_rule("aten.sqrt")
def sqrt(c: OpCall, i: Index, part: int) -> Expr:
    """`√z`: the real part is `√((|z| + re)/2)`, the imaginary `±√((|z| − re)/2)` with the sign of `im`."""
    z = parts(c, 0, i)
    size = Call("sqrt", (norm2(z),))
    root = Call("sqrt", (div(add(size, z.re) if part == 0 else sub(size, z.re), Num(2)),))
    negative = part == 1 and c.t(0).item((*i, 1)) < 0
    return rounded(c, Neg(root) if negative else root)


@complex_rule("aten.square")
def square(c: OpCall, i: Index, part: int) -> Expr:
    """`z²`."""
    z = parts(c, 0, i)
    return product(z, z, part)


@complex_rule("aten.pow.Tensor_Scalar")
def power(c: OpCall, i: Index, part: int) -> Expr:
    """`zⁿ`: products for 1, 2, 3, a quotient for −1 (native/cpu/PowKernel.cpp); else `|z|ⁿ·(cos nφ + i·sin nφ)`."""
    z, exponent = parts(c, 0, i), c.arg(1)
    if exponent == 1:
        return z[part]
    if exponent in (2, 3):
        squared = Parts(lambda part: product(z, z, part))
        return squared[part] if exponent == 2 else product(squared, z, part)
    if exponent == -1:
        return quotient(c, ONE, z, part)
    if exponent == 0.5:
        return sqrt(c, i, part)
    if not isinstance(exponent, (int, float)):
        raise Unruled("a complex exponent")
    if exponent == 0:
        return Num(0 if part else 1)
    turned = mul(Num(float(exponent)), argument(z))
    size = Call("pow", (Call("sqrt", (norm2(z),)), Num(float(exponent))))
    return mul(size, Call("sin" if part else "cos", (turned,)))


def _hyperbolic(name: str, x: Expr) -> Expr:
    halves = Call("exp", (x,)), Call("exp", (Neg(x),))
    return div(add(*halves) if name == "cosh" else sub(*halves), Num(2))


@complex_rule("aten.sin", "aten.cos", "aten.sinh", "aten.cosh")
def trigonometric(c: OpCall, i: Index, part: int) -> Expr:
    """`sin z = sin re·cosh im + i·cos re·sinh im`, `cos z = cos re·cosh im − i·sin re·sinh im`; the hyperbolic ones with
    the parts' functions exchanged."""
    z, name = parts(c, 0, i), c.op.kind.removeprefix("aten.").rstrip("_")
    x, y = (z.re, z[1]) if name in ("sin", "cos") else (z[1], z.re)
    round_ = {"sin": ("sin", "cos"), "cos": ("cos", "sin"), "sinh": ("cos", "sin"), "cosh": ("cos", "sin")}[name][part]
    wide = {
        "sin": ("cosh", "sinh"), "cos": ("cosh", "sinh"), "sinh": ("sinh", "cosh"), "cosh": ("cosh", "sinh"),
    }[name][part]  # fmt: skip
    value = mul(Call(round_, (x,)), _hyperbolic(wide, y))
    return Neg(value) if name == "cos" and part else value


@complex_rule("aten.addcmul")
def addcmul(c: OpCall, i: Index, part: int) -> Expr:
    """`y = a + value·t1·t2`."""
    factor = None if c.arg(3, "value", 1) == 1 else parts(c, 3, i, "value")
    first = scaled(parts(c, 1, i), factor)
    return _joined(parts(c, 0, i), scaled(parts(c, 2, i), first), part, 1)


@complex_rule("aten.where.self")
def where(c: OpCall, i: Index, part: int) -> Expr:
    """`y = a where the condition holds, else b`."""
    condition = c.t(0)
    at = i[len(i) - len(condition.shape) :] if condition.shape else ()
    holds = bool(condition.item(tuple(0 if n == 1 else k for k, n in zip(at, condition.shape, strict=True))))
    text = "the condition holds" if holds else "the condition does not hold"
    return Case(text, parts(c, 1 if holds else 2, i)[part])


@complex_rule("aten.eq", "aten.ne")
def equal(c: OpCall, i: Index, part: int) -> Expr:
    """Whether both parts are equal."""
    a, b = parts(c, 0, i), parts(c, 1, i)
    same = mul(*(Call("equal", (a[k], b[k])) for k in (0, 1)))
    return sub(Num(1), same) if c.op.kind.rstrip("_").endswith("ne") else same


@complex_rule("aten.mm", "aten.bmm", "aten.mv", "aten.dot", "aten.vdot", "aten.addmm", "aten.baddbmm", "aten.addmv")
def matrix_product(c: OpCall, i: Index, part: int) -> Expr:
    """`y = Σₖ a[…,k]·b[k,…]` in complex numbers; `vdot` conjugates the first; with a bias, `beta·bias + alpha·Σ`."""
    name = c.op.kind.removeprefix("aten.").rstrip("_")
    biased = name in ("addmm", "baddbmm", "addmv")
    a, b = c.t(int(biased)), c.t(int(biased) + 1)
    rows, columns = {
        "mm": (i[:1], i[1:]), "bmm": (i[:2], i[2:]), "mv": (i, ()), "dot": ((), ()), "vdot": ((), ()),
    }[{"addmm": "mm", "baddbmm": "bmm", "addmv": "mv"}.get(name, name)]  # fmt: skip
    batch = i[:1] if name in ("bmm", "baddbmm") else ()
    total = _sum_of_products(a, (*rows, None), b, (*batch, None, *columns), part, name == "vdot")
    if not biased:
        return total
    beta, alpha = c.arg(-1, "beta", 1), c.arg(-1, "alpha", 1)
    if alpha != 1:
        if isinstance(alpha, complex):
            raise Unruled("a complex factor of a product of matrices")
        total = mul(Num(float(alpha)), total)  # pyright: ignore[reportArgumentType]
    if beta == 0:
        return total
    bias = scaled(element(c.t(0), i), None if beta == 1 else parts(c, -1, i, "beta"))
    return add(bias[part], total)


def _sum_of_products(
    a: Operand, at: tuple[int | None, ...], b: Operand, bt: tuple[int | None, ...], part: int, conjugate: bool
) -> Expr:
    """One sum over four series: `Σ a.re·b.re − a.im·b.im`, or `Σ a.re·b.im + a.im·b.re`."""
    first = a.series(*at, 0), b.series(*bt, part)
    second = a.series(*at, 1), b.series(*bt, 1 - part)
    minus_sign = (part == 0) != conjugate
    term = Bin("-" if minus_sign else "+", mul(Var(0), Var(1)), mul(Var(-1), Var(-2)))
    return Dot(*first, term=term, more=second)
