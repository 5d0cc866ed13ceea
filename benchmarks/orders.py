"""How often the known orders of summation give the very bits of PyTorch's CPU kernels: a table in markdown.

    python benchmarks/orders.py --threads 1 2

Each row asks about single elements of results of random numbers. "first": the order expected for the shape
and position gives the bits. "any": some candidate does. "luck": the mean share that the candidates after
the first give, right for some by chance and for others because they do the same to so few terms: what "any"
is to be judged by.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from whygrad.floats.formats import number_format
from whygrad.rules.orders import KernelCall, Sample, candidates, gives

DTYPES = ("float32", "float64", "float16", "bfloat16")
NARROW = DTYPES[2:]
BATCHES = (1, 2, 3, 4, 5, 8, 10, 16, 32, 64, 100, 128)
WIDTHS = (1, 2, 3, 4, 8, 10, 16, 64, 128, 256, 512, 784, 1000)
FEW_BATCHES, FEW_INPUTS, FEW_OUTPUTS = (1, 2, 8, 64, 100), (3, 16, 128, 784), (1, 3, 4, 10, 64, 256)


@dataclass(frozen=True)
class Element:
    """One element of a kernel's result and the terms that it is the sum of."""

    kernel: str
    shapes: str
    call: KernelCall
    sample: Sample


@dataclass(frozen=True)
class Bench:
    """What all cases share."""

    dtype: str
    threads: int
    elements: int
    rng: np.random.Generator

    def random(self, *shape: int) -> torch.Tensor:
        """Normally distributed numbers in the dtype, in memory that torch has allocated (and so aligned)."""
        return torch.from_numpy(self.rng.standard_normal(shape)).to(getattr(torch, self.dtype)).clone()

    def products(self, m: int, k: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Factors x (m, k) and w (n, k). Of 16-bit numbers, whose rounding would hide the order, the
        products cancel and only what the float32 accumulator lost is left.
        """
        x, w = self.random(m, k), self.random(n, k)
        if self.dtype in NARROW:
            order, half = torch.from_numpy(self.rng.permutation(k)), k // 2
            one, other = order[:half], order[half : 2 * half]
            x[:, other], w[:, other] = x[:, one], -w[:, one]
            x, w = 64 * x, 64 * w
        return x, w

    def terms(self, rows: int, columns: int) -> torch.Tensor:
        """Terms (rows, columns) that cancel both ways, in the same sense."""
        if self.dtype not in NARROW:
            return self.random(rows, columns)
        shape = -(-rows // 2), -(-columns // 2)
        powers = torch.from_numpy(self.rng.integers(-10, 11, shape)).to(torch.float32)
        x = (self.random(*shape) * torch.exp2(powers)).to(getattr(torch, self.dtype))
        x = torch.cat((x, -x))[torch.from_numpy(self.rng.permutation(2 * len(x)))]
        x = torch.cat((x, -x), 1)[:, torch.from_numpy(self.rng.permutation(2 * x.shape[1]))]
        return x[:rows, :columns].contiguous()

    def call(
        self,
        op: str,
        operands: tuple[torch.Tensor, ...],
        position: tuple[int, ...],
        dims: tuple[int, ...] = (),
    ) -> KernelCall:
        """The call as data."""
        shapes, strides = tuple(tuple(t.shape) for t in operands), tuple(t.stride() for t in operands)
        return KernelCall(f"aten.{op}", self.dtype, shapes, strides, dims, position, self.threads)


def products(bench: Bench, kernel: str, m: int, k: int, n: int) -> Iterator[Element]:
    """Elements of one matrix product (m, k) × (k, n)."""
    (x, w), bias = bench.products(m, k, n), bench.random(n)
    transposed = w.t().clone(memory_format=torch.contiguous_format)
    operands = {
        "addmm(b, x, w.t())": (bias, x, w.t()),
        "mm(x, w.t())": (x, w.t()),
        "mm(g, w)": (x, transposed),
        "mm(g.t(), x)": (x.t().clone(memory_format=torch.contiguous_format).t(), transposed),
        "bmm(q, k.mT)": (x.repeat(8, 1, 1), w.repeat(8, 1, 1).mT),
        "bmm(p, v)": (x.repeat(8, 1, 1), transposed.repeat(8, 1, 1)),
        "mv(w, x)": (x, w[0]),
    }[kernel]
    op = kernel.split("(", maxsplit=1)[0]
    out = getattr(torch, op)(*operands)
    for _ in range(bench.elements):
        i, j = int(bench.rng.integers(m)), int(bench.rng.integers(n))
        position = {"bmm": (5, i, j), "mv": (i,)}.get(op, (i, j))
        if op == "mv":
            j = 0
        init = bias[j].item() if op == "addmm" else None
        sample = Sample(x[i].double().numpy(), w[j].double().numpy(), init, out[position].item())
        yield Element(kernel, f"{m}×{k}×{n}", bench.call(op, operands, position), sample)


def sums(bench: Bench, kernel: str, rows: int, columns: int) -> Iterator[Element]:
    """Elements of one reduction of a (rows, columns) tensor."""
    x = bench.terms(rows, columns)
    wide = x.double().numpy()
    dims, out = {"sum": ((), x.sum()), "sum(0)": ((0,), x.sum(0)), "sum(-1)": ((1,), x.sum(-1))}[kernel]
    for _ in range(bench.elements if dims else 1):
        at = int(bench.rng.integers(out.numel()))
        terms = {"sum": wide.reshape(-1), "sum(0)": wide[:, at % columns], "sum(-1)": wide[at % rows]}[kernel]
        position = (at,) if dims else ()
        sample = Sample(terms, None, None, out.reshape(-1)[at].item())
        yield Element(kernel, f"{rows}×{columns}", bench.call("sum", (x,), position, dims), sample)


def losses(bench: Bench, rows: int) -> Iterator[Element]:
    """nll_loss, and the dot product."""
    x, (y, z) = bench.random(rows, 5), (t[0] for t in bench.products(1, rows, 1))
    labels = torch.from_numpy(bench.rng.integers(0, 5, rows))
    if bench.dtype in ("float32", "float64"):
        total = torch.nn.functional.nll_loss(x, labels, reduction="sum").item()
        terms = -x[torch.arange(rows), labels].double().numpy()
        nll = bench.call("nll_loss_forward", (x,), ())
        yield Element("nll_loss", f"{rows}", nll, Sample(terms, None, None, total))
    dot = Sample(y.double().numpy(), z.double().numpy(), None, torch.dot(y, z).item())
    yield Element("dot", f"{rows}", bench.call("dot", (y, z), ()), dot)


def row_sums(bench: Bench, rows: int, columns: int) -> Iterator[Element]:
    """The row sum in softmax's backward: of the gradient, where softmax is 1; read where the gradient is
    0.
    """
    grad = bench.terms(rows, columns)
    grad[:, 0] = 0
    ones, zeros = torch.ones_like(grad), torch.zeros_like(grad)
    for kernel, output in (("_softmax_backward_data", ones), ("_log_softmax_backward_data", zeros)):
        out = getattr(torch.ops.aten, kernel)(grad, output, 1, grad.dtype)
        for row in range(min(rows, bench.elements)):
            sample = Sample(grad[row].double().numpy(), None, None, 0.0 - out[row, 0].item())
            call = bench.call(kernel, (grad, output), (row, 0), (1,))
            yield Element(kernel, f"{rows}×{columns}", call, sample)


def elements(bench: Bench, full: bool) -> Iterator[Element]:
    """What occurs when multilayer perceptrons and a small GPT are trained."""
    batches, inputs, outputs = (BATCHES, WIDTHS, WIDTHS) if full else (FEW_BATCHES, FEW_INPUTS, FEW_OUTPUTS)
    for m in batches:
        for k in inputs:
            for n in outputs:
                yield from products(bench, "addmm(b, x, w.t())", m, k, n)
                yield from products(bench, "mm(g, w)", m, k, n)
                yield from products(bench, "mm(g.t(), x)", k, m, n)
    for m, k, n in ((256, 128, 384), (256, 128, 512), (256, 512, 128)):
        yield from products(bench, "addmm(b, x, w.t())", m, k, n)
    for _ in range(3):
        yield from products(bench, "bmm(q, k.mT)", 64, 32, 64)
        yield from products(bench, "bmm(p, v)", 64, 64, 32)
    for k in inputs:
        yield from products(bench, "mv(w, x)", 10, k, 1)
    for rows in (1, 5, 64, 100, 1000):
        for columns in (1, 3, 10, 64, 100):
            for kernel in ("sum", "sum(0)", "sum(-1)"):
                yield from sums(bench, kernel, rows, columns)
        yield from losses(bench, rows)
    for columns in (3, 10, 20, 100, 1000):
        yield from row_sums(bench, 20, columns)
    for kernel in ("sum", "sum(0)", "sum(-1)"):
        yield from sums(bench, kernel, 500, 300)


def result_class(call: KernelCall) -> str:
    """The size of a product's result, roughly; of other kernels, nothing."""
    if not call.is_product or call.name == "dot":
        return ""
    side = min(call.rows, call.columns)
    return "a side is 1" if side == 1 else "a side < 16" if side < 16 else "larger"


def measure(element: Element) -> tuple[bool, bool, float]:
    """Does the first candidate give the bits; does any; which share of those after the first."""
    out_format, kind = number_format(element.call.dtype), element.call.accumulator
    hits = [gives(order, element.sample, out_format, kind) for order in candidates(element.call)]
    return hits[0], any(hits), float(np.mean(hits[1:])) if hits[1:] else 0.0


def table(bench: Bench, full: bool, missed: Callable[[Element], None]) -> Iterator[str]:
    """The rows of the table."""
    shares: dict[tuple[str, str], list[tuple[bool, bool, float]]] = {}
    for element in elements(bench, full):
        result = measure(element)
        shares.setdefault((element.kernel, result_class(element.call)), []).append(result)
        if not result[1]:
            missed(element)
    for (kernel, size), results in shares.items():
        means = np.mean(np.array(results, dtype=float), axis=0)
        cells = " | ".join(f"{100 * share:.2f} %" for share in means)
        yield f"| `{kernel}` | {size} | {bench.dtype} | {bench.threads} | {len(results)} | {cells} |"


def main() -> None:
    """Print the table."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=DTYPES)
    parser.add_argument("--elements", type=int, default=4, help="elements asked about for each shape")
    parser.add_argument("--full", action="store_true", help="all shapes, not a selection (many minutes)")
    parser.add_argument("--missed", action="store_true", help="then list what no candidate gives")
    options = parser.parse_args()
    print("| kernel | result | dtype | threads | elements | first | any | luck |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    missed: list[Element] = []
    for threads in options.threads:
        torch.set_num_threads(threads)
        for dtype in options.dtypes:
            bench = Bench(dtype, threads, options.elements, np.random.default_rng(0))
            for row in table(bench, options.full, missed.append):
                print(row, flush=True)
    if options.missed:
        for e in missed:
            print(f"- {e.kernel} {e.call.dtype}, {e.call.threads} threads, {e.shapes} at {e.call.position}")


if __name__ == "__main__":
    main()
