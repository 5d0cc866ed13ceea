"""What the ops of a step mean: phases, the loss, the prediction, inputs and targets, and which tensor is the gradient of
which. Worked out from the ops alone; nothing here asks the program.

Memory is the thread that is followed. A place in a storage, at a version, was written by exactly one op, so views,
transposes and reshapes need no special treatment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from whygrad.trace.changed_gradients import changed_gradients
from whygrad.trace.model import UNWRITTEN, Name, Op, Phase, Ref, Value

Memory = tuple[int, int]
"""A storage at a version."""
_Texts = dict[Memory, tuple[str, int]]
"""What a memory is called, and how many elements the tensor has that bears the name."""

_LOSS_OPS = ("loss", "cross_entropy", "kl_div", "cosine_embedding", "margin", "ctc")
PRIORITY = (
    "loss", "prediction", "before", "parameter", "target", "input", "gradient", "state", "state_before", "root", "module",
    "variable",
)  # fmt: skip


@dataclass(frozen=True)
class Analysis:
    """The same ops with their phases, and all names, the best first."""

    ops: tuple[Op, ...]
    names: tuple[Name, ...]


def analyse(ops: tuple[Op, ...], values: dict[int, Value], names: tuple[Name, ...]) -> Analysis:
    """Phases and names of one step (`ops` as frozen, in order; `names` as seen while it ran)."""
    flow = _Flow(ops, values, names)
    loss = flow.loss()
    found: list[Name] = [n for n in names if n.kind != "loss"] + [
        n for n in names if n.kind == "loss" and n.text != "loss"
    ]
    prediction: Value | None = None
    loss_ops: set[int] = set()
    if loss is not None:
        found.append(Name("loss", loss.id, "loss"))
        path = flow.path_to(loss)
        prediction = flow.prediction(loss, path)
        if prediction is not None:
            found.append(Name("prediction", prediction.id, "prediction"))
            loss_ops = flow.downstream(prediction, path)
        found += flow.externals(path, loss_ops)
    found += flow.states(found)
    phased = tuple(replace(op, phase=flow.phase(op, loss_ops)) for op in ops)
    found += changed_gradients(ops, values, names)
    ranked = _rank(found)
    return Analysis(phased, _rank([*ranked, *flow.gradients(ranked, loss)]))


def _rank(names: list[Name]) -> tuple[Name, ...]:
    order = {kind: rank for rank, kind in enumerate(PRIORITY)}
    return tuple(sorted(names, key=lambda name: order.get(name.kind, len(order))))


class _Flow:
    def __init__(self, ops: tuple[Op, ...], values: dict[int, Value], names: tuple[Name, ...]) -> None:
        self.ops, self.values, self.names = ops, values, names
        self.first = ops[0].index if ops else 0
        self.parameters = {values[n.value].storage for n in names if n.kind == "before"}
        self.made = {op.made_seq: op for op in ops if op.made_seq >= 0}
        self.tainted = self._taint()

    def memory(self, value: int) -> Memory:
        v = self.values[value]
        return v.storage, v.version

    def writer(self, memory: Memory) -> Op | None:
        """The op of this step that wrote a memory."""
        place = memory[1] - self.first
        return self.ops[place] if memory[1] != UNWRITTEN and 0 <= place < len(self.ops) else None

    def reads_parameter(self, op: Op) -> bool:
        return any(self.values[ref].storage in self.parameters for ref in op.refs())

    def _taint(self) -> set[Memory]:
        """Memories whose numbers depend on a parameter, before the backward pass."""
        tainted: set[Memory] = set()
        for op in self.ops:
            if op.node or op.phase == "optimizer":
                continue
            refs = op.refs()
            if any(self.values[r].storage in self.parameters or self.memory(r) in tainted for r in refs):
                tainted.update(self.memory(w) for w in op.written)
        return tainted

    def depends(self, value: int) -> bool:
        return self.values[value].storage in self.parameters or self.memory(value) in self.tainted

    def loss(self) -> Value | None:
        """The tensor from which the (last) backward pass started."""
        named = [n for n in self.names if n.kind == "loss" and n.text == "loss"]
        if named:
            return self.values[named[-1].value]
        for op in self.ops:
            if op.node and op.of_seq in self.made:
                out = self.made[op.of_seq].outputs
                return self.values[out[0]] if out and out[0] is not None else None
        return None

    def path_to(self, loss: Value) -> list[Op]:
        """The ops on whose results the loss depends, in order."""
        todo, seen, found = [(loss.storage, loss.version)], set[Memory](), dict[int, Op]()
        while todo:
            memory = todo.pop()
            if memory in seen:
                continue
            seen.add(memory)
            op = self.writer(memory)
            if op is None or op.phase == "optimizer":
                continue
            found[op.index] = op
            todo += [self.memory(ref) for ref in op.refs()]
        return [found[index] for index in sorted(found)]

    def prediction(self, loss: Value, path: list[Op]) -> Value | None:
        """The output of the last root module on the way to the loss; without modules, what the first op after the last
        use of a parameter compares with something that no parameter influenced."""
        on_path = {self.memory(w) for op in path for w in op.written}
        roots = [
            self.values[n.value]
            for n in self.names
            if n.kind == "root" and self.memory(n.value) in on_path and self.memory(n.value) in self.tainted
        ]
        roots = [v for v in roots if (v.storage, v.version) != (loss.storage, loss.version)]
        if roots:
            return max(roots, key=lambda v: v.version)
        return self._compared(loss, path)

    def _compared(self, loss: Value, path: list[Op]) -> Value | None:
        users = [i for i, op in enumerate(path) if self.reads_parameter(op)]
        if not users:
            return None
        for op in path[users[-1] + 1 :]:
            refs = op.refs()
            inner = [r for r in refs if self.depends(r)]
            if inner and (len(inner) < len(refs) or any(word in op.name for word in _LOSS_OPS)):
                value = self.values[inner[0]]
                before = self.writer((value.storage, value.version))
                if before is not None and before.kind == "aten._log_softmax" and "nll_loss" in op.name:
                    value = self.values[before.refs()[0]]
                return value
        out = path[users[-1]].outputs[0]
        same = out is not None and self.memory(out) == (loss.storage, loss.version)
        return None if out is None or same else self.values[out]

    def downstream(self, prediction: Value, path: list[Op]) -> set[int]:
        """Ops between the prediction and the loss."""
        reached, found = {(prediction.storage, prediction.version)}, set[int]()
        for op in path:
            if any(self.memory(r) in reached for r in op.refs()) and op.index > prediction.version:
                found.add(op.index)
                reached.update(self.memory(w) for w in op.written)
        return found

    def externals(self, path: list[Op], loss_ops: set[int]) -> list[Name]:
        """Inputs and targets: what no parameter influenced, met first outside every module."""
        found: list[Name] = []
        seen: set[Memory] = set()
        for kind, wanted in (("input", False), ("target", True)):
            count = 0
            for op in path:
                if (op.index in loss_ops) != wanted or not any(self.depends(r) for r in op.refs()):
                    continue
                for ref in op.refs():
                    memory = self.memory(ref)
                    if memory in seen or self.depends(ref) or ref == op.rng:
                        continue
                    seen.add(memory)
                    maker = self.writer(memory)
                    if maker is not None and maker.module:
                        continue
                    count += 1
                    first = min((v.id for v in self._views(ref)), default=ref)
                    found.append(Name(kind if count == 1 else f"{kind}_{count}", first, kind))
        return found

    def _views(self, ref: int) -> list[Value]:
        """Values over the same memory that show as many elements: the tensor as the program gave it among them."""
        mine = self.values[ref]
        return [v for v in self.values.values() if (v.storage, v.version) == self.memory(ref) and v.numel == mine.numel]

    def phase(self, op: Op, loss_ops: set[int]) -> Phase:
        if op.phase != "other":
            return op.phase
        if op.index in loss_ops:
            return "loss"
        if any(self.values[w].storage in self.parameters for w in op.written) and not op.node:
            return "optimizer"
        if op.made_seq >= 0 or (op.grad and any(self.memory(w) in self.tainted for w in op.written)):
            return "forward"
        return "other"

    def states(self, names: list[Name]) -> list[Name]:
        """Optimizer state by what it is the state of, before and after the update."""
        texts = {n.value: n.text for n in names if n.kind == "before"}
        found: list[Name] = []
        for op in self.ops:
            for param in (p for g in (op.optimizer.groups if op.optimizer else ()) for p in g.params):
                of = texts.get(param.before, f"value{param.before}")
                for kind, state in (("state_before", param.state_before), ("state", param.state_after)):
                    found += [Name(key, arg.id, kind, of) for key, arg in state if isinstance(arg, Ref)]
        return found

    def gradients(self, names: tuple[Name, ...], loss: Value | None) -> list[Name]:
        """A backward op is given, from outside its node, the gradient of what its forward op returned."""
        texts: _Texts = {}
        for name in reversed(names):
            if name.kind not in ("gradient", "state", "variable"):
                texts[self.memory(name.value)] = name.text, self.values[name.value].numel
        taken = {self.memory(n.value) for n in names if n.kind == "gradient"}
        found: list[Name] = []
        for op in self.ops:
            if op.phase != "backward":
                continue
            if not op.node and loss is not None and op.outputs and op.outputs[0] is not None:
                self._gradient(op.outputs[0], loss, texts, taken, found)
            forward = self.made.get(op.of_seq)
            for ref in op.refs() if forward is not None else ():
                assert forward is not None
                maker = self.writer(self.memory(ref))
                if maker is None or maker.phase != "backward" or (maker.of_seq == op.of_seq and maker.node):
                    continue
                for out in forward.outputs:
                    if out is not None and self.values[out].shape == self.values[ref].shape:
                        self._gradient(ref, self.values[out], texts, taken, found)
                        break
        return found

    def _gradient(self, ref: int, of: Value, texts: _Texts, taken: set[Memory], found: list[Name]) -> None:
        memory = self.memory(ref)
        if memory in taken or of.storage in self.parameters:
            return
        taken.add(memory)
        text, numel = texts.get((of.storage, of.version)) or (f"op{of.version - self.first}", self._written(of))
        if of.numel == numel:  # the gradient of a part of a tensor (chunk, split) is not that of the tensor
            found.append(Name(text, ref, "gradient", "activation"))

    def _written(self, value: Value) -> int:
        """How many elements the tensor has that was written where a Value looks."""
        op = self.writer((value.storage, value.version))
        sizes = [self.values[w].numel for w in (op.written if op else ()) if self.values[w].storage == value.storage]
        return max(sizes, default=value.numel)
