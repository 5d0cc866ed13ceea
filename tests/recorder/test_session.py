"""Steps, names, notes and memory of a recorded program."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

import whygrad
from tests.recorder.programs import PROGRAMS, Net, mlp

ROWS = {
    0: (0.529296875, 0.2215576171875, 0.08660888671875, 0.630859375, -0.94140625, -0.94140625),
    9: (0.9951171875, 2.384185791015625e-05, 0.2264404296875, 0.7705078125, -0.009765625, -0.009765625),
}


def test_the_notebook_to_the_bit() -> None:
    with whygrad.record() as run:
        PROGRAMS["notebook"]()
    table = run.table()
    assert list(table.columns) == ["prediction", "loss", "weight", "bias", "weight_grad", "bias_grad"]
    assert table.index.name == "iteration" and len(table) == 20
    for row, numbers in ROWS.items():
        assert tuple(table.loc[row]) == numbers
    assert table.attrs["addresses"]["weight_grad"] == "linear.weight[0,0].grad"
    assert (table["bias"].loc[11:] == table["bias"].loc[11]).all() and (table["bias_grad"].loc[12:16] != 0).all()
    assert (table["loss"].loc[17:] == 0).all() and table["loss"].loc[16] > 0


def test_the_table_covers_steps_that_are_not_kept() -> None:
    with whygrad.record() as whole:
        PROGRAMS["notebook"]()
    with whygrad.record(steps="none") as none:
        PROGRAMS["notebook"]()
    assert whole.table().equals(none.table())
    assert none.steps == []
    with pytest.raises(whygrad.StepNotKept, match="--steps 3"):
        none.why("loss@3")


def test_names_without_modules() -> None:
    with whygrad.record() as run:
        PROGRAMS["raw_tensors"]()
    assert {"w[0]", "w[1]", "w[2]", "b"} <= set(run.table().columns)
    step = run.trace.step(1)
    texts = {name.text: name.kind for name in reversed(step.names)}
    assert texts["loss"] == "loss" and texts["prediction"] == "prediction" and texts["target"] == "target"
    phases = [op.phase for op in step.ops]
    assert {"forward", "loss", "backward", "optimizer"} <= set(phases)
    assert run.why("error@1").value == run.why("loss@1").value


def test_names_of_several_models() -> None:
    with whygrad.record() as run:
        PROGRAMS["gan"]()
    names = {name.text for name in run.trace.step(0).names if name.kind == "parameter"}
    assert "discriminator.0.weight" in names and "generator.0.weight" in names


def test_list_and_dict_parameters() -> None:
    params = {"w": torch.ones(2, requires_grad=True)}
    with whygrad.record() as run:
        for _ in range(2):
            (params["w"] ** 2).sum().backward()
            with torch.no_grad():
                grad = params["w"].grad
                assert grad is not None
                params["w"] -= 0.1 * grad
            params["w"].grad = None
    assert run.why("params['w'][0]@0").value == pytest.approx(0.8)


def test_a_write_through_numpy_is_noticed() -> None:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with whygrad.record() as run:
        for i in range(3):
            optimizer.zero_grad()
            model(torch.ones(1)).pow(2).sum().backward()
            optimizer.step()
            if i == 1:
                model.linear.weight.detach().numpy()[:] = 0.5
    assert any("linear.weight was changed before step 2" in note for note in run.notes)
    with whygrad.record() as quiet:
        PROGRAMS["notebook"]()
    assert quiet.notes == ()


def test_another_thread_is_noticed() -> None:
    model = nn.Linear(64, 64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def disturb() -> None:
        with torch.no_grad():
            model.weight.add_(1)

    with whygrad.record() as run:
        for i in range(3):
            optimizer.zero_grad()
            model(torch.ones(1, 64)).pow(2).sum().backward()
            optimizer.step()
            if i == 0:
                thread = threading.Thread(target=disturb)
                thread.start()
                thread.join()
    assert any("weight was changed before step 1" in note for note in run.notes)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Using `torch.compile")
def test_compiled_code_runs_eagerly_and_says_so() -> None:
    model = nn.Linear(2, 1)
    compiled = torch.compile(model)
    with whygrad.record() as run:
        compiled(torch.ones(3, 2)).sum().backward()
        assert model.weight.grad is not None
        with torch.no_grad():
            model.weight -= model.weight.grad
    assert any("torch.compile" in note for note in run.notes)
    assert len(run.table()) == 1


def test_a_budget_keeps_what_fits_and_the_last_step() -> None:
    with whygrad.record(budget=120) as run:
        PROGRAMS["notebook"]()
    assert run.steps[0] == 0 and run.steps[-1] == 19 and 2 < len(run.steps) < 19
    assert any("budget" in note for note in run.notes)
    with pytest.raises(whygrad.StepNotKept, match="--budget"):
        run.why(f"loss@{run.steps[-2] + 1}")


def test_a_single_step_over_the_budget_is_let_go() -> None:
    with whygrad.record(budget="100KB") as run:
        model = mlp(64, 256, 256, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.ones(128, 64)).mean().backward()
            optimizer.step()
    assert run.steps == [] and len(run.table()) == 2
    assert any("alone holds more than the budget" in note for note in run.notes)


def test_values_are_those_of_the_moment() -> None:
    x = torch.zeros(4)
    with whygrad.record() as run:
        a = x + 1
        x.add_(5)
        x[1:3] = 7
        b = x * 2
        view = x.view(2, 2)
        view.t().mul_(3)
        c = x + 0
    x.zero_()
    step = run.trace.step(0)

    def operands(name: str) -> list[list[float]]:
        values = [step.values[op.refs()[0]] for op in step.ops if op.name == name]
        return [run.trace.content(step, value).ravel().tolist() for value in values]

    content = operands("aten.add.Tensor")
    assert content[0] == [0, 0, 0, 0] and content[-1] == [15, 21, 21, 15]
    assert operands("aten.mul.Tensor") == [[5, 7, 7, 5]]
    del a, b, c


def test_recording_inside_recording_is_refused() -> None:
    with whygrad.record(), pytest.raises(whygrad.WhygradError, match="already"), whygrad.record():
        pass


def test_an_exception_keeps_what_was_recorded_and_the_traceback() -> None:
    model = Net()
    with pytest.raises(RuntimeError) as caught, whygrad.record() as run:
        for i in range(3):
            model(torch.ones(1)).sum().backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.1
            if i == 1:
                torch.dot(torch.ones(2), torch.ones(3))
    inner = [str(frame.path) for frame in caught.traceback]
    assert all(path.endswith("test_session.py") for path in inner)
    assert len(run.table()) == 2


def test_a_live_tensor_can_be_asked() -> None:
    model = mlp(3, 4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = torch.empty(0)
    with whygrad.record() as run:
        for _ in range(2):
            optimizer.zero_grad()
            out = model(torch.ones(2, 3))
            out.sum().backward()
            optimizer.step()
    assert run.why(model[0].weight, (1, 2)).address == "0.weight[1,2]@1"
    assert run.why(out, (1, 0)).value == out[1, 0].item()
    with pytest.raises(whygrad.AddressError, match="no kept step met"):
        run.why(torch.ones(3), 0)


@pytest.mark.parametrize("keep", ["0", "1:3", "0,-1", "none"])
def test_kept_steps_are_the_same_whatever_else_is_kept(keep: str) -> None:
    def contents(steps: str) -> dict[int, list[bytes]]:
        with whygrad.record(steps=steps) as run:
            PROGRAMS["adamw_mlp"]()
        found: dict[int, list[bytes]] = {}
        for number in run.steps:
            step = run.trace.step(number)
            found[number] = [
                run.trace.content(step, step.values[n.value]).tobytes()
                for n in sorted(step.names, key=lambda n: (n.kind, n.text))
                if n.kind in ("parameter", "before", "gradient", "loss", "state")
            ]
        return found

    whole, part = contents("all"), contents(keep)
    assert {n: whole[n] for n in part} == part


def test_plain_updates_are_no_unseen_writes() -> None:
    for name in ("raw_tensors", "no_grad_updates", "assigned_data", "functional_update", "own_optimizer", "lbfgs"):
        with whygrad.record() as run:
            PROGRAMS[name]()
        assert run.notes == (), name


def test_a_functional_update_is_the_parameters() -> None:
    with whygrad.record() as run:
        final = PROGRAMS["functional_update"]()["w"]
    assert [run.why(f"w[{i}]@2", depth=0).value for i in range(3)] == final.tolist()
    assert run.why("w[0]@1", depth=0).op == "aten.sub.Tensor"


def test_a_batch_of_a_large_data_set_does_not_copy_the_data_set() -> None:
    data = torch.arange(1_000_000, dtype=torch.float32)
    w = torch.ones(1, requires_grad=True)
    with whygrad.record(budget="1MB") as run:
        (data[10:14] * w).sum().backward()
        with torch.no_grad():
            w -= 0.1
    data.zero_()
    assert [run.why(f"input[{i}]@0", depth=0).value for i in range(4)] == [10, 11, 12, 13]
    step = run.trace.step(0)
    assert max(chunk.stop - chunk.start for chunk in step.chunks) < 100


def test_a_why_asked_while_recording_leaves_no_trace() -> None:
    def train(ask: bool) -> tuple[list[list[float]], list[int]]:
        torch.manual_seed(0)
        model = mlp(3, 4, 1)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        with whygrad.record() as run:
            for i in range(4):
                optimizer.zero_grad()
                model(torch.ones(2, 3)).pow(2).mean().backward()
                optimizer.step()
                if ask and i == 2:
                    assert run.why(f"0.weight[1,2]@{i - 1}", depth=9).verdict.kind == "same bits"
        ops = [len(run.trace.step(n).ops) for n in run.steps]
        return [p.detach().ravel().tolist() for p in model.parameters()], ops

    assert train(ask=True) == train(ask=False)
