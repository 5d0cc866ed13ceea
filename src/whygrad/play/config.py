"""The knobs: what each is called, what it may be, what it begins with. Nothing a page sends gets further than this."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias

from whygrad.errors import WhygradError
from whygrad.play.points import MOST_POINTS, check_points, parse_points

Choice: TypeAlias = str | int
FORMATS = ("float16", "bfloat16", "float32", "float64")
ACTIVATIONS = ("none", "tanh", "relu", "sigmoid", "gelu", "silu", "leaky_relu", "elu", "softplus")
OPTIMIZERS = ("SGD", "momentum", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam")
LOSSES = ("mse", "bce", "l1", "huber")
INITIALISATIONS = ("default", "xavier", "kaiming", "normal", "zeros")
DATASETS = ("circle", "xor", "gauss", "spiral", "plane", "multi-gauss", "own")
FEATURES = ("x1", "x2", "x1^2", "x2^2", "x1*x2", "sin(x1)", "sin(x2)")
MOST_LAYERS, MOST_UNITS = 6, 8
_SEEDS = (0, 2**31 - 1)


class ConfigError(WhygradError):
    """A knob that is not there, or cannot be turned so far."""


@dataclass(frozen=True)
class Neuron:
    """One neuron: `nn.Linear(1, 1)`, perhaps an activation. `w`, `b` None: as torch initialises them. `other`: a second
    format to train in beside the first."""

    level: Literal["neuron"] = "neuron"
    format: str = "float16"
    other: str = ""
    x: float = 1.0
    target: float = 1.0
    w: float | None = None
    b: float | None = None
    activation: str = "none"
    optimizer: str = "SGD"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Network:
    """A chain of linear layers over points of the plane. `hidden` has a number of units a layer, `features` what of a point
    goes in, separated by commas, `train` the percentage of points that is trained on, `batch` 0 all of them at once."""

    level: Literal["network"] = "network"
    format: str = "float32"
    other: str = ""
    dataset: str = "circle"
    points: tuple[tuple[float, ...], ...] = ()
    samples: int = 200
    noise: int = 0
    train: int = 50
    features: str = "x1,x2"
    hidden: tuple[int, ...] = (4, 2)
    activation: str = "tanh"
    loss: str = "mse"
    optimizer: str = "SGD"
    lr: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch: int = 10
    init: str = "default"
    seed: int = 0


Config: TypeAlias = Neuron | Network
KINDS: Mapping[str, type[Neuron] | type[Network]] = {"neuron": Neuron, "network": Network}

_COMMON: Mapping[str, tuple[str, ...]] = {
    "level": tuple(KINDS), "format": FORMATS, "other": ("", *FORMATS), "activation": ACTIVATIONS, "optimizer": OPTIMIZERS,
}  # fmt: skip
_CHOICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "neuron": _COMMON,
    "network": {**_COMMON, "dataset": DATASETS, "loss": LOSSES, "init": INITIALISATIONS},
}
_WIDE = (-1000.0, 1000.0)
_LIMITS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "neuron": {
        "x": _WIDE, "target": _WIDE, "w": _WIDE, "b": _WIDE, "lr": (0.0, 10.0), "momentum": (0.0, 0.999),
        "weight_decay": (0.0, 1.0), "seed": _SEEDS,
    },
    "network": {
        "samples": (10, MOST_POINTS), "noise": (0, 50), "train": (10, 90), "lr": (0.0, 10.0), "momentum": (0.0, 0.999),
        "weight_decay": (0.0, 1.0), "batch": (0, MOST_POINTS), "seed": _SEEDS,
    },
}  # fmt: skip


def choices(level: str) -> dict[str, list[Choice]]:
    """What each knob with a list of choices may be; for `features`, the names that it may hold."""
    found: dict[str, list[Choice]] = {name: list(each) for name, each in _CHOICES[level].items()}
    if level == "network":
        found["features"] = list(FEATURES)
        found["layers"] = list(range(MOST_LAYERS + 1))
        found["units"] = list(range(1, MOST_UNITS + 1))
    return found


def limits(level: str) -> dict[str, list[float]]:
    """From and to of each knob that is a number."""
    return {name: list(each) for name, each in _LIMITS[level].items()}


def config_of(found: object) -> Config:
    """A page's (or a file's) config, checked whole; what it leaves out is the default.

    Raises ConfigError, which names the knob, what was found and what is allowed.
    """
    if found is None:
        return Neuron()
    if not isinstance(found, dict):
        raise ConfigError(f"config: expected an object with a key for each knob, found {_shown(found)}.")
    given: dict[Any, Any] = dict(found)  # pyright: ignore[reportUnknownArgumentType]
    level = given.get("level", "neuron")
    if not isinstance(level, str) or level not in KINDS:
        raise ConfigError(f"config.level: expected one of {', '.join(KINDS)}; found {_shown(level)}.")
    given = _with_points(given) if level == "network" else given
    kind = KINDS[level]
    defaults = {field.name: field.default for field in fields(kind)}
    for name in given:
        if name not in defaults:
            raise ConfigError(f"config: no knob {_shown(name)}; the knobs are {', '.join(defaults)}.")
    return _whole(kind(**{name: _checked(level, name, value, defaults[name]) for name, value in given.items()}))


def config_dict(config: Config) -> dict[str, Any]:
    """The config as JSON's types; what equals the default is there too."""
    return asdict(config)


def _with_points(given: dict[Any, Any]) -> dict[Any, Any]:
    """`csv`, a text that someone pasted, becomes `points`."""
    text = given.pop("csv", None)
    if text is None:
        return given
    if not isinstance(text, str):
        raise ConfigError(f"config.csv: expected text, found {_shown(text)}.")
    try:
        return {**given, "points": parse_points(text), "dataset": "own"}
    except ValueError as error:
        raise ConfigError(f"own points: {error}") from None


def _whole(config: Config) -> Config:
    """What knobs must be together."""
    if config.other == config.format:
        raise ConfigError(f"config.other: expected another format than the first, found {config.other!r} twice.")
    if isinstance(config, Network) and config.dataset == "own" and not config.points:
        raise ConfigError(
            "config.points: the dataset 'own' needs points; expected rows of x1, x2 and label, found none."
        )
    return config


def _checked(level: str, name: str, value: Any, default: Any) -> Any:
    allowed = _CHOICES[level].get(name)
    if allowed is not None:
        if not isinstance(value, str) or value not in allowed:
            words = ", ".join(each or "''" for each in allowed)
            raise ConfigError(f"config.{name}: expected one of {words}; found {_shown(value)}.")
        return value
    if name == "features":
        return _features(value)
    if name == "hidden":
        return _hidden(value)
    if name == "points":
        try:
            return check_points(value)
        except ValueError as error:
            raise ConfigError(f"config.points: {error}") from None
    if value is None and default is None:
        return None
    return _number(name, value, *_LIMITS[level][name], whole=isinstance(default, int))


def _number(name: str, value: Any, low: float, high: float, whole: bool) -> float | int:
    kinds = int if whole else (int, float)
    # NaN fails the comparison too.
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        word = "a whole number" if whole else "a number"
        raise ConfigError(f"config.{name}: expected {word} from {low:g} to {high:g}, found {_shown(value)}.")
    return value if whole else float(value)


def _features(value: Any) -> str:
    names = [each.strip() for each in value.split(",")] if isinstance(value, str) and len(value) < 200 else []
    if not names or any(each not in FEATURES for each in names) or len(set(names)) < len(names):
        raise ConfigError(
            f"config.features: expected some of {', '.join(FEATURES)}, each once, commas between; found {_shown(value)}."
        )
    return ",".join(names)


def _hidden(value: Any) -> tuple[int, ...]:
    sizes: list[Any] = list(value) if isinstance(value, list | tuple) else [None]  # pyright: ignore[reportUnknownArgumentType]
    good = all(isinstance(each, int) and not isinstance(each, bool) and 1 <= each <= MOST_UNITS for each in sizes)
    if not good or len(sizes) > MOST_LAYERS:
        raise ConfigError(
            f"config.hidden: expected at most {MOST_LAYERS} layers of 1 to {MOST_UNITS} units, such as [4, 2]; "
            f"found {_shown(value)}."
        )
    return tuple(sizes)


def _shown(value: object) -> str:
    """What was found, on one short line."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "…"
