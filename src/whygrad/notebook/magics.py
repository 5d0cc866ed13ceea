"""`%%why` and `%why`, in Jupyter and in IPython's terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from whygrad.errors import AddressError, WhygradError
from whygrad.notebook import complete
from whygrad.notebook.cells import compiled, execute, show_as_a_sentence, show_as_the_cells
from whygrad.notebook.options import Cell, Question, read_cell, read_question
from whygrad.run import Derivation, Run

HIDDEN = "_why"
"""The name under which the run stands in the user's namespace, whatever else it is called."""
_MATCHER = "whygrad.addresses"
_NO_RUN = (
    "no cell was recorded yet: put %%why on the first line of the cell that trains, run it, and ask again. A run that "
    "whygrad.record() or whygrad.load() made is asked by its name: %why --run run loss@3."
)


@dataclass
class _Current:
    """The run that cells continue."""

    recording: Any
    run: Run
    notes: int = 0


class _Exact(Derivation):
    """A why with every digit. It has no page: there, every number opens."""

    def view(self, exact: bool = True) -> Any:
        return super().view(exact)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {}


class Why:
    """The magics of one IPython shell. `face` makes a Run of a recording."""

    def __init__(self, shell: Any, face: Callable[[Any], Run]) -> None:
        self.shell, self._face = shell, face
        self._current: _Current | None = None

    # ---- %%why

    def cell(self, line: str, cell: str) -> Any:
        """Run the cell and record it; its last number explained, or its last value as it is."""
        with _Sentences():
            options = read_cell(line)
            current = self._begin(options)
        code = compiled(self.shell, f"%%why{' ' + line if line else ''}", cell)
        before = len(current.recording.session.rows)
        with _Sentences():
            current.recording.start()
        self._name(options, current)
        try:
            value = execute(self.shell, code)
        except BaseException as error:
            current.recording.pause(error, self.shell.user_ns)
            self._say_notes(current)
            show_as_the_cells(self.shell, error)
            raise
        current.recording.pause(None, self.shell.user_ns)
        self._say_notes(current)
        if code.quiet:
            return None
        return self._answer(current, value, before)

    def _begin(self, options: Cell) -> _Current:
        """The run that this cell continues, or a new one."""
        if self._current is not None and not options.new:
            if options.steps is not None or options.budget is not None:
                raise WhygradError(
                    "--steps and --budget are said where a run begins, and this cell continues one; %%why --new begins anew."
                )
            return self._current
        from whygrad.recorder.continued import Continued
        from whygrad.rules.registry import all_rules

        all_rules()
        recording = Continued(options.steps or "all", options.budget or "1GB")
        self._current = _Current(recording, self._face(recording))
        return self._current

    def _name(self, options: Cell, current: _Current) -> None:
        self.shell.user_ns[HIDDEN] = current.run
        self.shell.user_ns_hidden[HIDDEN] = current.run
        if options.name is not None:
            self.shell.user_ns[options.name] = current.run

    def _say_notes(self, current: _Current) -> None:
        """What the recording had to say since the cell before."""
        notes = current.recording.session.notes
        for note in notes[current.notes :]:
            sys.stderr.write(f"whygrad: {note}\n")
        current.notes = len(notes)

    def _answer(self, current: _Current, value: Any, before: int) -> Any:
        if value is None:
            rows = current.recording.session.rows[before:]
            if rows:
                first, last = rows[0].step, rows[-1].step
                print(
                    f"whygrad: recorded {f'steps {first}–{last}' if first < last else f'step {last}'}; %why loss@{last}"
                )
            return None
        found = self._of_value(current, value, None, None)
        return value if found is None else found

    def _of_value(
        self, current: _Current, value: Any, index: tuple[int, ...] | None, depth: int | None
    ) -> Derivation | None:
        """The derivation of a live number, None where the record does not know it."""
        from whygrad.explain.why import Explainer
        from whygrad.notebook.values import place_of

        whole = current.recording.whole()
        explainer = current.run._explain() if whole is current.run.trace else Explainer(whole)
        place = place_of(current.recording, explainer, value, index)
        return None if place is None else Derivation(explainer.explain(place, depth), explainer)

    # ---- %why

    def line(self, line: str) -> Any:
        """The answer to one question; without an address, the run itself."""
        with _Sentences():
            question = read_question(line)
            run = self._run(question)
            if not question.address:
                return run
            if question.updates:
                return run.updates(question.address)
            if question.formula is not None:
                return run.check(question.formula, question.address)
            found = self._why(run, question)
            return _Exact(found.inert, found._explainer) if question.exact else found

    def _run(self, question: Question) -> Run:
        if question.run is not None:
            found = self.shell.user_ns.get(question.run)
            if not isinstance(found, Run):
                raise WhygradError(f"--run takes the name of a run; {question.run!r} is {_kind(found)}.")
            return found
        if self._current is None:
            raise WhygradError(_NO_RUN)
        return self._current.run

    def _why(self, run: Run, question: Question) -> Derivation:
        from whygrad.notebook.values import earlier, variable

        try:
            return run.why(question.address, depth=question.depth)
        except AddressError as error:
            for address in earlier(run.trace, question.address):
                try:
                    return run.why(address, depth=question.depth)
                except WhygradError:
                    continue
            current = self._current
            if current is not None and run is current.run:
                named = variable(self.shell.user_ns, question.address)
                found = None if named is None else self._of_value(current, *named, question.depth)
                if found is not None:
                    return found
            raise error from None

    # ---- the Tab key

    def offers(self, line: str) -> tuple[str, list[str]] | None:
        """Of a line up to the cursor: the word that is typed, and what may stand in its place; None behind no magic of ours."""
        words = line.split(" ")
        if len(words) < 2 or words[0] not in ("%why", "%%why"):
            return None
        word = words[-1]
        found = complete.cell_offers(word) if words[0] == "%%why" else complete.offers(self._trace(words), word)
        return (word, found) if found else None

    def _trace(self, words: list[str]) -> Any:
        try:
            named = words[words.index("--run") + 1] if "--run" in words[:-1] else None
            return self._run(Question(run=named)).trace
        except WhygradError:
            return None


class _Sentences:
    """What whygrad has to say to a question is shown as a sentence, without a traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, WhygradError):
            show_as_a_sentence(error)


def _kind(thing: Any) -> str:
    return "not there" if thing is None else f"a {type(thing).__name__}"


def register(shell: Any, face: Callable[[Any], Run]) -> None:
    """Give an IPython shell the magics; `face` makes a Run of a recording."""
    from IPython.core.magic import no_var_expand

    why = Why(shell, face)

    @no_var_expand
    def asked(line: str, cell: str | None = None) -> Any:
        """Why a number is what it is.

        %%why                                    records the cell; cells that follow with %%why continue the run
        %%why run                                and calls the run `run` (it is `_why` in any case)
        %%why --new                              begins a new run
        %why linear.weight[0,0].grad@3           asks the run; also --depth N, --exact, --updates
        %why loss@0 --is (prediction - target)^2   compares your own formula
        %why                                     the run itself
        """
        return why.line(line) if cell is None else why.cell(line, cell)

    shell.register_magic_function(asked, "line_cell", "why")
    shell.Completer.custom_matchers.append(_matcher(why))


def _matcher(why: Why) -> Any:
    """For IPython: what it offers is all there is where it offers something. A hook (`complete_command`) could not keep what
    Jedi takes an address for out of the list."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher(identifier=_MATCHER)
    def matcher(context: Any) -> Any:
        found = why.offers(context.line_with_cursor[: context.cursor_position])
        word, offers = ("", []) if found is None else found
        completions = [SimpleCompletion(each, type="magic") for each in offers]
        return {"completions": completions, "suppress": bool(offers), "matched_fragment": word, "ordered": True}

    return matcher


def unregister(shell: Any) -> None:
    """Take them away again; the run stays under the names that it has."""
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("why", None)
    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", "") != _MATCHER]
