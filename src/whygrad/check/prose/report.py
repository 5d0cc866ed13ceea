"""A report as text: a finding a paragraph, the summary last."""

from __future__ import annotations

from whygrad.check.prose.findings import Report

__all__ = ["report_text"]


def report_text(report: Report) -> str:
    """Lines that an editor can jump to: `lesson.md:12:5: says …`."""
    lines: list[str] = []
    for each in report.findings:
        place = each.place
        where = f"{report.document}:{place}" if not place.cell else f"{report.document}: {place}"
        lines.append(f"{where}: {each.sentence()}")
        if each.derivation:
            lines.append(f"    {each.derivation}")
    return "\n".join([*lines, report.summary()]) + "\n"
