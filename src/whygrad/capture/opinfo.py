"""What the tape must know of an ATen overload before it runs; looked up once per overload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

_UNINITIALISED = {
    "aten::empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty", "aten::new_empty_strided",
    "aten::empty_permuted",
}  # fmt: skip

_BACKWARD_START = "aten::ones_like"


@dataclass(frozen=True, slots=True)
class OpInfo:
    """Facts of one overload. `writes`: the arguments that the op writes, each a position or a keyword."""

    name: str
    skip: bool
    writes: tuple[int | str, ...]
    random: bool
    uninitialised: bool
    resizes: bool
    may_start_backward: bool
    call: Any


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
    return OpInfo(
        name=f"{namespace}.{base}.{overload}",
        skip=namespace in ("profiler", "prim", "prims") or base in ("_record_function_enter_new", "is_pinned"),
        writes=tuple(writes),
        random=torch.Tag.nondeterministic_seeded in func.tags,
        uninitialised=schema.name in _UNINITIALISED,
        resizes=torch.Tag.inplace_view in func.tags,
        may_start_backward=schema.name == _BACKWARD_START,
        call=func._op,
    )
