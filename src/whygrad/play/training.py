"""A live session: what the page asks of a training, and what it is answered."""

from __future__ import annotations

from typing import Any

import torch

from whygrad.errors import WhygradError
from whygrad.explain.why import Explainer
from whygrad.play.asked import live_value, nodes_of, text_of, value_of
from whygrad.play.config import Config, ConfigError, Network, Neuron, choices, config_dict, config_of, limits
from whygrad.play.fields import number_in, true_in
from whygrad.play.frames import Frames
from whygrad.play.lab import Lab
from whygrad.play.recorded import Asker
from whygrad.play.rows import Rows, where_they_part
from whygrad.view.fields import address_in, addresses_in, text_in, whole_in

MOST_STEPS = 1_000_000
MOST_BUDGET = 5_000
MOST_DEPTH = 4
"""Deeper, a tree grows by the network's width each time; a page asks again for what is opened."""
SHOWS = ("forward", "backward", "update")
FIRST_ROWS = 2_000
ROWS_BESIDE = 500


class Training:
    """One training, perhaps with a second format of it beside the first in lockstep."""

    def __init__(self, config: Config) -> None:
        self._begin(config)

    def _begin(self, config: Config) -> None:
        self.config = config
        self.lab = Lab(config)
        self.asker = Asker(self.lab)
        self.rows = Rows(self.lab, self.asker)
        self.frames = Frames(self.lab) if isinstance(config, Network) else None
        self.other: tuple[Lab, Asker, Rows] | None = None
        self.parts: dict[str, Any] | None = None
        self._compared = 0
        if config.other:
            lab = Lab(_in_format(config))
            asker = Asker(lab)
            self.other = (lab, asker, Rows(lab, asker, f"{config.other}:"))

    def ask(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer one question. Raises WhygradError with what was wrong about it."""
        match kind:
            case "why":
                return self._why(body)
            case "copy":
                explainer, address, _ = self._of(address_in(body))
                return {"text": text_of(explainer, address, text_in(body, "as"))}
            case "values":
                return {"values": [self._value(each) for each in addresses_in(body)]}
            case "configure":
                self._begin(config_of(body.get("config")))
                return self.page()
            case "advance":
                steps, budget = whole_in(body, "steps", 1, MOST_STEPS), number_in(body, "budget", 0, MOST_BUDGET)
                return self._advance(steps, budget / 1000, body)
            case "seek":
                return self._seek(body)
            case "set":
                return self._set(address_in(body), text_in(body, "value"))
            case "tile" | "goto":
                raise WhygradError(f"{kind} is for saved runs; here every number is on the page.")
            case _:
                raise WhygradError(f"no request {kind[:40]!a}.")

    # ---- numbers

    def _of(self, address: str) -> tuple[Explainer, str, str]:
        """Whose number it is: the explainer, the address without its prefix, and that prefix."""
        if self.other is not None and address.startswith(self.other[2].prefix):
            prefix = self.other[2].prefix
            bare = address[len(prefix) :]
            return self.other[1].explainer(bare), bare, prefix
        return self.asker.explainer(address), address, ""

    def _why(self, body: dict[str, Any]) -> dict[str, Any]:
        depth = None if body.get("depth") is None else whole_in(body, "depth", 0, MOST_DEPTH)
        explainer, address, prefix = self._of(address_in(body))
        lab = self.other[0] if prefix and self.other is not None else self.lab
        found = nodes_of(explainer, address, depth, lab)
        for node in found if prefix else ():
            node["address"] = prefix + node["address"]
            node["operands"] = [prefix + each for each in node["operands"]]
        return {"nodes": found}

    def _value(self, address: str) -> str | None:
        explainer, bare, prefix = self._of(address)
        lab = self.other[0] if prefix and self.other is not None else self.lab
        return live_value(lab, bare) or value_of(explainer, bare)

    # ---- training

    def _advance(self, steps: int, seconds: float, body: dict[str, Any]) -> dict[str, Any]:
        first = self.lab.step
        share = seconds / (2 if self.other is not None else 1)
        done = self.lab.advance(steps, share)
        if self.other is not None:
            self.other[0].advance(done, 1e9)  # in lockstep, whatever that takes
        return self._answer(first, self.lab.step, body)

    def _seek(self, body: dict[str, Any]) -> dict[str, Any]:
        step = whole_in(body, "step", 0, 1 << 40)
        for each in self._labs():
            each.seek(step)
        return self._answer(self.lab.step, self.lab.step, body)

    def _set(self, address: str, value: str) -> dict[str, Any]:
        bare = address.rpartition(":")[2]
        change = self.lab.change_of(bare, value)
        knob = {
            "linear.weight[0,0]": "w",
            "linear.bias[0]": "b",
            "x[0]": "x",
            "target[0]": "target",
            "optimizer.lr": "lr",
        }
        name = knob.get(change[0], "")
        if self.lab.step == 0 and (name == "lr" or isinstance(self.config, Neuron)):
            self._begin(config_of({**config_dict(self.config), name: change[1]}))
            return self.page()
        for each in self._labs():
            each.set(bare, value)
        if self.parts is not None and self.parts["step"] >= self.lab.step - 1:
            self.parts = None
        self._compared = min(self._compared, max(0, self.lab.step - 1))
        return self.page()

    def _labs(self) -> list[Lab]:
        return [self.lab] if self.other is None else [self.lab, self.other[0]]

    # ---- answers

    def _answer(self, first: int, last: int, body: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": self.lab.step,
            "steps": last - first,
            "table": self.rows.table(first, last),
            "neuron": self.rows.neuron_steps(first, last) if self.rows.neuron else [],
            "frame": self._frame(body),
            "live": self._live(first),
            "story": self._story(),
        }

    def _frame(self, body: dict[str, Any]) -> dict[str, Any] | None:
        if self.frames is None:
            return None
        show = text_in(body, "show", "forward")
        if show not in SHOWS:
            raise WhygradError(f"show: expected one of {', '.join(SHOWS)}.")
        return self.frames.frame(true_in(body, "pictures", default=True), show)

    def _live(self, first: int | None = None) -> dict[str, Any]:
        """`first`: from which step on the second format's rows are new to the page."""
        level, done = self.config.level, self.lab.done
        other: dict[str, Any] | None = None
        if self.other is not None:
            if self.parts is None:
                self.parts = where_they_part(self.rows, self.other[2], range(self._compared, done))
                self._compared = done
            begin = max(0, done - ROWS_BESIDE) if first is None else min(first, done)
            other = {"format": self.config.other, "table": self.other[2].table(begin, done)}
        return {
            "config": config_dict(self.config), "choices": choices(level), "limits": limits(level), "step": self.lab.step,
            "parts": self.parts, "other": other, "code": self.lab.text(),
        }  # fmt: skip

    def _story(self) -> list[Any]:
        return [] if self.parts is None else [self.parts["sentence"]]

    def page(self) -> dict[str, Any]:
        """The whole page, as `Page` of web/src/types.ts."""
        done, info = self.lab.done, self.asker.info()
        first = max(0, done - FIRST_ROWS)
        neuron = self.rows.neuron
        return {
            "version": 1,
            "level": self.config.level,
            "title": "One neuron" if neuron else "A small network",
            "about": [
                f"torch {info.torch}", f"{info.threads} thread" + ("s" if info.threads > 1 else ""),
                f"seed {self.config.seed}", self.config.format, "live",
            ],
            "story": self._story(),
            "leftOut": [],
            "file": "",
            "steps": list(range(first, done)),
            "table": self.rows.table(first, done),
            "neuron": None if neuron is None else neuron | {"steps": self.rows.neuron_steps(first, done)},
            "network": None if self.frames is None else self.frames.network(self._frame({}) or {}),
            "run": None,
            "live": self._live(),
        }  # fmt: skip


def _in_format(config: Config) -> Config:
    """The same training in its second format."""
    return config_of({**config_dict(config), "format": config.other, "other": ""})


def quiet_torch() -> None:
    """One thread: for nets as small as these a second one only costs, and one thread gives the same bits everywhere."""
    torch.set_num_threads(1)


__all__ = ["ConfigError", "Training", "quiet_torch"]
