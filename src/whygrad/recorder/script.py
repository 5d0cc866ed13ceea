"""Running a program as `python` would, and recording it.

The program must not be able to tell: torch is imported when *it* imports torch (a program may set
OMP_NUM_THREADS before that), `__main__`, `sys.argv` and `sys.path[0]` are its own, its exit code and its
traceback are those of plain python. Source: CPython's Modules/main.c (`pymain_run_file`) and Lib/runpy.py.
"""

from __future__ import annotations

import builtins
import importlib.util
import os
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from whygrad.errors import ScriptError
from whygrad.recorder.policy import Keep
from whygrad.recorder.tracebacks import as_unwatched

if TYPE_CHECKING:
    from whygrad.recorder.script_record import Recording


@dataclass(frozen=True)
class _Program:
    """What is to run as `__main__`."""

    code: CodeType
    path: str
    argv0: str
    search: str
    spec: ModuleSpec | None
    loader: Any


def run_script(target: str, argv: list[str], out: Path, *, module: bool, keep: Keep) -> int:
    """Run `python target argv…` (with `module`: `python -m target argv…`) and save what it did to `out`.
    Returns the exit code that it would have had: that of `sys.exit`, 1 after an exception, 130 after Ctrl-C.

    The process is the program's from here on: `__main__`, `sys.argv` and `sys.path[0]` stay as the program
    left them, so that what it registered with `atexit` finds them. Raises ScriptError when there is no such
    program or `out` cannot be written, before anything ran.
    """
    check_out(out)
    try:
        program = _find_module(target) if module else _find_script(target)
    except SyntaxError as error:
        error.__traceback__ = None
        sys.excepthook(type(error), error, None)
        return 1
    if program.search and not sys.flags.safe_path:
        sys.path[0] = program.search
    sys.argv[:] = [program.argv0, *argv]
    main = _main_module(program)
    watch = _OnTorch(Path(os.path.abspath(out)), keep, target, (program.argv0, *argv))  # noqa: PTH100 - no link is followed
    watch.install()
    status, code, error = _execute(program.code, main)
    recording = watch.stop()
    pid = os.getpid()
    try:
        if recording is not None:
            recording.leave()
        if error is not None:
            _show(error)
    finally:
        if pid == watch.pid:
            _end(watch, recording, status)
    return code


def _execute(code: CodeType, main: ModuleType) -> tuple[str, int, BaseException | None]:
    """Run it: how it ended, its exit code, and the exception to be shown."""
    try:
        exec(code, main.__dict__)
    except SystemExit as end:
        return "ok", _exit_code(end), None
    except KeyboardInterrupt as error:
        return "interrupted", 130, error
    except BaseException as error:
        return "exception", 1, error
    return "ok", 0, None


def _exit_code(end: SystemExit) -> int:
    """As Python's `handle_system_exit`."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return int(end.code)
    sys.stdout.flush()
    sys.stderr.write(f"{end.code}\n")
    return 1


def _show(error: BaseException) -> None:
    """Print the traceback as the interpreter does."""
    sys.stdout.flush()
    as_unwatched(error)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    sys.excepthook(type(error), error, error.__traceback__)


def _end(watch: _OnTorch, recording: Recording | None, status: str) -> None:
    if watch.problem:
        sys.stderr.write(f"whygrad: {watch.problem}\n")
    elif recording is None:
        sys.stderr.write(f"whygrad: nothing was recorded: {watch.target} never imported torch.\n")
    else:
        recording.finish(status)


# ---- what is to run


def check_out(out: Path) -> None:
    """Raise ScriptError when no run can be saved at `out`. A run that is already there will be replaced, any
    other file will not."""
    if not out.parent.is_dir():
        raise ScriptError(f"cannot save to {out}: there is no directory {out.parent}.")
    if not os.access(out.parent, os.W_OK):
        raise ScriptError(f"cannot save to {out}: {out.parent} may not be written to. Choose another place with -o.")
    if out.is_dir():
        raise ScriptError(f"cannot save to {out}: it is a directory. Name a file with -o, such as {out / 'train.why'}.")
    if out.exists() and out.stat().st_size and out.read_bytes()[30:42] != b"whygrad.json":
        raise ScriptError(
            f"{out} is there already, and is no saved run; it is left alone. Choose another name with -o."
        )


def _find_script(target: str) -> _Program:
    if not os.path.exists(target):  # noqa: PTH110
        raise ScriptError(f"there is no file {target!r} (looked in {Path.cwd()}).")
    path = os.path.join(os.getcwd(), target)  # noqa: PTH109, PTH118 - as python makes __file__: neither links nor dots resolved
    if os.path.isdir(path):  # noqa: PTH112
        raise ScriptError(f"{target} is a directory. Name the script in it, or run a package with -m.")
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise ScriptError(f"{target} cannot be read: {error.strerror}.") from None
    search = str(Path(path).resolve().parent)
    return _Program(_compile(source, path, target), path, target, search, None, SourceFileLoader("__main__", path))


def _compile(source: bytes, path: str, target: str) -> CodeType:
    if b"\0" in source:
        raise ScriptError(f"{target} is not a Python program: it holds bytes that no text has.")
    return compile(source, path, "exec", dont_inherit=True)


def _find_module(target: str) -> _Program:
    search = str(Path.cwd())
    if not sys.flags.safe_path:
        sys.path[0] = search
    name = target
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name = f"{target}.__main__"
            spec = importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:
        raise ScriptError(f"no module {target!r}: {error}.") from None
    if spec is None:
        what = "it is a package without a __main__.py" if name != target else f"looked in {search} and sys.path"
        raise ScriptError(f"no module {target!r} to run with -m: {what}.")
    if not isinstance(spec.loader, SourceFileLoader) or spec.origin is None:
        raise ScriptError(f"{target} is not written in Python; it cannot be run with -m.")
    code = spec.loader.get_code(spec.name)
    assert code is not None
    return _Program(code, spec.origin, spec.origin, search, spec, spec.loader)


def _main_module(program: _Program) -> ModuleType:
    """A `__main__` of the program's own; classes that it defines can be pickled, and a spawned process finds
    it."""
    main = ModuleType("__main__")
    main.__dict__.update(
        __file__=program.path,
        __builtins__=builtins,
        __loader__=program.loader,
        __spec__=program.spec,
        __package__=program.spec.parent if program.spec is not None else None,
        __cached__=program.spec.cached if program.spec is not None else None,
    )
    sys.modules["__main__"] = main
    return main


# ---- when to begin


class _OnTorch:
    """Begins to record as soon as the program has imported torch."""

    def __init__(self, out: Path, keep: Keep, target: str, argv: tuple[str, ...]) -> None:
        self.out, self.keep, self.target, self.argv = out, keep, target, argv
        self.problem = ""
        self.pid = os.getpid()
        self._cwd = Path.cwd()
        self._recording: Recording | None = None
        self._stopped = False

    def install(self) -> None:
        if "torch" in sys.modules:
            self.begin()
        else:
            sys.meta_path.insert(0, self)  # pyright: ignore[reportArgumentType]

    def stop(self) -> Recording | None:
        self._stopped = True
        self._remove()
        return self._recording

    def _remove(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)  # pyright: ignore[reportArgumentType]

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder: torch as the others find it, with a word to us once it is
        there."""
        if name != "torch":
            return None
        self._remove()
        spec = importlib.util.find_spec(name)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                del loader.exec_module
                execute(module)
                self.begin()

            loader.exec_module = exec_module
        return spec

    def begin(self) -> None:
        import threading

        if self._stopped or os.getpid() != self.pid:
            return
        if threading.current_thread() is not threading.main_thread():
            self.problem = "nothing was recorded: torch was imported by a thread that is not the main one."
            return
        try:
            from whygrad.recorder.script_record import Recording

            self._recording = Recording(self.out, self.keep, self.target, self.argv, self._cwd)
        except Exception as error:
            self.problem = f"nothing was recorded: {type(error).__name__}: {error}"
