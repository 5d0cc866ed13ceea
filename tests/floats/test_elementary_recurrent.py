"""oneDNN's logistic function and tanh have the bits that its LSTM computes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from whygrad.floats.elementary import ONEDNN, evaluate, evaluate_array, variants

LARGE = 90.0
"""Where both functions are 1."""


def of_a_layer(function: str, x: torch.Tensor) -> torch.Tensor:
    """The function as a layer computes it: its other gates are 1, its cell was 0 before and is `i·g`."""
    hidden = len(x)
    one = torch.full_like(x, LARGE)
    gates = [x if function == "sigmoid" else one, one, x if function == "tanh" else one, one]
    weight = torch.cat(gates).reshape(-1, 1)
    zero, bias = torch.zeros(1, hidden), torch.zeros(4 * hidden)
    recurrent = torch.zeros(4 * hidden, hidden)
    with torch.no_grad():
        made = torch.ops.aten.mkldnn_rnn_layer(
            torch.ones(1, 1, 1), weight, recurrent, bias, bias, zero, zero, False, [], 2, hidden, 1, True, False, False,
            True,
        )  # fmt: skip
    return made[2][0]


def numbers() -> torch.Tensor:
    """Of every size: each of the polynomial's intervals many times."""
    generator = torch.Generator().manual_seed(0)
    size = 2.0 ** (26 * torch.rand(1500, generator=generator) - 18)
    sign = torch.where(torch.rand(1500, generator=generator) < 0.5, -1.0, 1.0)
    return torch.cat([(size * sign).clamp(-80, 80), torch.tensor([0.0, -0.0, 1e-40, 9.0102, -9.011])])


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
def test_the_layers_bits(function: str) -> None:
    x = numbers()
    own = evaluate_array(function, (x.numpy(),), "float32", ONEDNN)
    assert np.array_equal(own.view(np.uint32) << 1, of_a_layer(function, x).numpy().view(np.uint32) << 1)


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
def test_one_number_is_as_in_an_array(function: str) -> None:
    x = numbers().numpy()[::7]
    own = evaluate_array(function, (x,), "float32", ONEDNN)
    assert [evaluate(function, (float(each),), "float32", ONEDNN) for each in x] == own.tolist()


def test_only_had_by_name() -> None:
    assert ONEDNN not in variants("tanh", "float32")
    with pytest.raises(ValueError, match="no variant"):
        evaluate("tanh", (0.5,), "float64", ONEDNN)


def test_not_a_number() -> None:
    assert math.isnan(evaluate("tanh", (math.nan,), "float32", ONEDNN))
    assert math.isnan(evaluate("sigmoid", (math.nan,), "float32", ONEDNN))
