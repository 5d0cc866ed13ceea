"""The page of one neuron: what went in, its weight and bias before and after each update, and a sentence on each.

`neuron_view` gives `Neuron`, `neuron_step` `NeuronStep` of the page's contract (`web/src/types.ts`). Both read a Trace,
whether it was saved or is being made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from whygrad.errors import WhygradError
from whygrad.explain.chain import Chain, Parameter, find_chain
from whygrad.explain.why import Explainer
from whygrad.trace.model import Step, Value
from whygrad.trace.store import Trace
from whygrad.view.number_line import number_line
from whygrad.view.numbers import number, typographic

__all__ = ["Said", "is_neuron", "neuron_cells", "neuron_step", "neuron_view", "text_of"]

Said: TypeAlias = "str | list[str]"
"""Text, or [address, text]."""
_NAMES = ("x", "w", "b", "y", "target", "loss", "wGrad", "bGrad", "wNew", "bNew")


def is_neuron(chain: Chain | None) -> bool:
    """Whether a chain is one neuron with one input."""
    return chain is not None and chain.sizes == [1, 1]


def neuron_view(explainer: Explainer, trace: Trace, steps: Iterable[int] | None = None) -> dict[str, Any] | None:
    """The `Neuron` of a run; None where its steps are not one neuron's. `steps`: those to tell of, otherwise all kept."""
    kept = [info.number for info in trace.index if info.kept and info.complete]
    chosen = kept if steps is None else [step for step in kept if step in set(steps)]
    chain = find_chain(trace.step(chosen[0])) if chosen else None
    if chain is None or not is_neuron(chain):
        return None
    rows = [neuron_step(explainer, trace.step(step)) for step in chosen]
    if any(row is None for row in rows):
        return None
    places = _values(chain)
    plain = {name: _address(explainer, chain.step, places.get(name)).rpartition("@")[0] for name in _NAMES[:6]}
    return plain | {"activation": chain.layers[0].activation_name, "steps": rows}


def neuron_step(explainer: Explainer, step: Step) -> dict[str, Any] | None:
    """One step of one neuron, of the batch its first example; None where the step is not one neuron's."""
    chain = find_chain(step)
    if chain is None or not is_neuron(chain):
        return None
    places = _values(chain)
    addresses = {name: _address(explainer, step, places.get(name)) for name in _NAMES}
    texts = {name: text_of(explainer, step, places.get(name)) for name in _NAMES}
    layer = chain.layers[0]
    told = [_told(explainer, step, layer.weight, "weight", "w", texts, addresses)]
    if layer.bias is not None:
        told.append(_told(explainer, step, layer.bias, "bias", "b", texts, addresses))
    return {
        "step": step.number,
        **texts,
        "addresses": addresses,
        "sentences": [sentence for sentence, _ in told if sentence],
        "lost": [name for _, name in told if name],
    }


def neuron_cells(step: dict[str, Any]) -> list[str]:
    """The addresses of a `NeuronStep`, what a reader asks first at the front."""
    order = ("wNew", "bNew", "loss", "y", "wGrad", "bGrad", "w", "b", "x", "target")
    return [address for name in order if (address := step["addresses"][name])]


def _values(chain: Chain) -> dict[str, Value]:
    """The Value of each quantity of the step; what it does not have is not in it."""
    layer = chain.layers[0]
    found: dict[str, Value | None] = {
        "x": chain.input, "w": layer.weight.before, "y": chain.prediction, "target": chain.target, "loss": chain.loss,
        "wGrad": layer.weight.grad, "wNew": layer.weight.after,
    }  # fmt: skip
    if layer.bias is not None:
        found |= {"b": layer.bias.before, "bGrad": layer.bias.grad, "bNew": layer.bias.after}
    return {name: value for name, value in found.items() if value is not None and value.numel}


def _first(value: Value) -> tuple[int, ...]:
    return tuple(0 for _ in value.shape)


def _address(explainer: Explainer, step: Step, value: Value | None) -> str:
    if value is None:
        return ""
    return explainer.tracks.world.resolver.naming(step).address(value, _first(value))


def text_of(explainer: Explainer, step: Step, value: Value | None, index: tuple[int, ...] | None = None) -> str:
    """A number as the page shows it; empty where there is none, or its memory was not kept."""
    if value is None:
        return ""
    try:
        content = explainer.trace.content(step, value)
    except WhygradError:
        return ""
    return typographic(number(content[_first(value) if index is None else index].item(), value.dtype))


def _told(
    explainer: Explainer, step: Step, parameter: Parameter, word: str, key: str, texts: dict[str, str],
    addresses: dict[str, str],
) -> tuple[list[Said], str]:  # fmt: skip
    """A sentence on what the update did, and the parameter's letter where it was lost."""
    old, new, grad = texts[key], texts[key + "New"], texts[key + "Grad"]
    if not old or not new or parameter.after is None:
        return [], ""
    before, after = [addresses[key], old], [addresses[key + "New"], new]
    if not _same_bits(explainer, step, parameter):
        return [f"In step {step.number} the {word} moved from ", before, " to ", after, "."], ""
    if not grad:
        return [f"In step {step.number} the {word} stays at ", after, "."], ""
    zero = (
        float(explainer.trace.content(step, parameter.grad)[_first(parameter.grad)]) == 0 if parameter.grad else False
    )
    if zero:
        return [
            f"In step {step.number} the {word} stays at ", after, ": ", [addresses[key + "Grad"], "its gradient"], " is 0.",
        ], ""  # fmt: skip
    why = ": the update was rounded away." if _rounded_away(explainer, addresses[key + "New"]) else "."
    start = f"In step {step.number} the {word} stands still at "
    said: list[Said] = [start, after, ", although ", [addresses[key + "Grad"], "its gradient"], f" is not zero{why}"]
    return said, key if why != "." else ""


def _same_bits(explainer: Explainer, step: Step, parameter: Parameter) -> bool:
    assert parameter.after is not None
    before, after = (explainer.trace.content(step, value) for value in (parameter.before, parameter.after))
    return before.tobytes() == after.tobytes()


def _rounded_away(explainer: Explainer, address: str) -> bool:
    """Whether the equation of the new value says that an update other than 0 was rounded away."""
    try:
        line = number_line(explainer.why(address, 1))
    except WhygradError:
        return False
    return bool(line and line["update"] and line["update"]["lost"])
