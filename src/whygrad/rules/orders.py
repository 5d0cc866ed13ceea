"""Which orders of summation the kernels of PyTorch's CPU backend use.

Found by experiment on torch 2.13 (x86-64; MKL 2024.2, oneDNN 3.12), each by revealing the kernel's tree of
additions (`whygrad.floats.summation_reveal`) and then checked against random numbers
(benchmarks/orders.py). MKL chooses its kernels by shape, alignment and processor, so a product has several
candidates and the recorded bits decide. Sums, softmax and the loss functions are PyTorch's own code and
have one order for a call.

Beware of luck: a wrong order gives the right bits of one float32 element in 5 to 30 % of cases, so of a
dozen one will. `find` names *an* order that gives the bits of an element; `find_shared` asks for one that
gives the bits of several elements of the same result, which luck does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from whygrad.floats.formats import NumberFormat
from whygrad.floats.rounding import round_to
from whygrad.floats.summation import (
    Accumulator,
    Blocks,
    Cascade,
    Chain,
    HalfDot,
    Lanes,
    NllCascade,
    Order,
    Pairs,
    Panels,
    Pattern,
    evaluate,
    simplify,
)
from whygrad.floats.summation_cascade import GRAIN
from whygrad.floats.summation_fma import Floats
from whygrad.rules.orders_calls import KernelCall

__all__ = ["KernelCall", "Sample", "candidates", "expected", "find", "find_shared", "gives"]

# mkldnn_gemm_min_size (aten/src/ATen/native/mkldnn/Matmul.cpp): up to this m·n·k, PyTorch multiplies itself.
ONEDNN_LEAST = 16**3
_WITH_INIT = {"addmm", "baddbmm", "addmv"}
_ROWS = {"_softmax", "_log_softmax", "_softmax_backward_data", "_log_softmax_backward_data"}
_SUMS = {"sum", "mean", "mse_loss", "binary_cross_entropy", "l1_loss", "smooth_l1_loss", "huber_loss"}
_NARROW = {"float16", "bfloat16"}

Finish = Callable[[float], float]


@dataclass(frozen=True)
class Sample:
    """One element of a result: Σ a·b (b None: Σ a), plus init unless None, is recorded as `target`."""

    a: Floats
    b: Floats | None
    init: float | None
    target: float


def candidates(call: KernelCall) -> tuple[Order, ...]:
    """The orders that `call` may use, most likely first; empty for an op whose sums are not known."""
    return tuple(dict.fromkeys(_plain(call, order) for order in _known(call)))


def expected(call: KernelCall) -> Order | None:
    """The first of the candidates, and no other worked out."""
    known = _known(call)
    return _plain(call, known[0]) if known else None


def _known(call: KernelCall) -> tuple[Order, ...]:
    if call.is_product:
        return _narrow_products(call) if call.dtype in _NARROW else _wide_products(call)
    if call.name in _ROWS:
        return _row_sums(call)
    if call.name in _SUMS:
        return _sums(call)
    return (Order(NllCascade()),) if call.name.startswith("nll_loss") else ()


def _plain(call: KernelCall, order: Order) -> Order:
    plain = simplify(order, call.terms)
    return plain if call.name in _WITH_INIT or plain.init == "none" else replace(plain, init="none")


def find(call: KernelCall, sample: Sample, out_format: NumberFormat, finish: Finish | None = None) -> Order | None:
    """The first candidate that gives the recorded bits of one element, or None; `finish` as in `gives`."""
    kind = call.accumulator
    return next((o for o in candidates(call) if gives(o, sample, out_format, kind, finish)), None)


def find_shared(
    call: KernelCall, samples: Sequence[Sample], out_format: NumberFormat, finish: Finish | None = None
) -> tuple[Order, int] | None:
    """The candidate that gives the bits of most of `samples`, and of how many; None if it gives none.

    The samples are elements of one result, best near to each other and to `call.position`: the edges of a
    matrix may follow another order than its middle, and every row where rows are not aligned.
    """
    best: tuple[Order, int] | None = None
    for order in candidates(call):
        hits = sum(gives(order, sample, out_format, call.accumulator, finish) for sample in samples)
        if hits and (best is None or hits > best[1]):
            best = order, hits
        if hits == len(samples):
            break
    return best


def gives(
    order: Order, sample: Sample, out_format: NumberFormat, kind: Accumulator, finish: Finish | None = None
) -> bool:
    """Does `order`, accumulated in `kind` and rounded once, give the bits of the target (any NaN for a NaN)?

    finish: what the kernel does to the sum before it is stored (a mean divides it).
    """
    total = evaluate(order, sample.a, sample.b, sample.init, kind)
    value = round_to(total if finish is None else finish(total), out_format)
    if math.isnan(value) or math.isnan(sample.target):
        return math.isnan(value) and math.isnan(sample.target)
    return value == sample.target and math.copysign(1.0, value) == math.copysign(1.0, sample.target)


def _wide_products(call: KernelCall) -> tuple[Order, ...]:
    """float32 and float64 (MKL): the order this shape and position had, then every other one seen
    anywhere.
    """
    width = 2 if call.dtype == "float64" else 4
    matrix, vector = _matrix_orders(call.dtype, width), _vector_orders(width)
    expected = _expected_dot(width) if call.name == "dot" else _expected(call, width)
    return (*expected, *vector, *matrix) if call.is_thin else (*expected, *matrix, *vector)


def _expected_dot(width: int) -> tuple[Order, ...]:
    lanes = Lanes(width, 4, registers_join="in turn", rest="lane 0", rest_registers=2 if width == 4 else 1)
    return (Order(lanes, init="last"),)


def _expected(call: KernelCall, width: int) -> tuple[Order, ...]:
    """MKL on a processor that is not Intel's: its matrix kernels use FMA, those for small matrices SSE2
    without.

    A (m, k) × (k, n) product as PyTorch stores it, row by row; MKL sees the transposed one. The matrix
    kernels take 12 columns at a time; the others 4, then what is left, from where a row is aligned to 16
    bytes.
    """
    m, n = call.rows, call.columns
    if call.terms == 1 and min(m, n) > 1 and call.name not in _WITH_INIT:
        return (Order(Chain(from_zero=False)),)
    if m == n == 1 and not call.both_along_k_strictly:
        return (Order(Chain(), init="last"),)
    if min(m, n) == 1 and call.both_along_k:
        return (Order(_thin_lanes(call, width), init="last"),)
    blocked = m >= 4 and n >= 12
    if blocked and (width == 4 or call.place[1] < n // 12 * 12):
        pattern = Panels(192, "half") if width == 4 else Chain()
        return (Order(pattern, fused=True, init="first"),)
    if not call.both_along_k:
        return _expected_columns(call, width, n // 12 * 12 if blocked else 0)
    row, column = call.place
    # Lanes start where the row of the left matrix is aligned; the matrix kernels copy it first.
    peel = 0 if blocked else -row * call.terms % width
    alone = column >= n // 4 * 4
    lanes = Lanes(width, 8 // width, peel, multiple=8) if alone else Lanes(width, 1, peel)
    return (Order(Panels(256, "half", lanes), init="first") if blocked else Order(lanes, init="last"),)


def _expected_columns(call: KernelCall, width: int, first: int) -> tuple[Order, ...]:
    """A row of the result is a sum of rows: one chain an element, but otherwise up to where the row is
    aligned.
    """
    row, column = call.place
    peel = -(row * call.columns + first) % width
    unaligned = column - first < peel and call.columns - first - peel >= width and call.columns > 1
    orders = (Order(Chain(), init="last"), Order(Blocks(4), init="last"))
    return orders[::-1] if unaligned else orders


def _thin_lanes(call: KernelCall, width: int) -> Lanes:
    """A product with a vector: elements in fours, then in twos, then one."""
    length, index = max(call.rows, call.columns), max(call.place)
    main = length // 4 * 4
    if index < main:
        return Lanes(width, 1, (call.terms - 1) % width + 1)
    left, at = length - main, index - main
    if left % 2 and at == left - 1:
        return Lanes(width, 8 // width, width, multiple=8)
    return Lanes(width, 2 if at == 0 else 1, width, multiple=8)


def _matrix_orders(dtype: str, width: int) -> Iterable[Order]:
    """Panels of 192, 256 and 384 were seen on processors of several makers, in this library's versions for
    each.
    """
    for size in (192, 256) if dtype == "float32" else (256, 192):
        yield Order(Panels(size, "half"), fused=True, init="first")
    yield Order(Panels(384, "last two"), fused=True, init="first")
    yield Order(Panels(384, "last two"), fused=True, init="last")
    for fused in (True, False):
        yield Order(Chain(), fused, "first")
        yield Order(Chain(), fused, "last")
    for fused in (False, True):
        yield Order(Blocks(4), fused, "last")
    yield Order(Panels(256 if dtype == "float64" else 192, "half", Lanes(width)), init="first")
    yield Order(Chain(from_zero=False), fused=True, init="last")


def _vector_orders(width: int) -> Iterable[Order]:
    """A vector's lanes start where its address is a multiple of 16 bytes: `peel` terms later."""
    for peel in (0, width, *range(1, width)):
        yield Order(Lanes(width, 1, peel), init="last")
        for registers in (1, 2) if width == 4 else (1, 2, 4):
            yield Order(Lanes(width, registers, peel, multiple=8), init="last")


def _narrow_products(call: KernelCall) -> tuple[Order, ...]:
    """float16, bfloat16: products are exact in float32, accumulated there and rounded once at the end.

    So FMA or not makes no difference, but for products below float32's range. oneDNN multiplies bfloat16 by
    AVX512-BF16 where there is enough to do; the rest is PyTorch's own (aten/src/ATen/native/CPUBlas.cpp,
    BlasKernel.cpp).
    """
    four_sums = Lanes(4, lanes_join="in turn", rest="lane 0")
    # Left operand along k: products are stored before they are added; otherwise the compiler has fused the
    # two.
    fused = call.strides[-2][-1] != 1
    dot, chain = Order(HalfDot(), init="last"), Order(Chain(), fused, "last")
    four = Order(four_sums, fused, "last")
    panel = 512 if call.terms <= 1024 else 1024
    pairs = Order(Panels(panel, inner=Pairs()), fused=True, init="last", flush=True)
    if call.both_along_k_strictly or call.name == "dot":
        own = (dot, chain, four)
    elif not fused or (call.is_vector and call.strides[-1][-1] != 1):
        own = (four, chain, dot)
    else:
        own = (chain, four, dot)
    own = (*own, *(replace(order, fused=not order.fused) for order in own))
    if call.dtype == "float16" or call.name == "dot":
        return own
    return (pairs, *own) if call.rows * call.columns * call.terms > ONEDNN_LEAST else (*own, pairs)


def _row_sums(call: KernelCall) -> tuple[Order, ...]:
    """vec::reduce_all and map_reduce_all (aten/src/ATen/cpu/vec/functional_base.h): AVX-512, AVX2, NEON.

    A vector's lanes are halved where there are instructions for it, and added in turn elsewhere.
    """
    narrow = call.dtype in _NARROW
    patterns: list[Pattern] = []
    for size in (64, 32, 16):
        width = size // (8 if call.dtype == "float64" else 4)
        if call.terms < width:
            patterns.append(Chain())
            continue
        registers = 2 if narrow and call.terms >= 2 * width else 1
        halved = call.dtype == "float32" or registers == 2
        for join in ("halving", "in turn") if halved else ("in turn", "halving"):
            patterns.append(Lanes(width, registers, lanes_join=join, rest="lanes"))
    orders = tuple(Order(pattern) for pattern in (*patterns, Chain()))
    if call.name != "_softmax_backward_data":
        return orders
    # Products: rounded in whole vectors, fused in the last one, and everywhere along another dimension than the last.
    last = (replace(p, rest="fused lanes") if isinstance(p, Lanes) else p for p in patterns)
    return (*(Order(p, fused=isinstance(p, Lanes)) for p in last), *orders, Order(Chain(), fused=True))


def _sums(call: KernelCall) -> tuple[Order, ...]:
    """aten/src/ATen/native/cpu/SumKernel.cpp, which is built for AVX2 (32 bytes) and NEON (16)."""
    patterns: list[Pattern] = []
    for size in (32, 16):
        width = size // (8 if call.dtype == "float64" else 4)
        halves = call.dtype in _NARROW and call.name == "sum"  # a mean converts to float32 first
        inner = Cascade(width, 4, halves)
        if call.reduces_all and call.threads > 1 and call.terms > GRAIN:
            stored = call.dtype if halves and call.dtype in ("float16", "bfloat16") else ""
            inner = Cascade(width, 4, halves, call.threads, stored)
        if call.reduces_all or call.reduces_contiguous:
            patterns += [inner, Cascade(1, 1), Cascade(1, 4)]
        else:
            patterns += [*_columns(call, width), inner]
    return tuple(Order(pattern) for pattern in patterns)


def _columns(call: KernelCall, width: int) -> tuple[Cascade, Cascade]:
    """Columns in whole groups of 4 vectors have one running sum each; those after them, 4."""
    columns = call.columns
    group = 4 if columns < width * (2 if call.dtype in _NARROW else 1) else 4 * width
    one, four = Cascade(1, 1), Cascade(1, 4)
    return (one, four) if call.place[1] < columns // group * group else (four, one)
