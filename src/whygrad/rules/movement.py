"""Movement: an element of the result is an element of an operand. Views are the same memory, seen another way."""

from __future__ import annotations

from whygrad.rules.call import Index, OpCall, Operand
from whygrad.rules.casts import converted
from whygrad.rules.expr import Case, Expr, Num
from whygrad.rules.registry import EVERY, rule

_VIEWS = (
    "alias", "as_strided", "chunk", "detach", "diagonal", "expand", "expand_as", "flatten", "movedim", "narrow", "permute",
    "ravel", "reshape", "_reshape_alias", "select.int", "slice.Tensor", "split", "split_with_sizes", "squeeze", "swapaxes",
    "t", "transpose", "unbind", "unflatten", "unfold", "_unsafe_view", "unsqueeze", "view.default", "broadcast_to",
)  # fmt: skip


def ints(arg: object) -> tuple[int, ...]:
    """A list argument of integers."""
    if isinstance(arg, int):
        return (arg,)
    return tuple(int(a) for a in arg) if isinstance(arg, tuple) else ()


def seen(c: OpCall, out: Operand, i: Index) -> Expr:
    """The element of the first operand that lies where element `i` of `out` does."""
    x = c.t(0)
    if x.value.storage != out.value.storage:
        return _same_order(x, out.shape, i)
    index = x.value.index_at(out.value.location(i))
    if index is None:
        raise ValueError(f"{c.op.name}: element {i} of the view is no element of what it views")
    return x[index]


def _same_order(x: Operand, shape: Index, i: Index) -> Expr:
    """The element at the same place in row-major order: a reshape that had to copy."""
    place = 0
    for at, n in zip(i, shape, strict=True):
        place = place * n + at
    index: list[int] = []
    for n in reversed(x.shape):
        index.insert(0, place % n)
        place //= n
    return x[tuple(index)]


def _enter_views() -> None:
    def view(c: OpCall, i: Index) -> Expr:
        """`yᵢ` is the element of x in the same place of memory."""
        return seen(c, c.out(c.output), i)

    for name in _VIEWS:
        rule(f"aten.{name}", output=EVERY)(view)


_enter_views()


@rule("aten.cat")
def cat(c: OpCall, i: Index) -> Expr:
    """`yᵢ`: along `dim` the tensors follow each other; an empty vector counts as nothing."""
    dim = c.integer(1, "dim", 0) % len(i)
    at = i[dim]
    for x in c.each(0):
        if x.shape == (0,):
            continue
        if at < x.shape[dim]:
            return converted(x, (*i[:dim], at, *i[dim + 1 :]), c.out().dtype)
        at -= x.shape[dim]
    raise ValueError(f"{c.op.name}: no element {i}")


@rule("aten.stack")
def stack(c: OpCall, i: Index) -> Expr:
    """`y[…, k, …] = xₖ[…]`."""
    dim = c.integer(1, "dim", 0) % len(i)
    return c.each(0)[i[dim]][(*i[:dim], *i[dim + 1 :])]


@rule("aten.constant_pad_nd")
def pad(c: OpCall, i: Index) -> Expr:
    """`yᵢ = x` shifted, the constant outside; padding is listed from the last dimension on."""
    x, widths, at = c.t(0), ints(c.arg(1)), list(i)
    for k in range(len(widths) // 2):
        at[len(i) - 1 - k] -= widths[2 * k]
    if all(0 <= a < n for a, n in zip(at, x.shape, strict=True)):
        return Case("it is inside", x[tuple(at)], "the padding")
    return Case("it is padding", c.number(2, "value", 0), "x")


@rule("aten.flip")
def flip(c: OpCall, i: Index) -> Expr:
    """`y[…, k, …] = x[…, n − 1 − k, …]` for each named dimension."""
    x = c.t(0)
    dims = {d % len(i) for d in ints(c.arg(1))}
    return x[tuple(x.shape[d] - 1 - at if d in dims else at for d, at in enumerate(i))]


@rule("aten.roll")
def roll(c: OpCall, i: Index) -> Expr:
    """`y[…, k, …] = x[…, (k − shift) mod n, …]`; without dimensions, over the flattened tensor."""
    x, shifts, dims = c.t(0), ints(c.arg(1)), ints(c.arg(2, "dims", ()))
    if not dims:
        place = 0
        for at, n in zip(i, x.shape, strict=True):
            place = place * n + at
        return _same_order(x, (x.value.numel,), ((place - shifts[0]) % x.value.numel,))
    at = list(i)
    for shift, dim in zip(shifts, dims, strict=True):
        at[dim] = (at[dim] - shift) % x.shape[dim]
    return x[tuple(at)]


@rule("aten.repeat")
def repeat(c: OpCall, i: Index) -> Expr:
    """`yᵢ = x[i mod n]`."""
    x = c.t(0)
    return x[tuple(at % n for at, n in zip(i[len(i) - len(x.shape) :], x.shape, strict=True))]


@rule("aten.tril")
def tril(c: OpCall, i: Index) -> Expr:
    """`y[r,c] = x[r,c] if c − r ≤ diagonal, else 0`."""
    kept = i[-1] - i[-2] <= c.integer(1, "diagonal", 0)
    return Case("on or below the diagonal", c.t(0)[i]) if kept else Case("above the diagonal", Num(0), "x")


@rule("aten.triu")
def triu(c: OpCall, i: Index) -> Expr:
    """`y[r,c] = x[r,c] if c − r ≥ diagonal, else 0`."""
    kept = i[-1] - i[-2] >= c.integer(1, "diagonal", 0)
    return Case("on or above the diagonal", c.t(0)[i]) if kept else Case("below the diagonal", Num(0), "x")


@rule("aten.select_backward")
def select_backward(c: OpCall, i: Index) -> Expr:
    """`∂x[…, k, …] = g[…]` for the k that was selected, else 0."""
    dim, k = c.integer(2) % len(i), c.integer(3)
    if i[dim] == k % c.out().shape[dim]:
        return Case("it was selected", c.t(0)[(*i[:dim], *i[dim + 1 :])])
    return Case("it was not selected", Num(0), "g")


@rule("aten.slice_backward")
def slice_backward(c: OpCall, i: Index) -> Expr:
    """`∂x[…, start + k·step, …] = g[…, k, …]`, 0 elsewhere."""
    dim, start, stop, step = (c.integer(k) for k in (2, 3, 4, 5))
    dim %= len(i)
    chosen = range(*slice(start, stop, step).indices(c.out().shape[dim]))
    if i[dim] in chosen:
        return Case("it is in the slice", c.t(0)[(*i[:dim], chosen.index(i[dim]), *i[dim + 1 :])])
    return Case("it is not in the slice", Num(0), "g")
