"""What every test can count on: one thread, fixed seeds, and the process's global state put back after it."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

SEED = 20_26

# No deadline: the first example of a property pays for a kernel's warm-up, and a slow machine is not a bug.
settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("dev")  # `--hypothesis-profile=ci` on the command line comes later and wins


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What whygrad finds out about kernels goes into a folder of this session, and not into the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHYGRAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def one_thread_fixed_seeds() -> Iterator[None]:
    """One torch thread and fixed seeds for each test; afterwards, all the global state a test may turn.

    One thread, because a reduction's order, and with it the last bit, depends on the number of threads.
    A test of more threads calls `torch.set_num_threads` itself and need not clean up.
    """
    with ExitStack() as afterwards:
        _restore_python(afterwards)
        _restore_torch(afterwards)
        random.seed(SEED)
        np.random.seed(SEED)
        torch.manual_seed(SEED)
        torch.set_num_threads(1)
        yield
        left = _clear_dispatch_modes()
        assert left == 0, f"the test left {left} dispatch mode(s) on torch's stack"


def _clear_dispatch_modes() -> int:
    """Empty torch's stack of dispatch modes, so that the next test starts without them; say how many."""
    left = torch._C._len_torch_dispatch_stack()
    for _ in range(left):
        torch._C._pop_torch_dispatch_stack(None)
    return left


def _restore_python(afterwards: ExitStack) -> None:
    """Put back the generators of Python and numpy, numpy's error state, argv, sys.path, the folder."""
    argv, path, folder = list(sys.argv), list(sys.path), Path.cwd()
    afterwards.callback(setattr, sys, "argv", argv)
    afterwards.callback(setattr, sys, "path", path)
    afterwards.callback(os.chdir, folder)
    afterwards.callback(random.setstate, random.getstate())
    afterwards.callback(np.random.set_state, np.random.get_state())
    errors = np.geterr()
    afterwards.callback(lambda: np.seterr(**errors))


def _restore_torch(afterwards: ExitStack) -> None:
    """Put back torch's generator, threads, default dtype, gradient mode and numerical switches."""
    afterwards.callback(torch.set_rng_state, torch.get_rng_state())
    afterwards.callback(torch.set_num_threads, torch.get_num_threads())
    afterwards.callback(torch.set_default_dtype, torch.get_default_dtype())
    afterwards.callback(torch.set_grad_enabled, torch.is_grad_enabled())
    afterwards.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    afterwards.callback(torch.use_deterministic_algorithms, deterministic, warn_only=warn_only)
    # torch has no getter for this one; off is what a process starts with.
    afterwards.callback(torch.set_flush_denormal, False)
