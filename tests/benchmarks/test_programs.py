"""The benchmarks' programs train, always in the same way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmarks.programs import (
    ACTIVATIONS,
    LOSSES,
    OPTIMIZERS,
    PROGRAMS,
    GPTConfig,
    MLPConfig,
    Program,
    gpt,
    mlp,
    neuron,
    resnet,
)  # fmt: skip


def weights(program: Program) -> list[torch.Tensor]:
    return [p.detach().clone() for p in program.parameters.values()]


@pytest.mark.parametrize("name", PROGRAMS)
def test_two_builds_train_alike(name: str) -> None:
    build: Callable[[], Program] = PROGRAMS[name]
    one, torch_state = build(), torch.get_rng_state()
    torch.rand(3)  # a build must not depend on where the program's generator is
    two = build()
    assert not torch.equal(torch.get_rng_state(), torch_state)
    before = weights(one)
    one.step()
    two.step()
    assert all(torch.equal(a, b) for a, b in zip(weights(one), weights(two), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(before, weights(one), strict=True))


def test_building_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    mlp()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_sizes_are_those_that_the_page_names() -> None:
    sizes = {name: sum(p.numel() for p in build().parameters.values()) for name, build in PROGRAMS.items()}
    width, layers = 128, 4
    block = 12 * width**2 + 13 * width
    assert sizes["neuron"] == 2
    assert sizes["mlp"] == 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10
    assert sizes["gpt"] == layers * block + (256 + 64) * width + 2 * width + 256 * width
    assert sizes["resnet"] == 11_173_962  # ResNet-18 with the CIFAR stem and ten classes


def test_the_neuron_is_half_precision_unless_told() -> None:
    assert {p.dtype for p in neuron().parameters.values()} == {torch.float16}
    assert {p.dtype for p in neuron(torch.float64).parameters.values()} == {torch.float64}


def test_the_neuron_learns() -> None:
    program = neuron()
    for _ in range(40):
        program.step()
    assert abs(program.model(program.x).item() - 2.0) < 0.01


def test_written_out_attention_is_sdpa() -> None:
    tokens = gpt().x
    ours, theirs = gpt(torch.float64), gpt(torch.float64, GPTConfig(sdpa=True))
    torch.testing.assert_close(ours.model(tokens), theirs.model(tokens), rtol=1e-12, atol=1e-12)


def test_attention_does_not_look_ahead() -> None:
    program = gpt()
    tokens = program.x.clone()
    full = program.model(tokens)
    tokens[:, 32:] = (tokens[:, 32:] + 1) % 256
    torch.testing.assert_close(program.model(tokens)[:, :32], full[:, :32])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["activation", "loss", "optimizer"])
def test_every_mlp_trains_in_every_dtype(kind: str, dtype: torch.dtype) -> None:
    for name in {"activation": ACTIVATIONS, "loss": LOSSES, "optimizer": OPTIMIZERS}[kind]:
        program = mlp(dtype, MLPConfig(widths=(6, 5, 3), batch=4, **{kind: name}))
        before = weights(program)
        program.step()
        after = weights(program)
        assert {w.dtype for w in after} == {dtype}
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True)), name


def test_batch_norm_is_in_training_mode() -> None:
    assert resnet().model.training


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_half_precision_stays_finite(optimizer: str) -> None:
    program = mlp(torch.float16, MLPConfig(optimizer=optimizer))
    for _ in range(3):
        program.step()
    assert all(bool(w.isfinite().all()) for w in weights(program))
