"""Long sums as programs: whatever the order of the additions, running the text gives the very bits."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import whygrad
from whygrad.errors import OpaqueError, ValueDropped
from whygrad.explain.check import Checked
from whygrad.explain.derivation import Derivation, SumInfo, Verdict
from whygrad.explain.evaluate import Found, Inputs, Ways
from whygrad.explain.why import Explainer
from whygrad.floats import number_format, round_to, to_bits
from whygrad.floats.summation import (
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
    Tree,
    evaluate,
)
from whygrad.rules.expr import Call, Dot, Expr, Series, Var
from whygrad.trace.model import Op
from whygrad.view.python import python_form
from whygrad.view.python_orders import steps_of

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LINEAR = frozenset({"aten.addmm.default", "aten.mm.default", "aten.sum.dim_IntList"})


def pasted(source: str) -> float:
    space: dict[str, Any] = {}
    with np.errstate(all="ignore"):
        exec(source, space)
    return space["result"]


def gives_the_bits(derivation: Derivation) -> bool:
    fmt = number_format(derivation.format)
    form = python_form(derivation)
    same = to_bits(pasted(form.source), fmt) == to_bits(float(derivation.value), fmt)
    assert same == (form.ulp == 0), "what the form says of itself"
    return same


# ---- real runs


def trained(dtype: torch.dtype) -> whygrad.Run:
    layers = [
        torch.nn.Linear(64, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 10),
    ]
    model = torch.nn.Sequential(*layers).to(dtype)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, eps=1e-4)  # 1e-8 is 0 in float16
    x, labels = torch.randn(32, 64).to(dtype), torch.randint(0, 10, (32,))
    with whygrad.record(steps="all") as run:
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), labels).backward()
            optimizer.step()
    return run


def answers(run: whygrad.Run, each: int) -> Iterator[tuple[Op, Derivation]]:
    """`each` elements of every result of the last step that an equation gives to the last bit."""
    explainer, rng = Explainer(run.trace), random.Random(1)
    step = run.trace.step(run.steps[-1])
    for op in step.ops:
        for written in op.written:
            value = step.values[written]
            for _ in range(min(each, value.numel)):
                index = tuple(rng.randrange(n) for n in value.shape)
                try:
                    answer = explainer.explain(explainer.at(step.number, value, index), 1)
                except ValueDropped:
                    continue
                if answer.verdict.kind == "same bits" and (op.optimizer is not None or not answer.via):
                    yield op, answer


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_every_number_of_a_network_has_a_program_that_gives_its_bits(dtype: str) -> None:
    asked, right = Counter[str](), Counter[str]()
    run = trained(DTYPES[dtype])
    for op, answer in answers(run, 6):
        kind = "update" if op.optimizer is not None else answer.op
        asked[kind] += 1
        right[kind] += gives_the_bits(answer)
    assert all(math.isfinite(answer.value) for _, answer in answers(run, 1))
    assert {*LINEAR, "update", "aten._log_softmax.default", "aten.nll_loss_forward.default"} <= set(asked)
    wrong = {kind: asked[kind] - right[kind] for kind in asked if asked[kind] != right[kind]}
    assert not wrong.keys() & {*LINEAR, "update"}, wrong
    assert right.total() >= 0.99 * asked.total(), wrong


def only_answer(run: whygrad.Run, op_name: str) -> Derivation:
    return next(answer for op, answer in answers(run, 1) if op.name == op_name)


@pytest.mark.parametrize(("length", "fits"), [(4096, True), (4097, False)])
def test_a_program_holds_at_most_4096_terms(length: int, fits: bool) -> None:
    x, weight = torch.randn(8, length), torch.randn(24, length)
    with whygrad.record(steps="all") as run:
        torch.mm(x, weight.T)
    answer = only_answer(run, "aten.mm.default")
    if fits:
        assert gives_the_bits(answer)
    else:
        with pytest.raises(OpaqueError, match="sums 4097 terms"):
            python_form(answer)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", list(DTYPES))
def test_rows_whose_exponential_only_torch_has(op: str, dtype: str) -> None:
    x = torch.randn(6, 200).to(DTYPES[dtype])
    with whygrad.record(steps="all") as run:
        getattr(torch, op)(x, -1)
    found = [answer for _, answer in answers(run, 6)]
    assert len(found) == 6
    assert all(gives_the_bits(answer) for answer in found)


def test_torchs_own_kernel_is_said_to_be_called() -> None:
    x = torch.randn(64, 300)
    with whygrad.record(steps="all") as run:
        torch.softmax(x, -1)
    sources = [python_form(answer).source for _, answer in answers(run, 40)]
    kernels = [source for source in sources if "torch.ops." in source]
    assert kernels, "of 40 sums of 300 exponentials, none needs SLEEF's?"
    assert all("# torch's own kernel, on the whole row" in source for source in kernels)


def test_a_loss_of_weighted_classes_has_two_sums() -> None:
    x, labels, weight = torch.randn(20, 5), torch.randint(0, 5, (20,)), torch.rand(5)
    labels[3] = -100
    with whygrad.record(steps="all") as run:
        torch.nn.functional.nll_loss(x, labels, weight)
    assert gives_the_bits(only_answer(run, "aten.nll_loss_forward.default"))


def test_a_short_sum_stays_one_expression() -> None:
    x, weight = torch.randn(2, 3), torch.randn(4, 3)
    with whygrad.record(steps="all") as run:
        torch.mm(x, weight.T)
    source = python_form(only_answer(run, "aten.mm.default")).source
    assert "np.array" not in source and "for " not in source


# ---- every order


def patterns() -> st.SearchStrategy[Pattern]:
    width, registers, peel = st.sampled_from([2, 4, 8, 16]), st.sampled_from([1, 2, 4]), st.integers(0, 5)
    joins, across = st.sampled_from(["adjacent", "in turn"]), st.sampled_from(["halving", "in turn"])
    full = st.sampled_from(["lanes", "fused lanes"])  # a rest of less than a row
    lanes = st.one_of(
        st.builds(Lanes, width, registers, peel, st.sampled_from([0, 8, 64]), joins, across),
        st.builds(Lanes, width, registers, peel, st.just(0), joins, across, full),
        st.builds(
            Lanes, width, st.just(4), peel, st.just(0), joins, across, st.just("lane 0"), st.sampled_from([1, 2])
        ),
    )
    after = st.builds(Lanes, width, st.sampled_from([1, 2]))
    inner = st.one_of(st.just(Chain()), st.just(Pairs()), after)
    panels = st.builds(Panels, st.sampled_from([16, 64, 192]), st.sampled_from(["none", "half", "last two"]), inner)
    return st.one_of(
        st.builds(Chain, st.booleans()), st.just(Pairs()), panels, st.builds(Blocks, st.sampled_from([4, 16])),
        lanes, st.builds(HalfDot, st.sampled_from([16, 64])),
    )  # fmt: skip


def cascades() -> st.SearchStrategy[Cascade]:
    return st.builds(Cascade, st.sampled_from([1, 4, 8]), st.sampled_from([1, 4]), st.booleans())


def numbers(n: int, seed: int, fmt: str) -> np.ndarray[Any, Any]:
    """Of very different sizes, so that the order shows."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(n) * 2.0 ** rng.integers(-6, 7, n)
    return np.array([round_to(float(v), number_format(fmt)) for v in values])


def summed(
    order: Order, a: np.ndarray[Any, Any], b: np.ndarray[Any, Any] | None, init: float | None, fmt: str
) -> Derivation:
    """The derivation of a sum that was added up in `order`."""
    n, wide = len(a), number_format("float64" if fmt == "float64" else "float32")
    series = [Series(k, np.arange(n).reshape(-1, 1)) for k in range(2)]
    dot: Expr = Dot(series[0], None if b is None else series[1], None if init is None else Var(0))
    total = evaluate(order, a, b, init, np.float64 if fmt == "float64" else np.float32)
    value = round_to(total, number_format(fmt))
    operands = (
        () if init is None else (Derivation("bias@0", "bias", init, fmt, "", "parameter", "other", Verdict("given")),)
    )
    inputs = Inputs([] if init is None else [init], [a] if b is None else [a, b])
    checked = Checked(
        cast(Any, None), cast(Any, None), dot, inputs, value, number_format(fmt), wide,
        Found(Ways(wide, order=order), 0, value), True,
    )  # fmt: skip
    return Derivation(
        "y@0", "y", value, fmt, "", "activation", "forward", Verdict("same bits", 0), op="aten.x.default",
        equation=dot, operands=operands, sum=SumInfo(n, (), 0.0, n, init is not None), evaluation=checked,
    )  # fmt: skip


@settings(max_examples=150)
@given(
    patterns(), st.integers(1, 300), st.booleans(), st.sampled_from(["none", "first", "last"]),
    st.sampled_from(["float32", "float64", "bfloat16", "float16"]), st.integers(0, 1000),
)  # fmt: skip
def test_products_in_every_order(pattern: Pattern, n: int, fused: bool, init: Any, fmt: str, seed: int) -> None:
    """The oracle is the evaluation of the order that the explainer itself uses."""
    # Only one running total can start from the bias; kernels of several lanes add it to the finished sum (rules/orders.py).
    assume(init != "first" or isinstance(pattern, (Blocks, Chain, Panels)))
    order = Order(pattern, fused, init)
    bias = None if init == "none" else float(numbers(1, seed + 1, fmt)[0])
    assert gives_the_bits(summed(order, numbers(n, seed, fmt), numbers(n, seed + 2, fmt), bias, fmt))


@given(
    st.one_of(cascades(), patterns()),
    st.integers(1, 4096),
    st.sampled_from(["float32", "float16"]),
    st.integers(0, 1000),
)
@settings(max_examples=60)
def test_sums_in_every_order(pattern: Pattern, n: int, fmt: str, seed: int) -> None:
    assert gives_the_bits(summed(Order(pattern), numbers(n, seed, fmt), None, None, fmt))


@given(st.integers(1, 700), st.integers(0, 1000))
def test_the_running_sums_of_nll_loss(n: int, seed: int) -> None:
    terms = numbers(n, seed, "float32")
    terms[np.random.default_rng(seed).random(n) < 0.2] = 0.0
    assert gives_the_bits(summed(Order(NllCascade()), terms, None, None, "float32"))


def test_a_tree_as_it_was_found() -> None:
    tree = Tree((range(4), (range(4, 8), (range(8, 12, 2),)), range(9, 12, 2)))
    assert gives_the_bits(summed(Order(tree), numbers(12, 3, "float32"), None, None, "float32"))


@pytest.mark.parametrize("pattern", [Chain(), Pairs(), Panels(16, inner=Pairs())])
def test_subnormal_numbers_that_count_as_zero(pattern: Pattern) -> None:
    a, b = numbers(40, 0, "float32"), numbers(40, 1, "float32")
    a[::3] = 2.0**-140
    b[::3] = 2.0**127  # what is flushed would have been large enough to show
    derivation = summed(Order(pattern, True, "none", flush=True), a, b, None, "float32")
    plain = summed(Order(pattern, True, "none"), a, b, None, "float32")
    assert derivation.value != plain.value
    assert gives_the_bits(derivation)
    assert "flushed" in python_form(derivation).source
    assert "flushed" not in python_form(plain).source


@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan])
def test_special_terms(special: float) -> None:
    a, b = numbers(70, 0, "float32"), numbers(70, 1, "float32")
    a[11] = special
    result = pasted(python_form(summed(Order(Chain(), True), a, b, None, "float32")).source)
    assert math.isnan(result) if math.isnan(special) else math.isinf(result)


def test_an_underflow_keeps_its_sign() -> None:
    a, b = np.array([2.0**-100] * 8), np.array([-(2.0**-100)] * 8)
    derivation = summed(Order(Chain(), True), a, b, None, "float32")
    assert math.copysign(1.0, derivation.value) == -1.0
    assert gives_the_bits(derivation)


def test_a_sum_in_no_order_is_exact() -> None:
    a = numbers(50, 5, "float32")
    derivation = summed(Order(Chain()), a, None, None, "float32")
    checked = derivation.evaluation
    assert checked is not None and checked.found is not None
    value = float(np.float32(math.fsum(a)))
    found = Found(Ways(number_format("float32")), 0, value)
    exact = Checked(
        checked.call, checked.rule, checked.expr, checked.inputs, value, checked.format, checked.width, found, True
    )
    answer = Derivation(
        "y@0", "y", value, "float32", "", "activation", "forward", Verdict("same bits", 0), op="aten.x.default",
        equation=checked.expr, sum=derivation.sum, evaluation=exact,
    )  # fmt: skip
    assert "math.fsum" in python_form(answer).source
    assert gives_the_bits(answer)


def test_another_order_than_the_one_found_says_how_far_off_it_is() -> None:
    a = numbers(200, 7, "float32")
    wrong = summed(Order(Chain()), a, None, None, "float32")
    value = float(np.nextafter(np.float32(wrong.value), np.float32(math.inf)))
    shifted = Derivation(
        "y@0", "y", value, "float32", "", "activation", "forward", Verdict("replayed", 1), op="aten.x.default",
        equation=wrong.equation, sum=wrong.sum, evaluation=wrong.evaluation,
    )  # fmt: skip
    form = python_form(shifted)
    assert form.ulp == 1
    assert form.source.startswith("# 1 ulp off the recorded number")


def test_what_is_no_tree_is_refused() -> None:
    with pytest.raises(OpaqueError, match="a tree of additions"):
        steps_of(NllCascade(), 9)
    with pytest.raises(OpaqueError, match="threads"):
        steps_of(Cascade(8, threads=2), 40000)


def test_a_function_without_a_form_is_named() -> None:
    derivation = summed(Order(Chain()), numbers(9, 0, "float32"), None, None, "float32")
    odd = Derivation(
        "y@0", "y", 1.0, "float32", "", "activation", "forward", Verdict("same bits", 0), op="aten.x.default",
        equation=Call("bessel", (cast(Dot, derivation.equation),)), sum=derivation.sum, evaluation=derivation.evaluation,
    )  # fmt: skip
    with pytest.raises(OpaqueError, match="'bessel'"):
        python_form(odd)
