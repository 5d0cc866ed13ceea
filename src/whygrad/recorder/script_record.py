"""The recording of one script: where it runs, and what is said at its end."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from whygrad.recorder.policy import Keep
from whygrad.recorder.sink import Sink
from whygrad.trace.file import RunWriter
from whygrad.trace.model import RunInfo, Step

_DEFAULT_SEED = 67280421310721
"""What torch's generator starts with when the program sets no seed (c10::detail::default_rng_seed_val)."""


class Recording:
    """Begins when it is made. `leave` ends the watching, `finish` the file."""

    def __init__(self, out: Path, keep: Keep, script: str, argv: tuple[str, ...], cwd: Path) -> None:
        self._shown = _relative(out, cwd)
        info = replace(describe_run(keep), script=script, argv=argv)
        self._sink = Sink.open(keep, RunWriter(out, info), _refresh)
        self._sink.session.__enter__()

    def leave(self) -> None:
        """The program has ended; what it still does (`atexit`) is not recorded."""
        if os.getpid() == self._sink.pid:
            self._sink.session.__exit__(None, None, None)

    def finish(self, status: str) -> None:
        """Save the rest, and say on stderr where and what next."""
        try:
            self._sink.finish(status)
        except KeyboardInterrupt:
            self._sink.writer.abandon()
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.write("".join(f"whygrad: {line}\n" for line in self.summary()))
            sys.stderr.flush()

    def summary(self) -> list[str]:
        """What was recorded, what should be known about it, and a command to go on with."""
        sink = self._sink
        if sink.failed:
            return [f"the recording in {self._shown} is not whole: {sink.failed}"]
        size = sink.writer.size
        run = shlex.quote(self._shown)
        lines = [f"{self._shown}: {_count(sink.complete, 'step')}, {sink.kept_complete} kept whole, {size:,} bytes"]
        if not sink.complete:
            ops = _count(sink.ops, "op")
            lines = [f"{self._shown}: no training was seen (no backward pass that an update followed); {ops} recorded"]
        lines += [f"note: {note}" for note in sink.session.notes]
        if sink.complete or sink.kept:
            next_one = [f"whygrad table {run}"] if sink.complete else []
            address = an_address(sink.last_kept)
            if address:
                next_one.append(f"whygrad why {run} {shlex.quote(address)}")
            lines.append("next: " + "   ".join(next_one))
        return lines


def describe_run(keep: Keep) -> RunInfo:
    """Where this process runs."""
    capability = torch.backends.cpu.get_cpu_capability()
    return RunInfo(
        whygrad=_version(),
        torch=torch.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=f"{_cpu_model()}, {capability}",
        threads=torch.get_num_threads(),
        seed=_seed(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        steps_option=keep.option,
        budget=keep.budget,
    )


def an_address(step: Step | None) -> str:
    """The address of a scalar that the step surely has: of its first parameter, its loss, its prediction."""
    if step is None:
        return ""
    for kind in ("parameter", "loss", "prediction", "root"):
        for name in step.names:
            value = step.values[name.value]
            if name.kind == kind and value.numel:
                index = ",".join("0" for _ in value.shape)
                return f"{name.text}[{index}]@{step.number}" if index else f"{name.text}@{step.number}"
    return ""


def _refresh(sink: Sink) -> None:
    """What the program may set at any time."""
    info = replace(sink.writer.info, seed=_seed(), threads=torch.get_num_threads())
    sink.writer.set_info(info)


def _seed() -> int | None:
    seed = torch.initial_seed()
    return None if seed == _DEFAULT_SEED else seed


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version() -> str:
    try:
        return importlib.metadata.version("whygrad")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _relative(path: Path, cwd: Path) -> str:
    try:
        return str(path.relative_to(cwd))
    except ValueError:
        return str(path)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
