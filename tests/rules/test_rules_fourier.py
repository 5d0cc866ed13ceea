"""Fourier transforms by their definition, against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fft

from tests.rules.linear_algebra import ask
from whygrad.rules.fourier import circle


def transforms(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    for n in (4, 7):
        x = torch.randn(3, n, 5, dtype=dtype, requires_grad=True)
        for norm in ("forward", "backward", "ortho"):
            half = fft.rfft(x, dim=1, norm=norm)
            whole = fft.fft2(x, dim=(0, 1), norm=norm)
            back = fft.irfft(half, n=n, dim=1, norm=norm).sum() + fft.irfft(half, n=n + 3, dim=1).sum()
            more = fft.ifftn(whole, norm=norm).real.sum() + fft.hfft(whole).sum() + fft.ihfft(x).abs().sum()
            (half.abs().sum() + back + more + fft.rfftn(x).imag.sum()).backward()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_transforms_are_explained(dtype: torch.dtype) -> None:
    found = ask(transforms, dtype, ("fft",))
    assert not found.reasons, found.reasons[:3]
    assert {op for op, _ in found.found} == {"aten._fft_r2c", "aten._fft_c2c", "aten._fft_c2r"}


@given(st.integers(0, 10_000), st.integers(1, 3000))
@settings(max_examples=50)
def test_the_circle(turns: int, whole: int) -> None:
    turns %= whole
    cos, _ = circle("cos", np.array([turns]), whole)
    sin, name = circle("sin", np.array([turns]), whole)
    assert abs(cos[0] ** 2 + sin[0] ** 2 - 1) < 1e-15
    assert name(0) == f"sin[2π·{turns}/{whole}]"
    if turns * 4 == whole:
        assert (cos[0], sin[0]) == (0.0, 1.0)
    if turns * 3 == whole:
        assert cos[0] == -0.5


def test_a_wrong_direction_is_no_explanation(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exponent's sign turned the equation does not come near, and the number is opaque."""
    from whygrad.rules import fourier

    monkeypatch.setattr(fourier, "circle", lambda name, turns, whole: circle(name, -turns % whole, whole))  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]

    def program(dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        fft.rfft(torch.randn(8, dtype=dtype))

    assert ask(program, torch.float32, ("fft",), samples=10).reasons
