"""Control flow as operators (`torch.cond`, `while_loop`, `scan`, `map`) and `flex_attention`, unfolded while recording;
what was compiled runs as it was written.

These operators are handed functions. Below a dispatch mode one of them is a single op with its inside hidden, and it
does not differentiate what its functions close over (dynamo would have lifted that). So while a tape runs they are what
they mean: the branch that is taken, the loop that is run, op by op, as torch's own eager implementations do it
(torch/_higher_order_ops). What vmap or a tracer calls is left to torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import _get_current_dispatch_mode as current_mode

Plain = Callable[..., Any]
_functorch: Any = torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]


def cond(pred: Any, true_fn: Plain, false_fn: Plain, operands: Any = ()) -> Any:
    """The branch that is taken."""
    return true_fn(*operands) if bool(pred) else false_fn(*operands)


def while_loop(
    cond_fn: Plain, body_fn: Plain, carried: Any, additional: Any, /, *, mutated_arg_indices: str = ""
) -> Any:
    """`while cond_fn(…): … = body_fn(…)`."""
    values = tuple(carried)
    while bool(cond_fn(*values, *additional)):
        values = tuple(body_fn(*values, *additional))
    return values


def scan(combine: Plain, init: Any, xs: Any, additional: Any) -> Any:
    """Carries and stacked outputs of `combine` along the first dimension of `xs`."""
    carry, outputs = list(init), list[list[Any]]()
    for i in range(xs[0].shape[0] if xs else 0):
        found = list(combine(*carry, *[x.select(0, i) for x in xs], *additional))
        carry = found[: len(init)]
        outputs.append(found[len(init) :])
    return (*carry, *(None if each[0] is None else torch.stack(each) for each in zip(*outputs, strict=True)))


def map_(f: Plain, xs: Any, args: Any) -> Any:
    """`f` of each slice along the first dimension, stacked."""
    flat, inside = pytree.tree_flatten(xs)
    found = [f(*pytree.tree_unflatten([x[i] for x in flat], inside), *args) for i in range(flat[0].shape[0])]
    leaves = [pytree.tree_flatten(each) for each in found]
    stacked = [
        None if parts[0] is None else torch.stack(list(parts))
        for parts in zip(*(leaf for leaf, _ in leaves), strict=True)
    ]
    return pytree.tree_unflatten(stacked, leaves[0][1])


def flex_attention(query: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    """Attention with modified scores, as matrix products and a softmax, its result in the query's memory order."""
    room: Any = sys.modules["torch._higher_order_ops.flex_attention"]
    out, *rest = room.math_attention(query, *args, **kwargs)
    return (room._permute_strides(out, query.stride()), *rest)


PLAIN: dict[str, Plain] = {
    "cond": cond, "while_loop": while_loop, "scan": scan, "map_impl": map_, "flex_attention": flex_attention,
}  # fmt: skip


LOOPS = ("scan", "map_impl")
"""Their gradients are added up in another order when they are unfolded."""


class Unfolded:
    """As long as one is open, these operators run plainly where the mode `tape` is the one that would see them, and
    compiled functions run eagerly. `on_loop` is called when a loop whose gradients are recorded was unfolded."""

    def __init__(self, tape: Any, on_loop: Callable[[], None]) -> None:
        self._tape, self._on_loop = tape, on_loop
        self._stance: Any = None

    def __enter__(self) -> Unfolded:
        tape = self._tape
        before = self._call = HigherOrderOperator.__call__
        on_loop = self._on_loop

        def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            name = str(self._name)
            plain = PLAIN.get(name)
            if plain is None or current_mode() is not tape or _functorch.peek_interpreter_stack() is not None:
                return before(self, *args, **kwargs)
            if name in LOOPS and torch.is_grad_enabled():
                on_loop()
            return plain(*args, **kwargs)

        HigherOrderOperator.__call__ = call
        self._compile = torch.compile
        if "torch._dynamo" in sys.modules:
            self._eager()
        else:
            torch.compile = self._compiling  # importing dynamo takes a second, and most programs never do
        return self

    def _compiling(self, *args: Any, **kwargs: Any) -> Any:
        if self._stance is None:
            self._eager()
        return self._compile(*args, **kwargs)

    def _eager(self) -> None:
        # Compiled functions cannot run below a dispatch mode; with fullgraph=True they would refuse to run at all.
        self._stance = torch.compiler.set_stance("force_eager")

    def __exit__(self, *_: object) -> None:
        HigherOrderOperator.__call__ = self._call
        torch.compile = self._compile
        if self._stance is not None:
            self._stance.__exit__(None, None, None)
            self._stance = None
