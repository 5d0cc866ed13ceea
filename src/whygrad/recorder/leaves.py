"""The leaves that a program trains: what they are called, what an update finds and leaves, and their gradients."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

import torch

from whygrad.capture.lines import user_frames
from whygrad.capture.raw import RawStep, Seen
from whygrad.capture.sparse import dense_gradient
from whygrad.capture.tape import Leaf, Tape, storage_key
from whygrad.recorder.names import Modules, scan
from whygrad.recorder.notes import SPARSE_TOO_LARGE, UNSEEN
from whygrad.recorder.rows import SMALL
from whygrad.recorder.statistics import Taken, take, take_back, take_gradient
from whygrad.trace.statistics_sums import GradientPart

Tensor = torch.Tensor
MOST_DENSE = 1 << 26
RECORDED = -1
"""In place of a leaf's version: recorded ops wrote it since, so autograd's counter tells nothing."""


wrapped: Any = torch._C._functorch.is_functorch_wrapped_tensor  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


class LeafTape(Tape):
    """A tape that knows its leaves by name. `seen` gathers names for the step that is being recorded, `used` the leaves
    that it met, `number` is the step's."""

    def __init__(self) -> None:
        super().__init__()
        self.modules = Modules()
        self.notes: list[str] = []
        self.number = 0
        self._seen: list[Seen] = []
        self._grads: list[tuple[str, Tensor]] = []
        self._leaf_names: dict[int, tuple[Tensor, str]] = {}
        self._small: dict[int, tuple[Tensor, Tensor]] = {}
        self._after: dict[int, Tensor] = {}
        self._used: dict[int, Leaf] = {}
        self._since: dict[int, int] = {}
        self._replaced: dict[int, Leaf] = {}
        self._dense: dict[int, Tensor] = {}
        self._backward_at = 0
        self._parts: dict[str, GradientPart] = {}
        self._taken: Taken | None = None
        self._took_at = -1

    def note(self, text: str) -> None:
        """Say something about the recording, once."""
        if text not in self.notes:
            self.notes.append(text)

    def alias(self, tensor: Tensor) -> Tensor:
        alias = super().alias(tensor)
        if alias is tensor:
            return alias  # sparse: its parts are recorded with the ops that use it, and it is no parameter with a name
        if self.made:
            self._since.setdefault(id(tensor), self.index)
        if id(tensor) not in self._used:
            leaf = self._used[id(tensor)] = self.leaves[id(tensor)]
            if leaf.version not in (RECORDED, tensor._version):
                self.note(UNSEEN.format(name=self._name_of_leaf(tensor), step=self.number))
            leaf.version = tensor._version
        return alias

    def _name_of_leaf(self, tensor: Tensor) -> str:
        named = self.modules.parameter(tensor)
        if named is not None:
            return named
        known = self._leaf_names.get(id(tensor))
        if known is None or known[0] is not tensor:
            for name, value in scan(user_frames(3)):
                if value is tensor:
                    known = (tensor, name)
                    break
            else:
                known = (tensor, f"parameter_{len(self._leaf_names)}")
            self._leaf_names[id(tensor)] = known
        return known[1]

    def _look_around(self, frames: list[Any]) -> None:
        self.look_at(scan(frames))

    def look_at(self, named: Iterable[tuple[str, Any]]) -> None:
        """Take note of the program's variables: names of tensors as they are now, of leaves and of modules."""
        index = self.index
        for name, value in named:
            if isinstance(value, Tensor):
                if wrapped(value):
                    continue  # of torch.func: the tensors inside are the program's
                if value.layout is torch.strided:
                    self._seen.append(Seen(index, name, value.detach(), "variable"))
                if value.requires_grad and value.is_leaf:
                    self._leaf_names.setdefault(id(value), (value, name))
            elif isinstance(value, torch.nn.Module):
                self.modules.name_root(value, name)
                if not self.modules.knows(value):
                    self.modules.add_root(value)

    def _make_dense(self) -> None:
        """A sparse gradient that an update is about to use is recorded as the dense one that it stands for too."""
        for leaf in list(self._used.values()):
            grad = leaf.tensor.grad
            if grad is not None and grad.layout is torch.sparse_coo:
                if leaf.alias.nbytes <= MOST_DENSE:
                    with torch.no_grad():
                        self._dense[id(grad)] = dense_gradient(grad)
                elif self.keeping:
                    self.note(SPARSE_TOO_LARGE.format(name=self._name_of_leaf(leaf.tensor)))

    def _take_grads(self) -> None:
        """The gradients that the update uses."""
        index = self.index
        self.modules.decide()
        sure = self.is_sure()
        self._took_at = index if sure else -1
        parameters: list[tuple[str, Tensor, Tensor | None]] = []
        for leaf in self._used.values():
            grad = leaf.tensor.grad
            if grad is not None:
                grad = self._dense.pop(id(grad), grad)
            if not sure:
                parameters.append((self._name_of_leaf(leaf.tensor), leaf.alias, grad))
            if grad is not None and grad.layout is torch.strided:
                name = self._name_of_leaf(leaf.tensor)
                self._seen.append(Seen(index, name, grad, "gradient", create=True))
                others = self.modules.also(leaf.tensor)
                self._seen += [Seen(index, other, grad, "gradient", create=True) for other in others]
                if grad.numel() <= SMALL:
                    self._grads.append((name, grad.detach().clone()))
                part = take_gradient(grad) if sure and self._gone else None  # a gradient may be let go too
                if part is not None:
                    self._parts[name] = part
        if not sure:
            self._taken = take(parameters)

    def take_back(self) -> None:
        """The step was to be kept, and is about to be let go: what its update began with is copied now."""
        if self._took_at >= 0:
            parameters = [(self._name_of_leaf(leaf.tensor), leaf.alias) for leaf in self._used.values()]
            self._taken = take_back(parameters, self._seen, self._parts, self._took_at, self.writes)

    def is_sure(self) -> bool:
        """Whether the running step's values are going to be kept, as far as is known."""
        return self.keeping and self.holding

    def on_written(self, leaf: Leaf) -> None:
        self._snapshot(leaf)

    def _snapshot(self, leaf: Leaf) -> None:
        """What an update left: the table's numbers, and what the next step must find unless something unseen wrote."""
        if leaf.alias.numel() <= SMALL:
            self._after[id(leaf.tensor)] = leaf.alias.clone()

    def _name_parameters(self, step: RawStep, end: int) -> list[tuple[str, Tensor]]:
        small: list[tuple[str, Tensor]] = []
        left: dict[int, tuple[Tensor, Tensor]] = {}
        for leaf in list(self._used.values()):
            name, before = self._name_of_leaf(leaf.tensor), leaf
            others = self.modules.also(leaf.tensor)
            since = self._since.get(id(leaf.tensor), self._backward_at or step.first)
            step.seen.append(Seen(since, name, leaf.alias, "before", create=True))
            step.seen += [Seen(since, other, leaf.alias, "before", create=True) for other in others]
            if leaf.alias.numel() <= SMALL:
                self._check_unseen(step, name, leaf)
            if leaf.pointer != leaf.tensor.data_ptr():
                # `p.data = ...` since: the step used the old memory, its update left the new one.
                leaf = self._used[id(leaf.tensor)] = super().register_leaf(leaf.tensor)
                self.hold_instead(leaf.tensor, before.alias, [step.events])
            leaf = self._replaced.get(id(leaf.tensor), leaf)
            step.seen.append(Seen(end, name, leaf.alias, "parameter", create=True))
            step.seen += [Seen(end, other, leaf.alias, "parameter", create=True) for other in others]
            if leaf.alias.numel() <= SMALL:
                after = self._after.get(id(leaf.tensor))
                after = leaf.alias.clone() if after is None else after
                small.append((name, after))
                left[id(leaf.tensor)] = (leaf.tensor, after)
        self._small, self._after, self._replaced = left, {}, {}
        return small

    def _check_unseen(self, step: RawStep, name: str, leaf: Leaf) -> None:
        """Compare a small parameter, as the step found it, with what the step before left: a difference was written by
        something that makes no op."""
        known, left = self._small.get(id(leaf.tensor), (None, leaf.alias))
        alias = leaf.alias
        if self.writes.gone.of(alias) is not None:
            return  # what it held is not there to be compared
        if known is not leaf.tensor or left.shape != alias.shape or left.dtype != alias.dtype:
            return
        log = self.writes.log.get(storage_key(alias), [])
        entries = log[bisect_left(log, step.first, key=lambda before: before.index) :]
        found = alias if not entries else entries[0].old if entries[0].region is None else None
        if found is None or found.shape != left.shape or torch.equal(found, left) or bool(torch.isnan(left).any()):
            return
        if any(key == storage_key(alias) for _, key in step.writes) and not entries:
            return
        self.note(UNSEEN.format(name=name, step=step.number))
