"""How often the known orders of summation give the very bits of PyTorch's CPU kernels: a table in markdown.

    python benchmarks/orders.py --threads 1 2 --sums 60

Columns: share of elements whose bits the first candidate gives; the one candidate that fits the kernel best ("best", a
candidate for each shape); any candidate (by chance too: see "chance", the share the worst candidate gives).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from whygrad.floats.summation import evaluate_many
from whygrad.rules.orders import KernelCall, accumulator, candidates

DTYPES = {t: getattr(torch, t) for t in ("float32", "float64", "float16", "bfloat16")}
BATCHES, WIDTHS = (1, 2, 3, 4, 5, 8, 10, 16, 32, 64, 100, 128), (1, 2, 3, 4, 8, 10, 16, 64, 128, 256, 512, 784, 1000)


@dataclass(frozen=True)
class Case:
    """One result of one kernel, and the sums that made some of its elements."""

    kernel: str
    shape: str
    call: KernelCall
    a: np.ndarray
    b: np.ndarray | None
    init: np.ndarray | None
    target: torch.Tensor


def product_case(kernel: str, dtype: str, m: int, k: int, n: int, sums: int, threads: int, rng: np.random.Generator) -> Case:
    """One matrix product of random numbers, `sums` of its elements."""
    t = DTYPES[dtype]
    x, w, bias = (torch.from_numpy(rng.standard_normal(s)).to(t) for s in ((m, k), (n, k), (n,)))
    rows, columns = torch.from_numpy(rng.integers(0, m, sums)), torch.from_numpy(rng.integers(0, n, sums))
    init = None
    if kernel == "addmm(b, x, w.t())":
        out, init = torch.addmm(bias, x, w.t()), bias[columns]
    elif kernel == "mm(x, w.t())":
        out = torch.mm(x, w.t())
    elif kernel == "mm(g, w)":
        out = torch.mm(x, w.t().contiguous())
    elif kernel == "mm(g.t(), x)":
        out = torch.mm(x.t().contiguous().t(), w.t().contiguous())
    elif kernel == "bmm(q, k.t)":
        out = torch.bmm(x[None].repeat(3, 1, 1), w[None].repeat(3, 1, 1).transpose(1, 2))[1]
    else:
        out = torch.bmm(x[None].repeat(3, 1, 1), w.t().contiguous()[None].repeat(3, 1, 1))[1]
    wide = torch.float64
    call = KernelCall("aten.addmm" if init is not None else "aten.mm", dtype, k, (m, n), (), threads)
    a, b = (z.to(wide).numpy().T for z in (x[rows], w[columns]))
    return Case(kernel, f"{m}×{k}×{n}", call, a, b, None if init is None else init.to(wide).numpy(), out[rows, columns])


def sum_case(kernel: str, dtype: str, rows: int, columns: int, threads: int, rng: np.random.Generator) -> Case:
    """A reduction of random numbers."""
    x = torch.from_numpy(rng.standard_normal((rows, columns))).to(DTYPES[dtype])
    wide = x.double().numpy()
    common = (1 if kernel == "mean" else threads, (rows, columns))
    if kernel == "sum":
        call = KernelCall("aten.sum", dtype, x.numel(), (), (), threads, (rows, columns), (0, 1), (columns, 1))
        return Case(kernel, f"{rows}×{columns}", call, wide.reshape(-1, 1), None, None, x.sum().reshape(1))
    if kernel == "sum(0)":
        call = KernelCall("aten.sum", dtype, rows, (columns,), (0,), threads, common[1], (0,), (columns, 1))
        return Case(kernel, f"{rows}×{columns}", call, wide, None, None, x.sum(0))
    call = KernelCall("aten.sum", dtype, columns, (rows,), (0,), threads, common[1], (1,), (columns, 1))
    return Case(kernel, f"{rows}×{columns}", call, wide.T, None, None, x.sum(-1))


def measure(case: Case) -> np.ndarray:
    """Which candidate gives which element's bits: shape (candidates, elements)."""
    kind = accumulator(case.call.dtype)
    hits: list[np.ndarray] = []
    for order in candidates(case.call):
        total = torch.from_numpy(evaluate_many(order, case.a, case.b, case.init, kind)).to(case.target.dtype)
        hits.append((total == case.target).numpy())
    return np.array(hits)


def cases(dtype: str, threads: int, sums: int, quick: bool) -> Iterator[Case]:
    """All cases of a multilayer perceptron and a small GPT."""
    rng = np.random.default_rng(0)
    sizes = [(k, n) for k in WIDTHS for n in WIDTHS if not quick or (k in (3, 16, 128, 784) and n in (1, 4, 10, 128))]
    for kernel in ("addmm(b, x, w.t())", "mm(g, w)", "mm(g.t(), x)"):
        for m in BATCHES:
            for k, n in sizes if not quick or m in (1, 2, 8, 64, 100) else ():
                dims = (n, m, k) if kernel == "mm(g.t(), x)" else (m, k, n)
                yield product_case(kernel, dtype, *dims, sums, threads, rng)
    for m, k, n in ((256, 128, 384), (256, 128, 512), (256, 512, 128)):
        yield product_case("addmm(b, x, w.t())", dtype, m, k, n, sums, threads, rng)
    yield product_case("bmm(q, k.t)", dtype, 64, 32, 64, sums, threads, rng)
    yield product_case("bmm(p, v)", dtype, 64, 64, 32, sums, threads, rng)
    for kernel in ("sum", "sum(0)", "sum(-1)"):
        for rows in (1, 5, 64, 100, 1000):
            for columns in (1, 3, 10, 64, 100):
                yield sum_case(kernel, dtype, rows, columns, threads, rng)


def shape_class(case: Case) -> str:
    """The size of the result, roughly."""
    if case.b is None:
        return "all"
    m, n = case.call.out_shape
    return "thin (a side < 4)" if min(m, n) < 4 else "small (a side < 16)" if min(m, n) < 16 else "larger"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--dtypes", nargs="+", default=list(DTYPES), choices=list(DTYPES))
    parser.add_argument("--sums", type=int, default=40, help="elements asked about for each shape")
    parser.add_argument("--full", action="store_true", help="all shapes, not a selection (minutes)")
    parser.add_argument("--missed", action="store_true", help="also list shapes with an element that no candidate gives")
    options = parser.parse_args()
    print("| kernel | dtype | threads | results | elements | first | best | any | chance |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    missed: list[str] = []
    for threads in options.threads:
        torch.set_num_threads(threads)
        for dtype in options.dtypes:
            table: dict[tuple[str, str], list[np.ndarray]] = {}
            for case in cases(dtype, threads, options.sums, not options.full):
                hits = measure(case)
                counts = np.array([hits[0], hits[hits.mean(1).argmax()], hits.any(0), hits[hits.mean(1).argmin()]])
                table.setdefault((case.kernel, shape_class(case)), []).append(counts)
                if not counts[2].all():
                    best = candidates(case.call)[int(hits.mean(1).argmax())].name
                    missed.append(f"{case.kernel} {dtype} {threads}t {case.shape}: any {counts[2].mean():.2f}, {best} {counts[1].mean():.2f}")
            for (kernel, kind), parts in table.items():
                share = np.concatenate(parts, axis=1)
                cells = " | ".join(f"{100 * s:.2f} %" for s in share.mean(1))
                print(f"| `{kernel}` | {dtype} | {threads} | {kind} | {share.shape[1]} | {cells} |", flush=True)
    if options.missed:
        print("\n".join(["", *missed]))


if __name__ == "__main__":
    main()
