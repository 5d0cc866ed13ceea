"""The C library's elementary functions, which the scalar body of a kernel calls (`std::exp(float)`, …).

They come from the library that this process runs on. glibc's float functions are within 1 ULP and differ
between versions, so a value recorded elsewhere may have been computed by another one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from whygrad.floats.elementary_arithmetic import Arithmetic, Number
from whygrad.floats.elementary_composites import Functions, Unary


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    for name in ("libm.so.6", None):  # None: whatever this process has loaded
        try:
            return ctypes.CDLL(name)
        except (OSError, TypeError):
            continue
    return None


@lru_cache(maxsize=64)
def c_function(name: str, width: str, arity: int = 1) -> Callable[..., float] | None:
    """The C library's `name` in "float32" or "float64", or None where there is none.

    Arguments are converted to the width; the result is a Python float that the width represents.
    """
    library = _library()
    symbol = name + "f" if width == "float32" else name
    if library is None or not hasattr(library, symbol):
        return None
    kind = ctypes.c_float if width == "float32" else ctypes.c_double
    function = getattr(library, symbol)
    function.restype, function.argtypes = kind, [kind] * arity
    return function


def _unary(name: str) -> Unary:
    def call(_: Arithmetic, x: Number) -> Number:
        function = c_function(name, "float32")
        if function is None:
            raise ValueError(f"expected a C library with {name}f, found none")
        if isinstance(x, float):
            return function(x)
        values = [function(v) for v in np.ravel(x).tolist()]
        return np.array(values, dtype=np.float64).reshape(np.shape(x))

    return call


LIBRARY = Functions("C library", _unary("exp"), _unary("log1p"), _unary("tanh"), _unary("erf"), _unary("log"))
