"""Special functions: their exact values against the C library's and mpmath's own, and PyTorch's algorithms against PyTorch."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whygrad.floats import elementary
from whygrad.floats.elementary_cephes import CEPHES, cephes
from whygrad.floats.elementary_plain import PLAIN, plain_exact
from whygrad.floats.elementary_special import SPECIAL

TORCH = {
    "digamma": torch.digamma, "polygamma": lambda x: torch.polygamma(1, x), "i0": torch.i0, "i0e": torch.special.i0e,
    "i1": torch.special.i1, "i1e": torch.special.i1e,
    "zeta": lambda x: torch.special.zeta(torch.tensor(2.5, dtype=x.dtype), x.abs()),
}  # fmt: skip
FIRST = {"polygamma": (1.0,), "zeta": (2.5,)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", sorted(CEPHES))
def test_an_algorithm_gives_the_bits_of_the_kernel(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.cat([torch.randn(60, dtype=dtype) * 6, torch.tensor([0.25, 1.0, 10.0, -0.5], dtype=dtype)])
    if name == "zeta":
        x = x.abs()
    expected = TORCH[name](x).tolist()
    found = [cephes(name, (*FIRST.get(name, ()), v), str(dtype)[6:]) for v in x.tolist()]
    assert [f for f, e in zip(found, expected, strict=True) if f != e and not (f != f and e != e)] == []


@pytest.mark.parametrize("name", sorted(name for name, each in SPECIAL.items() if each.arity == 1))
def test_the_exact_value_is_near_what_pytorch_computes(name: str) -> None:
    """Two implementations that share nothing: mpmath's, and PyTorch's in double precision."""
    known = {"bessel_k0": "modified_bessel_k0", "bessel_k1": "modified_bessel_k1"}
    known |= {"bessel_k0e": "scaled_modified_bessel_k0", "bessel_k1e": "scaled_modified_bessel_k1"}
    function = getattr(torch, name, None) or getattr(torch.special, known.get(name, name))
    x = 1.375 if name == "acosh" else 0.375
    expected = function(torch.tensor([x], dtype=torch.float64)).item()
    assert float(elementary.exact(name, (x,))) == pytest.approx(expected, rel=1e-12)
    assert elementary.evaluate(name, (x,), "float64", elementary.CORRECTLY_ROUNDED) == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("name", sorted(name for name in SPECIAL if "polynomial" in name))
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_a_polynomial_is_the_one_of_its_name(name: str, n: int) -> None:
    function = getattr(torch.special, name)
    x = torch.tensor([0.3125, -0.75, 1.5], dtype=torch.float64)
    found = [float(elementary.exact(name, (v, float(n)))) for v in x.tolist()]
    assert found == pytest.approx(function(x, torch.tensor(float(n), dtype=torch.float64)).tolist(), rel=1e-12)


@pytest.mark.parametrize(("a", "x"), [(0.5, 0.1), (3.0, 2.0), (2.0, 90.0), (30.0, 29.0), (0.25, 7.0)])
def test_the_incomplete_gamma_functions_add_up_to_one(a: float, x: float) -> None:
    lower, upper = (elementary.exact(name, (a, x)) for name in ("igamma", "igammac"))
    assert abs(lower + upper - 1) < mpmath.mpf(10) ** -50
    # PyTorch's series for x near a uses π in single precision.
    assert float(lower) == pytest.approx(torch.igamma(*torch.tensor([[a], [x]], dtype=torch.float64)).item(), rel=1e-8)


@pytest.mark.parametrize(
    ("name", "args", "value"),
    [
        ("zeta", (1.0, 2.0), math.inf), ("zeta", (0.5, 2.0), math.nan), ("bessel_y0", (0.0,), -math.inf),
        ("bessel_k1", (-1.0,), math.nan), ("igamma", (0.0, 1.0), 1.0), ("igammac", (2.0, 0.0), 1.0), ("acosh", (0.5,), math.nan),
    ],
)  # fmt: skip
def test_the_ends_of_a_domain(name: str, args: tuple[float, ...], value: float) -> None:
    found = elementary.evaluate(name, args, "float64", elementary.CORRECTLY_ROUNDED)
    assert found == value or (found != found and value != value)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6).filter(lambda b: abs(b) > 1e-3))
@settings(max_examples=60)
def test_a_remainder_is_what_pytorch_gives(a: float, b: float) -> None:
    x, y = torch.tensor([a, b], dtype=torch.float64)
    assert PLAIN["fmod"](a, b) == torch.fmod(x, y).item()
    assert PLAIN["remainder"](a, b) == torch.remainder(x, y).item()
    assert PLAIN["floor_divide"](a, b) == torch.floor_divide(x, y).item()
    assert plain_exact("remainder", [Fraction(a), Fraction(b)]) == Fraction(a) % Fraction(b)
    significand, exponent = torch.frexp(x)
    assert (PLAIN["significand"](a), PLAIN["exponent"](a)) == (significand.item(), exponent.item())


def test_a_name_that_is_none() -> None:
    with pytest.raises(ValueError, match="no function"):
        plain_exact("no such function", [Fraction(1)])
    with pytest.raises(ValueError, match="no variant"):
        elementary.evaluate("tan", (1.0,), "float32", elementary.ATEN)


@pytest.mark.parametrize("name", sorted(name for name, each in SPECIAL.items() if each.nearby is not None))
def test_arrays_agree_with_numbers(name: str) -> None:
    x = np.array([0.25, 0.5, 0.75])
    if name == "acosh":
        x = x + 1
    arrays = (x,) * SPECIAL[name].arity
    found = elementary.evaluate_array(name, arrays, "float32", elementary.CORRECTLY_ROUNDED)
    one_by_one = [
        elementary.evaluate(name, row, "float32", elementary.CORRECTLY_ROUNDED) for row in zip(*arrays, strict=True)
    ]
    assert found.tolist() == one_by_one
