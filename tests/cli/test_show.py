"""`whygrad show`: the file that it writes, and what it refuses to overwrite."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from whygrad.cli import main
from whygrad.cli.demo import record_demo
from whygrad.view import page as view_page
from whygrad.view.pack import unpack

SCRIPT = "const f=()=>{};export{f as file};"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("show") / "neuron.why"
    record_demo("neuron", "float16", 4).save(path)
    return path


@pytest.fixture(autouse=True)
def any_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command, not the script, is what is tested here."""
    monkeypatch.setattr("whygrad.render.page.bundle", lambda name: SCRIPT)
    monkeypatch.chdir(tmp_path)


def data_of(path: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="whygrad-page">(.*?)</script>', path.read_text("utf-8"))
    assert found is not None
    return json.loads(found[1])


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_writes_the_runs_name_in_html(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(saved)]) == 0
    out, err = capsys.readouterr()
    path = tmp_path / "neuron.html"
    assert (out, err) == (f"neuron.html: {path.stat().st_size:,} bytes\n", "")
    page = data_of(path)
    assert (page["file"], page["level"], page["steps"]) == ("neuron.why", "neuron", [0, 1, 2, 3])
    assert any(node["address"] == "linear.weight[0,0]@3" for node in unpack(page["nodes"]))
    assert str(saved.parent) not in path.read_text("utf-8")
    assert left(tmp_path) == ["neuron.html"]


def test_the_same_run_gives_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    assert main(["show", str(saved), "-o", "one.html"]) == 0
    assert main(["show", str(saved), "-o", "two.html"]) == 0
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


@pytest.mark.parametrize(("option", "steps"), [("0,-1", [0, 3]), ("1:3", [1, 2]), ("-2:", [2, 3])])
def test_steps(saved: Path, tmp_path: Path, option: str, steps: list[int]) -> None:
    assert main(["show", str(saved), "-o", "p.html", f"--steps={option}"]) == 0
    assert data_of(tmp_path / "p.html")["steps"] == steps


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--steps", "7"], "no step 7: the run has steps 0 to 3"),
        (["--steps", "9:"], "names none of the kept steps"),
        (["--max-size", "5kB"], "a page takes at least 150,000 bytes"),
        (["--max-size", "much"], "expected bytes such as 500KB or 5MB"),
        (["--level", "network", "-o", "nowhere/p.html"], "cannot write nowhere/p.html"),
    ],
)
def test_what_cannot_be_done_is_said(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main(["show", str(saved), *options]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert left(tmp_path) == []


def test_only_a_page_of_ours_is_overwritten(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "neuron.html"
    path.write_text("<!doctype html>mine", encoding="utf-8")
    assert main(["show", str(saved)]) == 2
    assert "is no page of whygrad's" in capsys.readouterr().err
    assert path.read_text("utf-8") == "<!doctype html>mine"
    assert main(["show", str(saved), "--force"]) == 0
    assert main(["show", str(saved)]) == 0


def test_the_run_itself_is_never_overwritten(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = saved.read_bytes()
    assert main(["show", str(saved), "-o", str(saved), "--force"]) == 2
    assert "is the run itself" in capsys.readouterr().err
    assert saved.read_bytes() == before


def test_ctrl_c_leaves_the_old_page_whole(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["show", str(saved)]) == 0
    before = (tmp_path / "neuron.html").read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        assert main(["show", str(saved)]) == 130
    with monkeypatch.context() as patch:
        patch.setattr(view_page, "collect", interrupted)
        assert main(["show", str(saved)]) == 130
    assert (tmp_path / "neuron.html").read_bytes() == before
    assert left(tmp_path) == ["neuron.html"]


def test_a_table_without_kept_steps_needs_no_torch(tmp_path: Path) -> None:
    record_demo("neuron", "float16", 3, keep="none").save(tmp_path / "n.why")
    program = (
        "import sys; sys.modules['torch'] = None\n"
        f"import whygrad.render.page as page; page.bundle = lambda name: {SCRIPT!r}\n"
        "from whygrad.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "show", "n.why"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert data_of(tmp_path / "n.html")["table"]["total"] == 3
