"""The lessons as live pages: those about one neuron or a small network open the lab, the others a recorded program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import whygrad
from whygrad.errors import WhygradError
from whygrad.play.config import Config, Network, Neuron
from whygrad.play.lab import TORCH
from whygrad.play.program import program_of
from whygrad.trace.store import Trace

__all__ = ["LESSONS", "Lab", "Program", "is_lesson", "lesson_of", "record_lesson"]

_NAME = re.compile(r"lesson-\d+")
_PACKAGE = Path(whygrad.__file__).parent


@dataclass(frozen=True)
class Lab:
    """A lesson whose program is what the lab's knobs make; `steps` are recorded when it is shown without a server."""

    title: str
    config: Config
    steps: int = 20


@dataclass(frozen=True)
class Program:
    """A lesson with a program of its own, `demos/<file>`. `keep`: which steps can be asked, as in `whygrad run --steps`."""

    title: str
    file: str
    keep: str


LESSONS: Mapping[str, Lab | Program] = {
    "lesson-1": Lab("one neuron", Neuron()),
    "lesson-2": Program("a batch", "lesson_2.py", "all"),
    "lesson-3": Lab("a bend", Neuron(format="float32", activation="tanh", w=2.0, b=0.0, target=-0.5, lr=0.5), steps=50),
    "lesson-4": Lab("a simple network", Network(dataset="xor", hidden=(4,))),
    "lesson-5": Program("digits", "lesson_5.py", "0,-1"),
    "lesson-6": Lab("optimizers", Neuron(format="float32", optimizer="Adam")),
    "lesson-7": Lab("low precision", Neuron(format="bfloat16", other="float32", lr=0.01), steps=100),
    "lesson-8": Program("a tiny transformer", "lesson_8.py", "0,30,-1"),
}


def is_lesson(text: str) -> bool:
    """Whether it is written as a lesson's name is: `lesson-9` is, though there is no ninth."""
    return _NAME.fullmatch(text) is not None


def lesson_of(name: str) -> Lab | Program:
    """The lesson of that name. Raises WhygradError with the list of them."""
    found = LESSONS.get(name)
    if found is None:
        known = ", ".join(f"{each} ({lesson.title})" for each, lesson in LESSONS.items())
        raise WhygradError(f"no {name}; the lessons are {known}.")
    return found


def record_lesson(name: str) -> Trace:
    """A lesson's program, run and recorded now, on one thread as the lesson itself is. Raises WhygradError."""
    lesson = lesson_of(name)
    with TORCH:
        threads, state = torch.get_num_threads(), torch.get_rng_state()
        torch.set_num_threads(1)
        try:
            return _of_lab(lesson) if isinstance(lesson, Lab) else _of_program(lesson)
        finally:
            torch.set_num_threads(threads)
            torch.set_rng_state(state)


def _of_lab(lesson: Lab) -> Trace:
    program = program_of(lesson.config)
    with whygrad.record() as run:
        net, optimizer = program.build()
        for step in range(lesson.steps):
            program.run(net, optimizer, *program.batch(step))
    return run.trace


def _of_program(lesson: Program) -> Trace:
    path = _PACKAGE / "demos" / lesson.file
    # Under its bare name: the program stands for a user's, and what lies in this package is taken for ours.
    space: dict[str, Any] = {"__name__": f"whygrad.demos.{path.stem}", "__file__": lesson.file}
    exec(compile(path.read_text(encoding="utf-8"), lesson.file, "exec"), space)
    with whygrad.record(steps=lesson.keep) as run:
        space["train"]()
    return run.trace
