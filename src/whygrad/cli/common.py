"""What several commands share: how a command is added, how text and JSON go out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["Subparsers", "add_command", "write", "write_json"]

Subparsers = Any
"""What argparse's `add_subparsers` returns; its class is private to argparse."""


def add_command(
    subparsers: Subparsers, name: str, main: Callable[[argparse.Namespace], int], summary: str, example: str
) -> argparse.ArgumentParser:
    """Add a command whose --help ends in an example."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(main=main)
    return parser


def write(text: str) -> None:
    """Write to stdout; characters that its encoding lacks are escaped rather than raising."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def write_json(found: object) -> None:
    """Write strict JSON (no NaN), which any encoding can carry."""
    write(
        json.dumps(found, indent=2, allow_nan=False, ensure_ascii=(sys.stdout.encoding or "").lower() != "utf-8") + "\n"
    )
