"""Knobs: what is let through, and what an error says."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whygrad.play.config import ConfigError, Network, Neuron, choices, config_dict, config_of, limits
from whygrad.play.points import MOST_POINTS, parse_points

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def test_nothing_is_the_neuron_of_the_demo() -> None:
    assert config_of(None) == Neuron() == config_of({})
    assert config_of({"level": "network"}) == Network()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ([], r"config: expected an object"),
        ({"level": "gpt"}, r"config\.level: expected one of neuron, network; found 'gpt'"),
        ({"speed": 1}, r"no knob 'speed'; the knobs are level, format"),
        ({"format": "float8"}, r"config\.format: expected one of float16, bfloat16, float32, float64; found 'float8'"),
        ({"format": "float16", "other": "float16"}, r"config\.other: expected another format"),
        ({"lr": math.nan}, r"config\.lr: expected a number from 0 to 10, found nan"),
        ({"lr": 11}, r"config\.lr: .* found 11"),
        ({"lr": True}, r"config\.lr: .* found True"),
        ({"w": "0.5"}, r"config\.w: expected a number from -1000 to 1000, found '0\.5'"),
        ({"seed": 1.5}, r"config\.seed: expected a whole number"),
        ({"x": None}, r"config\.x: expected a number"),
        ({"level": "network", "hidden": [9]}, r"config\.hidden: expected at most 6 layers of 1 to 8 units"),
        ({"level": "network", "hidden": [1] * 7}, r"config\.hidden"),
        ({"level": "network", "hidden": [True]}, r"config\.hidden"),
        ({"level": "network", "features": "x1,x1"}, r"config\.features: .* each once"),
        ({"level": "network", "features": ""}, r"config\.features"),
        ({"level": "network", "dataset": "own"}, r"config\.points: the dataset 'own' needs points"),
        ({"level": "network", "points": [[1, 2]]}, r"config\.points: expected from 2 to 2,000 points, found 1"),
        (
            {"level": "network", "points": [[1, 2, 3], [1, 2, math.inf]]},
            r"config\.points: point 2: expected three numbers",
        ),
        (
            {"level": "network", "csv": "1,2\n"},
            r"own points: line 1: expected three numbers x1, x2, label; found '1,2'",
        ),
        ({"level": "network", "csv": 3}, r"config\.csv: expected text"),
    ],
)
def test_an_error_names_the_knob_what_was_found_and_what_is_allowed(config: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config_of(config)


@given(st.dictionaries(st.sampled_from(["level", *config_dict(Neuron()), *config_dict(Network())]), JSON, max_size=4))
@settings(max_examples=200, deadline=None)
def test_any_json_is_a_config_or_a_config_error(found: dict[str, Any]) -> None:
    try:
        config = config_of(found)
    except ConfigError as error:
        words = str(error)
    else:
        words = "good"
        assert config_of(json.loads(json.dumps(config_dict(config)))) == config
    assert len(words) < 400
    assert words.isprintable()


def test_every_knob_has_its_choices_or_limits() -> None:
    for config in (Neuron(), Network()):
        known = {*choices(config.level), *limits(config.level), "points", "hidden"}
        assert set(config_dict(config)) <= known
        for name, allowed in choices(config.level).items():
            if name not in ("level", "layers", "units"):
                for each in allowed:
                    if not (name == "other" and each == config.format):
                        config_of({"level": config.level, name: each, "points": [[0, 0, 1], [1, 1, 0]]}
                                  if config.level == "network" else {name: each})  # fmt: skip


def test_pasted_points() -> None:
    assert parse_points("x1,x2,label\n1,2,1\n\n# far away\n-3.5,4e0,-1\n") == ((1.0, 2.0, 1.0), (-3.5, 4.0, -1.0))
    assert parse_points("1;2;0\n1,5;2,5;1") == ((1.0, 2.0, 0.0), (1.5, 2.5, 1.0))
    assert parse_points("\ufeff1\t2\t0\r\n3\t4\t1") == parse_points("1 2 0\n3  4 1")
    for bad, words in {
        "1,2,3\na,b,c": "line 2: expected three numbers",
        "a,b,c": "expected from 2",
        "1,2,nan\n1,2,3": "line 1",
        "1,2,1e300\n1,2,3": "point 1: .* none above 1e",
        "1,2,3\n" * (MOST_POINTS + 1): r"found 2,001\.",
        " " * 200_001: "characters",
    }.items():
        with pytest.raises(ValueError, match=words):
            parse_points(bad)


def test_found_text_is_shown_on_one_printable_line() -> None:
    with pytest.raises(ConfigError) as error:
        config_of({"format": "\u202e\n</script>" + "x" * 1000})
    assert re.fullmatch(r"[\x20-\x7e…]+", str(error.value))
