"""Special functions of one or two elements: trigonometric, hyperbolic, gamma, zeta, Bessel and error functions, orthogonal
polynomials (native/cpu/UnaryOpsKernel.cpp, BinaryOpsKernel.cpp, native/Math.h)."""

from __future__ import annotations

import math
from collections.abc import Callable

from whygrad.floats.elementary import ATEN, ATEN_BFLOAT16, ATEN_FLOAT16, C_LIBRARY
from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Bin, Call, Case, Expr, Kernel, Neg, Num, Round
from whygrad.rules.pointwise import operand, term
from whygrad.rules.registry import Rounds, Unruled, rule

ONE = Num(1)


def number_at(c: OpCall, position: int, i: Index) -> float:
    """Argument `position` at a result's index, as a number: what decides which branch was taken."""
    if not c.has(position):
        return c.real(position)
    shape = c.t(position).shape
    tail = i[len(i) - len(shape) :] if shape else ()
    return float(c.t(position).item(tuple(0 if n == 1 else j for j, n in zip(tail, shape, strict=True))))


def _function(name: str, arity: int) -> Callable[[OpCall, Index], Expr]:
    def function(c: OpCall, i: Index) -> Expr:
        return Call(name, tuple(operand(c, position, i) for position in range(arity)))

    arguments = ", ".join(["aᵢ", "bᵢ"][:arity])
    function.__qualname__ = function.__name__ = name
    function.__doc__ = f"`yᵢ = {name}({arguments})`."
    return function


_ONE_ARGUMENT = {
    **{name: name for name in (
        "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "exp2", "lgamma", "erfinv", "digamma",
        "i0",
    )},
    **{f"special_{name}": name for name in (
        "i1", "i1e", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "spherical_bessel_j0", "airy_ai", "erfcx",
        "ndtri", "log_ndtr",
    )},
    **{f"special_modified_bessel_{name}": name if name[0] == "i" else f"bessel_{name}" for name in ("i0", "i1", "k0", "k1")},
    "special_scaled_modified_bessel_k0": "bessel_k0e", "special_scaled_modified_bessel_k1": "bessel_k1e",
}  # fmt: skip
_TWO_ARGUMENTS = {
    "atan2": "atan2", "hypot": "hypot", "igamma": "igamma", "igammac": "igammac",
    **{f"special_{shifted}chebyshev_polynomial_{k}": f"{shifted}chebyshev_polynomial_{k}"
       for k in "tuvw" for shifted in ("", "shifted_")},
    **{f"special_{name}": name for name in (
        "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p",
    )},
}  # fmt: skip
for _op, _name in _ONE_ARGUMENT.items():
    rule(f"aten.{_op}")(_function(_name, 1))
for _op, _name in _TWO_ARGUMENTS.items():
    rule(f"aten.{_op}")(_function(_name, 2))
for _op in ("copysign", "fmax", "fmin"):
    rule(f"aten.{_op}")(_function(_op, 2))


@rule("aten.special_i0e")
def i0e(c: OpCall, i: Index) -> Expr:
    """`yᵢ = e^(−|aᵢ|)·I₀(aᵢ)`; the scalar body rounds every operation to 16 bits."""
    a = operand(c, 0, i)
    narrow = _own(c.out().dtype)
    others = () if narrow == ATEN.name else (Call("i0e", (a,), narrow),)
    return Kernel((), (), Call("i0e", (a,), ATEN.name), others)


def _own(dtype: str) -> str:
    """The kernel's own algorithm in its dtype."""
    return {"float16": ATEN_FLOAT16, "bfloat16": ATEN_BFLOAT16}.get(dtype, ATEN).name


@rule("aten.special_zeta")
def zeta(c: OpCall, i: Index) -> Expr:
    """`yᵢ = ζ(aᵢ, bᵢ) = Σ (bᵢ + k)^(−aᵢ)` over k ≥ 0."""
    return Call("zeta", (operand(c, 0, i), operand(c, 1, i)), _own(c.out().dtype))


@rule("aten.polygamma")
def polygamma(c: OpCall, i: Index) -> Expr:
    """`yᵢ = ψ⁽ⁿ⁾(aᵢ)`, the n-th derivative of digamma; from n = 2 on as `(−1)ⁿ⁺¹·Γ(n + 1)·ζ(n + 1, aᵢ)`
    (native/Math.h)."""
    n, a = c.integer(0), operand(c, 1, i)
    if n == 0:
        return Call("digamma", (a,), ATEN.name)
    if n == 1:
        return Call("polygamma", (Num(1), a), ATEN.name)
    gamma = Call("exp", (Call("lgamma", (Num(n + 1.0),), C_LIBRARY.name),), C_LIBRARY.name)
    return Bin("*", gamma if n % 2 else Neg(gamma), Call("zeta", (Num(n + 1.0), a), _own(c.out().dtype)))


@rule("aten.remainder", rounds="float16")
def remainder(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ − bᵢ·⌊aᵢ/bᵢ⌋`: fmod, plus bᵢ where its sign is not that of bᵢ."""
    return Call("remainder", (term(c, 0, i), term(c, 1, i)))


@rule("aten.fmod")
def fmod(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ − bᵢ·trunc(aᵢ/bᵢ)`, exact."""
    return Call("fmod", (operand(c, 0, i), term(c, 1, i)))


@rule("aten.floor_divide")
def floor_divide(c: OpCall, i: Index) -> Expr:
    """`yᵢ = ⌊aᵢ/bᵢ⌋`."""
    return Call("floor_divide", (operand(c, 0, i), operand(c, 1, i)))


@rule("aten.div.Tensor_mode", "aten.div.Scalar_mode")
def div_mode(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ/bᵢ`, rounded towards zero (`trunc`) or down (`floor`)."""
    a, b, mode = operand(c, 0, i), operand(c, 1, i), c.arg(-1, "rounding_mode")
    if mode == "floor":
        return Call("floor_divide", (a, b))
    quotient = Bin("/", a, b)
    if mode != "trunc":
        return quotient
    # In 16 bits the quotient of two tensors is rounded to the dtype before it is cut off.
    narrow = c.out().dtype in ("float16", "bfloat16") and c.has(1)
    return Call("trunc", (Round(quotient, c.out().dtype) if narrow else quotient,))


@rule("aten.round", "aten.round.default")
def round_to_even(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ`, rounded to the nearest integer, ties to the even one."""
    return Call("rint", (operand(c, 0, i),))


@rule("aten.round.decimals", rounds="each")
def round_decimals(c: OpCall, i: Index) -> Expr:
    """`yᵢ = rint(aᵢ·10ᵈ)/10ᵈ`; for d < 0 `rint(aᵢ/10⁻ᵈ)·10⁻ᵈ`."""
    decimals, a = c.integer(-1, "decimals"), operand(c, 0, i)
    if decimals == 0:
        return Call("rint", (a,))
    power = Num(10.0 ** abs(decimals))
    inner, outer = ("*", "/") if decimals > 0 else ("/", "*")
    return Bin(outer, Call("rint", (Bin(inner, a, power),)), power)


@rule("aten.frac")
def frac(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ − trunc(aᵢ)`."""
    a = operand(c, 0, i)
    return Bin("-", a, Call("trunc", (a,)))


@rule("aten.deg2rad")
def deg2rad(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ·(π/180)`."""
    return Bin("*", operand(c, 0, i), Num(0.017453292519943295769236907684886127134, "π/180"))


@rule("aten.rad2deg")
def rad2deg(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ·(180/π)`."""
    return Bin("*", operand(c, 0, i), Num(57.295779513082320876798154814105170332, "180/π"))


@rule("aten.sinc")
def sinc(c: OpCall, i: Index) -> Expr:
    """`yᵢ = sin(π·aᵢ)/(π·aᵢ)`, and 1 at 0."""
    a = operand(c, 0, i)
    if number_at(c, 0, i) == 0:
        return Case("a = 0", ONE, "sin(π · a) / (π · a)")
    product = Bin("*", Num(math.pi, "π"), a)
    return Bin("/", Call("sin", (product,)), product)


@rule("aten.angle")
def angle(c: OpCall, i: Index) -> Expr:
    """`yᵢ = π if aᵢ < 0, else 0`: the angle of a real number."""
    a, value = operand(c, 0, i), number_at(c, 0, i)
    if value != value:
        return Case("a is NaN", a, "0")
    return Case("a < 0", Num(math.pi, "π"), "0") if value < 0 else Case("a ≥ 0", Num(0), "π")


@rule("aten.nan_to_num")
def nan_to_num(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ where finite`, else a number in place of NaN, ∞ or −∞ (0 and the largest of the dtype unless given)."""
    a, value = operand(c, 0, i), number_at(c, 0, i)
    if math.isfinite(value):
        return Case("a is finite", a, "a replacement")
    position, name = (1, "NaN") if value != value else (2, "∞") if value > 0 else (3, "−∞")
    given = c.arg(position, ("", "nan", "posinf", "neginf")[position])
    largest = {"float16": 65504.0, "bfloat16": 2.0**127 * (2 - 2.0**-7), "float32": 2.0**127 * (2 - 2.0**-23)}
    default = 0.0 if position == 1 else math.copysign(largest.get(c.out().dtype, 1.7976931348623157e308), value)
    return Case(f"a is {name}", Num(default if given is None else c.real(position)), "a")


@rule("aten.heaviside")
def heaviside(c: OpCall, i: Index) -> Expr:
    """`yᵢ = 0 if aᵢ < 0, bᵢ if aᵢ = 0, 1 if aᵢ > 0`."""
    a = number_at(c, 0, i)
    operand(c, 0, i)
    if a == 0:
        return Case("a = 0", operand(c, 1, i), "0 or 1")
    return Case("a > 0", ONE, "0") if a > 0 else Case("a is not > 0", Num(0), "1")


@rule("aten.nextafter", rounds="each")
def nextafter(c: OpCall, i: Index) -> Expr:
    """`yᵢ`: the number of the dtype next to aᵢ on the way to bᵢ: aᵢ plus or minus one unit in its last place."""
    from whygrad.floats import neighbours, number_format

    a, b = number_at(c, 0, i), number_at(c, 1, i)
    x, y = operand(c, 0, i), operand(c, 1, i)
    if a != a or b != b:
        return Bin("+", x, y)
    if a == b:
        return Case("a = b", y, "the next number")
    down, up = neighbours(a, number_format(c.out().dtype))
    following = up if b > a else down
    return Case("b > a" if b > a else "b < a", Bin("+", x, Num(following - a, "ulp" if b > a else "−ulp")), "b")


@rule("aten.ldexp", rounds="each")
def ldexp(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ·2^bᵢ`, the power of two rounded by itself."""
    return Bin("*", operand(c, 0, i), Call("exp2", (operand(c, 1, i),)))


@rule("aten.frexp")
def frexp_significand(c: OpCall, i: Index) -> Expr:
    """`mᵢ`: aᵢ = mᵢ·2^eᵢ with ½ ≤ |mᵢ| < 1."""
    return Call("significand", (operand(c, 0, i),))


@rule("aten.frexp", output=1)
def frexp_exponent(c: OpCall, i: Index) -> Expr:
    """`eᵢ`: aᵢ = mᵢ·2^eᵢ with ½ ≤ |mᵢ| < 1."""
    return Call("exponent", (operand(c, 0, i),))


def _larger_and_rest(c: OpCall, i: Index) -> tuple[Expr, Expr]:
    """max(aᵢ, bᵢ), and −|aᵢ − bᵢ|."""
    a, b = operand(c, 0, i), operand(c, 1, i)
    return Call("max", (a, b)), Neg(Call("abs", (Bin("-", a, b),)))


@rule("aten.logaddexp")
def logaddexp(c: OpCall, i: Index) -> Expr:
    """`yᵢ = log(e^aᵢ + e^bᵢ) = max + log1p(e^(−|aᵢ − bᵢ|))`."""
    largest, rest = _larger_and_rest(c, i)
    return Bin("+", largest, Call("log1p", (Call("exp", (rest,)),)))


@rule("aten.logaddexp2")
def logaddexp2(c: OpCall, i: Index) -> Expr:
    """`yᵢ = log₂(2^aᵢ + 2^bᵢ) = max + log1p(2^(−|aᵢ − bᵢ|))/ln 2`."""
    largest, rest = _larger_and_rest(c, i)
    return Bin("+", largest, Bin("*", Call("log1p", (Call("exp2", (rest,)),)), Num(1 / math.log(2), "1/ln 2")))


@rule("aten.special_xlog1py", rounds="each")
def xlog1py(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ·log(1 + bᵢ)`, and 0 where aᵢ = 0."""
    a, b = operand(c, 0, i), operand(c, 1, i)
    if number_at(c, 0, i) == 0 and not math.isnan(number_at(c, 1, i)):
        return Case("a = 0", Num(0), "a · log1p(b)")
    return Bin("*", a, Call("log1p", (b,)))


@rule("aten.special_entr", rounds="each")
def entr(c: OpCall, i: Index) -> Expr:
    """`yᵢ = −aᵢ·log aᵢ` for aᵢ > 0, 0 at 0, −∞ below."""
    a, value = operand(c, 0, i), number_at(c, 0, i)
    if value > 0 or value != value:
        return Bin("*", Neg(a), Call("log", (a,)))
    return Case("a = 0", Num(0), "−a · log(a)") if value == 0 else Case("a < 0", Num(-math.inf), "−a · log(a)")


@rule("aten.logit", rounds="each")
def logit(c: OpCall, i: Index) -> Expr:
    """`yᵢ = log(x/(1 − x))`, x = aᵢ, clamped to [eps, 1 − eps] where eps is given."""
    x: Expr = operand(c, 0, i)
    if c.arg(1, "eps") is not None:
        eps, value = c.real(1, "eps"), number_at(c, 0, i)
        low = Num(eps, "eps")
        high = Bin("-", ONE, low)
        x = Case("x < eps", low, "x") if value < eps else Case("x > 1 − eps", high, "x") if value > 1 - eps else x
    return Call("log", (Bin("/", x, Bin("-", ONE, x)),))


@rule("aten.logit_backward", rounds="each")
def logit_backward(c: OpCall, i: Index) -> Expr:
    """`∂aᵢ = gᵢ/(aᵢ·(1 − aᵢ))`; 0 where the forward pass clamped, NaN outside of [0, 1] without eps."""
    g, x, value = operand(c, 0, i), operand(c, 1, i), number_at(c, 1, i)
    eps = None if c.arg(2, "eps") is None else c.real(2, "eps")
    if eps is not None and not eps <= value <= 1 - eps:
        return Case("x < eps or x > 1 − eps", Num(0), "g / (x · (1 − x))")
    if eps is None and not 0 <= value <= 1:
        return Case("x < 0 or x > 1", Num(math.nan), "g / (x · (1 − x))")
    return Bin("/", g, Bin("*", x, Bin("-", ONE, x)))


@rule("aten.float_power")
def float_power(c: OpCall, i: Index) -> Expr:
    """`yᵢ = aᵢ^bᵢ` in double precision."""
    return Call("pow", (operand(c, 0, i), operand(c, 1, i)))


def _question(text: str, holds: Callable[[float], bool]) -> Callable[[OpCall, Index], Expr]:
    def function(c: OpCall, i: Index) -> Expr:
        operand(c, 0, i)
        yes = holds(number_at(c, 0, i))
        return Case(text if yes else f"not {text}", Num(1.0 if yes else 0.0), "0" if yes else "1")

    function.__qualname__ = function.__name__ = text
    function.__doc__ = f"`yᵢ = 1 if {text}, else 0`."
    return function


rule("aten.isposinf")(_question("a = ∞", lambda a: a == math.inf))
rule("aten.isneginf")(_question("a = −∞", lambda a: a == -math.inf))
rule("aten.signbit")(_question("a < 0 or a is −0", lambda a: math.copysign(1.0, a) < 0))


def _bits(name: str) -> Callable[[OpCall, Index], Expr]:
    def function(c: OpCall, i: Index) -> Expr:
        if not all(abs(number_at(c, position, i)) < 2**53 for position in (0, 1)):
            raise Unruled("integers of more than 53 bits")
        return Call(name, (operand(c, 0, i), operand(c, 1, i)))

    function.__qualname__ = function.__name__ = name
    function.__doc__ = f"`yᵢ = {name}(aᵢ, bᵢ)` of two integers, exact."
    return function


_EACH: Rounds = "each"
for _op in ("gcd", "lcm"):
    rule(f"aten.{_op}", rounds=_EACH)(_bits(_op))
