"""What the tape must know of an ATen overload before it runs; looked up once per overload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

_UNINITIALISED = {
    "aten::empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty", "aten::new_empty_strided",
    "aten::empty_permuted",
}  # fmt: skip

# Batch norm's statistics are written by these without their schema saying so (native_functions.yaml marks them only in
# `_native_batch_norm_legit`): positions written, and that of the flag `training` without which nothing is.
_UNMARKED = {
    "aten::native_batch_norm": ((3, 4), 5),
    "aten::cudnn_batch_norm": ((3, 4), 5),
    "aten::miopen_batch_norm": ((3, 4), 5),
}

_BACKWARD_START = "aten::ones_like"


@dataclass(frozen=True, slots=True)
class OpInfo:
    """Facts of one overload. `writes`: the arguments that the op writes, each a position or a keyword;
    `only_if`: the position of a flag without which it writes none; `view`: its result looks at its argument's memory."""

    name: str
    skip: bool
    writes: tuple[int | str, ...]
    random: bool
    uninitialised: bool
    resizes: bool
    may_start_backward: bool
    call: Any
    only_if: int = -1
    view: bool = False
    casts: bool = False
    updates_scale: bool = False

    def targets(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> list[torch.Tensor]:
        """The tensors that a call of the op writes."""
        if self.only_if >= 0 and not args[self.only_if]:
            return []
        found: list[torch.Tensor] = []
        for which in self.writes:
            if isinstance(which, str):
                target = kwargs.get(which) if kwargs else None
            else:
                target = args[which] if which < len(args) else None
            if isinstance(target, torch.Tensor):
                found.append(target)
            elif isinstance(target, (list, tuple)):
                found += [each for each in target if isinstance(each, torch.Tensor)]  # pyright: ignore[reportUnknownVariableType]
        return found


def describe(func: Any) -> OpInfo:
    """OpInfo of an `OpOverload` or a higher-order operator (from its schema and torch's own tags)."""
    schema = getattr(func, "_schema", None)
    if schema is None:
        return OpInfo(f"higher_order.{func}", False, (), False, False, False, False, func)
    namespace, _, base = schema.name.partition("::")
    overload = schema.overload_name or "default"
    writes: list[int | str] = []
    for position, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            writes.append(argument.name if argument.kwarg_only else position)
    if base == "set_":
        writes.clear()  # it looks at other memory, and writes none
    only_if = -1
    if schema.name in _UNMARKED and not schema.overload_name:
        unmarked, only_if = _UNMARKED[schema.name]
        writes += unmarked
    return OpInfo(
        name=f"{namespace}.{base}.{overload}",
        skip=namespace in ("profiler", "prim", "prims") or base in ("_record_function_enter_new", "is_pinned"),
        writes=tuple(writes),
        random=torch.Tag.nondeterministic_seeded in func.tags,
        uninitialised=schema.name in _UNINITIALISED,
        resizes=torch.Tag.inplace_view in func.tags,
        may_start_backward=schema.name == _BACKWARD_START,
        call=func._op,
        only_if=only_if,
        updates_scale=schema.name == "aten::_amp_update_scale_",
        casts=schema.name == "aten::_to_copy",
        view=not writes and any(each.alias_info is not None for each in schema.returns),
    )
