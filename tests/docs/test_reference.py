"""The generated pages are those of this source: `make docs` writes them again."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

import whygrad
from whygrad.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]


def test_the_pages_are_up_to_date(reference: ModuleType) -> None:
    for name, text in reference.pages().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name}: run `make docs`"


def test_every_public_name_and_every_option_is_there(reference: ModuleType) -> None:
    text = reference.reference()
    assert all(f"whygrad.{name}\n" in text or f"| `{name}` |" in text for name in whygrad.__all__)
    assert "| `AddressError` | " in text
    parsers: list[argparse.ArgumentParser] = reference.parsers()
    assert len(parsers) == len(COMMANDS)
    options = [option for each in parsers for action in each._actions for option in action.option_strings]  # pyright: ignore[reportPrivateUsage]
    assert len(options) > 20
    assert [each for each in options if f"`{each}" not in text and each not in ("-h", "--help")] == []


def test_docstrings_become_markdown(reference: ModuleType) -> None:
    assert "- `budget`: how many bytes of values are kept at most" in reference.reference()
    assert "record(steps: str = 'all', budget: int | str = '1GB')" in reference.reference()
    assert (
        reference._prose("A.\n\nArgs:\n    x: one\n        more.\n    y: two.")
        == "A.\n\nArgs:\n\n- `x`: one more.\n- `y`: two.\n\n"
    )


def test_the_glossary_has_names_that_torch_prints(reference: ModuleType) -> None:
    text = reference.glossary()
    assert "| `AddmmBackward0` | `addmm`: bias + input · weight" in text
    assert "| `AccumulateGrad` | " in text
    assert "`ReshapeBackward0`" not in text  # autograd has no such class
