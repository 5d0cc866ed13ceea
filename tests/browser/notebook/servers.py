"""Real notebook servers, each with a home of its own: JupyterLab and marimo on a free port of this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOKEN = "a-token-of-the-tests"
_SECONDS = 60


@dataclass
class Notebooks:
    """A server that is up, and the folder whose notebooks it opens."""

    url: str
    folder: Path

    def get(self, place: str, method: str = "GET") -> Any:
        """What JupyterLab's own interface answers."""
        request = urllib.request.Request(
            f"{self.url}{place}", headers={"Authorization": f"token {TOKEN}"}, method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def end_kernels(self) -> None:
        """As when the computer was switched off in between."""
        for session in self.get("/api/sessions"):
            self.get(f"/api/sessions/{session['id']}", "DELETE")


def environment(home: Path) -> dict[str, str]:
    """Of a process that knows no settings but the defaults, and leaves none."""
    places = {
        "HOME": "", "XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state", "XDG_CACHE_HOME": "cache", "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }  # fmt: skip
    own = {name: str(home / place) for name, place in places.items()}
    return os.environ | own | {"OMP_NUM_THREADS": "1", "MARIMO_SKIP_UPDATE_CHECK": "1", "WHYGRAD_NOTEBOOK": ""}


@contextmanager
def jupyter_lab(folder: Path) -> Generator[Notebooks]:
    """JupyterLab over `folder`, until the block ends."""
    port = _free_port()
    options = {
        "ServerApp.ip": "127.0.0.1", "ServerApp.port": port, "ServerApp.port_retries": 0, "ServerApp.allow_root": True,
        "ServerApp.open_browser": False, "ServerApp.root_dir": folder, "IdentityProvider.token": TOKEN, "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate", "LabApp.extension_manager": "readonly",
    }  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
    with _serving(command, port, "/api", folder) as url:
        yield Notebooks(url, folder)


@contextmanager
def marimo(notebook: Path, mode: str) -> Generator[Notebooks]:
    """`marimo edit` or `marimo run` of one notebook, until the block ends."""
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "marimo",
        mode,
        notebook.name,
        "--headless",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with _serving([*command, "--token-password", TOKEN], port, "/health", notebook.parent) as url:
        yield Notebooks(url, notebook.parent)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def _serving(command: list[str], port: int, place: str, folder: Path) -> Generator[str]:
    url, log = f"http://127.0.0.1:{port}", folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(folder / "home"), stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
        try:
            _wait(process, url + place, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError as error:  # it answers, if only that it wants the token
            error.close()
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}")
