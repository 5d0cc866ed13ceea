"""Datasets of the kind that TensorFlow Playground made popular: rows of x1, x2 and label, in the square from −6 to 6.

Each function stands by itself: its source goes into the program that a learner can copy (`program.py`), so that program and
page train on the very same points. `noise` is from 0 to 0.5, `rng` a `random.Random`.
"""

# pyright: reportUnusedImport=false

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable
from functools import lru_cache

Row = tuple[float, float, float]
Rows = list[Row]


def circle(count: int, noise: float, rng: random.Random) -> list[tuple[float, float, float]]:
    """A disc of one class inside a ring of the other."""
    rows: list[tuple[float, float, float]] = []
    for i in range(count):
        inside = i % 2 == 0
        radius = rng.uniform(0, 2.5) if inside else rng.uniform(3.5, 5)
        angle = rng.uniform(0, 2 * math.pi)
        x1 = radius * math.sin(angle)
        x2 = radius * math.cos(angle)
        off1, off2 = rng.uniform(-5, 5) * noise, rng.uniform(-5, 5) * noise
        label = 1.0 if math.hypot(x1 + off1, x2 + off2) < 2.5 else -1.0
        rows.append((x1, x2, label))
    return rows


def xor(count: int, noise: float, rng: random.Random) -> list[tuple[float, float, float]]:
    """Four quadrants; those across from each other are of one class."""
    rows: list[tuple[float, float, float]] = []
    for _ in range(count):
        x1, x2 = rng.uniform(-5, 5), rng.uniform(-5, 5)
        x1 += 0.3 if x1 > 0 else -0.3
        x2 += 0.3 if x2 > 0 else -0.3
        off1, off2 = rng.uniform(-5, 5) * noise, rng.uniform(-5, 5) * noise
        rows.append((x1, x2, 1.0 if (x1 + off1) * (x2 + off2) >= 0 else -1.0))
    return rows


def gauss(count: int, noise: float, rng: random.Random) -> list[tuple[float, float, float]]:
    """Two normal distributions, one a class."""
    rows: list[tuple[float, float, float]] = []
    width = math.sqrt(0.5 + 7 * noise)
    for i in range(count):
        label = 1.0 if i % 2 == 0 else -1.0
        x1, x2 = (max(-6.0, min(6.0, rng.gauss(2 * label, width))) for _ in range(2))
        rows.append((x1, x2, label))
    return rows


def spiral(count: int, noise: float, rng: random.Random) -> list[tuple[float, float, float]]:
    """Two arms around each other."""
    rows: list[tuple[float, float, float]] = []
    for i in range(count):
        place = (i // 2) / (count / 2)
        label = 1.0 if i % 2 == 0 else -1.0
        angle = 1.75 * place * 2 * math.pi + (0 if label > 0 else math.pi)
        x1 = 5 * place * math.sin(angle) + rng.uniform(-1, 1) * noise
        x2 = 5 * place * math.cos(angle) + rng.uniform(-1, 1) * noise
        rows.append((x1, x2, label))
    return rows


def plane(count: int, noise: float, rng: random.Random) -> list[tuple[float, float, float]]:
    """A plane: the label grows with x1 + x2."""
    rows: list[tuple[float, float, float]] = []
    for _ in range(count):
        x1, x2 = rng.uniform(-6, 6), rng.uniform(-6, 6)
        off = (rng.uniform(-6, 6) + rng.uniform(-6, 6)) * noise
        rows.append((x1, x2, max(-1.0, min(1.0, (x1 + x2 + off) / 10))))
    return rows


def multi_gauss(count: int, noise: float, rng: random.Random) -> list[tuple[float, float, float]]:
    """Hills and hollows: the label is the nearest one's height here."""
    centres = (
        (-4.0, 2.5, 1.0),
        (0.0, 2.5, -1.0),
        (4.0, 2.5, 1.0),
        (-4.0, -2.5, -1.0),
        (0.0, -2.5, 1.0),
        (4.0, -2.5, -1.0),
    )
    rows: list[tuple[float, float, float]] = []
    for _ in range(count):
        x1, x2 = rng.uniform(-6, 6), rng.uniform(-6, 6)
        off1, off2 = rng.uniform(-6, 6) * noise, rng.uniform(-6, 6) * noise
        label = 0.0
        for c1, c2, sign in centres:
            height = sign * max(0.0, 1 - math.hypot(x1 + off1 - c1, x2 + off2 - c2) / 2)
            label = height if abs(height) > abs(label) else label
        rows.append((x1, x2, label))
    return rows


_MAKERS: dict[str, Callable[[int, float, random.Random], Rows]] = {
    "circle": circle, "xor": xor, "gauss": gauss, "spiral": spiral, "plane": plane, "multi-gauss": multi_gauss,
}  # fmt: skip


@lru_cache
def source_of(dataset: str) -> tuple[str, str]:
    """Name and source of the function that makes a dataset."""
    maker = _MAKERS[dataset]
    return maker.__name__, inspect.getsource(maker)
