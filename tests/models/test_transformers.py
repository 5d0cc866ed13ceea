"""Models that no one here wrote: one AdamW step of each is recorded without changing it, and all of it is explained."""

from __future__ import annotations

import random
from importlib.util import find_spec

import pytest
import torch

import whygrad
from benchmarks import huggingface
from benchmarks.models import Asked, ask
from whygrad.explain.tensors import threads
from whygrad.trace.store import Trace

pytestmark = pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")
DTYPES = (torch.float32, torch.bfloat16)
ASKED = 300
PHASES = {"forward", "loss", "backward", "optimizer"}


def build(name: str, dtype: torch.dtype) -> huggingface.Subject:
    """A model before its step. Dropout draws from the program's own generator, so that is set."""
    subject = huggingface.MODELS[name](dtype, huggingface.TINY)
    torch.manual_seed(1)
    return subject


def recorded(name: str, dtype: torch.dtype) -> tuple[huggingface.Subject, Trace]:
    """A model after one step that was watched."""
    subject = build(name, dtype)
    with whygrad.record(steps="all") as run:
        subject.step()
    return subject, run.trace


def said(found: Asked) -> str:
    """What did not give the bits, with reasons: the message of a test that fails."""
    return "\n".join(f"{kind}: {op}: {reason}" for (kind, op), reason in found.reasons.items())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", huggingface.MODELS)
def test_a_step_is_explained_and_unchanged(name: str, dtype: torch.dtype) -> None:
    with threads(1), huggingface.quiet(), torch.random.fork_rng(devices=[]):
        plain = build(name, dtype)
        plain.step()
        watched, trace = recorded(name, dtype)
    weights = zip(plain.model.parameters(), watched.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)
    with threads(1):
        found = ask(trace, ASKED, random.Random(0))
    assert found.phases.keys() >= PHASES - {"loss"}
    assert not found.kinds["opaque"] and not found.kinds["differs"], said(found)
    # What is drawn has no equation that gives it: a mask of dropout is replayed.
    drawn = found.ops["replayed"]["aten.bernoulli_.float"] if "replayed" in found.ops else 0
    assert found.kinds["same bits"] + drawn >= 0.97 * found.total, said(found)


def test_a_model_trains() -> None:
    with huggingface.quiet(), torch.random.fork_rng(devices=[]):
        subject = build("Llama", torch.float32)
        before = [parameter.detach().clone() for parameter in subject.model.parameters()]
        subject.step()
    assert all(not torch.equal(one, other) for one, other in zip(before, subject.model.parameters(), strict=True))
