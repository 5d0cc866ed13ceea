"""The tape and its undo log: every tensor's content, as it was at every op."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whygrad.capture.freeze import Freezer, FrozenStep, content_at
from whygrad.capture.raw import RawStep
from whygrad.capture.tape import Before, Tape, Writes
from whygrad.trace.model import Ref


def frozen(tape: Tape) -> FrozenStep:
    step = RawStep(0, 0, tape.events, last=len(tape.events))
    return Freezer(tape.writes).freeze(step)


def numbers(found: FrozenStep, value_id: int) -> list[float]:
    value = found.values[value_id]
    for chunk in found.chunks:
        start, stop = value.extent()
        same = (chunk.storage, chunk.version, chunk.dtype) == (value.storage, value.version, value.dtype)
        if same and chunk.start <= start and stop <= chunk.stop:
            flat = found.contents[chunk.id].view(np.dtype(value.dtype))[value.offset - chunk.start :]
            strides = tuple(s * flat.itemsize for s in value.stride)
            return np.lib.stride_tricks.as_strided(flat, value.shape, strides).ravel().tolist()
    raise AssertionError("no chunk")


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 8), st.integers(-9, 9)), min_size=1, max_size=12))
def test_operands_show_the_moment(writes: list[tuple[int, int, int]]) -> None:
    """Random writes to random windows, each followed by a read of the whole."""
    base = torch.zeros(8)
    expected: list[list[float]] = []
    with Tape() as tape:
        for start, length, number in writes:
            base[start : start + length].fill_(number)
            expected.append([float(x) for x in base.numpy()])
            base.sum()
    found = frozen(tape)
    reads = [op for op in found.ops if op.name == "aten.sum.default"]
    assert [numbers(found, op.refs()[0]) for op in reads] == expected


def test_geometry_changed_in_place_shows_as_it_was() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    with Tape() as tape:
        x.sum()
        x.t_()
        x.sum()
    found = frozen(tape)
    shapes = [found.values[op.refs()[0]].shape for op in found.ops if op.name == "aten.sum.default"]
    assert shapes == [(2, 3), (3, 2)]


def test_views_share_memory_and_need_no_copy() -> None:
    x = torch.arange(6.0)
    with Tape() as tape:
        (x + 1).reshape(2, 3).t()[1].mul(2)
    found = frozen(tape)
    add, mul = (next(op for op in found.ops if op.kind == kind) for kind in ("aten.add", "aten.mul"))
    made, read = found.values[add.written[0]], found.values[mul.refs()[0]]
    assert (read.storage, read.version) == (made.storage, add.index)
    assert [made.index_at(read.location((i,))) for i in range(2)] == [(1,), (4,)]
    assert numbers(found, read.id) == [2.0, 5.0]


def test_uninitialised_memory_has_no_numbers() -> None:
    with Tape() as tape:
        torch.empty(3).fill_(4)
    found = frozen(tape)
    empty = next(op for op in found.ops if op.kind == "aten.empty")
    fill = next(op for op in found.ops if op.kind == "aten.fill_")
    assert numbers(found, fill.written[0]) == [4, 4, 4]
    chunks = {(c.storage, c.version) for c in found.chunks}
    assert isinstance(fill.args[0], Ref)
    before = found.values[fill.args[0].id]
    assert before.id == empty.outputs[0] and (before.storage, before.version) not in chunks


def test_forgetting_keeps_what_a_waiting_step_needs() -> None:
    x = torch.zeros(2)
    key = x.untyped_storage()._cdata
    writes = Writes()
    for index in (1, 5, 8):
        writes.add(key, Before(index, None, torch.full((2,), float(index))))
    writes.forget(4, 10, {key}, kept_until=4)
    assert [before.index for before in writes.log[key]] == [1, 5]
    content = content_at(x, 3, writes)
    assert content is not None and content.view(torch.float32).tolist() == [5, 5]
    writes.forget(0, 10, {key}, None)
    assert key not in writes.log


def test_a_failing_op_leaves_no_event() -> None:
    with Tape() as tape:
        with pytest.raises(RuntimeError):
            torch.dot(torch.ones(2), torch.ones(3))
        torch.ones(1)
    names = [event.info.name for event in tape.events]
    assert names.count("aten.ones.default") == 3 and "aten.dot.default" not in names
