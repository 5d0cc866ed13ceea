"""The repository as a whole: what its text may say, how long its files are, why it has each dependency."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 500

# Put together here so that this file does not hold what it forbids.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("pythonhosted", "org"),
        ("download", "pytorch", "org"),
        ("npmjs", "org"),
        ("yarnpkg", "com"),
        ("anaconda", "org"),
        ("crates", "io"),
        ("golang", "org"),
        ("rubygems", "org"),
    )
)
FORBIDDEN = {
    "a package registry's host": re.compile("|".join(map(re.escape, REGISTRY_HOSTS)), re.IGNORECASE),
    # An absolute path: not the end of a longer name, of a relative path or of an address.
    "a path of one machine": re.compile(r"(?<![\w.~)}\-])(?:/(?:home|Users|root|work|tmp)/\w|[A-Z]:\\Users\\)"),
    "a note of unfinished work": re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b"),
}
# Written by a build from sources that are checked themselves; CI rebuilds and compares them.
GENERATED = ("src/whygrad/render/assets/",)
SKIPPED_WITHOUT_GIT = {".git", ".venv", "node_modules", "__pycache__", "build", "dist"}


def forbidden_in(text: str) -> list[str]:
    """Name what `text` holds that no file of the repository may: 'line N: what: the words'."""
    found: list[str] = []
    for what, pattern in FORBIDDEN.items():
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"line {line}: {what}: {match.group()!r}")
    return found


def repository_files() -> list[str]:
    """Paths, relative to the root, of what is or would be committed: what git tracks or does not ignore."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (ROOT / ".git").exists():
        done = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
        names = sorted(set(done.stdout.decode().split("\0")) - {""})
        return [name for name in names if (ROOT / name).is_file()]
    files = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return sorted(str(path) for path in files if not SKIPPED_WITHOUT_GIT.intersection(path.parts))


def text_of(name: str) -> str | None:
    """The file's text, or None where it is not text."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def test_files_hold_nothing_that_belongs_to_one_machine() -> None:
    names = repository_files()
    assert "pyproject.toml" in names, "the listing of files is broken: it lacks the file that is surely there"
    found = [f"{name}: {what}" for name in names for what in forbidden_in(text_of(name) or "")]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "see https://" + REGISTRY_HOSTS[0] + "/project/x",
        "see https://files." + REGISTRY_HOSTS[2].upper(),
        "cd /" + "home/someone/whygrad",
        "path = '/" + "tmp/x'",
        "C:" + "\\Users\\someone",
        "# TO" + "DO: later",
    ],
)
def test_forbidden_text_is_found(text: str) -> None:
    assert [report.partition(":")[0] for report in forbidden_in("fine\n" + text)] == ["line 2"]


@pytest.mark.parametrize("text", ["docs/home/x", "https://example.org/root/x", "$(HOME)/tmp/x", "todo", "./work/x"])
def test_harmless_text_is_not_found(text: str) -> None:
    assert forbidden_in(text) == []


def test_source_files_are_short() -> None:
    long = {
        name: lines
        for name in repository_files()
        if name.startswith("src/") and not name.startswith(GENERATED)
        if (lines := len((text_of(name) or "").splitlines())) >= MOST_LINES
    }
    assert not long, f"a file of {MOST_LINES} lines or more is two files: {long}"


def normal(requirement: str) -> str:
    """The package's name in PyPA's normal form: 'ml_dtypes>=0.5' → 'ml-dtypes'; one of Node's as it is."""
    name = re.match(r"[\w.\-@/]+", requirement.strip())
    assert name, f"no package name in {requirement!r}"
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def declared() -> dict[str, set[str]]:
    """Direct dependencies of pyproject.toml and web/package.json, under the headings that docs/dependencies.md gives them."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups: dict[str, list[str]] = {
        "At run time": project["project"]["dependencies"],
        "To build": project["build-system"]["requires"],
    }
    extras: dict[str, list[str]] = project["project"]["optional-dependencies"]
    groups |= {f"`{extra}`": requirements for extra, requirements in extras.items()}
    page: dict[str, dict[str, str]] = json.loads((ROOT / "web" / "package.json").read_text(encoding="utf-8"))
    groups["The page's build"] = list(page["devDependencies"])
    return {heading: {normal(one) for one in requirements} for heading, requirements in groups.items()}


def explained(page: str) -> dict[str, set[str]]:
    """Packages with a row in the page's tables, by heading; a row without a reason is no row."""
    groups: dict[str, set[str]] = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        rows = re.findall(r"^\| `([^`]+)` \|[ ]*[^|\s]", body, flags=re.MULTILINE)
        groups[heading.strip()] = {normal(name) for name in rows}
    return groups


def test_every_dependency_has_its_reason() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert explained(page) == declared()


def test_a_row_without_a_reason_does_not_count() -> None:
    assert explained("## `dev`\n| `ml_dtypes` | numbers |\n| `b` | |\n") == {"`dev`": {"ml-dtypes"}}


def test_every_dependency_is_pinned_for_development() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.\-]+==[\w.]+", pin)] == []
    pinned = [normal(pin) for pin in pins]
    assert len(pinned) == len(set(pinned)), "a package is pinned twice"
    groups = declared()
    # The build runs in an environment of its own, which constraints do not reach.
    wanted = set[str]().union(
        *(names for heading, names in groups.items() if heading not in ("To build", "The page's build"))
    )
    assert wanted <= set(pinned), f"without a pin: {sorted(wanted - set(pinned))}"
