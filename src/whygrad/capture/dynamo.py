"""Keep torch.compile's frame evaluation away from whygrad's own functions.

Under a dispatch mode compiled functions run eagerly, but dynamo goes on looking at every Python frame below them,
ours too. torch's remedy is a wrapper around `__torch_dispatch__` that costs some 3 µs an op; telling dynamo to skip
the entry points and all they call costs nothing.
"""

from __future__ import annotations

from typing import Any

import torch

try:
    _eval_frame: Any = torch._C._dynamo.eval_frame  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    _skip = _eval_frame._FrameExecStrategy(_eval_frame._FrameAction.SKIP, _eval_frame._FrameAction.SKIP)
except AttributeError:
    _eval_frame = _skip = None

CAN_SKIP: bool = _skip is not None


def leave_alone(*functions: Any) -> None:
    """Have dynamo skip these functions and everything that they call."""
    for function in functions if CAN_SKIP else ():
        _eval_frame.set_code_exec_strategy(function.__code__, _skip)
