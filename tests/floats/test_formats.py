"""The table of formats against torch.finfo and numpy; names against the objects that carry them."""

import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import torch

from whygrad.errors import FormatError, WhygradError
from whygrad.floats import FORMATS, NumberFormat, number_format

ALL = list(FORMATS.values())


@pytest.mark.parametrize("fmt", ALL, ids=str)
def test_parameters_are_those_of_torch(fmt: NumberFormat):
    info = torch.finfo(getattr(torch, fmt.name))
    assert (fmt.bits, fmt.max, fmt.smallest_normal) == (info.bits, info.max, info.smallest_normal)
    assert 2.0 ** (1 - fmt.precision) == info.eps


@pytest.mark.parametrize("fmt", ALL, ids=str)
def test_parameters_are_those_of_the_array_type(fmt: NumberFormat):
    info = ml_dtypes.finfo(fmt.numpy_dtype)
    assert fmt.numpy_dtype.itemsize * 8 == fmt.bits
    assert fmt.smallest_subnormal == float(info.smallest_subnormal)
    assert (fmt.precision - 1, fmt.emin) == (info.nmant, info.minexp)


@pytest.mark.parametrize("fmt", ALL, ids=str)
def test_every_object_that_names_a_format_finds_it(fmt: NumberFormat):
    dtype = getattr(torch, fmt.name)
    for spec in (fmt, fmt.name, fmt.name.upper(), dtype, str(dtype), fmt.numpy_dtype, fmt.numpy_dtype.type):
        assert number_format(spec) is fmt


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("half", "float16"),
        ("fp16", "float16"),
        ("bf16", "bfloat16"),
        ("torch.float", "float32"),
        ("single", "float32"),
        ("double", "float64"),
        ("e4m3", "float8_e4m3fn"),
        (float, "float64"),
        (np.dtype(">f4"), "float32"),
    ],
)
def test_aliases(alias: object, name: str):
    assert number_format(alias).name == name


def test_unknown_format_names_the_nearest():
    with pytest.raises(FormatError, match=r"'flaot16'.*did you mean float16") as caught:
        number_format("flaot16")
    assert isinstance(caught.value, WhygradError)
    assert caught.value.slug == "number-format"
    with pytest.raises(FormatError, match=r"'torch.int64'"):
        number_format(torch.int64)
    # In ml_dtypes this is a format with infinities, which float8_e4m3fn is not.
    with pytest.raises(FormatError):
        number_format(ml_dtypes.float8_e4m3)


def test_importing_the_room_imports_neither_torch_nor_mpmath():
    code = "import whygrad.floats, sys; print([m for m in ('torch', 'mpmath', 'ml_dtypes') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
