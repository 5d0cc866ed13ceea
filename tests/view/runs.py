"""Small runs whose numbers the page's tests ask: recorded once for all of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import whygrad
from whygrad.demos import neuron, xor
from whygrad.explain.derivation import Derivation
from whygrad.run import Run


def recorded(program: Callable[[], object]) -> Run:
    """A run of `program`, whatever was seeded before."""
    with torch.random.fork_rng(), whygrad.record() as run:
        program()
    return run


@cache
def neuron_run() -> Run:
    """The demo: one neuron, float16, 20 steps."""
    return recorded(neuron.train)


@cache
def xor_run() -> Run:
    """The demo of two layers, 2 steps."""
    return recorded(lambda: xor.train(steps=2))


@cache
def adamw_run(fused: bool = False, dtype: torch.dtype = torch.float32) -> Run:
    """A linear layer under AdamW."""

    def train() -> None:
        torch.manual_seed(0)
        net = nn.Linear(2, 1).to(dtype)
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, fused=fused)
        for _ in range(2):
            loss = net(torch.tensor([[0.3, -1.7]], dtype=dtype)).square().sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return recorded(train)


class Block(nn.Module):
    """One block of a transformer, with its embedding and its head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.norm = nn.LayerNorm(4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))
        self.head = nn.Linear(4, 7)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits of the next token."""
        x = self.embedding(tokens)
        n = self.norm(x)
        x = x + self.attention(n, n, n, need_weights=False)[0]
        return self.head(x + self.mlp(self.norm(x)))


@cache
def block_run() -> Run:
    """A transformer's block, one step of Adam."""

    def train() -> None:
        torch.manual_seed(0)
        net, tokens = Block(), torch.tensor([[1, 5, 2]])
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        nn.functional.cross_entropy(net(tokens).flatten(0, 1), tokens.flatten()).backward()
        optimizer.step()

    return recorded(train)


ASKED = (
    (neuron_run, "linear.weight[0,0]@3"),
    (neuron_run, "loss@5"),
    (xor_run, "hidden.weight[0,1]@1"),
    (xor_run, "loss@1"),
    (adamw_run, "weight[0,1]@1"),
    (block_run, "loss@0"),
    (block_run, "mlp.0.weight[3,2]@0"),
    (block_run, "norm.weight[2].grad@0"),
    (block_run, "embedding.weight[1,2].grad@0"),
)
"""Runs and addresses whose trees hold most of the grammar."""


def asked(run: Callable[[], Run], address: str, depth: int = 5) -> Derivation:
    """The answer for an address."""
    return run().why(address, depth=depth).inert


def each(derivation: Derivation) -> Iterator[Derivation]:
    """All of a tree's numbers."""
    yield derivation
    for operand in derivation.operands:
        yield from each(operand)


WEB = Path(__file__).resolve().parents[2] / "web"
ESBUILD = WEB / "node_modules" / ".bin" / "esbuild"


def in_the_page(module: str, expression: str, given: Any, folder: Path) -> Any:
    """What the page's own code makes of `given`: a JavaScript expression of `m` (the module) and `given`; may await.

    Skips where there is no Node."""
    node = shutil.which("node")
    if node is None or not ESBUILD.exists():
        pytest.skip("the page's own code needs node and web/node_modules")
    bundle, source, result = folder / "module.mjs", folder / "given.json", folder / "result.json"
    options = ["--bundle", "--format=esm", "--target=es2022", f"--outfile={bundle}"]
    subprocess.run([ESBUILD, module, *options], cwd=WEB, check=True, capture_output=True)
    source.write_text(json.dumps(given))
    program = (
        f"import * as m from {json.dumps(bundle.as_uri())}; import fs from 'node:fs';"
        f"const given = JSON.parse(fs.readFileSync({json.dumps(str(source))}, 'utf8'));"
        f"fs.writeFileSync({json.dumps(str(result))}, JSON.stringify({expression}));"
    )
    subprocess.run([node, "--input-type=module", "-e", program], check=True, capture_output=True)
    return json.loads(result.read_text())
