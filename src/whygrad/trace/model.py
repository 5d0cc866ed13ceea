"""What one program did, as inert data: no torch, no drawing, no saving.

A `Step` holds `Op`s in the order in which they ran. An `Op` reads and writes `Value`s. A `Value` is one tensor *at one
version*: it names a storage, the op that last wrote that storage, and the geometry (dtype, shape, stride, offset) through
which the tensor looks at it. Two tensors that see the same memory at the same time are therefore two Values over one
`(storage, version)`, and a view needs no rule: the memory location of an element tells which op wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Phase: TypeAlias = Literal["forward", "loss", "backward", "optimizer", "other"]

Form: TypeAlias = Literal["", "complex", "conj", "neg"]
"""What a tensor is to its memory: itself; complex numbers; their conjugates (torch's conjugate bit); its negative (torch's
negative bit)."""

COUNT = "step"
"""The entry of an optimizer's hyperparameters that counts its steps, where it was recorded op by op."""

SET_BY = "set by"
"""The entry of an optimizer's hyperparameters that tells which scheduler set its learning rate: a text with places for
numbers, and the numbers."""

UNWRITTEN = -1
"""Version of a storage that no recorded op has written (an input, a freshly built parameter)."""


@dataclass(frozen=True, slots=True)
class Source:
    """A line of the user's program."""

    file: str
    line: int
    function: str = ""


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor at one version. `offset` and `stride` count elements; `version` is the run-wide index of the op that
    last wrote the storage (`UNWRITTEN` when none was seen). A complex tensor stands as the real one that it is in memory:
    `dtype` is that of a part, a last dimension of size 2 holds the real and the imaginary part."""

    id: int
    storage: int
    version: int
    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    device: str = "cpu"
    form: Form = ""

    @property
    def is_complex(self) -> bool:
        """Whether the last dimension holds the real and the imaginary part of complex numbers."""
        return self.form in ("complex", "conj")

    def negates(self, index: tuple[int, ...]) -> bool:
        """Whether the tensor shows an element with the other sign than its memory holds."""
        return self.form == "neg" or (self.form == "conj" and index[-1] == 1)

    @property
    def numel(self) -> int:
        n = 1
        for size in self.shape:
            n *= size
        return n

    def location(self, index: tuple[int, ...]) -> int:
        """Place of element `index` in the storage, counted in elements."""
        return self.offset + sum(i * s for i, s in zip(index, self.stride, strict=True))

    def extent(self) -> tuple[int, int]:
        """First and one-past-last storage place that the tensor can reach (strides are never negative in torch)."""
        if 0 in self.shape:
            return self.offset, self.offset
        return self.offset, self.offset + 1 + sum((n - 1) * s for n, s in zip(self.shape, self.stride, strict=True))

    def index_at(self, place: int) -> tuple[int, ...] | None:
        """The index of the element at storage place `place`, or None when this tensor does not cover it."""
        rest = place - self.offset
        if rest < 0 or 0 in self.shape:
            return None
        index = [0] * len(self.shape)
        for dim in sorted(range(len(self.shape)), key=lambda d: -self.stride[d]):
            if self.stride[dim] == 0 or self.shape[dim] == 1:
                continue
            index[dim] = min(rest // self.stride[dim], self.shape[dim] - 1)
            rest -= index[dim] * self.stride[dim]
        return tuple(index) if rest == 0 else None


@dataclass(frozen=True, slots=True)
class Ref:
    """An op argument that is a tensor: the id of its Value."""

    id: int


@dataclass(frozen=True, slots=True)
class Token:
    """An op argument that is a torch enumeration: `kind` is dtype, device, layout, memory_format or object."""

    kind: str
    text: str


Arg: TypeAlias = "Ref | Token | int | float | bool | str | complex | tuple[Arg, ...] | None"


@dataclass(frozen=True, slots=True)
class OptimizerParam:
    """One parameter in an optimizer's update: its Values before and after, its gradient, its state before and after.
    State entries are `(key, Ref or number)`."""

    before: int
    after: int
    grad: int | None
    state_before: tuple[tuple[str, Arg], ...]
    state_after: tuple[tuple[str, Arg], ...]


@dataclass(frozen=True, slots=True)
class OptimizerGroup:
    """One `param_groups` entry: hyperparameters and the parameters that have a gradient."""

    hyper: tuple[tuple[str, Arg], ...]
    params: tuple[OptimizerParam, ...]

    def get(self, key: str) -> Arg:
        return dict(self.hyper).get(key)


@dataclass(frozen=True, slots=True)
class OptimizerCall:
    """One `Optimizer.step` of torch's own optimizers, recorded by what went in and what came out; its inside is had by
    running it again on what went in, and is checked against what came out."""

    class_name: str
    groups: tuple[OptimizerGroup, ...]


@dataclass(frozen=True, slots=True)
class Op:
    """One ATen call (or one `OptimizerCall`). `index` counts ops over the run. `args` hold the Values *before* the op,
    `outputs` what it returned, `written` every Value whose memory it wrote. `node` is the autograd node that ran it
    (backward), `of_seq` that node's sequence number, and `made_seq` the sequence number of the node that this forward op
    created: equal numbers tie a backward op to its forward op. `grad` tells whether autograd was recording.
    `note` says what is special about it: `cast by autocast`, `recomputed by checkpointing`."""

    index: int
    name: str
    args: tuple[Arg, ...] = ()
    kwargs: tuple[tuple[str, Arg], ...] = ()
    outputs: tuple[int | None, ...] = ()
    written: tuple[int, ...] = ()
    phase: Phase = "other"
    module: str = ""
    source: Source | None = None
    node: str = ""
    of_seq: int = -1
    made_seq: int = -1
    grad: bool = False
    result: Arg = None
    rng: int | None = None
    optimizer: OptimizerCall | None = None
    optimizer_index: int = -1
    note: str = ""

    @property
    def kind(self) -> str:
        """The op without its overload: `aten.addmm.default` → `aten.addmm`."""
        return self.name.rpartition(".")[0] if self.name.count(".") > 1 else self.name

    def refs(self) -> list[int]:
        """Ids of the Values that the op was given, in order."""
        found: list[int] = []

        def walk(arg: Any) -> None:
            if isinstance(arg, Ref):
                found.append(arg.id)
            elif isinstance(arg, tuple):
                for each in arg:  # pyright: ignore[reportUnknownVariableType]
                    walk(each)

        walk(self.args)
        for _, arg in self.kwargs:
            walk(arg)
        if self.optimizer is not None:
            for group in self.optimizer.groups:
                for param in group.params:
                    found.append(param.before)
                    if param.grad is not None:
                        found.append(param.grad)
                    walk(tuple(arg for _, arg in param.state_before))
        return found


@dataclass(frozen=True, slots=True)
class Chunk:
    """Recorded content of a stretch `[start, stop)` (elements of `dtype`) of a storage at a version."""

    id: int
    storage: int
    version: int
    dtype: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """Content that was let go to stay within the budget: bytes `start` to `stop` of a storage at a version. `crc` is their
    CRC-32, by which the ops run again are checked; None where it is not known (an op of a step that is not kept wrote
    them, or nothing had written them yet)."""

    storage: int
    version: int
    start: int
    stop: int
    crc: int | None


@dataclass(frozen=True, slots=True)
class Name:
    """A name for a Value. `kind`: parameter, gradient, loss, prediction, input, target, module (a module's output),
    state (of an optimizer), variable (of the user's program), buffer."""

    text: str
    value: int
    kind: str
    of: str = ""


@dataclass(frozen=True)
class Step:
    """One optimizer update and what led to it. `number` is the row of the table; a step that the program did not finish
    (`complete` False) has no row. `first`..`last` are run-wide op indices, half open."""

    number: int
    first: int
    last: int
    complete: bool
    ops: tuple[Op, ...]
    values: dict[int, Value]
    chunks: tuple[Chunk, ...]
    names: tuple[Name, ...] = ()
    threads: int = 1
    notes: tuple[str, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    def op(self, index: int) -> Op:
        return self.ops[index - self.first]


@dataclass(frozen=True)
class StepInfo:
    """A line of the run's index: which ops a step spans and whether its values were kept."""

    number: int
    first: int
    last: int
    complete: bool
    kept: bool
    bytes: int = 0
    why_not: str = ""


@dataclass(frozen=True)
class RunInfo:
    """Where and how the run was made. `steps_option` and `budget` are the options that chose what was kept."""

    format_version: int = 1
    whygrad: str = ""
    torch: str = ""
    python: str = ""
    platform: str = ""
    cpu: str = ""
    threads: int = 1
    device: str = "cpu"
    seed: int | None = None
    script: str = ""
    argv: tuple[str, ...] = ()
    started: str = ""
    steps_option: str = "all"
    budget: int = 0
    status: str = "running"
    notes: tuple[str, ...] = ()
    extra: dict[str, str] = field(default_factory=dict[str, str])
