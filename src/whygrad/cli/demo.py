"""`whygrad demo neuron`: a first look, from training to the reason of every number."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whygrad.cli.common import Subparsers, add_command

if TYPE_CHECKING:
    from whygrad.run import Run
    from whygrad.view.lesson import FormatRow

FORMATS = ("float16", "bfloat16", "float32", "float64")
MOST_STEPS = 200
DEFAULT_FORMAT = {"neuron": "float16", "xor": "float32"}
DEFAULT_STEPS = {"neuron": 20, "xor": 200}
EXPLAINED = {"neuron": "linear.weight[0,0]@0", "xor": "hidden.weight[0,0].grad@0"}

_EXAMPLE = """\
example:
  whygrad demo neuron                       one neuron in float16: the table, one reason, what happened
  whygrad demo neuron --format bfloat16     the same in another number format
  whygrad demo xor                          two layers that learn XOR
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "demo", main, "train a small network and explain what happened", _EXAMPLE)
    parser.add_argument("name", choices=tuple(EXPLAINED), metavar="NAME", help="neuron or xor")
    parser.add_argument(
        "--format", choices=FORMATS, help="number format of weights and data (neuron: float16, xor: float32)"
    )
    parser.add_argument("--steps", type=_steps, metavar="N", help="training steps (neuron: 20, xor: 200)")
    parser.add_argument("-o", "--out", metavar="RUN", help="where the run is saved (NAME.why)")


def _steps(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 100000, found {text!r}")
    return int(text)


def main(args: argparse.Namespace) -> int:
    """Train, save, show."""
    import torch

    from whygrad.errors import WhygradError

    fmt = args.format or DEFAULT_FORMAT[args.name]
    steps = args.steps or DEFAULT_STEPS[args.name]
    output = Path(args.out or f"{args.name}.why")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one thread: the same bits, and the same order of summation, on every machine of a kind
    try:
        run = record_demo(args.name, fmt, steps)
        run.save(output)
        rows = format_rows(args.name) if args.name == "neuron" else ()
    except OSError as error:
        raise WhygradError(
            f"cannot save the run as {output}: {error.strerror or error}. Choose another place with -o."
        ) from error
    finally:
        torch.set_num_threads(threads)
    _show(args.name, fmt, run, rows, str(output))
    return 0


def record_demo(name: str, fmt: str, steps: int, keep: str = "all") -> Run:
    """Run the demo's own script, `demos/<name>.py`, and record it. Its lines are shown by that file name."""
    import torch

    import whygrad

    path = Path(whygrad.__file__).with_name("demos") / f"{name}.py"
    # Compiled under its bare name: the script stands for the user's program, and what lies in this package is taken
    # for ours.
    space: dict[str, Any] = {"__name__": f"whygrad.demos.{name}", "__file__": f"{name}.py"}
    exec(compile(path.read_text(encoding="utf-8"), f"{name}.py", "exec"), space)
    with whygrad.record(steps=keep) as run:
        space["train"](getattr(torch, fmt), steps)
    return run


def format_rows(name: str) -> tuple[FormatRow, ...]:
    """The same training in three formats, each until its loss is exactly 0 or its parameters stand still."""
    from whygrad.view.lesson import format_row

    return tuple(
        format_row(fmt, record_demo(name, fmt, MOST_STEPS, "none").trace.history)
        for fmt in ("bfloat16", "float16", "float32")
    )


def _show(name: str, fmt: str, run: Run, rows: tuple[FormatRow, ...], saved: str) -> None:
    from whygrad.render.terminal import (
        draw_derivation,
        draw_format_rows,
        draw_heading,
        draw_paragraphs,
        draw_table,
        screen_for,
        show,
    )
    from whygrad.view.derivation import derivation_view
    from whygrad.view.lesson import intro, next_commands, what_happened
    from whygrad.view.table import table_view

    screen, history = screen_for(sys.stdout), run.trace.history
    last = history.steps[-1]
    pieces = [draw_paragraphs([intro(name, fmt, len(history.steps))], screen)]
    columns = (
        None
        if name == "neuron"
        else tuple(c.name for kind in ("loss", "prediction") for c in history.columns if c.kind == kind)
    )
    every = max(1, len(history.steps) // 10) if name == "xor" else None
    words = "a row a step" if every in (None, 1) else f"every {every} steps"
    pieces += [
        draw_heading("The table", f"{words}; a weight as it is after the step's update" if name == "neuron" else words),
        draw_table(table_view(history, columns, every=every), screen),
    ]
    why = derivation_view(run.why(EXPLAINED[name], depth=1 if name == "xor" else None).inert)
    pieces += [draw_heading("One number", f"why is {why.address} what it is?"), draw_derivation(why, screen)]
    story = what_happened(fmt, history, target_of(run, last))
    if story or rows:
        pieces.append(draw_heading("What happened", "computed from these runs"))
        pieces += [draw_paragraphs(story, screen)] if story else []
        pieces += [draw_format_rows(rows, screen)] if rows else []
    pieces += [
        draw_heading("Go on", f"the run is saved as {saved}"),
        draw_paragraphs(next_commands(name, saved, history), screen, tight=True),
    ]
    for number, piece in enumerate(pieces):
        if number:
            print()
        show(piece, sys.stdout, screen)


def target_of(run: Run, step: int) -> float | None:
    """The target, where it is one number."""
    from whygrad.errors import WhygradError

    try:
        return float(run.why(f"target@{step}", depth=0).value)
    except WhygradError:
        return None
