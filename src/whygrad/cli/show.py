"""`whygrad show RUN`: a saved run, or a lesson's, as one HTML file."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from whygrad.cli.common import Subparsers, add_command, write
from whygrad.errors import WhygradError

if TYPE_CHECKING:
    from whygrad.trace.store import Trace

_EXAMPLE = """\
example:
  whygrad show neuron.why                          writes neuron.html, to open in a browser
  whygrad show train.why -o page.html --open       elsewhere, and open it
  whygrad show train.why --steps 0,5:10,-1         which steps can be asked
  whygrad show lesson-4                            a lesson's program: writes lesson-4.html, and the run lesson-4.why

The file holds all it needs: it opens from disk and offline, and fetches nothing. What does not fit is named in it, with
the command that shows it.
"""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmM]?)(i?)[bB]?")
_LESSON = re.compile(r"lesson-\d+")
_LEAST = 150_000
_ROOM = 40_000
"""Bytes of a file that are neither script nor data: the table without script, the frame around it."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(
        subparsers, "show", main, "write a saved run as an HTML page in which any number can be clicked", _EXAMPLE
    )
    parser.add_argument("run", metavar="RUN", help="a saved run, or lesson-1 to lesson-8")
    parser.add_argument("-o", "--out", metavar="PAGE", type=Path, help="the file to write (RUN's name, .html)")
    parser.add_argument(
        "--steps",
        metavar="STEPS",
        help="which steps can be asked, as in `whygrad run`: 0,5:10,-1 (a choice of the kept)",
    )
    parser.add_argument("--max-size", metavar="BYTES", type=_size, default=5_000_000, help="of the file (5MB)")
    parser.add_argument("--level", choices=("neuron", "network", "run"), help="how it is drawn (by what was recorded)")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    parser.add_argument("--force", action="store_true", help="overwrite a file that is no page of whygrad's")


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"expected bytes such as 500KB or 5MB, found {text!r}")
    unit = 1024 if match[3] else 1000
    size = int(float(match[1]) * unit ** {"": 0, "k": 1, "m": 2}[match[2].lower()])
    if size < _LEAST:
        raise argparse.ArgumentTypeError(f"a page takes at least {_LEAST:,} bytes, found {text!r}")
    return size


def main(args: argparse.Namespace) -> int:
    """Make the page and write it; print where it is."""
    import whygrad
    from whygrad.explain.why import Explainer
    from whygrad.render.page import bundle, page_html
    from whygrad.view.page import PageOptions, level_of, saved_page

    lesson = _LESSON.fullmatch(args.run) is not None
    run = Path(args.run)
    out: Path = args.out or Path(f"{run.stem}.html")
    run = out.with_name(f"{run}.why") if lesson else run
    _may_write(out, run, args.force)
    new = lesson and not run.exists()
    trace = _lesson(args.run, run) if new else whygrad.load(run).trace
    script = bundle(args.level or level_of(trace))
    steps = None if args.steps is None else _steps(args.steps, trace)
    room = args.max_size - len(script.encode()) - _ROOM
    with _Progress() as progress:
        options = PageOptions(steps=steps, most_bytes=room, level=args.level, progress=progress.show)
        page = saved_page(Explainer(trace), run.name, options)
    size = _write(out, page_html(page, script))
    write(f"{out}: {size:,} bytes\n")
    for note in page["leftOut"]:
        write(f"  {note}\n")
    if lesson:
        write(f"{run}: the run that it shows{'' if new else ', which was there already'}\n")
    if args.open:
        import webbrowser

        webbrowser.open(out.resolve().as_uri())
    return 0


def _lesson(name: str, path: Path) -> Trace:
    """A lesson's program, recorded, and saved beside the page: its commands name that run. Raises WhygradError."""
    import whygrad
    from whygrad.play.lessons import record_lesson

    trace = record_lesson(name)
    whygrad.Run(trace).save(path)
    return trace


def _steps(text: str, trace: Trace) -> tuple[int, ...]:
    """The kept steps that a text such as `0,5:10,-1` names; a single number that was not kept is an error."""
    from whygrad.recorder.policy import parse_keep

    keep = parse_keep(text, "1GB")
    total = len(trace.history.steps)
    kept = [info.number for info in trace.index if info.kept and info.complete]
    for start, stop in keep.spans:
        if stop == start + 1 and start not in kept:
            raise WhygradError(trace.why_not_kept(start))
    chosen = tuple(number for number in kept if keep.wants(number) or number >= total - keep.tail)
    if not chosen:
        raise WhygradError(f"--steps {text} names none of the kept steps; see `whygrad table` for what there is.")
    return chosen


def _may_write(out: Path, run: Path, force: bool) -> None:
    """Refuse what would be lost: the run itself, and a file that is no page of ours."""
    from whygrad.render.page import is_page

    if out.exists() and run.exists() and out.samefile(run):
        raise WhygradError(f"{out} is the run itself; name another file with -o.")
    if out.is_dir():
        raise WhygradError(f"{out} is a folder; name a file with -o.")
    if not out.parent.is_dir():
        raise WhygradError(f"cannot write {out}: there is no folder {out.parent}. Choose another place with -o.")
    if not out.exists() or force:
        return
    with out.open("rb") as file:
        start = file.read(2000).decode("utf-8", "replace")
    if start and not is_page(start):
        raise WhygradError(
            f"{out} is there already and is no page of whygrad's; overwrite it with --force, or choose -o."
        )


def _write(out: Path, text: str) -> int:
    """Write the whole file or none of it; its size in bytes."""
    data = text.encode()
    try:
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.", suffix=".part")
    except OSError as error:
        raise WhygradError(f"cannot write {out}: {error.strerror or error}. Choose another place with -o.") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)  # as any new file; mkstemp's is for its owner alone
        Path(name).replace(out)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise WhygradError(f"cannot write {out}: {error.strerror or error}.") from error
        raise
    return len(data)


class _Progress:
    """A line on a tty, from the first second on; it is gone when the work is done."""

    def __enter__(self) -> _Progress:
        self._shown = sys.stderr.isatty()
        self._next = time.monotonic() + 1
        return self

    def show(self, done: int, of: int) -> None:
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.2
            sys.stderr.write(f"\rexplaining {done:,} of {of:,} numbers …\x1b[K")
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
