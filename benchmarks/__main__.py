"""`python -m benchmarks [record|verdicts|orders|all] [--quick] [--write]`: figures in markdown."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
PARTS = ("record", "verdicts", "orders")


def main(argv: list[str] | None = None) -> None:
    """Print what was asked for; with --write also put it into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=[*PARTS, "all"])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and samples: under a minute for each part")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name} (needs all)")
    options = parser.parse_args(argv)
    if options.write and options.what != "all":
        parser.error("--write needs all: the page holds every figure, measured together")
    parts = PARTS if options.what == "all" else (options.what,)
    text = "\n\n".join(_part(part, options.quick) for part in parts)
    print(text)
    if options.write:
        PAGE.write_text(page(text, options.quick), encoding="utf-8")
        print(f"\nwritten: {PAGE.parent.name}/{PAGE.name}", file=sys.stderr)


def page(text: str, quick: bool) -> str:
    """docs/benchmarks.md around the figures."""
    from benchmarks.report import measured_on

    command = "python -m benchmarks all --write" + (" --quick" if quick else "")
    intro = (
        f"Written by `{command}`; nothing on this page is typed in. Other machines give other figures: run it on yours."
    )
    return "\n\n".join(["# Benchmarks", intro, measured_on(), text]) + "\n"


def _part(name: str, quick: bool) -> str:
    if name == "record":
        from benchmarks import record

        return record.report(quick)
    if name == "verdicts":
        from benchmarks import verdicts

        return verdicts.report(quick)
    return _orders(quick)


def _orders(quick: bool) -> str:
    """The table of `benchmarks/orders.py`, a program of its own."""
    elements = ["--elements", "1"] if quick else []
    call = [sys.executable, "-m", "benchmarks.orders", "--threads", "1", "2", *elements]
    done = subprocess.run(call, cwd=ROOT, check=True, capture_output=True, text=True)
    return "## Orders of summation\n\n" + done.stdout.strip()


if __name__ == "__main__":
    main()
