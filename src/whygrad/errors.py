"""What a user can meet. Each message is one paragraph: what was expected, what was found, what to do next."""

from typing import ClassVar

__all__ = [
    "AddressError",
    "FormatError",
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


class OpaqueError(WhygradError):
    """An equation was asked of an operation that has no rule."""

    slug = "opaque"
