"""A recorded network as a function: its forward pass run again by torch with other numbers going in."""

from __future__ import annotations

from typing import Any

import numpy as np

from whygrad.explain.chain import Chain, Layer, Parameter
from whygrad.explain.replay import overload
from whygrad.trace.model import Value
from whygrad.trace.store import Trace

__all__ = ["field", "grid"]

Array = np.ndarray[Any, Any]


def grid(bounds: tuple[float, float, float, float], side: int) -> Array:
    """(side², 2) middles of the cells of a square picture over `bounds` (x1 from, to, x2 from, to), row by row from the
    top."""
    x1, x2 = (low + (np.arange(side) + 0.5) * (high - low) / side for low, high in (bounds[:2], bounds[2:]))
    across, down = np.meshgrid(x1, x2[::-1])
    return np.stack([across.ravel(), down.ravel()], axis=1)


def field(trace: Trace, chain: Chain, points: Array) -> list[Array]:
    """What each layer gives for (n, inputs) points: arrays (n, units), inputs first, in float64, worked out in the recorded
    formats with the parameters as they are after the step's update.

    Raises ValueDropped where they were not kept.
    """
    import torch

    from whygrad.explain.tensors import Rebuilder

    memory = Rebuilder(trace, chain.step)

    def now(parameter: Parameter) -> Any:
        value: Value = parameter.after or parameter.before
        return memory.tensor(value.id)

    def run(layer: Layer, given: Any) -> Any:
        weight, bias = now(layer.weight), None if layer.bias is None else now(layer.bias).reshape(-1)
        out = torch.nn.functional.linear(given.to(weight.dtype), weight.reshape(-1, given.shape[1]), bias)
        if layer.activation is None:
            return out
        rest = [memory.argument(arg) for arg in layer.activation.args[1:]]
        named = {key: memory.argument(arg) for key, arg in layer.activation.kwargs}
        out = overload(layer.activation.name)(out, *rest, **named)
        return out[0] if isinstance(out, tuple) else out

    with torch.no_grad():
        here = torch.from_numpy(np.ascontiguousarray(points))
        found = [here]
        for layer in chain.layers:
            here = run(layer, here)
            found.append(here)
        return [each.to(torch.float64).numpy() for each in found]
