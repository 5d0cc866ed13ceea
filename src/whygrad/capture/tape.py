"""The tape: every ATen op of this thread, in order, with its tensors held by reference.

Holding a reference is cheap and, alone, wrong: after an in-place op it shows the new numbers. So before an op writes,
the memory that it is about to write is copied into `Writes`, from which any earlier content can be had again. All that
can be worked out later (which element is whose, phases, names) is worked out later: this file is the hot path, and each
microsecond here is paid by every op of the user's program.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from whygrad.capture.dynamo import CAN_SKIP, leave_alone
from whygrad.capture.evict import Gone
from whygrad.capture.lines import user_frame
from whygrad.capture.opinfo import OpInfo, describe
from whygrad.capture.sparse import parts
from whygrad.capture.special import AUTOCAST, ENGINE, RECOMPUTED, in_backward, may_be_autocast

Tensor = torch.Tensor
_PLAIN = frozenset({torch.Tensor, torch.nn.Parameter})
_current_node: Callable[[], Any] = torch._C._current_autograd_node  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]
_sequence_number = torch._C._autograd._get_sequence_nr  # pyright: ignore[reportAttributeAccessIssue]
_grad_enabled = torch.is_grad_enabled
_getframe = sys._getframe
_new: Any = tuple.__new__
_INFO: dict[Any, OpInfo] = {}
_ACCUMULATE = 2**63


class Event(NamedTuple):
    """One op as seen. `seq` is autograd's sequence counter before the op ran; `made` whether a node was made for it;
    `region` the number of the optimizer whose `step` was running (-1: none); `note` what is special about the op."""

    info: OpInfo
    args: tuple[Any, ...]
    kwargs: dict[str, Any] | None
    out: Any
    node: str
    of_seq: int
    seq: int
    made: bool
    grad: bool
    where: Any
    line: int
    module: Any
    rng: Tensor | None
    region: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Before:
    """Content of `region` (None: the whole storage) just before the op `index` wrote it; `old` None: uninitialised."""

    index: int
    region: Tensor | None
    old: Tensor | None


@dataclass(slots=True)
class Leaf:
    """A tensor that requires grad and was made by no op: a parameter, as long as the program trains it. `alias` keeps
    looking at the memory that `tensor` had, also after `tensor.data = ...`."""

    tensor: Tensor
    alias: Tensor
    pointer: int
    key: int
    version: int


@dataclass
class Writes:
    """What in-place ops overwrote: per storage, in order; `gone`: the memory that was let go, of which nothing is logged."""

    log: dict[int, list[Before]] = field(default_factory=dict[int, list[Before]])
    order: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    gone: Gone = field(default_factory=Gone)

    def add(self, key: int, before: Before) -> None:
        self.log.setdefault(key, []).append(before)

    def forget(self, first: int, last: int, keys: set[int], kept_until: int | None) -> None:
        """Drop what ops `first` … `last` overwrote. While a step that ended at `kept_until` still waits to be frozen, the
        first full copy of each storage since then stays: it is what that step's tensors held."""
        for key in keys:
            entries = self.log.get(key)
            if entries is None:
                continue
            left: list[Before] = []
            covered = kept_until is None
            for entry in entries:
                if first <= entry.index < last:
                    if covered:
                        continue
                    left.append(entry)
                    covered = entry.region is None
                else:
                    left.append(entry)
                    if kept_until is not None and entry.index >= kept_until and entry.region is None:
                        covered = True
            if left:
                self.log[key] = left
            else:
                del self.log[key]


def _as_it_was(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arguments whose first, which is about to get another shape, stays as it is."""
    first = args[0]
    if isinstance(first, Tensor) and first.layout is torch.strided:
        return first.detach(), *args[1:]
    return args


def storage_key(tensor: Tensor) -> int:
    """Identity of a tensor's storage, for as long as something holds it."""
    return tensor.untyped_storage()._cdata


class Tape(TorchDispatchMode):
    """Watches the ops of one thread. `base + len(events)` is the run-wide index of the next op. Subclasses get
    `on_grad_op` (a forward op that autograd records), `on_backward` (backward begins) and `on_write`."""

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # The wrapper that this asks for costs some 3 µs an op and is of use only to code that dynamo compiles; under a
        # dispatch mode torch.compile runs eager.
        return not CAN_SKIP

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.base = 0
        self.writes = Writes()
        self._gone = self.writes.gone.by_key
        self.leaves: dict[int, Leaf] = {}
        self.leaf_keys: dict[int, Leaf] = {}
        self.keeping = True
        self.holding = True
        self.held = 0
        self.cloned = 0
        self.limit = 1 << 62
        self.module: Any = None
        self.compiled = False
        self.written: Leaf | None = None
        self.made = False
        self.region = -1
        self.in_backward = False
        self._uninitialised: set[int] = set()
        self._last_seq = _sequence_number()
        self._memories: dict[int, tuple[Tensor, int, bool, int]] = {}
        self._starting = False
        self._casts: list[tuple[int, int]] = []
        self._where: Any = None
        self._line = 0

    @property
    def index(self) -> int:
        return self.base + len(self.events)

    def on_grad_op(self) -> None:
        """A forward op recorded by autograd is about to run."""

    def on_backward(self, loss: Tensor | None) -> None:
        """A backward pass is about to run, from `loss` when it is known."""

    def still_needed(self, key: int) -> bool:
        """Whether an older step, which waits to be made inert, refers to what a storage holds now."""
        return False

    def on_written(self, leaf: Leaf) -> None:
        """The write that `on_write` announced by setting `written` is done."""

    def on_held(self) -> None:
        """More than `limit` bytes of results are held."""

    def is_uninitialised(self, key: int) -> bool:
        """Whether a storage was allocated, and nothing wrote it yet."""
        return key in self._uninitialised

    def on_scale(self, found_inf: Tensor) -> None:
        """A GradScaler is about to update its scale, after the gradients were found finite or not."""

    def on_write(self, tensor: Tensor, key: int, index: int) -> None:
        """An op outside a backward pass is about to write `tensor`."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        info = _INFO.get(func)
        if info is None:
            info = _INFO[func] = describe(func)
        call = info.call
        if info.skip:
            return call(*args, **kwargs) if kwargs else call(*args)
        node = _current_node()
        seq = _sequence_number()
        name, of_seq, made, note = "", -1, False, ""
        if node is not None:
            name = node.name()
            of_seq, made, note, where, line = self._of_node(node, seq, _getframe(1))
        else:
            self._locate()
            if self._starting and info.name == "aten.detach.default":
                name = "root"
            elif info.may_start_backward and self._making_grads():
                self.in_backward = self._starting = True
                self.on_backward(args[0])
                name = "root"
            else:
                self.in_backward = self._starting = False
                if seq != self._last_seq:
                    made = True
                    self.on_grad_op()
            where, line = self._where, self._line
        self._last_seq = seq
        self.made = made
        given = args
        if node is None:
            args = self._hold_leaves(args)
        if info.writes or info.resizes:
            self._before_write(info, args, kwargs)
        if info.casts or self._casts:
            self._note_casts(info, kwargs, _getframe(1))
        rng = _generator_state(kwargs) if info.random else None
        if info.resizes:
            args = _as_it_was(args)  # `p.set_(…)` must reach the leaf, and not what stands for it
        else:
            given = args
        out = call(*given, **kwargs) if kwargs else call(*given)
        if self.written is not None:
            leaf, self.written = self.written, None
            self.on_written(leaf)
        if info.uninitialised and out.layout is torch.strided:
            self._uninitialised.add(storage_key(out))
        if self.holding:
            if type(out) is Tensor:
                self._count(out)
            else:
                self._count_each(out)
            kept = _stand_in(out) if node is not None or self._starting or info.resizes else out
            if self._gone:
                args, kwargs, kept = self._without(info, args, kwargs, kept)
            # A NamedTuple's own constructor takes twice as long.
            self.events.append(
                _new(Event, (info, args, kwargs, kept, name, of_seq, seq, made, _grad_enabled(), where, line,
                             self.module, rng, self.region, note))
            )  # fmt: skip
        else:
            self.base += 1
        return out

    def _note_casts(self, info: OpInfo, kwargs: dict[str, Any] | None, caller: Any) -> None:
        """Autocast casts the operands of an op in the same call of Python in which it then runs the op; a conversion that
        the program asks for is a call of its own."""
        here = id(caller), caller.f_lasti
        if info.casts and kwargs and may_be_autocast(kwargs.get("dtype")):
            self._casts = [each for each in self._casts if each == here] + [here]
        else:
            count = len(self._casts) if self._casts and self._casts[-1] == here else 0
            for place in range(max(0, len(self.events) - count), len(self.events)):
                self.events[place] = self.events[place]._replace(note=AUTOCAST)
            self._casts = []

    def _count(self, out: Tensor) -> None:
        try:
            self.held += out.nbytes
        except RuntimeError:  # a sparse tensor tells no size
            self.held += sum(part.nbytes for part in parts(out))
        if self.held > self.limit:
            self.on_held()

    def _count_each(self, outs: Any) -> None:
        if type(outs) is tuple or type(outs) is list:
            for out in outs:  # pyright: ignore[reportUnknownVariableType]
                if type(out) is Tensor:  # pyright: ignore[reportUnknownArgumentType]
                    self._count(out)

    def _without(self, info: OpInfo, args: tuple[Any, ...], kwargs: dict[str, Any] | None, out: Any) -> Any:
        """What an event shows of an op when memory was let go."""
        gone = self.writes.gone
        if info.writes:
            gone.written(info.targets(args, kwargs), self.index)
        return gone.shown(args), gone.shown_all(kwargs), gone.shown(out)

    def _of_node(self, node: Any, seq: int, caller: Any) -> tuple[int, bool, str, Any, int]:
        """The sequence number of an op's autograd node, whether the op made a node (in a forward pass run again), what is
        special about it, and its line."""
        self._starting = False
        if not self.in_backward:
            self._locate()
            self.in_backward = True
            self.on_backward(None)
        made, note, where, line = False, "", self._where, self._line
        if caller.f_code is not ENGINE:
            note, user = in_backward(caller)
            if user is not None:
                where, line = user.f_code, user.f_lineno
            made = note == RECOMPUTED and seq != self._last_seq and _grad_enabled()
        of_seq = node._sequence_nr()
        return -1 if of_seq >= _ACCUMULATE else of_seq, made, note, where, line

    def _locate(self) -> None:
        frame, compiled = user_frame(_getframe(2))
        if frame is not None:
            self._where, self._line = frame.f_code, frame.f_lineno
        if compiled:
            self.compiled = True

    def line(self) -> tuple[Any, int]:
        """The user's line that is running now: code object and line number."""
        frame, _ = user_frame(_getframe(1))
        return (None, 0) if frame is None else (frame.f_code, frame.f_lineno)

    @staticmethod
    def _making_grads() -> bool:
        frame: Any = _getframe(2)
        for _ in range(1 if CAN_SKIP else 4):
            if frame.f_code.co_name == "_make_grads":
                return True
            frame = frame.f_back
        return False

    def _hold_leaves(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """`args` with every leaf replaced by an alias: the user may point the leaf at other memory (`p.data = ...`). Not for
        backward ops: a saved tensor may look like a leaf there, and the real ones were met going forward."""
        changed: list[Any] | None = None
        for position, arg in enumerate(args):
            kind = type(arg)
            if kind in _PLAIN or isinstance(arg, Tensor):
                if arg.requires_grad and arg.is_leaf:
                    if changed is None:
                        changed = list(args)
                    changed[position] = self.alias(arg)
            elif (kind is list or kind is tuple) and arg and isinstance(arg[0], Tensor):
                held = self._hold_leaves(tuple(arg))
                if held is not arg:
                    if changed is None:
                        changed = list(args)
                    changed[position] = list(held)
        return args if changed is None else tuple(changed)

    def memory(self, tensor: Tensor) -> tuple[int, bool]:
        """A tensor's storage key, and whether it covers the whole storage; remembered for tensors that stay, as
        parameters' aliases and optimizer state do."""
        known = self._memories.get(id(tensor))
        if known is None or known[0] is not tensor or known[3] != tensor.data_ptr():
            storage = tensor.untyped_storage()
            whole = tensor.nbytes == storage.nbytes()
            known = self._memories[id(tensor)] = (tensor, storage._cdata, whole, tensor.data_ptr())
        return known[1], known[2]

    def alias(self, tensor: Tensor) -> Tensor:
        """What stands for a leaf in events."""
        leaf = self.leaves.get(id(tensor))
        if leaf is None or leaf.tensor is not tensor or leaf.pointer != tensor.data_ptr():
            if tensor.layout is not torch.strided:
                return tensor  # it has no memory of its own to look at
            leaf = self.register_leaf(tensor)
        return leaf.alias

    def register_leaf(self, tensor: Tensor) -> Leaf:
        """Take note of a leaf (again, when its memory was exchanged)."""
        alias = tensor.detach()
        leaf = Leaf(tensor, alias, tensor.data_ptr(), storage_key(tensor), tensor._version)
        self.leaves[id(tensor)] = leaf
        self.leaf_keys[leaf.key] = leaf
        return leaf

    def _before_write(self, info: OpInfo, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> None:
        for target in info.targets(args, kwargs):
            self.before_write(target)
        if info.updates_scale:
            self.on_scale(args[2])
        if info.resizes and isinstance(args[0], Tensor):
            self._freeze_geometry(args[0])

    def before_write(self, tensor: Tensor) -> None:
        """Keep what `tensor` holds, since the op about to run overwrites it."""
        if tensor.layout is not torch.strided:
            return  # it is given other indices and values; the old ones stay as they were
        storage = tensor.untyped_storage()
        key: int = storage._cdata
        index = self.index
        if not self.in_backward:
            self.on_write(tensor, key, index)
        if self._gone and key in self._gone:
            self.writes.order.append((index, self._gone[key].meta_key))
            self._uninitialised.discard(key)
            return
        self.writes.order.append((index, key))
        if not self.holding or not (self.keeping or self.still_needed(key)):
            return
        whole = tensor.nbytes == storage.nbytes() and not (tensor.is_conj() or tensor.is_neg())
        if key in self._uninitialised:
            self._uninitialised.discard(key)
            if whole:
                self.writes.add(key, Before(index, None, None))
                return
        old = tensor.detach().clone()
        self.cloned += old.nbytes
        self.limit -= old.nbytes
        self.writes.add(key, Before(index, None if whole else tensor.detach(), old))

    def _freeze_geometry(self, tensor: Tensor) -> None:
        """`t_()`, `unsqueeze_()`, `resize_()` …: earlier events must go on showing the old shape."""
        self.hold_instead(tensor, tensor.detach(), [])

    def hold_instead(self, tensor: Tensor, alias: Tensor, older: list[list[Event]]) -> None:
        """In all events, those of `older` steps too, put `alias` in the place of a tensor about to look at other memory."""
        for events in (self.events, *older):
            for position, event in enumerate(events):
                if event.out is tensor or any(arg is tensor for arg in event.args):
                    args = tuple(alias if arg is tensor else arg for arg in event.args)
                    events[position] = event._replace(args=args, out=alias if event.out is tensor else event.out)


def _stand_in(out: Any) -> Any:
    """What stands for a gradient in events. AccumulateGrad takes a gradient over as `.grad` only when nothing else
    refers to it, and copies it otherwise (torch/csrc/autograd/functions/accumulate_grad.h); the gradient that a backward
    pass starts from is detached when something refers to it. With a reference of ours the program would run ops, and need
    memory, that it does not need alone."""
    kind = type(out)
    if kind is Tensor:
        return out.detach()
    if kind is tuple or kind is list:
        return tuple([_stand_in(each) for each in out])
    return out


def _generator_state(kwargs: dict[str, Any] | None) -> Tensor:
    generator = kwargs.get("generator") if kwargs else None
    return (generator or torch.default_generator).get_state()


leave_alone(Tape.__torch_dispatch__)
