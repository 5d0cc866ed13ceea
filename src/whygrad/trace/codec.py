"""A Step as JSON, in two parts: its *structure*, which most steps of a run share to the byte, and its *head*,
the numbers that differ. So a loop of ten thousand steps is saved as one structure and ten thousand short
heads.

In the structure ops are counted from the step's first, Values and storages by their place in a list, versions
from the step's first op (negative: an earlier step; null: not written), autograd's sequence numbers from the
smallest; floats are places in the head's list. `docs/file-format.md` is the schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from whygrad.errors import RunFileError
from whygrad.trace.codec_read import Reader, read_names
from whygrad.trace.codec_read import read_arg as _read_arg
from whygrad.trace.model import (
    UNWRITTEN,
    Arg,
    Chunk,
    Dropped,
    Op,
    OptimizerCall,
    OptimizerGroup,
    OptimizerParam,
    Ref,
    Source,
    Step,
    Token,
    Value,
)

Json = dict[str, Any]


@dataclass
class _Encoder:
    step: Step
    ids: dict[int, int] = field(default_factory=dict[int, int])
    storages: dict[int, int] = field(default_factory=dict[int, int])
    floats: list[str] = field(default_factory=list[str])
    files: dict[str, int] = field(default_factory=dict[str, int])
    seq: int = 0

    def storage(self, storage: int) -> int:
        return self.storages.setdefault(storage, len(self.storages))

    def version(self, version: int) -> int | None:
        return None if version == UNWRITTEN else version - self.step.first

    def value(self, v: Value) -> list[Any]:
        row = [self.storage(v.storage), self.version(v.version), v.dtype, v.shape, v.stride, v.offset]
        if v.form:
            return [*row, v.device, v.form]
        return row if v.device == "cpu" else [*row, v.device]

    def float(self, number: float) -> int:
        self.floats.append(repr(number))
        return len(self.floats) - 1

    def arg(self, arg: Arg) -> Any:
        if arg is None or isinstance(arg, (bool, int, str)):
            return arg
        if isinstance(arg, float):
            return {"f": self.float(arg)}
        if isinstance(arg, complex):
            return {"c": [self.float(arg.real), self.float(arg.imag)]}
        if isinstance(arg, Ref):
            return {"v": self.ids[arg.id]}
        if isinstance(arg, Token):
            return {"t": [arg.kind, arg.text]}
        return [self.arg(each) for each in arg]

    def pairs(self, pairs: tuple[tuple[str, Arg], ...]) -> list[Any]:
        return [[key, self.arg(arg)] for key, arg in pairs]

    def source(self, source: Source) -> list[Any]:
        return [self.files.setdefault(source.file, len(self.files)), source.line, source.function]

    def op(self, op: Op) -> Json:
        """Fields that have their default are left out."""
        row: Json = {"op": op.name}
        if op.args:
            row["args"] = self.arg(op.args)
        if op.kwargs:
            row["kwargs"] = self.pairs(op.kwargs)
        if op.outputs:
            row["out"] = [None if each is None else self.ids[each] for each in op.outputs]
        if op.written:
            row["written"] = [self.ids[each] for each in op.written]
        row["phase"] = op.phase
        self.circumstances(op, row)
        if op.result is not None:
            row["result"] = self.arg(op.result)
        if op.rng is not None:
            row["rng"] = self.ids[op.rng]
        if op.optimizer is not None:
            groups = [self.group(group) for group in op.optimizer.groups]
            row["optimizer"] = [op.optimizer.class_name, groups]
        return row

    def circumstances(self, op: Op, row: Json) -> None:
        """Where the op ran: line, module, autograd node, optimizer."""
        if op.source is not None:
            row["at"] = self.source(op.source)
        for key, text in (("module", op.module), ("node", op.node), ("note", op.note)):
            if text:
                row[key] = text
        for key, seq in (("of", op.of_seq), ("made", op.made_seq)):
            if seq >= 0:
                row[key] = seq - self.seq
        if op.grad:
            row["grad"] = True
        if op.optimizer_index >= 0:
            row["region"] = op.optimizer_index

    def name(self, text: str) -> str | int:
        """A thing without a name is called after the op that made it, `op136`; steps are alike only when that
        counts from the step's first op."""
        if text.startswith("op") and text[2:].isascii() and text[2:].isdigit() and len(text) < 20:
            place = int(text[2:]) - self.step.first
            if place >= 0 and text == f"op{place + self.step.first}":
                return place
        return text

    def group(self, group: OptimizerGroup) -> list[Any]:
        params = [
            [
                self.ids[p.before],
                self.ids[p.after],
                None if p.grad is None else self.ids[p.grad],
                self.pairs(p.state_before),
                self.pairs(p.state_after),
            ]
            for p in group.params
        ]
        return [self.pairs(group.hyper), params]


def encode_step(step: Step) -> tuple[Json, Json]:
    """`(head, structure)`; `decode_step` makes the same Step of them. The Step must pass `check_step`."""
    seqs = [seq for op in step.ops for seq in (op.of_seq, op.made_seq) if seq >= 0]
    coder = _Encoder(step, {id: place for place, id in enumerate(step.values)}, seq=min(seqs, default=0))
    values = [coder.value(value) for value in step.values.values()]
    ops = [coder.op(op) for op in step.ops]
    first = step.chunks[0].id if step.chunks else 0
    chunks = [
        [c.id - first, coder.storage(c.storage), coder.version(c.version), c.dtype, c.start, c.stop]
        for c in step.chunks
    ]
    names = [[coder.name(n.text), coder.ids[n.value], n.kind, n.of] for n in step.names]
    structure: Json = {
        "files": list(coder.files),
        "values": values,
        "chunks": chunks,
        "names": names,
        "ops": ops,
    }
    if step.dropped:
        structure["dropped"] = [
            [coder.storage(d.storage), coder.version(d.version), d.start, d.stop] for d in step.dropped
        ]
    ids = list(step.values)
    whole = ids == list(range(ids[0], ids[0] + len(ids))) if ids else True
    head: Json = {
        "number": step.number,
        "first": step.first,
        "last": step.last,
        "complete": step.complete,
        "threads": step.threads,
        "notes": list(step.notes),
        "values": (ids[0] if ids else 0) if whole else ids,
        "chunks": first,
        "seq": coder.seq,
        "storages": list(coder.storages),
        "floats": coder.floats,
    }
    if step.dropped:
        head["dropped"] = [each.crc for each in step.dropped]
    return head, structure


@dataclass
class _Decoder:
    read: Reader
    first: int
    seq: int
    ids: list[int]
    storages: list[int]
    floats: list[float]
    files: list[str] = field(default_factory=list[str])

    def value(self, place: object) -> int:
        return self.ids[self.read.place(place, len(self.ids), "Value")]

    def version(self, version: object) -> int:
        return UNWRITTEN if version is None else self.read.int(version) + self.first

    def arg(self, arg: object) -> Arg:
        return _read_arg(self.read, arg, self.ids, self.floats)

    def pairs(self, pairs: object) -> tuple[tuple[str, Arg], ...]:
        if pairs == []:
            return ()
        rows = [self.read.row(pair, 2) for pair in self.read.list(pairs)]
        return tuple((self.read.str(key), self.arg(arg)) for key, arg in rows)

    def values(self, rows: object) -> dict[int, Value]:
        read, found = self.read, dict[int, Value]()
        table = read.list(rows)
        if len(table) != len(self.ids):
            raise read.fail(f"{len(self.ids)} Values were promised, {len(table)} are there")
        for id, raw in zip(self.ids, table, strict=True):
            row = read.row(raw, 6, 7, 8)
            found[id] = Value(
                id,
                self.storages[read.place(row[0], len(self.storages), "storage")],
                self.version(row[1]),
                read.str(row[2]),
                read.ints(row[3]),
                read.ints(row[4]),
                read.int(row[5]),
                read.str(row[6]) if len(row) > 6 else "cpu",
                read.form(row[7]) if len(row) > 7 else "",
            )
        return found

    def chunks(self, rows: object, base: int) -> tuple[Chunk, ...]:
        read, found = self.read, list[Chunk]()
        for raw in read.list(rows):
            row = read.row(raw, 6)
            found.append(
                Chunk(
                    read.int(row[0]) + base,
                    self.storages[read.place(row[1], len(self.storages), "storage")],
                    self.version(row[2]),
                    read.str(row[3]),
                    read.int(row[4]),
                    read.int(row[5]),
                )
            )
        return tuple(found)

    def dropped(self, rows: object, crcs: object) -> tuple[Dropped, ...]:
        read, found = self.read, list[Dropped]()
        prints = read.list(crcs)
        if len(prints) != len(read.list(rows)):
            raise read.fail(f"{len(prints)} CRCs of dropped contents, and {len(read.list(rows))} places")
        for raw, crc in zip(read.list(rows), prints, strict=True):
            row = read.row(raw, 4)
            found.append(
                Dropped(
                    self.storages[read.place(row[0], len(self.storages), "storage")],
                    self.version(row[1]),
                    read.int(row[2]),
                    read.int(row[3]),
                    None if crc is None else read.int(crc),
                )
            )
        return tuple(found)

    def source(self, at: object) -> Source | None:
        if at is None:
            return None
        file, line, function = self.read.row(at, 3)
        name = self.files[self.read.place(file, len(self.files), "file")]
        return Source(name, self.read.int(line), self.read.str(function))

    def op(self, raw: object, index: int) -> Op:
        read = self.read
        row = read.dict(raw)
        args = self.arg(row.get("args", []))
        if not isinstance(args, tuple):
            raise read.fail("an op's arguments are no list")
        outputs = [None if each is None else self.value(each) for each in read.list(row.get("out", []))]
        seqs = [self.seq + read.int(row[key]) if key in row else -1 for key in ("of", "made")]
        return Op(
            index,
            read.str(row.get("op")),
            args,
            self.pairs(row.get("kwargs", [])),
            tuple(outputs),
            tuple(self.value(each) for each in read.list(row.get("written", []))),
            read.phase(row.get("phase")),
            read.str(row.get("module", "")),
            self.source(row.get("at")),
            read.str(row.get("node", "")),
            seqs[0],
            seqs[1],
            read.bool(row.get("grad", False)),
            self.arg(row.get("result")),
            None if row.get("rng") is None else self.value(row["rng"]),
            self.optimizer(row.get("optimizer")),
            read.int(row.get("region", -1)),
            read.str(row.get("note", "")),
        )

    def optimizer(self, raw: object) -> OptimizerCall | None:
        if raw is None:
            return None
        name, groups = self.read.row(raw, 2)
        return OptimizerCall(self.read.str(name), tuple(self.group(group) for group in self.read.list(groups)))

    def group(self, raw: object) -> OptimizerGroup:
        hyper, params = self.read.row(raw, 2)
        return OptimizerGroup(self.pairs(hyper), tuple(self.param(param) for param in self.read.list(params)))

    def param(self, raw: object) -> OptimizerParam:
        before, after, grad, state_before, state_after = self.read.row(raw, 5)
        return OptimizerParam(
            self.value(before),
            self.value(after),
            None if grad is None else self.value(grad),
            self.pairs(state_before),
            self.pairs(state_after),
        )


def decode_step(head: object, structure: object, where: str) -> Step:
    """The Step of a head and a structure as they came out of JSON. `where` begins the message of the
    RunFileError that is raised when either is not what `encode_step` makes."""
    read = Reader(where)
    top, body = read.dict(head), read.dict(structure)
    table = read.list(body.get("values"))
    ids = top.get("values")
    ids = [ids + i for i in range(len(table))] if type(ids) is int else list(read.ints(ids))
    first = read.int(top.get("first"))
    coder = _Decoder(
        read,
        first,
        read.int(top.get("seq")),
        ids,
        list(read.ints(top.get("storages"))),
        read.floats(top.get("floats")),
        [read.str(each) for each in read.list(body.get("files"))],
    )
    try:
        values = coder.values(table)
        ops = tuple(coder.op(raw, first + i) for i, raw in enumerate(read.list(body.get("ops"))))
    except RecursionError:
        raise RunFileError(f"{where}: arguments are nested too deeply.") from None
    chunks = coder.chunks(body.get("chunks"), read.int(top.get("chunks")))
    names = tuple(read_names(read, body.get("names"), ids, first))
    notes = tuple(read.str(each) for each in read.list(top.get("notes")))
    return Step(
        read.int(top.get("number")),
        first,
        read.int(top.get("last")),
        read.bool(top.get("complete")),
        ops,
        values,
        chunks,
        names,
        read.int(top.get("threads")),
        notes,
        coder.dropped(body.get("dropped", []), top.get("dropped", [])),
    )
