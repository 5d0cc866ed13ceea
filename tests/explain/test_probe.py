"""Asking kernels for their order of summation: the trees that come out, and where they are kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tests.rules import harness
from whygrad.explain import probe
from whygrad.explain.check import Checker
from whygrad.explain.probe import Prober
from whygrad.explain.probe_cache import Cache, directory
from whygrad.floats.summation import Order, Tree, TreeItems, evaluate
from whygrad.floats.summation_products import DELTA, EPSILON, with_products, with_storage
from whygrad.floats.summation_reveal import masks, meeting_sizes, reveal
from whygrad.rules.call import OpCall
from whygrad.rules.registry import find_rule

FUSED_TREES: dict[str, TreeItems] = {
    "chain": (range(6),),
    "panels": (range(3), (range(3, 6),)),
    "a rounded product in a chain": (range(2), (range(2, 3),), range(3, 6)),
    "a term onto a sum": (range(2, 4), range(1), range(1, 2), range(4, 6)),
    "lanes": (range(0, 6, 3), (range(1, 6, 3),), (range(2, 3),), range(5, 6)),
    "bias first": (range(6, 7), range(6)),
    "bias last": (range(3), (range(3, 6),), range(6, 7)),
}


def summed(items: TreeItems, stored: str = "") -> Callable[[Sequence[float], Sequence[float], int], float]:
    """A kernel that adds n products, and an initial value if there is one more term, in a known order."""

    def kernel(a: Sequence[float], b: Sequence[float], n: int) -> float:
        init = a[n] if len(a) > n else None
        total = evaluate(Order(Tree(items, stored=stored), True), np.array(a[:n]), np.array(b[:n]), init)
        return float(np.float16(total)) if stored else total

    return kernel


def leaves(items: TreeItems) -> list[int]:
    return [k for item in items for k in (item if isinstance(item, range) else leaves(item))]


def seen(kernel: Any, n: int, count: int, dtype: str) -> TreeItems:
    """What asking `kernel` about its `count` terms, the first n of them products, comes to."""
    mask, ones = masks(dtype), [1.0] * n
    items = reveal(meeting_sizes(lambda terms: kernel(terms, ones, n), count, mask), count)
    epsilon = EPSILON[dtype]

    def unrounded(pairs: Sequence[tuple[int, int]]) -> list[bool]:
        found: list[bool] = []
        for one, other in pairs:
            terms = [0.0] * count
            terms[one], terms[other] = 1 + epsilon, -(1 + epsilon) if other == n else -1.0
            found.append(kernel(terms, [1 + epsilon] * n, n) != epsilon)
        return found

    def stored(gaps: Sequence[tuple[int, int, int]]) -> list[bool]:
        found: list[bool] = []
        for gap in gaps:
            terms = [0.0] * count
            for k, value in zip(gap, (1.0, DELTA[dtype], -1.0), strict=True):
                terms[k] = value
            found.append(kernel(terms, ones, n) == 0)
        return found

    if dtype in DELTA:
        return with_storage(items, n, unrounded, stored)
    return with_products(items, n, unrounded)[0]


@pytest.mark.parametrize("name", FUSED_TREES)
def test_where_products_are_rounded_is_found_out(name: str) -> None:
    items, rng = FUSED_TREES[name], np.random.default_rng(0)
    count = len(leaves(items))
    kernel = summed(items)
    found = summed(seen(kernel, 6, count, "float32"))
    for _ in range(40):
        a, b = rng.standard_normal((2, count)).astype(np.float32).tolist()
        assert found(a, b[:6], 6) == kernel(a, b[:6], 6)


MARK = range(0)
STORED_TREES: dict[str, TreeItems] = {
    "nothing stored": (range(6),),
    "two halves stored": (range(3), (MARK, range(3, 6))),
    "every sum stored": ((MARK, (MARK, (MARK, range(2)), range(2, 3)), range(3, 4)), range(4, 6)),
    "products stored": ((MARK, range(1)), (MARK, range(1, 2)), (MARK, range(2, 3)), range(3, 6)),
    "images": ((MARK, range(2)), (MARK, range(2, 4)), range(4, 6)),
}


@pytest.mark.parametrize("name", STORED_TREES)
def test_what_is_kept_in_sixteen_bits_is_found_out(name: str) -> None:
    rng = np.random.default_rng(0)
    kernel = summed(STORED_TREES[name], "float16")
    found = summed(seen(kernel, 6, 6, "float16"), "float16")
    for _ in range(40):
        a, b = rng.standard_normal((2, 6)).astype(np.float16).tolist()
        assert found(a, b, 6) == kernel(a, b, 6)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def convolution(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    F.conv2d(torch.randn(2, 40, 6, 6).to(dtype), torch.randn(16, 40, 3, 3).to(dtype), padding=1)


def asked(dtype: torch.dtype, cache: Cache, index: tuple[int, ...]) -> tuple[Order, ...]:
    """What a prober says about one element of `convolution`."""
    trace = harness.record(convolution, dtype)
    step = trace.step(trace.index[0].number)
    (op,) = [op for op in step.ops if op.kind == "aten.convolution"]
    rule = find_rule(op.name)
    assert rule is not None
    return Prober(cache).orders(OpCall(trace, step, op), rule, index)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_term_is_in_the_tree_once(dtype: torch.dtype, tmp_path: Path) -> None:
    for index, count in (((1, 3, 2, 2), 360), ((0, 5, 0, 5), 160)):
        orders = asked(dtype, Cache(tmp_path / "orders.json"), index)
        assert orders
        for order in orders:
            assert isinstance(order.pattern, Tree)
            assert sorted(leaves(order.pattern.items)) == list(range(count))


def test_a_kernel_is_asked_once_on_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "orders.json"
    monkeypatch.setattr("whygrad.explain.probe_cache._LEAST", 0.0)
    first = asked(torch.float32, Cache(path), (0, 0, 3, 3))
    assert first and path.exists()
    monkeypatch.setattr(probe, "_reveal", lambda *_: pytest.fail("asked again"))
    assert asked(torch.float32, Cache(path), (0, 0, 3, 3)) == first


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 0, "trees": {}}', '{"format": 1, "trees": 3}', "\0\0"])
def test_a_broken_file_counts_as_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    path.write_text(text)
    cache = Cache(path)
    assert cache.get("a") == (False, None)
    cache.put("a", ((range(3), (range(3, 9, 2),)), True), 1.0)
    assert json.loads(path.read_text())["trees"]
    assert Cache(path).get("a") == (True, ((range(3), (range(3, 9, 2),)), True))
    assert not list(tmp_path.glob("*.tmp"))


def test_a_tree_that_is_none_is_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    cache = Cache(path)
    cache.put("a", ((range(3),), True), 1.0)
    known = json.loads(path.read_text())
    known["trees"] = {key: [True, ["0:x:1"]] for key in known["trees"]}
    path.write_text(json.dumps(known))
    assert Cache(path).get("a") == (False, None)


def test_what_took_too_long_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    Cache(path).put("a", None, 2.0)
    assert Cache(path).get("a") == (True, None)
    assert Cache(path).get("b") == (False, None)


def test_the_cache_can_be_put_elsewhere_and_turned_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHYGRAD_CACHE", str(tmp_path / "here"))
    assert directory() == tmp_path / "here"
    monkeypatch.setenv("WHYGRAD_CACHE", "off")
    assert directory() is None
    cache = Cache()
    cache.put("a", ((range(3),), True), 1.0)
    assert cache.get("a") == (False, None)
    monkeypatch.delenv("WHYGRAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert directory() is not None


def test_too_many_terms_for_the_budget_give_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "BUDGET", -1.0)
    path = tmp_path / "orders.json"
    assert asked(torch.float32, Cache(path), (0, 0, 3, 3)) == ()
    monkeypatch.setenv("WHYGRAD_CACHE", str(tmp_path))
    trace = harness.record(lambda dtype: F.conv2d(ones := torch.ones(1, 17, 3, 3).to(dtype), ones), torch.float64)
    step = trace.step(trace.index[0].number)
    op = next(op for op in step.ops if op.kind == "aten.convolution")
    assert op.outputs[0] is not None
    checked = Checker(trace).check(step, op, step.values[op.outputs[0]], (0, 0, 0, 0))
    assert checked is not None and checked.found is not None  # the equation stands, whatever the order


@given(st.permutations(range(9)), st.data())
def test_a_tree_over_fewer_terms_keeps_their_order(order: list[int], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, 8))
    items: TreeItems = (*(range(k, k + 1) for k in order[:cut]), tuple(range(k, k + 1) for k in order[cut:]))
    kept = sorted(data.draw(st.sets(st.integers(0, 8), min_size=1)))
    names = np.arange(9).reshape(-1, 1)
    found = probe.restricted(items, names, names[kept])
    assert found is not None
    assert [kept[k] for k in leaves(found)] == [k for k in order if k in kept]
    assert probe.restricted(items, names[:-1], names) is None


def test_a_product_whose_order_is_not_the_expected_one_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHYGRAD_CACHE", "off")

    def product(dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        torch.bmm(torch.randn(2, 9, 21).to(dtype), torch.randn(2, 21, 7).to(dtype))

    trace = harness.record(product, torch.float64)
    share = harness.shares(trace, samples=126)["aten.bmm.default", "float64"]
    assert share.same == share.sampled == 126


def test_torch_is_not_imported_before_a_kernel_is_asked() -> None:
    code = (
        "import sys; from whygrad.explain.probe import Prober; "
        "assert Prober().knows('aten.convolution') and 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
