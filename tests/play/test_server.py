"""Who is answered, and with what: nobody but the pages that the server gave out."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.play.conftest import Client
from whygrad.play import server as server_module
from whygrad.play.server import MOST_BYTES
from whygrad.play.sessions import IDLE_SECONDS, MOST_SESSIONS, Busy, Ended, Sessions


def test_the_page_and_its_headers(client: Client) -> None:
    status, body, headers = client.send("GET", f"/{client.server.token}/")
    assert status == 200
    assert b'<main id="whygrad">' in body
    assert client.server.token.encode() not in body
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    assert int(headers["Content-Length"]) == len(body)


def test_it_listens_on_this_machine_only(client: Client) -> None:
    assert client.server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("path", ["/", "/wrong/", "/wrong/api", "//", "/%00/", "/{token}", "/{token}x/", "/x{token}/"])
def test_without_the_token_nothing_is_said(client: Client, path: str) -> None:
    status, body, _ = client.send("GET", path.replace("{token}", client.server.token))
    assert (status, json.loads(body)) == (403, {"error": "not allowed."})


def test_an_unknown_place(client: Client) -> None:
    assert client.send("GET", f"/{client.server.token}/../etc/passwd")[0] == 404
    assert client.send("GET", f"/{client.server.token}/api")[0] == 404
    assert client.send("POST", f"/{client.server.token}/other", b"{}", client.headers())[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", ""])
def test_another_host_is_refused(client: Client, host: str) -> None:
    assert client.send("GET", f"/{client.server.token}/", headers={"Host": host})[0] == 403


def test_localhost_is_this_machine_too(client: Client) -> None:
    host = f"localhost:{client.server.server_port}"
    assert client.send("GET", f"/{client.server.token}/", headers={"Host": host})[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "", "http://127.0.0.1:1"])
def test_another_origin_is_refused(client: Client, origin: str) -> None:
    assert client.post({"kind": "open"}, Origin=origin) == (403, {"error": "not allowed."})
    assert client.send("GET", f"/{client.server.token}/", headers={"Origin": origin})[0] == 403


def test_a_question_without_origin_or_from_another_site_is_refused(client: Client) -> None:
    plain = {"Content-Type": "application/json"}
    assert client.send("POST", client.api, b'{"kind": "open"}', plain)[0] == 403
    assert client.post({"kind": "open"}, **{"Sec-Fetch-Site": "cross-site"})[0] == 403


def test_bodies(client: Client) -> None:
    send, headers = client.send, client.headers()
    for bad in (
        b"",
        b"{",
        b"[1]",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"kind": NaN}',
        b'{"kind": 3}',
        b'{"session": 3}',
    ):
        assert send("POST", client.api, bad, headers)[0] == 400, bad[:20]
    status, found, _ = send("POST", client.api, b" " * (MOST_BYTES + 1), headers)
    assert (status, json.loads(found)) == (413, {"error": "expected at most 1,000,000 bytes."})
    assert send("POST", client.api, b"{}", headers | {"Content-Length": "9" * 4000})[0] == 413
    for length in ("-1", "two", "1_0", "٣"):
        assert (
            send("POST", client.api, b"{}", headers | {"Content-Length": length.encode().decode("latin-1")})[0] == 411
        )
    assert send("POST", client.api, b"{}", headers | {"Content-Type": "text/plain"})[0] == 400


def test_what_cannot_be_asked(client: Client) -> None:
    session = client.open()
    assert refused(client.post({"kind": "open", "config": {"lr": "rm -rf"}}))
    status, found = client.post({"session": session, "kind": "__class__"})
    assert refused((status, found))
    assert "no request" in found["error"]
    for body in (
        {},
        {"address": 3},
        {"address": "x" * 10_000},
        {"address": "loss@0", "depth": "3"},
        {"address": "nothing@0"},
    ):
        assert refused(client.post({"session": session, "kind": "why", **body}))
    assert client.post({"session": "nobody", "kind": "why", "address": "loss@0"})[0] == 410
    for steps in (0, -1, 1e9, True, "1", None):
        assert refused(client.post({"session": session, "kind": "advance", "steps": steps, "budget": 1}))
    assert refused(client.post({"session": session, "kind": "seek", "step": 5, "show": "forward", "example": 0}))


def refused(answer: tuple[int, Any]) -> bool:
    """What a person asked for in vain is an answer, no fault of the transport that a browser's console names."""
    status, found = answer
    return status == 200 and list(found) == ["error"] and len(found["error"]) > 10


HOSTILE = [
    "__import__('os').system('true')",
    "</script><script>",
    "'); import os #",
    "\u202e",
    "{steps}",
    "%s",
    "\x00",
    "0.1; x",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_an_error_and_nothing_else(client: Client, text: str) -> None:
    for level, keys in {
        "neuron": ("format", "optimizer", "activation", "lr", "w", "x", "seed"),
        "network": ("dataset", "features", "hidden", "points", "init", "loss", "batch", "csv"),
    }.items():
        for key in (*keys, text):
            status, found = client.post({"kind": "open", "config": {"level": level, key: text}})
            assert refused((status, found)), (key, found)
    session = client.open()
    assert refused(client.post({"session": session, "kind": "set", "address": text, "value": "1"}))
    assert refused(client.post({"session": session, "kind": "set", "address": "linear.bias[0]", "value": text}))
    assert refused(client.post({"session": session, "kind": "copy", "address": "loss@0", "as": text}))


def test_a_fault_of_ours_is_one_sentence(client: Client, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    def fails(*_: object) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr(client.server.sessions, "open", fails)
    status, found = client.post({"kind": "open"})
    assert status == 500
    assert "secret" not in found["error"]
    assert "KeyError" in found["error"]
    assert capfd.readouterr() == ("", "")


def test_the_scripts_are_served(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "bundle", lambda name: f"export const x = '{name}';")
    for name in ("live", "neuron", "network", "run"):
        status, body, headers = client.send("GET", f"/{client.server.token}/{name}.js")
        assert (status, body) == (200, f"export const x = '{name}';".encode())
        assert headers["Content-Type"].startswith("text/javascript")
    assert client.send("GET", f"/{client.server.token}/notebook.js")[0] == 404


def test_two_pages_do_not_disturb_each_other(client: Client) -> None:
    one, two = client.open({"level": "neuron"}), client.open({"level": "neuron", "seed": 1})
    losses: dict[str, list[Any]] = {}

    def train(session: str) -> None:
        body = {"session": session, "kind": "advance", "steps": 1, "budget": 1000}
        answers = [client.post(body)[1] for _ in range(20)]
        losses[session] = [answer["table"]["rows"] for answer in answers]
        status, found = client.post({"session": session, "kind": "why", "address": "linear.weight[0,0]@19"})
        assert status == 200, found

    threads = [threading.Thread(target=train, args=(session,)) for session in (one, two)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    alone = client.open({"level": "neuron", "seed": 1})
    train(alone)
    assert losses[alone] == losses[two] != losses[one]
    assert client.post({"session": one, "kind": "close"}) == (200, {})
    assert client.post({"session": one, "kind": "why", "address": "loss@0"})[0] == 410


class Quiet:
    """A session that answers its own name."""

    def ask(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"kind": kind}

    def page(self) -> dict[str, Any]:
        return {}


def test_idle_sessions_end() -> None:
    now = [0.0]
    sessions = Sessions(lambda _: Quiet(), clock=lambda: now[0])
    old, _ = sessions.open(None)
    now[0] = IDLE_SECONDS - 1
    with sessions.use(old) as answers:
        assert answers.ask("why", {}) == {"kind": "why"}
    young, _ = sessions.open(None)
    now[0] = 2 * IDLE_SECONDS - 2
    with sessions.use(old):
        pass
    now[0] = 2 * IDLE_SECONDS
    with pytest.raises(Ended, match="reload"), sessions.use(young):
        pass
    with sessions.use(old):
        pass


def test_of_too_many_sessions_the_oldest_idle_one_goes() -> None:
    now = [0.0]
    sessions = Sessions(lambda _: Quiet(), clock=lambda: now[0])
    names: list[str] = []
    for _ in range(MOST_SESSIONS):
        now[0] += 1
        names.append(sessions.open(None)[0])
    now[0] += 1
    with sessions.use(names[0]):
        pass
    sessions.open(None)
    assert len(sessions) == MOST_SESSIONS
    with sessions.use(names[0]):
        pass
    with pytest.raises(Ended), sessions.use(names[1]):
        pass


def test_one_request_of_a_session_at_a_time() -> None:
    sessions = Sessions(lambda _: Quiet(), wait=0.01)
    name, _ = sessions.open(None)
    with sessions.use(name), pytest.raises(Busy), sessions.use(name):
        pass
    with sessions.use(name):
        pass
