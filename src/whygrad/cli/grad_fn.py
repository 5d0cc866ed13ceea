"""`whygrad grad-fn NAME [RUN]`: what AddmmBackward0 means."""

from __future__ import annotations

import argparse
import sys

from whygrad.cli.common import Subparsers, add_command

_EXAMPLE = """\
example:
  whygrad grad-fn AddmmBackward0                   what the name says
  whygrad grad-fn AddmmBackward0 neuron.why        and which line of the program made it
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "grad-fn", main, "explain the name of a grad_fn, such as AddmmBackward0", _EXAMPLE)
    parser.add_argument("name", metavar="NAME", help="as printed by print(loss.grad_fn)")
    parser.add_argument("run", metavar="RUN", nargs="?", help="a saved run in which to look for it")


def main(args: argparse.Namespace) -> int:
    """Print the explanation."""
    from whygrad.render.terminal import draw_paragraphs, screen_for, show
    from whygrad.view.grad_fn import explain_grad_fn

    step = None
    if args.run is not None:
        import whygrad

        run = whygrad.load(args.run)
        step = run.trace.step(run.steps[0]) if run.steps else None
    view = explain_grad_fn(args.name, step)
    paragraphs = [view.meaning, *([view.number] if view.number else []), *view.made]
    if step is not None and not view.made:
        paragraphs.append(f"Step {step.number} of this run has no such node.")
    show(draw_paragraphs(paragraphs, screen_for(sys.stdout)))
    return 0
