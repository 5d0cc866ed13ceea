"""Memory that the recording lets go of, so that a step fits the budget.

Its storage is replaced, wherever events show it, by a *stand-in*: a storage on torch's meta device, which has a size and
no memory. Ops, shapes, strides and versions stay as recorded; the numbers are gone, but for their CRC-32 at each version,
by which `explain` knows whether the ops run again gave them back.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef

Tensor = torch.Tensor


@dataclass(slots=True)
class LetGo:
    """One storage that was let go. `live` is the program's, which lives on as long as the program wants it; `start` to
    `stop` are the bytes that the op `made` returned of it; `prints` holds their CRC-32 by version, which is the index of
    the op that wrote them. `storage` is the stand-in, `meta` a weak reference to it."""

    live: StorageWeakRef
    key: int
    storage: Any
    meta: StorageWeakRef
    device: str
    made: int
    start: int
    stop: int
    prints: dict[int, int] = field(default_factory=dict[int, int])

    @property
    def meta_key(self) -> int:
        return self.meta.cdata

    def like(self, tensor: Tensor) -> Tensor:
        """The stand-in of a tensor that looks at this storage."""
        seen = torch.empty(0, dtype=tensor.dtype, device="meta")
        seen.set_(self.storage, tensor.storage_offset(), tensor.size(), tensor.stride())  # pyright: ignore[reportCallIssue, reportArgumentType]
        if tensor.is_conj():
            return seen.conj()
        return torch.ops.aten._neg_view(seen) if tensor.is_neg() else seen

    def crc(self, content: Tensor) -> int:
        """CRC-32 of the window in the bytes of the storage (1-D uint8, on the CPU)."""
        return zlib.crc32(content[self.start : self.stop].numpy().data)


class Gone:
    """All storages that were let go: `by_key` those that still live in the program, by their identity; `by_meta` those that
    events still show, by that of their stand-in. The weak references keep an identity from being given to another
    storage."""

    def __init__(self) -> None:
        self.by_key: dict[int, LetGo] = {}
        self.by_meta: dict[int, LetGo] = {}

    def let_go(self, tensor: Tensor, made: int, window: tuple[int, int]) -> LetGo:
        """Take a tensor's storage in; what it held is for the caller to take the CRC of. From now on `shown` replaces it."""
        storage = tensor.untyped_storage()
        meta = torch.UntypedStorage(storage.nbytes(), device="meta")
        found = LetGo(
            StorageWeakRef(storage), storage._cdata, meta, StorageWeakRef(meta), str(tensor.device), made, *window
        )
        self.by_key[found.key] = found
        self.by_meta[found.meta_key] = found
        return found

    def of(self, tensor: Tensor) -> LetGo | None:
        """What stands for a tensor's memory, None where that was not let go."""
        if tensor.layout is not torch.strided:
            return None
        try:
            return self.by_key.get(tensor.untyped_storage()._cdata)
        except NotImplementedError:  # a wrapper of torch.func, which has no memory
            return None

    def has_any(self, optimizer: Any) -> bool:
        """Whether memory of an optimizer's parameters or of its state was let go; then its step must be recorded op by op."""
        if not self.by_key:
            return False
        held: list[Any] = [p for group in optimizer.param_groups for p in group["params"]]
        held += [each for state in optimizer.state.values() for each in state.values() if isinstance(each, Tensor)]
        return any(self.of(each) is not None for each in held)

    def shown(self, tree: Any) -> Any:
        """An argument or result as events show it: tensors over memory that was let go replaced by stand-ins."""
        if isinstance(tree, Tensor):
            found = self.of(tree)
            return tree if found is None else found.like(tree)
        if isinstance(tree, (list, tuple)):
            each: list[Any] = [self.shown(one) for one in tree]  # pyright: ignore[reportUnknownVariableType]
            if all(new is old for new, old in zip(each, tree, strict=True)):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
                return tree  # pyright: ignore[reportUnknownVariableType]
            return each if isinstance(tree, list) else tuple(each)
        return tree

    def shown_all(self, kwargs: dict[str, Any] | None) -> dict[str, Any] | None:
        """Keyword arguments as events show them."""
        return {key: self.shown(each) for key, each in kwargs.items()} if kwargs else kwargs

    def written(self, targets: list[Tensor], index: int) -> None:
        """The op `index` wrote these tensors: what the memory among them that was let go holds now has a new CRC."""
        for target in targets:
            found = self.of(target)
            if found is not None and index not in found.prints:
                found.prints[index] = found.crc(memory_of(target))

    def behind(self, tensor: Tensor) -> LetGo | None:
        """What a stand-in stands for, None for any other tensor."""
        if not self.by_meta or tensor.device.type != "meta":
            return None
        return self.by_meta.get(tensor.untyped_storage()._cdata)

    def take_back(self, since: int) -> None:
        """Forget what was let go of the ops from `since` on: their step is not kept."""
        for found in [each for each in self.by_key.values() if each.made >= since]:
            del self.by_key[found.key]

    def tidy(self) -> None:
        """Forget storages that the program freed, and stand-ins that no event shows any more."""
        for found in [each for each in self.by_key.values() if each.live.expired()]:
            del self.by_key[found.key]
        living = {found.meta_key for found in self.by_key.values()}
        for key, found in list(self.by_meta.items()):
            if key not in living:
                found.storage = None
                if found.meta.expired():
                    del self.by_meta[key]


def memory_of(tensor: Tensor) -> Tensor:
    """All bytes of a tensor's storage: 1-D uint8, on the CPU."""
    storage = tensor.untyped_storage()
    flat = torch.empty(0, dtype=torch.uint8, device=storage.device)
    return flat.set_(storage, 0, (storage.nbytes(),), (1,)).cpu()  # pyright: ignore[reportCallIssue, reportArgumentType]
