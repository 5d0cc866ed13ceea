"""Where a run is made: versions, processor, threads, seed."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import torch

from whygrad.recorder.policy import Keep
from whygrad.trace.model import RunInfo


def run_info(keep: Keep, script: str = "", argv: tuple[str, ...] = ()) -> RunInfo:
    """RunInfo of this process, as recording begins."""
    try:
        own = version("whygrad")
    except PackageNotFoundError:
        own = "unknown"
    return RunInfo(
        whygrad=own,
        torch=torch.__version__,
        python=platform.python_version(),
        platform=f"{sys.platform} {platform.machine()}",
        cpu=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        seed=torch.initial_seed(),
        script=script,
        argv=argv,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        steps_option=keep.option,
        budget=keep.budget,
    )
