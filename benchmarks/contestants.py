"""Ways of recording a training step, plain PyTorch among them, behind one face.

A contestant is a context manager: it is given a `Program`, and yields a function that runs one training step under its
watch. What it recorded is held until the block is left and dropped with it. All of them train: the optimizer's step is
part of each, also where the contestant does not look at it (torchlens).
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils._debug_mode import DebugMode

import whygrad
from benchmarks.programs import Program

BUDGET = "64GB"
"""More than any round needs: every value of every step is really held."""
Contestant = Callable[[Program], AbstractContextManager[Callable[[], None]]]


@contextmanager
def plain(program: Program) -> Generator[Callable[[], None]]:
    """PyTorch alone: what all others are divided by."""
    yield program.step


@contextmanager
def in_memory(program: Program) -> Generator[Callable[[], None]]:
    """whygrad, all values of all steps held in memory."""
    with whygrad.record(steps="all", budget=BUDGET):
        yield program.step


@contextmanager
def to_file(program: Program) -> Generator[Callable[[], None]]:
    """whygrad, all values of all steps written to a file while the program runs."""
    from whygrad.recorder.info import run_info
    from whygrad.recorder.policy import parse_keep
    from whygrad.recorder.sink import Sink
    from whygrad.trace.file import RunWriter

    keep = parse_keep("all", BUDGET)
    with tempfile.TemporaryDirectory() as folder:
        sink = Sink.open(keep, RunWriter(Path(folder) / "run.why", run_info(keep)))
        with sink.session:
            yield program.step
        sink.finish("ok")
        if sink.failed:
            raise RuntimeError(f"whygrad could not write its file: {sink.failed}")


@contextmanager
def debug_mode(program: Program) -> Generator[Callable[[], None]]:
    """`torch.utils._debug_mode.DebugMode`, the results of all ops cloned."""
    with DebugMode() as mode, DebugMode.record_outputs():
        yield program.step
    mode.reset()


class _Whole(nn.Module):
    """Model and loss as one module, since torchlens traces a module."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.model, self.loss = program.model, program.loss

    def forward(self, x: Any, target: Any) -> Any:
        return self.loss(self.model(x), target)


@contextmanager
def torchlens(program: Program) -> Generator[Callable[[], None]]:
    """torchlens, all activations and all gradients saved, as its guide shows for training; then the plain update.

    It leaves torch's functions wrapped, which slows everything else in the process; they are unwrapped at the end.
    """
    import torchlens as tl
    from torchlens.backends.torch.wrappers import wrapped

    whole = _Whole(program)
    options = tl.options.CaptureOptions(save_grads=True)
    kept: list[Any] = []

    def step() -> None:
        optimizer = program.make_optimizer()
        optimizer.zero_grad()
        log = tl.trace(whole, (program.x, program.target), capture=options)
        log.log_backward(log[log.output_layers[0]].out)
        optimizer.step()
        kept.append(log)

    with wrapped():
        yield step


def contestants() -> Mapping[str, Contestant]:
    """All that are installed, plain PyTorch first."""
    found: dict[str, Contestant] = {"plain": plain, "whygrad": in_memory, "whygrad, to a file": to_file}
    found["torch DebugMode"] = debug_mode
    if importlib.util.find_spec("torchlens") is not None:
        found["torchlens"] = torchlens
    return found
