"""`whygrad play`: turn the knobs of one neuron or a small network, and ask why."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from whygrad.cli.common import Subparsers, add_command

_EXAMPLE = """\
example:
  whygrad play                      one neuron: turn its knobs, click a number, learn why it is what it is
  whygrad play network              a small network on points of the plane
  whygrad play lesson-4             what a lesson is about, lesson-1 to lesson-8
  whygrad play train.why            a saved run: every kept number can be asked
  whygrad play state.json           what somebody shared

The page is served to this machine only, at an address that cannot be guessed. Ctrl-C ends it.
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "play", main, "train live in the browser and ask why", _EXAMPLE)
    parser.add_argument(
        "what",
        nargs="?",
        default="neuron",
        metavar="WHAT",
        help="neuron (default), network, lesson-1 to lesson-8, RUN.why or STATE.json",
    )
    parser.add_argument("--port", type=_port, default=0, metavar="N", help="port to listen on (default: a free one)")
    parser.add_argument("--no-open", action="store_true", help="do not open the browser")


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, found {text!r}")
    return int(text)


def main(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from whygrad.play.serve import make_server

    server = make_server(args.what, args.port)
    print(f"whygrad play: {server.url}\nCtrl-C ends it.", flush=True)
    if not args.no_open and _has_display():
        import webbrowser

        webbrowser.open(server.url)
    _until_interrupted(server)
    return 0


def _until_interrupted(server: Any) -> None:
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY"))
