"""`whygrad table RUN`: a row a step."""

from __future__ import annotations

import argparse

from whygrad.cli.common import Subparsers, add_command, write, write_json
from whygrad.errors import WhygradError

_EXAMPLE = """\
example:
  whygrad table neuron.why                             the table
  whygrad table neuron.why --columns loss,weight       some of its columns
  whygrad table neuron.why --csv > neuron.csv          all rows, for another program
  whygrad table neuron.why --tensors                   a row a parameter tensor, at the last step
  whygrad table neuron.why --tensors --step 3          the same at step 3

Every number is the shortest decimal that reads back to the same bits in its own format. Ask any of them why:
  whygrad why neuron.why "linear.weight[0,0]@3"

--tensors shows statistics of each parameter tensor, for every step, also where its values were not kept:
  grad norm       the L2 norm of the gradient that the update used
  update/weight   the norm of (weight after - weight before) / the norm of the weight before
  lost            elements with a non-zero gradient that kept their very bits / elements with a non-zero gradient
  non-finite      how many elements of the gradient, and of the weight after the step, are infinite or NaN
A cell is empty where there is no gradient, the step did not update the tensor, or its learning rate is 0.
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "table", main, "show a saved run, a row a step", _EXAMPLE)
    parser.add_argument("run", metavar="RUN", help="a saved run")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="all rows as JSON; numbers as strings, so that none is rounded"
    )
    form.add_argument("--csv", action="store_true", help="all rows as comma-separated values")
    parser.add_argument("--all", action="store_true", help="show every row, also of a long table")
    parser.add_argument(
        "--tensors", action="store_true", help="a row a parameter tensor: norms, lost updates, non-finite"
    )
    parser.add_argument("--step", type=int, metavar="N", help="with --tensors: at step N, not at the last")
    parser.add_argument("--columns", metavar="NAMES", help="these columns only, separated by commas: loss,weight")


def main(args: argparse.Namespace) -> int:
    """Print the table."""
    import whygrad
    from whygrad.render.terminal import draw_table, screen_for, show
    from whygrad.view.table import table_csv, table_dict, table_view

    if args.tensors:
        return _tensors(args)
    if args.step is not None:
        raise WhygradError("--step chooses a row of --tensors; the table has all steps.")
    history = whygrad.load(args.run).trace.history
    names = None if args.columns is None else split_names(args.columns)
    if args.csv:
        write(table_csv(history, names))
    elif args.json:
        write_json(table_dict(history, names))
    else:
        import sys

        show(draw_table(table_view(history, names, args.all), screen_for(sys.stdout)))
    return 0


def _tensors(args: argparse.Namespace) -> int:
    import sys

    import whygrad
    from whygrad.render.statistics import draw_statistics
    from whygrad.render.terminal import screen_for, show
    from whygrad.view.statistics import statistics_csv, statistics_dict, statistics_view

    if args.columns is not None or args.all:
        raise WhygradError("--tensors shows all tensors and statistics; leave --columns and --all out.")
    found = whygrad.load(args.run).trace.statistics
    if args.csv:
        write(statistics_csv(found, args.step))
    elif args.json:
        write_json(statistics_dict(found, args.step))
    else:
        show(draw_statistics(statistics_view(found, args.step), screen_for(sys.stdout)))
    return 0


def split_names(text: str) -> tuple[str, ...]:
    """Names between commas; a comma inside brackets belongs to the name: `loss,weight[0,1]`."""
    names, depth = [""], 0
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == "," and depth <= 0:
            names.append("")
        else:
            names[-1] += char
    return tuple(name.strip() for name in names if name.strip())
