"""Ops without a rule, taken apart into ops that have one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

import whygrad
from whygrad.explain.derivation import Derivation
from whygrad.explain.inside import registry
from whygrad.explain.inside.decompose import NotDecomposed, decompose
from whygrad.explain.inside.noise import noise
from whygrad.explain.inside.registry import candidates, functional_form, inside
from whygrad.rules import registry as rules
from whygrad.rules.registry import Unruled

Tensor = torch.Tensor


def every(node: Derivation) -> list[Derivation]:
    return [node, *(each for operand in node.operands for each in every(operand))]


@pytest.fixture
def unruled() -> Iterator[Callable[..., None]]:
    """Takes the rules of ops away, for one test."""
    kept = rules.all_rules()
    table: dict[Any, Any] = rules._RULES  # pyright: ignore[reportPrivateUsage]

    def take(*ops: str) -> None:
        for key in [key for key in table if key[0] in ops]:
            del table[key]

    yield take
    table.clear()
    table.update(kept)


@pytest.fixture
def entered() -> Iterator[None]:
    """What a test enters into the registry is taken out again."""
    table: dict[str, Any] = registry._OWN  # pyright: ignore[reportPrivateUsage]
    kept = {op: list(each) for op, each in table.items()}
    yield
    table.clear()
    table.update(kept)


def recorded(program: Callable[[], Any]) -> whygrad.Run:
    torch.manual_seed(0)
    with whygrad.record() as run:
        program()
    return run


def of_op(run: whygrad.Run, name: str, index: str = "[0,0]", result: int = 0) -> str:
    """The address of what an op of a run's only step wrote."""
    step = run.trace.step(run.trace.index[0].number)
    op = next(op for op in step.ops if op.kind == name)
    several = len({step.values[w].storage for w in op.written}) > 1
    return f"op{op.index - step.first}{f'.{result}' if several else ''}{index}@{step.number}"


X = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()


def logsumexp() -> None:
    x = X * 2
    torch.logsumexp(x, 1).sum().backward()


def test_the_steps_of_a_kernel(unruled: Callable[..., None]) -> None:
    unruled("aten.logsumexp")
    run = recorded(logsumexp)
    why = run.why(of_op(run, "aten.logsumexp", "[1]"), depth=8).inert
    assert why.op == "aten.logsumexp.default" and why.verdict.kind == "same bits"
    assert "of what its kernel runs: aten.add_.Tensor" in why.verdict.how
    ops = [node.op for node in every(why)]
    assert {"aten.log_.default", "aten.exp_.default", "aten.sub.Tensor", "aten.amax.default"} <= set(ops)
    leaves = {node.address for node in every(why) if not node.operands and node.verdict.kind in ("given", "not asked")}
    assert leaves and not any("(" in address for address in leaves)  # it ends outside, at the row that went in
    assert {node.verdict.kind for node in every(why)} <= {"same bits", "given", "not asked"}


def test_each_inner_number_can_be_asked_again(unruled: Callable[..., None]) -> None:
    unruled("aten.logsumexp")
    run = recorded(logsumexp)
    nodes = every(run.why(of_op(run, "aten.logsumexp", "[1]"), depth=8).inert)
    inner = [node for node in nodes if "(op" in node.address]
    assert len(inner) > 5
    for node in inner:
        again = run.why(node.address, depth=0)
        assert (again.address, again.value, again.op) == (node.address, node.value, node.op)


def test_an_inner_address_that_is_none_says_so(unruled: Callable[..., None]) -> None:
    unruled("aten.logsumexp")
    run = recorded(logsumexp)
    name = of_op(run, "aten.logsumexp", "").partition("@")[0]
    with pytest.raises(whygrad.AddressError, match="no op 99"):
        run.why(f"op0(op99({name}))[0]@0")
    with pytest.raises(whygrad.AddressError, match="no inside of that number"):
        run.why(f"op0({name}~9)[0]@0")


def test_python_form_and_terminal(unruled: Callable[..., None]) -> None:
    unruled("aten.logsumexp")
    run = recorded(logsumexp)
    why = run.why(of_op(run, "aten.logsumexp", "[1]"))
    space: dict[str, Any] = {}
    exec(why.python(), space)
    assert space["result"] == why.value
    assert "aten.add_.Tensor" in str(why)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["mish", "hardswish"])
def test_torchs_decomposition(name: str, dtype: torch.dtype, unruled: Callable[..., None]) -> None:
    unruled(f"aten.{name}")
    x = X.detach().to(dtype)
    run = recorded(lambda: getattr(torch.nn.functional, name)(x))
    why = run.why(of_op(run, f"aten.{name}")).inert
    assert why.verdict.kind in ("same bits", "replayed") and (why.verdict.ulp or 0) <= 2
    assert "of torch's decomposition" in why.verdict.how and why.op == f"aten.{name}.default"


@pytest.mark.parametrize("form", ["in place", "out"])
def test_forms_that_write(form: str, unruled: Callable[..., None]) -> None:
    unruled("aten.mish")
    x = X.detach().clone()

    def program() -> None:
        if form == "out":
            torch.ops.aten.mish.out(x, out=torch.empty(3, 5))
        else:
            torch.ops.aten.mish_(x)

    run = recorded(program)
    kind = "aten.mish" if form == "out" else "aten.mish_"
    why = run.why(of_op(run, kind), depth=9).inert
    assert why.verdict.kind in ("same bits", "replayed") and "torch's decomposition" in why.verdict.how
    assert X[0, 0].item() in [node.value for node in every(why)]


def test_what_is_written_and_not_returned(unruled: Callable[..., None]) -> None:
    unruled("aten.native_batch_norm")
    mean, var = torch.zeros(5), torch.ones(5)
    run = recorded(lambda: torch.native_batch_norm(X.detach(), None, None, mean, var, True, 0.1, 1e-5))
    for result in range(3):  # running mean, running variance, y
        why = run.why(of_op(run, "aten.native_batch_norm", "[0,1]" if result == 2 else "[1]", result)).inert
        assert why.op == "aten.native_batch_norm.default"
        assert why.verdict.kind in ("same bits", "replayed"), why.verdict


def test_an_inner_op_of_an_update(unruled: Callable[..., None]) -> None:
    unruled("aten.addcdiv")
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    with whygrad.record() as run:
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    why = run.why("weight[0,1]@0", depth=12).inert
    assert why.op == "aten.addcdiv_.default" and why.verdict.kind in ("same bits", "replayed")
    assert why.phase == "optimizer"
    inner = [node for node in every(why) if "(op" in node.address]
    assert inner and all(node.address.startswith("optimizer.op") for node in inner)
    for node in inner:
        assert run.why(node.address, depth=0).value == node.value


# ---- what is no explanation


def _bare(op: Any, unruled: Callable[..., None]) -> whygrad.Run:
    unruled("aten.mish")
    return recorded(lambda: op(X.detach()))


def _own(function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `function` the only decomposition there is."""
    monkeypatch.setattr(
        "whygrad.explain.places.candidates", lambda op: [registry.Candidate("mine", "mine", function, functional=True)]
    )


def _wrong(x: Tensor) -> Tensor:
    return x * torch.tanh(torch.nn.functional.softplus(x)) * 1.01


def _itself(x: Tensor) -> Tensor:
    return torch.ops.aten.mish(x) * 1


def _another_shape(x: Tensor) -> Tensor:
    return x.sum()


def _not_covered(x: Tensor) -> Tensor:
    raise Unruled("not on a Monday")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (_wrong, "mine: it does not come near"),
        (_itself, "mine: it calls the op itself"),
        (_another_shape, "mine: its results have another shape"),
        (_not_covered, "mine: not on a Monday"),
    ],
)
def test_refused(
    function: Callable[..., Any], reason: str, unruled: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    _own(function, monkeypatch)
    run = _bare(torch.nn.functional.mish, unruled)
    verdict = run.why(of_op(run, "aten.mish")).verdict
    assert verdict.kind == "opaque" and reason in verdict.reason and "replayed" in verdict.reason


def test_too_long(unruled: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whygrad.explain.inside.decompose.MOST_STEPS", 1)
    run = _bare(torch.nn.functional.mish, unruled)
    verdict = run.why(of_op(run, "aten.mish")).verdict
    assert verdict.kind == "opaque" and "too many steps" in verdict.reason


def test_bits_by_luck_are_not_claimed(unruled: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A decomposition that rounds otherwise has some elements' bits all the same."""

    def otherwise(x: Tensor) -> Tensor:
        exact = torch.ops.aten.mish(x.double()).to(x.dtype)
        return torch.where(x > 0, torch.nextafter(exact, exact + 1), torch.nextafter(exact, exact - 1))

    def mostly(x: Tensor) -> Tensor:
        first = torch.arange(x.numel()).view(x.shape) == 0
        return torch.where(first, x * torch.tanh(torch.log1p(torch.exp(x))), otherwise(x))

    _own(mostly, monkeypatch)
    run = _bare(torch.nn.functional.mish, unruled)
    verdict = run.why(of_op(run, "aten.mish")).verdict
    assert verdict.kind != "same bits"


def test_what_cancels_is_measured_by_its_rounding() -> None:
    """Where all that is left of a sum is rounding, another way of adding up gives quite another number."""

    def cancels(x: Tensor) -> Tensor:
        return (x * 1e4 + x) - x * 1e4 - x  # 0, but for rounding

    run = recorded(lambda: torch.nn.functional.mish(X.detach()))
    step = run.trace.step(0)
    op = next(op for op in step.ops if op.kind == "aten.mish")
    inner = decompose(run.trace, step, op, registry.Candidate("mine", "mine", cancels, functional=True))
    found = noise(run.trace, step, op, inner, op.outputs[0] or 0)
    assert found is not None and 1e-5 < found.size < 1e-2
    exact = float(found.exact[0, 0])
    assert abs(exact) < 1e-9
    assert found.allows(exact + 10 * found.size, (0, 0)) and not found.allows(exact + 20 * found.size, (0, 0))


def test_loops_of_a_kernel_are_noticed() -> None:
    """A kernel that computes on raw memory shows only the allocation of its result."""
    run = recorded(lambda: torch.nn.functional.mish(X.detach()))
    step = run.trace.step(0)
    op = next(op for op in step.ops if op.kind == "aten.mish")
    kernel = next(each for each in candidates(op) if each.watched)
    with pytest.raises(NotDecomposed, match="loops of its own"):
        decompose(run.trace, step, op, kernel)


def test_memory_never_written() -> None:
    """Ctc's alphas of shorter examples are left as the memory was: given, not different."""
    x = torch.randn(6, 2, 4).log_softmax(2)
    targets, inputs, lengths = torch.tensor([[1, 2, 3], [1, 1, 1]]), [6, 4], [3, 1]
    run = recorded(lambda: torch.ops.aten._ctc_loss(x, targets, inputs, lengths))
    verdict = run.why(of_op(run, "aten._ctc_loss", "[1,5,6]", 1)).verdict
    assert verdict.kind == "given" and "never wrote" in verdict.reason
    assert run.why(of_op(run, "aten._ctc_loss", "[0,5,6]", 1)).verdict.kind in ("same bits", "replayed")
    assert run.why(of_op(run, "aten._ctc_loss", "[1]", 0)).verdict.kind in ("same bits", "replayed")


# ---- the registry


def test_a_function_is_entered_once(entered: None) -> None:
    def twice(x: Tensor) -> Tensor:
        return x

    inside("aten.mish")(twice)
    with pytest.raises(ValueError, match="twice"):
        inside("aten.mish")(twice)


@pytest.mark.parametrize(
    ("form", "plain"),
    [
        ("add_.Tensor", "add.Tensor"),
        ("add.out", "add.Tensor"),
        ("mish_.default", "mish.default"),
        ("mish.default", None),
    ],
)
def test_functional_forms(form: str, plain: str | None) -> None:
    found = functional_form(_overload(form))
    assert found is (None if plain is None else _overload(plain))


def _overload(name: str) -> Any:
    base, variant = name.split(".")
    return getattr(getattr(torch.ops.aten, base), variant)


def test_insides_are_forgotten_and_made_again(unruled: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whygrad.explain.places.MOST_KEPT", 0)
    unruled("aten.mish")
    run = recorded(lambda: [torch.nn.functional.mish(X.detach() * k) for k in (1, 2)])
    first = run.why(of_op(run, "aten.mish")).inert
    run.why("op3[0,0]@0")
    assert run.why(of_op(run, "aten.mish")).inert.verdict == first.verdict
