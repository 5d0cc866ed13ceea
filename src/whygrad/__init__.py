"""whygrad answers one question about a PyTorch program: why is this number what it is?

import whygrad

with whygrad.record() as run:      # any training loop
    ...
run.table()                        # a row a step
run.why("linear.weight[0,0]@3")    # the equation, with the real numbers, checked to the last bit
run.save("train.why")              # whygrad.load("train.why") opens it anywhere
"""

from __future__ import annotations

from typing import Any

from whygrad.errors import (
    AddressError,
    FormatError,
    FormulaError,
    NoTraining,
    RunFileError,
    ScriptError,
    StepNotKept,
    ValueDropped,
    WhygradError,
)
from whygrad.floats import NumberFormat, number_format
from whygrad.run import Check, Derivation, Run, load

__all__ = [
    "AddressError",
    "Check",
    "Derivation",
    "FormatError",
    "FormulaError",
    "NoTraining",
    "NumberFormat",
    "Run",
    "RunFileError",
    "ScriptError",
    "StepNotKept",
    "ValueDropped",
    "WhygradError",
    "load",
    "number_format",
    "record",
]


class _LiveRun(Run):
    """A Run whose program may still be running."""

    def __init__(self, recording: Any) -> None:
        super().__init__()
        self._recording = recording

    @property
    def trace(self) -> Any:
        return self._recording.trace()

    def why(self, what: Any, index: Any = None, *, depth: int | None = None) -> Derivation:
        with self._recording.unwatched():
            return super().why(what, index, depth=depth)

    def check(self, formula: str, address: str) -> Check:
        with self._recording.unwatched():
            return super().check(formula, address)

    def _asked(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        with self._recording.unwatched():
            return super()._asked(kind, body)

    def _why_tensor(self, tensor: Any, index: Any, depth: int | None) -> Any:
        step, value, where = self._recording.find(tensor, index)
        assert self._explainer is not None
        return self._explainer.explain(self._explainer.at(step, value, where), depth)

    def __repr__(self) -> str:
        self._trace = self.trace
        return super().__repr__()


class record:
    """Record the training that happens inside a `with` block: `with whygrad.record() as run:`.

    The block's value is the Run, to be asked inside the block (about finished steps) or after it.

    Args:
        steps: which steps are kept whole: "all", "none", or numbers and ranges such as "0,10:20,-1". The table covers all.
        budget: how many bytes of values are kept at most ("500MB", "2GiB", or a number).

    Raises:
        WhygradError: options that cannot be read, or a program that is being recorded already.
    """

    def __init__(self, steps: str = "all", budget: int | str = "1GB") -> None:
        self._options = (steps, budget)

    def __enter__(self) -> Run:
        # Recording waits for torch anyway: the rooms that answer are loaded with it, so that the first why does not wait.
        from whygrad.explain.why import Explainer
        from whygrad.recorder.record import Recording
        from whygrad.rules.registry import all_rules

        assert Explainer
        all_rules()
        self._recording = Recording(*self._options)
        run = _LiveRun(self._recording)
        self._recording.start()
        return run

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self._recording.stop(error)


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext whygrad`: `%%why` records the cell it stands on, `%why ADDRESS` asks what cells recorded."""
    from whygrad.notebook.magics import register

    register(ipython, _LiveRun)


def unload_ipython_extension(ipython: Any) -> None:
    """`%unload_ext whygrad`."""
    from whygrad.notebook.magics import unregister

    unregister(ipython)
