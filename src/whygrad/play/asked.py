"""Numbers that are asked: whys, their text to copy, strings of addresses."""

from __future__ import annotations

import re
from typing import Any

from whygrad.explain.why import Explainer
from whygrad.play.config import Neuron
from whygrad.play.lab import TORCH, Lab
from whygrad.render.terminal import derivation_text
from whygrad.view import answers
from whygrad.view.numbers import number, typographic

_ELEMENT = re.compile(r"(?P<name>[\w.]+)\[(?P<index>\d+(?:,\d+)*)\](?P<grad>\.grad)?@(?P<step>init|-?\d+)")
_BEGAN = "the value it had when recording began"
_OUTSIDE = "given to the program from outside the recorded ops"


def nodes_of(
    explainer: Explainer, address: str, depth: int | None = None, lab: Lab | None = None
) -> list[dict[str, Any]]:
    """The `Node`s of an address and of what is below it; the root bears the address that was asked.

    Raises AddressError, StepNotKept, ValueDropped.
    """
    with TORCH:
        found = answers.nodes_of(explainer, address, depth)
    if lab is not None:
        for node in found:
            node["verdict"]["words"] = _from_a_knob(lab, node) or node["verdict"]["words"]
    return found


def _from_a_knob(lab: Lab, node: dict[str, Any]) -> str:
    """Where a given number comes from, which the recorder cannot know; empty where it does."""
    config, words = lab.config, node["verdict"]["words"]
    name = node["address"].partition("@")[0]
    by_hand = any(address == name for each in lab.changes.values() for address, _ in each)
    if words == _BEGAN and node["kind"] == "parameter":
        if not node["address"].endswith("@init") or by_hand:
            return "set by hand, while the training ran"
        knob = {"linear.weight[0,0]": "w", "linear.bias[0]": "b"}.get(name, "")
        return "set by its knob" if getattr(config, knob, None) is not None else f"initialised with seed {config.seed}"
    if words == _OUTSIDE and node["kind"] in ("input", "target"):
        return "set by its knob" if isinstance(config, Neuron) else f"of the data: {config.dataset}"
    return ""


def text_of(explainer: Explainer, address: str, form: str) -> str:
    """A why as text to copy: `latex`, `python` or `text`."""
    with TORCH:
        return answers.text_of(explainer, address, form, derivation_text)


def value_of(explainer: Explainer, address: str) -> str | None:
    """The string of one number; None where there is none."""
    with TORCH:
        return answers.value_of(explainer, address)


def live_value(lab: Lab, address: str) -> str | None:
    """The same, of a parameter or a gradient, from tensors and snapshots alone; None where that does not do."""
    match = _ELEMENT.fullmatch(address)
    tensor = lab.live.params.get(match["name"]) if match else None
    if match is None or tensor is None:
        return None
    step = -1 if match["step"] == "init" else int(match["step"])
    index = tuple(int(each) for each in match["index"].split(","))
    if len(index) != tensor.dim() or any(i >= n for i, n in zip(index, tensor.shape, strict=True)) or step >= lab.done:
        return None
    with TORCH:
        if match["grad"]:
            found = tensor.grad if step == lab.step - 1 else None
        elif step < 0:
            found = lab.start[match["name"]]
        else:
            found = _kept(lab, match["name"], step)
        return None if found is None else typographic(number(found[index].item(), lab.config.format))


def _kept(lab: Lab, name: str, step: int) -> Any:
    row = lab.snapshots.row(step + 1)
    if row is None:
        return None
    place = 0
    for each, tensor in lab.live.params.items():
        if each == name:
            return row[0][place : place + tensor.numel()].view(tensor.shape)
        place += tensor.numel()
    return None
