"""Every block of README.md and docs/ runs, and says what the page says. `make docs` writes the outputs again."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", *sorted(page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("name", PAGES)
def test_blocks_run_and_say_what_the_page_says(docs: ModuleType, name: str) -> None:
    old, new = (ROOT / name).read_text(encoding="utf-8"), docs.run_page(ROOT / name)
    changed = "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), name, "now", n=1))
    assert not changed, f"run `make docs`, and read what it changed:\n{changed}"


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    dead = [link for link in links if not (ROOT / name).parent.joinpath(link).exists()]
    assert not dead


@pytest.mark.parametrize("name", PAGES)
def test_make_targets_exist(docs: ModuleType, name: str) -> None:
    made = set(re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    shell = [block.body for block in docs.blocks((ROOT / name).read_text(encoding="utf-8")) if block.kind == "sh"]
    wanted = {target for body in shell for target in re.findall(r"^make ([\w-]+)", body, flags=re.MULTILINE)}
    assert wanted <= made


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "page.md"


def run(docs: ModuleType, page: Path, text: str) -> str:
    page.write_text(text, encoding="utf-8")
    return docs.run_page(page)


def test_python_output_is_written_below(docs: ModuleType, page: Path) -> None:
    text = "```python\nx = 6\n```\n\n```python\nprint(x * 7)\n```\n\n```text\n41\n```\n"
    assert run(docs, page, text) == text.replace("41", "42")


def test_console_output_is_written_below_each_command(docs: ModuleType, page: Path) -> None:
    text = "```console\n$ echo one\nstale\n$ echo two | tr t T\n```\n"
    assert run(docs, page, text) == "```console\n$ echo one\none\n$ echo two | tr t T\nTwo\n```\n"


def test_our_own_commands_and_files(docs: ModuleType, page: Path) -> None:
    text = "<!-- file: a.txt -->\n```python\nkept = 1\n```\n"
    text += "```console\n$ cat a.txt\n$ whygrad --nonsense\n$ whygrad wy\n```\n"
    out = run(docs, page, text)
    assert "$ cat a.txt\nkept = 1\n" in out
    assert "unrecognized arguments: --nonsense" in out
    assert "whygrad: no command 'wy'; did you mean 'why'?\n" in out


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```python\nprint(1)\n```\n", "page.md:1: it prints"),
        ("```python\nprint(1)\n```\n```python\nprint(2)\n```\n```text\n2\n```\n", "page.md:1: it prints"),
        ("words\n```python\n1 / 0\n```\n", "page.md:2: ZeroDivisionError"),
        ("```text\n1\n```\n", "must stand below"),
        ("```console\n$ exit 3\n```\n", "ended with 3"),
        ("```console\nwhygrad\n```\n", "begins with"),
        ("```ruby\n1\n```\n", "found 'ruby'"),
    ],
)
def test_what_cannot_be_run_is_refused(docs: ModuleType, page: Path, text: str, why: str) -> None:
    with pytest.raises(docs.DocsError, match=re.escape(why)):
        run(docs, page, text)


def test_sizes_and_marked_digits_may_vary_and_nothing_else(docs: ModuleType, page: Path) -> None:
    assert run(docs, page, same := "```console\n$ echo 1,234 bytes\n999 bytes\n```\n") == same
    assert run(docs, page, "```console\n$ echo 1,234 steps\n999 steps\n```\n") != same
    marked = "```python\nprint('y = 1.25 ✓')\n```\n<!-- digits vary -->\n```text\ny = 1.5 ✓\n```\n"
    assert run(docs, page, marked) == marked
    assert run(docs, page, worse := marked.replace("1.25 ✓", "1.25 ✗")) != worse
    assert run(docs, page, other := marked.replace("y = 1.25", "z = 1.25")) != other


def test_a_block_without_a_word_is_left_alone(docs: ModuleType, page: Path) -> None:
    text = "```\na ──▶ b\n```\n```sh\nmake demo\n```\n"
    assert run(docs, page, text) == text


def test_a_markdown_block_becomes_a_file_and_a_fault_found_may_be_shown(docs: ModuleType, page: Path) -> None:
    text = "<!-- file: a.md -->\n````markdown\n```python\nlr = 0.1\n```\n\nThe learning rate is 0.2.\n````\n\n"
    text += "```console\n$ cat a.md | tail -n 1\n$ whygrad check a.md\n```\n"
    out = run(docs, page, text)
    assert "$ cat a.md | tail -n 1\nThe learning rate is 0.2.\n" in out
    assert "says the learning rate is 0.2: the code uses 0.1" in out
