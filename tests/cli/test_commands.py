"""The commands, on a run of the demo."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import whygrad
from whygrad.cli import COMMANDS, main
from whygrad.cli.table import split_names

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from whygrad.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The neuron's saved run, and what the demo printed."""
    folder = tmp_path_factory.mktemp("demo")
    program = "import sys; from whygrad.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", "neuron", "-o", "neuron.why"],
        cwd=folder, capture_output=True, encoding="utf-8", env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "neuron.why", done.stdout


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error"}


@pytest.fixture
def run(demo: tuple[Path, str]) -> str:
    return str(demo[0])


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What a command writes to stdout; to stderr, when it should fail."""
    assert main(list(arguments)) == code
    out, err = capsys.readouterr()
    if code == 0:
        assert err == ""
    return out if code == 0 else err


# ---- demo


def test_the_demo_tells_what_happened(demo: tuple[Path, str]) -> None:
    text = " ".join(demo[1].split())
    assert "linear.weight[0,0]@0 = 0.0866" in text
    assert "In steps 12–16 bias stands still at 0.7715 although its gradient is not zero: 5 updates were lost." in text
    assert "lr · gradient = 0.1 · 0.001953 ≈ 0.000195" in text
    assert "From step 17 on the loss is exactly 0" in text
    assert "in float16 the prediction is 1.0, the very number of the target, so every gradient is 0" in text
    assert "bfloat16 12 4 of bias float16 17 5 of bias float32 34 5 of bias" in text


def test_the_demo_fits_80_columns(demo: tuple[Path, str]) -> None:
    wide = [line for line in demo[1].splitlines() if len(line) > 80]
    assert wide == []


def test_the_commands_at_the_end_work(
    demo: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo[0].parent)
    commands = [line.strip().partition("   ")[0] for line in demo[1].splitlines() if line.startswith("  whygrad ")]
    assert len(commands) == 3
    assert "neuron.why" in commands[0]
    for command in commands:
        assert main(shlex.split(command)[1:]) == 0
    assert "loss@0" in capsys.readouterr().out


def test_the_source_lines_are_those_of_the_shipped_script(run: str) -> None:
    source = whygrad.load(run).why("loss@0", depth=1).source
    lines = (Path(whygrad.__file__).parent / "demos" / "neuron.py").read_text(encoding="utf-8").splitlines()
    assert source.file.endswith("neuron.py")
    assert "MSELoss" in lines[source.line - 1]


def test_a_demo_in_another_format(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = said(capsys, "demo", "xor", "--format", "float64", "--steps", "3", "-o", str(tmp_path / "x.why"))
    assert "3 steps of SGD in float64" in text
    assert whygrad.load(tmp_path / "x.why").trace.history.columns[0].format == "float64"


def test_a_place_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    message = said(capsys, "demo", "xor", "--steps", "1", "-o", str(tmp_path / "no" / "x.why"), code=2)
    assert "cannot save the run" in message
    assert "-o" in message


# ---- table


def test_the_table(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "table", run).splitlines()
    assert lines[0].split() == ["step", "prediction", "loss", "weight", "bias", "weight_grad", "bias_grad"]
    assert len(lines) == 21
    assert lines[18].split()[1:3] == ["1.0", "0.0"]


def test_columns_json_and_csv(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "table", run, "--columns", "loss,weight").splitlines()[0].split() == ["step", "loss", "weight"]
    found: dict[str, Any] = json.loads(said(capsys, "table", run, "--json"))
    assert found["rows"][1]["loss"] == "0.07996"
    csv = said(capsys, "table", run, "--csv").splitlines()
    assert csv[0].startswith("step,prediction,loss,linear.weight")
    assert len(csv) == 21


def test_names_with_commas() -> None:
    assert split_names("loss, fc.weight[0,1],b") == ("loss", "fc.weight[0,1]", "b")


@pytest.mark.parametrize(
    "arguments",
    [["table"], ["table", "--csv"], ["table", "--json"], ["grad-fn", "AddmmBackward0"], ["--help"], ["why", "--help"]],
)
def test_without_torch(arguments: list[str], run: str) -> None:
    """Importing torch would raise here."""
    tail = [run] if arguments[0] in ("table", "grad-fn") else []
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *arguments, *tail], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


# ---- why


def test_why(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "why", run, "linear.bias[0]@12")
    assert text.startswith("linear.bias[0]@12 = 0.7715  parameter")
    assert "= linear.bias − float16(lr) · ∂loss/∂linear.bias\n" in text


def test_why_in_other_forms(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "why", run, "linear.bias[0]@12", "--json", "--depth", "1"))
    assert (found["value"], found["exact"], found["bits"]["hex"]) == ("0.7715", "0.771484375", "0x3a2c")
    assert r"\frac{\partial" in said(capsys, "why", run, "linear.bias[0]@12", "--latex")
    assert "0.771484375" in said(capsys, "why", run, "linear.bias[0]@12", "--exact")


@pytest.mark.parametrize("step", range(0, 17, 4))
@pytest.mark.parametrize("name", ["linear.weight[0,0]", "linear.bias[0]"])
def test_the_python_form_gives_the_bits_of_the_run(run: str, name: str, step: int) -> None:
    answer = whygrad.load(run).why(f"{name}@{step}", depth=1)
    space: dict[str, Any] = {}
    exec(answer.python(), space)
    assert space["result"] == answer.value


# ---- errors


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["tabel"], "did you mean 'table'"),
        (["train.py"], "whygrad run train.py"),
        (["xyzzy"], "the commands are"),
        (["table", "nowhere.why"], "nowhere.why"),
        (["why", "RUN", "linear.wieght[0,0]@1"], "linear.weight"),
        (["why", "RUN", "linear.weight[9,0]@1"], "its shape is (1, 1)"),
        (["why", "RUN", "loss@99"], "no step 99"),
        (["table", "RUN", "--columns", "los"], "did you mean loss"),
        (["grad-fn", "Foo"], "is no grad_fn"),
    ],
)
def test_errors_are_one_clear_line(
    arguments: list[str], word: str, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = said(capsys, *[run if a == "RUN" else a for a in arguments], code=2)
    assert word in message
    assert "Traceback" not in message
    assert next(line for line in message.splitlines() if not line.startswith("usage:")).startswith("whygrad: ")


def test_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "a.why", "loss@0", "--depth", "x"]) == 2
    assert "a whole number" in capsys.readouterr().err
    assert main(["demo", "perceptron"]) == 2
    assert main([]) == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = command.replace("_", "-")
    text = said(capsys, name, "--help")
    assert f"  whygrad {name} " in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version").startswith("whygrad ")


def test_a_reader_that_goes_away_is_no_error(run: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_TORCH, "table", run, "--csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait() == 141
    assert process.stderr.read() == b""
    process.stderr.close()


# ---- statistics of tensors


def test_a_row_a_tensor(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "table", run, "--tensors")
    assert "grad norm" in text and "linear.weight" in text and "linear.bias" in text
    first = said(capsys, "table", run, "--tensors", "--step", "0")
    assert first.startswith("step 0") and first != text
    rows = json.loads(said(capsys, "table", run, "--tensors", "--json"))["rows"]
    assert len(said(capsys, "table", run, "--tensors", "--csv").splitlines()) == len(rows) + 1
    lost = [row["step"] for row in rows if row["tensor"] == "linear.bias" and row["lost"] == "1.0"]
    assert lost == [12, 13, 14, 15, 16]


def test_options_of_tensors_say_what_they_need(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--step" in said(capsys, "table", run, "--step", "1", code=2)
    assert "--columns" in said(capsys, "table", run, "--tensors", "--columns", "loss", code=2)
    assert "no step 99" in said(capsys, "table", run, "--tensors", "--step", "99", code=2)


def test_why_is_compares_a_formula(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    address = "linear.weight[0,0].grad@0"
    assert "same bits" in said(capsys, "why", run, address, "--is", "2*(prediction - target)/n * x")
    assert "equal to the digits given" in said(capsys, "why", run, address, "--is", "-0.94")
    assert main(["why", run, address, "--is", "(prediction - target) * x"]) == 1
    assert "lacks the factor 2" in capsys.readouterr().out
    assert main(["why", run, address, "--is", "(prediction - target) * x", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["differences"][0]["kind"] == "missing factor"
    assert "^ column 4" in said(capsys, "why", run, address, "--is", "2*(predicton - target)", code=2)
    assert "--json" in said(capsys, "why", run, address, "--is", "1", "--latex", code=2)
