"""A practitioner's run on the page: the map of its tensors, what is flagged, what a saved page holds."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from torch import nn

import whygrad
from whygrad.explain.why import Explainer
from whygrad.findings.flags import flags
from whygrad.run import Run
from whygrad.trace.history import History
from whygrad.view import answers
from whygrad.view.flags import MOST
from whygrad.view.pack import unpack
from whygrad.view.page import PageOptions, saved_page
from whygrad.view.page_run import MOST_POINTS, embedded, run_map


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mlp(self.norm(x))


def trained(
    steps: int = 4, lr: float = 0.01, dtype: torch.dtype = torch.float32, bad: int = -1, keep: str = "all"
) -> Run:
    """A small residual network; at step `bad` an input is infinite."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(12, 8), Block(), Block(), nn.Linear(8, 3)).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    with whygrad.record(steps=keep) as run:
        for step in range(steps):
            loss = model(torch.tensor([1, 2, 3])).float().square().mean()
            if step == bad:
                loss = loss * math.inf
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return run


@pytest.fixture(scope="module")
def plain() -> Run:
    return trained()


def by_name(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in found["tensors"]}


def test_modules_stand_depth_first_in_the_order_they_ran(plain: Run) -> None:
    found = run_map(plain)
    assert [(m["path"], m["depth"]) for m in found["modules"]] == [
        ("", 0), ("0", 1),
        ("1", 1), ("1.norm", 2), ("1.mlp", 2), ("1.mlp.0", 3), ("1.mlp.1", 3), ("1.mlp.2", 3),
        ("2", 1), ("2.norm", 2), ("2.mlp", 2), ("2.mlp.0", 3), ("2.mlp.1", 3), ("2.mlp.2", 3),
        ("3", 1),
    ]  # fmt: skip
    modules = {m["path"]: m for m in found["modules"]}
    names = [found["tensors"][i]["name"] for i in modules["1.mlp.0"]["tensors"]]
    assert names[:2] == ["1.mlp.0.weight", "1.mlp.0.bias"]
    assert modules["1.mlp.0"]["numel"] == "288"
    assert modules[""]["numel"] == f"{96 + 2 * (16 + 288 + 264) + 27:,}"
    assert sorted(i for m in found["modules"] for i in m["tensors"]) == list(range(len(found["tensors"])))


def test_a_tensor_tells_its_shape_and_its_statistics(plain: Run) -> None:
    tensors = by_name(run_map(plain))
    weight = tensors["1.mlp.0.weight"]
    assert (weight["role"], weight["shape"], weight["format"], weight["numel"]) == (
        "parameter",
        [32, 8],
        "float32",
        "256",
    )
    assert weight["steps"] == [0, 1, 2, 3]
    norms = plain.trace.statistics.column("1.mlp.0.weight", "grad_norm")
    spark = weight["sparks"]["gradNorm"]
    assert len(spark["points"]) == 4
    assert min(spark["points"]) == 0
    assert max(spark["points"]) == 1
    assert norms[0] is not None
    assert float(spark["first"].removeprefix("≈ ")) == pytest.approx(norms[0], rel=5e-3)
    assert weight["sparks"]["nonfinite"]["last"] == "0"
    outputs = [each for each in tensors.values() if each["role"] == "activation"]
    assert outputs
    assert all(spark is None for each in outputs for spark in each["sparks"].values())


def test_every_output_can_be_looked_at(plain: Run) -> None:
    from whygrad.view.tiles import tile

    for each in run_map(plain)["tensors"]:
        assert tile(plain, each["name"], "value", 3, 0, 0, 0)["dims"] == each["shape"]


def test_the_loss_is_exact_and_nothing_is_flagged(plain: Run) -> None:
    found = run_map(plain)
    losses = [row["loss"] for row in plain.trace.history.rows]
    assert torch.tensor(float(found["loss"]["last"])).item() == losses[-1]
    assert found["flags"] == []
    assert found["note"] == ""


def test_a_long_run_has_few_points() -> None:
    run = trained(steps=150, keep="-1")
    found = run_map(run)
    assert len(found["steps"]) == len(found["loss"]["points"]) == MOST_POINTS
    assert found["steps"][-1] == 149
    assert "step 149" in found["note"]
    assert "--steps -1 kept no more" in found["note"]
    json.dumps(found, allow_nan=False)


def test_lost_updates_lead_to_a_number_that_kept_its_bits() -> None:
    run = trained(dtype=torch.bfloat16, lr=1e-4)
    told = run_map(run)["flags"]
    assert {flag["kind"] for flag in told[:MOST]} == {"lost updates"}
    flag = told[0]
    assert flag["step"] == 3
    name, _, _ = flag["address"].partition("@")
    after, before = (run.why(f"{name}@{step}", depth=0) for step in (3, 2))
    assert after.bits == before.bits
    lost = by_name(run_map(run))[name.rpartition("[")[0]]["sparks"]["lost"]
    assert lost["points"][-1] is not None
    assert lost["points"][-1] >= 0.5


def test_the_worst_flags_are_told_and_the_rest_counted() -> None:
    run = trained(dtype=torch.bfloat16, lr=1e-4)
    everything = flags(run.trace)
    assert len(everything) > MOST
    told = run_map(run, file="a.why")["flags"]
    texts = ["".join(each if isinstance(each, str) else each[1] for each in flag["text"]) for flag in told]
    assert [flag["address"] for flag in told[:-1]] == [flag.address for flag in everything[:MOST]]
    assert texts[-1].startswith(f"{len(everything) - MOST} more (")
    assert texts[-1].endswith("whygrad table a.why --tensors")
    for remedy in {flag.remedy for flag in everything[:MOST]}:
        assert sum(remedy in text for text in texts) == 1


def test_a_saved_page_explains_what_was_flagged() -> None:
    run = trained(dtype=torch.bfloat16, lr=1e-4)
    page = saved_page(Explainer(run.trace), "a.why", PageOptions(most_numbers=400))
    nodes = {node["address"]: node for node in unpack(page["nodes"])}
    for flag in page["run"]["flags"][:MOST]:
        assert flag["step"] in page["steps"]
        assert nodes[flag["address"]]["equation"] is not None
        assert all(operand in nodes for operand in nodes[flag["address"]]["operands"])


def test_a_deep_answer_ends_after_so_many_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    explainer = Explainer(trained(steps=2).trace)
    monkeypatch.setattr(answers, "MOST_NODES", 50)
    shallow, deep = (answers.nodes_of(explainer, "loss@1", depth) for depth in (1, 12))
    assert shallow[0]["address"] == deep[0]["address"] == "loss@1"
    assert sum(node["equation"] is not None for node in deep) <= 50 < len(deep)
    known = {node["address"] for node in deep}
    assert len(known) == len(deep)
    assert all(operand in known for node in deep for operand in node["operands"])


def test_what_is_not_finite_leads_to_such_a_number() -> None:
    run = trained(bad=2)
    found = run_map(run)
    flag = found["flags"][0]
    assert (flag["kind"], flag["step"]) == ("non-finite", 2)
    assert not math.isfinite(run.why(flag["address"], depth=0).value)
    assert found["loss"]["points"][2:] == [None, None]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_run_of_no_kept_step_has_its_sparklines() -> None:
    found = run_map(trained(keep="none"))
    assert "No step was kept" in found["note"]
    assert all(each["steps"] == [] for each in found["tensors"])
    assert by_name(found)["3.weight"]["sparks"]["gradNorm"]["points"]
    assert embedded(trained(keep="none"), 1_000_000)[0] == []


def test_a_saved_page_holds_whole_tiles_within_its_limit(plain: Run) -> None:
    tiles, addresses = embedded(plain, 10_000_000)
    assert {tile["what"] for tile in tiles} == {"value", "grad", "update"}
    assert all(tile["step"] == 3 and tile["zoom"] == 0 for tile in tiles)
    assert {tile["name"] for tile in tiles} == set(by_name(run_map(plain)))
    for address in addresses[:20]:
        plain.why(address, depth=0)
    few, _ = embedded(plain, 20_000)
    assert 0 < len(few) < len(tiles)
    assert len(json.dumps(few)) <= 20_000
    assert few == tiles[: len(few)]


def test_flags_come_first_among_what_is_explained() -> None:
    run = trained(bad=2)
    _, addresses = embedded(run, 1_000_000)
    flagged = [flag["address"] for flag in run_map(run)["flags"] if flag["address"]]
    assert flagged
    assert addresses[: len(flagged)] == flagged


def test_a_table_without_a_loss_says_so(plain: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain.trace, "history", History([], [0, 1, 2, 3], [{}, {}, {}, {}]))
    loss = run_map(plain)["loss"]
    assert loss["points"] == []
    assert "no scalar" in loss["note"]
