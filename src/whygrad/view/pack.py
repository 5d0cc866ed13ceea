"""Nodes made small for a saved page: what equal nodes share is stored once, what differs in columns, all of it deflated.

A node's JSON text is cut at its numbers. Nodes with equal text between the numbers are of one template; a number that is
the same in all of them is put back into the text, and columns that are equal are one. `web/src/host/unpack.ts` is the way
back; `unpack` here is the same for tests."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

__all__ = ["pack", "unpack"]

Node = dict[str, Any]
_NUMBER = re.compile(r"([−+-]?)(0x[0-9a-f]+|\d[\d.]*(?:e[+-]?\d+)?)")
"""Sign and digits are apart: the same digits stand behind `−` in a sentence and behind `-` in LaTeX."""
_SURROGATE = re.compile("[\ud800-\udfff]")  # of a file name that is no UTF-8
_HOLE = "\x00"  # JSON text holds no control character


def pack(nodes: list[Node]) -> dict[str, Any]:
    """`nodes`, in their order, as a small dictionary of JSON's types."""
    rows: dict[str, list[list[str]]] = {}
    order: list[int] = []
    places: dict[str, int] = {}
    for node in nodes:
        text = json.dumps(_less(node), ensure_ascii=False, separators=(",", ":"))
        template = _NUMBER.sub(_HOLE * 2, text)
        rows.setdefault(template, []).append([part for match in _NUMBER.findall(text) for part in match])
        order.append(places.setdefault(template, len(places)))
    columns: dict[tuple[str, ...], int] = {}
    templates = [_template(text, found, columns) for text, found in rows.items()]
    whole = {"order": order, "templates": templates, "columns": [" ".join(column) for column in columns]}
    return {"deflated": _deflated(json.dumps(whole, ensure_ascii=False, separators=(",", ":")))}


def unpack(packed: dict[str, Any]) -> list[Node]:
    """The nodes that were packed."""
    whole = json.loads(zlib.decompress(base64.b64decode(packed["deflated"]), wbits=-15))
    columns = [column.split(" ") for column in whole["columns"]]
    done = [0] * len(whole["templates"])
    nodes: list[Node] = []
    for k in whole["order"]:
        pieces, holes = whole["templates"][k]
        filled = [columns[hole][done[k]] + piece for hole, piece in zip(holes, pieces[1:], strict=True)]
        nodes.append(_more(json.loads(pieces[0] + "".join(filled))))
        done[k] += 1
    return nodes


def _deflated(text: str) -> str:
    text = _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    packer = zlib.compressobj(level=9, wbits=-15)
    return base64.b64encode(packer.compress(text.encode()) + packer.flush()).decode()


def _template(text: str, rows: list[list[str]], columns: dict[tuple[str, ...], int]) -> list[Any]:
    """The text around the holes, and which column fills each. New columns go into `columns`; one may serve many
    templates: the gradient in a weight's equation, and the gradient's own value."""
    pieces, holes = [""], list[int]()
    for literal, column in zip(text.split(_HOLE), [*zip(*rows, strict=True), None], strict=True):
        pieces[-1] += literal
        if column is None:
            continue
        if len(set(column)) == 1:
            pieces[-1] += column[0]
        else:
            holes.append(columns.setdefault(column, len(columns)))
            pieces.append("")
    return [pieces, holes]


def _less(node: Node) -> Node:
    """Without the hexadecimal digits, which the bits say too."""
    return node | {"hex": 0} if node["hex"] == _hex(node["bits"]) else node


def _more(node: Node) -> Node:
    return node | {"hex": _hex(node["bits"])} if node["hex"] == 0 else node


def _hex(bits: str) -> str:
    digits = bits.replace("|", "")
    return f"0x{int(digits, 2):0{len(digits) // 4}x}" if digits else ""
