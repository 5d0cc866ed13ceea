"""A derivation, and a table, as HTML fragments for a notebook: self-contained, no script, light and dark."""

from __future__ import annotations

from html import escape

from whygrad.view.derivation import DerivationView, EquationView
from whygrad.view.table import TableView

__all__ = ["derivation_html", "fragment", "table_html"]

_MARKS = {"same": "✓", "replayed": "≈", "opaque": "?", "differs": "✗", "given": "", "unasked": ""}

# Address, same, replayed, differs. The rest takes the notebook's own text colour, or a grey with alpha.
_LIGHT = "{--a:#0b6bcb;--s:#187a3b;--r:#8a5f00;--d:#c62828}"
_DARK = "{--a:#6cb6ff;--s:#5fd38a;--r:#e3b341;--d:#ff7b72}"
# A notebook's theme is its own choice, whatever the system's is. So JupyterLab and Notebook, VS Code, Colab say it:
_LIGHT_THEMES = "[data-jp-theme-light=true] .whygrad,.vscode-light .whygrad"
_DARK_THEMES = "[data-jp-theme-light=false] .whygrad,.vscode-dark .whygrad,html[theme=dark] .whygrad"
_STYLE = f"""\
<style>
.whygrad{_LIGHT}
@media (prefers-color-scheme:dark){{.whygrad{_DARK}}}
{_LIGHT_THEMES}{_LIGHT}
{_DARK_THEMES}{_DARK}
.whygrad{{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-x:auto}}
.whygrad details,.whygrad .whygrad-leaf{{margin:.15em 0 .15em 1.1em}}
.whygrad>details,.whygrad>.whygrad-leaf{{margin-left:0}}
.whygrad summary{{cursor:pointer}}
.whygrad .whygrad-leaf{{padding-left:1em}}
.whygrad .whygrad-body{{margin:.15em 0 .3em 1em;padding-left:.7em;border-left:2px solid rgba(128,128,128,.35)}}
.whygrad .whygrad-equation{{display:grid;grid-template-columns:max-content 1.6em 1fr;white-space:pre-wrap}}
.whygrad .whygrad-dim{{opacity:.72}}
.whygrad .whygrad-address{{color:var(--a);font-weight:600}}
.whygrad .whygrad-same{{color:var(--s)}}.whygrad .whygrad-replayed,.whygrad .whygrad-opaque{{color:var(--r)}}
.whygrad .whygrad-differs{{color:var(--d);font-weight:700}}
.whygrad table{{border-collapse:collapse;font:inherit}}
.whygrad th,.whygrad td{{padding:.1em .7em;text-align:right;white-space:pre;border:0;background:none}}
.whygrad thead th{{border-bottom:1px solid rgba(128,128,128,.5)}}
</style>
"""


def derivation_html(view: DerivationView) -> str:
    """The tree as nested `<details>`; the first two levels are open."""
    return f'{_STYLE}<div class="whygrad">{_node(view, 0)}</div>'


def fragment(body: str) -> str:
    """A fragment with whygrad's styles around a body that is HTML already."""
    return f'{_STYLE}<div class="whygrad">{body}</div>'


def _node(view: DerivationView, level: int) -> str:
    head = (
        f'<span class="whygrad-address">{escape(view.address)}</span> = <b>{escape(view.value)}</b> '
        f'<span class="whygrad-dim">{escape(_words(view))}</span>'
    )
    body = "" if view.seen else _body(view)
    children = "".join(_node(child, level + 1) for child in view.children)
    if not body and not children:
        return f'<div class="whygrad-leaf">{head}</div>'
    opened = " open" if level < 2 else ""
    inside = f'<div class="whygrad-body">{body}</div>' if body else ""
    return f"<details{opened}><summary>{head}</summary>{inside}{children}</details>"


def _words(view: DerivationView) -> str:
    if view.seen:
        return "← see above"
    return f"{view.role} · {view.verdict.words}" if view.verdict.sign == "given" else view.role


def _body(view: DerivationView) -> str:
    parts = [_equation(view.equation)] if view.equation is not None else []
    verdict = view.verdict
    if verdict.sign not in ("given", "unasked"):
        mark = f'<span class="whygrad-{verdict.sign}">{escape(verdict.words)} {_MARKS[verdict.sign]}</span>'
        rest = "".join(f" · {escape(part)}" for part in (verdict.rounding, *view.where) if part)
        parts.append(f'<div>{mark}<span class="whygrad-dim">{rest}</span></div>')
    style = "whygrad-differs" if verdict.sign == "differs" else "whygrad-dim"
    parts += [f'<div class="{style}">{escape(verdict.reason)}</div>'] if verdict.reason else []
    parts += [f'<div class="whygrad-dim">{escape(text)}</div>' for text in (verdict.how, *view.notes) if text]
    return "".join(parts)


def _equation(equation: EquationView) -> str:
    cells: list[str] = []
    last = len(equation.lines) - 1
    for number, line in enumerate(equation.lines):
        left = escape(equation.left) if number == 0 else ""
        tag = "b" if number == last else "span"
        cells.append(f"<span>{left}</span><span> = </span><{tag}>{escape(line)}</{tag}>")
    note = f'<div class="whygrad-dim">{escape(equation.note)}</div>' if equation.note else ""
    return f'<div class="whygrad-equation">{"".join(cells)}</div>{note}'


def table_html(view: TableView) -> str:
    """The table; numbers aligned at the decimal point. The addresses of a column's cells are its heading's tooltip."""
    heads = "".join(f'<th title="{escape(_tip(c.address))}">{escape(c.short)}</th>' for c in view.columns)
    columns = [_padded([row[i] for row in view.rows]) for i in range(len(view.columns))]
    rows: list[str] = []
    for number in range(len(view.rows)):
        if view.gap == number:
            rows.append(
                f'<tr class="whygrad-dim"><td>⋮</td><td colspan="{len(view.columns)}">'
                f"{view.left_out} steps not shown</td></tr>"
            )
        rows.append("<tr>" + "".join(f"<td>{column[number]}</td>" for column in columns) + "</tr>")
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'{_STYLE}<div class="whygrad">{table}</div>'


def _tip(address: str) -> str:
    return f"{address}@step" if address else ""


def _padded(column: list[str | None]) -> list[str]:
    """Cells with spaces after them, so that the decimal points stand below each other."""
    cells = [cell or "" for cell in column]
    tails = [len(cell) - cell.index(".") if "." in cell else 0 for cell in cells]
    longest = max((tail for cell, tail in zip(cells, tails, strict=True) if cell), default=0)
    missing = [longest - tail if cell else 0 for cell, tail in zip(cells, tails, strict=True)]
    return [
        escape(cell) + (f'<span aria-hidden="true">{" " * n}</span>' if n else "")
        for cell, n in zip(cells, missing, strict=True)
    ]
