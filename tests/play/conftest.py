"""What the tests of `whygrad play` share: torch on one thread, a server and a client of its page."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from whygrad.play.config import config_of
from whygrad.play.server import Server
from whygrad.play.sessions import Sessions
from whygrad.play.training import Training


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As `whygrad play` runs torch."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass
class Client:
    """What a page does, and what it could do wrong."""

    server: Server

    def send(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, Any]:
        """One request; status, body, headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def headers(self) -> dict[str, str]:
        """Those of a page of ours."""
        return {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{self.server.server_port}"}

    @property
    def api(self) -> str:
        return f"/{self.server.token}/api"

    def post(self, body: object, **changed: str) -> tuple[int, dict[str, Any]]:
        """A question as a page asks it."""
        status, found, _ = self.send("POST", self.api, json.dumps(body).encode(), {**self.headers(), **changed})
        return status, json.loads(found)

    def open(self, config: object = None) -> str:
        """A session's name."""
        status, found = self.post({"kind": "open", "config": config})
        assert status == 200, found
        return found["session"]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    server = Server(Sessions(lambda config: Training(config_of(config)), wait=0.05))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield Client(server)
    server.shutdown()
    server.server_close()
    thread.join()
