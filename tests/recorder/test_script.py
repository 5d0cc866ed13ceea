"""`whygrad run`: a program that is recorded must not be able to tell, and nobody who looks at its output
either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from whygrad.errors import ScriptError
from whygrad.recorder.policy import parse_keep
from whygrad.recorder.script import run_script
from whygrad.trace.file import open_run
from whygrad.trace.store import Trace

SRC = Path(__file__).resolve().parents[2] / "src"
# The whole command line is another file's business; this is its `run`.
COMMAND = """\
import argparse, sys
from whygrad.cli.run import add_parser
from whygrad.errors import WhygradError
parser = argparse.ArgumentParser()
add_parser(parser.add_subparsers())
args = parser.parse_args(sys.argv[1:])
try:
    sys.exit(args.main(args))
except WhygradError as error:
    sys.exit(f"whygrad: {error}")
"""
FINGERPRINT = """\
def fingerprint(model, optimizer):
    import hashlib, random, numpy, torch
    h = hashlib.sha256()
    for t in [*model.state_dict().values(), *(v for s in optimizer.state.values() for v in s.values())]:
        h.update(t.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    h.update(torch.get_rng_state().numpy().tobytes())
    h.update(repr(random.getstate()).encode() + repr(numpy.random.get_state()).encode())
    return h.hexdigest()
"""
TRAIN = """\
import argparse, atexit, os, sys
assert "torch" not in sys.modules, "a program may set things before it imports torch"
os.environ["OMP_NUM_THREADS"] = "1"
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from helper import fingerprint

class Numbers(Dataset):
    def __len__(self):
        return 12
    def __getitem__(self, i):
        x = torch.full((3,), float(i))
        return x, x.sum().reshape(1)

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("-o", "--out", default="")
    parser.add_argument("--context", default="fork")
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()
    import random, numpy
    torch.manual_seed(5), random.seed(6), numpy.random.seed(7)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.1), nn.Linear(4, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    loader = DataLoader(Numbers(), batch_size=4, shuffle=True, num_workers=2, multiprocessing_context=args.context)
    for epoch in range(args.epochs):
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
        print(epoch, loss.item())
    print(args, sys.argv, sys.path[0] == os.path.dirname(os.path.abspath(__file__)), __spec__, __package__)
    print(__file__, __name__, type(__loader__), __cached__)
    print(open(__file__).readline().strip(), torch.get_num_threads(), type(loader).__module__, Numbers.__module__)
    print(fingerprint(model, optimizer))
    atexit.register(print, "goodbye")
    sys.exit(3)

if __name__ == "__main__":
    main()
"""
FAILING = """\
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)

    def forward(self, x):
        return self.fc(x)

class Hooked(Block):
    pass

def half_way(model, batch):
    try:
        model(batch)
    except RuntimeError as error:
        raise ValueError("a batch of the wrong shape") from error

torch.manual_seed(0)
model = nn.Sequential(Block(), nn.ReLU())
hooked = nn.Sequential(Hooked())
hooked[0].register_forward_hook(lambda module, args, out: None)
optimizer = torch.optim.SGD([*model.parameters(), *hooked.parameters()], lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    (model(torch.ones(1, 3)).sum() + hooked(torch.ones(1, 3)).sum()).backward()
    optimizer.step()
print("so far")
model(torch.ones(1, 3))
try:
    torch.ones(3) @ torch.ones(4)
except RuntimeError:
    try:
        half_way(hooked, torch.ones(1, 5))
    except ValueError:
        half_way(model, torch.ones(1, 4))
"""
PACKAGED = """\
import sys
import torch
from .parts import build
from . import parts

model = build()
optimizer = torch.optim.SGD(model.parameters(), lr=0.25, momentum=0.5)
for _ in range(2):
    optimizer.zero_grad()
    model(torch.ones(2, 2)).pow(2).mean().backward()
    optimizer.step()
print(__name__, __package__, __spec__.name, __file__, sys.argv, sys.path[0], parts.__name__)
print([p.tolist() for p in model.parameters()])
"""
PATIENT = """\
import time, torch
w = torch.ones(2, requires_grad=True)
for i in range(100000):
    (w * w).sum().backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
        w.grad = None
    if i == 2:
        print("ready", flush=True)
    if i > 2:
        time.sleep(0.05)
"""


@dataclass(frozen=True)
class Done:
    """How a program ended. `said` is what whygrad wrote on stderr, `stderr` the rest."""

    code: int
    stdout: str
    stderr: str
    said: str


def start(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "2"}
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def end(process: subprocess.Popen[str]) -> Done:
    stdout, stderr = process.communicate(timeout=100)
    said = [line for line in stderr.splitlines(keepends=True) if line.startswith("whygrad: ")]
    rest = [line for line in stderr.splitlines(keepends=True) if not line.startswith("whygrad: ")]
    return Done(process.returncode, stdout, "".join(rest), "".join(said))


def both(arguments: list[str], folder: Path, options: list[str] | None = None) -> tuple[Done, Done]:
    """The program on its own, and recorded."""
    plain = start(arguments, folder)
    recorded = start(["-c", COMMAND, "run", *(options or []), *arguments], folder)
    return end(plain), end(recorded)


def opened(path: Path) -> Trace:
    """The run; all of it can be read."""
    trace = open_run(path)
    for info in trace.index:
        if info.kept:
            step = trace.step(info.number)
            for chunk in step.chunks:
                trace.source.load_chunk(info.number, chunk)
    return trace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text(FINGERPRINT)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "failing.py").write_text(FAILING)
    (tmp_path / "patient.py").write_text(PATIENT)
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "parts.py").write_text(
        "import torch\n\ndef build():\n    torch.manual_seed(1)\n    return torch.nn.Linear(2, 1)\n"
    )
    (package / "train.py").write_text(PACKAGED)
    return tmp_path


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_a_script_runs_as_without(folder: Path, context: str) -> None:
    """argv, __file__, siblings, its own source, workers, exit code, atexit; weights, optimizer state and RNG
    to the bit."""
    epochs = 2 if context == "fork" else 1  # a spawned worker imports torch anew
    arguments = ["--lr", "0.1", "--context", context, "--epochs", str(epochs), "-o", "x"]
    plain, recorded = both(["train.py", *arguments], folder, ["-o", "runs.why"])
    assert (plain.code, plain.stderr) == (3, "")
    assert recorded.stdout == plain.stdout
    assert recorded.stdout.endswith("goodbye\n")
    assert (recorded.code, recorded.stderr) == (3, "")
    trace = opened(folder / "runs.why")
    steps = 3 * epochs
    assert trace.history.steps == list(range(steps))
    assert [info.kept for info in trace.index if info.complete] == [True] * steps
    info = trace.info
    assert (info.status, info.seed, info.threads, info.steps_option) == ("ok", 5, 1, "all")
    assert info.argv == ("train.py", *arguments)
    assert f"runs.why: {steps} steps, {steps} kept whole" in recorded.said
    assert f"next: whygrad table runs.why   whygrad why runs.why '0.weight[0,0]@{steps - 1}'" in recorded.said


def test_the_traceback_is_that_of_plain_python(folder: Path) -> None:
    plain, recorded = both(["failing.py"], folder)
    assert plain.code == 1
    assert "direct cause" in plain.stderr
    assert recorded.stderr == plain.stderr
    assert (recorded.code, recorded.stdout) == (1, plain.stdout)
    trace = opened(folder / "failing.why")
    assert trace.info.status == "exception"
    assert trace.history.steps == [0, 1, 2]
    last = trace.index[-1]
    assert (last.complete, last.kept) == (False, True), "the step that the exception interrupted is there"


def test_a_module_of_a_package(folder: Path) -> None:
    plain, recorded = both(["-m", "package.train", "--epochs", "2"], folder)
    assert (plain.code, plain.stderr) == (0, "")
    assert recorded.stdout == plain.stdout
    assert (recorded.code, recorded.stderr) == (0, "")
    assert opened(folder / "train.why").history.steps == [0, 1]


def test_control_c(folder: Path) -> None:
    recorded = start(["-c", COMMAND, "run", "patient.py"], folder)
    assert recorded.stdout is not None
    assert recorded.stdout.readline() == "ready\n"
    recorded.send_signal(signal.SIGINT)
    done = end(recorded)
    assert done.code == 130
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert "whygrad" not in done.stderr
    trace = opened(folder / "patient.why")
    assert trace.info.status == "interrupted"
    assert trace.history.steps[:3] == [0, 1, 2]
    assert trace.history.column("w[0]")[0] == float.fromhex("0x1.99999ap-1")


def test_a_killed_program_leaves_what_it_had(folder: Path) -> None:
    recorded = start(["-c", COMMAND, "run", "patient.py"], folder)
    path = folder / "patient.why"
    kept: list[int] = []
    deadline = time.monotonic() + 60
    while len(kept) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
        if path.exists() and path.stat().st_size > 500:
            trace = opened(path)
            assert trace.info.status == "running"
            kept = [info.number for info in trace.index if info.kept]
    recorded.kill()
    recorded.communicate()
    trace = opened(path)
    assert trace.info.status == "killed"
    assert trace.info.torch
    after = [info.number for info in trace.index if info.kept]
    assert len(kept) >= 3
    assert after[: len(kept)] == kept, "all that was flushed is there"
    assert trace.history.steps[: len(after)] == after, "and so are their rows"


ENDINGS = {
    "syntax.py": "x = (1,\nprint(\n",
    "exits.py": "import sys\nprint('out')\nsys.exit('bye')\n",
    "argument.py": "def f(:\n",
    "hook.py": "import sys\nsys.excepthook = lambda *a: print('mine', a[0].__name__, file=sys.stderr)\n1 / 0\n",
    "exits_odd.py": "raise SystemExit(True)\n",
    "empty.py": "",
    "group.py": "raise ExceptionGroup('two', [ValueError(1), KeyError(2)])\n",
}


@pytest.mark.parametrize("name", ENDINGS)
def test_programs_without_torch_end_as_without(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(ENDINGS[name])
    plain, recorded = both([name], tmp_path)
    assert (recorded.code, recorded.stdout, recorded.stderr) == (plain.code, plain.stdout, plain.stderr)
    assert not list(tmp_path.glob("*.why"))


def test_a_program_without_training(tmp_path: Path) -> None:
    (tmp_path / "only.py").write_text("import torch\nprint(torch.ones(2) + 1)\n")
    plain, recorded = both(["only.py"], tmp_path)
    assert recorded.stdout == plain.stdout
    assert "no training was seen" in recorded.said
    (tmp_path / "none.py").write_text("print(1)\n")
    _, recorded = both(["none.py"], tmp_path)
    assert "never imported torch" in recorded.said


def test_nothing_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keep = parse_keep("all", "1GB")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "data.py").write_bytes(bytes(20))
    for target, out, module, says in [
        ("none.py", "a.why", False, "no file 'none.py'"),
        (str(tmp_path), "a.why", False, "is a directory"),
        ("data.py", "a.why", False, "not a Python program"),
        ("no_such_module", "a.why", True, "no module 'no_such_module'"),
        ("json", "a.why", True, "without a __main__.py"),
        ("data.py", "notes.txt", False, "is there already"),
        ("data.py", "no/where.why", False, "no directory"),
        ("data.py", ".", False, "is a directory"),
    ]:
        with pytest.raises(ScriptError, match=says.replace("'", ".")):
            run_script(target, [], Path(out), module=module, keep=keep)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "a.why").exists()


def test_the_command_is_light() -> None:
    program = "import sys, whygrad.cli.run, whygrad.recorder.script; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=SRC, check=False).returncode == 0
