"""Gold files: text as it was last looked at. `pytest tests/gold --refresh-gold` writes them anew; read the diff."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Check = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--refresh-gold", action="store_true", help="write the gold files anew instead of comparing")


@pytest.fixture
def gold(request: pytest.FixtureRequest) -> Check:
    """`gold(name, text)`: is `text` what the gold file `name` holds?"""
    refresh = bool(request.config.getoption("--refresh-gold", default=False))

    def check(name: str, text: str) -> None:
        path = Path(__file__).with_name("files") / name
        if refresh:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no gold file {name}: write it with `pytest tests/gold --refresh-gold` and read it"
        assert text == path.read_text(encoding="utf-8")

    return check
