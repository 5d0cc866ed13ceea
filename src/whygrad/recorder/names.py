"""What the program itself calls its tensors: module paths and variables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch.nn.utils.parametrize import ParametrizationList
from torch.optim.swa_utils import AveragedModel

from whygrad.capture.lines import is_user_code
from whygrad.capture.raw import Seen

Tensor = torch.Tensor
_MOST = 4096
_wrapped: Any = torch._C._functorch.is_functorch_wrapped_tensor  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


class Modules:
    """Paths of modules and parameters. A module called from outside any other is a root; a root's name is put before its
    paths only when several roots have parameters."""

    def __init__(self) -> None:
        self._paths: dict[int, tuple[Any, str]] = {}
        self._parameters: dict[int, tuple[Tensor, int, str]] = {}
        self._also: dict[int, dict[tuple[int, str], Tensor]] = {}
        self._roots: list[Any] = []
        self._root_names: dict[int, str] = {}
        self._bare: int | None = None
        self._decided = False

    def add_root(self, module: Any) -> None:
        """Take note of a root and everything below it."""
        if id(module) not in self._paths:
            self._roots.append(module)
        for path, child in module.named_modules():
            known = self._paths.get(id(child))
            if known is None or known[0] is not child:
                self._paths[id(child)] = (child, f"{id(module)}:{path}")
        for path, parameter in module.named_parameters(remove_duplicate=False):
            known = self._parameters.get(id(parameter))
            if known is None or known[0] is not parameter:
                self._parameters[id(parameter)] = (parameter, id(module), path)
            elif known[1:] != (id(module), path):
                self._also.setdefault(id(parameter), {})[id(module), path] = parameter

    def parameters(self) -> list[Tensor]:
        """All parameters of the modules that are known."""
        return [tensor for tensor, _, _ in self._parameters.values()]

    def knows(self, module: Any) -> bool:
        """Whether the module belongs to a known root."""
        known = self._paths.get(id(module))
        return known is not None and known[0] is module

    def name_root(self, module: Any, name: str) -> None:
        """The program's variable `name` holds a module."""
        self._root_names.setdefault(id(module), name)

    def decide(self) -> None:
        """Called when the first step ends: a lone root with parameters goes without a prefix from here on."""
        if not self._decided:
            copies = {id(root) for root in self._roots if isinstance(root, AveragedModel)}
            owners = {root for _, root, _ in self._parameters.values()} - copies
            if len(owners) == 1:
                self._bare = owners.pop()
            self._decided = bool(self._parameters)

    def _prefix(self, root: int, path: str) -> str:
        if root == self._bare:
            return path
        named = self._root_names.get(root)
        if named is None:
            module = next((m for m in self._roots if id(m) == root), None)
            named = type(module).__name__.lower()
            same = [m for m in self._roots if type(m) is type(module)]
            if len(same) > 1:
                named += f"_{[id(m) for m in same].index(root)}"
        return f"{named}.{path}" if path else named

    def path(self, module: Any) -> str:
        """The module's name in addresses; "" for none or the bare root."""
        known = self._paths.get(id(module)) if module is not None else None
        if known is None:
            return ""
        root, _, path = known[1].partition(":")
        return self._prefix(int(root), path)

    def parameter(self, tensor: Tensor) -> str | None:
        """The parameter's name, or None when no known module owns it."""
        known = self._parameters.get(id(tensor))
        if known is None or known[0] is not tensor:
            for root in self._roots:
                if any(p is tensor for p in root.parameters()):
                    self.add_root(root)
                    return self.parameter(tensor)
            return None
        return self._prefix(known[1], known[2])

    def also(self, tensor: Tensor) -> list[str]:
        """Other names of a parameter that several modules share, in the same root."""
        first = self._parameters.get(id(tensor))
        others = self._also.get(id(tensor), {})
        return [
            self._prefix(root, path)
            for (root, path), known in others.items()
            if known is tensor and first is not None and root == first[1]
        ]


def scan(frames: list[FrameType]) -> Iterator[tuple[str, Any]]:
    """Variables of the user's frames, innermost first, that hold tensors, modules or optimizers; containers one level
    deep, as `params[0]`, `p['w']`, `self.w`."""
    seen: set[int] = set()
    for frame in frames:
        spaces = [frame.f_locals]
        if frame.f_globals is not frame.f_locals and frame is frames[-1]:
            spaces.append(frame.f_globals)
        for space in spaces:
            if id(space) in seen:
                continue
            seen.add(id(space))
            yield from _scan_space(space)


def scan_space(space: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """As `scan`, of one namespace."""
    return _scan_space(space)


_INTERESTING = (Tensor, torch.nn.Module, torch.optim.Optimizer)


_SKIP, _ITSELF, _SEQUENCE, _DICT, _OBJECT = range(5)
_kind_of: dict[type, int] = {}


def _classify(kind: type) -> int:
    if issubclass(kind, _INTERESTING):
        found = _ITSELF
    elif kind in (list, tuple):
        found = _SEQUENCE
    elif kind is dict:
        found = _DICT
    else:
        code = getattr(getattr(kind, "__init__", None), "__code__", None)
        found = _OBJECT if code is not None and is_user_code(code) else _SKIP
    _kind_of[kind] = found
    return found


def _of_ipython(name: str) -> bool:
    return name in ("In", "Out") or (
        name[0] == "_" and (not name.strip("_") or name[1:].isdecimal() or name in ("_oh", "_dh"))
    )


def _scan_space(space: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    shell = "_oh" in space  # IPython's: `_`, `_3` and `Out[3]` hold what cells displayed, and are nobody's names for it
    for name, value in list(space.items())[:_MOST]:
        if shell and _of_ipython(name):
            continue
        kind = _kind_of.get(type(value))
        if kind is None:
            kind = _classify(type(value))
        if kind == _SKIP or name.startswith("__"):
            continue
        if kind == _ITSELF:
            yield name, value
        elif kind == _SEQUENCE:
            if 0 < len(value) <= 256 and isinstance(value[0], _INTERESTING):
                for i, each in enumerate(value):
                    yield f"{name}[{i}]", each
        elif kind == _DICT:
            for key, each in list(value.items())[:256]:
                if isinstance(each, _INTERESTING) and isinstance(key, (str, int)):
                    yield f"{name}[{key!r}]", each
        else:
            yield from _scan_object(name, value)


def _scan_object(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    for key, each in list(getattr(value, "__dict__", {}).items())[:256]:
        if isinstance(each, _INTERESTING):
            yield f"{name}.{key}", each
        elif type(each) in (list, tuple) and each and isinstance(each[0], Tensor):
            for i, item in enumerate(each):
                yield f"{name}.{key}[{i}]", item


@dataclass(frozen=True, slots=True)
class Outputs:
    """What `flat_outputs` found, in the place of what a module returned: that may hold more memory than is to be kept."""

    tensors: list[tuple[str, Tensor]]


def flat_outputs(out: Any) -> list[tuple[str, Tensor]]:
    """The tensors that a module returned, with a suffix for each: `.0`, `.1`, `.logits`."""
    if isinstance(out, Outputs):
        return out.tensors
    if isinstance(out, Tensor):
        return [("", out)] if out.layout is torch.strided and not _wrapped(out) else []
    if isinstance(out, (list, tuple)):
        return [(f".{i}", each) for i, each in enumerate(out) if isinstance(each, Tensor)]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(out, dict):
        return [(f".{key}", each) for key, each in out.items() if isinstance(each, Tensor)]  # pyright: ignore[reportUnknownVariableType]
    return []


def seen_outputs(outputs: list[tuple[int, Any, Any, bool]], modules: Modules, end: int) -> list[Seen]:
    """What modules returned up to op `end`, by their paths: `fc1.output`, and `fc1:2.output` where they were called again.
    Of each call: the op before which it returned, the module, what it returned, whether nothing called it."""
    seen: list[Seen] = []
    calls: dict[str, int] = {}
    for index, module, out, root in outputs:
        if index > end:
            continue
        path = modules.path(module)
        calls[path] = calls.get(path, 0) + 1
        text = (path if calls[path] == 1 else f"{path}:{calls[path]}") + ".output" if path else "output"
        for suffix, tensor in flat_outputs(out):
            seen.append(Seen(index, text + suffix, tensor, "root" if root else "module"))
            if isinstance(module, ParametrizationList):
                short = text.removesuffix(".output").replace("parametrizations.", "")
                seen.append(Seen(index, short, tensor, "module"))
    return seen
