"""The saved run: what goes in comes out, to the bit, and nothing else is ever believed."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as load_safetensors

from whygrad.errors import RunFileError
from whygrad.trace.file import VERSION, RunWriter, open_run, save_run
from whygrad.trace.file_zip import ZipReader, ZipWriter
from whygrad.trace.history import Column
from whygrad.trace.invariants import check_step
from whygrad.trace.model import (
    UNWRITTEN,
    Chunk,
    Name,
    Op,
    OptimizerCall,
    OptimizerGroup,
    OptimizerParam,
    Ref,
    RunInfo,
    Source,
    Step,
    StepInfo,
    Token,
    Value,
)
from whygrad.trace.statistics import ABSENT
from whygrad.trace.store import Trace

SRC = Path(__file__).resolve().parents[2] / "src"
Contents = dict[int, np.ndarray[Any, Any]]
LOSS = Column("loss", "loss", "float32", "loss")
WEIGHT = Column("weight", "parameter", "float32", "weight[0,0]")


def a_step(number: int, before: int = UNWRITTEN) -> tuple[Step, Contents]:
    """Three ops: `loss = x * w` broadcast, its backward, and an SGD update of w. Storage 0 is w, 1 is x."""
    first, base = 10 * number, 100 * number
    ids = range(base, base + 6)
    w, x, y, loss, grad, after = (
        Value(ids[0], 0, before, "float32", (2, 2), (2, 1), 0),
        Value(ids[1], 1, UNWRITTEN, "bfloat16", (2, 2), (0, 1), 1),
        Value(ids[2], base + 2, first, "float32", (2, 2), (2, 1), 0),
        Value(ids[3], base + 3, first + 1, "float32", (), (), 0),
        Value(ids[4], base + 4, first + 1, "float32", (2, 2), (2, 1), 0),
        Value(ids[5], 0, first + 2, "float32", (2, 2), (2, 1), 0),
    )
    where = Source("train.py", 7, "<module>")
    mul = Op(
        first,
        "aten.mul.Tensor",
        (Ref(w.id), Ref(x.id)),
        (("dtype", Token("dtype", "float32")),),
        (y.id,),
        (y.id,),
        "forward",
        "fc",
        where,
        "",
        -1,
        40 + number,
        True,
    )
    odd = (float("inf"), float("-inf"), float("nan"), -0.0, 1 + 2j, None, True, -3, "text", ((), (1, (2.5,))))
    total = Op(
        first + 1,
        "aten.sum.default",
        (Ref(y.id), odd[:2]),
        (),
        (loss.id, None, grad.id),
        (loss.id, grad.id),
        "loss",
        "",
        None,
        "SumBackward0",
        40 + number,
        -1,
        False,
        odd[4:],
    )
    param = OptimizerParam(w.id, after.id, grad.id, (("step", 1.0),), (("momentum", Ref(y.id)),))
    call = OptimizerCall("SGD", (OptimizerGroup((("lr", 0.1), ("betas", (0.9, 0.999))), (param,)),))
    update = Op(
        first + 2,
        "optimizer.step",
        (),
        (),
        (after.id,),
        (after.id,),
        "optimizer",
        optimizer=call,
        optimizer_index=0,
        rng=None,
    )
    chunks = tuple(
        Chunk(base + i, v.storage, v.version, v.dtype, *v.extent()) for i, v in enumerate((w, x, y, loss, grad, after))
    )
    names = (
        Name("loss", loss.id, "loss"),
        Name(f"op{first}", y.id, "gradient", "activation"),
        Name("op7", x.id, "variable"),
    )
    step = Step(
        number,
        first,
        first + 3,
        True,
        (mul, total, update),
        {v.id: v for v in (w, x, y, loss, grad, after)},
        chunks,
        names,
        2,
        ("a note",),
    )
    rng = np.random.default_rng(number)
    sizes = {chunk.id: (chunk.stop - chunk.start) * (2 if chunk.dtype == "bfloat16" else 4) for chunk in chunks}
    contents = {id: rng.integers(0, 256, size, dtype=np.uint8) for id, size in sizes.items()}
    contents[base] = weights(number)
    contents[base + 1] = np.arange(4, dtype=np.uint8)
    contents[base + 5] = weights(number + 1)
    del contents[base + 4]  # uninitialised memory has no content
    return step, contents


def weights(number: int) -> np.ndarray[Any, Any]:
    """Bytes of w before step `number`."""
    return np.random.default_rng(1000 + number).standard_normal(4).astype(np.float32).view(np.uint8)


STEPS = 3
INFO = RunInfo(
    whygrad="0.1.0", torch="2.13", threads=2, seed=7, argv=("train.py", "--lr", "0.1"), extra={"gpu": "none"}
)


def all_steps() -> list[tuple[Step, Contents]]:
    return [a_step(n, UNWRITTEN if n == 0 else 10 * (n - 1) + 2) for n in range(STEPS)]


def write_run(path: Path, close: bool = True) -> None:
    writer = RunWriter(path, INFO)
    for step, contents in all_steps():
        writer.write_step(step, contents, StepInfo(step.number, step.first, step.last, True, True))
        writer.write_rows([(step.number, [(LOSS, 0.1 * step.number), (WEIGHT, float("nan"))])])
        writer.write_index()
    writer.write_index([StepInfo(STEPS, 10 * STEPS, 10 * STEPS + 4, False, False, 0, "budget")])
    writer.note("numpy wrote")
    if close:
        writer.close("ok")
    else:
        writer.abandon()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "train.why"
    write_run(path)
    return path


def same(step: Step, other: Step) -> bool:
    """Equal, nan included."""
    return repr(step) == repr(other)


def check_whole(trace: Trace) -> None:
    """Every step, number and row of the run is as it was written; the run may end early."""
    written = all_steps()
    for info in trace.index:
        if not info.kept:
            continue
        found = trace.step(info.number)
        step, contents = written[info.number]
        assert same(found, step)
        for chunk in step.chunks:
            data = trace.source.load_chunk(info.number, chunk)
            expected = contents.get(chunk.id)
            assert (data is None) == (expected is None)
            if data is not None and expected is not None:
                assert data.tobytes() == expected.tobytes()
    for number, row in zip(trace.history.steps, trace.history.rows, strict=True):
        assert row["loss"] == 0.1 * number
        assert row["weight"] != row["weight"]


def test_a_run_comes_back_as_it_was(saved: Path) -> None:
    trace = open_run(saved)
    check_whole(trace)
    assert [(info.number, info.kept, info.why_not) for info in trace.index] == [
        (0, True, ""),
        (1, True, ""),
        (2, True, ""),
        (3, False, "budget"),
    ]
    assert trace.info == replace(INFO, format_version=VERSION, status="ok", notes=("numpy wrote",))
    assert trace.history.columns == [LOSS, WEIGHT]
    assert trace.history.steps == [0, 1, 2]


def test_what_stays_the_same_is_written_once(saved: Path) -> None:
    trace = open_run(saved)
    # w before step 1 is w after step 0, and x never changes: 16 + 4 bytes are not written again.
    assert [info.bytes for info in trace.index] == [16 + 4 + 16 + 4 + 16, 16 + 4 + 16, 16 + 4 + 16, 0]
    with zipfile.ZipFile(saved) as file:
        structures = [name for name in file.namelist() if name.startswith("structures/")]
    assert len(structures) == 2, "the first step reads an unwritten weight; all others are alike"


def test_a_write_that_no_op_made_is_not_taken_for_the_same(tmp_path: Path) -> None:
    """Memory and version are those of the step before, the bytes are not (numpy wrote)."""
    writer = RunWriter(tmp_path / "a.why", INFO)
    (first, contents), (second, changed) = all_steps()[:2]
    changed[100] = changed[100].copy()
    changed[100][3] ^= 1
    for step, data in ((first, contents), (second, changed)):
        writer.write_step(step, data, StepInfo(step.number, step.first, step.last, True, True))
    writer.close()
    trace = open_run(tmp_path / "a.why")
    found = trace.source.load_chunk(1, second.chunks[0])
    assert found is not None
    assert found.tobytes() == changed[100].tobytes()


def test_values_members_are_safetensors(saved: Path) -> None:
    with zipfile.ZipFile(saved) as file:
        assert file.testzip() is None
        assert file.infolist()[0].filename == "whygrad.json"
        arrays = load_safetensors(file.read("values/1.safetensors"))
    step, contents = all_steps()[1]
    assert sorted(arrays) == ["102", "103", "105"]
    assert arrays["102"].dtype == np.float32
    assert arrays["102"].tobytes() == contents[102].tobytes()
    assert step.chunks[2].id == 102


def test_reading_needs_no_torch(saved: Path) -> None:
    program = (
        "import sys; from whygrad.trace.file import open_run; t = open_run(sys.argv[1]); t.step(1); t.history.rows;"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(saved)], cwd=SRC, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_run_that_was_not_closed_opens(tmp_path: Path) -> None:
    write_run(tmp_path / "a.why", close=False)
    trace = open_run(tmp_path / "a.why")
    check_whole(trace)
    assert len(trace.index) == STEPS + 1
    assert trace.info.status == "killed"


def test_a_run_that_is_being_written_says_so(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    writer = RunWriter(tmp_path / "a.why", INFO)
    assert open_run(tmp_path / "a.why").info.status == "running"
    writer.abandon()
    assert open_run(tmp_path / "a.why").info.status == "killed"


def test_every_whole_step_of_a_file_that_breaks_off_is_there(tmp_path: Path) -> None:
    write_run(tmp_path / "a.why", close=False)
    whole = (tmp_path / "a.why").read_bytes()
    reader = ZipReader(tmp_path / "a.why")
    ends = {n: reader.located(f"steps/{n}.json") for n in range(STEPS)}
    start = reader.located("info/0.json")
    for cut in range(start.data + start.packed, len(whole), 97):
        (tmp_path / "b.why").write_bytes(whole[:cut])
        trace = open_run(tmp_path / "b.why")
        check_whole(trace)
        written = [n for n, member in ends.items() if member.data + member.packed <= cut]
        assert [info.number for info in trace.index if info.kept] == written


def test_many_rows_are_few_members(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "a.why", INFO)
    for n in range(700):
        writer.write_rows([(n, [(LOSS, float(n))] if n % 2 else [(WEIGHT, -0.0)])])
        writer.write_index([StepInfo(n, n, n + 1, True, False)])
    writer.abandon()
    trace = open_run(tmp_path / "a.why")
    assert trace.history.steps == list(range(700))
    assert trace.history.column("loss") == [float(n) if n % 2 else None for n in range(700)]
    assert trace.history.columns == [LOSS, WEIGHT]
    assert [info.number for info in trace.index] == list(range(700))


def test_any_run_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    trace = open_run(saved)
    save_run(trace, tmp_path / "b.why")
    again = open_run(tmp_path / "b.why")
    check_whole(again)
    assert again.info == trace.info
    assert again.index == trace.index
    assert again.history.columns == trace.history.columns
    assert [path.name for path in tmp_path.iterdir()] == ["b.why"]
    save_run(again, tmp_path / "b.why")
    check_whole(open_run(tmp_path / "b.why"))


# ---- files that are none of ours


def one_line(error: RunFileError) -> None:
    assert "\n" not in str(error)


def fails(path: Path) -> str:
    with pytest.raises(RunFileError) as caught:
        check_whole(open_run(path))
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text


def test_no_file(tmp_path: Path) -> None:
    assert "No such file" in fails(tmp_path / "none.why")
    assert "cannot be read" in fails(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"import torch\n", "is not a saved run"),
        (b"PK", "is not a saved run"),
        (b"\x80\x04\x95" + bytes(60), "is not a saved run"),
        (b"PK\x03\x04" + bytes(26) + b"whyg", "breaks off"),
    ],
)
def test_foreign_files(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a.why").write_bytes(content)
    assert says in fails(tmp_path / "a.why")


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.why", "w") as file:
        file.writestr("word/document.xml", "<xml/>" * 20)
    assert "a ZIP file, but not a saved run" in fails(tmp_path / "a.why")


def rewritten(saved: Path, path: Path, changes: dict[str, Any], names: dict[str, str] | None = None) -> Path:
    """The run with some members replaced (JSON by what a function makes of it), every CRC right."""
    writer = ZipWriter(path)
    with zipfile.ZipFile(saved) as file:
        for member in file.infolist():
            raw = file.read(member)
            change = changes.get(member.filename)
            if callable(change):
                raw = json.dumps(change(json.loads(raw))).encode()
            elif change is not None:
                raw = change
            writer.add((names or {}).get(member.filename, member.filename), [raw])
    writer.close()
    return path


def put(*path_and_value: Any) -> Callable[[Any], Any]:
    """A function that puts a value into a tree of lists and objects."""
    *path, last, value = path_and_value

    def change(tree: Any) -> Any:
        inner = tree
        for key in path:
            inner = inner[key]
        inner[last] = value
        return tree

    return change


DEEP = b"[" * 100_000 + b"]" * 100_000
STRUCTURE = "structures/1.json"
HOSTILE: list[tuple[str, Any, str]] = [
    ("whygrad.json", put("version", VERSION + 1), "newer version"),
    ("whygrad.json", put("version", "1"), "expected a whole number"),
    ("whygrad.json", put("version", 0), "never was"),
    ("whygrad.json", put("format", "x"), "is not a saved run"),
    ("whygrad.json", b"{", "cannot be parsed"),
    ("whygrad.json", b"\xff\xfe", "cannot be parsed"),
    ("whygrad.json", DEEP, "nested too deeply"),
    ("info/2.json", DEEP, ""),
    ("index/0-4.json", b"7", "expected a list"),
    ("index/0-4.json", put(0, 1, 10**30), "expected a whole number"),
    ("index/0-4.json", b"[[1" + b"0" * 5000 + b"]]", "cannot be parsed"),
    ("index/0-4.json", put(0, 2, 25), "overlap"),
    ("index/0-4.json", put(0, 2, -1), "cannot span"),
    ("index/0-4.json", put(3, 4, True), "steps/3.json is missing"),
    ("steps/1.json", put("structure", 77), "structures/77.json is missing"),
    ("steps/1.json", put("structure", "../x"), "expected a whole number"),
    ("steps/1.json", put("number", 2), "is not the step"),
    ("steps/1.json", put("floats", ["x"]), "no number"),
    ("steps/1.json", put("floats", []), "no constant"),
    ("steps/1.json", put("values", [1]), "Values were promised"),
    ("steps/1.json", put("storages", []), "no storage"),
    ("steps/1.json", put("at", [[0, 5, 5]]), "cannot be those of step 5"),
    ("steps/1.json", put("at", [[0, 0, 999]]), "missing"),
    ("steps/1.json", put("at", [[0, 0, 3]]), "should have 16 bytes"),
    ("steps/1.json", put("without", [99]), "no chunk"),
    ("steps/1.json", put("without", []), "missing"),
    (STRUCTURE, put("values", 0, 2, "float99"), "unknown dtype"),
    (STRUCTURE, put("values", 0, 3, [2**50, 2]), "larger than any tensor"),
    (STRUCTURE, put("values", 1, 3, [2**30, 2**30]), "larger than any tensor"),
    (STRUCTURE, put("values", 0, 4, [2**38, 1]), "lies only in part"),
    (STRUCTURE, put("values", 0, 4, [-1, 1]), "negative"),
    (STRUCTURE, put("values", 0, 4, [1]), "strides"),
    (STRUCTURE, put("values", 0, 5, -5), "negative"),
    (STRUCTURE, put("values", 0, 5, 2), "lies only in part"),
    (STRUCTURE, put("chunks", 0, 5, 2**62), "runs from"),
    (STRUCTURE, put("chunks", 2, 5, 3), "lies only in part"),
    (STRUCTURE, put("ops", 0, "args", 0, "v", 88), "no Value number 88"),
    (STRUCTURE, put("ops", 0, "args", 0, {"x": 1}), "expected an argument"),
    (STRUCTURE, put("ops", 0, "phase", "sleep"), "expected a phase"),
    (STRUCTURE, put("ops", 0, "phase", []), "expected a phase"),
    (STRUCTURE, put("ops", 0, "written", [0]), "whose version says"),
    (STRUCTURE, put("ops", []), "it has 0 ops"),
    (STRUCTURE, put("names", 0, 1, 600), "no Value"),
    (STRUCTURE, b"null", "expected an object"),
    (STRUCTURE, b'{"values": NaN}', "cannot be parsed"),
    ("values/1.safetensors", b"short", "no safetensors"),
    ("values/1.safetensors", struct.pack("<Q", 2**60) + b"{}", "longer than it"),
    ("values/1.safetensors", struct.pack("<Q", 2) + b"{}", "expected an object"),
    ("history/0-3.arrow", b"ARROW", "is no table"),
]


@pytest.mark.parametrize(("member", "change", "says"), HOSTILE)
def test_hostile_members(saved: Path, tmp_path: Path, member: str, change: Any, says: str) -> None:
    path = rewritten(saved, tmp_path / "a.why", {member: change})
    if says:
        assert says in fails(path)
    else:
        check_whole(open_run(path))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "steps/../x.json", "C:\\x", "notes.txt"])
def test_names_that_no_run_has(saved: Path, tmp_path: Path, name: str) -> None:
    path = rewritten(saved, tmp_path / "a.why", {}, {"structures/0.json": name})
    assert "which no run has" in fails(path)


def test_a_bomb_does_not_unpack(tmp_path: Path) -> None:
    """Small members that promise little and unpack to a lot, or promise a lot."""
    for promised in (100, 1 << 40):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = packer.compress(bytes(1 << 24)) + packer.flush()
        name = b"whygrad.json"
        head = struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0, 8, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), 20)
        (tmp_path / "a.why").write_bytes(head + name + struct.pack("<HHQQ", 1, 16, promised, len(packed)) + packed)
        assert "unpack" in fails(tmp_path / "a.why")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_noticed_or_harmless(saved: Path, tmp_path: Path, data: st.DataObject) -> None:
    raw = bytearray(saved.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(raw))))
    (tmp_path / "a.why").write_bytes(raw[:cut])
    try:
        check_whole(open_run(tmp_path / "a.why"))
    except RunFileError as error:
        one_line(error)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 12),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.lists(st.integers(-2, 9), max_size=4),
)


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in a tree of JSON."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [each for key, inner in inside for each in [(*path, key), *leaves(inner, (*path, key))]]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_wrong_json_with_right_crcs_never_crashes(saved: Path, tmp_path: Path, data: st.DataObject) -> None:
    member = data.draw(st.sampled_from([STRUCTURE, "steps/1.json", "index/0-4.json", "info/2.json", "whygrad.json"]))
    with zipfile.ZipFile(saved) as file:
        tree = json.loads(file.read(member))
    path = data.draw(st.sampled_from(leaves(tree)))
    change = put(*path, data.draw(JUNK))
    target = tmp_path / "a.why"
    target.unlink(missing_ok=True)
    rewritten(saved, target, {member: change})
    try:
        trace = open_run(target)
        for info in trace.index:
            if info.kept:
                step = trace.step(info.number)
                for value in step.values.values():
                    read_all(trace, step, value)
    except RunFileError as error:
        one_line(error)


def read_all(trace: Trace, step: Step, value: Value) -> None:
    from whygrad.errors import ValueDropped

    try:
        found = trace.content(step, value)
    except ValueDropped:
        return
    assert found.shape == value.shape
    if value.numel < 1 << 20:
        found.copy()


# ---- the check itself


def test_a_step_that_cannot_be_is_not_written(tmp_path: Path) -> None:
    step, contents = a_step(0)
    check_step(step)
    wrong = replace(step, chunks=(*step.chunks, replace(step.chunks[0], id=77)))
    writer = RunWriter(tmp_path / "a.why", INFO)
    with pytest.raises(RunFileError, match="overlap"):
        writer.write_step(wrong, contents, StepInfo(0, 0, 3, True, True))
    writer.abandon()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: replace(s, first=1), "ops"),
        (lambda s: replace(s, ops=(*s.ops[:2], replace(s.ops[2], index=9))), "in the place of"),
        (lambda s: replace(s, names=(Name("a", 999, "loss"),)), "stands for no Value"),
        (lambda s: replace(s, values={**s.values, 0: replace(s.values[0], version=3)}), "did not run before"),
        (lambda s: replace(s, values={k: v for k, v in s.values.items() if k != 2}), "does not have"),
        (lambda s: replace(s, values={**s.values, 0: replace(s.values[0], id=1)}), "is listed as"),
        (lambda s: replace(s, chunks=(s.chunks[0], s.chunks[0])), "twice"),
    ],
)
def test_what_cannot_be_is_said(change: Callable[[Step], Step], says: str) -> None:
    with pytest.raises(RunFileError, match=says):
        check_step(change(a_step(0)[0]))


def test_nothing_is_ever_unpickled() -> None:
    for path in (SRC / "whygrad" / "trace").glob("*.py"):
        assert not re.search(
            r"\bpickle\b|\bmarshal\b|\beval\(|\bexec\(|allow_pickle|torch\.load", path.read_text("utf-8")
        ), path


def test_statistics_in_pieces(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "a.why", INFO)
    for step in range(40):
        writer.write_statistics([(step, {"w": (float(step), ABSENT, 0.5, 0.0, 0.0)})])
    writer.abandon()
    found = open_run(tmp_path / "a.why").statistics
    assert found.steps == list(range(40)) and found.column("w", "grad_norm") == [float(n) for n in range(40)]
    assert found.column("w", "update_ratio") == [None] * 40


def test_a_run_of_version_1_has_no_statistics(saved: Path, tmp_path: Path) -> None:
    trace = open_run(rewritten(saved, tmp_path / "a.why", {"whygrad.json": put("version", 1)}))
    check_whole(trace)
    assert trace.statistics.rows == []


def test_a_table_in_place_of_statistics(saved: Path, tmp_path: Path) -> None:
    names = {"history/0-3.arrow": "statistics/0-3.arrow"}
    with pytest.raises(RunFileError, match="statistics are damaged"):
        _ = open_run(rewritten(saved, tmp_path / "a.why", {}, names)).statistics
