"""Large tensors: one number of them is shown without reading the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import whygrad
from whygrad.trace import file_values


def _saved(path: Path) -> Path:
    w = torch.arange(1000.0, requires_grad=True)
    with whygrad.record(steps="all") as run:
        optimizer = torch.optim.SGD([w], lr=0.5)
        (w * w).sum().backward()
        optimizer.step()
    return run.save(path / "large.why")


def test_a_large_chunk_is_read_as_it_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _saved(tmp_path)
    before = whygrad.load(path).why("w[700]@0").to_dict()
    monkeypatch.setattr(file_values, "LARGE", 256)
    run = whygrad.load(path)
    assert run.why("w[700]@0").to_dict() == before
    step = run.trace.step(0)
    large = [chunk for chunk in step.chunks if chunk.stop - chunk.start == 1000]
    assert large
    for chunk in large:
        content = run.trace.chunk(0, chunk)
        assert content is not None
        assert not content.flags.owndata
        assert not content.flags.writeable


def test_a_file_that_is_too_short_is_an_error_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _saved(tmp_path)
    monkeypatch.setattr(file_values, "LARGE", 256)
    run = whygrad.load(path)
    source = run.trace.source
    step = run.trace.step(0)
    places = source._places(0)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]
    large = next(chunk for chunk in step.chunks if chunk.stop - chunk.start == 1000)
    places[large.id] = file_values.Place(path.stat().st_size - 100, 4000, 0)
    with pytest.raises(whygrad.RunFileError, match="damaged"):
        source.load_chunk(0, large)


def test_the_bytes_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _saved(tmp_path)
    whole, mapped = whygrad.load(path).trace, whygrad.load(path).trace
    for chunk in whole.step(0).chunks:
        monkeypatch.setattr(file_values, "LARGE", 1 << 25)
        expected = whole.chunk(0, chunk)
        monkeypatch.setattr(file_values, "LARGE", 0)
        mapped.step(0)
        found = mapped.chunk(0, chunk)
        assert expected is not None
        assert found is not None
        assert np.array_equal(expected, found)
