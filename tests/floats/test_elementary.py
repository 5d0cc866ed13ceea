"""Elementary functions against torch's own results, mpmath's values and the arithmetic's definition.

Which kernel torch takes depends on the CPU and on the build. Where it decides, an element counts as
reproduced if one variant gives its bits, and the share is bounded, not fixed at one; where whygrad states a
formula of IEEE operations alone (no library), the bits must be the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from whygrad.floats import elementary, elementary_softmax
from whygrad.floats.elementary import CORRECTLY_ROUNDED, EXP_U20, PRODUCTS, RATIONAL, SLEEF, TWO_STEPS
from whygrad.floats.elementary_arithmetic import ARRAY, SCALAR
from whygrad.floats.elementary_composites import COMPOSITES, VECTOR
from whygrad.floats.elementary_library import LIBRARY, c_function
from whygrad.floats.elementary_onednn import exp_u20
from whygrad.floats.elementary_softmax import softmax_scalar_tail

aten = torch.ops.aten
float32s = st.floats(width=32)
finite32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
RANGES = {
    "exp": (-20, 20), "log": (1e-3, 20), "log2": (1e-3, 20), "log10": (1e-3, 20), "log1p": (-0.9, 20),
    "expm1": (-10, 10), "sqrt": (0, 100), "rsqrt": (1e-3, 100), "tanh": (-6, 6), "sigmoid": (-15, 15),
    "erf": (-3, 3), "erfc": (-3, 3), "sin": (-30, 30), "cos": (-30, 30),
}  # fmt: skip
needs_library = pytest.mark.skipif(c_function("exp", "float32") is None, reason="no C library to call")
# Below AVX2 the compiler has no FMA to contract into, and the sequences of operations are others.
needs_fma = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"), reason="kernels without FMA"
)


def random_inputs(low: float, high: float, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, count).astype(np.float32)


def carrier(x: torch.Tensor) -> np.ndarray:
    return x.to(torch.float64).numpy()


def stored(values: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values).astype(np.float32)).to(dtype)


def ulps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.view(np.int32).astype(np.int64) - b.view(np.int32).astype(np.int64))


# --- arithmetic ---


def rounded_exactly(value: Fraction) -> float:
    if value == 0:
        return 0.0
    exponent = math.floor(math.log2(abs(value.numerator)) - math.log2(value.denominator))
    exponent += (abs(value) >= Fraction(2) ** (exponent + 1)) - (abs(value) < Fraction(2) ** exponent)
    quantum = Fraction(2) ** max(exponent - 23, -149)
    result = round(value / quantum) * quantum
    return math.copysign(math.inf, result) if abs(result) >= 2**128 else float(result)


@given(finite32s, finite32s, finite32s)
@settings(max_examples=300)
def test_fma_rounds_the_exact_value_once(a: float, b: float, c: float) -> None:
    expected = rounded_exactly(Fraction(a) * Fraction(b) + Fraction(c))
    assert SCALAR.fma(a, b, c) == expected
    with np.errstate(all="ignore"):
        assert ARRAY.fma(np.array([a]), np.array([b]), np.array([c]))[0] == expected


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_fma_sees_beyond_a_tie(side: float) -> None:
    # x·x is the tie 1 + 2⁻¹¹ + 2⁻²⁴ exactly; c is far below the last bit of binary64 and decides.
    x, c = 1.0 + 2.0**-12, side * 2.0**-80
    expected = 1.0 + 2.0**-11 + (2.0**-23 if side > 0 else 0.0)
    assert x * x + c == x * x
    assert SCALAR.fma(x, x, c) == expected
    assert ARRAY.fma(np.array([x]), np.array([x]), np.array([c]))[0] == expected
    assert SCALAR.fma(x, x, 0.0) == 1.0 + 2.0**-11


@given(float32s, float32s, float32s)
@settings(max_examples=200)
def test_scalar_and_array_arithmetic_agree(a: float, b: float, c: float) -> None:
    x, y, z = np.array([a]), np.array([b]), np.array([c])
    with np.errstate(all="ignore"):
        pairs = [
            (SCALAR.add(a, b), ARRAY.add(x, y)),
            (SCALAR.mul(a, b), ARRAY.mul(x, y)),
            (SCALAR.div(a, b), ARRAY.div(x, y)),
            (SCALAR.fma(a, b, c), ARRAY.fma(x, y, z)),
            (SCALAR.sqrt(a), ARRAY.sqrt(x)),
            (SCALAR.rint(a), ARRAY.rint(x)),
            (SCALAR.exponent(a), ARRAY.exponent(x)),
            (SCALAR.ldexp(a, 3.0), ARRAY.ldexp(x, np.array([3.0]))),
        ]
    for scalar, array in pairs:
        assert np.array_equal(np.float64(scalar), array[0], equal_nan=True)


# --- the truth ---


@pytest.mark.parametrize("function", sorted(RANGES))
@pytest.mark.parametrize("width", ["float32", "float64"])
def test_correctly_rounded_is_the_nearest(function: str, width: str) -> None:
    x = random_inputs(*RANGES[function], 60, seed=7)
    got = elementary.evaluate_array(function, (x,), width, CORRECTLY_ROUNDED)
    for value, result in zip(x.tolist(), got, strict=True):
        truth = elementary.exact(function, (value,), 60)
        with mpmath.workdps(60):
            error = abs(mpmath.mpf(float(result)) - truth)
            for neighbour in (np.nextafter(result, -result.dtype.type(np.inf)), np.nextafter(result, np.inf)):
                assert error <= abs(mpmath.mpf(float(neighbour)) - truth)


def test_exact_takes_fractions() -> None:
    with mpmath.workdps(60):
        assert abs(elementary.exact("exp", (Fraction(1, 3),)) - mpmath.exp(mpmath.mpf(1) / 3)) < mpmath.mpf("1e-58")
        assert elementary.exact("pow", (Fraction(3, 2), 2.0)) == mpmath.mpf("2.25")


def test_a_tie_goes_to_even() -> None:
    # (1 + 2⁻¹²)² = 1 + 2⁻¹¹ + 2⁻²⁴, halfway between two binary32 numbers.
    assert elementary.evaluate("pow", (1.0 + 2.0**-12, 2.0), "float32", CORRECTLY_ROUNDED) == 1.0 + 2.0**-11


ENDS = [("log", 0.0, -math.inf), ("exp", 200.0, math.inf), ("exp", -200.0, 0.0), ("sqrt", -1.0, math.nan),
        ("tanh", math.inf, 1.0), ("log1p", -1.0, -math.inf), ("log2", math.inf, math.inf)]  # fmt: skip


@pytest.mark.parametrize(("function", "x", "expected"), ENDS)
def test_ends(function: str, x: float, expected: float) -> None:
    for variant in elementary.variants(function, "float32"):
        got = elementary.evaluate(function, (x,), "float32", variant)
        assert np.array_equal(got, expected, equal_nan=True), variant.name


def test_a_subnormal_result() -> None:
    truth = elementary.exact("exp", (-100.0,))
    assert elementary.evaluate("exp", (-100.0,), "float32", CORRECTLY_ROUNDED) == float(np.float32(float(truth)))
    assert elementary.evaluate("exp", (-100.0,), "float32", SLEEF) == float(np.float32(float(truth)))


# --- the interface ---


@pytest.mark.parametrize("function", elementary.BASIC)
@pytest.mark.parametrize("width", elementary.WIDTHS)
def test_scalar_and_array_agree(function: str, width: str) -> None:
    low, high = RANGES.get(function, (0.1, 5))
    x, y = random_inputs(low, high, 40, seed=3), random_inputs(-3, 3, 40, seed=4)
    arrays = (x, y) if function == "pow" else (x,)
    for variant in elementary.variants(function, width):
        array = elementary.evaluate_array(function, arrays, width, variant)
        assert array.dtype == np.dtype(width)
        assert array.shape == x.shape
        for index, value in enumerate(array):
            args = tuple(float(a[index]) for a in arrays)
            got = elementary.evaluate(function, args, width, variant)
            assert np.array_equal(got, float(value), equal_nan=True), (variant.name, args)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="no elementary function 'gamma'"):
        elementary.variants("gamma", "float32")
    with pytest.raises(ValueError, match="no width 'float16'"):
        elementary.variants("exp", "float16")
    with pytest.raises(ValueError, match="takes 2 argument"):
        elementary.evaluate("pow", (1.0,), "float32", SLEEF)
    with pytest.raises(ValueError, match="no variant 'rational' of exp"):
        elementary.evaluate("exp", (1.0,), "float32", RATIONAL)


@given(st.floats(-80, 80, width=32))
def test_fast_exponential_is_within_20_ulp(x: float) -> None:
    got = np.float32(elementary.evaluate("exp", (x,), "float32", EXP_U20))
    truth = np.float32(elementary.evaluate("exp", (x,), "float32", CORRECTLY_ROUNDED))
    assert ulps(np.array([got]), np.array([truth]))[0] <= 20


@pytest.mark.parametrize("function", ["exp", "log", "log2", "log10", "log1p", "expm1", "tanh"])
def test_sleef_is_within_its_bound(function: str) -> None:
    x = random_inputs(*RANGES[function], 5000)
    got = elementary.evaluate_array(function, (x,), "float32", SLEEF)
    assert ulps(got, elementary.evaluate_array(function, (x,), "float32", CORRECTLY_ROUNDED)).max() <= 1


# --- against torch: one function ---


@pytest.mark.parametrize("function", sorted(RANGES))
def test_float32_is_near(function: str) -> None:
    """Whatever the kernel, the exact value is 1 ULP away; sigmoid and rsqrt round more than once."""
    x = random_inputs(*RANGES[function], 20000)
    torch_value = getattr(torch, function)(torch.from_numpy(x)).numpy()
    truth = elementary.evaluate_array(function, (x,), "float32", CORRECTLY_ROUNDED)
    far = {"sigmoid": 3, "rsqrt": 2}.get(function, 1)
    assert (ulps(torch_value, truth) <= far).mean() > 0.999


@needs_fma
@pytest.mark.parametrize("function", ["log1p", "expm1", "rsqrt", "sigmoid"])
def test_float32_bits(function: str) -> None:
    x = random_inputs(*RANGES[function], 20003)
    torch_value = getattr(torch, function)(torch.from_numpy(x)).numpy()
    same = np.zeros(x.shape, bool)
    for variant in elementary.variants(function, "float32"):
        same |= elementary.evaluate_array(function, (x,), "float32", variant) == torch_value
    assert same.mean() >= 0.99


# SLEEF is linked into torch: with FMA its bits do not depend on the CPU. Lengths leave no scalar body.
SLEEF_INSIDE: dict[str, tuple[tuple[float, float], Callable[[torch.Tensor], torch.Tensor]]] = {
    "log1p": ((-0.9, 20), torch.log1p),
    "expm1": ((-10, 10), torch.expm1),
    "log_sigmoid_buffer": ((-20, 20), lambda x: aten.log_sigmoid_forward(x)[1]),
    "sigmoid": ((-15, 15), torch.sigmoid),
    "gelu_tanh": ((-4, 4), lambda x: F.gelu(x, approximate="tanh")),
    "pow": ((0.1, 5), lambda x: torch.pow(x, 1.7)),
}


@needs_fma
@pytest.mark.parametrize("name", sorted(SLEEF_INSIDE))
def test_sleef_bits(name: str) -> None:
    interval, kernel = SLEEF_INSIDE[name]
    x = random_inputs(*interval, 2**17, seed=11)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        result = kernel(torch.from_numpy(x)).numpy()
    finally:
        torch.set_num_threads(threads)
    if name in COMPOSITES:
        with np.errstate(all="ignore"):
            got = np.asarray(COMPOSITES[name](ARRAY, VECTOR, x.astype(np.float64))).astype(np.float32)
    else:
        arrays = (x, np.full_like(x, 1.7)) if name == "pow" else (x,)
        got = elementary.evaluate_array(name, arrays, "float32", SLEEF)
    assert np.array_equal(got, result)


@needs_fma
def test_rsqrt_is_a_root_and_a_quotient() -> None:
    x = random_inputs(*RANGES["rsqrt"], 5000)
    torch_value = torch.rsqrt(torch.from_numpy(x)).numpy()
    assert (elementary.evaluate_array("rsqrt", (x,), "float32", TWO_STEPS) == torch_value).mean() >= 0.99
    assert (elementary.evaluate_array("rsqrt", (x,), "float32", CORRECTLY_ROUNDED) == torch_value).mean() < 0.9


@pytest.mark.parametrize("exponent", [2.0, 3.0, -1.0, -2.0])
def test_small_powers_are_products(exponent: float) -> None:
    x = random_inputs(0.1, 5, 5003)
    got = elementary.evaluate_array("pow", (x, np.full_like(x, exponent)), "float32", PRODUCTS)
    assert np.array_equal(got, torch.pow(torch.from_numpy(x), exponent).numpy())


@needs_fma
@needs_library
@pytest.mark.parametrize("exponent", [1.7, -0.3, 5.0])
def test_powers(exponent: float) -> None:
    x = random_inputs(0.1, 5, 5003)
    torch_value = torch.pow(torch.from_numpy(x), exponent).numpy()
    vector = elementary.evaluate_array("pow", (x, np.full_like(x, exponent)), "float32", SLEEF)
    double = (x, np.full(x.shape, exponent))
    scalar = elementary.evaluate_array("pow", double, "float32", elementary.C_LIBRARY_DOUBLE)
    assert ((vector == torch_value) | (scalar == torch_value)).mean() >= 0.99


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("function", sorted(set(RANGES) - {"rsqrt"}))
def test_16_bits_are_the_float32_value_rounded_once(function: str, dtype: torch.dtype) -> None:
    x = torch.from_numpy(random_inputs(*RANGES[function], 5003)).to(dtype)
    same = torch.zeros(x.shape, dtype=torch.bool)
    for variant in elementary.variants(function, "float32"):
        value = elementary.evaluate_array(function, (carrier(x),), "float32", variant)
        same |= stored(value, dtype) == getattr(torch, function)(x)
    assert same.float().mean() >= 0.999


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_single_rsqrt_in_16_bits_is_rounded_twice(dtype: torch.dtype) -> None:
    x = torch.from_numpy(random_inputs(*RANGES["rsqrt"], 500)).to(dtype)
    result = torch.cat([torch.rsqrt(part) for part in x.split(1)])
    assert torch.equal(result, 1 / x.sqrt())


@needs_fma
@needs_library
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_exponent_of_a_16_bit_power_is_rounded_first(dtype: torch.dtype) -> None:
    x = torch.from_numpy(random_inputs(0.1, 4, 4099)).to(dtype)
    exponent = np.full(x.shape, float(torch.tensor(1.7).to(dtype)))
    got = elementary.evaluate_array("pow", (carrier(x), exponent), "float32", SLEEF)
    assert (stored(got, dtype) == torch.pow(x, 1.7)).float().mean() >= 0.99


# --- against torch: whole kernels ---

FORWARD: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softplus": F.softplus,
    "log_sigmoid": F.logsigmoid,
    "log_sigmoid_buffer": lambda x: aten.log_sigmoid_forward(x)[1],
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
}
BACKWARD: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "sigmoid_backward": aten.sigmoid_backward,
    "tanh_backward": aten.tanh_backward,
    "silu_backward": aten.silu_backward,
    "softplus_backward": lambda g, x: aten.softplus_backward(g, x, 1, 20),
    "gelu_backward": aten.gelu_backward,
    "gelu_tanh_backward": lambda g, x: aten.gelu_backward(g, x, approximate="tanh"),
}
# oneDNN, where torch is built with it, has the float32 and bfloat16 GELU.
ALTERNATIVES = {"gelu": ("gelu_onednn", "gelu_onednn_avx2"),
                "gelu_backward": ("gelu_backward_scalar", "gelu_onednn_backward")}  # fmt: skip


def share_reproduced(kernel: str, operands: tuple[torch.Tensor, ...], result: torch.Tensor) -> float:
    """The share of elements whose bits one of the kernel's bodies gives."""
    same = torch.zeros(result.shape, dtype=torch.bool)
    arrays = tuple(carrier(x) for x in operands)
    with np.errstate(all="ignore"):
        for name in (kernel, *ALTERNATIVES.get(kernel, ())):
            for functions in (VECTOR, LIBRARY):
                same |= stored(COMPOSITES[name](ARRAY, functions, *arrays), result.dtype) == result
    return float(same.float().mean())


@needs_fma
@needs_library
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("length", [1, 7, 40, 4099])
@pytest.mark.parametrize("kernel", sorted(FORWARD))
def test_forward_kernels(kernel: str, length: int, dtype: torch.dtype) -> None:
    x = torch.from_numpy(random_inputs(-8, 8, length * max(1, 400 // length), seed=length)).to(dtype)
    result = torch.cat([FORWARD[kernel](part) for part in x.split(length)])
    assert share_reproduced(kernel, (x,), result) >= 0.99


@needs_fma
@needs_library
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("length", [1, 7, 40, 4099])
@pytest.mark.parametrize("kernel", sorted(BACKWARD))
def test_backward_kernels(kernel: str, length: int, dtype: torch.dtype) -> None:
    if (kernel, dtype) == ("sigmoid_backward", torch.float16):
        pytest.skip("rounds every operation to float16: test_sigmoid_backward_in_float16")
    count = length * max(1, 400 // length)
    x = torch.from_numpy(random_inputs(-4, 4, count, seed=length)).to(dtype)
    if kernel in ("sigmoid_backward", "tanh_backward"):
        x = torch.sigmoid(x) if kernel == "sigmoid_backward" else torch.tanh(x)
    grad = torch.from_numpy(random_inputs(-2, 2, count, seed=length + 1)).to(dtype)
    parts = zip(grad.split(length), x.split(length), strict=True)
    result = torch.cat([BACKWARD[kernel](g, p) for g, p in parts])
    assert share_reproduced(kernel, (grad, x), result) >= 0.99


def test_sigmoid_backward_in_float16() -> None:
    y = torch.from_numpy(random_inputs(0, 1, 4099)).half()
    grad = torch.from_numpy(random_inputs(-2, 2, 4099, seed=1)).half()
    expected = (grad * (1 - y)) * y
    assert torch.equal(aten.sigmoid_backward(grad, y), expected)


@needs_fma
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_log_sigmoid_backward(dtype: torch.dtype) -> None:
    x = torch.from_numpy(random_inputs(-8, 8, 4099)).to(dtype)
    grad = torch.from_numpy(random_inputs(-2, 2, 4099, seed=1)).to(dtype)
    buffer = aten.log_sigmoid_forward(x)[1]
    result = aten.log_sigmoid_backward(grad, x, buffer)
    assert share_reproduced("log_sigmoid_backward", (grad, x, buffer), result) >= 0.99


@needs_library
@pytest.mark.parametrize("name", sorted(COMPOSITES))
@given(x=st.floats(-20, 20, width=32), grad=st.floats(-4, 4, width=32))
@settings(max_examples=25)
def test_scalar_and_array_bodies_agree(name: str, x: float, grad: float) -> None:
    if name == "log_sigmoid_backward":
        args: tuple[float, ...] = (grad, x, SCALAR.round(math.exp(-abs(x))))
    else:
        args = (grad, x) if "backward" in name or name == "glu" else (x,)
    for functions in (VECTOR, LIBRARY):
        one = COMPOSITES[name](SCALAR, functions, *args)
        with np.errstate(all="ignore"):
            many = COMPOSITES[name](ARRAY, functions, *(np.array([a]) for a in args))
        assert np.array_equal(np.float64(one), np.asarray(many)[0], equal_nan=True)


# --- softmax ---


def softmax_cases(length: int) -> tuple[torch.Tensor, np.ndarray]:
    x = torch.from_numpy(random_inputs(-6, 6, 200 * length, seed=length).reshape(200, length))
    return x, carrier(x)


def any_lanes(formula: Callable[[int], np.ndarray], result: torch.Tensor) -> float:
    same = torch.zeros(result.shape, dtype=torch.bool)
    for lanes in (16, 8):
        same |= stored(formula(lanes), result.dtype) == result
    return float(same.float().mean())


@needs_fma
@pytest.mark.parametrize("length", [1, 3, 15, 16, 20, 100])
def test_softmax(length: int) -> None:
    x, values = softmax_cases(length)
    assert any_lanes(lambda lanes: elementary_softmax.softmax(values, lanes), torch.softmax(x, -1)) >= 0.99
    result = torch.log_softmax(x, -1)
    assert any_lanes(lambda lanes: elementary_softmax.log_softmax(values, lanes), result) >= 0.99


@needs_fma
@pytest.mark.parametrize("length", [1, 3, 16, 20, 40, 100])
def test_softmax_backward(length: int) -> None:
    x, _ = softmax_cases(length)
    grad = torch.from_numpy(random_inputs(-2, 2, x.numel(), seed=1).reshape(x.shape))
    g = carrier(grad)
    for op, output, formula in (
        (aten._softmax_backward_data, torch.softmax(x, -1), elementary_softmax.softmax_backward),
        (aten._log_softmax_backward_data, torch.log_softmax(x, -1), elementary_softmax.log_softmax_backward),
    ):
        result, y = op(grad, output, -1, torch.float32), carrier(output)
        assert any_lanes(lambda lanes, f=formula, y=y: f(g, y, lanes), result) >= 0.99


@needs_fma
@needs_library
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("length", [3, 16, 20, 40, 100])
def test_softmax_16_bit(length: int, dtype: torch.dtype) -> None:
    x = softmax_cases(length)[0].to(dtype)
    values = carrier(x)
    result = torch.softmax(x, -1)
    exps = (VECTOR.exp, LIBRARY.exp)
    assert any_lanes(lambda n: softmax_scalar_tail(values, *exps, n), result) >= 0.999

    def to_dtype(v: np.ndarray) -> np.ndarray:
        return carrier(stored(v, dtype))

    result = torch.log_softmax(x, -1)
    assert any_lanes(lambda n: elementary_softmax.log_softmax(values, n, to_dtype), result) >= 0.99


@needs_fma
@needs_library
@pytest.mark.parametrize("length", [5, 16, 40])
def test_flash_attention_takes_the_fast_exponential(length: int) -> None:
    # One feature that is not zero, so a score is one product; the identity as values: results are weights.
    query, key = torch.zeros(1, 1, 64, length), torch.zeros(1, 1, length, length)
    query[..., 0] = torch.from_numpy(random_inputs(-3, 3, 64))
    key[..., 0] = torch.from_numpy(random_inputs(-3, 3, length, seed=1))
    value = torch.eye(length)[None, None]
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION):
        result = F.scaled_dot_product_attention(query, key, value, scale=1.0)[0, 0]
    scores = carrier(query[0, 0, :, :1] * key[0, 0, :, 0])
    assert any_lanes(lambda n: softmax_scalar_tail(scores, exp_u20, LIBRARY.exp, n), result) >= 0.99


# --- losses ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_bce_with_logits_is_four_tensors(dtype: torch.dtype) -> None:
    x = torch.from_numpy(random_inputs(-8, 8, 4099)).to(dtype)
    target = torch.from_numpy(random_inputs(0, 1, 4099, seed=1)).to(dtype)
    result = F.binary_cross_entropy_with_logits(x, target, reduction="none")
    assert torch.equal(result, (1 - target) * x - F.logsigmoid(x))


@needs_library
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_bce_rounds_every_operation(dtype: torch.dtype) -> None:
    p = torch.sigmoid(torch.from_numpy(random_inputs(-8, 8, 4099))).to(dtype)
    target = torch.from_numpy(random_inputs(0, 1, 4099, seed=1)).to(dtype)
    q = carrier(p)
    log_p = stored(np.maximum(LIBRARY.log(ARRAY, q), -100.0), dtype)
    log_not_p = stored(np.maximum(LIBRARY.log1p(ARRAY, -q), -100.0), dtype)
    expected = (target - 1) * log_not_p - target * log_p
    result = F.binary_cross_entropy(p, target, reduction="none")
    assert (result == expected).float().mean() >= 0.99
