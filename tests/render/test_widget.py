"""What a notebook's page asks the kernel, and what it is answered. The front ends are tried in tests/browser/notebook."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import whygrad
from whygrad.render import widget
from whygrad.render.terminal import derivation_text


@pytest.fixture
def run() -> whygrad.Run:
    net = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with whygrad.record() as run:
        for _ in range(2):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(torch.tensor([2.0])), torch.tensor([1.5])).backward()
            optimizer.step()
    return run


@pytest.fixture
def shown() -> Any:
    return widget._Shown()


def test_a_run_is_asked_for_its_page_and_its_numbers(run: whygrad.Run, shown: Any) -> None:
    key = shown.key(run, run._asked)
    page = shown.answer({"id": "1", "key": key, "kind": "page"})["answer"]
    assert (page["level"], page["steps"]) == ("neuron", [0, 1])
    nodes = shown.answer({"key": key, "kind": "why", "body": {"address": "weight[0,0]@1"}})["answer"]["nodes"]
    assert nodes[0]["address"] == "weight[0,0]@1" and nodes[0]["value"] == run.why("weight[0,0]@1").view().value
    copied = shown.answer({"key": key, "kind": "copy", "body": {"address": "loss@0", "as": "text"}})
    assert copied["answer"]["text"] == repr(run.why("loss@0"))


def test_a_why_begins_with_itself(run: whygrad.Run, shown: Any) -> None:
    derivation = run.why("weight[0,0].grad@0")
    key = shown.key(derivation, derivation._asked)
    page = shown.answer({"key": key, "kind": "page"})["answer"]
    assert (page["level"], page["why"]) == ("why", "weight[0,0].grad@0")
    [[said, [address, value]]] = page["story"]
    assert said + value == derivation_text(derivation.view()).splitlines()[0].split("  ")[0].strip()
    first = shown.answer({"key": key, "kind": "why", "body": {"address": address}})["answer"]["nodes"][0]
    assert first["value"] == value
    below = shown.answer({"key": key, "kind": "why", "body": {"address": first["operands"][0]}})["answer"]["nodes"][0]
    assert below["value"] == run.why(first["operands"][0]).view().value


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"kind": "page"}, "run its cell again"),
        ({"kind": "page", "key": "another kernel's"}, "run its cell again"),
        ({"kind": 3}, "expected a kind"),
        ({"kind": "page", "body": []}, "run its cell again"),
        ({"kind": "page", "body": "text"}, "expected a kind and a body"),
        ({"kind": "script", "body": {"level": "../../secret"}}, "expected a level"),
    ],
)
def test_what_cannot_be_answered_is_a_sentence(shown: Any, message: dict[str, Any], words: str) -> None:
    assert words in shown.answer({"id": "1", **message})["error"]


def test_a_mistake_and_a_fault_are_told_apart(run: whygrad.Run, shown: Any) -> None:
    def faulty(kind: str, body: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError

    why = {"kind": "why", "body": {"address": "nothing@0"}}
    assert "nothing" in shown.answer({"key": shown.key(run, run._asked), **why})["error"]
    assert "a fault of whygrad (ZeroDivisionError)" in shown.answer({"key": shown.key(why, faulty), **why})["error"]


def test_a_thing_keeps_its_name_and_many_are_let_go(run: whygrad.Run, shown: Any) -> None:
    first = shown.key(run, run._asked)
    assert shown.key(run, run._asked) == first
    others = [object() for _ in range(widget._MOST_SHOWN)]
    names = {shown.key(each, run._asked) for each in others}
    assert len(names) == len(others) and first not in names
    assert "error" in shown.answer({"key": first, "kind": "page"})
    assert "answer" in shown.answer({"key": shown.key(others[0], run._asked), "kind": "page"})


def test_static_where_it_is_asked_for(run: whygrad.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widget, "_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(widget, "bundle", lambda level: "export default {};")
    monkeypatch.setattr(widget, "_finder", lambda: None)
    html = run._repr_mimebundle_()["text/html"]
    assert html.startswith("<div data-whygrad=") and run._repr_html_() in html
    monkeypatch.setenv("WHYGRAD_NOTEBOOK", "static")
    assert run._repr_mimebundle_() == {}
