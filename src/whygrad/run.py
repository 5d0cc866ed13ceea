"""A recorded run, as a user holds it. It draws, saves and explains nothing itself: each method asks the room that does."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whygrad.errors import AddressError, WhygradError

if TYPE_CHECKING:
    import pandas

    from whygrad.check.formula import FormulaCheck
    from whygrad.explain.contributions import Contributions
    from whygrad.explain.derivation import Derivation as Inert
    from whygrad.explain.updates import Progress
    from whygrad.explain.updates import Updates as InertUpdates
    from whygrad.explain.why import Explainer
    from whygrad.trace.statistics import Statistics
    from whygrad.trace.store import Trace
    from whygrad.view.derivation import DerivationView
    from whygrad.view.formula import FormulaView


class Derivation:
    """Why a scalar is what it is. Shows itself as text in a terminal and as HTML in a notebook.

    Attributes of the underlying record (`address`, `value`, `verdict`, `operands`, `equation`, `rounding`, `op`, `source`)
    are attributes here.
    """

    def __init__(self, inert: Inert, explainer: Explainer | None = None) -> None:
        self.inert, self._explainer = inert, explainer

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inert, name)

    @cached_property
    def contributions(self) -> tuple[Contributions, ...]:
        """Of a gradient: what each example of the batch, and each path to the loss, contributed to it, and how much of
        that cancelled. Empty for other numbers. Worked out when first asked for."""
        if self._explainer is None or self.inert.role != "gradient":
            return ()
        return self._explainer.contributions(self.inert.address)

    def view(self, exact: bool = False) -> DerivationView:
        """The answer as finished strings, which the terminal and the page draw. `exact`: every digit."""
        from whygrad.view.derivation import derivation_view

        return derivation_view(self.inert, exact, self.contributions)

    def __repr__(self) -> str:
        from whygrad.render.terminal import derivation_text

        return derivation_text(self.view())

    def _repr_html_(self) -> str:
        from whygrad.render.html import derivation_html

        return derivation_html(self.view())

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """For a notebook with a live kernel: the page, in place of the static HTML. Empty where that is all there is."""
        from whygrad.render.widget import mimebundle

        return {} if self._explainer is None else mimebundle(self, self._asked, self._repr_html_)

    def _display_(self) -> object:
        """The same for marimo."""
        from whygrad.render.widget import marimo_display

        return marimo_display(self, None if self._explainer is None else self._asked, self._repr_html_)

    def _asked(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        from whygrad.render.terminal import derivation_text
        from whygrad.view.page_why import WhyAnswers

        assert self._explainer is not None
        answers = WhyAnswers(self._explainer, derivation_text, self.inert)
        return answers.page() if kind == "page" else answers.ask(kind, body)

    def to_dict(self) -> dict[str, Any]:
        """What `whygrad why --json` prints, as a dict."""
        from whygrad.view.derivation import to_dict

        return to_dict(self.inert, self.contributions)

    def latex(self) -> str:
        """The equation with its numbers, for LaTeX."""
        from whygrad.view.latex import derivation_latex

        return derivation_latex(self.inert)

    def python(self) -> str:
        """Python code that evaluates to the very bits."""
        from whygrad.view.python import derivation_python

        return derivation_python(self.inert)


class Check:
    """A formula compared with a recorded number: `bool(check)` tells whether it is right. Shows itself as text in a terminal
    and as HTML in a notebook.

    Attributes of the underlying record (`outcome`, `value`, `ulp`, `how`, `names`, `differences`) are attributes here.
    """

    def __init__(self, inert: FormulaCheck) -> None:
        self.inert = inert

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inert, name)

    def __bool__(self) -> bool:
        return self.inert.right

    def view(self) -> FormulaView:
        """The answer as finished strings."""
        from whygrad.check.formula_text import formula_view

        return formula_view(self.inert)

    def __repr__(self) -> str:
        from whygrad.render.formula import formula_text

        return formula_text(self.view())

    def _repr_html_(self) -> str:
        from whygrad.render.formula import formula_html

        return formula_html(self.view())

    def to_dict(self) -> dict[str, Any]:
        """What `whygrad why --is --json` prints, as a dict."""
        from whygrad.view.formula import to_dict

        return to_dict(self.view())


class Updates:
    """A weight's way through the run: every kept update, how far it moved the weight, what rounding took of it.

    Attributes of the underlying record (`moves`, `gaps`, `first`, `last`, `moved`, `lost`) are attributes here.
    """

    def __init__(self, inert: InertUpdates) -> None:
        self.inert = inert

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inert, name)

    def __repr__(self) -> str:
        from whygrad.render.updates import updates_text
        from whygrad.view.updates import updates_view

        return updates_text(updates_view(self.inert))

    def to_dict(self) -> dict[str, Any]:
        """What `whygrad why --updates --json` prints, as a dict."""
        from whygrad.view.updates import to_dict

        return to_dict(self.inert)


class Run:
    """What one program did: its table, its steps, and an answer for every number in them."""

    def __init__(self, trace: Trace | None = None) -> None:
        self._trace = trace
        self._explainer: Explainer | None = None

    @property
    def trace(self) -> Trace:
        """The recorded data (`whygrad.trace`)."""
        if self._trace is None:
            raise WhygradError("nothing was recorded yet: use it as `with whygrad.record() as run:`.")
        return self._trace

    @property
    def notes(self) -> tuple[str, ...]:
        """What recording had to say: numbers that changed unseen, compiled code that ran eagerly, a budget used up."""
        return self.trace.info.notes

    @property
    def steps(self) -> list[int]:
        """Numbers of the steps whose values were kept."""
        return [info.number for info in self.trace.index if info.kept]

    def table(self, tensors: bool = False) -> pandas.DataFrame:
        """A row a step, for all steps: loss, prediction, small parameters (after the update) and their gradients; the
        learning rate where it changes. The index is the iteration; `table().attrs["addresses"]` maps a column to its address.

        `tensors`: instead a row a step and parameter tensor, for all steps too: `grad_norm`, `update_ratio` (norm of the
        update ÷ norm of the weight), `lost` (share of updates lost to rounding), `nonfinite_grad`, `nonfinite` (how many
        elements are infinite or NaN), missing where they are not defined (`trace/statistics.py`).
        """
        import pandas

        if tensors:
            return _long_frame(self.trace.statistics)
        history = self.trace.history
        short, columns = history.short_names(), history.shown()
        frame = pandas.DataFrame(
            {short[c.name]: history.column(c.name) for c in columns},
            index=pandas.Index(history.steps, name="iteration"),
        )
        frame.attrs["addresses"] = {short[c.name]: c.address for c in columns}
        frame.attrs["formats"] = {short[c.name]: c.format for c in columns}
        return frame

    def why(self, what: Any, index: Any = None, *, depth: int | None = None) -> Derivation:
        """Why a scalar is what it is.

        `what` is an address (`"linear.weight[0,0].grad@3"`) or a live tensor, with `index` naming its element. `depth` is
        how many operands deep to go; None reaches the inputs and parameters of a small network. A complex number is two:
        `"z[3].imag@0"`, or `index` `(3, "imag")`; the real part where none is named.

        Raises AddressError (unknown name, index out of range), StepNotKept, ValueDropped.
        """
        if isinstance(what, str):
            return Derivation(self._explain().why(what, depth), self._explain())
        self._explain()
        return Derivation(self._why_tensor(what, index, depth), self._explain())

    def updates(self, address: str, *, progress: Progress | None = None) -> Updates:
        """How a parameter's element (or an optimizer state's) came to be what it is: back through all kept updates, how
        far each moved it and how much of it was lost to rounding. `progress` is called with each step's number.

        Raises AddressError (also for a number that is made anew in every step), StepNotKept, ValueDropped.
        """
        return Updates(self._explain().updates(address, progress))

    def check(self, formula: str, address: str) -> Check:
        """Whether a formula, or a number, is right: *same bits*, *equal to the digits given*, *equal before rounding*, or where
        it differs from what was computed: `run.check("2*(prediction - target)/n * x", "linear.weight[0,0].grad@0")`.

        A name is an address, of the same step where it has none (a weight: as the step found it), or a short name: `x`,
        `target`, `prediction`, `w`, `b`, `n`, `lr`. `sum(…)` and `mean(…)` run over the examples.

        Raises FormulaError (points at its column), AddressError, StepNotKept, ValueDropped.
        """
        from whygrad.check.formula import check_formula

        return Check(check_formula(self._explain(), formula, address))

    def _explain(self) -> Explainer:
        from whygrad.explain.why import Explainer

        trace = self.trace
        if self._explainer is None or self._explainer.trace is not trace:
            self._explainer = Explainer(trace)
        return self._explainer

    def _why_tensor(self, tensor: Any, index: Any, depth: int | None) -> Inert:
        raise AddressError("a live tensor can be asked only of the run that recorded it; here, give an address.")

    def save(self, path: str | Path) -> Path:
        """Write the run to one file that `whygrad.load` and the commands open anywhere."""
        from whygrad.trace.file import save_run

        save_run(self.trace, Path(path))
        return Path(path)

    def __repr__(self) -> str:
        if self._trace is None:
            return "<whygrad run: nothing recorded yet>"
        done = len(self._trace.history.steps)
        return f"<whygrad run: {done} steps, {len(self.steps)} kept; run.table(), run.why('loss@{max(done - 1, 0)}')>"

    def _repr_html_(self) -> str:
        from whygrad.render.html import table_html
        from whygrad.view.table import table_view

        return table_html(table_view(self.trace.history))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """For a notebook with a live kernel: the page, in place of the static HTML. Empty where that is all there is."""
        from whygrad.render.widget import mimebundle

        return mimebundle(self, self._asked, self._repr_html_)

    def _display_(self) -> object:
        """The same for marimo."""
        from whygrad.render.widget import marimo_display

        return marimo_display(self, self._asked, self._repr_html_)

    def _asked(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        from whygrad.render.terminal import derivation_text
        from whygrad.view.answers import Answers

        answers = Answers(self._explain(), derivation_text)
        return answers.page() if kind == "page" else answers.ask(kind, body)


def _long_frame(found: Statistics) -> pandas.DataFrame:
    import pandas

    from whygrad.trace.statistics import ABSENT, KINDS

    pairs = [(i, name) for i, row in enumerate(found.rows) for name in found.tensors if name in row]
    columns: dict[str, Any] = {
        "step": [found.steps[i] for i, _ in pairs],
        "tensor": [name for _, name in pairs],
    }
    for place, kind in enumerate(KINDS):
        values = [found.rows[i][name][place] for i, name in pairs]
        if kind.startswith("nonfinite"):
            columns[kind] = pandas.array([None if x == ABSENT else int(x) for x in values], dtype="Int64")
        else:
            columns[kind] = pandas.Series([math.nan if x == ABSENT else x for x in values], dtype="float64")
    return pandas.DataFrame(columns)


def load(path: str | Path) -> Run:
    """Open a saved run. Runs no code and needs no torch until a number is replayed. Raises RunFileError."""
    from whygrad.trace.file import open_run

    return Run(open_run(Path(path)))
