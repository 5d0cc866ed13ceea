"""A traceback as it would be without recording: the same frames, the same lines.

Recording leaves three traces in it: whygrad's own frames; `inner` in torch's `Module._call_impl`, which is
used only where there are hooks; and the line of `_call_impl` itself. Source: torch/nn/modules/module.py.
"""

from __future__ import annotations

import linecache
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

_WHYGRAD = str(Path(__file__).resolve().parents[1]) + "/"
_HOOKS = ("_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_pre_hooks")
_GLOBAL_HOOKS = (
    "_global_backward_pre_hooks",
    "_global_backward_hooks",
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
)
_FAST_CALL = "return forward_call(*args, **kwargs)"
_Entry = tuple[FrameType, int, int]


def as_unwatched(error: BaseException, seen: set[int] | None = None) -> BaseException:
    """`error` with the tracebacks of it, of its causes and of a group's members put right. Call it once
    nothing is recorded any more: hooks that are left are the program's own."""
    seen = set() if seen is None else seen
    if id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = _rebuilt(error.__traceback__)
        members: tuple[Any, ...] = getattr(error, "exceptions", ()) if isinstance(error, BaseExceptionGroup) else ()
        for other in (error.__cause__, error.__context__, *members):
            if other is not None:
                as_unwatched(other, seen)
    return error


def _rebuilt(traceback: TracebackType | None) -> TracebackType | None:
    entries: list[_Entry] = []
    after_ours = False
    while traceback is not None:
        frame = traceback.tb_frame
        file = frame.f_code.co_filename
        ours = file.startswith(_WHYGRAD)
        if not ours and not (after_ours and file.endswith("torch/_ops.py")):
            _append(entries, (frame, traceback.tb_lasti, traceback.tb_lineno))
        after_ours = ours
        traceback = traceback.tb_next
    rebuilt: TracebackType | None = None
    for frame, instruction, line in reversed(entries):
        rebuilt = TracebackType(rebuilt, frame, instruction, line)
    return rebuilt


def _append(entries: list[_Entry], entry: _Entry) -> None:
    code = entry[0].f_code
    if entries and code.co_name == "inner" and code.co_qualname == "Module._call_impl.<locals>.inner":
        caller = entries[-1][0]
        fast = _fast_call(caller.f_code)
        if fast is not None and not _has_hooks(caller):
            entries[-1] = (caller, *fast)
            return
    entries.append(entry)


def _has_hooks(call_impl: FrameType) -> bool:
    module = call_impl.f_locals.get("self")
    space = call_impl.f_globals
    return any(getattr(module, name, None) for name in _HOOKS) or any(space.get(name) for name in _GLOBAL_HOOKS)


@lru_cache(maxsize=4)
def _fast_call(code: CodeType) -> tuple[int, int] | None:
    """Instruction and line at which `_call_impl` calls a module without hooks."""
    found: tuple[int, int] | None = None
    for unit, (line, end, _, _) in enumerate(code.co_positions()):
        if line is None or (found is not None and line != found[1]):
            continue
        if line == end and linecache.getline(code.co_filename, line).strip() == _FAST_CALL:
            instruction = code.co_code[2 * unit]
            if instruction == _call_ex():
                return 2 * unit, line
    return found


@lru_cache(maxsize=1)
def _call_ex() -> int:
    import dis

    return dis.opmap["CALL_FUNCTION_EX"]
