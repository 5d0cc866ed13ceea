"""What is special about an op: who called it when it was not the program's own line."""

from __future__ import annotations

from types import FrameType
from typing import Any

import torch
from torch.autograd import graph

from whygrad.capture.lines import is_user_code

ENGINE = graph._engine_run_backward.__code__
"""Ops of a backward pass are called from this frame, except those that Python code computes in the middle of it."""
AUTOCAST = "cast by autocast"
RECOMPUTED = "recomputed by checkpointing"
_CHECKPOINT = "torch/utils/checkpoint.py"
_FUNCTION = "torch/autograd/function.py"
_up: Any = torch.autocast_increment_nesting
_down: Any = torch.autocast_decrement_nesting


def in_backward(frame: FrameType | None) -> tuple[str, FrameType | None]:
    """What Python code computes an op in the middle of a backward pass, and the user's frame in it: checkpointing, which
    runs the forward pass again; a custom Function, which the node's name tells; or a hook. Nothing to say, and no frame,
    where the engine called the op itself."""
    user: FrameType | None = None
    again = function = False
    while frame is not None and frame.f_code is not ENGINE:
        file = frame.f_code.co_filename
        again = again or file.endswith(_CHECKPOINT)
        function = function or file.endswith(_FUNCTION)
        if user is None and is_user_code(frame.f_code):
            user = frame
        frame = frame.f_back
    if frame is None:
        return "", None
    if again:
        return RECOMPUTED, user
    if user is None or function:
        return "", user
    return f"in the hook {user.f_code.co_name}", user


def may_be_autocast(dtype: Any) -> bool:
    """Whether a conversion goes to autocast's lower precision, in a region of autocast. (Whether it is switched on cannot be
    asked here: below a dispatch mode it never is.)"""
    if dtype is not torch.get_autocast_dtype("cpu"):
        return False
    depth = _up() - 1
    _down()
    return depth > 0
