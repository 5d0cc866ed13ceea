"""Watching a program train: which ops make a step, what things are called, what is kept.

A step ends at the last update before autograd records the next forward op. An update is an `Optimizer.step` after a
backward pass, or a write to a leaf's memory outside one (`p.data.add_(-lr * p.grad)`).
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import torch
from torch.nn.modules import module as nn_module
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from whygrad.capture.dynamo import leave_alone
from whygrad.capture.lines import user_frames
from whygrad.capture.raw import RawOptimizerCall, RawStep, Seen
from whygrad.capture.tape import Leaf, _sequence_number, storage_key
from whygrad.recorder.around import Around
from whygrad.recorder.budget import ROOM, Fitter, show_call
from whygrad.recorder.keeping import Keeper
from whygrad.recorder.leaves import RECORDED, LeafTape, wrapped
from whygrad.recorder.names import Outputs, flat_outputs, scan, seen_outputs
from whygrad.recorder.notes import COMPILED, LET_GO, SKIPPED
from whygrad.recorder.optimizers import after_step, before_step, can_be_rerun, record_call, settings
from whygrad.recorder.policy import Keep
from whygrad.recorder.predictions import Predictions
from whygrad.recorder.rows import Row, make_row
from whygrad.recorder.schedulers import Schedulers
from whygrad.recorder.statistics import MOST_LATER

Tensor = torch.Tensor
_NOT_YET = 1 << 62


class Session(LeafTape):
    """The tape of a whole program, cut into steps. `closed` receives every finished step, in order; `lock` is held while
    memory that a closed step may still refer to is overwritten. `waiting`: bytes that closed steps hold for statistics."""

    def __init__(self, keep: Keep) -> None:
        super().__init__()
        self.keep = keep
        self.rows: list[Row] = []
        self.lock = threading.RLock()
        self._schedulers = Schedulers()
        self._said: list[str] = []
        self._around = Around(self, self.note)
        self.keeper = Keeper(keep, self.writes, self.note)
        self.keeping = self.keeper.wants(0)
        self._stack: list[Any] = []
        self._calls: dict[str, int] = {}
        self._outputs: list[tuple[int, Any, Any, bool]] = []
        self._had_backward = False
        self._updated = False
        self._grad_op = False
        self._forward_at = _NOT_YET
        self._update_end = 0
        self._loss: Tensor | None = None
        self._lr: list[tuple[str, float]] = []
        self._optimizers: dict[tuple[str, int], int] = {}
        self._call: RawOptimizerCall | None = None
        self._paused = False
        self.waiting = 0
        self._still: set[str] = set()
        self._skipped = False
        self.suspended = False
        self._entered = False
        self._handles: list[Any] = []
        self._first = 0
        self._waiting_until: int | None = None
        self._check_assignment = False
        self.predictions = Predictions()
        self.limit = keep.budget
        self._fitter = Fitter(self, keep.budget)
        self._let_go = False

    @property
    def closed(self) -> deque[RawStep]:
        """Every finished step, in order."""
        return self.keeper.closed

    # ---- entering and leaving

    def __enter__(self) -> Session:
        if self._entered:
            return self
        self._entered = True
        self._last_seq = _sequence_number()
        self._handles = [
            nn_module.register_module_forward_pre_hook(self._enter_module),
            nn_module.register_module_forward_hook(self._leave_module, always_call=True),
            register_optimizer_step_pre_hook(self._before_optimizer),
            register_optimizer_step_post_hook(self._after_optimizer),
        ]
        self._around.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        if not self._entered:
            return
        self.leave()
        with self.lock:
            if self.events and (self._grad_op or self.number == 0):
                # An interrupted step, or a program that only went forward; what merely followed the last step is not kept.
                if self._had_backward and not self._updated:
                    self._take_grads()
                self._close(self.index, complete=False)

    def leave(self) -> None:
        """Watch no longer, and end the step that was updated. One that was not stays as it is: `__enter__` goes on with it."""
        self._entered = False
        for handle in self._handles:
            handle.remove()
        self._around.__exit__()
        if self._paused:
            self._paused = False
            self.lock.release()
        else:
            super().__exit__(None, None, None)
        self._call, self._stack, self.module = None, [], None
        self.region, self.in_backward = -1, False
        with self.lock:
            self._update_by_assignment()
            if self._updated:
                self._close(self._update_end, complete=True)

    # ---- what the tape tells

    def on_grad_op(self) -> None:
        if self.region >= 0 or self._call is not None:
            return
        self._grad_op = True
        if self._check_assignment:
            self._check_assignment = False
            self._update_by_assignment()
        if self._updated:
            with self.lock:
                self._close(self._update_end, complete=True)
            self._grad_op = True
        if self._forward_at == _NOT_YET:
            self._forward_at = self.index

    def register_leaf(self, tensor: Tensor) -> Leaf:
        known = self.leaves.get(id(tensor))
        if known is not None and known.tensor is tensor and known.pointer != tensor.data_ptr():
            self._update_by_assignment()
            if not self._had_backward:
                self._used.pop(id(tensor), None)
            self.hold_instead(tensor, known.alias, [step.events for step in self.closed if step.keep])
        leaf = super().register_leaf(tensor)
        if known is None and self._had_backward and not self._updated and not self.in_backward and self.region < 0:
            self._functional_update(tensor)
            self.leaves[id(tensor)] = leaf
        return leaf

    def _functional_update(self, tensor: Tensor) -> None:
        """`w = (w - lr * w.grad).detach().requires_grad_()`: a new leaf under an old leaf's name is an update too."""
        names = {name for name, value in scan(user_frames(3)) if value is tensor}
        old = [key for key, (value, name) in self._leaf_names.items() if name in names and value is not tensor]
        if old:
            self._replaced = {key: self.leaves[id(tensor)] for key in old}
            self._updated, self._update_end = True, self.index
            self._take_grads()
            with self.lock:
                self._close(self._update_end, complete=True)

    def on_backward(self, loss: Tensor | None) -> None:
        self._resume()
        if not self._had_backward:
            self._backward_at = self.index
        self._had_backward = self._check_assignment = True
        if loss is not None and not wrapped(loss):
            self._loss = loss.detach().clone() if loss.numel() == 1 else None
            self._seen.append(Seen(self.index, "loss", loss.detach(), "loss"))
        self._look_around(user_frames(3))

    def on_write(self, tensor: Tensor, key: int, index: int) -> None:
        leaf = self.leaf_keys.get(key)
        if leaf is not None:
            leaf.version = RECORDED
        if self.region >= 0 or not self._had_backward or self._call is not None:
            return
        if leaf is not None:
            if not self._updated:
                self._take_grads()
            self._updated = True
            self._update_end = index + 1
            self.written = leaf

    def on_scale(self, found_inf: Tensor) -> None:
        if not self._had_backward or self.region >= 0 or not bool(found_inf.item()):
            return
        self._skipped = True
        if not self._updated:
            self._take_grads()
            self._updated, self._update_end = True, self.index + 1
            self._said = [SKIPPED.format(step=self.number)]

    def still_needed(self, key: int) -> bool:
        if self._waiting_until is None:
            return False
        entries = self.writes.log.get(key, ())
        return not any(entry.region is None and entry.index >= self._waiting_until for entry in entries)

    def before_write(self, tensor: Tensor) -> None:
        with self.lock:
            super().before_write(tensor)

    # ---- modules

    def _enter_module(self, module: Any, args: Any) -> None:
        if self.suspended:
            return
        self._resume()
        if not self._stack and not self.modules.knows(module):
            self.modules.add_root(module)
        self._stack.append(module)
        self.module = module

    def _leave_module(self, module: Any, args: Any, out: Any) -> None:
        if self.suspended:
            return
        stack = self._stack
        while stack and stack.pop() is not module:
            pass
        self.module = stack[-1] if stack else None
        if out is not None:
            self._outputs.append((self.index, module, out, not stack))

    # ---- optimizers

    def _before_optimizer(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self.suspended:
            return
        self._resume()
        self.in_backward = False
        if self._had_backward and not self._updated:
            self._make_dense()
        rerun = can_be_rerun(optimizer, args, kwargs, self) and not self.writes.gone.has_any(optimizer)
        self._pause()
        if self._updated and (len(args) > 1 or kwargs):
            # A closure goes forward and backward inside `step`: what was updated before belongs to another step.
            self._close(self._update_end, complete=True)
        number = self._optimizer_number(optimizer)
        if self._had_backward and not self._updated:
            self._take_grads()
        self._lr += [
            (f"lr_{len(self._lr) + i}" if self._lr or i else "lr", float(group["lr"]))
            for i, group in enumerate(optimizer.param_groups)
            if isinstance(group.get("lr"), (int, float, Tensor))
        ]
        self._still |= {
            self._name_of_leaf(p) for group in optimizer.param_groups if group.get("lr") == 0
            for p in group["params"] if id(p) in self._used
        }  # fmt: skip
        set_by = self._schedulers.set_by(optimizer)
        if rerun:
            self._call = before_step(optimizer, number, self, set_by)
        else:
            if self.holding:
                record_call(settings(optimizer, number, set_by), self)
            self.region = number
            self._resume()

    def _after_optimizer(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self.suspended:
            return
        call = self._call
        if call is not None:
            if self.writes.gone.by_key:
                show_call(call, self.writes.gone.shown)
            after_step(optimizer, call, self)
        elif not self._paused:
            self._pause()
        if self._had_backward:
            for leaf in self._used.values():
                self._snapshot(leaf)
                leaf.version = leaf.tensor._version
        self._resume()
        self.region = -1
        if self._had_backward:
            self._updated = True
            self._update_end = self.index
            if call is None:
                self._see_state(optimizer)

    def _pause(self) -> None:
        """Stop watching; nobody may read a closed step's memory until `_resume`."""
        self.lock.acquire()
        super().__exit__(None, None, None)
        self._paused = True

    def _resume(self) -> None:
        """Watch again, also after an optimizer's step that raised."""
        if self._paused:
            self._paused = False
            self._call = None
            self.lock.release()
            super().__enter__()

    def _optimizer_number(self, optimizer: Any) -> int:
        # Made anew at each step, an optimizer is the same one as long as it is of the same class over the same weights.
        first = next((id(p) for group in optimizer.param_groups for p in group["params"]), 0)
        return self._optimizers.setdefault((type(optimizer).__name__, first), len(self._optimizers))

    def _see_state(self, optimizer: Any) -> None:
        if not self.keeping:
            return
        for p, state in optimizer.state.items():
            name = self._name_of_leaf(p) if isinstance(p, Tensor) else None
            if name is None:
                continue
            for key, value in state.items():
                if isinstance(value, Tensor):
                    self._seen.append(Seen(self.index, key, value, "state", name))

    # ---- parameters and gradients

    def _assigned(self) -> bool:
        """Whether the program updated a parameter by `p.data = ...` since the backward pass."""
        return any(leaf.pointer != leaf.tensor.data_ptr() for leaf in self._used.values())

    def _update_by_assignment(self) -> None:
        if self._had_backward and not self._updated and self._assigned():
            self._take_grads()
            self._updated, self._update_end = True, self.index

    # ---- steps

    def _close(self, end: int, complete: bool) -> None:
        """Cut the tape at op `end`: what came before is step `number`."""
        held = self._fit_closing()
        cut = max(0, end - self.base)
        self.modules.decide()
        step = RawStep(
            self.number, self._first, self.events[:cut], complete, self.keeping and self.holding,
            torch.get_num_threads(), held, self.cloned,
        )  # fmt: skip
        step.last, step.notes, self._said = end, self._said, []
        step.grads, step.still, step.skipped = self._parts, frozenset(self._still), self._skipped
        step.why_not = "" if step.keep else "budget" if self.keeper.full or not self.holding else "steps"
        step.writes = [each for each in self.writes.order if each[0] < end]
        self.writes.order = [each for each in self.writes.order if each[0] >= end]
        parameters = self._name_things(step, end)
        self._show_seen(step.seen)
        if self.compiled:
            self.note(COMPILED)
        if complete:
            prediction = self.predictions.of(step) if self.holding else None
            self.rows.append(make_row(step.number, self._loss, prediction, parameters, self._grads, self._lr))
            if self._taken is not None:
                self._taken.finish(step, MOST_LATER - self.waiting)
                self.waiting += step.later_bytes
        self.events = self.events[cut:]
        self.base = max(self.base, end)
        self._begin_next(complete)
        self.keeper.admit(step, [leaf.alias for leaf in self.leaves.values()])
        if not self.keeping:
            self._waiting_until = self.keeper.kept_until()
        self.on_closed(step)

    def on_closed(self, step: RawStep) -> None:
        """A step was closed and taken in; called with the lock held."""

    def _begin_next(self, complete: bool) -> None:
        self._first = self.base
        self._seen = [each for each in self._seen if each.index > self.base]
        self._outputs = [each for each in self._outputs if each[0] > self.base]
        self._updated = self._had_backward = self._grad_op = False
        self._forward_at = _NOT_YET
        self._backward_at = 0
        self._loss = None
        self._grads, self._lr, self._parts, self._still, self._taken = [], [], {}, set(), None
        self._skipped, self._took_at = False, -1
        self.leaves, self._used, self._since = self._used, {}, {}
        self._leaf_names = {key: each for key, each in self._leaf_names.items() if key in self.leaves}
        self.held = self.cloned = 0
        self.limit = self.keep.budget
        self._fitter.reset()
        if self.writes.gone.by_meta:
            self.writes.gone.tidy()
        self.number += complete
        if len(self._memories) > 4 * len(self.leaves) + 64:
            self._memories.clear()  # an optimizer made anew leaves its state behind
        self.holding = True
        self.keeping = self.keeper.wants(self.number)
        self._waiting_until = None

    def _name_things(self, step: RawStep, end: int) -> list[tuple[str, Tensor]]:
        """Bind names: losses, modules' outputs, parameters before and after. Returns copies of the small parameters."""
        step.seen = [each for each in self._seen if each.index <= end]
        losses = [each for each in step.seen if each.kind == "loss"]
        for i, each in enumerate(losses[:-1]):
            each.text = f"loss_{i}"
        if step.keep:
            step.seen += seen_outputs(self._outputs, self.modules, end)
        return self._name_parameters(step, end)

    # ---- what is kept

    def is_sure(self) -> bool:
        return self.holding and not self.keeper.full and self.keep.wants(self.number)

    def on_held(self) -> None:
        """The bytes held for this step may be over the budget: count them exactly, and let go of results when they are; of
        the whole step where that does not help."""
        if not self._fit(ROOM):
            self.drop_step()

    def _fit(self, share: float) -> bool:
        budget = self.keep.budget
        with self.lock:
            parameters = [each for each in self.modules.parameters() if not wrapped(each)]
            known = {storage_key(each) for each in parameters if each.layout is torch.strided}
            known.update(self.leaf_keys)
            place = self._forward_at - self.base
            fits = self._fitter.fit(self.leaves.values(), self._seen, share if self.keeping else None, known, place)
            if self._fitter.count:
                self._show_seen(self._seen)
                shown = self.writes.gone.shown
                self._outputs = [
                    (index, module, Outputs([(name, shown(each)) for name, each in flat_outputs(out)]), root)
                    for index, module, out, root in self._outputs
                ]
        self.limit = self.held + max(budget - self._fitter.holds, budget // 64)
        return fits

    def _fit_closing(self) -> int:
        """Bytes that the step holds, now that it ends; of one that is too large as a whole, what was not let go."""
        if not (self.keeping and self.holding and self.held + self.cloned > self.keep.budget):
            return self.held + self.cloned
        if not self._fit(1.0):
            self.drop_step()
            return 0
        if self._fitter.count:
            needed, count = self._fitter.holds + self._fitter.bytes, self._fitter.count
            if not self._let_go:
                self.note(LET_GO.format(step=self.number, needed=needed, budget=self.keep.budget, count=count))
            self._let_go = True
        return self._fitter.holds

    def _show_seen(self, seen: list[Seen]) -> None:
        """Named tensors must not keep alive what was let go."""
        if self.writes.gone.by_key:
            for each in seen:
                each.tensor = self.writes.gone.shown(each.tensor)

    def drop_step(self) -> None:
        """Keep no numbers of the step that is being recorded."""
        self.note(
            f"step {self.number} alone holds more than the budget of {self.keep.budget:,} bytes: it is in the table only. "
            "A larger --budget keeps it."
        )
        self.holding = False
        self.take_back()
        self.writes.forget(self._first, self.index, set(self.writes.log), self.keeper.kept_until())
        self.base, self.events = self.index, []
        self.writes.gone.take_back(self._first)


def is_recording() -> bool:
    """Whether a session watches this thread now."""
    from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

    return any(isinstance(mode, Session) for mode in _get_current_dispatch_mode_stack())


leave_alone(
    Session._enter_module, Session._leave_module, Session._before_optimizer, Session._after_optimizer,
)  # fmt: skip
