"""The generators in tools/, as modules: they are scripts, in no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def tool(name: str) -> ModuleType:
    """tools/NAME.py, loaded once."""
    full = f"whygrad_tools_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, TOOLS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


@pytest.fixture
def docs() -> ModuleType:
    return tool("docs")


@pytest.fixture
def figures() -> ModuleType:
    return tool("figures")


@pytest.fixture
def lessons() -> ModuleType:
    return tool("lessons")


@pytest.fixture
def reference() -> ModuleType:
    return tool("reference")
