"""What a user can meet. Each message is one paragraph: what was expected, what was found, what to do next."""

from typing import ClassVar

__all__ = [
    "AddressError",
    "FormatError",
    "FormulaError",
    "NoTraining",
    "OpaqueError",
    "RunFileError",
    "ScriptError",
    "StepNotKept",
    "ValueDropped",
    "WhygradError",
]


class WhygradError(Exception):
    """Base of every error whygrad raises on purpose; `slug` names the page of the docs that explains it."""

    slug: ClassVar[str] = "error"


class AddressError(WhygradError, LookupError):
    """An address names no value: an unknown name, or an index outside its shape."""

    slug = "address"


class StepNotKept(WhygradError, LookupError):
    """The step happened, but its values were not among those kept."""

    slug = "step-not-kept"


class ValueDropped(WhygradError, LookupError):
    """The value was seen, but its bytes were not kept (budget or filter)."""

    slug = "value-dropped"


class RunFileError(WhygradError):
    """A saved run cannot be read: it is truncated, corrupt or not one of ours."""

    slug = "run-file"


class ScriptError(WhygradError):
    """The user's program could not be started, or ended in an exception."""

    slug = "script"


class NoTraining(WhygradError):
    """The program ran to its end, but no training step was seen in it."""

    slug = "no-training"


class FormatError(WhygradError, ValueError):
    """An unknown number format, or a value that is not one of the format's numbers."""

    slug = "number-format"


class FormulaError(WhygradError, ValueError):
    """A formula cannot be read, or names what the run does not have. `column` counts from 0 where it went wrong."""

    slug = "formula"

    def __init__(self, message: str, formula: str, column: int) -> None:
        shown, caret = _around(formula, column)
        super().__init__(f"{message}\n  {shown}\n  {' ' * caret}^ column {column + 1}")
        self.message, self.formula, self.column = message, formula, column


def _around(text: str, column: int, most: int = 100) -> tuple[str, int]:
    """The stretch of a long line around a column, and the column in it."""
    text = "".join(" " if c.isspace() else c for c in text)
    first = max(0, min(column - most // 2, len(text) - most))
    last = min(len(text), first + most)
    shown = ("…" if first else "") + text[first:last] + ("…" if last < len(text) else "")
    return shown, column - first + (1 if first else 0)


class OpaqueError(WhygradError):
    """An equation was asked of an operation that has no rule."""

    slug = "opaque"
