"""The table from ATen op to its mathematics. It refuses a second rule for an op."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Literal

from whygrad.rules.call import Index, OpCall
from whygrad.rules.expr import Expr


class Unruled(Exception):
    """A rule does not cover this call of its op: the op is opaque here, for the reason given."""


class TooLong(Unruled):
    """A sum of so many terms that it is not written out."""


RuleFunction = Callable[[OpCall, Index], Expr]
Rounds = Literal["once", "each", "either", "float16", "bfloat16", "double"]


@dataclass(frozen=True)
class Rule:
    """`rounds`: "once" — float16 and bfloat16 are computed in float32 and rounded at the end; "each" — every operation
    rounds to the tensor's own dtype; "float16", "bfloat16" — so in that dtype alone; "double" — every dtype is computed in
    double precision and rounded at the end; "either" — once in the kernel's vector body, each in its scalar body, which
    does the elements left over. `output` is the result (of several) that the rule is about."""

    ops: tuple[str, ...]
    function: RuleFunction
    rounds: Rounds
    output: int

    @property
    def place(self) -> str:
        return f"{self.function.__module__}.{self.function.__qualname__}"


EVERY = -1
"""The `output` of a rule that holds for each result of an op (`split`)."""

_RULES: dict[tuple[str, int], Rule] = {}
_MODULES = (
    "pointwise", "pointwise_functions", "activations_hard", "activations_gated",
    "linear", "reductions", "activations", "softmax", "losses", "losses_classes", "dropout",
    "movement", "movement_indexed", "selections", "casts", "factories", "movement_generic", "movement_sums", "indexing",
    "scans", "reductions_others", "selections_order", "pooling", "pooling_max", "upsampling",
    "upsampling_backward", "indexing_bags", "indexing_masked",
    "reductions_norms", "upsampling_grid", "upsampling_grid_backward",
    "complex_parts", "complex_numbers", "fourier", "linalg_triangular", "linalg_lu", "linalg_complex", "linalg_eigen",
    "linalg_products",
    "foreach", "fused", "sparse", "sparse_compressed", "amp", "histograms",
    "convolution",
    "norms_layer", "norms_batch", "norms_batch_backward", "norms_group", "norms_weight", "norms_statistics", "attention",
    "recurrent",
)  # fmt: skip


def rule(*ops: str, rounds: Rounds = "once", output: int = 0) -> Callable[[RuleFunction], RuleFunction]:
    """Enter a function as the rule of ATen ops (`aten.addmm`: every overload; `aten.addmm.default`: that one).

    Raises ValueError when one of them has a rule already, naming both places.
    """

    def enter(function: RuleFunction) -> RuleFunction:
        new = Rule(ops, function, rounds, output)
        for op in ops:
            old = _RULES.get((op, output))
            if old is not None:
                raise ValueError(f"{op} (result {output}) has two rules: {old.place} and {new.place}")
            _RULES[op, output] = new
        return function

    return enter


COMPLEX = "complex "
"""Before an op's name: its rule where a tensor that it reads or writes is complex."""


def find_rule(op: str, output: int = 0, complex_numbers: bool = False) -> Rule | None:
    """The rule of an op such as `aten.add.Tensor`: of its overload, of the op, or of the op that it is the in-place or
    `out=` form of; None when it has none (the op is opaque). An op on complex tensors has rules of its own."""
    _load()
    if complex_numbers:
        op = COMPLEX + op
    kind = op.rpartition(".")[0]
    plain = kind[:-1] if kind.endswith("_") else kind
    for name in (op, op.removesuffix("_out"), plain + op.removeprefix(kind), kind, plain):
        found = _RULES.get((name, output)) or _RULES.get((name, EVERY))
        if found is not None:
            return found
    return None


def all_rules() -> dict[tuple[str, int], Rule]:
    """Every rule, by (op, result)."""
    _load()
    return dict(_RULES)


@cache
def _load() -> None:
    """Import the rooms' files, each of which enters its rules, once."""
    for name in _MODULES:
        import_module(f"whygrad.rules.{name}")
