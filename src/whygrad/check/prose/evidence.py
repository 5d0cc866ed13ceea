"""All that a document's numbers can be traced to, side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import numpy as np

from whygrad.check.prose.code_facts import CodeFacts, code_facts
from whygrad.check.prose.document import Document
from whygrad.check.prose.lexicon import Mention
from whygrad.check.prose.numbers import Written, find_numbers
from whygrad.check.prose.run_facts import RunFacts
from whygrad.floats import NumberFormat

__all__ = ["Evidence", "Printed"]

_NAN = re.compile(r"\b(?:nan|inf)\b")


@dataclass(frozen=True, slots=True)
class Printed:
    """A number in an output, and the line that it stands in."""

    number: Written
    line: str
    cell: int


@dataclass
class Evidence:
    """A document, its code and outputs read, and the runs it is held against. `definitions`: names that the prose itself gives
    a number, filled as it is read."""

    document: Document
    runs: list[RunFacts]
    definitions: dict[str, list[Written]] = field(default_factory=dict[str, "list[Written]"])
    computed: set[Fraction] = field(default_factory=set[Fraction])
    """What equations in the prose came to."""
    formats: tuple[NumberFormat, ...] = ()
    """The formats that the last sentence with one named."""
    topic: Mention | None = None
    """The quantity that the last sentence with one began with: what `it` stands for."""

    @cached_property
    def code(self) -> CodeFacts:
        return code_facts(self.document.codes)

    @cached_property
    def printed(self) -> list[Printed]:
        return [
            Printed(number, line, output.cell)
            for output in self.document.outputs
            for line in output.text.splitlines()
            for number in find_numbers(line)
        ]

    @cached_property
    def output_text(self) -> str:
        return "\n".join(output.text for output in self.document.outputs)

    @cached_property
    def output_values(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.asarray([float(each.number.value) for each in self.printed], dtype=np.float64)

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all that a number could come from."""
        return not self.runs and not self.document.outputs and not self.code.any

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of tensors that prose may use as they are."""
        found: set[str] = set()
        for run in self.runs:
            found |= {t.name.partition("[")[0] for t in run.tensors if t.kind != "state"}
        return frozenset(name for name in found if not re.fullmatch(r"op\d+(?:\.\d+)?|value\d+", name))

    def defined(self, number: Written) -> bool:
        """Whether the prose gave the number a name."""
        return any(each.value == number.value for values in self.definitions.values() for each in values)

    def in_output(self, number: Written) -> Printed | None:
        """Where an output shows the number: the same digits, or more of them."""
        if not self.printed:
            return None
        half = float(number.unit) / 2
        gaps = np.abs(self.output_values - float(number.value))
        for place in np.flatnonzero(gaps <= half * (1 + 1e-9)):
            each = self.printed[int(place)]
            if each.number.unit <= number.unit or each.number.value == number.value:
                return each
        if number.percent:
            gaps = np.abs(self.output_values - float(number.value) * 100)
            for place in np.flatnonzero(gaps <= half * 100 * (1 + 1e-9)):
                return self.printed[int(place)]
        return None

    def in_code(self, number: Written) -> bool:
        """Whether the code writes the number."""
        value = float(number.value)
        return any(each == value or abs(each) == value for each in self.code.literals) or (
            number.percent and value * 100 in self.code.literals
        )

    def settings(self, kind: str) -> set[float]:
        """What the code, and the runs, set a hyperparameter to."""
        keys = _KEYS.get(kind, (kind,))
        found: set[float] = set()
        for key in keys:
            found |= self.code.named.get(key, set())
        for run in self.runs:
            for key in keys:
                found |= run.hyperparameters.get(key, set())
        if kind == "seed" and not found:
            found |= {float(run.trace.info.seed) for run in self.runs if run.trace.info.seed is not None}
        for optimizer in self.code.optimizers if not found else ():
            found |= {DEFAULTS[optimizer][key] for key in keys if key in DEFAULTS.get(optimizer, {})}
        return found


_ADAM = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
DEFAULTS: dict[str, dict[str, float]] = {
    "Adam": _ADAM, "AdamW": _ADAM | {"weight_decay": 0.01}, "NAdam": _ADAM, "RAdam": _ADAM, "Adamax": _ADAM,
    "RMSprop": {"alpha": 0.99, "eps": 1e-8}, "Adagrad": {"eps": 1e-10},
}  # fmt: skip
"""What torch's optimizers use where the code says nothing, as torch's documentation lists it; a run knows better."""
_KEYS: dict[str, tuple[str, ...]] = {
    "lr": ("lr", "learning_rate", "eta", "max_lr", "step_size", "LR"),
    "betas": ("beta1", "beta2"),
    "seed": ("seed", "SEED", "manual_seed"),
    "eps": ("eps", "epsilon"),
    "weight_decay": ("weight_decay", "wd", "decay"),
    "max_norm": ("max_norm", "clip"),
    "dropout": ("p", "dropout"),
    "scale": ("init_scale", "scale", "loss_scale"),
    "batch": ("batch_size", "batch", "BATCH"),
    "hidden": ("hidden", "hidden_size", "width", "units"),
}
