"""An IPython shell that has whygrad's magics, and cells to run in it."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

SETUP = """\
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Linear(1, 1)
x, target = torch.tensor([[1.5], [2.0]]), torch.tensor([[1.0], [0.0]])
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""
STEP = """\
optimizer.zero_grad()
loss = nn.functional.mse_loss(model(x), target)
loss.backward()
optimizer.step()
"""


@dataclass
class Cells:
    """Runs cells; `out` is what was printed while the last one ran, `err` the same of stderr."""

    shell: Any
    capture: pytest.CaptureFixture[str]
    out: str = ""
    err: str = ""
    shown: list[list[str]] = field(default_factory=list[list[str]])

    def __call__(self, cell: str) -> Any:
        """The cell's value. Its error is raised."""
        self.capture.readouterr()
        done = self.shell.run_cell(cell, store_history=True)
        self.out, self.err = self.capture.readouterr()
        done.raise_error()
        return done.result

    def error(self, cell: str) -> BaseException:
        """The error of a cell that has one; `shown` gets what IPython makes of it."""
        self.shown.clear()
        with pytest.raises(BaseException) as found:
            self(cell)
        return found.value

    @property
    def names(self) -> dict[str, Any]:
        """The user's namespace."""
        return self.shell.user_ns


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setitem(sys.modules, "__main__", sys.modules["__main__"])
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        found: Any = InteractiveShell.instance(config=config)
        yield found
        found.restore_sys_module_state()
        found.atexit_operations()
        atexit.unregister(found.atexit_operations)
        InteractiveShell.clear_instance()


@pytest.fixture
def cells(shell: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cells]:
    found = Cells(shell, capsys)
    monkeypatch.setattr(shell, "_showtraceback", lambda kind, error, lines: found.shown.append(lines))
    shell.reset(new_session=True)
    shell.run_line_magic("load_ext", "whygrad")
    yield found
    shell.run_line_magic("unload_ext", "whygrad")
