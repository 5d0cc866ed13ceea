"""Perceptrons in training: of every op, in every dtype, sampled scalars against their equations.

16 bits: each scalar's equation gives the recorded bits. float32 and float64: 99 % do, the rest is within a few ULP, for
MKL's functions (the square root above all) and SLEEF's double ones have no public formula.
"""

from __future__ import annotations

import math
from itertools import cycle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rules import harness
from tests.rules.networks import ACTIVATIONS, LOSSES, OPTIMIZERS, REDUCTIONS, Network

NARROW = [torch.float16, torch.bfloat16]
WIDE = [torch.float32, torch.float64]
DTYPES = NARROW + WIDE
FEW_ULP = 16
"""A difference of nearly equal numbers, (g − Σ g·y), makes several ULP out of one."""


def check(table: harness.Shares, dtype: torch.dtype, bar: float) -> None:
    """Nothing opaque; the bar of the dtype."""
    opaque = {k: s for k, s in table.items() if s.opaque}
    assert not opaque, "\n" + harness.table(opaque)
    wrong = {k: s for k, s in table.items() if s.same < s.sampled}
    sampled, same = (sum(getattr(s, n) for s in table.values()) for n in ("sampled", "same"))
    assert sampled > 0
    assert same >= (math.ceil(bar * sampled) if dtype in WIDE else sampled), "\n" + harness.table(wrong)
    assert max(s.worst for s in table.values()) <= FEW_ULP, "\n" + harness.table(wrong)


def shares_of(networks: list[Network], dtype: torch.dtype, samples: int = 4) -> harness.Shares:
    return harness.merge(harness.shares(harness.record(n.train, dtype), samples) for n in networks)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_activation(dtype: torch.dtype) -> None:
    optimizers = cycle(OPTIMIZERS)
    check(shares_of([Network(a, optimizer=next(optimizers)) for a in ACTIVATIONS], dtype), dtype, 0.99)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_loss(dtype: torch.dtype, reduction: str) -> None:
    networks = [Network("tanh", loss, reduction, steps=1) for loss in LOSSES]
    check(shares_of(networks, dtype), dtype, 0.99)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_optimizer(dtype: torch.dtype) -> None:
    check(shares_of([Network(optimizer=o, steps=3) for o in OPTIMIZERS], dtype), dtype, 0.98)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@settings(max_examples=8, derandomize=True)
@given(
    network=st.builds(
        Network, st.sampled_from(sorted(ACTIVATIONS)), st.sampled_from(sorted(LOSSES)), st.sampled_from(REDUCTIONS),
        st.sampled_from(["sgd", "momentum", "nesterov"]), st.sampled_from([None, 1, 3, 32]),
        st.sampled_from([1, 5, 64, 128]), st.sampled_from([2, 5, 40]), st.just(1),
    )
)  # fmt: skip
def test_any_network(network: Network, dtype: torch.dtype) -> None:
    # One network has few scalars, so that one of them is more than a hundredth.
    check(shares_of([network], dtype, samples=3), dtype, 0.95)


def test_every_scalar_of_a_neuron() -> None:
    network = Network("tanh", batch=None, width=1, outputs=1, steps=3)
    for dtype in DTYPES:
        check(shares_of([network], dtype, samples=1000), dtype, 1.0)
