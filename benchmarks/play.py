"""How fast `whygrad play` trains: steps a second through its server, beside the same training in plain PyTorch.

The network is 2-4-2-1 with tanh, batches of 10 points, SGD, float32: the size that TensorFlow Playground begins with. A
client asks for frame after frame over the loopback, each of 12 ms of training, as the page does; after it, any number of
any step can be asked. Plain PyTorch runs the very same `train_step` on the same batches, with nothing kept. Rounds of all
take turns, so that what else the machine does slows all of them alike; the table gives medians over the rounds.
"""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.report import Table, ratio
from whygrad.play.config import Network
from whygrad.play.program import program_of
from whygrad.play.serve import make_server

BAR = 1_400
"""Steps a second that TensorFlow Playground's own page was measured at; to be had here with every number askable."""
BUDGET = 12
"""Milliseconds of training in a frame."""


@dataclass
class Page:
    """What a page of `whygrad play` does, without drawing."""

    host: str
    port: int
    token: str
    session: str = ""

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(self.host, self.port)
        self.session = self.post({"kind": "open", "config": {"level": "network"}})["session"]

    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """One question. Raises RuntimeError when it is refused."""
        headers = {"Content-Type": "application/json", "Origin": f"http://{self.host}:{self.port}"}
        self.connection.request("POST", f"/{self.token}/api", json.dumps(body), headers)
        answer = self.connection.getresponse()
        found = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(found["error"])
        return found

    def ask(self, kind: str, **body: object) -> dict[str, Any]:
        """One question of this page's session."""
        return self.post({"session": self.session, "kind": kind, **body})


def plain(seconds: float) -> tuple[float, float]:
    """Steps a second of the program in plain PyTorch."""
    program = program_of(Network())
    net, optimizer = program.build()
    step, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        program.run(net, optimizer, *program.batch(step))
        step += 1
    return step / (time.perf_counter() - start), 0.0


def live(page: Page, seconds: float, pictures: bool) -> tuple[float, float]:
    """Steps and frames a second through the server; `pictures`: of every unit, and of the output, in each frame."""
    page.ask("configure", config={"level": "network"})
    steps, frames, start = 0, 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        found = page.ask("advance", steps=10_000, budget=BUDGET, pictures=pictures, show="forward", example=0)
        steps, frames = steps + found["steps"], frames + 1
    took = time.perf_counter() - start
    return steps / took, frames / took


def asked(page: Page, rounds: int) -> float:
    """Median seconds of a why about a step that was not asked before, through the server."""
    last = page.ask("advance", steps=1, budget=1, pictures=False, show="forward", example=0)["step"]
    took: list[float] = []
    for i in range(rounds):
        start = time.perf_counter()
        page.ask("why", address=f"hidden1.weight[{i % 4},{i % 2}].grad@{last * (i + 1) // (rounds + 2)}")
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def report(quick: bool) -> str:
    """The section of docs/benchmarks.md."""
    threads = torch.get_num_threads()
    server = make_server("network")
    try:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = Page("127.0.0.1", server.server_port, server.token)
        seconds, rounds = (0.5, 3) if quick else (2.0, 7)
        ways: dict[str, Callable[[], tuple[float, float]]] = {
            "plain PyTorch, nothing kept": lambda: plain(seconds),
            "`whygrad play`, numbers only": lambda: live(page, seconds, False),
            "`whygrad play`, with all pictures": lambda: live(page, seconds, True),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                found[name].append(way())
        why = asked(page, 10 if quick else 40)
    finally:
        server.shutdown()
        server.server_close()
        torch.set_num_threads(threads)
    return _text(found, why)


def _text(found: dict[str, list[tuple[float, float]]], why: float) -> str:
    steps = {name: statistics.median(each[0] for each in rounds) for name, rounds in found.items()}
    frames = {name: statistics.median(each[1] for each in rounds) for name, rounds in found.items()}
    base = next(iter(steps.values()))
    rows = [
        [name, f"{value:,.0f}", ratio(value / base), f"{frames[name]:.0f}" if frames[name] else "–"]
        for name, value in steps.items()
    ]
    table = Table(["2-4-2-1, batches of 10, SGD", "steps/s", "ratio", "frames/s"], rows, (1, 2, 3)).markdown()
    slowest = min(list(steps.values())[1:])
    held = "held" if slowest >= BAR else "missed"
    said = (
        f"The bar is {BAR:,} steps a second with every number of every step askable: {held}. "
        f"A why about a step of the past, trained again under the recorder: {1000 * why:.0f} ms (median)."
    )
    about = (__doc__ or "").split("\n\n", 1)[1].strip().replace("\n", " ")
    return "\n\n".join(["## Live: `whygrad play`", about, table, said])
