"""Runs to look at, their pages, and a server for live ones."""

from __future__ import annotations

import contextlib
import io
import math
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

import whygrad
from whygrad.cli import main
from whygrad.cli.demo import record_demo
from whygrad.play.serve import make_server
from whygrad.play.server import Server
from whygrad.run import Run

HOSTILE = "</script><img src=x onerror=alert(1)>"


def neuron() -> Run:
    """One neuron in float16, 20 steps."""
    return record_demo("neuron", "float16", 20)


def xor() -> Run:
    """Two layers that learn XOR, 12 steps."""
    return record_demo("xor", "float32", 12)


class Block(nn.Module):
    """One block of a transformer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n = self.norm1(x)
        x = x + self.attention(n, n, n, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Tokens to logits of the next token."""

    def __init__(self, words: int = 32, width: int = 16, blocks: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def gpt(steps: int = 6) -> Run:
    """A small GPT in bfloat16 with a learning rate so small that rounding takes most updates; the last loss is infinite."""
    torch.manual_seed(0)
    model = GPT().to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    tokens = torch.randint(0, 32, (2, 8))
    with whygrad.record(steps=f"0,{steps - 2}:") as run:
        for step in range(steps):
            logits = model(tokens[:, :-1])
            loss = nn.functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
            if step == steps - 1:
                loss = loss * math.inf
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return run


def hostile() -> Run:
    """A module whose name would run a script, were it ever taken for HTML."""
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module(HOSTILE.replace(".", ""), nn.Linear(2, 3))
    model.add_module("<!--", nn.LayerNorm(3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with whygrad.record(steps="all") as run:
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.tensor([[0.3, -1.7]])).square().sum().backward()
            optimizer.step()
    return run


def large() -> Run:
    """A hundred million parameters, one step of SGD."""
    with torch.device("meta"):
        model = nn.Sequential(nn.Embedding(50_000, 1_900), nn.Linear(1_900, 2_700), nn.Linear(2_700, 10))
    model = model.to_empty(device="cpu").to(torch.bfloat16)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.01)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with whygrad.record(steps="all", budget="2GB") as run:
        optimizer.zero_grad()
        model(torch.tensor([1, 2])).float().square().sum().backward()
        optimizer.step()
    return run


RUNS = {"neuron": neuron, "xor": xor, "gpt": gpt, "hostile": hostile, "large": large}


def save(name: str, folder: Path) -> Path:
    """Record a run and save it as `folder`/NAME.why."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return RUNS[name]().save(folder / f"{name}.why")
    finally:
        torch.set_num_threads(threads)


def show(run: Path, *options: str, out: str = "") -> Path:
    """The run's page, as `whygrad show` writes it beside the run."""
    page = run.with_name(out or f"{run.stem}.html")
    said(["show", str(run), "-o", str(page), *options])
    return page


def said(arguments: list[str]) -> str:
    """What a command prints. Raises AssertionError where it fails."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(out):
        code = main(arguments)
    assert code == 0, f"whygrad {' '.join(arguments)} ended with {code}"
    out.seek(0)
    return out.read()


@contextmanager
def served(what: str) -> Generator[Server]:
    """The server of `whygrad play WHAT`, in this process."""
    server = make_server(what)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
