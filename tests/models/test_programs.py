"""Programs of many kinds: watching leaves their weights as they are, and all that they did is explained."""

from __future__ import annotations

import random

import pytest

import whygrad
from benchmarks.models import ask
from tests.models.programs import PROGRAMS, equal, run
from whygrad.explain.tensors import threads

ASKED = 200
DRAWN = {
    "aten.uniform_.default", "aten.normal_.default", "aten.rand.default", "aten.randn.default", "aten.rand_like.default",
    "aten.randn_like.default", "aten.randint.low", "aten.bernoulli_.float", "aten.multinomial.default",
}  # fmt: skip
"""What is drawn has no equation that gives it: it is drawn again."""
SAME_BITS = 0.97
"""The least share of what is not drawn whose equation gives the bits."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_explained_and_unchanged(name: str) -> None:
    with threads(1):
        plain = run(PROGRAMS[name])
        with whygrad.record(steps="all") as recorded:
            watched = run(PROGRAMS[name])
        assert equal(plain, watched)
        found = ask(recorded.trace, ASKED, random.Random(0))
    assert {"forward", "backward", "optimizer"} & found.phases.keys()
    assert not found.kinds["opaque"] and not found.kinds["differs"], found.reasons
    replayed = found.ops.get("replayed", {})
    drawn = sum(count for op, count in replayed.items() if op in DRAWN)
    same = found.kinds["same bits"] / (found.total - drawn)
    assert same >= SAME_BITS, replayed
