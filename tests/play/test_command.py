"""`whygrad play` as it is typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from whygrad.cli import main
from whygrad.cli.demo import record_demo
from whygrad.play.config import ConfigError, Network
from whygrad.play.serve import make_server
from whygrad.play.sessions import Sessions


def test_it_prints_where_it_is_and_ends_on_interrupt() -> None:
    program = "import sys; from whygrad.cli import main; sys.exit(main(['play', '--no-open']))"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""


def open_page(sessions: Sessions, config: object = None) -> dict[str, Any]:
    return sessions.open(config)[1]


def served(what: str, config: object = None) -> dict[str, Any]:
    server = make_server(what)
    try:
        return open_page(server.sessions, config)
    finally:
        server.server_close()


def test_what_it_can_begin_with(tmp_path: Path) -> None:
    assert served("neuron")["level"] == "neuron"
    assert served("network")["live"]["config"]["hidden"] == Network().hidden
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"level": "network", "hidden": [2], "seed": 7}), encoding="utf-8")
    page = served(str(state))
    assert (page["network"]["sizes"], page["live"]["config"]["seed"]) == ([2, 2, 1], 7)
    assert served(str(state), {"level": "neuron"})["level"] == "neuron"  # what the page's URL says comes first


def test_a_saved_run(tmp_path: Path) -> None:
    path = record_demo("neuron", "float16", 3).save(tmp_path / "a.why")
    server = make_server(str(path))
    try:
        name, page = server.sessions.open(None)
        assert (page["level"], page["live"], page["file"]) == ("neuron", None, "a.why")
        with server.sessions.use(name) as answers:
            nodes = answers.ask("why", {"address": "linear.weight[0,0]@1"})["nodes"]
            assert nodes[0]["verdict"]["sign"] == "same"
            assert answers.ask("values", {"addresses": ["loss@2", "nothing"]})["values"][1] is None
            tile = {"name": "linear.weight", "what": "value", "step": 1, "row": 0, "column": 0, "zoom": 0}
            assert answers.ask("tile", tile)["top"][0]["address"] == "linear.weight[0,0]@1"
            assert answers.ask("goto", {"name": "linear.weight", "index": "0"})["address"].startswith(
                "linear.weight[0,0]"
            )
            assert "−" in answers.ask("copy", {"address": "loss@0", "as": "text"})["text"]
    finally:
        server.server_close()


def test_what_it_cannot_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{", encoding="utf-8")
    for what, words in {
        str(bad): "is no state", str(tmp_path / "no.json"): "cannot read", str(tmp_path / "no.why"): "no.why",
    }.items():  # fmt: skip
        assert main(["play", "--no-open", what]) == 2
        assert words in capsys.readouterr().err
    assert main(["play", "--no-open", "--port", "70000"]) == 2
    bad.write_text('{"lr": "fast"}', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.lr"):
        make_server(str(bad))


@pytest.mark.skipif(os.name != "posix", reason="ports are shared otherwise elsewhere")
def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    server = make_server("neuron")
    try:
        assert main(["play", "--no-open", "--port", str(server.server_port)]) == 2
        assert "cannot listen on port" in capsys.readouterr().err
    finally:
        server.server_close()
