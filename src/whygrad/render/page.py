"""A page as one HTML file: the script, the data and a plain table for those without script, all inline, nothing fetched.

The content security policy lets in this very script and this very style, by their hashes, and nothing else. Data is JSON in
an element that no browser runs; whatever a file, a module or a parameter is called, it stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape
from pathlib import Path
from typing import Any

from whygrad.errors import WhygradError

__all__ = ["GENERATOR", "bundle", "is_page", "page_html"]

GENERATOR = '<meta name="generator" content="whygrad">'
DATA_ID, ROOT_ID = "whygrad-page", "whygrad"
_EXPORT = re.compile(r"export\s*\{(?P<names>[^{}]*)\};?\s*$")
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_MOST_ROWS, _MOST_COLUMNS = 40, 12
"""Of the table without script."""
_STYLE = """\
:root{color-scheme:light dark}
body{margin:0;font:15px/1.5 system-ui,sans-serif}
.plain{padding:1rem;max-width:72rem;margin:auto;overflow-x:auto}
.plain table{border-collapse:collapse;font:13px/1.5 ui-monospace,Menlo,Consolas,monospace}
.plain th,.plain td{padding:.1em .7em;text-align:right;white-space:pre}
"""


def bundle(name: str) -> str:
    """A script built from web/: that of a level's page (`why` is in each of them), or what a `live` page or a `notebook`
    begins with. Raises WhygradError where it was not built."""
    path = Path(__file__).with_name("assets") / f"{'neuron' if name == 'why' else name}.js"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise WhygradError(
            "the page's script is not there: this checkout has no built assets. Build it with `make page`."
        ) from None


def page_html(page: dict[str, Any], script: str | None = None) -> str:
    """The file of a `Page` (its nodes packed). `script` is the bundle, otherwise the one that comes with whygrad."""
    code = _started(bundle(page["level"]) if script is None else script)
    policy = (
        f"default-src 'none'; script-src '{_hash(code)}'; style-src '{_hash(_STYLE)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n{GENERATOR}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(page["title"])} · whygrad</title>\n<link rel="icon" href="data:,">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<main id="{ROOT_ID}"><div class="plain">{_plain(page)}</div></main>\n'
        f'<script type="application/json" id="{DATA_ID}">{json_text(page)}</script>\n'
        f'<script type="module">{code}</script>\n</body>\n</html>\n'
    )


def is_page(start: str) -> bool:
    """Whether a file that begins so is one of ours."""
    return GENERATOR in start


def json_text(data: object) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&\u2028\u2029]", lambda found: _ESCAPES[found[0]], text)


def _started(script: str) -> str:
    """The module, and a last line that shows the page. The bundle's own names are short ones of its making; which of them
    is exported as `file`, its last line tells."""
    found = _EXPORT.search(script)
    names = dict(pair.split(" as ")[::-1] for pair in re.findall(r"[\w$]+ as [\w$]+", found["names"])) if found else {}
    if "file" not in names:
        raise WhygradError(
            "the page's script does not export `file`: it was not built from web/. Build it with `make page`."
        )
    if re.search(r"</script|<!--", script, re.IGNORECASE):
        raise WhygradError("the page's script cannot stand inside HTML: it holds '</script' or '<!--'.")
    return f'{script.rstrip()}\n{names["file"]}(document.getElementById("{ROOT_ID}"));\n'


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


# ---- without script


def _plain(page: dict[str, Any]) -> str:
    """What is on screen before the script has run, and stays where none runs: title, what happened, the table."""
    story = "".join(f"<p>{_said(paragraph)}</p>" for paragraph in page["story"] or _sentences(page))
    notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in page["leftOut"])
    return f"<h1>{_name(page['title'])}</h1>{story}{_table(page['table'])}{notes}"


def _sentences(page: dict[str, Any]) -> list[Any]:
    steps = page["neuron"]["steps"] if page["neuron"] else []
    return steps[0]["sentences"] if steps else []


def _said(said: list[Any]) -> str:
    return "".join(escape(each if isinstance(each, str) else each[1]) for each in said)


def _name(text: str) -> str:
    """Text of someone else's making, which may run from right to left."""
    return f"<bdi>{escape(text)}</bdi>"


def _table(table: dict[str, Any]) -> str:
    columns = table["columns"][:_MOST_COLUMNS]
    heads = "".join(f'<th scope="col">{_name(column["short"])}</th>' for column in columns)
    rows = list(zip(table["steps"], table["rows"], strict=True))[:_MOST_ROWS]
    body = "".join(f'<tr><th scope="row">{step}</th>{_cells(row)}</tr>' for step, row in rows)
    return f'<table><thead><tr><th scope="col">step</th>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _cells(row: list[str | None]) -> str:
    return "".join(f"<td>{escape(cell or '')}</td>" for cell in row[:_MOST_COLUMNS])
