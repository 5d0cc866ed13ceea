"""An equation in exact arithmetic on the recorded operands: fractions as long as it is rational, many digits after."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from whygrad.explain.evaluate import Inputs
from whygrad.explain.exact_sums import Undefined, product_sum
from whygrad.floats import elementary
from whygrad.floats.elementary_plain import PLAIN, plain_exact
from whygrad.rules.expr import Bin, Call, Case, Dot, Drawn, Expr, Fma, In, Kernel, Neg, Num, Python, Round, Var

Array = np.ndarray[Any, Any]
Exact = Any
"""A Fraction, or an mpmath number once something irrational came in."""


def exact_value(expr: Expr, inputs: Inputs) -> Exact:
    """The equation's exact value: a Fraction, or an mpf of 60 digits. Raises Undefined."""
    try:
        return _run(expr, [_fraction(v) for v in inputs.values], inputs)
    except (ZeroDivisionError, ValueError, OverflowError) as error:
        raise Undefined(str(error)) from error


def _fraction(x: Any) -> Fraction | None:
    return Fraction(float(x)) if np.isfinite(x) else None


def _run(expr: Expr, values: list[Fraction | None], inputs: Inputs) -> Exact:
    match expr:
        case Var(k):
            if values[k] is None:
                raise Undefined("an operand is not finite")
            return values[k]
        case Num(value, _) | Drawn(value, _):
            return _finite(value)
        case Python(_, value):
            # What the program computed in double precision is that double; how it came about is its own equation.
            return _finite(value)
        case Neg(a):
            return -_run(a, values, inputs)
        case Round(a, _) | In(_, a) | Case(_, a, _) | Kernel(formula=a):
            return _run(a, values, inputs)
        case Fma(a, b, c):
            return _mul(_run(a, values, inputs), _run(b, values, inputs)) + _run(c, values, inputs)
        case Bin(op, a, b):
            return _binary(op, _run(a, values, inputs), _run(b, values, inputs))
        case Call(name, args, _):
            return _call(name, [_run(a, values, inputs) for a in args])
        case Dot():
            return _dot(expr, values, inputs)


def _finite(value: float) -> Fraction:
    if not np.isfinite(value):
        raise Undefined("a constant is not finite")
    return Fraction(value)


def _mpf(x: Exact) -> Any:
    import mpmath

    if isinstance(x, Fraction):
        return mpmath.mpf(x.numerator) / mpmath.mpf(x.denominator)
    return x


def _mul(a: Exact, b: Exact) -> Exact:
    return _binary("*", a, b)


def _binary(op: str, a: Exact, b: Exact) -> Exact:
    if op == "**":
        if isinstance(a, Fraction) and isinstance(b, Fraction) and b.denominator == 1 and abs(b) <= 8:
            return a ** int(b)
        return (
            elementary.exact("pow", (a, b))
            if isinstance(a, Fraction) and isinstance(b, Fraction)
            else _mpf(a) ** _mpf(b)
        )
    if not (isinstance(a, Fraction) and isinstance(b, Fraction)):
        import mpmath

        with mpmath.workdps(60):
            a, b = _mpf(a), _mpf(b)
            return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b}[op]()
    operations: dict[str, Callable[[], Fraction]] = {
        "+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b,
    }  # fmt: skip
    return operations[op]()


def _call(name: str, args: list[Exact]) -> Exact:
    if name == "abs":
        return abs(args[0])
    if name in _COMPARING and not all(isinstance(a, Fraction) for a in args):
        args = [_mpf(a) for a in args]  # mpmath and Fraction cannot be compared with each other
    if name in ("max", "min"):
        return (max if name == "max" else min)(args)
    if name in ("less", "equal"):
        return Fraction(int(args[0] < args[1] if name == "less" else args[0] == args[1]))
    if name == "where":
        return args[1] if args[0] else args[2]
    if name in ("sign", "step"):
        x = args[0]
        return Fraction((x > 0) - (x < 0)) if name == "sign" else Fraction(int(x > 0))
    if name in ("floor", "ceil", "trunc", "rint"):
        return Fraction(_WHOLE[name](args[0]))
    if name in PLAIN:
        return plain_exact(name, args)
    import mpmath

    with mpmath.workdps(60):
        if all(isinstance(a, Fraction) for a in args) or name in elementary.SPECIAL:
            return elementary.exact(name, tuple(args))
        others: dict[str, Any] = {
            "pow": mpmath.power,
            "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
            "rsqrt": lambda x: 1 / mpmath.sqrt(x),
        }
        function = others.get(name)
        return (function or getattr(mpmath, name))(*[_mpf(a) for a in args])


_COMPARING = frozenset({"max", "min", "less", "equal", "where"})
_WHOLE: dict[str, Callable[[Exact], int]] = {
    "floor": lambda x: int(x // 1),
    "ceil": lambda x: -int(-x // 1),
    "trunc": int,
    "rint": lambda x: round(x) if isinstance(x, Fraction) else int(_nearest(x)),
}


def _nearest(x: Any) -> Any:
    import mpmath

    return mpmath.nint(x)


def _dot(expr: Dot, values: list[Fraction | None], inputs: Inputs) -> Exact:
    a = inputs.series(expr.a.operand, expr.a.indices)
    b = None if expr.b is None else inputs.series(expr.b.operand, expr.b.indices)
    if not np.isfinite(a).all() or (b is not None and not np.isfinite(b).all()):
        raise Undefined("an operand is not finite")
    total: Exact = Fraction(0)
    products = None if expr.term is None else monomials(expr.term)
    if products is not None:
        total = _polynomial_sum(products, expr, a, b, inputs)
    elif expr.term is not None and (scaled := _exponentials(expr.term, a, values)) is not None:
        total = scaled
    elif expr.term is not None:
        more = [inputs.series(s.operand, s.indices) for s in reversed(expr.more)]
        for i in range(len(a)):
            own = [
                Fraction(float(a[i])),
                None if b is None else Fraction(float(b[i])),
                *values,
                *(_fraction(s[i]) for s in more),
            ]
            total = _binary("+", total, _run(expr.term, own, inputs))
    else:
        total = product_sum([a] if b is None else [a, b])
    return total if expr.init is None else _binary("+", total, _run(expr.init, values, inputs))


Monomials = list[tuple[Fraction, tuple[int, ...]]]
_MOST_MONOMIALS = 16


def monomials(term: Expr) -> Monomials | None:
    """A polynomial as its products: a factor, and the variables. None for what is none, or a long one."""
    match term:
        case Var(k):
            return [(Fraction(1), (k,))]
        case Num(value, _) if np.isfinite(value):
            return [(Fraction(value), ())]
        case Neg(a):
            inner = monomials(a)
            return None if inner is None else [(-f, vs) for f, vs in inner]
        case Round(a, _) | In(_, a) | Case(_, a, _) | Kernel(formula=a):
            return monomials(a)
        case Bin("+" | "-" | "*" as op, a, b):
            left, right = monomials(a), monomials(b)
            if left is None or right is None or len(left) * len(right) > _MOST_MONOMIALS:
                return None
            if op == "*":
                return [(f * g, (*vs, *ws)) for f, vs in left for g, ws in right]
            return [*left, *((f if op == "+" else -f, vs) for f, vs in right)]
        case _:
            return None


def _polynomial_sum(products: Monomials, dot: Dot, a: Array, b: Array | None, inputs: Inputs) -> Fraction:
    """`Σ term` for a polynomial: every product is summed by itself, in whole numbers over a power of two."""
    more = [inputs.series(s.operand, s.indices) for s in dot.more]
    total = Fraction(0)
    for factor, variables in products:
        series: list[Array] = []
        for k in variables:
            if k >= 2:
                factor *= _finite(inputs.values[k - 2])
            else:
                series.append(more[-k - 1] if k < 0 else a if k == 0 or b is None else b)
        total += factor * (product_sum(series) if series else len(a))
    return total


_BITS = 230
"""Binary places of a sum of exponentials: more than 60 digits of one that is not small."""


def _exponentials(term: Expr, a: Array, values: list[Fraction | None]) -> Exact | None:
    """`Σ exp(aᵢ − c)` in fixed point, many times as quick as numbers with an exponent each; None for another term, or where
    the sum is so small that digits would be missing."""
    match term:
        case In(_, inner) | Round(inner, _):
            return _exponentials(inner, a, values)
        case Call("exp", (Bin("-", Var(0), Var(k)),)) if k >= 2:
            less = values[k - 2]
        case _:
            return None
    if less is None or not len(a) or abs(less) + int(np.abs(a).max()) > _LARGE_EXPONENT:
        return None
    import mpmath
    from mpmath.libmp.libelefun import exp_fixed, ln2_fixed

    ln2, total = ln2_fixed(_BITS), 0
    shift = (less.numerator << _BITS) // less.denominator
    for number in a.tolist():
        whole, parts = number.as_integer_ratio()
        total += exp_fixed((whole << _BITS) // parts - shift, _BITS, ln2)
    if total >> (_BITS - 10) == 0:
        return None
    with mpmath.workdps(70):
        return mpmath.ldexp(mpmath.mpf(total), -_BITS)


_LARGE_EXPONENT = 1 << 10
