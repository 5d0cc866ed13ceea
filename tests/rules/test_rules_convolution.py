"""Convolutions and their gradients: what PyTorch returned, element by element, against the equation, to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.rules import harness
from whygrad.explain.check import Checker
from whygrad.explain.evaluate import Ways, value_of
from whygrad.floats import number_format
from whygrad.floats.summation import Order, Tree, evaluate
from whygrad.rules.convolution_orders import Terms, input_orders, nested, runs
from whygrad.rules.expr import Dot

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Case:
    """One convolution: sizes of the input (N, C, …) and of the kernel, and how the window moves."""

    x: tuple[int, ...]
    out: int
    kernel: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    bias: bool = True
    transposed: bool = False
    output_padding: int = 0
    channels_last: bool = False

    def program(self) -> Callable[[torch.dtype], None]:
        """Forward and backward, from a fixed seed."""

        def run(dtype: torch.dtype) -> None:
            torch.manual_seed(0)
            channels, dims = self.x[1], len(self.kernel)
            shape = (channels, self.out // self.groups) if self.transposed else (self.out, channels // self.groups)
            x, w = torch.randn(self.x).to(dtype), torch.randn(*shape, *self.kernel).to(dtype)
            b = torch.randn(self.out).to(dtype).requires_grad_() if self.bias else None
            if self.channels_last:
                x, w = (t.to(memory_format=torch.channels_last) for t in (x, w))
            x.requires_grad_()
            w.requires_grad_()
            move: dict[str, Any] = {"groups": self.groups, "dilation": self.dilation}
            if self.transposed:
                move["output_padding"] = self.output_padding
            function = getattr(F, f"conv{'_transpose' if self.transposed else ''}{dims}d")
            y = function(x, w, b, self.stride, self.padding, **move)
            y.backward(torch.randn(y.shape).to(dtype))

        return run


PLAIN = Case((2, 3, 8, 9), 5, (3, 3), padding=1)
CASES = {
    "1d": Case((2, 4, 11), 6, (3,), padding=1),
    "2d": PLAIN,
    "3d": Case((2, 2, 4, 5, 6), 3, (2, 3, 2), padding=1),
    "blocks of channels": Case((2, 32, 6, 6), 20, (3, 3), bias=False),
    "blocks of channels with a bias": Case((1, 48, 5, 5), 16, (3, 3), padding=1),
    "1×1": Case((3, 20, 7, 7), 24, (1, 1)),
    "strided": Case((2, 8, 9, 9), 8, (3, 3), stride=2, padding=1),
    "dilated": Case((2, 6, 10, 10), 8, (3, 3), dilation=2, padding=2),
    "groups": Case((2, 8, 8, 8), 12, (3, 3), groups=4, padding=1),
    "depthwise": Case((2, 8, 8, 8), 8, (3, 3), groups=8, padding=1),
    "channels last": Case((2, 16, 8, 8), 16, (3, 3), padding=1, channels_last=True),
    "transposed": Case((2, 6, 5, 5), 8, (3, 3), stride=2, padding=1, transposed=True, output_padding=1),
    "transposed 1d": Case((2, 4, 9), 6, (3,), stride=2, transposed=True, groups=2),
    "transposed 3d": Case((1, 3, 3, 4, 4), 4, (2, 2, 2), transposed=True),
}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cache of its own, and one thread."""
    monkeypatch.setenv("WHYGRAD_CACHE", str(tmp_path))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def results(case: Case, dtype: torch.dtype) -> list[tuple[Any, ...]]:
    """(checker, step, op, value) of everything that convolutions wrote."""
    trace = harness.record(case.program(), dtype)
    checker, found = Checker(trace), list[tuple[Any, ...]]()
    for info in trace.index:
        step = trace.step(info.number)
        for op in step.ops:
            if op.kind.startswith("aten.convolution"):
                found += [
                    (checker, step, op, step.values[o]) for o in op.outputs if o is not None and step.values[o].numel
                ]
    return found


def sampled(shape: tuple[int, ...], count: int) -> list[tuple[int, ...]]:
    """The corners, where windows reach over the edge, and some more."""
    rng = np.random.default_rng(0)
    corners = [tuple(0 for _ in shape), tuple(n - 1 for n in shape)]
    return [*corners, *(tuple(int(rng.integers(n)) for n in shape) for _ in range(count))]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_equation_is_the_convolution(name: str, dtype: torch.dtype) -> None:
    """In exact arithmetic it comes within the rounding of the sum: no term too many, none missing."""
    found = results(CASES[name], dtype)
    assert len(found) == (4 if CASES[name].bias else 3)
    bound = {torch.float32: 1e-5, torch.float64: 1e-13, torch.float16: 2e-2, torch.bfloat16: 2e-2}[dtype]
    for checker, step, op, value in found:
        for index in sampled(value.shape, 4):
            _, _, expr, inputs = checker.equation(step, op, value, index)
            exact = value_of(expr, inputs, Ways(number_format("float64")))
            recorded = float(checker.trace.content(step, value)[index])
            size = abs(inputs.series(expr.a.operand, expr.a.indices)).sum() + 1
            assert abs(recorded - exact) <= bound * size, (op.name, index)


@pytest.mark.parametrize("name", ["2d", "strided", "depthwise", "transposed", "blocks of channels with a bias"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_order_that_the_kernel_was_seen_to_use_gives_the_bits(name: str, dtype: torch.dtype) -> None:
    wrong: list[Any] = []
    for checker, step, op, value in results(CASES[name], dtype):
        wrong += [
            (op.name, index, checked.found)
            for index in sampled(value.shape, 2)
            if not (checked := checker.check(step, op, value, index)).equal
        ]
    assert not wrong


def test_two_threads_are_asked_as_two() -> None:
    torch.set_num_threads(2)
    *_, (checker, step, op, value), _ = results(replace(PLAIN, x=(4, 8, 6, 6)), torch.float32)
    assert value.shape == (5, 8, 3, 3)
    assert all(checker.check(step, op, value, index).equal for index in sampled(value.shape, 2))


def test_a_number_one_ulp_off_is_not_called_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    checker, step, op, value = results(CASES["1×1"], torch.float32)[0]
    content, index = checker.trace.content, (1, 3, 2, 2)

    def changed(of: Any, which: Any) -> Any:
        found = content(of, which)
        if which is value:
            found = found.copy()
            found[index] = np.nextafter(found[index], np.float32(np.inf))
        return found

    monkeypatch.setattr(checker.trace, "content", changed)
    assert not checker.check(step, op, value, index).equal


def test_blocks_of_sixteen_channels_are_added_in_order() -> None:
    channels, taps = np.repeat(np.arange(32), 2), np.tile([[0], [1]], (32, 1))
    (order,) = input_orders(Terms(channels, taps, 32, (2,)), "float32", strided=False, biased=True)
    assert isinstance(order.pattern, Tree)
    first, second = (range(0, 32, 2), range(1, 33, 2)), (range(32, 64, 2), range(33, 65, 2))
    assert [tuple(i) if isinstance(i, range) else [tuple(r) for r in i] for i in order.pattern.items] == [
        *(tuple(r) for r in first), (64,), [tuple(r) for r in second],
    ]  # fmt: skip
    numbers = np.zeros(64, np.float32)
    numbers[0], numbers[32], numbers[34] = 2.0**24, 1, 1
    assert evaluate(Order(order.pattern, fused=True), numbers, np.ones(64, np.float32), 0.0) == 2.0**24 + 2


def test_runs_of_indices_hold_every_index_once_in_order() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 17):
        for order in (np.arange(n), np.arange(n)[::-1].copy(), rng.permutation(n), np.arange(n) ^ 1):
            assert [k for part in runs(order) for k in part] == order.tolist()


def test_terms_apart_are_nested() -> None:
    keys, apart = np.array([2, 0, 1, 3]), np.array([1, 0, 0, 1])
    assert nested([apart, keys], apart) == (range(1, 3), (range(0, 4, 3),))
    assert nested([keys], None) == (range(1, 3), range(0, 4, 3))


def test_padded_places_are_left_out() -> None:
    checker, step, op, value = results(CASES["2d"], torch.float32)[0]
    _, _, corner, _ = checker.equation(step, op, value, (0, 0, 0, 0))
    _, _, middle, _ = checker.equation(step, op, value, (0, 0, 4, 4))
    assert isinstance(corner, Dot) and isinstance(middle, Dot)
    assert (len(corner.a), len(middle.a)) == (3 * 4, 3 * 9)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_time_batch_channel(dtype: torch.dtype) -> None:
    def run(dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        x, w, b = torch.randn(7, 3, 6), torch.randn(3, 6, 5), torch.randn(5)
        torch.conv_tbc(x.to(dtype), w.to(dtype), b.to(dtype), 1)

    share = harness.shares(harness.record(run, dtype), samples=9)["aten.conv_tbc.default", str(dtype)[6:]]
    assert (share.sampled, share.same) == (9, 9)
