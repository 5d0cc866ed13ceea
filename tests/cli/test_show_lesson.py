"""`whygrad show lesson-N`: the page, the run beside it, and what is not overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

import whygrad
from whygrad.cli import main

SCRIPT = "const f=()=>{};export{f as file};"


@pytest.fixture(autouse=True)
def any_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("whygrad.render.page.bundle", lambda name: SCRIPT)
    monkeypatch.chdir(tmp_path)


def test_a_page_and_its_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "lesson-1", "-o", "pages.html", "--steps", "0,1"]) == 0
    assert "lesson-1.why: the run that it shows\n" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lesson-1.why", "pages.html"]
    run = whygrad.load("lesson-1.why")
    assert len(run.table()) == 20
    before = Path("lesson-1.why").read_bytes()
    assert main(["show", "lesson-1", "--steps", "0"]) == 0
    assert "lesson-1.why: the run that it shows, which was there already\n" in capsys.readouterr().out
    assert Path("lesson-1.why").read_bytes() == before
    assert Path("lesson-1.html").exists()


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "lesson-12"]) == 2
    assert "no lesson-12; the lessons are lesson-1 (one neuron)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    Path("lesson-1.why").write_text("mine", encoding="utf-8")
    assert main(["show", "lesson-1", "-o", "lesson-1.why", "--force"]) == 2
    assert "is the run itself" in capsys.readouterr().err
    assert Path("lesson-1.why").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("command", ["play", "show"])
def test_the_help_names_the_lessons(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert "lesson-1 to lesson-8" in " ".join(capsys.readouterr().out.split())
