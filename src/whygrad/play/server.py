"""The server of `whygrad play`: on this machine only, for the pages that it gave out itself.

Every request must carry the random token in its path, and name this server in Host; a request that is sent by a page must
come from one of ours (Origin). So neither another site in the same browser, nor a name that was made to lead here (DNS
rebinding), gets an answer.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from whygrad.errors import WhygradError
from whygrad.play.sessions import Busy, Ended, Sessions
from whygrad.render.page import bundle

HOST = "127.0.0.1"
MOST_BYTES = 1_000_000
"""Of a request's body: 2,000 points of one's own are a tenth of it."""
_TIMEOUT = 1200.0
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>whygrad play</title><link rel="icon" href="data:,"><link rel="stylesheet" href="./page.css"></head>
<body><main id="whygrad"><noscript>This page needs JavaScript; `whygrad demo neuron` needs none.</noscript></main>
<script type="module" src="./live.js"></script></body></html>
"""
_CSS = "body{margin:0}"


class Refused(Exception):
    """A request that gets an error: `status`, and a sentence."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Server(ThreadingHTTPServer):
    """Serves one kind of pages. `url` is where a browser finds them."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = os.name == "posix"  # elsewhere it would let two programs have one port
    request_queue_size = 64

    def __init__(self, sessions: Sessions, port: int = 0) -> None:
        super().__init__((HOST, port), _Handler)
        self.sessions = sessions
        self.token = secrets.token_urlsafe(24)
        self.hosts = frozenset({f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"})

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke: nothing to be said."""


def script_of(name: str) -> bytes:
    """A script of the page, as built from web/."""
    try:
        return bundle(name).encode()
    except WhygradError as error:
        raise Refused(500, str(error)) from None


class _Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    server_version = "whygrad"
    sys_version = ""
    disable_nagle_algorithm = True
    timeout = _TIMEOUT

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: stdout and stderr are the user's."""

    def do_GET(self) -> None:
        """The page, and what it loads."""
        self._answering(self._get)

    def do_POST(self) -> None:
        """A question of the page."""
        self._answering(self._post)

    def _answering(self, answer: Any) -> None:
        try:
            status, kind, body = 200, *answer()
        except Refused as refused:
            status, kind, body = refused.status, "application/json", _json({"error": str(refused)})
        except (ConnectionError, TimeoutError):
            self.close_connection = True
            return
        except Exception as error:  # a fault of ours must not end as a traceback in somebody's terminal
            words = f"whygrad could not answer this; it is a fault of whygrad ({type(error).__name__})."
            status, kind, body = 500, "application/json", _json({"error": words})
        if status in (400, 403, 404, 405, 411, 413):
            self.close_connection = self.close_connection or status != 400
        self._send(status, kind, body)

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        try:
            self._headers_buffer: Any
            self._headers_buffer.append(b"\r\n")
            # Head and body in one write: two small ones would wait for each other.
            head = b"".join(self._headers_buffer)
            self._headers_buffer = []
            self.wfile.write(head + (b"" if self.command == "HEAD" else body))
        except OSError:
            self.close_connection = True

    # ---- who asks

    def _place(self) -> str:
        """What is asked for, below the token. Raises Refused."""
        if self.headers.get("Host") not in self.server.hosts:
            raise Refused(403, "not allowed.")
        origin = self.headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") not in self.server.hosts:
            raise Refused(403, "not allowed.")
        token, slash, place = self.path.partition("?")[0].removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refused(403, "not allowed.")
        return place

    def _get(self) -> tuple[str, bytes]:
        match self._place():
            case "":
                return "text/html", _PAGE.encode()
            case "live.js" | "neuron.js" | "network.js" | "run.js" as name:
                return "text/javascript", script_of(name.removesuffix(".js"))
            case "page.css":
                return "text/css", _CSS.encode()
            case _:
                raise Refused(404, "no such place.")

    def _post(self) -> tuple[str, bytes]:
        place = self._place()
        if self.headers.get("Origin") is None or self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise Refused(403, "not allowed.")
        if place != "api":
            raise Refused(404, "no such place.")
        if (self.headers.get("Content-Type") or "").partition(";")[0].strip() != "application/json":
            raise Refused(400, "expected application/json.")
        body = self._body()
        try:
            return "application/json", _json(self._ask(body))
        except Ended as error:
            raise Refused(410, str(error)) from None
        except Busy as error:
            raise Refused(409, str(error)) from None
        except WhygradError as error:  # what a person asked for: an answer, and no fault that a browser logs
            return "application/json", _json({"error": str(error)})

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()) or self.headers.get("Transfer-Encoding"):
            raise Refused(411, "expected a Content-Length.")
        if len(length) > 12 or int(length) > MOST_BYTES:
            self._pass_over(0 if len(length) > 12 else int(length))
            raise Refused(413, f"expected at most {MOST_BYTES:,} bytes.")
        try:
            found = json.loads(self.rfile.read(int(length)), parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise Refused(400, "expected JSON.") from None
        if not isinstance(found, dict):
            raise Refused(400, "expected a JSON object.")
        return found  # pyright: ignore[reportUnknownVariableType]

    def _pass_over(self, length: int) -> None:
        """Read what is too long, so that its sender gets to read why; of much too long ones nothing."""
        left = length if length < 16 * MOST_BYTES else 0
        while left > 0 and (read := len(self.rfile.read(min(left, 1 << 16)))):
            left -= read

    def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        kind, session = body.get("kind"), body.get("session", "")
        if not isinstance(kind, str) or not isinstance(session, str):
            raise Refused(400, "expected kind and session to be texts.")
        sessions = self.server.sessions
        if kind == "open":
            name, page = sessions.open(body.get("config"))
            return {"session": name, "page": page}
        if kind == "close":
            sessions.close(session)
            return {}
        with sessions.use(session) as answers:
            return answers.ask(kind, body)


def _no_constant(text: str) -> float:
    raise ValueError(text)


def _json(found: dict[str, Any]) -> bytes:
    """Strict JSON, in ASCII. What is not finite has no place in it: geometry sends none."""
    return json.dumps(found, separators=(",", ":"), allow_nan=False).encode()
