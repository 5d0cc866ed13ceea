"""Names of grad_fn: every one that PyTorch really makes is understood."""

from __future__ import annotations

import pytest
import torch

from whygrad.errors import AddressError
from whygrad.trace.model import Op, Source, Step
from whygrad.view.grad_fn import explain_grad_fn


def nodes(tensor: torch.Tensor) -> list[str]:
    """Names of all nodes of the tensor's graph."""
    found, todo = [], [tensor.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None:
            found.append(type(node).__name__)
            todo += [each for each, _ in node.next_functions]
    return found


def test_every_node_of_a_network_is_explained() -> None:
    first = torch.nn.Linear(2, 3)
    net = torch.nn.Sequential(first, torch.nn.Tanh(), torch.nn.Linear(3, 2))
    loss = torch.nn.functional.cross_entropy(net(torch.ones(1, 2)), torch.tensor([1])) + (first.weight**2).sum()
    names = set(nodes(loss))
    assert {"AccumulateGrad", "AddmmBackward0", "TBackward0", "PowBackward0"} <= names
    for name in names:
        assert explain_grad_fn(name).meaning.startswith(name)


def test_the_number_is_no_count() -> None:
    view = explain_grad_fn("AddmmBackward0")
    assert "backward function of addmm" in view.meaning
    assert "does not count calls" in view.number
    assert "derivatives.yaml" in view.number
    assert view.made == ()


@pytest.mark.parametrize(
    "text", ["<AddmmBackward0>", "<AddmmBackward0 object at 0x7f0>", "grad_fn=<AddmmBackward0>", " AddmmBackward0 "]
)
def test_as_python_prints_it(text: str) -> None:
    assert explain_grad_fn(text).name == "AddmmBackward0"


@pytest.mark.parametrize(
    ("name", "op"),
    [
        ("MseLossBackward0", "mse_loss"),
        ("NllLoss2DBackward0", "nll_loss2d"),
        ("LogSoftmaxBackward0", "log_softmax"),
        ("TBackward0", "t"),
    ],
)
def test_the_op_is_read_from_the_name(name: str, op: str) -> None:
    assert f"backward function of {op}" in explain_grad_fn(name).meaning


def test_a_function_of_the_user_has_no_number() -> None:
    view = explain_grad_fn("MyReluBackward")
    assert "torch.autograd.Function" in view.meaning
    assert view.number == ""


@pytest.mark.parametrize("name", ["Addmm", "", "AddmmBackward0x", "loss"])
def test_what_is_none(name: str) -> None:
    with pytest.raises(AddressError, match="is no grad_fn"):
        explain_grad_fn(name)


def test_which_line_made_it() -> None:
    ops = (
        Op(0, "aten.addmm.default", phase="forward", module="fc", source=Source("a/train.py", 7), made_seq=4),
        Op(1, "aten.mm.default", phase="backward", node="AddmmBackward0", of_seq=4),
        Op(2, "aten.sum.dim_IntList", phase="backward", node="AddmmBackward0", of_seq=4),
        Op(3, "aten.mm.default", phase="backward", node="MmBackward0", of_seq=5),
    )
    step = Step(3, 0, 4, True, ops, {}, ())
    (line,) = explain_grad_fn("AddmmBackward0", step).made
    assert line == (
        "In step 3: aten.addmm (train.py:7, fc) made it and it ran aten.mm, aten.sum.dim_IntList in the backward pass."
    )
    assert explain_grad_fn("TBackward0", step).made == ()
