"""The command line: `whygrad COMMAND`, one short file per command.

Nothing here imports torch: a saved run's table is on screen before torch would have loaded.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from whygrad.errors import WhygradError

__all__ = ["main"]

COMMANDS = ("run", "table", "why", "show", "check", "demo", "play", "grad_fn")
"""Modules of this package: each has `add_parser(subparsers)`, which sets `main` (arguments → exit code)."""

_EPILOG = """\
begin here:
  whygrad demo neuron                              one neuron, twenty steps, every number explained
  whygrad play                                     the same live, in the browser: turn the knobs, click a number
  whygrad run train.py                             record your own training
  whygrad why train.why "fc1.weight[0,0].grad@3"   why is this number what it is?

An address is NAME[INDEX]@STEP: linear.weight[0,0]@3 is that weight after step 3's update, linear.weight[0,0].grad@3
its gradient in step 3, loss@0 the first loss, linear.weight[0,0]@init the weight before all training.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code: 0, 2 for what the user can put right, 130 after Ctrl-C, 141 when the reader of the
    output has gone."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    unknown = _unknown_command(arguments)
    if unknown:
        parser.print_usage(sys.stderr)
        print(f"whygrad: {unknown}", file=sys.stderr)
        return 2
    try:
        args = parser.parse_args(arguments)
    except SystemExit as stop:  # argparse, after --help or a usage error
        return stop.code if isinstance(stop.code, int) else 2
    try:
        return _run(parser, args)
    except WhygradError as error:
        print(f"whygrad: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        _forget_stdout()
        return 141
    except KeyboardInterrupt:
        return 130


def _run(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    code = 0
    if args.version:
        print(f"whygrad {version('whygrad')}")
    elif args.command is None:
        parser.print_help()
    else:
        code = args.main(args)
    sys.stdout.flush()
    return code


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    parser = argparse.ArgumentParser(
        prog="whygrad",
        description="Why is this number what it is? whygrad records a PyTorch program and explains any scalar of it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    subparsers = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"whygrad.cli.{name}").add_parser(subparsers)
    return parser


def _unknown_command(arguments: list[str]) -> str:
    """What to say of a first word that is no command; empty when it is one."""
    names = [name.replace("_", "-") for name in COMMANDS]
    if not arguments or arguments[0].startswith("-") or arguments[0] in names:
        return ""
    word = arguments[0]
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if near:
        return f"no command {word!r}; did you mean {near[0]!r}?"
    if word.endswith(".py"):
        return f"no command {word!r}; to record a program: whygrad run {word}"
    return f"no command {word!r}; the commands are {', '.join(names)}."


def _forget_stdout() -> None:
    """Python flushes stdout once more as it ends, and would complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
