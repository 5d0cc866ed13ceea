"""An update run again is the update alone: it calls no one's hooks, and loads nothing that it does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

import whygrad


def trained(kind: type[Any] = torch.optim.AdamW) -> whygrad.Run:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = kind([weight])
    with whygrad.record(steps="all") as run:
        for _ in range(2):
            optimizer.zero_grad()
            weight.square().sum().backward()
            optimizer.step()
    return run


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adafactor])
def test_hooks_of_all_optimizers_are_not_called(kind: type[Any]) -> None:
    run, called, step = trained(kind), list[str](), kind.step
    hooks = [
        register_optimizer_step_pre_hook(lambda *_: called.append("before")),
        register_optimizer_step_post_hook(lambda *_: called.append("after")),
    ]
    try:
        answer = run.why("weight[1]@1")
    finally:
        for hook in hooks:
            hook.remove()
    assert answer.verdict.kind == "same bits"
    assert not called
    assert kind.step is step


def test_the_compiler_is_not_imported(tmp_path: Path) -> None:
    path = trained().save(tmp_path / "run.why")
    code = (
        "import sys, whygrad\n"
        f"assert whygrad.load({str(path)!r}).why('weight[0]@1').verdict.kind == 'same bits'\n"
        "assert 'torch' in sys.modules\n"
        "print([name for name in ('torch._dynamo', 'sympy', 'pandas') if name in sys.modules])"
    )
    done: Any = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
