"""The page of a small network: its layers, and at some steps its weights, gradients, updates and pictures, for drawing.

`network_view` gives `Network`, `frame` one `Frame` of the page's contract (`web/src/types.ts`). What is read as a number is a
string; arrays of numbers are geometry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from whygrad.errors import ValueDropped
from whygrad.explain.chain import Chain, Parameter, find_chain
from whygrad.explain.why import Explainer
from whygrad.trace.model import Step, Value
from whygrad.trace.store import Trace
from whygrad.view.page_neuron import Said, text_of
from whygrad.view.page_pictures import Bounds, Targets, bounds_of, examples_of, pictures, targets_of

__all__ = ["frame", "frame_addresses", "network_view", "unit_patterns"]

SIDE, OUTPUT_SIDE = 20, 60
EXAMPLES = 8
"""Of a batch: whose units can be asked in a saved page."""
Array = np.ndarray[Any, Any]


def network_view(explainer: Explainer, trace: Trace, steps: Iterable[int]) -> dict[str, Any] | None:
    """The `Network` of a run with a `Frame` for each of `steps` (kept ones); None where they are not a chain of layers."""
    chains = [find_chain(trace.step(step)) for step in steps]
    found = [chain for chain in chains if chain is not None]
    if not found or len(found) < len(chains) or any(each.sizes != found[0].sizes for each in found):
        return None
    chain = found[0]
    bounds = bounds_of(trace, found)
    targets = targets_of(trace, found)
    examples = examples_of(trace, found, bounds, targets)
    frames = [frame(explainer, each, bounds, targets, examples.batches.get(each.step.number)) for each in found]
    return {
        "sizes": chain.sizes,
        "inputs": [f"x{k + 1}" for k in range(chain.sizes[0])] if chain.sizes[0] > 1 else ["x"],
        "layers": [
            {
                "weight": layer.weight.name,
                "bias": layer.bias.name if layer.bias is not None else "",
                "activation": layer.activation_name,
            }
            for layer in chain.layers
        ],
        "unit": frames[-1]["unit"],
        "examples": chain.examples,
        "bounds": list(bounds or (-1.0, 1.0, -1.0, 1.0)),
        "points": examples.points,
        "frames": frames,
    }


def frame(
    explainer: Explainer, chain: Chain, bounds: Bounds | None, targets: Targets, batch: list[int] | None = None
) -> dict[str, Any]:
    """The network as it is after the step's update, the loss and gradients as they were in the step. `bounds`: of the
    pictures, None for none. `batch`: its examples among the points."""
    trace, step = explainer.trace, chain.step
    loss = explainer.tracks.world.resolver.naming(step).address(chain.loss, tuple(0 for _ in chain.loss.shape))
    weights = [layer.weight for layer in chain.layers]
    biases = [layer.bias for layer in chain.layers]
    drawn = {
        "weights": [_now(trace, step, each) for each in weights],
        "biases": [_now(trace, step, each) for each in biases],
        "gradients": [_grad(trace, step, each) for each in weights],
        "biasGradients": [_grad(trace, step, each) for each in biases],
        "updates": [_update(trace, step, each) for each in weights],
        "biasUpdates": [_update(trace, step, each) for each in biases],
    }
    scale = {
        what: _largest([*drawn[what], *drawn[bias]])
        for what, bias in (("weights", "biases"), ("gradients", "biasGradients"), ("updates", "biasUpdates"))
    }
    return {
        "step": step.number,
        **({} if batch is None else {"batch": batch}),
        "loss": text_of(explainer, step, chain.loss),
        "testLoss": "",
        "lossAddress": loss,
        **{name: _listed(arrays) for name, arrays in drawn.items()},
        "scale": scale,
        **pictures(trace, chain, bounds, targets, SIDE, OUTPUT_SIDE),
        "sentence": _sentence(explainer, chain, loss),
        "unit": unit_patterns(explainer, chain),
    }


# ---- arrays, for drawing


def _now(trace: Trace, step: Step, parameter: Parameter | None) -> Array | None:
    return _array(trace, step, None if parameter is None else parameter.after or parameter.before)


def _grad(trace: Trace, step: Step, parameter: Parameter | None) -> Array | None:
    return _array(trace, step, None if parameter is None else parameter.grad)


def _update(trace: Trace, step: Step, parameter: Parameter | None) -> Array | None:
    if parameter is None or parameter.after is None:
        return None
    before, after = (_array(trace, step, value) for value in (parameter.before, parameter.after))
    return None if before is None or after is None else after - before


def _array(trace: Trace, step: Step, value: Value | None) -> Array | None:
    if value is None:
        return None
    try:
        return np.nan_to_num(trace.content(step, value).astype(np.float64), posinf=0.0, neginf=0.0).ravel()
    except ValueDropped:
        return None


def _largest(arrays: Sequence[Array | None]) -> float:
    return _short(max((float(np.abs(each).max()) for each in arrays if each is not None and each.size), default=0.0))


def _listed(arrays: Sequence[Array | None]) -> list[list[float]] | None:
    """Four digits are enough to draw a line's width; None where there is nothing at all."""
    if all(each is None for each in arrays):
        return None
    return [[] if each is None else [_short(float(v)) for v in each] for each in arrays]


def _short(value: float) -> float:
    return float(f"{value:.4g}")


# ---- words


def _sentence(explainer: Explainer, chain: Chain, loss: str) -> list[Said]:
    """The step's loss, and the weight that moved most."""
    step, trace = chain.step, explainer.trace
    said: list[Said] = [f"In step {step.number} the loss was ", [loss, text_of(explainer, step, chain.loss)], "."]
    most: tuple[float, Parameter, int] | None = None
    for parameter in (p for layer in chain.layers for p in (layer.weight, layer.bias) if p is not None):
        moved = _update(trace, step, parameter)
        if moved is not None and moved.size:
            place = int(np.abs(moved).argmax())
            size = float(abs(moved[place]))
            most = (size, parameter, place) if most is None or size > most[0] else most
    if most is None or most[1].after is None:
        return said
    _, parameter, place = most
    assert parameter.after is not None
    index = tuple(int(i) for i in np.unravel_index(place, parameter.after.shape))
    naming = explainer.tracks.world.resolver.naming(step)
    before, after = (
        [naming.address(value, index), text_of(explainer, step, value, index)]
        for value in (parameter.before, parameter.after)
    )
    if most[0] == 0:
        return [*said[:-1], "; no weight moved."]
    name = after[0].partition("@")[0]
    return [*said[:-1], f"; {name} moved most, from ", before, " to ", after, "."]


# ---- addresses


def unit_patterns(explainer: Explainer, chain: Chain) -> list[str]:
    """Of each layer, inputs first, the address of a unit's output in this step, `{e}` for the example and `{u}` for the
    unit, without `@step`; empty where its elements are not named by the two."""
    values = [chain.input, *(layer.output for layer in chain.layers[:-1]), chain.prediction]
    return [
        _pattern(explainer, chain.step, value, chain.examples, units)
        for value, units in zip(values, chain.sizes, strict=True)
    ]


def _pattern(explainer: Explainer, step: Step, value: Value, examples: int, units: int) -> str:
    naming = explainer.tracks.world.resolver.naming(step)

    def plain(e: int, u: int) -> str:
        index = tuple(int(i) for i in np.unravel_index(e * units + u, value.shape)) if value.shape else ()
        return naming.address(value, index).rpartition("@")[0]

    if value.numel != examples * units:
        return ""
    last = plain(examples - 1, units - 1)
    name = re.sub(r"\[[\d,]*\]$", "", last)
    for form in ("[{e},{u}]", "[{e}]", "[{u}]", ""):
        several = ("{e}" in form or examples == 1) and ("{u}" in form or units == 1)
        pattern = name + form
        if several and fill(pattern, examples - 1, units - 1) == last and fill(pattern, 0, 0) == plain(0, 0):
            return pattern
    return ""


def fill(pattern: str, example: int, unit: int) -> str:
    """The pattern with its places filled."""
    return pattern.replace("{e}", str(example)).replace("{u}", str(unit))


def frame_addresses(explainer: Explainer, network: dict[str, Any], frame: dict[str, Any]) -> Iterator[str]:
    """The numbers of a frame that a reader may click, the most important first."""
    step = frame["step"]
    chain = find_chain(explainer.trace.step(step))
    assert chain is not None
    yield frame["lossAddress"]
    yield from (said[0] for said in frame["sentence"] if not isinstance(said, str))
    naming = explainer.tracks.world.resolver.naming(chain.step)
    parameters = [p for layer in chain.layers for p in (layer.weight, layer.bias) if p is not None]
    for parameter in parameters:
        for value in (parameter.after, parameter.grad):
            if value is not None:
                yield from (naming.address(value, tuple(int(i) for i in index)) for index in np.ndindex(value.shape))
    for pattern, units in zip(reversed(frame["unit"]), reversed(network["sizes"]), strict=True):
        if pattern:
            for example in range(min(network["examples"], EXAMPLES)):
                yield from (f"{fill(pattern, example, unit)}@{step}" for unit in range(units))
