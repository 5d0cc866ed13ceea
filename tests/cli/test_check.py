"""`whygrad check`: its exit codes, its text, its JSON, and code run afresh."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whygrad.cli import main

PAGE = """\
```python
import torch

w = torch.nn.Parameter(torch.tensor([0.5]))
optimizer = torch.optim.SGD([w], lr=0.1)
for step in range(3):
    loss = ((w - 1.0) ** 2).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

The learning rate is {lr}. After the first step `w` is {w}.
"""


def test_a_clean_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nlr = 0.1\n```\n\nThe learning rate is 0.1.\n")
    assert main(["check", str(page)]) == 0
    assert capsys.readouterr().out == f"{page}: 1 number in the prose; 1 to the code; 0 findings.\n"


def test_findings_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(lr="0.2", w="0.6"))
    assert main(["check", str(page)]) == 1
    assert f"{page}:13:22: says the learning rate is 0.2: the code uses 0.1" in capsys.readouterr().out
    assert main(["check", str(page), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(each["line"], each["column"], each["kind"]) for each in found["findings"]] == [(13, 22, "setting")]


def test_what_cannot_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.md")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_code_is_run_and_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(lr="0.1", w="0.6543"))
    assert main(["check", str(page), "--execute"]) == 1
    out = capsys.readouterr().out
    assert "says the w after step 0 is 0.6543: it is 0.6 (w[0]@0)" in out
    assert "    w[0]@0 = " in out
