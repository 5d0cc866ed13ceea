"""The functions that a printed program may begin with: how a number is rounded, how a tree of additions is walked."""

from __future__ import annotations

from whygrad.floats import NumberFormat

__all__ = ["HELPERS", "IMPORTS", "add_up_source", "fma_source", "format_source"]

HELPERS = {
    "rounded": '''
def rounded(x, bits, smallest):
    """x, rounded once (ties to even) to `bits` significant bits, exponents from `smallest` up."""
    if x == 0 or x - x != 0:  # a zero keeps its sign, an infinity and NaN stay
        return float(x)
    e = max(math.frexp(float(x))[1] - bits, smallest - bits + 1)
    return math.copysign(math.ldexp(round(Fraction(x) / Fraction(2) ** e), e), x)
''',
    "flushed": '''
def flushed(x):
    """x, a zero of its sign in place of a subnormal number."""
    return np.where(np.abs(x) < np.finfo(x.dtype).smallest_normal, np.copysign(x.dtype.type(0), x), x)[()]
''',
    "halves": '''
def halves(parts):
    """Part i with part i + n/2, again and again until one is left."""
    while len(parts) > 1:
        parts = list(zip(parts[: len(parts) // 2], parts[len(parts) // 2 :]))
    return parts[0]
''',
    "neighbours": '''
def neighbours(parts):
    """Part 0 with part 1, part 2 with part 3, again and again until one is left."""
    while len(parts) > 1:
        parts = list(zip(parts[0::2], parts[1::2]))
    return parts[0]
''',
}
"""Their text by name, in the order in which a program defines them; `fma` and `add_up` depend on the sum."""

IMPORTS = {
    "math": {"math", "rounded", "fma"},
    "Fraction": {"Fraction", "rounded", "fma"},
    "torch": {"torch"},
}
"""Which helpers need which import."""


def fma_source(width: str, fmt: NumberFormat) -> str:
    """`fma(a, b, c)` in a format, which the program calls `width`."""
    return f'''
def fma(a, b, c):
    """a·b + c, rounded once."""
    a, b, c = float(a), float(b), float(c)
    if a == 0 or b == 0 or not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return {width}(a * b + c)
    return {width}(rounded(Fraction(a) * Fraction(b) + Fraction(c), {fmt.precision}, {fmt.emin}))
'''


def format_source(width: str, fmt: NumberFormat) -> str:
    """A function of the format's name: its argument rounded to that format, as a number of the `width`."""
    return f'''
def {fmt.name}(x):
    """x, rounded to {fmt.name}."""
    return {width}(rounded(float(x), {fmt.precision}, {fmt.emin}))
'''


def add_up_source(name: str, width: str, step: str) -> str:
    """The walk over a tree of additions; `step` adds term `k` to `total`."""
    return f'''
def {name}(items, total=None):
    """Term after term; what stands in brackets of its own is added up apart, and then added."""
    for item in items:
        if isinstance(item, tuple):
            part = {name}(item)
            total = part if total is None else total + part
            continue
        total = {width}(0) if total is None else total
        for k in item:
            total = {step}
    return total
'''
