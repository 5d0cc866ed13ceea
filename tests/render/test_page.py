"""The page as a file: its content security policy, names that try to be HTML, what is there without script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whygrad.errors import WhygradError
from whygrad.render.page import is_page, json_text, page_html

SCRIPT = "const f=()=>{};export{f as file,f as show};\n"
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--",
    '"><img src=x onerror=alert(1)>',
    "\u202egnp.exe",
    "a\u2028b",
    "&lt;",
]


def page_of(title: str = "a run", column: str = "loss") -> dict[str, Any]:
    head = {"short": column, "name": column, "kind": "loss", "format": "float32", "address": "loss"}
    return {
        "title": title, "level": "run", "neuron": None, "file": title, "leftOut": [f"the rest of {title}"],
        "story": [["The loss is ", ["loss@0", "0.5"], f" in {column}."]],
        "table": {"columns": [head], "steps": [0, 1], "rows": [["0.5"], [None]], "total": 2},
    }  # fmt: skip


class Elements(HTMLParser):
    """What a browser's parser finds: start tags with their attributes, and the text of each element by tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy_of(page: Elements) -> dict[str, list[str]]:
    content = next(a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv"))
    assert content is not None
    return {words[0]: words[1:] for part in content.split(";") if (words := part.split())}


def test_the_policy_lets_in_this_script_and_this_style_alone() -> None:
    page = Elements(page_html(page_of(), SCRIPT))
    data, module = page.texts["script"]
    policy = policy_of(page)
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == [sha256(module)]
    assert policy["style-src"] == [sha256(page.texts["style"][0])]
    assert policy["img-src"] == ["data:"]
    assert "unsafe" not in str(policy)
    assert module.endswith('f(document.getElementById("whygrad"));\n')
    assert json.loads(data) == page_of()


def test_nothing_is_fetched() -> None:
    page = Elements(page_html(page_of(), SCRIPT))
    links = [value for _, a in page.tags for key, value in a.items() if key in ("src", "href")]
    assert links == ["data:,"]
    assert not any(key.startswith("on") or key == "style" for _, a in page.tags for key in a)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text(name: str) -> None:
    tame, hostile = Elements(page_html(page_of("t", "c"), SCRIPT)), Elements(page_html(page_of(name, name), SCRIPT))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in tame.tags]
    assert [a for _, a in hostile.tags if "content" not in a] == [a for _, a in tame.tags if "content" not in a]
    assert json.loads(hostile.texts["script"][0]) == page_of(name, name)
    assert hostile.texts["bdi"] == [name, name]


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_in_a_script_element_reads_back(data: Any) -> None:
    text = json_text(data)
    assert json.loads(text) == data
    assert not re.search("[<>&\u2028\u2029]", text)


def test_without_script_there_are_title_story_table_and_notes() -> None:
    page = Elements(page_html(page_of(), SCRIPT))
    assert page.texts["bdi"] == ["a run", "loss"]
    assert page.texts["p"] == ["The loss is 0.5 in loss."]
    assert page.texts["td"] == ["0.5"]
    assert page.texts["small"] == ["the rest of a run"]
    assert dict(page.tags[0][1]) == {"lang": "en"}
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags


def test_a_page_knows_its_own() -> None:
    assert is_page(page_html(page_of(), SCRIPT)[:2000])
    assert not is_page("<!doctype html><title>whygrad</title>")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("export{f as show};", "does not export `file`"),
        ("const a='</script>';export{f as file};", "holds '</script'"),
        ("", "make page"),
    ],
)
def test_a_script_that_cannot_stand_in_a_page_is_refused(script: str, said: str) -> None:
    with pytest.raises(WhygradError, match=said):
        page_html(page_of(), script)
