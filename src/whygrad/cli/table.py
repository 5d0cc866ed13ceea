"""`whygrad table RUN`: a row a step."""

from __future__ import annotations

import argparse

from whygrad.cli.common import Subparsers, add_command, write, write_json

_EXAMPLE = """\
example:
  whygrad table neuron.why                             the table
  whygrad table neuron.why --columns loss,weight       some of its columns
  whygrad table neuron.why --csv > neuron.csv          all rows, for another program

Every number is the shortest decimal that reads back to the same bits in its own format. Ask any of them why:
  whygrad why neuron.why "linear.weight[0,0]@3"
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
    parser.add_argument("--columns", metavar="NAMES", help="these columns only, separated by commas: loss,weight")


def main(args: argparse.Namespace) -> int:
    """Print the table."""
    import whygrad
    from whygrad.render.terminal import draw_table, screen_for, show
    from whygrad.view.table import table_csv, table_dict, table_view

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
