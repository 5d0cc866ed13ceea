"""Linear algebra: factors by their recurrences, solutions by way of factors, eigenvalues by what defines them."""

from __future__ import annotations

import pytest
import torch

from tests.rules.harness import record
from tests.rules.linear_algebra import Verdicts, ask, decomposed, distances, factored, solved, with_complex_matrices
from whygrad.explain.check import Checker
from whygrad.explain.nearness import near
from whygrad.rules.expr import Case

DTYPES = [torch.float32, torch.float64]


def share(verdicts: Verdicts, *ops: str) -> float:
    """Of the ops' scalars, what part has the same bits."""
    counts = [count for (op, _), count in verdicts.found.items() if op.removeprefix("aten.") in ops]
    return sum(count["same bits"] for count in counts) / sum(count.total() for count in counts)


@pytest.mark.parametrize("dtype", DTYPES)
def test_factors_have_the_bits(dtype: torch.dtype) -> None:
    found = ask(factored, dtype, ("linalg", "lu_unpack", "triangular_solve"))
    assert not found.reasons, found.reasons[:3]
    assert share(found, "linalg_lu_factor_ex", "linalg_lu", "lu_unpack") > 0.95
    assert share(found, "linalg_solve_triangular", "triangular_solve") > 0.9
    assert share(found, "linalg_cholesky_ex", "_linalg_det", "_linalg_slogdet") > 0.8
    # Pivots and `info` are whole numbers.
    assert found.of("linalg_lu_factor_ex", 1)["same bits"] == found.of("linalg_lu_factor_ex", 1).total()
    assert found.of("linalg_cholesky_ex", 1)["same bits"] == found.of("linalg_cholesky_ex", 1).total()


@pytest.mark.parametrize("dtype", DTYPES)
def test_solutions_are_retold_by_their_factors(dtype: torch.dtype) -> None:
    found = ask(solved, dtype, ("linalg", "cholesky_", "addbmm"))
    assert not found.reasons, found.reasons[:3]
    assert share(found, "cholesky_solve", "_linalg_solve_ex", "linalg_inv_ex") > 0.6
    assert share(found, "linalg_ldl_factor_ex", "addbmm") > 0.8


@pytest.mark.parametrize("dtype", DTYPES)
def test_complex_factors_come_near(dtype: torch.dtype) -> None:
    found = ask(with_complex_matrices, dtype, ("linalg", "lu_unpack"))
    assert not found.reasons, found.reasons[:3]
    assert share(found, "lu_unpack") == 1
    assert share(found, "linalg_lu_factor_ex", "linalg_lu_solve") > 0.6


def test_decompositions_are_explained() -> None:
    found = ask(decomposed, torch.float64, ("linalg_", "geqrf", "ormqr"), samples=2)
    assert not found.reasons, found.reasons[:3]
    assert share(found, "linalg_qr", "linalg_matrix_exp") > 0.8


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_exponential_in_16_bits(dtype: torch.dtype) -> None:
    def program(dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        torch.linalg.matrix_exp(torch.randn(2, 4, 4, dtype=dtype))
        torch.linalg.matrix_exp(torch.randn(4, 4, dtype=dtype) / 50)

    found = ask(program, dtype, ("matrix_exp",), samples=8)
    assert share(found, "linalg_matrix_exp") == 1, found.reasons


@pytest.mark.parametrize("dtype", DTYPES)
def test_distances_have_the_bits(dtype: torch.dtype) -> None:
    found = ask(distances, dtype, ("dist", "cross", "addr"), samples=6)
    assert not found.reasons, found.reasons[:3]
    assert share(found, "_cdist_forward", "_cdist_backward", "_pdist_forward", "_pdist_backward") > 0.9


def test_what_an_iteration_finds_is_said_to_be_defined() -> None:
    trace = record(lambda dtype: torch.linalg.eigh(torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=dtype)), torch.float64)
    step = trace.step(trace.index[0].number)
    op = next(op for op in step.ops if "eigh" in op.name)
    assert op.outputs[0] is not None
    checked = Checker(trace).check(step, op, step.values[op.outputs[0]], (1,))
    assert checked is not None and near(checked)
    assert isinstance(checked.expr, Case) and "solved for this number" in checked.expr.condition


def test_a_wrong_factor_is_seen() -> None:
    """The transpose of a matrix has other factors: the equation of the one must not pass for the other's."""
    from dataclasses import replace

    torch.manual_seed(0)
    trace = record(lambda dtype: torch.linalg.cholesky(torch.diag(torch.tensor([1.0, 2.0])) + 0.5), torch.float32)
    step = trace.step(trace.index[0].number)
    op = next(op for op in step.ops if "cholesky" in op.name)
    assert op.outputs[0] is not None
    turned = replace(op, args=(op.args[0],), kwargs=(("upper", True),))
    checked = Checker(trace).check(step, turned, step.values[op.outputs[0]], (1, 0))
    assert checked is not None and not checked.equal and not near(checked)
