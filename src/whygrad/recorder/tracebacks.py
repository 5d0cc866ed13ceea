"""A user's traceback, as it would be without whygrad."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

_HERE = str(Path(__file__).resolve().parents[1]) + "/"


def without_whygrad(traceback: TracebackType | None) -> TracebackType | None:
    """The same traceback without whygrad's own frames."""
    if traceback is None:
        return None
    rest = without_whygrad(traceback.tb_next)
    if traceback.tb_frame.f_code.co_filename.startswith(_HERE):
        return rest
    return TracebackType(rest, traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno)
