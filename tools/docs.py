"""`make docs`: the code blocks of README.md and docs/, run again, their output written below them.

What is a block, and what is done with it (a page is run top to bottom, in a folder of its own):

- ```` ```console ````: lines that begin with `$ ` are run by a shell, the lines after each are what it wrote.
- ```` ```python ````: run in one namespace per page; a ```` ```text ```` block right below it is what it printed.
- ```` ```python ```` under `<!-- file: train.py -->`: not run but written to that file; so is ```` ```markdown ````.
- ```` ```sh ````: for the reader's own machine (`make demo`, `pip install .`); not run here.
- without a word after the fence: a picture made of characters; left alone.

`<!-- digits vary -->` above a block: its numbers, or the order of its sums, depend on the processor. It is run,
its numbers are not compared. Sizes of files (`65,053 bytes`) are never compared: they hold the name of the processor.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_FENCE = re.compile(r"^(?P<mark>```+)(?P<kind>[\w-]*)[^\n]*\n(?P<body>.*?)^(?P=mark)[ ]*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- (?P<words>file: [\w./]+|digits vary) -->\s*\Z")
_SIZE = re.compile(r"\d[\d,]* bytes")
_NUMBER = re.compile(r"[+−-]?\d[\d.,]*(?:e[+-]?\d+)?")
RUN = ("console", "python", "text", "sh", "markdown", "")
ENDS = (0, 2)
"""Exit codes that a page may show: 2 is what whygrad answers to what a user can put right. From whygrad also 1: it found a
fault in what it was to check. (From Python, 1 is an exception.)"""


class DocsError(Exception):
    """A page that cannot be run: which page and line, and what is wrong."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, its text, where that begins and ends in the page, its line, the comment above it."""

    kind: str
    body: str
    start: int
    end: int
    line: int
    comment: str


@dataclass
class PageRun:
    """One page being run: its folder, the names its Python blocks share, what the last one printed."""

    name: str
    folder: Path
    space: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    printed: str | None = None
    printed_at: int = 0

    def output(self, block: Block) -> str:
        """The block's text as it should be, after running it."""
        if block.kind != "text" and self.printed:
            raise DocsError(f"{self.name}:{self.printed_at}: it prints, but no ```text block is below it")
        if block.comment.startswith("file: "):
            (self.folder / block.comment.removeprefix("file: ")).write_text(block.body, encoding="utf-8")
            return block.body
        match block.kind:
            case "console":
                return self._console(block)
            case "python":
                return self._python(block)
            case "text":
                if self.printed is None:
                    raise DocsError(f"{self.name}:{block.line}: a ```text block must stand below a ```python block")
                printed, self.printed = self.printed, None
                return printed
            case _:
                return block.body

    def _python(self, block: Block) -> str:
        out = io.StringIO()
        code = compile(block.body, "example.py", "exec")
        try:
            with contextlib.redirect_stdout(out), contextlib.chdir(self.folder):
                exec(code, self.space)
        except Exception as error:
            raise DocsError(f"{self.name}:{block.line}: {type(error).__name__}: {error}") from error
        self.printed, self.printed_at = _tidy(out.getvalue()), block.line
        return block.body

    def _console(self, block: Block) -> str:
        commands = [line for line in block.body.splitlines() if line.startswith("$ ")]
        if not block.body.startswith("$ "):
            raise DocsError(f"{self.name}:{block.line}: a ```console block begins with '$ '")
        return "".join(f"{command}\n{self._run(command[2:], block.line)}" for command in commands)

    def _run(self, command: str, line: int) -> str:
        # A command of ours runs in this process, which has torch already; `run` takes a process for itself.
        words = shlex.split(command) if not set(command) & set("|<>&;$*") else []
        ours = words[:1] == ["whygrad"] and words[1:2] != ["run"]
        code, output = _whygrad(words[1:], self.folder) if ours else _shell(command, self.folder)
        fault_found = code == 1 and command.startswith("whygrad ") and "Traceback" not in output
        if code not in ENDS and not fault_found:
            raise DocsError(f"{self.name}:{line}: {command!r} ended with {code}:\n{output}")
        return _tidy(output)


def _whygrad(words: list[str], folder: Path) -> tuple[int, str]:
    """Exit code and output of `whygrad WORDS`, as it is when its output is no terminal."""
    from whygrad.cli import main as whygrad_main

    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    columns = os.environ.pop("COLUMNS", None)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.chdir(folder):
            code = whygrad_main(words)
    finally:
        if columns is not None:
            os.environ["COLUMNS"] = columns
    out.seek(0)
    return code, out.read()


def _shell(command: str, folder: Path) -> tuple[int, str]:
    """Exit code and output of a shell command, with the `whygrad` of this Python first on the PATH."""
    bins = str(Path(sys.executable).parent)
    env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "PYTHONPATH")}
    env |= {"PATH": f"{bins}{os.pathsep}{env['PATH']}", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=env, text=True, encoding="utf-8", timeout=120, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


def pages() -> list[Path]:
    """The pages whose blocks are run."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    for found in _FENCE.finditer(text):
        comment = _COMMENT.search(text, 0, found.start())
        line = text.count("\n", 0, found.start()) + 1
        words = comment["words"] if comment else ""
        yield Block(found["kind"], found["body"], found.start("body"), found.end("body"), line, words)


def run_page(page: Path) -> str:
    """The page's text with its outputs as they are now. Raises DocsError when a block fails."""
    text = page.read_text(encoding="utf-8")
    parts: list[str] = []
    end = 0
    with tempfile.TemporaryDirectory() as folder, _one_thread():
        run = PageRun(page.name, Path(folder))
        for block in blocks(text):
            if block.kind not in RUN:
                raise DocsError(
                    f"{page.name}:{block.line}: expected one of {RUN} after the fence, found {block.kind!r}"
                )
            new = run.output(block)
            parts += [text[end : block.start], block.body if same(block, new) else new]
            end = block.end
        if run.printed:
            raise DocsError(f"{page.name}:{run.printed_at}: it prints, but no ```text block is below it")
    return "".join(parts) + text[end:]


def same(block: Block, new: str) -> bool:
    """Whether an output says what the page says, but for what differs from machine to machine."""
    if block.comment == "digits vary":
        return _NUMBER.sub("#", block.body).split()[:3] == _NUMBER.sub("#", new).split()[:3] and "✗" not in new
    return _SIZE.sub("# bytes", block.body) == _SIZE.sub("# bytes", new)


def _tidy(output: str) -> str:
    lines = [line.rstrip() for line in output.strip("\n").splitlines()]
    return "".join(f"{line}\n" for line in lines)


@contextlib.contextmanager
def _one_thread() -> Generator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def main(names: list[str]) -> None:
    """Run the pages named, or all, and write what changed."""
    for page in [Path(name).resolve() for name in names] or pages():
        new = run_page(page)
        if new != page.read_text(encoding="utf-8"):
            page.write_text(new, encoding="utf-8", newline="\n")
            print(f"{page.relative_to(ROOT)}: written again")


if __name__ == "__main__":
    main(sys.argv[1:])
