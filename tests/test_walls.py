"""The walls of the house, read from the source: which room imports which, who may import torch, and circles.

A *room* is the first name under `whygrad`: `whygrad.trace.model` is in the room `trace`, the package's own
`__init__.py` is the room `face`. Every import counts, those inside functions too, and so does
`importlib.import_module("…")`; only what stands under `if TYPE_CHECKING:` does not.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

SRC = Path(__file__).resolve().parents[1] / "src"
FACE = "face"

# room → the rooms it may import, itself aside. One way:
# cli, play → render → view → {explain, findings, compare} → rules → capture → trace → floats → errors.
FLOATS = frozenset({"errors"})
TRACE = FLOATS | {"floats"}
CAPTURE = TRACE | {"trace"}
WATCH = CAPTURE | {"capture"}  # recorder and emulate: what they stand on, and nothing above
RULES = CAPTURE | {"capture"}
ANSWERS = RULES | {"rules"}  # explain, findings, compare: side by side, none imports another
VIEW = ANSWERS | {"explain", "findings", "compare"}
RENDER = frozenset({"view", "errors"})  # it draws finished strings
CHECK = VIEW | {"view"}  # what people write is compared with what was recorded, and put in the view's words
PYTHON_FACE = VIEW | RENDER | {"render", "recorder", "emulate", "check"}
PLAY = PYTHON_FACE | {FACE, "run"}
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "errors": frozenset(),
    "floats": FLOATS,
    "trace": TRACE,
    "capture": CAPTURE,
    "recorder": WATCH,
    "emulate": WATCH,
    "rules": RULES,
    "explain": ANSWERS,
    "findings": ANSWERS,
    "compare": ANSWERS,
    "view": VIEW,
    "render": RENDER,
    "check": CHECK,
    FACE: PYTHON_FACE | {"run", "notebook"},
    "run": VIEW | RENDER | {"render", "check"},  # a Run as its user holds it: part of the face, which recording extends
    "notebook": PYTHON_FACE | {"run"},
    "demos": frozenset(),
    "play": PLAY,
    "cli": PLAY | {"play", "demos"},
    "__main__": frozenset({"cli"}),
}
# A saved run opens, and is drawn, where torch is not even installed.
NEVER_TORCH = frozenset({"errors", "floats", "trace", "view", "render"})
# These may import torch inside a function, for recording and replay, but importing them must not.
LIGHT = ("whygrad", "whygrad.cli", "whygrad.trace", "whygrad.floats", "whygrad.view", "whygrad.render")


class Import(NamedTuple):
    """One import: the module's full name, and the line of the statement."""

    target: str
    line: int


def room_of(module: str) -> str:
    """Name the room of a whygrad module: 'whygrad.trace.model' → 'trace', 'whygrad' → 'face'."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else FACE


def imports_in(module: str, source: str, modules: frozenset[str], is_package: bool) -> list[Import]:
    """List what `source` imports, at any depth, but not under `if TYPE_CHECKING:`.

    `modules` are the names of whygrad's modules, by which `from whygrad import trace` is told from an
    attribute of the package.
    """
    package = module if is_package else module.rpartition(".")[0]
    return [found for node in _statements(ast.parse(source)) for found in _imports_of(node, package, modules)]


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Walk the tree, leaving out the body of each `if TYPE_CHECKING:`; its `else` counts."""
    if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
        for child in node.orelse:
            yield from _statements(child)
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _statements(child)


def _imports_of(node: ast.AST, package: str, modules: frozenset[str]) -> Iterator[Import]:
    match node:
        case ast.Import(names=names):
            for alias in names:
                yield Import(alias.name, node.lineno)
        case ast.ImportFrom(module=name, names=names, level=level):
            base = _absolute(package, level, name)
            for alias in names:
                submodule = f"{base}.{alias.name}"
                yield Import(submodule if submodule in modules else base, node.lineno)
        case ast.Call(func=func, args=[ast.Constant(value=str(name)), *rest]):
            if ast.unparse(func).rpartition(".")[2] in {"import_module", "__import__"}:
                level = len(name) - len(name.lstrip("."))
                anchor = rest[0].value if rest and isinstance(rest[0], ast.Constant) else package
                yield Import(_absolute(str(anchor), level, name.lstrip(".")), node.lineno)
        case _:
            pass


def _absolute(package: str, level: int, name: str | None) -> str:
    """Resolve a relative import: level 1 is `package` itself, each further level one up."""
    if level == 0:
        return name or ""
    parts = package.split(".")
    parts = parts[: len(parts) - level + 1]
    return ".".join([*parts, *([name] if name else [])])


class House(NamedTuple):
    """The sources to check: each module's text by its full name, and which modules are packages."""

    sources: Mapping[str, str]
    packages: frozenset[str]

    def imports(self) -> Iterator[tuple[str, Import]]:
        """Yield each import of each module."""
        modules = frozenset(self.sources)
        for module, source in self.sources.items():
            for found in imports_in(module, source, modules, module in self.packages):
                yield module, found


def house_on_disk() -> House:
    """Read every Python file under src/whygrad."""
    sources: dict[str, str] = {}
    packages: set[str] = set()
    for path in sorted((SRC / "whygrad").rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[module] = path.read_text(encoding="utf-8")
        if parts[-1] == "__init__":
            packages.add(module)
    return House(sources, frozenset(packages))


def broken_walls(house: House) -> list[str]:
    """Say of each import through a wall where it stands and which wall it breaks."""
    broken: list[str] = []
    for module in house.sources:
        if room_of(module) not in MAY_IMPORT:
            broken.append(f"{module}: the room '{room_of(module)}' has no row in MAY_IMPORT")
    for module, (target, line) in house.imports():
        room, top = room_of(module), target.partition(".")[0]
        if top == "torch" and room in NEVER_TORCH:
            broken.append(f"{module}:{line}: '{room}' never imports torch")
        if top != "whygrad":
            continue
        other = room_of(_known(target, house))
        if other != room and other not in MAY_IMPORT.get(room, frozenset()):
            broken.append(f"{module}:{line}: '{room}' may not import '{other}' ({target})")
    return broken


def _known(target: str, house: House) -> str:
    """Cut an attribute of the face off; a room is a room even where no file of it exists yet."""
    return "whygrad" if target not in house.sources and room_of(target) not in MAY_IMPORT else target


def circle(house: House) -> list[str] | None:
    """Find a circle of modules that import each other: ['a', 'b', 'a']; None where there is none.

    That a module's import also runs the `__init__` of its packages is left out: it would make each package
    a circle with each of its modules.
    """
    graph: dict[str, set[str]] = {module: set() for module in house.sources}
    for module, (target, _) in house.imports():
        if target in graph:
            graph[module].add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return None


def test_imports_point_one_way() -> None:
    broken = broken_walls(house_on_disk())
    assert not broken, "\n".join(broken)


def test_no_modules_import_each_other() -> None:
    found = circle(house_on_disk())
    assert found is None, " → ".join(found or [])


def test_the_table_points_one_way() -> None:
    TopologicalSorter({room: set(others) for room, others in MAY_IMPORT.items()}).prepare()
    assert set().union(*MAY_IMPORT.values()) <= set(MAY_IMPORT)
    assert {room for room, others in MAY_IMPORT.items() if "recorder" in others} == {FACE, "notebook", "play", "cli"}


@pytest.mark.parametrize("module", LIGHT)
def test_importing_leaves_torch_alone(module: str) -> None:
    """A fresh interpreter, which then has neither torch nor a second's wait."""
    house = house_on_disk()
    if module not in house.sources:
        pytest.skip(f"{module} does not exist yet")
    program = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=SRC, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or f"importing {module} imported torch"


def small_house(**rooms: str) -> House:
    """Build a house of one module per room, `whygrad.<room>.part`, beside an empty face."""
    sources = {"whygrad": ""}
    for room, source in rooms.items():
        sources |= {f"whygrad.{room}": "", f"whygrad.{room}.part": source}
    return House(sources, frozenset(name for name in sources if not name.endswith(".part")))


@pytest.mark.parametrize(
    ("room", "source", "wall"),
    [
        ("explain", "import whygrad.recorder.part", "may not import 'recorder'"),
        ("explain", "from whygrad.recorder import part", "may not import 'recorder'"),
        ("explain", "from whygrad import recorder", "may not import 'recorder'"),
        ("explain", "from .. import recorder", "may not import 'recorder'"),
        ("explain", "from ..recorder.part import Recorder", "may not import 'recorder'"),
        ("explain", "def f():\n    from whygrad.recorder.part import g\n    g()", "may not import 'recorder'"),
        ("explain", "class A:\n    def f(self):\n        import whygrad.recorder", "may not import 'recorder'"),
        ("explain", "import importlib\nimportlib.import_module('whygrad.recorder')", "may not import 'recorder'"),
        (
            "explain",
            "__import__('whygrad.recorder')",
            "may not import",
        ),
        ("explain", "from importlib import import_module\nimport_module('..recorder', __package__)", "may not"),
        ("explain", "try:\n    pass\nfinally:\n    import whygrad.recorder", "may not import 'recorder'"),
        (
            "explain",
            "if TYPE_CHECKING:\n    pass\nelse:\n    import whygrad.recorder",
            "may not import 'recorder'",
        ),
        ("explain", "if not TYPE_CHECKING:\n    import whygrad.recorder", "may not import 'recorder'"),
        ("explain", "import whygrad", "may not import 'face'"),
        ("explain", "from whygrad import load", "may not import 'face'"),
        ("explain", "import whygrad.compare", "may not import 'compare'"),
        ("render", "from whygrad.trace.part import Op", "may not import 'trace'"),
        ("render", "import whygrad.explain", "may not import 'explain'"),
        ("render", "import whygrad.rules", "may not import 'rules'"),
        ("render", "def f():\n    import torch", "never imports torch"),
        ("view", "from torch.nn import functional", "never imports torch"),
        ("trace", "import torch.utils", "never imports torch"),
        ("trace", "import whygrad.capture", "may not import 'capture'"),
        ("floats", "import numpy, torch", "never imports torch"),
        ("errors", "import whygrad.floats", "may not import 'floats'"),
        ("capture", "import whygrad.recorder", "may not import 'recorder'"),
        ("recorder", "import whygrad.rules", "may not import 'rules'"),
        ("recorder", "import whygrad.view", "may not import 'view'"),
        ("play", "import whygrad.cli", "may not import 'cli'"),
        ("attic", "", "no row"),
    ],
)
def test_a_broken_wall_is_found(room: str, source: str, wall: str) -> None:
    rooms = dict.fromkeys(MAY_IMPORT.keys() - {FACE, "__main__"}, "") | {room: source}
    broken = broken_walls(small_house(**rooms))
    assert broken
    assert all(report.startswith(f"whygrad.{room}") and wall in report for report in broken), broken


@pytest.mark.parametrize(
    ("room", "source"),
    [
        (
            "explain",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from whygrad.recorder import part",
        ),
        ("explain", "import typing\nif typing.TYPE_CHECKING:\n    import whygrad.recorder"),
        ("explain", "import torch\nfrom whygrad.rules import part\nfrom . import helper"),
        ("recorder", "from whygrad.capture import part\nimport torch"),
        ("trace", "import torchlike\nimport whygrad.floats.part"),
        ("cli", "import whygrad\nfrom whygrad import play\ndef f():\n    import whygrad.recorder, torch"),
    ],
)
def test_an_open_door_is_no_broken_wall(room: str, source: str) -> None:
    rooms = dict.fromkeys(MAY_IMPORT.keys() - {FACE, "__main__"}, "") | {room: source}
    assert broken_walls(small_house(**rooms)) == []


def test_a_circle_is_found() -> None:
    sources = {
        "whygrad.a": "def f():\n    from whygrad import b",
        "whygrad.b": "from .c import x",
        "whygrad.c": "import whygrad.a",
    }
    found = circle(House(sources | {"whygrad": ""}, frozenset({"whygrad"})))
    assert found is not None
    assert len(found) == 4
    assert found[0] == found[-1]
    assert set(found) == set(sources)


def test_a_package_and_its_modules_are_no_circle() -> None:
    sources = {
        "whygrad": "",
        "whygrad.a": "from whygrad.a.x import f",
        "whygrad.a.x": "from whygrad.a.y import g",
        "whygrad.a.y": "",
    }
    assert circle(House(sources, frozenset({"whygrad", "whygrad.a"}))) is None
    sources["whygrad.a.y"] = "from whygrad.a import f"
    assert circle(House(sources, frozenset({"whygrad", "whygrad.a"}))) is not None
