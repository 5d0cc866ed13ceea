"""`whygrad why RUN ADDRESS`: the equation behind a number."""

from __future__ import annotations

import argparse
import sys

from whygrad.cli.common import Subparsers, add_command, write, write_json

_EXAMPLE = """\
example:
  whygrad why neuron.why "linear.weight[0,0]@0"              the weight after the first update
  whygrad why neuron.why "linear.weight[0,0].grad@0"         its gradient
  whygrad why neuron.why "loss@3" --depth 5                  further back than this step's inputs and parameters
  whygrad why neuron.why "linear.weight[0,0]@0" --python     a program that gives the very bits

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
    from whygrad.view.derivation import derivation_view

    run = whygrad.load(args.run)
    answer = run.why(args.address, depth=args.depth)
    if args.json:
        write_json(answer.to_dict())
    elif args.latex:
        write(answer.latex() + "\n")
    elif args.python:
        write(answer.python())
    else:
        show(draw_derivation(derivation_view(answer.inert, args.exact), screen_for(sys.stdout)))
    return 0
