"""ATen's softmax kernels over the last, contiguous dimension: exponentials, order of the sum, reciprocal.

Source: aten/src/ATen/native/cpu/SoftMaxKernel.cpp, aten/src/ATen/cpu/vec/functional_base.h and
functional_bfloat16.h. All arrays are float64 carriers of shape (rows, length); the results are binary32
values. `lanes` is the number of float32 elements in a vector: 16 on AVX-512, 8 on AVX2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from whygrad.floats import elementary_sleef as sleef
from whygrad.floats.elementary_arithmetic import ARRAY as m
from whygrad.floats.elementary_composites import Unary

Rounding = Callable[[np.ndarray], np.ndarray]


def _in_sequence(values: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    total = values[:, :1] if start is None else start
    for column in range(1 if start is None else 0, values.shape[1]):
        total = m.add(total, values[:, column : column + 1])
    return total


def _fold(lanes: np.ndarray) -> np.ndarray:
    """One vector to one number: upper half onto lower half until one lane is left."""
    while lanes.shape[1] > 1:
        half = lanes.shape[1] // 2
        lanes = m.add(lanes[:, :half], lanes[:, half:])
    return lanes


def lane_sum(values: np.ndarray, lanes: int = 16) -> np.ndarray:
    """`vec::reduce_all` with +: lane by lane over whole vectors, the rest, then the fold. Shape (rows, 1)."""
    length = values.shape[1]
    if length < lanes:
        return _in_sequence(values)
    total = values[:, :lanes].copy()
    for start in range(lanes, length, lanes):
        rest = values[:, start : start + lanes]
        total[:, : rest.shape[1]] = m.add(total[:, : rest.shape[1]], rest)
    return _fold(total)


def _centred(x: np.ndarray) -> np.ndarray:
    return m.sub(x, x.max(axis=1, keepdims=True))


def softmax(x: np.ndarray, lanes: int = 16) -> np.ndarray:
    """float32: e·(1/Σ), e = exp(x − max) by SLEEF, Σ by `lane_sum`: a product, no quotient."""
    e = sleef.exp(m, _centred(x))
    return m.mul(e, m.div(1.0, lane_sum(e, lanes)))


def softmax_scalar_tail(x: np.ndarray, vector_exp: Unary, library_exp: Unary, lanes: int = 16) -> np.ndarray:
    """e·(1/Σ), the elements past the last whole vector by `library_exp` and added one by one after the fold.

    float16 and bfloat16 `_softmax`, before the final rounding: `vector_exp` is SLEEF's. Flash attention in
    float32 (aten/src/ATen/native/cpu/FlashAttentionKernel.cpp): `exp_u20`, x the scaled scores of one block.
    """
    d = _centred(x)
    whole = d.shape[1] // lanes * lanes
    tail = np.asarray(library_exp(m, d[:, whole:]))
    e = np.concatenate([np.asarray(vector_exp(m, d[:, :whole])), tail], axis=1)
    total = np.zeros((d.shape[0], lanes))
    for start in range(0, whole, lanes):
        total = m.add(total, e[:, start : start + lanes])
    return m.mul(e, m.div(1.0, _in_sequence(tail, _fold(total))))


def log_softmax(x: np.ndarray, lanes: int = 16, stored: Rounding | None = None) -> np.ndarray:
    """(x − max) − log(Σ), Σ the sum of exp(x − max), SLEEF's exp and log.

    In 16 bits Σ and log(Σ) are stored in the dtype on the way: pass `stored`, which rounds an array to it.
    """
    d = _centred(x)
    e = np.asarray(sleef.exp(m, d))
    if stored is None:
        return m.sub(d, sleef.log(m, lane_sum(e, lanes)))
    return m.sub(d, stored(np.asarray(sleef.log(m, stored(_wide_sum(e, lanes))))))


def _wide_sum(e: np.ndarray, lanes: int) -> np.ndarray:
    """The sum over 16-bit elements: 2·lanes of them are two float32 vectors, summed apart, then together."""
    length, wide = e.shape[1], 2 * lanes
    if length <= lanes:
        return _in_sequence(e)
    if length < wide:
        low = e[:, :lanes].copy()
        low[:, : length - lanes] = m.add(low[:, : length - lanes], e[:, lanes:])
        return _in_sequence(low)
    total = e[:, :wide].copy()
    for start in range(wide, length, wide):
        rest = e[:, start : start + wide]
        total[:, : rest.shape[1]] = m.add(total[:, : rest.shape[1]], rest)
    return _fold(m.add(total[:, :lanes], total[:, lanes:]))


def softmax_backward(grad: np.ndarray, y: np.ndarray, lanes: int = 16) -> np.ndarray:
    """float32: (g − Σ)·y, Σ the sum of g·y, rounded products in whole vectors, fused in the rest."""
    length = y.shape[1]
    if length < lanes:
        return m.mul(m.sub(grad, _in_sequence(m.mul(grad, y))), y)
    total = m.mul(grad[:, :lanes], y[:, :lanes])
    for start in range(lanes, length, lanes):
        g, p = grad[:, start : start + lanes], y[:, start : start + lanes]
        if g.shape[1] == lanes:
            total = m.add(total, m.mul(g, p))
        else:
            total[:, : g.shape[1]] = m.fma(g, p, total[:, : g.shape[1]])
    return m.mul(m.sub(grad, _fold(total)), y)


def log_softmax_backward(grad: np.ndarray, y: np.ndarray, lanes: int = 16) -> np.ndarray:
    """float32: fma(−exp(y), Σ, g), Σ = Σ g by `lane_sum`."""
    return m.fma(-np.asarray(sleef.exp(m, y)), lane_sum(grad, lanes), grad)
