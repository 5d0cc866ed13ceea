"""What a place is called: its address, its role, and the short label used inside equations."""

from __future__ import annotations

from whygrad.explain.addresses import Naming, index_text, step_text
from whygrad.explain.derivation import Role
from whygrad.explain.places import Place, Tracks


def named(tracks: Tracks, place: Place) -> tuple[str, Role, str, str]:
    """Address, role, label and what a gradient is the gradient of."""
    outer = tracks.outside(place)
    if outer is not None:
        return named(tracks, outer)
    naming: Naming = place.world.resolver.naming(place.step)
    address = naming.address(place.value, place.index)
    found = naming.name_at(place.value, place.index)
    if found is None:
        world = place.world
        if world.expansion is not None:
            head, _, tail = address.partition("[")
            address = f"optimizer.{head.partition('@')[0]}({world.prefix})" + ("[" + tail if tail else step_text(place.step.number))
        return address, "activation", address.partition("@")[0], ""
    name, index = found
    several = place.step.values[name.value].numel > 1
    text = name.text + (index_text(index) if several else "")
    if name.kind == "gradient":
        return address, "gradient", f"∂loss/∂{text}", text
    roles: dict[str, Role] = {
        "parameter": "parameter", "before": "parameter", "input": "input", "target": "target", "state": "state",
        "state_before": "state",
    }  # fmt: skip
    if name.kind in ("state", "state_before"):
        text = name.text + (index_text(index) if several else "")
    return address, roles.get(name.kind, "activation"), text, ""
