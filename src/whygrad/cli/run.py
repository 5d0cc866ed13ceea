"""`whygrad run`: run a training script as it is, and record it."""

from __future__ import annotations

import argparse
from pathlib import Path

_ABOUT = """\
Run a training script, unchanged, and record what it did: forward, loss, backward, update.

  whygrad run train.py --lr 0.1          everything after the script is the script's own
  whygrad run -m package.train --lr 0.1  as `python -m package.train --lr 0.1`

Then ask:

  whygrad table train.why                a row a step
  whygrad why train.why 'loss@3'         why is this number what it is?
"""
_STEPS = """\
which steps are kept whole, so that each of their numbers can be asked: all, none, or numbers and ranges as in
a Python slice, counted from 0: 0,10:20,-1 is the first, 10 to 19, and the last; -5: is the last five (all).
The table has all steps in any case."""
_BUDGET = """\
bytes that the kept steps may take, such as 500MB or 2GiB (1GB). Steps after that are in the table only. A single
step that needs more keeps what fits; its largest results are computed again when they are asked for."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The command's options. Its parser's default `main` is the function below."""
    parser = subparsers.add_parser(
        "run",
        help="run a training script and record it",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="whygrad run [-o RUN] [--steps STEPS] [--budget BYTES] (SCRIPT | -m MODULE) [ARGS ...]",
    )
    parser.add_argument("-o", "--out", metavar="RUN", type=Path, help="the file to save to (the script's name, .why)")
    parser.add_argument("--steps", metavar="STEPS", default="all", help=_STEPS)
    parser.add_argument("--budget", metavar="BYTES", default="1GB", help=_BUDGET)
    parser.add_argument("-m", dest="module", action="store_true", help="SCRIPT is the name of a module")
    parser.add_argument("script", metavar="SCRIPT", help="the program, as `python SCRIPT` would run it")
    parser.add_argument("args", metavar="ARGS", nargs=argparse.REMAINDER, help="handed to the program as they are")
    parser.set_defaults(main=main)
    return parser


def main(args: argparse.Namespace) -> int:
    """Run it; returns the program's exit code. Raises WhygradError when it cannot be begun."""
    from whygrad.recorder.policy import parse_keep
    from whygrad.recorder.script import run_script

    out: Path | None = args.out
    if out is None:
        name: str = args.script.rpartition(".")[2] if args.module else Path(args.script).stem
        out = Path(f"{name}.why")
    return run_script(args.script, args.args, out, module=args.module, keep=parse_keep(args.steps, args.budget))
