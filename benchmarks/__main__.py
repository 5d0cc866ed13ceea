"""`python -m benchmarks [record|why|verdicts|orders|models|play|page|all] [--quick] [--write]`: figures in markdown.

`python -m benchmarks coverage [--only REGEX] [--dtype NAME] [--quick] [--write]`: how much of PyTorch is explained.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
COVERAGE = ROOT / "docs" / "coverage.md"
PARTS = ("record", "why", "verdicts", "orders", "models", "play", "page")


def main(argv: list[str] | None = None) -> None:
    """Print what was asked for; with --write also put it into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=[*PARTS, "all", "coverage"])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and samples: under a minute for each part")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name}, or a part of it")
    parser.add_argument("--only", default="", metavar="REGEX", help="coverage: the cases whose suite/name has it")
    parser.add_argument("--dtype", action="append", metavar="NAME", help="coverage: float32, …; may be given again")
    options = parser.parse_args(argv)
    if options.what == "coverage":
        _coverage(options)
        return
    parts = PARTS if options.what == "all" else (options.what,)
    text = "\n\n".join(_part(part, options.quick) for part in parts)
    print(text)
    if options.write:
        whole = options.what == "all"
        old = "" if whole else PAGE.read_text(encoding="utf-8")
        PAGE.write_text(page(text, options.quick) if whole else renewed(old, text, options), encoding="utf-8")
        print(f"\nwritten: {PAGE.parent.name}/{PAGE.name}", file=sys.stderr)


def page(text: str, quick: bool) -> str:
    """docs/benchmarks.md around the figures."""
    from benchmarks.report import measured_on

    command = "python -m benchmarks all --write" + (" --quick" if quick else "")
    intro = (
        f"Written by `{command}`; nothing on this page is typed in. Other machines give other figures: run it on yours."
    )
    return "\n\n".join(["# Benchmarks", intro, measured_on(), text]) + "\n"


def renewed(old: str, text: str, options: argparse.Namespace) -> str:
    """docs/benchmarks.md with one part's sections in the place of what stood there; each says that it was measured apart."""
    from benchmarks.report import measured_on

    command = f"python -m benchmarks {options.what} --write" + (" --quick" if options.quick else "")
    head, *sections = re.split(r"^(?=## )", old.rstrip("\n") + "\n", flags=re.MULTILINE)
    for new in re.split(r"^(?=## )", text.strip() + "\n", flags=re.MULTILINE):
        title, _, body = new.partition("\n")
        section = (
            "\n".join([title, "", f"Written by itself, by `{command}`:", "", measured_on(), body.rstrip("\n")]) + "\n"
        )
        place = next((k for k, each in enumerate(sections) if each.partition("\n")[0] == title), len(sections))
        sections[place : place + 1] = [section]
    return head + "\n".join(each.rstrip("\n") + "\n" for each in sections)


def _coverage(options: argparse.Namespace) -> None:
    """Print what is covered; with --write put it into docs/coverage.md, which needs every case."""
    from benchmarks import coverage
    from benchmarks.report import measured_on

    outcomes = coverage.measure(options.only, options.dtype or coverage.coverage_ops.DTYPES, options.quick)
    text = coverage.report(outcomes, options.quick)
    print(text)
    if options.write and not (options.only or options.dtype):
        intro = "Written by `make coverage`; nothing on this page is typed in."
        COVERAGE.write_text("\n\n".join(["# Coverage", intro, measured_on(), text]) + "\n", encoding="utf-8")


def _part(name: str, quick: bool) -> str:
    if name == "record":
        from benchmarks import record

        return record.report(quick)
    if name == "why":
        from benchmarks import why

        return why.report(quick)
    if name == "verdicts":
        from benchmarks import verdicts

        return verdicts.report(quick)
    if name == "models":
        from benchmarks import models

        return models.report(quick)
    if name == "play":
        from benchmarks import play

        return play.report(quick)
    if name == "page":
        from benchmarks import page

        return page.report(quick)
    return _orders(quick)


def _orders(quick: bool) -> str:
    """The table of `benchmarks/orders.py`, a program of its own."""
    elements = ["--elements", "1"] if quick else []
    call = [sys.executable, "-m", "benchmarks.orders", "--threads", "1", "2", *elements]
    done = subprocess.run(call, cwd=ROOT, check=True, capture_output=True, text=True)
    return "## Orders of summation\n\n" + done.stdout.strip()


if __name__ == "__main__":
    main()
