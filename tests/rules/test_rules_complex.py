"""Complex numbers: each part of every op's result by an equation of real numbers, against what torch recorded."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import whygrad
from tests.rules.harness import record, shares, table
from whygrad.errors import AddressError
from whygrad.explain.check import Checker
from whygrad.explain.nearness import near
from whygrad.trace.model import Value

DTYPES = [torch.float32, torch.float64]
COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


def numbers(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    z = torch.randn(4, 5, dtype=COMPLEX[dtype], requires_grad=True)
    return z, torch.randn(4, 5, dtype=COMPLEX[dtype])


def exact_ops(dtype: torch.dtype) -> None:
    """Ops of which every part has the very bits."""
    z, w = numbers(dtype)
    moved = torch.cat([z, w], dim=-1).flip(-1).tril().roll(2, 1)[:, 3:]
    y = (z.conj() + 2 * z - w + z * z.real - z.imag).mH
    parts = torch.complex(z.real, z.imag) + torch.polar(z.real.abs(), z.imag)
    chosen = torch.where(z.real > 0, z, w).masked_fill(z.imag > 1, 0)
    cast = z.to(torch.complex128).real.sum() + z.real.to(COMPLEX[dtype]).real.sum()
    views = torch.view_as_complex(torch.view_as_real(z) * 2).conj().imag.sum()
    total = y.real.sum() + moved.imag.sum() + parts.real.sum() + chosen.real.sum() + cast.to(dtype) + views
    total.backward()


@pytest.mark.parametrize("dtype", DTYPES)
def test_parts_have_the_very_bits(dtype: torch.dtype) -> None:
    found = shares(record(exact_ops, dtype))
    made = {key: share for key, share in found.items() if "randn" not in key[0]}
    assert all(share.same == share.sampled for share in made.values()), table(made)
    assert ("aten._conj.default", str(dtype)[6:]) in made


def functions(dtype: torch.dtype) -> None:
    z, w = numbers(dtype)
    y = z.exp() + z.sqrt() + z.log() + z.sin() + z.cosh() + z**2 + z**3 + z**-1 + z.reciprocal() + w / z + z.sgn()
    products = (
        (z.mH @ w).abs().sum()
        + torch.vdot(z[0], w[0]).abs()
        + torch.baddbmm(z[None, :, :4], z[None], w.mT[None]).abs().sum()
    )
    (y.mean().angle() + products + (z / 3).sum().abs()).backward()


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_come_near(dtype: torch.dtype) -> None:
    trace = record(functions, dtype)
    checker, asked = Checker(trace), 0
    for info in trace.index:
        step = trace.step(info.number)
        for op in step.ops:
            for out in op.outputs:
                value = step.values[out] if out is not None else None
                if value is None or "randn" in op.name or not value.is_complex:
                    continue
                for index in elements(value):
                    checked = checker.check(step, op, value, index)
                    assert checked is not None, op.name
                    assert near(checked), (op.name, index, checked.target, checked.found)
                    asked += 1
    assert asked > 100


def elements(value: Value) -> list[tuple[int, ...]]:
    last = tuple(n - 1 for n in value.shape[:-1])
    first = tuple(0 for _ in last)
    return [(*at, part) for at in {first, last} for part in (0, 1)]


def test_a_wrong_sign_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from whygrad.rules import complex_numbers
    from whygrad.rules.expr import Bin

    monkeypatch.setattr(complex_numbers, "sub", lambda a, b: Bin("+", a, b))  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    found = shares(record(lambda dtype: numbers(dtype)[0] * numbers(dtype)[1]))
    assert found["aten.mul.Tensor", "float32"].same < found["aten.mul.Tensor", "float32"].sampled


def test_in_place_through_a_conjugate() -> None:
    """The conjugate's memory is written: what stood there before keeps its sign."""

    def program(dtype: torch.dtype) -> None:
        z = torch.randn(2, 2, dtype=COMPLEX[dtype])
        k = z.clone()
        k.conj().mul_(2 - 1j)
        k += 1

    found = shares(record(program))
    assert all(share.same == share.sampled for key, share in found.items() if "randn" not in key[0]), table(found)


@pytest.fixture(scope="module")
def run() -> Any:
    torch.manual_seed(0)
    with whygrad.record() as run:
        w = torch.nn.Parameter(torch.randn(3, 3, dtype=torch.complex64))
        optimizer = torch.optim.SGD([w], lr=0.1)
        x = torch.randn(3, dtype=torch.complex64)
        for _ in range(2):
            loss = (torch.fft.fft(w @ x).abs() ** 2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return run, w


def test_addresses_name_the_parts(run: Any) -> None:
    recorded, w = run
    real, imag = recorded.why("w[0,1].real@1", depth=1), recorded.why("w[0,1].imag@1", depth=1)
    assert (real.value, imag.value) == (w[0, 1].real.item(), w[0, 1].imag.item())
    assert imag.address == "w[0,1].imag@1"
    assert next(operand.address for operand in imag.operands) == "w[0,1].imag@0"
    assert imag.verdict.kind == "same bits"
    assert recorded.why("w[0,1]@1", depth=0).address == "w[0,1].real@1"
    assert recorded.why("w[0,1].grad.imag@1", depth=0).address == "w[0,1].grad.imag@1"
    assert recorded.why(w, (0, 1, "imag"), depth=0).value == imag.value


def test_a_real_number_has_no_parts(run: Any) -> None:
    with pytest.raises(AddressError, match="have no parts"):
        run[0].why("loss.imag@1")


def test_table_and_text_of_complex_parameters(run: Any) -> None:
    columns = [column.name for column in run[0].trace.history.columns]
    assert "w[0,1].real" in columns and "w[0,1].imag_grad" in columns
    assert "w[0,1].imag + (−lr) · ∂loss/∂w[0,1].imag" in str(run[0].why("w[0,1].imag@1", depth=1)).replace(
        "− lr ·", "+ (−lr) ·"
    )
    assert "Σᵢ (w[1,i].real · input[i].imag + w[1,i].imag · input[i].real)" in str(
        run[0].why("prediction[1].imag@1", depth=1)
    )


def test_a_saved_run_keeps_the_parts(run: Any, tmp_path: Any) -> None:
    loaded = whygrad.load(run[0].save(tmp_path / "complex.why"))
    assert loaded.why("w[0,1].imag@1").to_dict() == run[0].why("w[0,1].imag@1").to_dict()
