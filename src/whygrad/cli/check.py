"""`whygrad check DOCUMENT`: is what a tutorial says what the program did?"""

from __future__ import annotations

import argparse
from pathlib import Path

from whygrad.cli.common import Subparsers, add_command, write, write_json
from whygrad.errors import WhygradError

_EXAMPLE = """\
example:
  whygrad check lesson.ipynb                      against its code, its outputs, its own arithmetic
  whygrad check lesson.ipynb --execute            runs it, records that, and holds the prose against what happened
  whygrad check tutorial.md --run train.why       against a saved run
  whygrad check README.md --json                  for a CI job; exit code 1 where something was found

Each number in the prose must come from somewhere: a recorded value at the digits shown, a literal in the code, an
output, a definition (let n = 4), or arithmetic in the prose that comes out (1.5 · 0.3015 + 0.25 = 0.7023). Sentences
that can be tested are tested: loss is zero from step 17 on; takes 20 steps; the weight has the shape (4, 2); the
grad_fn is AddmmBackward0. Dates, versions, references and sizes are left alone. To keep a paragraph or table out of
the check, write above it <!-- whygrad: not a result: REASON -->; at the head of a page
<!-- whygrad: not results on this page: REASON -->. --execute runs the code: only for documents that you trust.

exit code: 0 nothing found, 1 something found, 2 it could not be checked.
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = add_command(subparsers, "check", main, "hold a document's prose against what its program did", _EXAMPLE)
    parser.add_argument(
        "documents", metavar="DOCUMENT", nargs="+", type=Path, help="a notebook (.ipynb) or Markdown (.md)"
    )
    parser.add_argument(
        "--run", metavar="RUN", action="append", default=[], help="a saved run; may be given several times"
    )
    parser.add_argument("--execute", action="store_true", help="run the document's code in a fresh kernel, recorded")
    parser.add_argument("--json", action="store_true", help="the whole report as JSON")


def main(args: argparse.Namespace) -> int:
    """Print the report; 1 where there are findings."""
    import whygrad
    from whygrad.check.prose.checking import check_document
    from whygrad.check.prose.execute import executed
    from whygrad.check.prose.reading import read_document
    from whygrad.check.prose.report import report_text

    documents: list[Path] = args.documents
    if args.run and len(documents) > 1:
        raise WhygradError("a run belongs to one document: with --run, give one at a time.")
    traces = [whygrad.load(path).trace for path in args.run]
    reports = []
    for path in documents:
        document = read_document(path)
        if args.execute:
            with executed(path, document) as (fresh, runs):
                reports.append(check_document(fresh, [*traces, *(whygrad.load(run).trace for run in runs)]))
        else:
            reports.append(check_document(document, traces))
    if args.json:
        write_json([each.to_dict() for each in reports] if len(reports) > 1 else reports[0].to_dict())
    else:
        for report in reports:
            write(report_text(report))
    return 1 if any(report.findings for report in reports) else 0
