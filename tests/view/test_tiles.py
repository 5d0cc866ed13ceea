"""Tiles of a tensor, compared with the tensor itself."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import whygrad
from whygrad.errors import AddressError, StepNotKept
from whygrad.floats import FORMATS
from whygrad.run import Run
from whygrad.view import matrices, tiles
from whygrad.view.blocks import block_maxima, difference, keys_of, largest_keys, numbers_of

Array = np.ndarray[Any, Any]


def trained(model: nn.Module, x: torch.Tensor, lr: float = 0.1, steps: int = 2) -> Run:
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    with whygrad.record() as run:
        for _ in range(steps):
            loss = model(x).float().square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return run


def cells_of(tile: dict[str, Any]) -> Array:
    raw = base64.b64decode(tile["cells"])
    return np.frombuffer(raw, np.int8).reshape(tile["rows"], tile["columns"])


@pytest.fixture(scope="module")
def wide() -> tuple[Run, nn.Embedding]:
    """An embedding of 130 × 200, which holds an infinity and a NaN in rows that are not used."""
    torch.manual_seed(0)
    layer = nn.Embedding(130, 200)
    with torch.no_grad():
        layer.weight[7, 11], layer.weight[129, 199] = math.inf, math.nan
    run = trained(layer, torch.tensor([0, 1]), steps=1)
    return run, layer


# ---- the largest in size of each block


@given(st.data(), st.sampled_from([*FORMATS, "int64", "bool"]))
@settings(max_examples=80)
def test_block_maxima_are_those_of_a_loop(data: st.DataObject, fmt: str) -> None:
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    per_cell = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    count = shape[0] * shape[1]
    kind = np.dtype(fmt) if fmt in ("int64", "bool") else FORMATS[fmt].numpy_dtype
    if fmt in FORMATS:
        bits = data.draw(st.lists(st.integers(0, 2 ** (8 * kind.itemsize) - 1), min_size=count, max_size=count))
        matrix = np.array(bits, f"uint{8 * kind.itemsize}").view(kind).reshape(shape)
    else:
        matrix = (
            np.array(data.draw(st.lists(st.integers(0, 9), min_size=count, max_size=count))).astype(kind).reshape(shape)
        )
    keys = keys_of(fmt)
    found, largest = block_maxima(lambda r, c: matrix[r, c], shape, per_cell, keys)
    numbers = numbers_of(found, keys)
    wide = matrix.astype(np.float64)
    for i in range(found.shape[0]):
        for j in range(found.shape[1]):
            rows, columns = (slice(k * per, (k + 1) * per) for k, per in zip((i, j), per_cell, strict=True))
            block = wide[rows, columns]
            if np.isfinite(block).all():
                assert abs(numbers[i, j]) == np.abs(block).max()
                assert numbers[i, j] in block
            else:
                assert found[i, j] >= keys.limit
    finite = np.abs(wide[np.isfinite(wide)])
    assert abs(numbers_of(np.array([largest], found.dtype), keys)[0]) == (finite.max() if finite.size else 0)


def test_a_matrix_is_read_in_windows_that_cover_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whygrad.view.blocks._AT_ONCE", 50)
    seen = np.zeros((13, 41), np.int64)
    numbers = np.random.default_rng(0).normal(size=seen.shape)

    def read(rows: slice, columns: slice) -> Array:
        seen[rows, columns] += 1
        assert seen[rows, columns].size <= 50
        return numbers[rows, columns]

    cells, _ = block_maxima(read, (13, 41), (5, 4), keys_of("float64"))
    assert (seen == 1).all()
    assert cells.shape == (3, 11)
    assert np.abs(numbers_of(cells, keys_of("float64"))).max() == np.abs(numbers).max()


@pytest.mark.parametrize("fmt", ["bfloat16", "float16", "float32", "float64", "int64"])
def test_a_difference_of_small_numbers_is_exact(fmt: str) -> None:
    kind = np.dtype(fmt) if fmt == "int64" else FORMATS[fmt].numpy_dtype
    after, before = np.array([[3, -5, 7]]).astype(kind), np.array([[1, 2, 7]]).astype(kind)
    assert difference(after, before).tolist() == [[2.0, -7.0, 0.0]]


# ---- tiles


def test_the_whole_is_at_most_64_by_64_cells(wide: tuple[Run, nn.Embedding]) -> None:
    run, layer = wide
    tile = tiles.tile(run, "weight", "value", 0, 0, 0, 0)
    assert (tile["shape"], tile["perCell"], tile["rows"], tile["columns"]) == ([130, 200], [3, 4], 44, 50)
    assert tile["texts"] is None
    cells, weight = cells_of(tile), layer.weight.detach().numpy()
    assert cells[7 // 3, 11 // 4] == cells[43, 49] == -128
    assert (cells == -128).sum() == 2
    finite = np.where(np.isfinite(weight), weight, 0)
    scale = float(np.abs(finite).max())
    assert tile["scale"] == f"{scale:.9g}" or float(tile["scale"]) == pytest.approx(scale, rel=1e-7)
    block = finite[0:3, 0:4]
    extreme = block.reshape(-1)[np.abs(block).argmax()]
    assert abs(cells[0, 0] - 127 * extreme / scale) <= 1


def test_zooms_lead_to_texts_that_are_the_elements(wide: tuple[Run, nn.Embedding]) -> None:
    run, _ = wide
    deepest = tiles.tile(run, "weight", "value", 0, 0, 0, 0)["deepest"]
    tile = tiles.tile(run, "weight", "value", 0, 125, 190, deepest)
    assert (tile["rows"], tile["columns"], tile["row"], tile["column"]) == (24, 16, 106, 184)  # as near as it can be
    assert len(tile["texts"]) == 24 * 16
    for r, c in ((0, 0), (23, 15), (5, 3)):
        address = tile["addresses"].format(r=tile["row"] + r, c=tile["column"] + c)
        shown = tile["texts"][r * 16 + c].replace("−", "-")
        asked = run.why(address, depth=0).value
        assert np.float32(shown) == asked or math.isnan(asked)
    assert tiles.tile(run, "weight", "value", 0, 0, 0, 99) == tiles.tile(run, "weight", "value", 0, 0, 0, deepest)


def test_every_zoom_shows_the_same_numbers(wide: tuple[Run, nn.Embedding]) -> None:
    run, layer = wide
    weight = np.abs(np.nan_to_num(layer.weight.detach().numpy(), nan=0, posinf=0))
    for zoom in range(tiles.tile(run, "weight", "value", 0, 0, 0, 0)["deepest"] + 1):
        tile = tiles.tile(run, "weight", "value", 0, 30, 60, zoom)
        assert tile["row"] <= 30 < tile["row"] + tile["rows"] * tile["perCell"][0]
        window = weight[
            tile["row"] : tile["row"] + tile["perCell"][0], tile["column"] : tile["column"] + tile["perCell"][1]
        ]
        assert abs(abs(int(cells_of(tile)[0, 0])) - 127 * window.max() / weight.max()) <= 1


def test_a_small_tensor_has_its_numbers_at_once() -> None:
    run = trained(nn.Linear(3, 2), torch.ones(1, 3))
    tile = tiles.tile(run, "weight", "value", 1, 0, 0, 0)
    assert tile["deepest"] == 0
    assert len(tile["texts"]) == 6
    assert tile["addresses"] == "weight[{r},{c}]@1"
    bias = tiles.tile(run, "bias", "grad", 1, 0, 0, 0)
    assert (bias["shape"], bias["addresses"], bias["fold"]) == ([1, 2], "bias[{c}].grad@1", [[], [2]])
    loss = tiles.tile(run, "loss", "value", 1, 0, 0, 0)
    assert (loss["shape"], loss["addresses"]) == ([1, 1], "loss@1")
    run.why(loss["addresses"], depth=0)


def test_an_update_is_after_less_before() -> None:
    layer = nn.Linear(2, 1, bias=False).bfloat16()
    with torch.no_grad():
        layer.weight[:] = torch.tensor([[1.0, 0.001]])
    run = trained(layer, torch.tensor([[1.0, 1.0]], dtype=torch.bfloat16), lr=0.0005, steps=1)
    tile = tiles.tile(run, "weight", "update", 0, 0, 0, 0)
    assert cells_of(tile).tolist() == [[0, -127]]  # the update of 1.0 was rounded away
    assert tile["texts"] == tiles.tile(run, "weight", "value", 0, 0, 0, 0)["texts"]
    (moved,) = tile["top"]
    assert moved["address"] == "weight[0,1]@0"
    after, before = (run.why(f"weight[0,1]@{step}", depth=0).value for step in ("0", "init"))
    assert float(moved["value"].replace("≈", "").replace("−", "-")) == pytest.approx(after - before, rel=5e-3)


def test_a_convolution_has_its_filters_down() -> None:
    run = trained(nn.Conv2d(2, 3, 2), torch.rand(1, 2, 4, 4))
    tile = tiles.tile(run, "weight", "value", 1, 0, 0, 0)
    assert (tile["shape"], tile["fold"], tile["dims"]) == ([3, 8], [[3], [2, 2, 2]], [3, 2, 2, 2])
    found = tiles.goto(run, "weight", "2,1,0,1")
    assert found == {"address": "weight[2,1,0,1]@1", "row": 2, "column": 5}
    text = tile["texts"][2 * 8 + 5].replace("−", "-")
    assert float(text) == pytest.approx(run.why(found["address"], depth=0).value, rel=1e-7)
    output = tiles.tile(run, "prediction", "value", 1, 0, 0, 0)
    assert output["fold"] == [[1, 3, 3], [3]]


def test_the_largest_come_first_and_what_is_not_finite_before_them(wide: tuple[Run, nn.Embedding]) -> None:
    run, layer = wide
    found = tiles.top(run, "weight", "value", 0, 5)
    assert {each["address"] for each in found[:2]} == {"weight[7,11]@0", "weight[129,199]@0"}
    assert [each["value"] for each in found[:2]] == ["nan", "inf"]
    sizes = np.sort(np.abs(np.nan_to_num(layer.weight.detach().numpy(), nan=0, posinf=0)).reshape(-1))[::-1][:3]
    shown = [abs(float(each["value"].replace("−", "-"))) for each in found[2:]]
    assert shown == pytest.approx(sizes.tolist(), rel=1e-7)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=300), st.integers(1, 10))
@settings(max_examples=25)
def test_top_is_that_of_a_sort(numbers: list[float], k: int) -> None:
    parameter = nn.Parameter(torch.zeros(len(numbers)))
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    with whygrad.record() as run:
        (parameter * torch.tensor(numbers)).sum().backward()
        optimizer.step()
    found = tiles.top(run, "parameter", "grad", 0, k)
    shown = [abs(float(each["value"].replace("−", "-"))) for each in found]
    order = sorted((abs(x) for x in numbers if x != 0 or math.copysign(1, x) < 0), reverse=True)[:k]
    assert shown == pytest.approx(order, rel=1e-7)
    for each in found:
        assert abs(run.why(each["address"], depth=0).value) == pytest.approx(
            abs(float(each["value"].replace("−", "-"))), rel=1e-7
        )


# ---- go to, and what cannot be had


@pytest.mark.parametrize(
    ("index", "address"),
    [
        ("3,17", "weight[3,17]@0"),
        ("[3,17]", "weight[3,17]@0"),
        (" weight[ 3 , 17 ] ", "weight[3,17]@0"),
        ("617", "weight[3,17]@0"),
        ("-1", "weight[129,199]@0"),
        ("-1,-1", "weight[129,199]@0"),
    ],
)
def test_go_to_reads_what_people_write(wide: tuple[Run, nn.Embedding], index: str, address: str) -> None:
    assert tiles.goto(wide[0], "weight", index)["address"] == address


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("130,0", r"\(130, 200\), index 0 runs 0–129"),
        ("0,200", r"index 1 runs 0–199"),
        ("26000", r"elements run 0–25,999"),
        ("1,2,3", r"expected 2 numbers such as 129,199"),
        ("here", r"is no index of 'weight', whose shape is \(130, 200\)"),
        ("", r"is no index"),
    ],
)
def test_go_to_says_the_shape_and_the_range(wide: tuple[Run, nn.Embedding], index: str, words: str) -> None:
    with pytest.raises(AddressError, match=words):
        tiles.goto(wide[0], "weight", index)


@pytest.mark.parametrize(
    ("name", "what", "words"),
    [("wieght", "value", "no tensor 'wieght'"), ("prediction", "update", "no parameter"), ("weight", "sum", "no look")],
)
def test_what_is_not_there_is_said(wide: tuple[Run, nn.Embedding], name: str, what: str, words: str) -> None:
    with pytest.raises(AddressError, match=words):
        tiles.tile(wide[0], name, what, 0, 0, 0, 0)


def test_a_step_that_was_not_kept_names_the_option(wide: tuple[Run, nn.Embedding]) -> None:
    with pytest.raises(StepNotKept):
        tiles.tile(wide[0], "weight", "value", 5, 0, 0, 0)


def test_a_saved_run_shows_the_same(wide: tuple[Run, nn.Embedding], tmp_path: Any) -> None:
    saved = whygrad.load(wide[0].save(tmp_path / "run.why"))
    for what in ("value", "grad", "update"):
        assert tiles.tile(saved, "weight", what, 0, 9, 9, 1) == tiles.tile(wide[0], "weight", what, 0, 9, 9, 1)


def test_complex_numbers_show_their_real_parts() -> None:
    parameter = nn.Parameter(torch.tensor([1 + 2j, 3 - 4j]))
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    with whygrad.record() as run:
        (parameter * parameter.conj()).real.sum().backward()
        optimizer.step()
    tile = tiles.tile(run, "parameter", "value", 0, 0, 0, 0)
    assert tile["addresses"] == "parameter[{c}].real@0"
    assert "imag" in tile["note"]
    shown = [run.why(tile["addresses"].format(c=c), depth=0).value for c in (0, 1)]
    assert [float(text) for text in tile["texts"]] == shown


# ---- large tensors


@given(st.data(), st.integers(1, 6))
@settings(max_examples=60)
def test_largest_keys_are_those_of_a_sort(data: st.DataObject, k: int) -> None:
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    few = st.sampled_from([0.0, -1.0, 1.0, 2.5, -2.5, 3.0, math.inf])
    matrix = np.array(data.draw(st.lists(few, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))).reshape(
        shape
    )
    keys = keys_of("float64")
    all_keys, _ = block_maxima(lambda r, c: matrix[r, c], shape, (1, 1), keys)
    ordered = sorted((-int(key), *divmod(place, shape[1])) for place, key in enumerate(all_keys.reshape(-1)))
    least = data.draw(st.integers(0, -ordered[min(k, len(ordered)) - 1][0]))
    found = largest_keys(lambda r, c: matrix[r, c], shape, least, k, keys)
    assert found == [(-key, row, column) for key, row, column in ordered[:k] if -key >= least]


@pytest.mark.parametrize("shape", [(60_000, 7), (1, 400_000), (400_000, 1), (700, 700)])
def test_a_large_tensor_is_read_in_large_stretches(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    reads = 0
    plain = matrices.Matrix.read

    def counted(self: matrices.Matrix, rows: slice, columns: slice) -> Array:
        nonlocal reads
        reads += 1
        return plain(self, rows, columns)

    monkeypatch.setattr(matrices.Matrix, "read", counted)
    weight = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    values = weight.detach().clone().reshape(-1).numpy()
    optimizer = torch.optim.SGD([weight], lr=1.0)
    with whygrad.record() as run:
        weight[:1, :1].sum().backward()
        optimizer.step()
    name = next(each.text for each in run.trace.step(0).names if each.kind == "parameter")
    after = values.copy()
    after[0] -= 1
    found = tiles.tile(run, name, "value", 0, 0, 0, 0)
    assert reads < 200
    places = [each["address"] for each in found["top"]]
    best = [divmod(int(i), shape[1]) for i in np.argsort(-np.abs(after), kind="stable")[:10]]
    assert places == [f"{name}[{row},{column}]@0" for row, column in best]
