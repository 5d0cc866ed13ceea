"""What a place is called: its address, its role, and the short label used inside equations."""

from __future__ import annotations

from whygrad.explain.addresses import Naming, element_text, step_text
from whygrad.explain.derivation import Role
from whygrad.explain.places import Place, Tracks, World


def named(tracks: Tracks, place: Place) -> tuple[str, Role, str, str]:
    """Address, role, label and what a gradient is the gradient of."""
    outer = tracks.outside(place)
    if outer is not None:
        return named(tracks, outer)
    naming: Naming = place.world.resolver.naming(place.step)
    address = naming.address(place.value, place.index)
    found = naming.name_at(place.value, place.index)
    if found is None:
        return _nameless(place, address)
    name, index = found
    value = place.step.values[name.value]
    several = value.numel > 1
    text = name.text + (naming.element(value, index) if several else "")
    if name.kind == "gradient":
        return address, "gradient", f"∂loss/∂{text}", text
    roles: dict[str, Role] = {
        "parameter": "parameter", "before": "parameter", "input": "input", "target": "target", "state": "state",
        "state_before": "state",
    }  # fmt: skip
    if name.kind in ("state", "state_before"):
        text = name.text + (naming.element(value, index) if several else "")
    return address, roles.get(name.kind, "activation"), text, ""


def _nameless(place: Place, address: str) -> tuple[str, Role, str, str]:
    """What nothing names goes by its op; inside an update, by the parameter too, whose own memory half way is `w′`."""
    world = place.world
    label = address.partition("@")[0]
    if world.outer is None:
        return address, "activation", _known_output(place) or label, ""
    head, bracket, index = label.partition("[")
    label = f"{inside_name(world, head)}{bracket}{index}"
    inside = f"{label}{step_text(place.step.number)}"
    if world.expansion is None:
        return inside, "activation", label, ""
    step, label = world.expansion.step, address.partition("@")[0]
    if any(n.kind == "before" and step.values[n.value].storage == place.value.storage for n in step.names):
        naming = world.resolver.naming(place.step)
        where = naming.element(place.value, place.index) if place.value.numel > 1 else ""
        return inside, "parameter", f"{world.prefix}{where}′", ""
    return inside, "state", label, ""


_OUTPUTS = {
    "native_layer_norm": ("mean", "rstd"), "native_group_norm": ("mean", "rstd"), "native_batch_norm": ("mean", "invstd"),
    "_native_batch_norm_legit": ("mean", "invstd"), "_native_batch_norm_legit_functional": ("mean", "invstd"),
    "_scaled_dot_product_flash_attention_for_cpu": ("logsumexp",), "max_pool2d_with_indices": ("indices",),
    "nll_loss_forward": ("total_weight",),
}  # fmt: skip
"""What an op returns besides its result, as torch's schema and documentation call it."""


def _known_output(place: Place) -> str:
    """`mean[3]` for what a norm keeps of its input; empty for other numbers."""
    value, step = place.value, place.step
    if not step.first <= value.version < step.last:
        return ""
    op = step.op(value.version)
    names = _OUTPUTS.get(op.kind.removeprefix("aten."), ())
    for name, output in zip(names, op.outputs[1:], strict=False):
        if output is not None and step.values[output].storage == value.storage:
            return name + (element_text(value, place.index) if value.numel > 1 else "")
    return ""


def inside_name(world: World, head: str) -> str:
    """The name of what an inner op made: `op3(op17)`, op 3 of those that the run's op 17 was taken apart into;
    `optimizer.op11(linear.weight)`, op 11 of a parameter's update."""
    names, update, around = [head], False, world
    while around.outer is not None:
        names.append(around.prefix)
        update |= around.expansion is not None
        around = around.outer
    return ("optimizer." if update else "") + "(".join(names) + ")" * (len(names) - 1)
