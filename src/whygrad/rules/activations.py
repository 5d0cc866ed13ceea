"""Activations, forward and backward, each one pointwise kernel: float16 and bfloat16 are widened to float32 and rounded
once at the end, unless a rule says otherwise (aten/src/ATen/native/cpu/Activation.cpp, BinaryOpsKernel.cpp)."""

from __future__ import annotations

from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Bin, Call, Case, Expr, Kernel, Neg, Num
from whygrad.rules.registry import rule

ONE = Num(1)


def add(a: Expr, b: Expr) -> Expr:
    """`a + b`."""
    return Bin("+", a, b)


def sub(a: Expr, b: Expr) -> Expr:
    """`a − b`."""
    return Bin("-", a, b)


def mul(*factors: Expr) -> Expr:
    """`a·b·c`, from the left."""
    total = factors[0]
    for factor in factors[1:]:
        total = Bin("*", total, factor)
    return total


def div(a: Expr, b: Expr) -> Expr:
    """`a / b`."""
    return Bin("/", a, b)


def logistic(x: Expr) -> Expr:
    """`1 / (1 + e^(−x))`."""
    return div(ONE, add(ONE, Call("exp", (Neg(x),))))


@rule("aten.relu")
def relu(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ if xᵢ > 0, else 0`: max(x, 0)."""
    x = c.t(0)
    at, value = x[i], x.item(i)
    if value <= 0:
        # Of −0 a vector body makes 0 and a scalar one −0, or the other way round: x86's max of equals is its second operand.
        return Case("x ≤ 0", Kernel((), (), Num(0), (at,)) if value == 0 else Num(0), "x")
    return Case("x > 0" if value > 0 else "x is NaN", at, "0")


@rule("aten.threshold_backward")
def threshold_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ if yᵢ > threshold, else 0`; the backward pass of ReLU, y its result."""
    g, y = c.t(0), c.t(1)
    threshold = c.real(2)
    y[i]
    if y.item(i) <= threshold:
        g[i]
        return Case(f"y ≤ {threshold:g}", Num(0), "g")
    return Case(f"y > {threshold:g}", g[i], "0")


@rule("aten.leaky_relu")
def leaky_relu(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ if xᵢ > 0, else slope·xᵢ`."""
    x = c.t(0)
    if x.item(i) > 0:
        return Case("x > 0", x[i], "slope · x")
    return Case("x ≤ 0", mul(c.number(1, "negative_slope", 0.01), x[i]), "x")


@rule("aten.leaky_relu_backward")
def leaky_relu_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ if xᵢ > 0, else slope·gᵢ`."""
    g, x = c.t(0), c.t(1)
    x[i]
    if x.item(i) > 0:
        return Case("x > 0", g[i], "slope · g")
    return Case("x ≤ 0", mul(c.number(2, "negative_slope", 0.01), g[i]), "g")


def _elu_constants(c: OpCall, first: int) -> tuple[Expr, Expr, Expr]:
    """alpha·scale, scale and input_scale; the first two are one product in double precision."""
    alpha, scale, inner = (c.real(first + k, default=1.0) for k in range(3))
    return Num(alpha * scale, "" if scale == 1 else "α·scale"), Num(scale), Num(inner)


@rule("aten.elu")
def elu(c: OpCall, i: Index) -> Expr:
    """`yᵢ = scale·xᵢ if xᵢ ≥ 0, else α·scale·(e^(xᵢ·input_scale) − 1)`; SELU and CELU are this with other constants."""
    x = c.t(0)
    negative, positive, inner = _elu_constants(c, 1)
    if x.item(i) < 0:
        return Case("x < 0", mul(Call("expm1", (mul(x[i], inner),)), negative), "x")
    return Case("x ≥ 0", mul(x[i], positive), "α · (exp(x) − 1)")


@rule("aten.celu")
def celu(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ if xᵢ ≥ 0, else α·(e^(xᵢ/α) − 1)`: ELU with input_scale 1/α."""
    x, alpha = c.t(0), c.real(1, "alpha", 1.0)
    if x.item(i) < 0:
        return Case("x < 0", mul(Call("expm1", (mul(x[i], Num(1 / alpha, "1/α")),)), Num(alpha, "α")), "x")
    return Case("x ≥ 0", x[i], "α · (exp(x/α) − 1)")


@rule("aten.selu")
def selu(c: OpCall, i: Index) -> Expr:
    """`yᵢ = scale·xᵢ if xᵢ ≥ 0, else scale·α·(e^xᵢ − 1)` (G. Klambauer et al., arXiv:1706.02515)."""
    x, alpha, scale = c.t(0), 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    if x.item(i) < 0:
        return Case("x < 0", mul(Call("expm1", (x[i],)), Num(alpha * scale, "α·scale")), "scale · x")
    return Case("x ≥ 0", mul(x[i], Num(scale, "scale")), "scale · α · (exp(x) − 1)")


@rule("aten.elu_backward")
def elu_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = scale·gᵢ if xᵢ > 0, else gᵢ·input_scale·α·scale·e^(xᵢ·input_scale)`; from the result y instead of x:
    `gᵢ·input_scale·(yᵢ + α·scale)`."""
    g, x = c.t(0), c.t(5)
    negative, positive, inner = _elu_constants(c, 1)
    at, name = x[i], "y" if c.arg(4) else "x"
    if not x.item(i) <= 0:
        return Case(f"{name} is not ≤ 0", mul(g[i], positive), "g · α · exp(x)")
    slope = (add(at, negative),) if c.arg(4) else (negative, Call("exp", (mul(at, inner),)))
    return Case(f"{name} ≤ 0", mul(g[i], inner, *slope), "g")


@rule("aten.sigmoid")
def sigmoid(c: OpCall, i: Index) -> Expr:
    """`yᵢ = 1 / (1 + e^(−xᵢ))`."""
    x = c.t(0)[i]
    return Kernel(("sigmoid",), (x,), logistic(x))


@rule("aten.sigmoid_backward", rounds="float16")
def sigmoid_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ·(1 − yᵢ)·yᵢ`, y the result; in float16 each operation is rounded."""
    g, y = c.t(0)[i], c.t(1)[i]
    return mul(g, sub(ONE, y), y)


@rule("aten.tanh_backward")
def tanh_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ·(1 − yᵢ²)`, y the result."""
    g, y = c.t(0)[i], c.t(1)[i]
    return mul(g, sub(ONE, mul(y, y)))


@rule("aten.silu")
def silu(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ / (1 + e^(−xᵢ))`."""
    x = c.t(0)[i]
    return Kernel(("silu",), (x,), div(x, add(ONE, Call("exp", (Neg(x),)))))


@rule("aten.silu_backward")
def silu_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ·s·(1 + xᵢ·(1 − s))`, s = 1/(1 + e^(−xᵢ))."""
    g, x = c.t(0)[i], c.t(1)[i]
    s = logistic(x)
    return Kernel(("silu_backward",), (g, x), mul(g, s, add(ONE, mul(x, sub(ONE, s)))))


@rule("aten.softplus")
def softplus(c: OpCall, i: Index) -> Expr:
    """`yᵢ = log(1 + e^(β·xᵢ)) / β`, or xᵢ where β·xᵢ > threshold."""
    x, beta, threshold = c.t(0), c.number(1, "beta", 1.0), c.number(2, "threshold", 20.0)
    if _beyond(x.item(i), c, 1):
        return Case("β · x > threshold", x[i], "log(1 + exp(β · x)) / β")
    formula = div(Call("log1p", (Call("exp", (mul(x[i], beta),)),)), beta)
    return Kernel(("softplus",), (x[i], beta, threshold), formula)


def _beyond(x: float, c: OpCall, first: int) -> bool:
    beta, threshold = (c.real(first + k, default=d) for k, d in enumerate((1.0, 20.0)))
    return x * beta > threshold


@rule("aten.softplus_backward")
def softplus_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ·z / (z + 1)`, z = e^(β·xᵢ), or gᵢ where β·xᵢ > threshold."""
    g, x, beta, threshold = c.t(0), c.t(1), c.number(2, "beta", 1.0), c.number(3, "threshold", 20.0)
    at = x[i]
    if _beyond(x.item(i), c, 2):
        return Case("β · x > threshold", g[i], "g · z / (z + 1), z = exp(β · x)")
    z = Call("exp", (mul(at, beta),))
    return Kernel(("softplus_backward",), (g[i], at, beta, threshold), div(mul(g[i], z), add(z, ONE)))


@rule("aten.log_sigmoid_forward")
def log_sigmoid(c: OpCall, i: Index) -> Expr:
    """`yᵢ = min(xᵢ, 0) − log(1 + e^(−|xᵢ|))`: log of 1/(1 + e^(−x)), written so that nothing overflows."""
    x = c.t(0)[i]
    formula = sub(Call("min", (Num(0), x)), Call("log1p", (Call("exp", (Neg(Call("abs", (x,))),)),)))
    return Kernel(("log_sigmoid",), (x,), formula)


@rule("aten.log_sigmoid_forward", output=1)
def log_sigmoid_buffer(c: OpCall, i: Index) -> Expr:
    """`bᵢ = e^(−|xᵢ|)`, kept for the backward pass."""
    x = c.t(0)[i]
    return Kernel(("log_sigmoid_buffer",), (x,), Call("exp", (Neg(Call("abs", (x,))),)))


@rule("aten.log_sigmoid_backward")
def log_sigmoid_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ·(1 − b/(1 + b)) if xᵢ < 0, else gᵢ·b/(1 + b)`, b = e^(−|xᵢ|): gᵢ·sigmoid(−xᵢ)."""
    g, x, b = c.t(0)[i], c.t(1), c.t(2)[i]
    ratio = div(b, add(ONE, b))
    at = x[i]
    if x.item(i) < 0:
        formula: Expr = Case("x < 0", mul(sub(ONE, ratio), g), "b / (1 + b) · g")
    else:
        formula = Case("x ≥ 0", mul(ratio, g), "(1 − b / (1 + b)) · g")
    return Kernel(("log_sigmoid_backward",), (g, at, b), formula)


def _normal_cdf(x: Expr) -> Expr:
    """`Φ(x) = ½·(1 + erf(x/√2))`."""
    return mul(Num(0.5, "½"), add(ONE, Call("erf", (mul(x, Num(0.5**0.5, "√½")),))))


def _tanh_of(x: Expr) -> Expr:
    """`tanh(√(2/π)·(x + 0.044715·x³))`."""
    cube = mul(x, x, x)
    return Call("tanh", (mul(_BETA, add(x, mul(_KAPPA, cube))),))


_BETA = Num(2**0.5 * 1.1283791670955126 * 0.5, "√(2/π)")
_KAPPA = Num(0.044715)
_PDF = Num(1.1283791670955126 * 0.5**0.5 * 0.5, "1/√(2π)")


@rule("aten.gelu")
def gelu(c: OpCall, i: Index) -> Expr:
    """`yᵢ = xᵢ·Φ(xᵢ)`; approximate="tanh": `½·xᵢ·(1 + tanh(√(2/π)·(xᵢ + 0.044715·xᵢ³)))` (D. Hendrycks, K. Gimpel,
    arXiv:1606.08415). float32 and bfloat16 go to oneDNN, whose erf is an approximation of its own."""
    x = c.t(0)[i]
    if c.arg(-1, "approximate", "none") == "tanh":
        return Kernel(("gelu_tanh",), (x,), mul(mul(Num(0.5, "½"), x), add(ONE, _tanh_of(x))))
    own = ("gelu",) if c.t(0).dtype == "float16" else ("gelu_onednn", "gelu", "gelu_onednn_avx2")
    formula = mul(mul(x, Num(0.5, "½")), add(ONE, Call("erf", (mul(x, Num(0.5**0.5, "√½")),))))
    return Kernel(own, (x,), formula)


@rule("aten.gelu_backward")
def gelu_backward(c: OpCall, i: Index) -> Expr:
    """`∂xᵢ = gᵢ·(Φ(xᵢ) + xᵢ·φ(xᵢ))`, φ(x) = e^(−x²/2)/√(2π); or the derivative of the tanh form."""
    g, x = c.t(0)[i], c.t(1)[i]
    if c.arg(-1, "approximate", "none") == "tanh":
        return _gelu_tanh_backward(g, x)
    density = mul(_PDF, Call("exp", (mul(mul(x, x), Num(-0.5, "−½")),)))
    own = ("gelu_backward", "gelu_backward_scalar")
    names = own if c.t(0).dtype == "float16" else ("gelu_onednn_backward", *own)
    return Kernel(names, (g, x), mul(g, add(_normal_cdf(x), mul(x, density))))


def _gelu_tanh_backward(g: Expr, x: Expr) -> Expr:
    """`g·(½·(1 + t) + ½·x·(1 − t²)·√(2/π)·(1 + 3·0.044715·x²))`, t the tanh."""
    t = _tanh_of(x)
    slope = mul(_BETA, add(ONE, mul(mul(Num(3), _KAPPA), mul(x, x))))
    right = mul(mul(mul(Num(0.5, "½"), x), sub(ONE, mul(t, t))), slope)
    formula = mul(g, add(mul(Num(0.5, "½"), add(ONE, t)), right))
    return Kernel(("gelu_tanh_backward",), (g, x), formula)
