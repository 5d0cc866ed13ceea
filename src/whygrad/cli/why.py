"""`whygrad why RUN ADDRESS`: the equation behind a number."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from whygrad.cli.common import Subparsers, add_command, write, write_json
from whygrad.errors import WhygradError

if TYPE_CHECKING:
    from whygrad.run import Run

_EXAMPLE = """\
example:
  whygrad why neuron.why "linear.weight[0,0]@0"              the weight after the first update
  whygrad why neuron.why "linear.weight[0,0].grad@0"         its gradient
  whygrad why neuron.why "loss@3" --depth 5                  further back than this step's inputs and parameters
  whygrad why neuron.why "linear.weight[0,0]@0" --python     a program that gives the very bits
  whygrad why neuron.why "linear.weight[0,0]@19" --updates   all updates that made it, and what rounding took of them
  whygrad why neuron.why "linear.weight[0,0].grad@0" --is "2*(prediction - target)*x"   is that it? if not, what differs

Each operand shown is an address again: ask it next. The marks: ✓ the equation, evaluated as the kernel evaluates it,
gives the very bits; ≈ the op, run again, gives the bits and the equation is as many ulp off as is said; ? no equation
is known for this op; ✗ even the op run again gives other bits.
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "why", main, "explain one number of a saved run", _EXAMPLE)
    parser.add_argument("run", metavar="RUN", help="a saved run")
    parser.add_argument("address", metavar="ADDRESS", help="which number: NAME[INDEX]@STEP")
    parser.add_argument(
        "--depth", type=_depth, metavar="N", help="how many operands deep (default: to a small network's inputs)"
    )
    parser.add_argument(
        "--exact", action="store_true", help="every digit of every value, and the result before rounding"
    )
    parser.add_argument(
        "--updates", action="store_true", help="go back through all kept updates of a weight: moved, asked for, lost"
    )
    parser.add_argument(
        "--is",
        dest="formula",
        metavar="FORMULA",
        help="compare your own formula, or a number, with it; exit 1 if it differs",
    )
    parser.add_argument("--all", action="store_true", help="with --updates: every update, not the largest alone")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the whole answer as JSON")
    form.add_argument("--latex", action="store_true", help="the equation as LaTeX")
    form.add_argument("--python", action="store_true", help="the equation as a Python program that gives the very bits")


def _depth(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number such as 3, found {text!r}")
    return int(text)


def main(args: argparse.Namespace) -> int:
    """Print the answer."""
    import whygrad
    from whygrad.render.terminal import draw_derivation, screen_for, show

    run = whygrad.load(args.run)
    if args.updates:
        return _updates(run, args)
    if args.formula is not None:
        return _check(run, args)
    answer = run.why(args.address, depth=args.depth)
    if args.json:
        write_json(answer.to_dict())
    elif args.latex:
        write(answer.latex() + "\n")
    elif args.python:
        write(answer.python())
    else:
        show(draw_derivation(answer.view(args.exact), screen_for(sys.stdout)))
    return 0


def _check(run: Run, args: argparse.Namespace) -> int:
    from whygrad.render.formula import draw_formula
    from whygrad.render.terminal import screen_for, show

    if args.latex or args.python or args.exact or args.depth is not None:
        raise WhygradError("--is compares a formula: of the other options, only --json goes with it.")
    found = run.check(args.formula, args.address)
    if args.json:
        write_json(found.to_dict())
    else:
        show(draw_formula(found.view(), screen_for(sys.stdout)))
    return 0 if found else 1


def _updates(run: Run, args: argparse.Namespace) -> int:
    from whygrad.render.terminal import screen_for, show
    from whygrad.render.updates import draw_updates
    from whygrad.view.updates import updates_view

    if args.latex or args.python or args.exact or args.depth is not None:
        raise WhygradError("--updates tells of many numbers: of the other options, only --json and --all go with it.")
    with _Counting() as progress:
        found = run.updates(args.address, progress=progress.show)
    if args.json:
        write_json(found.to_dict())
    else:
        show(draw_updates(updates_view(found.inert, args.all), screen_for(sys.stdout)))
    return 0


class _Counting:
    """A line on a tty that says how far back a walk has come; it is gone when the walk is done."""

    def __enter__(self) -> _Counting:
        self._shown = sys.stderr.isatty()
        return self

    def show(self, step: int) -> None:
        if self._shown and step % 10 == 0:
            sys.stderr.write(f"\rback at step {step} …\x1b[K")
            sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
