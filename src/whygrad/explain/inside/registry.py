"""Which decompositions an op has: written here, run by its own kernel, or in torch's table."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any

from whygrad.trace.model import Op

Function = Callable[..., Any]
_OWN: dict[str, list[tuple[Function, str]]] = {}
_NOT_MODULES = frozenset({"registry", "decompose", "noise", "answer"})
OWN_WORDS = "its mathematics in torch ops"
KERNEL_WORDS = "what its kernel runs"
TABLE_WORDS = "torch's decomposition"


@dataclass(frozen=True)
class Candidate:
    """One way of running an op as others. `functional`: it takes no `out=`, and returns what an in-place op would have
    written. `watched`: C++ code, whose own loops the tape does not see, so that every step has to be checked."""

    name: str
    words: str
    call: Function
    functional: bool = False
    watched: bool = False


def inside(*ops: str, words: str = OWN_WORDS) -> Callable[[Function], Function]:
    """Enter a function of torch ops as a decomposition of ATen ops (`aten.foo`: every overload, its `out=` and in-place
    forms; `aten.foo.default`: that one). It is called with the arguments that the op was recorded with (no `out=`, no
    `generator`; what was left out is left out, so its parameters need the schema's defaults) and returns the op's results
    in their order, after them what the op wrote without returning it (running statistics), unless it wrote that itself
    into its arguments. It raises `Unruled` for calls that it does not cover. `words`: what the steps are.

    Several functions may be entered for an op: the first whose result has the recorded bits is taken, else the nearest.
    Raises ValueError when a function is entered twice for an op.
    """

    def enter(function: Function) -> Function:
        for op in ops:
            known = _OWN.setdefault(op, [])
            if any(_name(each) == _name(function) for each, _ in known):
                raise ValueError(f"{op} has the decomposition {_name(function)} twice")
            known.append((function, words))
        return function

    return enter


def candidates(op: Op) -> list[Candidate]:
    """The decompositions to try for an op, in order. Some may turn out to raise, or to call the op itself."""
    from whygrad.errors import WhygradError
    from whygrad.explain.replay import overload

    if op.optimizer is not None or op.name.startswith(("higher_order.", "optimizer.")):
        return []
    _load()
    found = [Candidate(_name(f), words, f, functional=True) for f, words in _own(op.name)]
    try:
        function = overload(op.name)
    except WhygradError:
        return found
    kernel = Candidate("kernel", KERNEL_WORDS, partial(run_kernel, function), watched=True)
    return [*found, kernel, *_from_table(function)]


def _own(name: str) -> list[tuple[Function, str]]:
    kind = name.rpartition(".")[0]
    plain = kind[:-1] if kind.endswith("_") else kind
    return [each for key in dict.fromkeys((name, kind, plain)) for each in _OWN.get(key, ())]


def run_kernel(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call an op's CPU kernel so that the ops which it calls in turn are seen: past the entry of the op itself, with the rest
    of the dispatcher as it is."""
    import torch

    keys: Any = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)  # pyright: ignore[reportCallIssue, reportUnknownVariableType]
    return function.redispatch(keys, *args, **kwargs)


def _from_table(function: Any) -> list[Candidate]:
    """torch's own decomposition (torch/_decomp), of this form of the op or of the one that writes nothing."""
    from torch._decomp import decomposition_table

    found = decomposition_table.get(function)
    if found is not None:
        return [Candidate("table", TABLE_WORDS, found)]
    plain = functional_form(function)
    found = None if plain is None else decomposition_table.get(plain)
    return [] if found is None else [Candidate("table", TABLE_WORDS, found, functional=True)]


@cache
def functional_form(function: Any) -> Any:
    """The overload that computes the same and writes nothing: of `add_.Tensor` and of `add.out` it is `add.Tensor`; None
    when there is none, or it is that already."""
    import torch

    base = function._schema.name.split("::")[1]
    plain = base[:-1] if base.endswith("_") and not base.endswith("__") else base
    wanted = [(a.name, str(a.type)) for a in function._schema.arguments if not a.is_out]
    packet = getattr(getattr(torch.ops, function.namespace), plain, None)
    for name in () if packet is None else packet.overloads():
        other = getattr(packet, name)
        arguments = other._schema.arguments
        writes = any(a.alias_info is not None and a.alias_info.is_write for a in arguments)
        if other is not function and not writes and [(a.name, str(a.type)) for a in arguments] == wanted:
            return other
    return None


def _name(function: Function) -> str:
    return f"{function.__module__.rpartition('.')[2]}.{getattr(function, '__qualname__', 'function')}"


@cache
def _load() -> None:
    """Import this package's files, each of which enters its decompositions, once."""
    package = import_module("whygrad.explain.inside")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in _NOT_MODULES:
            import_module(f"whygrad.explain.inside.{module.name}")
