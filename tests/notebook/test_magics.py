"""`%%why` and `%why` in an IPython shell: what is recorded over several cells, what is answered, what errors look like."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
import torch
from torch import nn

import whygrad
from tests.notebook.conftest import SETUP, STEP, Cells
from whygrad.run import Check, Derivation, Run, Updates


def once(steps: int) -> tuple[Run, Any]:
    """The same training, recorded by one `with`."""
    space: dict[str, Any] = {}
    exec(SETUP, space)
    with whygrad.record() as run:
        for _ in range(steps):
            exec(STEP, space)
    return run, space["model"]


def trained(cells: Cells, steps: int = 2) -> None:
    cells(SETUP)
    cells(f"%%why run\nfor _ in range({steps}):\n" + "".join(f"    {line}\n" for line in STEP.splitlines()))


def the_same(one: Run, other: Run) -> None:
    """The tables have the same numbers under the same addresses, and all parameters and gradients the same answers."""
    assert one.table().to_dict() == other.table().to_dict()
    assert one.table(tensors=True).to_dict() == other.table(tensors=True).to_dict()
    assert one.steps == other.steps
    for step in one.steps:
        for name in ("weight[0,0]", "bias[0]", "weight[0,0].grad", "bias[0].grad", "loss", "prediction[1,0]"):
            here, there = (run.why(f"{name}@{step}", depth=2) for run in (one, other))
            assert (here.address, here.value, here.verdict.kind) == (there.address, there.value, there.verdict.kind)
            assert [each.address for each in here.operands] == [each.address for each in there.operands]


def test_a_cell_shows_its_last_number_explained(cells: Cells) -> None:
    cells(SETUP)
    found = cells("%%why\nprediction = model(x)\nprediction[1, 0]")
    assert isinstance(found, Derivation)
    assert found.value == cells.names["prediction"][1, 0].item()
    assert found.verdict.kind == "same bits"
    assert (found.source.file, found.source.line) == (f"In[{cells.shell.execution_count - 1}]", 2)
    assert {each.address for each in found.operands} == {"x[1,0]@0", "weight[0,0]@init", "bias[0]@init"}
    assert cells.err == ""


def test_a_step_spread_over_cells_is_one_step(cells: Cells) -> None:
    cells(SETUP)
    for _ in range(3):
        for line in STEP.splitlines():
            cells(f"%%why\n{line}")
    run, model = once(3)
    the_same(cells.names["_why"], run)
    assert torch.equal(cells.names["model"].weight, model.weight)
    assert cells.names["_why"].notes == ()


def test_steps_of_several_cells_are_numbered_on(cells: Cells) -> None:
    trained(cells, 2)
    assert "whygrad: recorded steps 0–1" in cells.out
    cells(f"%%why\n{STEP}")
    assert "whygrad: recorded step 2;" in cells.out
    cells("import math")  # nothing that the record would know
    cells(f"%%why\n{STEP}")
    run = cells.names["run"]
    assert run is cells.names["_why"]
    assert run.steps == [0, 1, 2, 3]
    the_same(run, once(4)[0])


@pytest.mark.parametrize("last", ["loss", "loss.item()", "float(loss.detach())", "loss * 1.0"])
def test_a_loss_read_after_its_update_is_that_steps(cells: Cells, last: str) -> None:
    trained(cells)
    found = cells(f"%%why\n{STEP}print(loss.item())\n{last}")
    assert found.value == cells.names["loss"].item()
    assert found.address == ("loss@2" if "*" not in last else found.address)
    assert found.verdict.kind == "same bits"
    assert cells.names["run"].steps == ([0, 1, 2, 3] if "*" in last else [0, 1, 2])


def test_gradients_and_weights_are_known_before_the_update(cells: Cells) -> None:
    trained(cells)
    found = cells("%%why\n" + "\n".join(STEP.splitlines()[:3]) + "\nmodel.weight.grad")
    assert found.address == "weight[0,0].grad@2"
    assert found.value == cells.names["model"].weight.grad.item()
    assert cells("%why weight").value == cells.names["model"].weight.item()
    assert cells("%%why\noptimizer.step()\nmodel.bias").address == "bias[0]@2"
    the_same(cells.names["run"], once(3)[0])


@pytest.mark.parametrize("last", ["[1, 2]", "'text'", "model(x)", "True", "3.25", "torch.ones(2)", "x.long()[0, 0]"])
def test_what_is_no_recorded_number_is_shown_as_it_is(cells: Cells, last: str) -> None:
    cells(SETUP)
    found = cells(f"%%why\nshown = {last}\nshown")
    assert found is cells.names["shown"] or isinstance(found, Derivation)
    assert isinstance(found, Derivation) == (last == "x.long()[0, 0]")


def test_nothing_is_shown_behind_a_semicolon(cells: Cells) -> None:
    cells(SETUP)
    assert cells("%%why\nmodel(x)[0, 0];") is None


def test_a_changed_number_is_not_explained_as_the_old_one(cells: Cells) -> None:
    trained(cells)
    with torch.no_grad():
        cells.names["model"].weight.fill_(3.0)
    found = cells("%%why\nmodel.weight")
    assert isinstance(found, nn.Parameter)


def test_what_ran_between_is_said_once(cells: Cells) -> None:
    trained(cells)
    cells(STEP)
    cells(f"%%why\n{STEP}")
    assert cells.err.count("weight, bias changed before step 2, in a cell without %%why") == 1
    cells(f"%%why\n{STEP}")
    assert cells.err == ""
    assert len(cells.names["run"].notes) == 1
    run = cells.names["run"]
    assert run.why("loss@3").verdict.kind == "same bits"
    assert run.why("weight[0,0]@1", depth=0).value != run.why("loss@2", depth=3).value


def test_an_update_between_cuts_the_step(cells: Cells) -> None:
    trained(cells)
    cells("%%why\n" + "\n".join(STEP.splitlines()[:3]))
    gradient = cells.names["model"].weight.grad.item()
    cells("optimizer.step()")
    cells(f"%%why\n{STEP}")
    assert "step 2 had begun" in cells.err and "what follows is step 3" in cells.err
    run = cells.names["run"]
    assert run.steps == [0, 1, 2, 3]
    assert list(run.table().index) == [0, 1, 3]
    assert run.why("weight[0,0].grad@2").value == gradient
    assert run.why("weight[0,0].grad@2").verdict.kind == "same bits"
    assert run.why("weight[0,0]@3").value == cells.names["model"].weight.item()


def test_new_begins_anew(cells: Cells) -> None:
    trained(cells)
    old = cells.names["run"]
    cells(f"%%why other --new --steps=0\n{STEP}{STEP}")
    assert cells.names["other"] is cells.names["_why"] is not old
    assert cells.names["other"].steps == [0]
    assert old.steps == [0, 1]
    assert isinstance(cells.error("%%why --steps all\npass"), whygrad.WhygradError)


def test_the_run_goes_on_in_a_file(cells: Cells, tmp_path: Any) -> None:
    trained(cells)
    cells("%%why\nmodel(x)[0, 0]")
    again = whygrad.load(cells.names["run"].save(tmp_path / "cells.why"))
    assert again.steps == [0, 1, 2]
    assert again.why("output[0,0]@2").value == cells.names["model"](cells.names["x"])[0, 0].item()


def test_names_of_two_models_are_those_of_one_recording(cells: Cells) -> None:
    cells("import torch\nfrom torch import nn\na, b = nn.Linear(1, 1), nn.Linear(1, 1)\nx = torch.ones(1, 1)")
    cells("%%why\nloss = b(a(x)).sum()\nloss.backward()")
    found = cells("%why b.weight[0,0].grad@0")
    assert found.value == cells.names["b"].weight.grad.item()


# ---- questions


def test_questions(cells: Cells) -> None:
    trained(cells)
    assert cells("%why") is cells.names["run"]
    assert cells("%why weight[0,0].grad@1 --depth 1").address == "weight[0,0].grad@1"
    assert cells("%why 'weight[0, 0].grad@1'").address == "weight[0,0].grad@1"
    assert cells("%why model.weight[0,0]").address == "weight[0,0]@1"
    exact = cells("%why loss@1 --exact")
    assert re.search(r"loss@1 = 0\.\d{20,}", repr(exact)) and re.search(r"0\.\d{20,}", exact._repr_html_())
    assert exact._repr_mimebundle_() == {}
    assert isinstance(cells("%why weight[0,0]@1 --updates"), Updates)
    right = cells("%why loss@1 --is mean((prediction - target)^2)")
    assert isinstance(right, Check) and right
    assert not cells("%why loss@1 --is '0.5'")
    cells("import whygrad\nother = _why")
    assert cells("%why --run other loss@0").address == "loss@0"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%why wieght", "the nearest names are: weight"),
        ("%why weight[0,7]@0", "columns run 0–0"),
        ("%why loss@9", "no step 9"),
        ("%why loss@0 --deph 3", "no option '--deph'"),
        ("%why loss@0 --depth", "needs a value"),
        ("%why loss@0 --depth x", "whole number"),
        ("%why --exact", "needs an address"),
        ("%why loss@0 --is", "needs a formula"),
        ("%why loss@0 --exact --is 3", "goes with no other option"),
        ("%why loss@0 --is 3 +", "column"),
        ("%why loss@0 --run nobody", "'nobody' is not there"),
        ("%%why a b\npass", "one name"),
    ],
)
def test_a_wrong_question_is_answered_by_a_sentence(cells: Cells, line: str, said: str) -> None:
    trained(cells)
    error = cells.error(line)
    assert isinstance(error, whygrad.WhygradError)
    assert said in str(error)
    assert cells.shown == [[f"{type(error).__name__}: {error}"]]


def test_a_question_before_any_cell(cells: Cells) -> None:
    assert "put %%why on the first line" in str(cells.error("%why loss@0"))


def test_completion(cells: Cells) -> None:
    trained(cells)

    def offered(line: str) -> list[str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the call that front ends make is not final, says IPython
            token, found = cells.shell.complete("", line, len(line))
        return [line[: len(line) - len(token)] + each for each in found]

    assert "%why weight[0,0].grad" in offered("%why we")
    assert "%why weight[0,0]" in offered("%why weight[")
    assert offered("%why weight[0,0].grad@") == [f"%why weight[0,0].grad@{step}" for step in ("1", "0", "init")]
    assert "%why prediction[1,0]" in offered("%why prediction[1")
    assert offered("%why loss@0 --up") == ["%why loss@0 --updates"]
    assert offered("%%why --n") == ["%%why --new"]


# ---- errors


def below(lines: list[str]) -> str:
    """A traceback from the first frame below the cell's own."""
    return "".join(lines).partition("File ")[2]


def test_an_error_looks_as_without_whygrad(cells: Cells) -> None:
    cells(SETUP)
    wrong = "y = model(x)\nmodel(x[:, :0])\n"
    plain = (cells.error(wrong), list(cells.shown))[1]
    error = cells.error(f"%%why\n{wrong}")
    assert isinstance(error, RuntimeError)
    [lines] = cells.shown
    text = "".join(lines)
    assert "whygrad" not in re.sub(r"/[^\s:]*/", "", text)
    assert "----> 3 model(x[:, :0])" in text and "line 3" in text
    assert text.count("File ") == "".join(plain[0]).count("File ")
    assert below(lines) == below(plain[0])
    assert cells("%why y[0,0]").verdict.kind == "same bits"  # what ran before the error is recorded


def test_a_cell_that_is_no_python(cells: Cells) -> None:
    error = cells.error("%%why\nx = 1\ny = (")
    assert type(error).__name__ == "SyntaxError"
    text = "".join(cells.shown[0])
    assert "whygrad" not in text and "line 3" in text and "y = (" in text


def test_an_interrupted_cell_ends_the_watching(cells: Cells) -> None:
    trained(cells)
    assert isinstance(cells.error("%%why\nraise KeyboardInterrupt"), KeyboardInterrupt)
    cells(f"%%why\n{STEP}")
    assert cells.names["run"].steps == [0, 1, 2]


def test_a_recording_inside_a_recorded_cell_is_refused(cells: Cells) -> None:
    cells("import whygrad")
    assert "already" in str(cells.error("%%why\nwith whygrad.record() as inner:\n    pass"))


def test_magics_and_shell_names_work_in_a_cell(cells: Cells) -> None:
    cells(SETUP)
    found = cells("%%why\n%precision 3\nmodel(x)\ny = x * 2\ny[0, 0]")
    assert found.value == 3.0
    assert not any(name.startswith("_") for name in (each.address for each in found.operands))
