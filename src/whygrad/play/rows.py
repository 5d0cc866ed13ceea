"""What the page is told of a lab's steps: rows of the table, the steps of one neuron. Every number that is read is a string
here already; it comes from the snapshots, without a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeAlias

from whygrad.play.lab import TORCH, Lab
from whygrad.play.recorded import Asker
from whygrad.trace.history import Column, History
from whygrad.view.numbers import number, typographic
from whygrad.view.page_neuron import neuron_view

Said: TypeAlias = "str | list[str]"
Row = dict[str, float]
MOST_ROWS = 2_000
"""Rows that one answer brings at most; of more steps, every n-th."""
_KINDS = ("prediction", "loss", "parameter", "gradient")


@lru_cache(maxsize=4096)
def _shown(value: float, fmt: str) -> str:
    """A number's text. A step's numbers are in the table and in the neuron, and its weight begins the next step."""
    return typographic(number(value, fmt))


class Rows:
    """Table and steps of one lab. `prefix` is put before addresses: of the second format beside the first, `bfloat16:`."""

    def __init__(self, lab: Lab, asker: Asker, prefix: str = "") -> None:
        self.lab, self.prefix = lab, prefix
        self.level = lab.config.level
        columns = [each for each in asker.columns() if each.kind in _KINDS]
        self.columns = columns if self.level == "neuron" else [each for each in columns if each.kind == "loss"]
        self._known: dict[int, list[str | None]] = {}
        self._epoch = lab.epoch
        self.neuron: dict[str, Any] | None = None
        if self.level == "neuron":
            explainer = asker.explainer()
            self.neuron = neuron_view(explainer, explainer.trace, [0])

    # ---- the table

    def table(self, first: int, last: int) -> dict[str, Any]:
        """Rows of steps `first` to `last`, half open, as `Table` of the page."""
        every = -(-(last - first) // MOST_ROWS) if last > first else 1
        steps = [step for step in range(first, last) if step % every == 0 or step == last - 1]
        found = [(step, row) for step in steps if (row := self.row(step)) is not None]
        return {
            "columns": [self._head(column) for column in self.columns],
            "steps": [step for step, _ in found],
            "rows": [self._texts(step, row) for step, row in found],
            "total": self.lab.done,
        }

    def _head(self, column: Column) -> dict[str, str]:
        names = History(list(self.columns)).short_names()
        return {
            "short": names[column.name], "name": column.name, "kind": column.kind, "format": column.format,
            "address": self.prefix + column.address,
        }  # fmt: skip

    def _texts(self, step: int, row: Row) -> list[str | None]:
        """A row's strings; those of the last steps are made once, as a second format's table is sent anew each time."""
        if self._epoch != self.lab.epoch or len(self._known) > 2 * MOST_ROWS:
            self._known, self._epoch = {}, self.lab.epoch
        found = self._known.get(step)
        if found is None:
            found = [self._text(row.get(column.address), column.format) for column in self.columns]
            self._known[step] = found
        return found

    def row(self, step: int) -> Row | None:
        """The numbers of a step by their address; None where its snapshot was let go."""
        loss = self.lab.losses[step]
        if self.level != "neuron":
            return {"loss": loss}
        with TORCH:
            kept = self.lab.snapshots.row(step + 1)
            if kept is None:
                return None
            numbers: list[float] = kept[0].tolist()
        names = list(self.lab.live.params)
        row = {f"{name}[{'0,0' if name.endswith('weight') else '0'}]": numbers[i] for i, name in enumerate(names)}
        row |= {f"{address}.grad": numbers[-len(names) + i] for i, address in enumerate(list(row))}
        prediction = next(each.address for each in self.columns if each.kind == "prediction")
        return row | {"loss": loss, prediction: numbers[-len(names) - 1]}

    @staticmethod
    def _text(value: float | None, fmt: str) -> str | None:
        if value is None:
            return None
        # What a cache holds for 0 would be said of −0 too.
        return _shown(value, fmt) if value else typographic(number(value, fmt))

    # ---- one neuron

    def neuron_steps(self, first: int, last: int) -> list[dict[str, Any]]:
        """`NeuronStep`s of a range of steps, at most the last `MOST_ROWS` of them."""
        first = max(first, last - MOST_ROWS)
        found: list[dict[str, Any]] = []
        before = self._start() if first == 0 else self.row(first - 1)
        for step in range(first, last):
            row = self.row(step)
            if row is not None and before is not None:
                found.append(self._neuron_step(step, before, row))
            before = row
        return found

    def _start(self) -> Row:
        with TORCH:
            return {f"{n}[{'0,0' if n.endswith('weight') else '0'}]": float(t) for n, t in self.lab.start.items()}

    def _neuron_step(self, step: int, before: Row, after: Row) -> dict[str, Any]:
        assert self.neuron is not None
        like = self.neuron["steps"][0]
        addresses: dict[str, str] = {key: self._at(each, step) for key, each in like["addresses"].items()}
        plain = {key: each.rpartition("@")[0] for key, each in like["addresses"].items()}
        data = self.lab.data_at(step)
        fmt = self.lab.config.format
        numbers: dict[str, float | None] = {
            "x": data["x"], "target": data["target"], "y": after.get(self._prediction()), "loss": after["loss"],
        }  # fmt: skip
        for key in ("w", "b"):
            numbers |= {
                key: before[plain[key]],
                f"{key}New": after[plain[key]],
                f"{key}Grad": after[plain[f"{key}Grad"]],
            }
        texts = {key: self._text(value, fmt) or "" for key, value in numbers.items()}
        by_hand = {address for address, _ in self.lab.changes.get(step, ())}
        told = [
            (
                [
                    f"After step {step} the {word} was set to ",
                    [addresses[f"{key}New"], texts[f"{key}New"]],
                    " by hand.",
                ],
                "",
            )
            if plain[f"{key}New"] in by_hand
            else _told(step, word, key, texts, addresses, numbers, self.lab.lr_at(step))
            for word, key in (("weight", "w"), ("bias", "b"))
        ]
        return {
            "step": step, **texts, "addresses": addresses, "sentences": [said for said, _ in told],
            "lost": [key for _, key in told if key],
        }  # fmt: skip

    def _prediction(self) -> str:
        return next(each.address for each in self.columns if each.kind == "prediction")

    def _at(self, address: str, step: int) -> str:
        name, _, where = address.rpartition("@")
        number = step - (where == "init")
        return f"{self.prefix}{name}@{number if number >= 0 else 'init'}" if address else ""


def _told(
    step: int, word: str, key: str, texts: dict[str, str], addresses: dict[str, str], numbers: dict[str, float | None],
    lr: float,
) -> tuple[list[Said], str]:  # fmt: skip
    """What the update did, in the words of `view/page_neuron.py`, and the parameter's letter where it was lost."""
    before, after = [addresses[key], texts[key]], [addresses[f"{key}New"], texts[f"{key}New"]]
    grad = [addresses[f"{key}Grad"], "its gradient"]
    if before[1] != after[1]:
        return [f"In step {step} the {word} moved from ", before, " to ", after, "."], ""
    if numbers[f"{key}Grad"] == 0:
        return [f"In step {step} the {word} stays at ", after, ": ", grad, " is 0."], ""
    if lr == 0:
        return [f"In step {step} the {word} stays at ", after, ": the learning rate is 0."], ""
    words = " is not zero: the update was rounded away."
    return [f"In step {step} the {word} stands still at ", after, ", although ", grad, words], key


Part = Callable[[Row], float | None]


def where_they_part(one: Rows, other: Rows, steps: Iterable[int]) -> dict[str, Any] | None:
    """The first of `steps` in which two formats part: where a number, rounded to the narrower of the two, has other bits than
    the one computed there. Weight and bias, prediction and loss are looked at, in the order in which they come about."""
    from whygrad.floats import number_format, round_to, to_bits

    formats = [number_format(each.lab.config.format) for each in (one, other)]
    narrow, wide = (0, 1) if formats[0].precision <= formats[1].precision else (1, 0)
    fmt = formats[narrow]
    order = ("prediction", "loss", "parameter")
    columns = sorted((c for c in one.columns if c.kind in order), key=lambda c: order.index(c.kind))
    for step in steps:
        rows = [each.row(step) for each in (one, other)]
        if rows[0] is None or rows[1] is None:
            continue
        for column in columns:
            values = [row[column.address] for row in rows if row]
            if to_bits(round_to(values[wide], fmt), fmt) == to_bits(values[narrow], fmt):
                continue
            texts = [typographic(number(v, f.name)) for v, f in zip(values, formats, strict=True)]
            said: list[Said] = [
                f"In step {step} the two formats part: {column.name} is ",
                [f"{one.prefix}{column.address}@{step}", texts[0]], f" in {formats[0].name} and ",
                [f"{other.prefix}{column.address}@{step}", texts[1]],
                f" in {formats[1].name}, which is not the same rounded to {fmt.name}.",
            ]  # fmt: skip
            return {"step": step, "sentence": said}
    return None
