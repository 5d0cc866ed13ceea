"""Which line of the user's program is running: the nearest frame that is no library's."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch

_WHYGRAD = str(Path(__file__).resolve().parents[1]) + "/"
_TORCH = str(Path(torch.__file__).resolve().parent) + "/"
_LIBRARIES = tuple(
    {_WHYGRAD, _TORCH, *(str(sysconfig.get_path(key)) + "/" for key in ("stdlib", "platstdlib", "purelib", "platlib"))}
)
_TYPED = ("<stdin", "<ipython-input-")
_LIBRARY, _USER, _COMPILED = 1, 2, 3
# By identity: a code object's hash is worked out anew, from its names and constants, at each look-up. `_classified`
# keeps each alive, so that no other gets its identity.
_kind_of: dict[int, int] = {}
_classified: list[CodeType] = []


def _classify(code: CodeType) -> int:
    name = code.co_filename
    if "_dynamo/eval_frame" in name and code.co_name == "compile_wrapper":
        kind = _COMPILED
    elif name.startswith(_LIBRARIES) or (name.startswith("<") and not name.startswith(_TYPED)):
        kind = _LIBRARY
    else:
        kind = _USER
    _classified.append(code)
    _kind_of[id(code)] = kind
    return kind


def is_user_code(code: CodeType) -> bool:
    """Whether `code` belongs to neither whygrad, torch, the standard library nor an installed package."""
    return (_kind_of.get(id(code)) or _classify(code)) == _USER


def user_frame(frame: FrameType | None) -> tuple[FrameType | None, bool]:
    """The nearest user frame at or above `frame`, and whether compiled code (torch.compile) lies between."""
    compiled = False
    while frame is not None:
        code = frame.f_code
        kind = _kind_of.get(id(code)) or _classify(code)
        if kind == _USER:
            return frame, compiled
        if kind == _COMPILED:
            compiled = True
        frame = frame.f_back
    return None, compiled


def user_frames(depth: int = 1) -> list[FrameType]:
    """All user frames of the running stack, innermost first."""
    frame: FrameType | None = sys._getframe(depth)
    found: list[FrameType] = []
    while frame is not None:
        if is_user_code(frame.f_code):
            found.append(frame)
        frame = frame.f_back
    return found


def readable(filename: str) -> str:
    """A file's name as its user knows it: a notebook cell, compiled under a name of its own, is `In[3]`."""
    if ("ipykernel_" not in filename and not filename.startswith("<ipython-input-")) or "IPython" not in sys.modules:
        return filename
    shell: Any = sys.modules["IPython"].get_ipython()
    number = getattr(getattr(shell, "compile", None), "_filename_map", {}).get(filename)
    return filename if number is None else f"In[{number}]"
